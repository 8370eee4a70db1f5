"""Accelerators: peak speed, memory and bandwidth as their vendors' data sheets give them.

Speeds are dense: where a sheet prints speeds with structured sparsity, they are half of those.
Prices are not here: they change, and only the user knows them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from isoloss.errors import InputError


@dataclass(frozen=True)
class Accelerator:
    """One accelerator.

    Attributes:
        name: the name to ask for it by.
        peak_flops: dense FLOP/s (for int8, operations a second) by precision.
        memory: bytes, as the sheet counts them: 80 GB are 80e9.
        bandwidth: of that memory, bytes a second.
        source: the data sheet, and where its figures were read if not there.
    """

    name: str
    peak_flops: Mapping[str, float]
    memory: float
    bandwidth: float
    source: str

    def peak(self, precision: str = "bf16") -> float:
        """Peak dense FLOP/s at a precision.

        Raises:
            InputError: the data sheet has none for it.
        """
        if precision not in self.peak_flops:
            raise InputError(
                "no peak at this precision",
                where=self.name,
                found=repr(precision),
                expected=f"one of {', '.join(self.peak_flops)}",
            )
        return self.peak_flops[precision]


def _accelerator(
    name: str, peaks: dict[str, float], memory: float, bandwidth: float, source: str
) -> Accelerator:
    """From the units of data sheets: TFLOP/s, GB, GB/s."""
    speeds = {precision: 1e12 * peak for precision, peak in peaks.items()}
    return Accelerator(name, MappingProxyType(speeds), 1e9 * memory, 1e9 * bandwidth, source)


_A100 = {"tf32": 156.0, "bf16": 312.0, "fp16": 312.0, "int8": 624.0}
_HOPPER = {"tf32": 494.5, "bf16": 989.5, "fp16": 989.5, "fp8": 1979.0, "int8": 1979.0}

# Sheets that were not at hand themselves are named with the place that quotes their figures.
_A100_SHEET = (
    "NVIDIA A100 data sheet (1758950), as quoted at glennklockwood.com/garden/processors/A100"
)
_HOPPER_SHEETS = (
    "NVIDIA {} data sheet, SXM: half of its speeds with sparsity, as quoted at "
    "glennklockwood.com/garden/processors/h100"
)
_TABLE = (
    _accelerator("a100-40gb", _A100, 40, 1555, _A100_SHEET),
    _accelerator("a100-80gb", _A100, 80, 2039, f"{_A100_SHEET}; bandwidth of the SXM form"),
    _accelerator("h100-sxm", _HOPPER, 80, 3350, _HOPPER_SHEETS.format("H100")),
    _accelerator("h200-sxm", _HOPPER, 141, 4800, _HOPPER_SHEETS.format("H200")),
    _accelerator(
        "b200",
        {"bf16": 2250.0, "fp16": 2250.0, "fp8": 4500.0, "int8": 4500.0},
        180,
        8000,
        "NVIDIA Blackwell technical brief, HGX B200 at 1,000 W, as quoted at "
        "glennklockwood.com/garden/processors/B200; memory and bandwidth an eighth of the 1,440 GB "
        "and 64 TB/s of the DGX B200 (the brief gives 192 GB, not all of it usable)",
    ),
    _accelerator(
        "tpu-v5e",
        {"bf16": 197.0, "int8": 393.0},
        16,
        819,
        "Google Cloud documentation, docs.cloud.google.com/tpu/docs/v5e (a later version of the "
        "page gives 800 GiB/s)",
    ),
    _accelerator(
        "tpu-v5p",
        {"bf16": 459.0},
        95,
        2765,
        "Google Cloud documentation, cloud.google.com/tpu/docs/v5p-training",
    ),
    _accelerator(
        "tpu-v6e",
        {"bf16": 918.0, "int8": 1836.0},
        32,
        1638,
        "Google Cloud documentation, docs.cloud.google.com/tpu/docs/v6e",
    ),
    _accelerator(
        "mi300x",
        {"tf32": 653.7, "bf16": 1307.4, "fp16": 1307.4, "fp8": 2614.9, "int8": 2614.9},
        192,
        5300,
        "AMD Instinct MI300X data sheet; the sheet was not at hand, and its figures agree with "
        "those that public code and wikis quote, such as aiwiki.ai/wiki/amd_instinct_mi300x",
    ),
)

ACCELERATORS: Mapping[str, Accelerator] = MappingProxyType({each.name: each for each in _TABLE})
"""Every accelerator by its name."""


def find_accelerator(name: str) -> Accelerator:
    """The accelerator of a name.

    Raises:
        InputError: there is none.
    """
    known = ACCELERATORS.get(name.lower())
    if known is None:
        raise InputError(
            "unknown accelerator",
            where="accelerator",
            found=repr(name),
            expected=f"one of {', '.join(ACCELERATORS)}",
        )
    return known
