"""Runs: columns as arrays, filters and splits, the fingerprint, the summary."""

from __future__ import annotations

import json
import re

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoloss.errors import InputError
from isoloss.runs import Runs, read_runs

FRAME = pl.DataFrame(
    {
        "recipe": ["c4"] * 4,
        "params": [1e8, 1e8, 1e9, 7e9],
        "tokens": [2e9, 4e9, 2e10, 1.4e11],
        "loss": [3.5, 3.3, 2.9, 2.3],
        "flops": [1.3e18, 2.6e18, 1.2e20, None],
        "best": [True, False, True, True],
    }
)
RUNS = read_runs(FRAME)


def test_columns_are_float64_arrays() -> None:
    for values in (RUNS.params, RUNS.tokens, RUNS.loss, RUNS.flops, RUNS.column("flops")):
        assert values.dtype == np.float64
        assert values.shape == (len(RUNS),)
    assert RUNS.loss.tolist() == [3.5, 3.3, 2.9, 2.3]
    assert np.isnan(RUNS.column("flops")[3])


def test_flops_are_always_6_params_tokens() -> None:
    assert np.array_equal(RUNS.flops, 6 * RUNS.params * RUNS.tokens)


def test_an_unknown_column_lists_those_there_are() -> None:
    message = (
        "frame: no column val_loss: expected one of params, tokens, loss, recipe, flops, best "
        "(closest: loss)"
    )
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        RUNS.column("val_loss")


@pytest.mark.parametrize(("column", "dtype"), [("recipe", "String"), ("best", "Boolean")])
def test_a_column_without_numbers_is_no_array(column: str, dtype: str) -> None:
    message = (
        f"frame: column {column} does not hold numbers: found type {dtype}; "
        "expected one of params, tokens, loss, flops"
    )
    with pytest.raises(InputError, match=f"^{message}$"):
        RUNS.column(column)


def test_columns_answer_to_the_tables_own_names() -> None:
    runs = read_runs(FRAME.rename({"loss": "val_loss"}))
    assert runs.own_names == {"val_loss": "loss"}
    assert runs.column("val_loss").tolist() == runs.loss.tolist()


def test_where_keeps_the_runs_for_which_a_condition_holds() -> None:
    assert RUNS.where("6*params*tokens > 1e19 and best").params.tolist() == [1e9, 7e9]
    message = (
        "condition 'loss > 9': no run is left: found none of 4 runs of frame for which it holds"
    )
    with pytest.raises(InputError, match=f"^{message}$"):
        RUNS.where("loss > 9")


def test_split_gives_the_rest_and_the_held_out() -> None:
    rest, held_out = RUNS.split("flops > 1e20")
    assert held_out.params.tolist() == [1e9]
    assert rest.params.tolist() == [1e8, 1e8, 7e9]


@pytest.mark.parametrize(("condition", "held_out"), [("loss > 9", 0), ("loss < 9", 4)])
def test_neither_side_of_a_split_is_empty(condition: str, held_out: int) -> None:
    message = (
        f"condition {condition!r}: no split: found {held_out} of 4 runs of frame held out; "
        "expected some runs on either side"
    )
    with pytest.raises(InputError, match=f"^{message}$"):
        RUNS.split(condition)


def test_take_selects_by_mask_or_index() -> None:
    assert RUNS.take(RUNS.loss < 3).loss.tolist() == [2.9, 2.3]
    assert RUNS.take([True, False, False, True]).loss.tolist() == [3.5, 2.3]
    assert RUNS.take([3, 0, 0]).loss.tolist() == [2.3, 3.5, 3.5]
    assert len(RUNS.take([])) == 0


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        ([True], "wrong mask: found shape (1,); expected (4,)"),
        ([0, 4], "no such run: found index 4; expected 0 to 3"),
        ([-1, 2], "no such run: found index -1; expected 0 to 3"),
        (
            np.array([0.5]),
            "neither mask nor indices: found type float64; expected truth values or integers",
        ),
    ],
)
def test_a_selection_must_fit(selection: list[int], message: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        RUNS.take(selection)


@given(st.permutations(range(4)))
def test_the_fingerprint_does_not_depend_on_the_order_of_rows(order: list[int]) -> None:
    assert RUNS.take(order).fingerprint == RUNS.fingerprint


@given(st.sampled_from(["params", "tokens", "loss"]), st.integers(0, 3))
def test_the_fingerprint_depends_on_every_number(column: str, row: int) -> None:
    values = RUNS.frame[column].to_list()
    values[row] = np.nextafter(values[row], np.inf)
    changed = Runs(RUNS.frame.with_columns(pl.Series(column, values)))
    assert changed.fingerprint != RUNS.fingerprint


def test_the_fingerprint_is_that_of_the_fitted_numbers_alone() -> None:
    assert read_runs(FRAME.drop("best", "flops")).fingerprint == RUNS.fingerprint
    assert re.fullmatch("[0-9a-f]{12}", RUNS.fingerprint)


def test_the_summary_is_one_json_object() -> None:
    summary = RUNS.to_json()
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    assert summary["n_runs"] == 4
    assert summary["n_sizes"] == 3
    assert summary["recipes"] == ["c4"]
    assert summary["columns"] == ["params", "tokens", "loss", "recipe", "flops", "best"]
    assert summary["source"] == "frame"
    assert summary["notes"] == []
    assert summary["ranges"] == {
        "params": {"min": 1e8, "max": 7e9},
        "tokens": {"min": 2e9, "max": 1.4e11},
        "loss": {"min": 2.3, "max": 3.5},
        "flops": {"min": 1.2e18, "max": 6 * 7e9 * 1.4e11},
        "tokens_per_param": {"min": 20.0, "max": 40.0},
    }


def test_a_table_that_was_not_checked_has_a_summary_too() -> None:
    frame = pl.DataFrame({"params": [1e9, 0.0], "tokens": [None, 1e9], "x": [1, 2]})
    summary = read_runs(frame, check=False).to_json()
    json.dumps(summary, allow_nan=False)
    assert summary["ranges"]["tokens"] == {"min": 1e9, "max": 1e9}
    assert summary["ranges"]["tokens_per_param"] is None
    assert summary["fingerprint"] is None
    assert [note["code"] for note in summary["notes"]] == [
        "missing-column",
        "not-positive",
        "missing",
    ]
