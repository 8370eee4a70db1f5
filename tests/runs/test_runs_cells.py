"""Cells: what counts as a number, a truth value, missing, text."""

from __future__ import annotations

import datetime
import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoloss.runs.cells import number_column, parse_number, typed_column


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", 12.0),
        (" 12 ", 12.0),
        ("1.0e9", 1e9),
        ("1E9", 1e9),
        ("+1e9", 1e9),
        ("-3.5", -3.5),
        (".5", 0.5),
        ("5.", 5.0),
        ("1_000_000_000", 1e9),
        ("1,000,000", 1e6),
        ("1,000,000.5", 1e6 + 0.5),
        ("inf", math.inf),
        ("-Infinity", -math.inf),
    ],
)
def test_numbers_are_read_in_every_way_people_write_them(text: str, value: float) -> None:
    assert parse_number(text) == value


@pytest.mark.parametrize("text", ["nan", "NaN", "-nan", "NAN"])
def test_nan_is_a_number_to_be_complained_about(text: str) -> None:
    number = parse_number(text)
    assert number is not None
    assert math.isnan(number)


@pytest.mark.parametrize(
    "text", ["", "x", "1e", "70B", "1 2", "2,345", "12,34,567", "1__0", "0x10"]
)
def test_what_is_no_number_is_none(text: str) -> None:
    assert parse_number(text) is None


@pytest.mark.parametrize(
    ("text", "value"), [("2,5", 2.5), ("1,5e9", 1.5e9), ("2.5", 2.5), ("1,000,000", 1e6)]
)
def test_decimal_commas(text: str, value: float) -> None:
    assert parse_number(text, decimal_comma=True) == value


@given(st.floats())
def test_the_text_of_a_float_is_read_back_exactly(value: float) -> None:
    number = parse_number(repr(value))
    assert number is not None
    assert number == value or (math.isnan(number) and math.isnan(value))


@pytest.mark.parametrize(
    ("cells", "dtype", "values"),
    [
        (["1", "2.5", ""], pl.Float64, [1.0, 2.5, None]),
        (["1", "NA", "None", "null", "n/a", "#N/A"], pl.Float64, [1.0, *[None] * 5]),
        (["True", "FALSE", "true", "", "NA"], pl.Boolean, [True, False, True, None, None]),
        (["", " ", "NA"], pl.Float64, [None, None, None]),
        (["c4", " rpj ", "", "NA"], pl.String, ["c4", "rpj", None, None]),
        (["none", "off_center"], pl.String, ["none", "off_center"]),
        (["1", "x"], pl.String, ["1", "x"]),
        (["True", "1"], pl.String, ["True", "1"]),
        ([1, 2.5, None], pl.Float64, [1.0, 2.5, None]),
        ([1, "2"], pl.Float64, [1.0, 2.0]),
        ([True, None], pl.Boolean, [True, None]),
        ([True, 1], pl.String, ["true", "1"]),
        ([{"a": 1}, [2], None], pl.String, ['{"a": 1}', "[2]", None]),
        ([10**400, -(10**400)], pl.Float64, [math.inf, -math.inf]),
        ([np.int64(3), np.float32(0.5)], pl.Float64, [3.0, 0.5]),
        (pl.Series([1, None], dtype=pl.Int8), pl.Float64, [1.0, None]),
        (pl.Series(["1.25"]).cast(pl.Decimal(10, 2)), pl.Float64, [1.25]),
        (pl.Series([True, None]), pl.Boolean, [True, None]),
        (pl.Series([None, None]), pl.Float64, [None, None]),
        (pl.Series(["a", None], dtype=pl.Categorical), pl.String, ["a", None]),
        (pl.Series([datetime.date(2025, 6, 1)]), pl.String, ["2025-06-01"]),
        (pl.Series([[1, 2]]), pl.String, ["[1, 2]"]),
    ],
)
def test_a_column_has_the_type_that_all_its_cells_can_be_read_as(
    cells: pl.Series | list[object], dtype: pl.DataType, values: list[object]
) -> None:
    column = typed_column("name", cells)
    assert column.name == "name"
    assert column.dtype == dtype
    assert column.to_list() == values


def test_a_required_column_tells_which_cells_are_no_numbers() -> None:
    column, unreadable = number_column("loss", ["3.1", "diverged", "", None, " nan-ish ", True])
    assert column.to_list() == [3.1, None, None, None, None, None]
    assert unreadable == {1: "diverged", 4: "nan-ish", 5: "True"}


def test_sizes_are_accepted_only_where_they_are_asked_for() -> None:
    assert number_column("params", ["70M", "1.4B"], sizes=True)[0].to_list() == [7e7, 1.4e9]
    assert number_column("loss", ["70M"])[1] == {0: "70M"}


def test_typed_numbers_need_no_reading() -> None:
    column, unreadable = number_column("params", pl.Series([1, 2], dtype=pl.UInt64))
    assert column.dtype == pl.Float64
    assert not unreadable
