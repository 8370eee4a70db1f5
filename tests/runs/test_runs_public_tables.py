"""Every public table of runs reads as its description says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from isoloss.runs import RunsError, check_runs, read_runs

DATABLATIONS = "recipe = 'datablations_c4' and params is not null and tokens is not null"


@pytest.mark.parametrize(
    ("table", "where", "n_runs"),
    [
        ("chinchilla_fig4_epoch.csv", None, 245),
        ("chinchilla_fig4_epoch.csv", "not excluded_by_epoch", 240),
        ("chinchilla_fig4_epoch.csv", "excluded_by_epoch == false", 240),
        ("isoflop_epochai_chinchilla.csv", None, 123),
        ("isoflop_epochai_chinchilla.csv", "not source_outlier", 123 - 38),
        ("isoflop_epochai_chinchilla.csv", "source_outlier_reason = 'none'", 123 - 38),
        ("isoflop_ml_scalefit.csv", "source_outlier = false", 124 - 35),
        ("kyo_takano_llm.csv", None, 234),
        ("isoflop_llama_3.csv", "condition = 'raw_loss'", 133),
        ("isoflop_llama_3.csv", 'condition = "exp_loss"', 133),
        ("steplaw_dense.csv", None, 1911),
        ("steplaw_dense.csv", "loss > 4", 181),
        ("steplaw_dense_surface.csv", None, 17),
        ("gadre_overtraining.csv", "recipe = 'c4_original'", 34),
        ("gadre_overtraining.csv", "recipe = 'rpj'", 35),
        ("gadre_overtraining.csv", "recipe = 'rw_original'", 35),
        ("datablations_c4.csv", DATABLATIONS, 294),
        ("farseer_grid.csv", None, 400),
        ("farseer_grid.csv", "duplicate_row == false", 400),
        ("farseer_grid.csv", "params > 2e8 and params < 6e9", None),
        ("farseer_extrapolation.csv", "in_paper_six", 6),
        ("scalebench/data_constrained_train.csv", None, 161),
        ("scalebench/data_constrained_test.csv", None, 21),
    ],
)
def test_a_table_reads(
    shared_data: Path, table: str, where: str | None, n_runs: int | None
) -> None:
    runs = read_runs(shared_data / table, where=where)
    assert n_runs is None or len(runs) == n_runs
    for values in (runs.params, runs.tokens, runs.loss, runs.flops):
        assert np.isfinite(values).all()
        assert (values > 0).all()
    assert {note.code for note in runs.notes} <= {"filtered", "duplicates"}


@pytest.mark.parametrize("table", ["scalebench/lr_bsz_train.csv", "scalebench/lr_bsz_test.csv"])
def test_other_names_are_recognised(shared_data: Path, table: str) -> None:
    runs = read_runs(shared_data / table)
    assert runs.own_names == {
        "non_embedding_param_size": "params",
        "data_size": "tokens",
        "lm_loss": "loss",
    }
    assert [note.code for note in runs.notes] == ["column-recognised"] * 3


def test_farseers_marked_duplicates_are_those_found(shared_data: Path) -> None:
    path = shared_data / "farseer_grid.csv"
    runs = read_runs(path)
    (note,) = runs.notes
    assert note.code == "duplicates"
    assert note.details["rows"] == [338, 343, 365, 370]
    assert not runs.frame["duplicate_row"].any()
    assert np.unique(runs.params).size == 25
    assert runs.fingerprint == read_runs(path, where="not duplicate_row").fingerprint


@pytest.mark.parametrize(
    ("table", "where", "hold_out", "n_fit", "n_held_out"),
    [
        ("chinchilla_fig4_epoch.csv", "not excluded_by_epoch", "flops > 2e20", 156, 84),
        ("chinchilla_fig4_epoch.csv", "not excluded_by_epoch", "params > 2.5B", 203, 37),
        ("kyo_takano_llm.csv", None, "flops > 2e20", 151, 83),
        ("isoflop_llama_3.csv", "condition = 'raw_loss'", "flops > 3e20", 97, 36),
        ("steplaw_dense_surface.csv", None, "params > 4.3e8", 12, 5),
    ],
)
def test_the_described_splits(
    shared_data: Path, table: str, where: str | None, hold_out: str, n_fit: int, n_held_out: int
) -> None:
    rest, held_out = read_runs(shared_data / table, where=where).split(hold_out)
    assert (len(rest), len(held_out)) == (n_fit, n_held_out)


def test_single_epoch_runs_of_datablations(shared_data: Path) -> None:
    path = shared_data / "datablations_c4.csv"
    assert len(read_runs(path, where="epochs <= 1 and params > 0", check=False)) == 41


@pytest.mark.parametrize(
    ("table", "codes"),
    [
        ("gadre_overtraining.csv", ["mixed-recipes"]),
        ("isoflop_llama_3.csv", ["mixed-recipes"]),
        ("datablations_c4.csv", ["missing", "missing", "mixed-recipes"]),
        ("gadre_grid_search.csv", ["missing"]),
        ("gadre_downstream.csv", ["missing-column", "mixed-recipes"]),
        ("multipowerlaw_curves_25m_100m.csv", ["missing-column", "mixed-recipes"]),
        ("multipowerlaw_lr_schedules.csv", ["missing-column"]),
    ],
)
def test_tables_that_are_not_ready_for_a_law(
    shared_data: Path, table: str, codes: list[str]
) -> None:
    problems = check_runs(shared_data / table)
    assert [problem.code for problem in problems] == codes
    with pytest.raises(RunsError, match=r"(is missing in|recipes are mixed|no column)"):
        read_runs(shared_data / table)


def test_downstream_errors_can_be_read_as_a_loss(shared_data: Path) -> None:
    runs = read_runs(
        shared_data / "gadre_downstream.csv",
        columns={"loss": "err_arc_easy"},
        where="recipe = 'rpj'",
    )
    assert len(runs) == 35


def test_bits_per_character_are_no_accuracy(shared_data: Path) -> None:
    for table in ("farseer_grid.csv", "farseer_extrapolation.csv"):
        problems = check_runs(shared_data / table)
        assert {problem.code for problem in problems} <= {"duplicates"}
    accuracy = read_runs(shared_data / "farseer_grid.csv").frame.with_columns(
        loss=1 - pl.col("loss")
    )
    assert [problem.code for problem in check_runs(accuracy)] == ["accuracy"]
