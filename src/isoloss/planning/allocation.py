"""How to split a training budget between parameters and tokens, and what a wrong split costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from isoloss.arrays import Array
from isoloss.errors import FitError, InputError
from isoloss.fitting import Fit
from isoloss.forecasting import DEFAULT_LEVEL, predict
from isoloss.laws import Surface
from isoloss.notes import Note, Severity
from isoloss.planning.optimum import optimum, replicate_optimum, require_optimum
from isoloss.plotting import Plottable

# Sizes, as multiples of the optimal one, at which the price of deviating is shown.
DEVIATIONS = (0.25, 0.5, 0.7071067811865476, 1.4142135623730951, 2.0, 4.0)
# Sizes whose loss is within this share of the optimum are as good in practice.
_NEAR_OPTIMAL = 1e-3
_BAND_GRID = 2001
_BAND_REACH = 100.0
# Replicates without an optimum that are still tolerated before an interval is in doubt.
_TOLERATED = 0.05
# Newton steps over ln(C) towards equivalent compute, and when they have arrived.
_NEWTON_STEPS = 20
_LARGEST_STEP = 2.0
_STEP_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Deviation:
    """What it costs to train a size other than the optimal one with the same compute.

    Attributes:
        params: the size.
        tokens: tokens left for it.
        loss: its loss.
        loss_increase: relative to the optimum's loss.
        compute_share: compute with which an optimal split would reach the same loss, as a share
            of the budget; the rest is wasted.
    """

    params: float
    tokens: float
    loss: float
    loss_increase: float
    compute_share: float


@dataclass(frozen=True, eq=False)
class Allocation(Plottable):
    """The compute-optimal split of a budget C = 6 N D.

    Attributes:
        flops: the budget.
        params: optimal N.
        tokens: optimal D.
        loss: predicted loss there.
        lower: lower end of the interval for the loss.
        upper: upper end.
        level: of all intervals.
        intervals: of params, tokens and tokens_per_param, over bootstrap replicates; empty
            without replicates.
        near_optimal: smallest and largest N whose loss is within 0.1 % of the optimum.
        deviations: price of other sizes.
        closed_form: whether the law gave the optimum by formula.
        surface: the law.
        notes: what to know before relying on the numbers.
    """

    flops: float
    params: float
    tokens: float
    loss: float
    lower: float
    upper: float
    level: float
    intervals: dict[str, tuple[float, float]]
    near_optimal: tuple[float, float]
    deviations: tuple[Deviation, ...]
    closed_form: bool
    surface: Surface
    notes: tuple[Note, ...] = ()

    @property
    def tokens_per_param(self) -> float:
        """D*/N*."""
        return self.tokens / self.params

    def to_json(self) -> dict[str, Any]:
        """The allocation as one JSON object."""
        return {
            "law": self.surface.law.name,
            "flops": self.flops,
            "params": self.params,
            "tokens": self.tokens,
            "tokens_per_param": self.tokens_per_param,
            "loss": self.loss,
            "lower": self.lower,
            "upper": self.upper,
            "level": self.level,
            "intervals": {name: list(pair) for name, pair in self.intervals.items()},
            "near_optimal_params": list(self.near_optimal),
            "deviations": [vars(entry) for entry in self.deviations],
            "method": "closed form" if self.closed_form else "search",
            "notes": [note.to_json() for note in self.notes],
        }

    def to_frame(self) -> pl.DataFrame:
        """One row a deviation from the optimal size."""
        return pl.DataFrame([vars(entry) for entry in self.deviations])


def allocate(law: Fit | Surface, flops: float, *, level: float = DEFAULT_LEVEL) -> Allocation:
    """Split a training budget C = 6 N D so that the loss is least.

    Args:
        law: a fit, or a surface such as a published coefficient set (then without intervals).
        flops: the budget.
        level: of the intervals.

    Raises:
        FitError: the law has no interior optimum at this budget, or cannot be believed there.
        InputError: the budget is no positive number.
    """
    if not (np.isfinite(flops) and flops > 0):
        raise InputError(
            "not a budget", where="--flops", found=f"{flops:g}", expected="a positive number"
        )
    surface = law.surface if isinstance(law, Fit) else law
    params, tokens = require_optimum(surface, flops)
    notes: list[Note] = []
    if isinstance(law, Fit):
        forecast = predict(law, [(params, tokens)], level=level)
        prediction = forecast.predictions[0]
        loss, lower, upper = prediction.loss, prediction.lower, prediction.upper
        notes += forecast.notes
        beyond = prediction.extrapolation["flops"]
        if beyond > 1:
            notes.append(
                Note(
                    "extrapolated",
                    f"the budget is {beyond:.3g} times the largest run's compute",
                    details={"flops": beyond},
                )
            )
    else:
        loss = float(surface.predict(params=params, tokens=tokens))
        lower = upper = loss
    intervals, doubts = _intervals(surface, flops, level)
    return Allocation(
        flops,
        params,
        tokens,
        loss,
        lower,
        upper,
        level,
        intervals,
        _near_optimal(surface, flops, params),
        deviate(surface, flops, [params * factor for factor in DEVIATIONS]),
        bool(surface.law.optimum),
        surface,
        (*notes, *doubts),
    )


def deviate(surface: Surface, flops: float, params: Sequence[float]) -> tuple[Deviation, ...]:
    """The price of training given sizes with a given compute.

    Raises:
        FitError: the law has no interior optimum at this budget.
    """
    best_params, best_tokens = require_optimum(surface, flops)
    best = float(surface.predict(params=best_params, tokens=best_tokens))
    sizes = np.asarray(params, dtype=np.float64)
    tokens = flops / (6.0 * sizes)
    loss = surface.predict(params=sizes, tokens=tokens)
    share = _equivalent_compute(surface, loss, flops) / flops
    rows = zip(sizes, tokens, loss, loss / best - 1.0, share, strict=True)
    return tuple(Deviation(*map(float, row)) for row in rows)


def optimal_path(surface: Surface, flops: Sequence[float]) -> pl.DataFrame:
    """Optimal params, tokens, tokens_per_param and loss for each budget; NaN without optimum."""
    found = optimum(surface, flops)
    return pl.DataFrame(
        {
            "flops": np.asarray(flops, dtype=np.float64),
            "params": found.params,
            "tokens": found.tokens,
            "tokens_per_param": found.tokens / found.params,
            "loss": surface.predict(params=found.params, tokens=found.tokens),
        }
    )


def _equivalent_compute(surface: Surface, loss: Array, flops: float) -> Array:
    """Compute with which optimal splits reach given losses; NaN where no step reaches one.

    Newton's method in ln(loss) over ln(C). By the envelope theorem the optimal loss changes with
    ln(C) as the loss at fixed N changes with ln(D).
    """
    log_flops = np.full(loss.shape, np.log(flops))
    for _ in range(_NEWTON_STEPS):
        budgets = np.exp(log_flops)
        found = optimum(surface, budgets)
        reached = surface.predict(params=found.params, tokens=found.tokens)
        slope = surface.slopes(params=found.params, tokens=found.tokens)["tokens"] / reached
        step = (np.log(loss) - np.log(reached)) / slope
        log_flops = log_flops + np.clip(step, -_LARGEST_STEP, _LARGEST_STEP)
    return np.where(np.abs(step) < _STEP_TOLERANCE, np.exp(log_flops), np.nan)


def _near_optimal(surface: Surface, flops: float, params: float) -> tuple[float, float]:
    """The connected band of N around the optimum whose loss is within 0.1 % of it."""
    grid = params * np.geomspace(1 / _BAND_REACH, _BAND_REACH, _BAND_GRID)
    loss = surface.predict(params=grid, tokens=flops / (6.0 * grid))
    middle = _BAND_GRID // 2
    outside = np.flatnonzero(~(loss <= loss[middle] * (1 + _NEAR_OPTIMAL)))
    below, above = outside[outside < middle], outside[outside > middle]
    first = below[-1] + 1 if below.size else 0
    last = above[0] - 1 if above.size else _BAND_GRID - 1
    return float(grid[first]), float(grid[last])


def _intervals(
    surface: Surface, flops: float, level: float
) -> tuple[dict[str, tuple[float, float]], list[Note]]:
    if not surface.replicates.size:
        return {}, []
    found = replicate_optimum(surface, flops)
    good = np.isfinite(found.params)
    notes = []
    if good.mean() < 1 - _TOLERATED:
        notes.append(
            Note(
                "replicates-without-optimum",
                f"{np.sum(~good)} of {good.size} bootstrap replicates have no interior optimum "
                "at this budget: the intervals of N and D are too narrow",
                Severity.WARNING,
            )
        )
    if not good.any():
        raise FitError(
            f"no bootstrap replicate of law {surface.law.name} has an optimal split of "
            f"{flops:g} FLOPs"
        )
    params, tokens = found.params[good], found.tokens[good]
    tails = [(1 - level) / 2, (1 + level) / 2]
    columns = {"params": params, "tokens": tokens, "tokens_per_param": tokens / params}
    intervals = {}
    for name, values in columns.items():
        low, high = np.quantile(values, tails)
        intervals[name] = (float(low), float(high))
    return intervals, notes
