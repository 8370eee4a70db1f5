"""The laws of loss curves, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from isoloss.curves.annealing import AnnealingLaw
from isoloss.curves.law import CurveLaw
from isoloss.curves.multi_power import FADING_LAW, MultiPowerLaw
from isoloss.curves.trajectory_law import TRAJECTORY_LAW, least_steps_law
from isoloss.errors import InputError

CURVE_LAWS: dict[str, Callable[..., CurveLaw]] = {
    "annealing": AnnealingLaw,
    "annealing-sizes": lambda **options: AnnealingLaw(sizes=True, **options),
    "multi-power": MultiPowerLaw,
    "multi-power-fading": lambda **options: replace(FADING_LAW, **options),
    "trajectory": lambda: TRAJECTORY_LAW,
    "kaplan-steps": least_steps_law,
}
# What a law of each name may be told of itself; the others have nothing to be told.
_OPTIONS = {
    "annealing": ("decay_factor",),
    "annealing-sizes": ("decay_factor",),
    "kaplan-steps": ("batch_scale", "batch_power"),
}
# It forecasts curves three times as long within half a per cent, which the paper's own does not
# (benchmarks/multi_power.py).
DEFAULT_CURVE_LAW = FADING_LAW.name


def find_curve_law(name: str, **options: Any) -> CurveLaw:
    """The law of that name.

    Args:
        name: one of `CURVE_LAWS`.
        options: of the law, such as decay_factor=0.995 for annealing.

    Raises:
        InputError: there is no such law, or it has no such option.
    """
    if name not in CURVE_LAWS:
        raise InputError(
            "unknown law of curves",
            where="--law",
            found=repr(name),
            expected="one of " + ", ".join(CURVE_LAWS),
        )
    try:
        return CURVE_LAWS[name](**options)
    except TypeError:
        raise InputError(
            f"law {name} has no such option", found=", ".join(options), expected="none"
        ) from None


def curve_laws_with(option: str) -> tuple[str, ...]:
    """Names of the laws that have an option, such as decay_factor."""
    return tuple(name for name in CURVE_LAWS if option in _OPTIONS.get(name, ()))
