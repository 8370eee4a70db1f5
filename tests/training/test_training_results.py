"""Results that a trainer of one's own leaves in the files of W&B and TensorBoard."""

from __future__ import annotations

import importlib.metadata
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from sweep_cases import planned, run_locally, write_sweep

from isoloss.errors import InputError, MissingExtraError
from isoloss.runs import read_runs
from isoloss.training import ResultRule, check_command, collect_runs, write_table
from isoloss.training.results import RunFailedError

# Trainers that log as people do: while they train, and at the end.
TENSORBOARD = """
import sys
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

writer = EventFileWriter(sys.argv[1])
for step, loss in enumerate((9.0, 5.0, 20_000 / float(sys.argv[2]))):
    for tag, value in (("val/loss", loss), ("train/loss", loss - 0.5)):
        written = Summary.Value(tag=tag, simple_value=value)
        writer.add_event(Event(step=step, wall_time=step, summary=Summary(value=[written])))
writer.close()
"""
WANDB = """
import sys
import wandb

run = wandb.init(project="isoloss", mode="offline", settings=wandb.Settings(silent=True))
for loss in (9.0, 5.0, 20_000 / float(sys.argv[1])):
    run.log({"val": {"loss": loss}, "gradient norm": 0.25})
run.finish()
"""


@pytest.fixture(autouse=True)
def to_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """W&B reports errors of its own to its makers, unless it is told not to."""
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")


def read(rule: ResultRule, folder: Path) -> dict[str, Any]:
    return rule.read(folder, {"folder": str(folder)})


@pytest.mark.parametrize(
    ("package", "trainer", "command", "more", "column"),
    [
        (
            "tensorboard",
            TENSORBOARD,
            "{{python}} own.py {{folder}}/logs/version_0 {{params}}",
            'result = "tensorboard:{folder}/logs"\nloss = "val/loss"\n',
            "train/loss",
        ),
        (
            "wandb",
            WANDB,
            "{{python}} own.py {{params}}",
            'result = "wandb"\nloss = "val.loss"\n',
            "gradient norm",
        ),
    ],
    ids=["tensorboard", "wandb"],
)
def test_a_sweep_reads_what_a_tracker_has_written(
    tmp_path: Path, package: str, trainer: str, command: str, more: str, column: str
) -> None:
    pytest.importorskip(package)
    (tmp_path / "own.py").write_text(trainer)
    path = write_sweep(tmp_path, command=command)
    path.write_text(path.read_text() + more)
    plan, folder = planned(path)
    check_command(plan)
    # Two at a time, one of each size: neither reads what the other has written.
    outcome = run_locally(plan, folder, runs=[plan.runs[0], plan.runs[-1]])
    assert not outcome.failed
    frame = collect_runs(plan, folder).frame
    losses = (20_000 / frame["params"]).to_list()
    assert frame["loss"].to_list() == pytest.approx(losses)
    assert column in frame.columns
    assert not any(name.startswith("_") for name in frame.columns)
    write_table(frame, tmp_path / "runs.csv")
    assert read_runs(tmp_path / "runs.csv").frame["loss"].to_list() == pytest.approx(losses)


def test_the_scalar_that_was_written_last_counts(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    writers = pytest.importorskip("torch.utils.tensorboard")
    # The first attempt was stopped; the second went on in a folder of its own.
    for attempt, losses in enumerate(((5.0, 4.0, 1.0), (3.0, 2.5))):
        with writers.SummaryWriter(tmp_path / f"attempt-{2 - attempt}") as writer:
            for step, loss in enumerate(losses):
                # PyTorch writes scalars as numbers, or as tensors like TensorFlow.
                writer.add_scalar("loss", loss, step, new_style=bool(attempt))
            writer.add_text("notes", "no number")
        time.sleep(0.01)
    assert read(ResultRule("tensorboard"), tmp_path) == {"loss": 2.5}


def offline_run(folder: Path, *documents: dict[str, Any]) -> Path:
    """The log of a W&B run that was not told to anybody."""
    wandb = pytest.importorskip("wandb")
    quiet = wandb.Settings(silent=True, x_disable_stats=True, console="off")
    with wandb.init(project="isoloss", mode="offline", dir=folder, settings=quiet) as run:
        for document in documents:
            run.log(document)
    (log,) = folder.glob("wandb/latest-run/*.wandb")
    return log


def test_a_long_log_of_wandb_is_read_to_its_end(tmp_path: Path) -> None:
    # Records cross the ends of blocks, and some fill several.
    lines = [{"loss": 9.0 - step, "text": "x" * 9_973 * step} for step in range(9)]
    log = offline_run(tmp_path, *lines)
    assert log.stat().st_size > 10 * 32_768
    assert read(ResultRule("wandb"), tmp_path)["loss"] == 1.0
    # A crash cut it.
    log.write_bytes(log.read_bytes()[: log.stat().st_size // 2])
    assert 1.0 < read(ResultRule("wandb"), tmp_path)["loss"] < 9.0


def test_the_summary_of_a_run_that_wandb_knows_is_a_file(tmp_path: Path) -> None:
    pytest.importorskip("wandb")
    for name, loss in (("run-20260101_120000-b", 3.0), ("offline-run-20260102_120000-a", 2.0)):
        files = tmp_path / "wandb" / name / "files"
        files.mkdir(parents=True)
        summary = {"val": {"loss": loss}, "tokens": 7, "_runtime": 3, "_wandb": {"runtime": 3}}
        (files / "wandb-summary.json").write_text(json.dumps(summary))
    rule = ResultRule("wandb", "val.loss")
    # Without the link that W&B makes, the run that was begun last counts.
    assert read(rule, tmp_path) == {"loss": 2.0, "val.loss": 2.0, "tokens": 7}
    os.symlink("run-20260101_120000-b", tmp_path / "wandb" / "latest-run")
    assert read(rule, tmp_path)["loss"] == 3.0
    elsewhere = ResultRule("wandb:{folder}/wandb/offline-run-20260102_120000-a", "val.loss")
    assert read(elsewhere, tmp_path)["loss"] == 2.0


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (ResultRule("wandb"), "no loss in the files of W&B: expected a run in .*/wandb$"),
        (
            ResultRule("wandb:own", "los"),
            r"no los in the files of W&B: expected one of loss \(closest: loss\)$",
        ),
        (ResultRule("wandb:own"), "the loss is NaN"),
        (ResultRule("tensorboard"), "no loss in the files of TensorBoard: expected a run in "),
    ],
)
def test_a_result_that_a_tracker_does_not_have(
    tmp_path: Path, rule: ResultRule, message: str
) -> None:
    for package in ("wandb", "tensorboard"):
        pytest.importorskip(package)
    (tmp_path / "own" / "files").mkdir(parents=True)
    (tmp_path / "own" / "files" / "wandb-summary.json").write_text('{"loss": NaN, "_step": 3}')
    with pytest.raises(RunFailedError, match=message):
        read(rule, tmp_path)


@pytest.mark.parametrize("package", ["wandb", "tensorboard"])
def test_a_tracker_that_is_not_installed_is_named_before_anything_runs(
    tmp_path: Path, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    path = write_sweep(tmp_path)
    path.write_text(path.read_text() + f'result = "{package}"\n')
    plan, _ = planned(path)
    monkeypatch.setattr("isoloss.training.results.distribution", absent)
    with pytest.raises(
        MissingExtraError, match=rf"results in .*'s files need {package}: install it with .*\["
    ):
        check_command(plan)


def test_a_result_under_another_name_is_said(tmp_path: Path) -> None:
    (tmp_path / "output.log").write_text('begin\n{"val_loss": 3.0, "step": 9}\nend\n')
    with pytest.raises(
        RunFailedError,
        match=r"no loss in the output: expected one of val_loss, step \(closest: val_loss\)",
    ):
        read(ResultRule("stdout"), tmp_path)


def test_a_place_of_results_that_is_spelt_wrongly_is_refused(tmp_path: Path) -> None:
    path = write_sweep(tmp_path)
    path.write_text(path.read_text() + 'result = "tensor-board"\n')
    with pytest.raises(
        InputError, match=r"trainer.result: no such place of results: .*closest: tensorboard\), or"
    ):
        planned(path)


def test_a_tracker_whose_folder_names_an_unknown_field_is_refused(tmp_path: Path) -> None:
    path = write_sweep(tmp_path)
    path.write_text(path.read_text() + 'result = "tensorboard:{foldr}/logs"\n')
    with pytest.raises(InputError, match=r"unknown field: found {foldr}; .* \(closest: folder\)"):
        planned(path)
