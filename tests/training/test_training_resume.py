"""Runs that are killed, ended, branched off, or shared by several processes."""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import signal
import socket
import sys
import time
import weakref
from collections.abc import Mapping
from contextlib import nullcontext, redirect_stderr, redirect_stdout
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
import torch
from trainer_cases import tiny_config, write_corpus

from isoloss.errors import InputError
from isoloss.training import loop
from isoloss.training.config import TrainingConfig
from isoloss.training.loop import train_run
from isoloss.training.model import Decoder
from isoloss.training.shards import TokenData
from isoloss.training.train import main

# Enough for a process to start on a busy machine.
PATIENCE_SECONDS = 120.0
# Processes that begin with PyTorch in place, which takes longer to import than they run.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["isoloss.training.loop", "torch._dynamo"])


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TokenData:
    return write_corpus(tmp_path_factory.mktemp("corpus"), documents=400)


def start(
    config: TrainingConfig, folder: Path, environment: Mapping[str, str] | None = None
) -> BaseProcess:
    """The run as a process of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config.to_json()))
    process = PROCESSES.Process(target=train, args=(folder, dict(environment or {})))
    process.start()
    return process


def train(folder: Path, environment: dict[str, str]) -> None:
    """What `python -m isoloss.training.train` does."""
    os.environ.update(environment)
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        sys.exit(main([str(folder / "config.json"), "--folder", str(folder)]))


def status_of(process: BaseProcess) -> int | None:
    """How a process ends, after it has; negative for a signal."""
    process.join(PATIENCE_SECONDS)
    return process.exitcode


def wait_for_lines(folder: Path, count: int, process: BaseProcess) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if (folder / "metrics.jsonl").exists() and len(losses_of(folder)) >= count:
            return
        assert process.is_alive(), "the run ended too early"
        time.sleep(0.01)
    raise AssertionError("the run does not get on")


def losses_of(folder: Path) -> dict[int, float]:
    """Step to loss, of the lines that are whole."""
    whole = (folder / "metrics.jsonl").read_text().rpartition("\n")[0].splitlines()
    lines = [json.loads(line) for line in whole]
    assert len({line["step"] for line in lines}) == len(lines)
    return {line["step"]: line["loss"] for line in lines}


@pytest.fixture(scope="module", params=["adamw", "muon"])
def whole(
    request: pytest.FixtureRequest, data: TokenData, tmp_path_factory: pytest.TempPathFactory
) -> tuple[TrainingConfig, Path, dict[str, Any]]:
    """A run that nothing disturbed."""
    # Lines and checkpoints at different steps, so that a line is cut by every checkpoint.
    config = tiny_config(data, steps=120, log_steps=7, checkpoint_steps=11, optimiser=request.param)
    folder = tmp_path_factory.mktemp(f"whole-{request.param}")
    return config, folder, train_run(config, folder)


@pytest.mark.parametrize(
    ("whole", "number"),
    [("adamw", signal.SIGKILL), ("adamw", signal.SIGTERM), ("muon", signal.SIGKILL)],
    indirect=["whole"],
)
def test_a_run_that_is_ended_goes_on_with_the_very_same_losses(
    number: signal.Signals,
    whole: tuple[TrainingConfig, Path, dict[str, Any]],
    tmp_path: Path,
) -> None:
    config, undisturbed, result = whole
    process = start(config, tmp_path)
    wait_for_lines(tmp_path, 4, process)
    assert process.pid is not None
    os.kill(process.pid, number)
    assert status_of(process) == (143 if number == signal.SIGTERM else -signal.SIGKILL)
    assert not (tmp_path / "result.json").exists()
    assert not (tmp_path / "failure.json").exists()
    done = torch.load(tmp_path / "checkpoint.pt", weights_only=True)["progress"]["step"]
    assert 0 < done < config.total_steps
    # A crash may leave a part of a line.
    with (tmp_path / "metrics.jsonl").open("a") as stream:
        stream.write('{"step": 99')
    resumed = train_run(config, tmp_path)
    assert losses_of(tmp_path) == losses_of(undisturbed)
    assert resumed["loss"] == result["loss"]


@pytest.mark.parametrize("whole", ["adamw"], indirect=True)
def test_a_run_whose_checkpoint_does_not_fit_on_the_disk_says_so_and_goes_on_later(
    whole: tuple[TrainingConfig, Path, dict[str, Any]], tmp_path: Path
) -> None:
    config, undisturbed, result = whole
    if not hasattr(resource, "prlimit"):
        pytest.skip("this system does not limit the files of a process that runs")
    process = start(config, tmp_path)
    wait_for_lines(tmp_path, 4, process)
    # Lines still fit, checkpoints do not.
    room = (tmp_path / "checkpoint.pt").stat().st_size // 2
    assert process.pid is not None
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (room, room))
    assert status_of(process) == 1
    failure = json.loads((tmp_path / "failure.json").read_text())
    assert failure["reason"].endswith("cannot write: File too large")
    assert not list(tmp_path.glob(".*partial"))
    assert 0 < torch.load(tmp_path / "checkpoint.pt", weights_only=True)["progress"]["step"] < 120
    resumed = train_run(config, tmp_path)
    assert losses_of(tmp_path) == losses_of(undisturbed)
    assert resumed["loss"] == result["loss"]


def test_a_finished_run_is_not_trained_again(
    whole: tuple[TrainingConfig, Path, dict[str, Any]],
) -> None:
    config, folder, result = whole
    before = (folder / "checkpoint.pt").stat().st_mtime_ns
    assert train_run(config, folder) == result
    assert (folder / "checkpoint.pt").stat().st_mtime_ns == before


def test_a_decay_that_branches_off_a_trunk_is_the_run_without_a_trunk(
    data: TokenData, tmp_path: Path
) -> None:
    recipe = {"schedule": "wsd", "warmup_steps": 3, "log_steps": 5}
    trunk = tiny_config(data, steps=30, **(recipe | {"schedule": "constant"}))
    branch = tiny_config(data, steps=25, decay_steps=5, **recipe)
    kept = tmp_path / "trunk" / "checkpoint-20.pt"
    train_run(replace(trunk, keep_checkpoints=(20,)), kept.parent)
    whole = train_run(branch, tmp_path / "whole")
    started = replace(branch, start_from=str(kept))
    branched = train_run(started, tmp_path / "branch")
    assert branched["loss"] == whole["loss"]
    assert branched["tokens"] == whole["tokens"]
    expected = {step: loss for step, loss in losses_of(tmp_path / "whole").items() if step > 20}
    assert losses_of(tmp_path / "branch") == expected
    with pytest.raises(InputError, match="found step 20; expected at most 15 steps"):
        train_run(replace(started, steps=15), tmp_path / "short")
    with pytest.raises(InputError, match="another seed of the data order: found 0; expected 3"):
        train_run(replace(started, seed=3), tmp_path / "other")


def test_a_folder_of_another_run_is_refused(data: TokenData, tmp_path: Path) -> None:
    config = tiny_config(data, steps=6)
    train_run(config, tmp_path)
    other = replace(config, learning_rate=0.5)
    with pytest.raises(InputError, match=r"another learning_rate: found 0\.01; expected 0\.5, as"):
        train_run(other, tmp_path)
    (tmp_path / "result.json").unlink()
    (tmp_path / "checkpoint.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(InputError, match=r"not a checkpoint: .*; delete it to start again"):
        train_run(config, tmp_path)


def free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return int(opened.getsockname()[1])


@pytest.mark.parametrize("changes", [{}, {"learning_rate": 1e30, "warmup_steps": 0, "clip": 0.0}])
def test_the_model_is_gone_before_the_processes_part(
    changes: dict[str, Any], data: TokenData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A model that outlives the group ends it while it holds Python's lock, and a thread of the
    # group that still has to let go of a tensor waits for that lock: both wait for ever.
    for name, value in [("RANK", "0"), ("WORLD_SIZE", "1"), ("MASTER_ADDR", "127.0.0.1")]:
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MASTER_PORT", str(free_port()))
    models: list[weakref.ref[Decoder]] = []
    alive: list[bool] = []
    part = torch.distributed.destroy_process_group

    def make(*arguments: Any, **options: Any) -> Decoder:
        model = Decoder(*arguments, **options)
        models.append(weakref.ref(model))
        return model

    def look_and_part() -> None:
        alive.extend(model() is not None for model in models)
        part()

    monkeypatch.setattr(loop, "Decoder", make)
    monkeypatch.setattr(torch.distributed, "destroy_process_group", look_and_part)
    ended = pytest.raises(loop.DivergedError) if changes else nullcontext()
    with ended:
        train_run(tiny_config(data, steps=12, **changes), tmp_path)
    assert alive == [False]


@pytest.mark.parametrize("parallelism", ["ddp", "fsdp"])
def test_two_processes_train_what_one_does(
    parallelism: str, data: TokenData, tmp_path: Path
) -> None:
    config = tiny_config(data, steps=12, log_steps=1, parallelism=parallelism)
    alone = train_run(config, tmp_path / "alone")
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": "2"}
    processes = [
        start(config, tmp_path / "both", place | {"RANK": str(rank), "LOCAL_RANK": str(rank)})
        for rank in range(2)
    ]
    assert [status_of(process) for process in processes] == [0, 0]
    both = json.loads((tmp_path / "both" / "result.json").read_text())
    # Sums are taken in another order, and nothing else differs.
    assert losses_of(tmp_path / "both") == pytest.approx(losses_of(tmp_path / "alone"), rel=1e-3)
    assert both["loss"] == pytest.approx(alone["loss"], rel=1e-3)
