"""Conditions: SQL as people write it, and what is said of what is no condition."""

from __future__ import annotations

import re

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoloss.errors import InputError
from isoloss.runs.conditions import rows_where

TABLE = pl.DataFrame(
    {
        "params": [1e8, 1e9, 7e9, None],
        "tokens": [2e9, 2e10, 1.4e11, 1e9],
        "loss": [3.5, 2.9, float("nan"), 4.0],
        "recipe": ["c4_original", "rpj", None, "c4_original"],
        "excluded": [False, True, None, False],
        "Model Size": [1.0, 2.0, 3.0, 4.0],
    }
)


@pytest.mark.parametrize(
    ("condition", "rows"),
    [
        ("6*params*tokens > 1e21", [2]),
        ("6 * params * tokens <= 1.2e18", [0]),
        ("tokens/params = 20 and params < 1e9", [0]),
        ("params < 1e9 AND recipe = 'c4_original'", [0]),
        ("recipe == 'rpj'", [1]),
        ('recipe = "rpj"', [1]),
        ("recipe == \"rpj\" or recipe == 'x'", [1]),
        ('recipe in ("rpj", "x")', [1]),
        ("recipe != 'rpj'", [0, 3]),
        ("recipe like 'c4%'", [0, 3]),
        ("excluded", [1]),
        ("not excluded", [0, 3]),
        ("excluded == false", [0, 3]),
        ("params is not null", [0, 1, 2]),
        ("params is null", [3]),
        ("params >= 1B", [1, 2]),
        ("params < 1.5e9", [0, 1]),
        ("params between 500M and 10B", [1, 2]),
        ("params = 7_000_000_000", [2]),
        ('"Model Size" > 2', [2, 3]),
        ("`Model Size` > 2", [2, 3]),
        ("(params > 1e8) & (tokens < 1e11)", [1]),
        ("log10(params) > 8.9", [1, 2]),
        ("params = max(params)", [2]),
        ("1 = 1", [0, 1, 2, 3]),
        ("loss > 3 -- the small ones", [0, 3]),
    ],
)
def test_conditions_as_people_write_them(condition: str, rows: list[int]) -> None:
    assert rows_where(TABLE, condition).nonzero()[0].tolist() == rows


def test_no_comparison_holds_for_missing_and_nan_cells() -> None:
    assert rows_where(TABLE, "loss > 0").tolist() == [True, True, False, True]
    assert rows_where(TABLE, "loss <= 0").tolist() == [False] * 4
    assert rows_where(TABLE, "not (params > 0)").tolist() == [False] * 4
    assert rows_where(TABLE, "loss is not null").tolist() == [True, True, False, True]


def test_quotes_within_text_are_kept() -> None:
    table = pl.DataFrame({"recipe": ["it's", 'a "b"', "x == y 7B"]})
    assert rows_where(table, '''recipe = "it's"''').tolist() == [True, False, False]
    assert rows_where(table, """recipe = 'a "b"'""").tolist() == [False, True, False]
    assert rows_where(table, """recipe = "a ""b"" " or recipe = "x == y 7B" """).tolist() == [
        False,
        False,
        True,
    ]


def test_the_tables_own_names_are_understood_too() -> None:
    own = {"val_loss": "loss", "N": "params", "params": "params_original"}
    assert rows_where(TABLE, "val_loss < 3", own_names=own).tolist() == [False, True, False, False]
    both = rows_where(TABLE, "N > 1e8 and params < 2e9", own_names=own)
    assert both.tolist() == [False, True, False, False]


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        (
            "parms > 1e9",
            "no column parms: expected one of params, tokens, loss, recipe, excluded, Model Size "
            "(closest: params)",
        ),
        ("params >", 'not SQL: expected an SQL condition such as "params < 1e9" or'),
        ("", "not SQL: expected"),
        ("params > 1e9)", "not SQL: "),
        ("params < 1 B", "not SQL: "),
        ("params as p", "not SQL: "),
        ("loss ** 2 > 3", "not SQL: "),
        ("isnan(loss)", "not SQL: found unsupported function 'isnan'; expected"),
        ("select * from runs", "not SQL: "),
        ("params", "not a condition: found values of type Float64; expected an SQL condition"),
        ("recipe", "not a condition: found values of type String; expected"),
        ("null", "not a condition: found values of type Null; expected"),
        ("recipe > 3", "cannot be evaluated: found cannot compare string with numeric type"),
        ("params and loss", "cannot be evaluated: found "),
        ("params < 1e9 and recipe", "cannot be evaluated: found "),
        ("columns('^[pt].*$') > 1", "cannot be evaluated: found "),
    ],
)
def test_what_is_no_condition_is_named(condition: str, message: str) -> None:
    start = f"condition {condition!r}: {message}"
    with pytest.raises(InputError, match=f"^{re.escape(start)}") as error:
        rows_where(TABLE, condition)
    assert "\n" not in str(error.value)


@given(st.floats(-1e30, 1e30), st.lists(st.none() | st.floats(-1e30, 1e30), min_size=1))
def test_comparisons_are_those_of_floats(bound: float, values: list[float | None]) -> None:
    table = pl.DataFrame({"x": pl.Series(values, dtype=pl.Float64)})
    expected = [value is not None and value > bound for value in values]
    assert rows_where(table, f"x > {bound!r}").tolist() == expected
