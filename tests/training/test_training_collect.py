"""The run table of a sweep, its status, and the forecast of its held-out runs."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from sweep_cases import planned, run_locally, table_of, write_sweep

from isoloss.errors import FitError, InputError
from isoloss.runs import read_runs
from isoloss.training import (
    collect_runs,
    forecast_held_out,
    sweep_status,
    with_measured,
    write_table,
)


def test_the_table_is_one_that_every_verb_reads(tmp_path: Path) -> None:
    plan, folder = planned(write_sweep(tmp_path, schedule="wsd", settings='optimiser = "adamw"'))
    run_locally(plan, folder)
    collected = collect_runs(plan, folder)
    assert not collected.notes
    write_table(collected.frame, tmp_path / "runs.csv")
    runs = read_runs(tmp_path / "runs.csv")
    assert len(runs) == 6
    for row, run in zip(runs.frame.to_dicts(), plan.rows, strict=True):
        assert row["params"] == row["params_nonembedding"] == run.shape.params_nonembedding
        assert row["params_total"] == run.shape.params_total
        assert row["tokens"] == run.tokens
        # Those of the whole training, though a trunk was shared.
        assert row["flops"] == run.flops > run.spent_flops
        assert row["bits_per_byte"] == pytest.approx(row["loss"] / math.log(2))
        assert (row["data_hash"], row["optimiser"]) == ("feed", "adamw")
        assert row["hardware"].startswith("1 x ")
        assert row["seconds"] == 0.2
    write_table(collected.frame, tmp_path / "runs.jsonl")
    assert len(read_runs(tmp_path / "runs.jsonl")) == 6


def test_what_was_trained_counts_and_not_what_was_planned(tmp_path: Path) -> None:
    plan, folder = planned(write_sweep(tmp_path))
    run_locally(plan, folder)
    run = plan.runs[0]
    path = plan.folder_of(run, folder) / "result.json"
    result = json.loads(path.read_text()) | {"params_nonembedding": 6000, "tokens": run.tokens}
    path.write_text(json.dumps(result))
    collected = collect_runs(plan, folder)
    assert collected.frame["params"][0] == 6000
    (note,) = collected.notes
    assert "was trained with params_nonembedding 6,000 instead of the planned 5,968" in note.message


def test_a_part_of_a_table_says_what_is_missing(tmp_path: Path) -> None:
    plan, folder = planned(write_sweep(tmp_path))
    with pytest.raises(InputError, match=r"no run is done yet: expected isoloss sweep run before"):
        collect_runs(plan, folder)
    run_locally(plan, folder, runs=plan.runs[:2])
    collected = collect_runs(plan, folder)
    assert collected.frame.height == 2
    assert [note.message for note in collected.notes] == ["4 of 6 runs are not done yet"]


def test_a_table_needs_a_name_that_says_its_format(tmp_path: Path) -> None:
    plan, folder = planned(write_sweep(tmp_path))
    run_locally(plan, folder, runs=plan.runs[:1])
    with pytest.raises(InputError, match=r"not a table's name: expected one in .csv or .jsonl"):
        write_table(table_of(plan, folder), tmp_path / "runs.xlsx")


def test_status_counts_what_is_done_and_what_is_left(tmp_path: Path) -> None:
    plan, folder = planned(write_sweep(tmp_path))
    before = sweep_status(plan, folder)
    assert (before.count("waiting"), before.flops_done, before.seconds_left) == (6, 0, None)
    run_locally(plan, folder, runs=plan.runs[:3])
    run = plan.runs[3]
    place = plan.folder_of(run, folder)
    place.mkdir()
    half = run.steps // 2
    (place / "metrics.jsonl").write_text(f'{{"step": {half}, "loss": 3.5, "seconds": 1}}\n{{"ste')
    status = sweep_status(plan, folder)
    assert (status.count("done"), status.count("waiting")) == (3, 3)
    assert (status.runs[3].step, status.runs[3].loss) == (half, 3.5)
    done = sum(each.flops for each in plan.runs[:3])
    assert status.flops_done == pytest.approx(done + run.flops * half / run.steps)
    # The fake trainer says 0.2 seconds for each.
    assert status.flops_per_second == pytest.approx(status.flops_done / (3 * 0.2 + 1))
    assert status.flops_per_second is not None
    left = plan.flops - status.flops_done
    assert status.seconds_left == pytest.approx(left / status.flops_per_second)


def test_held_out_runs_are_forecast_before_they_are_trained(tmp_path: Path) -> None:
    path = write_sweep(tmp_path, sizes=3, more='held_out = ["50k:2M"]\n')
    plan, folder = planned(path)
    ladder = [run for run in plan.runs if not run.held_out]
    run_locally(plan, folder, runs=ladder)
    (forecast,) = forecast_held_out(plan, folder, bootstrap=50)
    assert forecast.measured is None
    assert forecast.extrapolation == pytest.approx(
        plan.runs[-1].flops / max(r.flops for r in ladder)
    )
    assert forecast.extrapolation > 4
    run_locally(plan, folder)
    # The kept forecast is the one that was made before.
    (measured,) = with_measured(forecast_held_out(plan, folder), plan, folder)
    assert (measured.loss, measured.lower) == (forecast.loss, forecast.lower)
    assert measured.error is not None
    assert abs(measured.error) < 0.01
    (folder / "forecast.json").unlink()
    with pytest.raises(FitError, match=r"is already trained: what is known cannot be forecast"):
        forecast_held_out(plan, folder)
