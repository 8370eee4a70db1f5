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
from isoloss.forecasting import DEFAULT_LEVEL, predict, region_of_fit
from isoloss.forecasting.prediction import check_level
from isoloss.laws import Surface
from isoloss.notes import Note, Severity
from isoloss.planning.optimum import (
    check_budgets,
    near_optimal_band,
    optimum,
    replicate_optimum,
    require_optimum,
)
from isoloss.plotting import Plottable

# Sizes, as multiples of the optimal one, at which the price of deviating is shown.
DEVIATIONS = (0.25, 0.5, 0.7071067811865476, 1.4142135623730951, 2.0, 4.0)
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
            "deviations": [dict(vars(entry)) for entry in self.deviations],
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
        FitError: the fit did not converge, or the law has no interior optimum at this budget or
            cannot be believed there.
        InputError: the budget is no positive number, or the level no probability.
    """
    check_level(level)
    if isinstance(law, Fit):
        law.require_converged()
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
        notes += _untested_ratio(law, tokens / params)
    else:
        loss = float(surface.predict(params=params, tokens=tokens))
        lower = upper = loss
        notes.append(
            Note(
                "no-interval",
                "coefficients alone say nothing of their errors: lower and upper repeat the loss",
            )
        )
    deviations = deviate(surface, flops, [params * factor for factor in DEVIATIONS])
    intervals, doubts = _intervals(surface, flops, level)
    band = near_optimal_band(surface, flops, params)
    return Allocation(
        flops,
        params,
        tokens,
        loss,
        lower,
        upper,
        level,
        intervals,
        (float(band[0][0]), float(band[1][0])),
        deviations,
        bool(surface.law.optimum),
        surface,
        (*notes, *doubts, *_falling_again(deviations)),
    )


def deviate(surface: Surface, flops: float, params: Sequence[float]) -> tuple[Deviation, ...]:
    """The price of training given sizes with a given compute.

    Raises:
        FitError: the law has no interior optimum at this budget.
        InputError: the budget or a size is no positive number.
    """
    sizes = np.asarray(params, dtype=np.float64)
    unusable = sizes[~(np.isfinite(sizes) & (sizes > 0))]
    if unusable.size:
        raise InputError(
            "not a size", where="params", found=f"{unusable[0]:g}", expected="a positive number"
        )
    best_params, best_tokens = require_optimum(surface, flops)
    best = float(surface.predict(params=best_params, tokens=best_tokens))
    tokens = flops / (6.0 * sizes)
    loss = surface.predict(params=sizes, tokens=tokens)
    share = _equivalent_compute(surface, loss, flops) / flops
    rows = zip(sizes, tokens, loss, loss / best - 1.0, share, strict=True)
    return tuple(Deviation(*map(float, row)) for row in rows)


def optimal_path(surface: Surface, flops: Sequence[float]) -> pl.DataFrame:
    """Optimal params, tokens, tokens_per_param and loss for each budget; NaN without optimum.

    Raises:
        InputError: a budget is no positive number.
    """
    check_budgets(flops)
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
        if not np.any(np.abs(step) >= _STEP_TOLERANCE):
            break
    return np.where(np.abs(step) < _STEP_TOLERANCE, np.exp(log_flops), np.nan)


def _untested_ratio(fit: Fit, ratio: float) -> list[Note]:
    low, high = region_of_fit(fit).tokens_per_param
    if low <= ratio <= high:
        return []
    return [
        Note(
            "untested-ratio",
            f"no run had {ratio:.3g} tokens per parameter, only {low:.3g} to {high:.3g}: add runs "
            "nearer to the optimum",
            Severity.WARNING,
            {"tokens_per_param": ratio, "smallest": low, "largest": high},
        )
    ]


def _falling_again(deviations: Sequence[Deviation]) -> list[Note]:
    lower = [entry.params for entry in deviations if entry.loss_increase < 0]
    if not lower:
        return []
    listed = ", ".join(f"{params:.3g}" for params in lower)
    return [
        Note(
            "falls-again",
            f"for the same compute the law predicts a still lower loss at N = {listed}: it has "
            "left its sane domain there, and its optimum is in doubt",
            Severity.WARNING,
            {"params": lower},
        )
    ]


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
