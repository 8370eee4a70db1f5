"""Perturbations: what each changes, and what it leaves alone."""

from __future__ import annotations

import re

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoloss.comparing import (
    COUNTS,
    Trial,
    blur_params,
    change_law,
    change_method,
    change_objective,
    change_search,
    count_by_column,
    count_by_shape,
    count_params,
    drop_compute,
    drop_sizes,
    raise_params,
    scale_params,
    shift_params,
    standard_perturbations,
)
from isoloss.comparing.counting import has_shapes
from isoloss.errors import FitError, InputError
from isoloss.fitting import find_objective
from isoloss.laws import find_law
from isoloss.runs import Runs, optimizer_runs, read_runs

SHAPES = {"n_layers": 10, "d_model": 640, "d_ff": 2560, "n_heads": 10, "vocabulary_size": 32000}


def table(**columns: float) -> Runs:
    params = np.repeat([1e8, 2e8, 4e8, 8e8], 4)
    tokens = np.tile([2e9, 4e9, 8e9, 1.6e10], 4)
    loss = 1.8 + 480 / params**0.35 + 2000 / tokens**0.36
    frame = pl.DataFrame({"params": params, "tokens": tokens, "loss": loss})
    return read_runs(frame.with_columns(**{name: pl.lit(each) for name, each in columns.items()}))


def trial(runs: Runs | None = None, law: str = "chinchilla") -> Trial:
    return Trial(runs or table(), find_law(law), find_objective("huber"), "joint", 8, 0)


@given(factor=st.floats(1e-3, 1e3), exponent=st.floats(0.3, 3.0), seed=st.integers(0, 99))
def test_perturbations_of_n_leave_tokens_and_losses(
    factor: float, exponent: float, seed: int
) -> None:
    before = trial()
    for each in (scale_params(factor), raise_params(exponent), blur_params(0.1, seed)):
        after = each.change(before)
        assert np.all(after.runs.params > 0)
        assert np.array_equal(after.runs.tokens, before.runs.tokens)
        assert np.array_equal(after.runs.loss, before.runs.loss)


@given(exponent=st.floats(0.3, 3.0))
def test_a_power_keeps_the_geometric_mean_and_stretches_the_logs(exponent: float) -> None:
    before, after = (
        np.log(table().params),
        np.log(raise_params(exponent).change(trial()).runs.params),
    )
    assert after.mean() == pytest.approx(before.mean())
    assert after.std() == pytest.approx(exponent * before.std())


def test_noise_is_drawn_from_its_seed() -> None:
    first, again, other = (blur_params(0.1, seed).change(trial()).runs.params for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    many = read_runs(pl.concat([table().frame] * 200), check=False)
    logs = np.log(blur_params(0.1, 0).change(trial(many)).runs.params / many.params)
    assert logs.std() == pytest.approx(0.1, rel=0.05)


def test_an_offset_must_leave_parameters() -> None:
    assert shift_params(-5e7).change(trial()).runs.params.min() == 5e7
    message = (
        "frame: an offset that leaves no parameters: found -1e+08; "
        "expected above -1e+08, minus the smallest N"
    )
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        shift_params(-1e8).change(trial())


@pytest.mark.parametrize(("largest", "sizes"), [(True, [1e8, 2e8, 4e8]), (False, [2e8, 4e8, 8e8])])
def test_sizes_are_dropped_at_either_end(largest: bool, sizes: list[float]) -> None:
    kept = drop_sizes(1, largest=largest).change(trial()).runs
    assert sorted(set(kept.params.tolist())) == sizes


def test_sizes_that_differ_by_digitisation_are_one() -> None:
    frame = table().frame
    wobble = pl.Series("params", frame["params"].to_numpy() * (1 + 1e-6 * np.arange(16)))
    kept = drop_sizes(2, largest=True).change(trial(read_runs(frame.with_columns(wobble)))).runs
    assert len(kept) == 8


def test_dropping_every_size_leaves_nothing_to_fit() -> None:
    with pytest.raises(FitError, match=r"^no run of frame is left$"):
        drop_sizes(4, largest=True).change(trial())


@pytest.mark.parametrize("dearest", [True, False])
def test_a_share_of_the_compute_is_dropped(dearest: bool) -> None:
    before = table()
    kept = drop_compute(0.25, dearest=dearest).change(trial(before)).runs
    ordered = np.sort(before.flops)
    assert np.array_equal(np.sort(kept.flops), ordered[:12] if dearest else ordered[4:])


def test_counts_from_shapes() -> None:
    runs = table(**SHAPES)
    layer, vocabulary = 640 * 640, 32000 * 640
    attention, feedforward = 10 * 4 * layer, 10 * 2 * 640 * 2560
    expected = {
        "tied": vocabulary + attention + feedforward,
        "tied, 5 attention matrices": vocabulary + attention * 5 // 4 + feedforward,
        "untied": 2 * vocabulary + attention + feedforward,
        "untied, gated": 2 * vocabulary + attention + feedforward * 3 // 2,
        "layers": attention + feedforward,
        "layers, gated": attention + feedforward * 3 // 2,
    }
    assert {name: count_params(runs, each)[0] for name, each in COUNTS.items()} == expected
    narrow = table(**SHAPES, head_dim=32)
    assert count_params(narrow, COUNTS["layers"])[0] == attention // 2 + feedforward


def test_the_vocabulary_may_be_given() -> None:
    runs = table(**{name: size for name, size in SHAPES.items() if name != "vocabulary_size"})
    after = count_by_shape("tied", vocabulary_size=32000).change(trial(runs)).runs
    assert np.array_equal(after.params, count_params(table(**SHAPES), COUNTS["tied"]))
    with pytest.raises(InputError, match=r"^frame: no column vocabulary_size: expected one of "):
        count_by_shape("tied").change(trial(runs))


def test_shapes_that_are_none() -> None:
    with pytest.raises(InputError, match=r"^unknown way to count parameters: found 'all'; "):
        count_by_shape("all")
    crooked = table(**{**SHAPES, "n_heads": 7})
    message = r"^frame: not the shape of a model: found 10, 640, 2560, 7, 91\.4286, 32000; "
    with pytest.raises(InputError, match=message):
        count_by_shape("tied").change(trial(crooked))
    assert has_shapes(table(**SHAPES))
    assert not has_shapes(crooked)
    assert not has_shapes(table())


def test_a_column_counts() -> None:
    after = count_by_column("params_total").change(trial(table(params_total=3e8)))
    assert np.all(after.runs.params == 3e8)


def test_options_of_the_fit() -> None:
    before = trial(law="farseer")
    assert change_objective("soft-l1:0.01").change(before).objective.scale == 0.01
    assert change_objective("huber").sentence == (
        "the objective is huber of ln(predicted / measured), delta 0.001, summed over runs"
    )
    searched = change_search(3, 7).change(before)
    assert (searched.starts, searched.seed) == (3, 7)
    assert change_method("staged").change(before).method == "staged"
    staged = change_method("staged").change(before)
    other = change_law(find_law("kaplan")).change(staged)
    assert (other.law.name, other.method) == ("kaplan", "joint")


def test_the_standard_ones_have_names_of_their_own_and_can_be_applied() -> None:
    runs = table(**SHAPES, params_total=3e8, params_nonembedding=2e8)
    for law in ("chinchilla", "farseer"):
        before = trial(runs, law)
        found = standard_perturbations(before)
        names = [each.name for each in found]
        assert len(set(names)) == len(names)
        assert {each.kind for each in found} == {
            "N",
            "count of N",
            "runs",
            "objective",
            "search",
            "law",
        }
        for each in found:
            assert each.sentence
            assert each.change(before) is not before
        assert ("method staged" in names) == (law == "farseer")
        assert f"law {law}" not in names
        assert "huber" not in names


def test_counts_that_a_table_has_already_are_not_tried() -> None:
    runs = optimizer_runs("adamw")
    same = read_runs(runs.frame.with_columns(params_total=pl.col("params")))
    kinds = {each.kind for each in standard_perturbations(trial(same))}
    assert "count of N" not in kinds
