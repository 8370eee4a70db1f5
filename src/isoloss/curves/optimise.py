"""The schedule with the lowest final loss under the multi-power law, among all that never rise.

The rate after the warm-up is the peak times exp(-u_1 - ... - u_k), every u at least zero, so that
no constraint is left but bounds. The final loss and its exact gradient by the rate of every step
take a few cumulative sums (Luo et al. 2025, arXiv:2503.12811, section 5, optimise so too).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from isoloss.arrays import Array, Indices
from isoloss.curves.law import require_parameters
from isoloss.curves.multi_power import NAMES, MultiPowerLaw
from isoloss.curves.schedules import Schedule, constant, wsd
from isoloss.errors import InputError

# The log of the rate bends at so many steps at most; more change the final loss by less than 1e-6.
_KNOTS = 400
_MOST_ITERATIONS = 3000
# Rates are no smaller than this share of the peak.
_LEAST_SHARE = 1e-4


@dataclass(frozen=True, eq=False)
class BestSchedule:
    """A schedule with the lowest final loss.

    Attributes:
        schedule: the schedule.
        loss: its final loss under the law.
        start: that of the schedule that the search began with.
        iterations: of the search.
        converged: whether it ended at an optimum.
    """

    schedule: Schedule
    loss: float
    start: float
    iterations: int
    converged: bool


def best_schedule(
    parameters: Mapping[str, float],
    steps: int,
    peak: float,
    *,
    warmup: int = 0,
    least: float | None = None,
    law: MultiPowerLaw | None = None,
    name: str = "best",
) -> BestSchedule:
    """The schedule that never rises after its warm-up and ends in the lowest loss.

    Args:
        parameters: of the law, published names.
        steps: in all.
        peak: rate that the warm-up leads to.
        warmup: steps of the linear warm-up.
        least: no rate is lower; a ten-thousandth of the peak where not given, below which the law
            has not been measured anywhere.
        law: the multi-power law, or the one whose late cuts fade; the paper's where not given.
        name: of the schedule.

    Raises:
        InputError: a parameter is missing, or steps and rates have no meaning.
    """
    from scipy.optimize import minimize

    law = law or MultiPowerLaw()
    require_parameters(law, parameters)
    floor = _LEAST_SHARE * peak if least is None else least
    if not 0 < floor < peak:
        raise InputError(
            "unusable least rate",
            where="--end",
            found=f"{floor:g}",
            expected="between 0 and the peak",
        )
    rising = constant(steps, peak, warmup=warmup).rates
    free = steps - warmup
    knots = _knots(free)
    widths = np.diff(np.append(knots, free))
    begin = wsd(steps, peak, decay=max(1, free // 5), end=0.1 * peak, shape="exponential")
    falls = -np.diff(np.log(begin.rates[steps - free :] / peak), prepend=0.0)
    # Beyond so many e-folds the rate is at its least.
    deepest = float(np.log(peak / floor))

    def rates_of(fall: Array) -> tuple[Array, Array]:
        depth = np.cumsum(np.repeat(fall / widths, widths))
        depth = deepest * np.tanh(depth / deepest)
        rates = rising.copy()
        rates[warmup:] = peak * np.exp(-depth)
        return rates, depth

    def objective(fall: Array) -> tuple[float, Array]:
        rates, depth = rates_of(fall)
        loss, slope = final_loss(parameters, rates, warmup=warmup, fading=law.fading)
        by_depth = -slope[warmup:] * rates[warmup:] * (1.0 - (depth / deepest) ** 2)
        by_step = np.cumsum(by_depth[::-1])[::-1]
        return loss, np.add.reduceat(by_step, knots) / widths

    first = np.add.reduceat(falls, knots)
    found: Any = minimize(
        objective,
        first,
        jac=True,
        method="L-BFGS-B",
        bounds=[(0.0, None)] * first.size,
        options={
            "maxiter": _MOST_ITERATIONS,
            "maxfun": 4 * _MOST_ITERATIONS,
            "ftol": 1e-14,
            "gtol": 1e-9,
        },
    )
    schedule = Schedule(name, rates_of(found.x)[0], warmup)
    return BestSchedule(
        schedule, float(found.fun), objective(first)[0], int(found.nit), bool(found.success)
    )


def _knots(free: int) -> Indices:
    """First steps of the pieces on which the log of the rate is straight, closer near the end."""
    share = np.linspace(0.0, 1.0, min(free, _KNOTS), endpoint=False)
    # Decays are steep at the end: half of the pieces share the last quarter of the steps.
    return np.unique(np.floor(free * (1.0 - (1.0 - share) ** 2))).astype(np.int64)


def final_loss(
    parameters: Mapping[str, float], rates: Array, *, warmup: int = 0, fading: float = 0.0
) -> tuple[float, Array]:
    """Loss after the last step under the multi-power law, and its derivative by every rate.

    Args:
        parameters: of the law, published names.
        rates: learning rate of every step, shape (steps,).
        warmup: steps of the warm-up, all of whose changes fade as its end does.
        fading: power by which a change counts less, of the sum of the rates before it.

    Returns:
        The loss, and its derivatives, shape (steps,).
    """
    L0, A, alpha, B, C, beta, gamma = (parameters[name] for name in NAMES)
    total = float(rates.sum())
    # A rate of zero, as that of the first step of a warm-up, is no cut but where all begins.
    safe = np.maximum(rates, 1e-12 * rates.max())
    since = np.cumsum(rates[::-1])[::-1]
    cuts = np.zeros_like(rates)
    cuts[1:] = rates[:-1] - rates[1:]
    first = max(warmup, 1)
    before = np.concatenate([[0.0], np.cumsum(rates)[:-1]])
    before[:first] = before[first] if first < rates.size else total
    faded = before**-fading
    pace = C * safe**-gamma
    x = pace * since
    left = (1.0 + x) ** -beta
    settled = 1.0 - left
    loss = L0 + A * total**-alpha - B * float(cuts @ (faded * settled))
    weighted = faded * cuts * beta * left / (1.0 + x)
    slope = np.cumsum(weighted * pace) - gamma * weighted * x / safe
    own = faded * settled
    slope[1:] -= own[1:]
    slope[:-1] += own[1:]
    if fading and first < rates.size:
        # A rate also moves the sum before every later change; for those of the warm-up, its end.
        by_sum = -fading * cuts * own / before
        later = np.cumsum(by_sum[::-1])[::-1]
        slope[first - 1 : -1] += later[first:]
        slope[: first - 1] += later[first]
        slope[:first] += by_sum[:first].sum()
    by_rate: Array = -alpha * A * total ** (-alpha - 1.0) - B * slope
    return loss, by_rate
