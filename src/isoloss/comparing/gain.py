"""What a recipe is worth in compute and in data, as a function of scale.

The compute-equivalent gain of recipe A over recipe B at a scale is how many times more training
compute B needs to reach A's loss there: C_B(L_A) / C (Gundlach et al. 2025, arXiv:2511.21622,
CEG(C) = C_old(L_new(C)) / C). B spends it along a path: with tokens per parameter as they are, or
with its own compute-optimal split, in which case A is at its optimum too. The data-equivalent gain
is the same with N fixed: D_B(L_A) / D, which Wen et al. 2025 (arXiv:2509.02046) call speed-up.

Intervals are those of the log ratio of losses, sent through B's own curve.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from isoloss.arrays import Array
from isoloss.comparing.pair_ensemble import Contrast, PairEnsemble
from isoloss.errors import InputError

PATHS = ("ratio", "optimal")
# A gain outside of this range is no answer: B's loss hardly falls on the way.
_LARGEST = 1e6
_BISECTIONS = 45
# Tokens per parameter among which the compute-optimal split is looked for.
_RATIOS = np.geomspace(0.1, 1e5, 241)


@dataclass(frozen=True)
class Gain:
    """An equivalent gain at some places, with its interval.

    Attributes:
        value: the gain; NaN where no amount in reach makes B match A.
        lower: lower end of the interval; 0 where it is below one millionth.
        upper: upper end; infinite where B may never match A.
    """

    value: Array
    lower: Array
    upper: Array


def check_path(path: str) -> None:
    """Check the name of a path.

    Raises:
        InputError: it is unknown.
    """
    if path not in PATHS:
        raise InputError(
            "unknown path", where="--path", found=repr(path), expected=" or ".join(PATHS)
        )


def data_gain(ensemble: PairEnsemble, params: Array, tokens: Array, level: float) -> Gain:
    """How many times more tokens the second recipe needs to match the first at the same N."""

    def at(gain: Array) -> Array:
        return ensemble.log_loss(1, params, tokens * gain)

    return _gain(at, ensemble.contrast(params, tokens), level)


def compute_gain(
    ensemble: PairEnsemble, params: Array, tokens: Array, level: float, path: str = "ratio"
) -> Gain:
    """How many times more compute the second recipe needs to match the first.

    Args:
        ensemble: the laws of both.
        params: N.
        tokens: D.
        level: of the interval.
        path: "ratio" keeps tokens per parameter; "optimal" gives each recipe its own
            compute-optimal split of C = 6 N D.
    """
    if path == "ratio":

        def at_ratio(gain: Array) -> Array:
            return ensemble.log_loss(1, params * np.sqrt(gain), tokens * np.sqrt(gain))

        return _gain(at_ratio, ensemble.contrast(params, tokens), level)
    flops = 6.0 * params * tokens
    sizes = [optimal_params(ensemble, recipe, flops) for recipe in (0, 1)]
    contrast = ensemble.contrast(
        sizes[0], flops / (6 * sizes[0]), (sizes[1], flops / (6 * sizes[1]))
    )

    def at_optimum(gain: Array) -> Array:
        budget = np.ravel(flops * gain)
        own = optimal_params(ensemble, 1, budget)
        return ensemble.log_loss(1, own, budget / (6 * own)).reshape(gain.shape)

    return _gain(at_optimum, contrast, level)


def optimal_params(ensemble: PairEnsemble, recipe: int, flops: Array) -> Array:
    """Compute-optimal N of a recipe, 0 or 1, by all laws together.

    NaN where the loss has no minimum between 0.1 and 100,000 tokens per parameter.
    """
    params = np.sqrt(flops / 6.0 / _RATIOS[:, None])
    loss = ensemble.log_loss(recipe, params, flops / (6.0 * params))
    loss = np.where(np.isfinite(loss), loss, np.inf)
    lowest = np.argmin(loss, axis=0)
    inside = (lowest > 0) & (lowest < _RATIOS.size - 1)
    place = np.clip(lowest, 1, _RATIOS.size - 2)
    column = np.arange(flops.size)
    below, middle, above = (loss[place + step, column] for step in (-1, 0, 1))
    # The vertex of a parabola in log N through the lowest point and its neighbours.
    with np.errstate(all="ignore"):
        shift = 0.5 * (below - above) / (below - 2.0 * middle + above)
    step = np.log(params[0, 0] / params[1, 0])
    found = params[place, column] * np.exp(-np.nan_to_num(shift) * step)
    return np.where(inside, found, np.nan)


def _gain(at: Callable[[Array], Array], contrast: Contrast, level: float) -> Gain:
    """The gain that makes the second recipe's log loss rise by the log ratio.

    Args:
        at: log loss of the second recipe at multiples of its resource, shape (..., places).
        contrast: the log ratio to make up for.
        level: of the interval.
    """
    here = at(np.ones_like(contrast.log_ratio))
    low, high = contrast.interval(level)
    # The better the first recipe, the lower the log ratio and the larger the gain.
    value, upper, lower = _solve(at, here + np.stack([contrast.log_ratio, low, high]))
    return Gain(
        np.where(np.isfinite(value) & (value > 0), value, np.nan),
        np.where(np.isnan(value), np.nan, lower),
        np.where(np.isnan(value), np.nan, upper),
    )


def _solve(at: Callable[[Array], Array], target: Array) -> Array:
    """Multiple of the resource at which the log loss is the target, by bisection in logs.

    Infinite where even the largest multiple does not get there, 0 where the smallest does.
    """
    lowest, highest = (np.full(target.shape, sign * np.log(_LARGEST)) for sign in (-1.0, 1.0))
    never = ~(at(np.exp(highest)) <= target)
    always = at(np.exp(lowest)) <= target
    for _ in range(_BISECTIONS):
        middle = 0.5 * (lowest + highest)
        reached = at(np.exp(middle)) <= target
        lowest, highest = np.where(reached, lowest, middle), np.where(reached, middle, highest)
    found = np.exp(0.5 * (lowest + highest))
    found = np.where(never, np.inf, np.where(always, 0.0, found))
    return np.where(np.isfinite(target), found, np.nan)


@dataclass(frozen=True)
class GainCurve:
    """Gains against compute along a path, one entry a budget.

    Attributes:
        flops: C = 6 N D.
        params: N of the first recipe.
        tokens: D of the first recipe.
        compute: compute-equivalent gain.
        data: data-equivalent gain.
        probability_a_better: that the first recipe is better there.
    """

    flops: Array
    params: Array
    tokens: Array
    compute: Gain
    data: Gain
    probability_a_better: Array

    def to_json(self) -> list[dict[str, Any]]:
        """One object a budget."""
        columns = {
            "flops": self.flops,
            "params": self.params,
            "tokens": self.tokens,
            "compute_gain": self.compute.value,
            "compute_gain_lower": self.compute.lower,
            "compute_gain_upper": self.compute.upper,
            "data_gain": self.data.value,
            "data_gain_lower": self.data.lower,
            "data_gain_upper": self.data.upper,
            "probability_a_better": self.probability_a_better,
        }
        rows = zip(*(column.tolist() for column in columns.values()), strict=True)
        return [
            {name: finite(value) for name, value in zip(columns, row, strict=True)} for row in rows
        ]


def gain_curve(
    ensemble: PairEnsemble, flops: Array, ratio: float, level: float, path: str = "ratio"
) -> GainCurve:
    """Gains over budgets.

    Args:
        ensemble: the laws of both recipes.
        flops: budgets, C = 6 N D.
        ratio: tokens per parameter, for the path of that name.
        level: of the intervals.
        path: see `compute_gain`.
    """
    params = np.sqrt(flops / (6.0 * ratio))
    if path == "optimal":
        params = optimal_params(ensemble, 0, flops)
    tokens = flops / (6.0 * params)
    return GainCurve(
        flops,
        params,
        tokens,
        compute_gain(ensemble, params, tokens, level, path),
        data_gain(ensemble, params, tokens, level),
        ensemble.contrast(params, tokens).probability_a_better,
    )


def finite(value: float) -> float | None:
    """A number as JSON has it: None for one that is not finite."""
    return float(value) if np.isfinite(value) else None
