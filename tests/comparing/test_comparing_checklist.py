"""The reproducibility checklist: what fit and table say, and what they leave open."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from isoloss.comparing import ChecklistItem, open_questions, reproducibility_checklist
from isoloss.errors import InputError
from isoloss.fitting import Fit, fit
from isoloss.runs import Runs, optimizer_runs, read_runs


def answers(fitted: Fit, runs: Runs, *, loss_unit: str = "") -> dict[str, str]:
    items = reproducibility_checklist(fitted, runs, loss_unit=loss_unit)
    return {item.question: item.answer for item in items}


@pytest.fixture(scope="module")
def runs() -> Runs:
    return optimizer_runs("adamw")


@pytest.fixture(scope="module")
def fitted(runs: Runs) -> Fit:
    return fit(runs, "chinchilla", bootstrap=10, resample="residual", starts=12, seed=3)


def test_how_it_was_fitted(fitted: Fit, runs: Runs) -> None:
    said = answers(fitted, runs)
    assert said["law"] == "chinchilla: loss = E + A/params**alpha + B/tokens**beta"
    assert said["fitted parameters"] == "E, A, B, alpha, beta"
    objective = "huber of ln(predicted / measured), delta 0.001, summed over runs: "
    assert said["objective"] == f"{objective}{fitted.objective_value:.6g}"
    assert said["method and tolerance"] == (
        "damped Newton with exact derivatives, until a step promises less than 1e-14 of the "
        "objective, 200 iterations at most"
    )
    search = fitted.search
    assert said["starts"] == (
        f"12 at random; {search.converged} converged, {search.reached_best} at the best optimum"
    )
    assert said["bootstrap"] == "10 of 10 converged, drawn by residual"
    assert said["weights"] == "all one"
    assert said["seed"] == "3"
    assert said["software"] == f"isoloss {version('isoloss')}"
    assert said["validation"].startswith("in sample only: mean |error| ")
    assert "held parameters" not in said


def test_what_was_fitted(fitted: Fit, runs: Runs) -> None:
    said = answers(fitted, runs, loss_unit="nats/token")
    assert said["rows used"] == str(len(runs))
    assert runs.fingerprint in said["table"]
    assert "nats/token" in said["loss"]
    assert said["C, training FLOPs"].startswith("6 N D, ")


def test_rows_left_out_and_why(tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    frame = optimizer_runs("adamw").frame
    pl.concat([frame, frame.tail(1)]).write_csv(path)
    runs = read_runs(path, where="params > 2e8")
    said = answers(fit(runs, "chinchilla", starts=8), runs)
    assert f"of {len(frame) + 1} rows meet 'params > 2e8'" in said["rows left out, and why"]
    assert "repeats an earlier one" in said["rows left out, and why"]


def test_weights_and_seeds_are_told(runs: Runs) -> None:
    weights = np.ones(len(runs))
    weights[:2] = 0
    said = answers(fit(runs, "chinchilla", weights=weights, starts=8), runs)
    assert said["weights"] == "given by the table, 2 of them zero"


def test_columns_answer_for_training() -> None:
    frame = optimizer_runs("adamw").frame.select("params", "tokens", "loss")
    columns = {
        "params_nonembedding": pl.col("params"),
        "recipe": pl.lit("c4"),
        "learning_rate": 1e-4 + pl.int_range(pl.len()) * 1e-5,
        "optimizer": pl.lit("adamw"),
        "loss_metric": pl.lit("validation"),
        "run_id": pl.format("run {}", pl.int_range(pl.len())),
    }
    runs = read_runs(frame.with_columns(**columns))
    said = answers(fit(runs, "chinchilla", starts=8), runs)
    assert said["N counts"] == "nonembedding parameters, as the table's column says"
    assert said["data set or recipe"] == "c4"
    assert said["hyper-parameters"].startswith("learning_rate 0.0001 to ")
    assert said["hyper-parameters"].endswith("; optimizer adamw")
    assert said["loss"].startswith("validation, ")
    assert said["checkpoints"] == "one row a finished run"
    items = reproducibility_checklist(fit(runs, "chinchilla", starts=8), runs)
    assert open_questions(items) == (
        f"all {len(items)} points of the reproducibility checklist are stated"
    )


def test_what_nobody_says_stays_open() -> None:
    runs = read_runs(optimizer_runs("adamw").frame.select("params", "tokens", "loss"))
    items = reproducibility_checklist(fit(runs, "chinchilla", starts=8), runs)
    missing = [item.question for item in items if not item.stated]
    assert missing == ["N counts", "data set or recipe", "hyper-parameters", "loss", "checkpoints"]
    assert open_questions(items).endswith(f"to be added by hand: {', '.join(missing)}")
    assert ChecklistItem("data", "loss", "").to_json()["answer"] is None


def test_the_staged_method_has_no_starts(shared_data: Path) -> None:
    where = "not duplicate_row and params > 2e8 and params < 6e9"
    runs = read_runs(shared_data / "farseer_grid.csv", where=where)
    said = answers(fit(runs, "farseer", method="staged"), runs)
    assert said["starts"] == "none: the stages need no start"
    assert "minimises no objective" in said["method and tolerance"]


def test_a_fit_of_other_runs_is_refused(fitted: Fit, runs: Runs) -> None:
    with pytest.raises(InputError, match=r": the fit was made from other runs: found fingerprint "):
        reproducibility_checklist(fitted, runs.take(range(len(runs) - 1)))
