"""Train one run in its folder: from the configuration to `result.json`, resuming where it stopped.

The folder's files: `config.json` (what to train), `metrics.jsonl` (a line every few steps),
`checkpoint.pt` (the state to go on from), `result.json` (written last).
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from isoloss.errors import InputError, IsolossError
from isoloss.training.batches import HeldOutBatches, TrainingBatches
from isoloss.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from isoloss.training.config import TrainingConfig
from isoloss.training.devices import Devices, prepared_devices
from isoloss.training.metrics import MetricsFile
from isoloss.training.model import Decoder
from isoloss.training.optimisation import clip_gradients, make_optimisers, set_rate
from isoloss.training.outcome import describe_result
from isoloss.training.run_folder import (
    CHECKPOINT,
    CONFIG,
    METRICS,
    RESULT,
    RunFolder,
    read_object,
    step_checkpoint,
)
from isoloss.training.shards import TokenData, read_token_data

_LINES = 100
_CHECKPOINTS = 20


class DivergedError(IsolossError):
    """The loss is no longer a finite number."""


class InterruptedRunError(IsolossError):
    """The run was asked to end, and has written a checkpoint to go on from."""


@dataclass
class Training:
    """A run in progress: the model, its optimisers, its data, and how far it has come."""

    config: TrainingConfig
    data: TokenData
    devices: Devices
    model: Decoder
    optimisers: list[torch.optim.Optimizer]
    progress: Progress = field(default_factory=Progress)

    def __post_init__(self) -> None:
        config, devices = self.config, self.devices
        self.parameters = list(self.model.parameters())
        self.batches = TrainingBatches(
            self.data, config.context, config.batch_tokens // config.context, config.order_seed
        )
        # Only the training step is worth the time that compiling takes.
        compiled = devices.on_gpu if config.compile is None else config.compile
        step: nn.Module = torch.compile(self.model) if compiled else self.model
        if devices.count > 1 and not devices.shards(config):
            step = DistributedDataParallel(
                step, device_ids=[devices.device] if devices.on_gpu else None
            )
        self.forward = step
        self.window = torch.tensor(0.0, device=devices.device)

    def step(self, rate: float) -> None:
        """One step: forward and backward over the micro-batches of this device, then the update."""
        config, devices = self.config, self.devices
        inputs, targets = (
            torch.from_numpy(ids).to(devices.device, non_blocking=True)
            for ids in self.batches.batch(self.progress.step, devices.rank, devices.count)
        )
        size = config.micro_tokens(devices.count) // config.context
        pairs = list(zip(inputs.split(size), targets.split(size), strict=True))
        loss = torch.zeros_like(self.window)
        for number, (micro_inputs, micro_targets) in enumerate(pairs, start=1):
            # Gradients are exchanged once a step, with the last of its micro-batches.
            if isinstance(self.forward, DistributedDataParallel):
                self.forward.require_backward_grad_sync = number == len(pairs)
            with devices.autocast():
                part: Tensor = self.forward(micro_inputs, micro_targets) / len(pairs)
            part.backward()
            loss += part.detach()
        clip_gradients(self.parameters, config.clip)
        set_rate(self.optimisers, rate)
        for optimiser in self.optimisers:
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        self.window += loss
        self.progress.window_steps += 1
        self.progress.step += 1

    def window_loss(self) -> float:
        """The sum of the losses since the last line, a mean over devices; waits for them.

        Raises:
            DivergedError: it is not finite.
        """
        loss = float(self.devices.mean(self.window.clone()).item())
        if not math.isfinite(loss):
            raise DivergedError(
                f"the loss is no longer finite: found {loss} by step {self.progress.step}; "
                "expected a run with a lower learning rate, a longer warm-up or clipping"
            )
        return loss

    def take_window(self) -> float:
        """The mean loss over the steps since the last line; the next line begins anew."""
        mean = self.window_loss() / self.progress.window_steps
        self.window = torch.zeros_like(self.window)
        self.progress.window_steps = 0
        return mean

    def evaluate(self) -> float:
        """The mean loss over the held-out part, nats per token; each device takes its share."""
        config, devices = self.config, self.devices
        sequences = config.micro_tokens(devices.count) // config.context
        batches = HeldOutBatches(self.data, config.context, sequences, config.held_out_tokens)
        total = torch.zeros((), dtype=torch.float64, device=devices.device)
        rounds = -(-batches.count // devices.count)
        for index in range(devices.rank, rounds * devices.count, devices.count):
            # Sharded weights are gathered together: a device without a batch left repeats one.
            pair = batches.batch(min(index, batches.count - 1))
            inputs, targets = (torch.from_numpy(ids).to(devices.device) for ids in pair)
            with torch.no_grad(), devices.autocast():
                loss = self.model(inputs, targets, reduction="sum")
            total += loss.double() if index < batches.count else 0.0
        mean = devices.mean(total) * devices.count / batches.targets
        return float(mean.item())


def train_run(config: TrainingConfig, folder: str | Path) -> dict[str, Any]:
    """Train a run in its folder, from the beginning or from its checkpoint; its result.

    A run that has its result is not trained again. Under torchrun every process calls this.

    Args:
        config: what to train.
        folder: of the run; made if absent.

    Returns:
        The object that `result.json` holds, see `describe_result`.

    Raises:
        InputError: the run cannot be: no such device, too little memory or data, a vocabulary
            smaller than the data's, or a folder that holds another run.
        DivergedError: the loss is no longer finite.
        InterruptedRunError: a SIGTERM came; there is a checkpoint.
    """
    place = RunFolder(Path(folder))
    place.path.mkdir(parents=True, exist_ok=True)
    if (done := place.result) is not None and _same(read_object(place.path / CONFIG), config):
        return done
    data = read_token_data(config.data)
    if data.vocabulary_size > config.vocabulary_size:
        raise InputError(
            "the model has fewer ids than the data",
            where="vocabulary_size",
            found=str(config.vocabulary_size),
            expected=f"at least {data.vocabulary_size}",
        )
    with prepared_devices(config) as devices, _terminations() as asked_to_end:
        return _train_and_judge(config, data, devices, place, asked_to_end)


def _train_and_judge(
    config: TrainingConfig,
    data: TokenData,
    devices: Devices,
    place: RunFolder,
    asked_to_end: threading.Event,
) -> dict[str, Any]:
    """The run on devices that are ready; its model is gone when this returns."""
    training = _begin(config, data, devices)
    training.batches.check(config.total_steps, repeat=config.repeat)
    _load(training, place.path)
    if devices.is_first and not _same(read_object(place.path / CONFIG), config):
        place.write_config(config.to_json())
    _train(training, place.path, asked_to_end)
    begin = time.perf_counter()
    loss = training.evaluate()
    if not math.isfinite(loss):
        raise DivergedError(f"the held-out loss is no longer finite: found {loss}")
    evaluation = time.perf_counter() - begin
    result = describe_result(
        config,
        data,
        devices,
        training.progress,
        loss=loss,
        params=sum(weight.numel() for weight in training.parameters),
        repeated_tokens=training.batches.repeated_tokens(config.total_steps),
        evaluation_seconds=evaluation,
    )
    if devices.is_first:
        place.write(RESULT, result)
    return result


def _same(written: dict[str, Any] | None, config: TrainingConfig) -> bool:
    """Whether a configuration says the same, defaults left out or not."""
    if written is None:
        return False
    ours = config.to_json()
    return all(name in ours and ours[name] == value for name, value in written.items())


def _begin(config: TrainingConfig, data: TokenData, devices: Devices) -> Training:
    model = Decoder(
        config.shape, config.context, seed=config.seed, mup_base_width=config.mup_base_width
    ).to(devices.device)
    if devices.shards(config):
        from torch.distributed.fsdp import fully_shard

        for layer in model.layers:
            fully_shard(layer)
        fully_shard(model)
    return Training(config, data, devices, model, make_optimisers(model, config))


def _load(training: Training, folder: Path) -> None:
    """Go on from the run's own checkpoint, or from the one that it branches off."""
    config = training.config
    own = folder / CHECKPOINT
    if not own.exists() and config.start_from is None:
        return
    branch = not own.exists()
    training.progress = load_checkpoint(
        Path(config.start_from or "") if branch else own,
        training.model,
        training.optimisers,
        config=config,
        data_sha256=training.data.sha256,
        devices=training.devices,
        branch=branch,
    )
    if training.progress.step > config.total_steps:
        raise InputError(
            "the checkpoint is beyond the end of the run",
            where=str(config.start_from),
            found=f"step {training.progress.step}",
            expected=f"at most {config.total_steps} steps",
        )
    training.window += training.progress.window_loss


def _train(training: Training, folder: Path, asked_to_end: threading.Event) -> None:
    """All steps that are left, with lines of metrics and checkpoints on the way."""
    config, progress, devices = training.config, training.progress, training.devices
    steps = config.total_steps
    rates = config.rates.rates
    log_steps = config.log_steps or max(1, steps // _LINES)
    checkpoint_steps = config.checkpoint_steps or -(-steps // _CHECKPOINTS)
    training.model.train()
    clock = _Clock(progress, devices)
    # Lines of processes other than the first go nowhere.
    file = MetricsFile(folder / METRICS, progress.step) if devices.is_first else None
    try:
        while progress.step < steps:
            rate = float(rates[progress.step])
            training.step(rate)
            step = progress.step
            clock.first_step_done()
            if step % log_steps == 0 or step == steps:
                loss = training.take_window()
                clock.read()
                if file is not None:
                    file.write(
                        {
                            "step": step,
                            "tokens": step * config.batch_tokens,
                            "loss": loss,
                            "learning_rate": rate,
                            "seconds": round(progress.seconds, 3),
                        }
                    )
            ending = devices.any(asked_to_end.is_set())
            kept = [folder / step_checkpoint(step)] if step in config.keep_checkpoints else []
            if kept or ending or step % checkpoint_steps == 0 or step == steps:
                progress.window_loss = training.window_loss()
                clock.read()
                if file is not None:
                    file.sync()
                save_checkpoint(
                    [*kept, folder / CHECKPOINT],
                    training.model,
                    training.optimisers,
                    progress,
                    config=config,
                    data_sha256=training.data.sha256,
                    devices=devices,
                )
            if ending and step < steps:
                raise InterruptedRunError(f"asked to end: the checkpoint is of step {step}")
    finally:
        if file is not None:
            file.close()


class _Clock:
    """Adds the time that passes to the progress; the first step, which may compile, apart."""

    def __init__(self, progress: Progress, devices: Devices) -> None:
        self._progress, self._devices = progress, devices
        self._last = time.perf_counter()
        self._first = True
        self._step = progress.step

    def first_step_done(self) -> None:
        """After the first step: what it took is no measure of speed."""
        if self._first:
            self._devices.wait()
            self._add(steady=False)
            self._first = False

    def read(self) -> None:
        """Bring the progress up to date; the device must be idle."""
        self._add(steady=True)

    def _add(self, *, steady: bool) -> None:
        now, progress = time.perf_counter(), self._progress
        passed, self._last = now - self._last, now
        progress.seconds += passed
        if steady:
            progress.steady_seconds += passed
            progress.steady_steps += progress.step - self._step
        self._step = progress.step


@contextmanager
def _terminations() -> Iterator[threading.Event]:
    """An event that a SIGTERM sets; signals reach the main thread only."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def ask(number: int, frame: FrameType | None) -> None:
        asked.set()

    before = signal.signal(signal.SIGTERM, ask)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGTERM, before)
