"""Where a run computes and how: device, precision, threads, and the other processes of torchrun."""

from __future__ import annotations

import contextlib
import os
import traceback
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from isoloss.errors import InputError
from isoloss.training.config import TrainingConfig
from isoloss.training.memory import available_bytes, check_memory


@dataclass(frozen=True)
class Devices:
    """This process's device among all that take part.

    Attributes:
        device: where this process computes.
        half: whether matrix products are in bfloat16.
        rank: number of this process.
        count: how many processes take part, one device each.
    """

    device: torch.device
    half: bool
    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that writes files."""
        return self.rank == 0

    @property
    def on_gpu(self) -> bool:
        """Whether the device is a GPU."""
        return bool(self.device.type == "cuda")

    def shards(self, config: TrainingConfig) -> bool:
        """Whether weights are spread over the processes."""
        return config.parallelism == "fsdp" and self.count > 1

    def autocast(self) -> torch.autocast:
        """The context in which the model computes."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.half)

    def mean(self, value: Tensor) -> Tensor:
        """The mean of a value over all processes."""
        if self.count > 1:
            dist.all_reduce(value)
            value /= self.count
        return value

    def wait(self) -> None:
        """Wait for the device, so that a clock can be read."""
        if self.on_gpu:
            torch.cuda.synchronize(self.device)

    def any(self, flag: bool) -> bool:
        """Whether a flag is set in any process."""
        if self.count == 1:
            return flag
        found = torch.tensor(float(flag), device=self.device)
        dist.all_reduce(found, op=dist.ReduceOp.MAX)
        return bool(found.item())


def find_device(name: str) -> torch.device:
    """The device of a name; `auto` is a GPU if there is one.

    Raises:
        InputError: there is no such device, as where a GPU is asked for and there is none.
    """
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return torch.device("cuda" if gpus else "cpu")
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda") or (number and not (kind == "cuda" and number.isdigit())):
        raise InputError("no such device", where="device", found=name, expected="cpu or cuda")
    if kind == "cuda" and int(number or 0) >= gpus:
        raise InputError(
            "no such GPU",
            where="device",
            found=f"{name} where PyTorch sees {gpus} GPUs",
            expected="auto, cpu, or a machine and a build of PyTorch with GPUs",
        )
    return torch.device(name)


@contextlib.contextmanager
def prepared_devices(config: TrainingConfig) -> Iterator[Devices]:
    """Set up PyTorch as a run wants it; under torchrun, join the other processes.

    The models of the run must be gone at the end. The last owner of a group of processes waits for
    the group's threads; a model does so with Python's lock held, which the threads may need to let
    go of their last tensors. What raised an exception is seen to here.

    Raises:
        InputError: the device does not exist or does not know bfloat16, the batch does not divide
            over the processes, or memory does not suffice.
    """
    device = find_device(config.device)
    launched = "RANK" in os.environ
    rank, count = (int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])) if launched else (0, 1)
    config.check_devices(count)
    if launched and device.type == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    half = _half(config, device)
    _check_device_memory(config, device, count, half)
    if config.parallelism == "fsdp" and config.optimiser == "muon" and count > 1:
        raise InputError(
            "Muon needs whole matrices", where="parallelism", found="fsdp", expected="ddp"
        )
    if config.threads:
        torch.set_num_threads(config.threads)
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")
    deterministic = torch.are_deterministic_algorithms_enabled()
    if config.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
    if launched:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Devices(device, half, rank, count)
    except BaseException as error:
        traceback.clear_frames(error.__traceback__)
        raise
    finally:
        torch.use_deterministic_algorithms(deterministic)
        if launched:
            dist.destroy_process_group()


def _half(config: TrainingConfig, device: torch.device) -> bool:
    if config.precision == "float32":
        return False
    able = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    if config.precision == "bfloat16" and device.type == "cuda" and not able:
        raise InputError(
            "the GPU does not compute in bfloat16", where="precision", expected="float32 or auto"
        )
    return able or config.precision == "bfloat16"


def _check_device_memory(
    config: TrainingConfig, device: torch.device, count: int, half: bool
) -> None:
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        check_memory(config, free, devices=count, half=half, where=str(device))
    else:
        # The processes of one machine share its memory.
        here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        free_here = available_bytes()
        share = None if free_here is None else free_here // here
        check_memory(config, share, devices=count, half=half, where="this machine")
