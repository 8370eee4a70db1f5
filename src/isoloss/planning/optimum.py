"""The compute-optimal split of C = 6 N D under any law of N and D.

Where the law has a closed form it is used. Else the optimum is searched along the curve of equal
compute: every interior minimum where the loss still falls with D is a candidate, and the lowest
is refined by bisection on the exact slope. A law can fall again at sizes without any data (the
Farseer form tends to a constant as N grows), so the edge of the search is never an answer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from isoloss.arrays import Array
from isoloss.errors import FitError, InputError
from isoloss.laws import PARAMS, TOKENS, Surface, working_law

# Tokens per parameter that the search spans; no run has been useful outside.
_TOKENS_PER_PARAM = (1e-3, 1e7)
_GRID = 600
_BISECTIONS = 60
# More tokens by this factor show whether the loss still falls with D.
_NUDGE = 1.01
# A valley shallower than this share of the loss is rounding: a law of C alone is flat.
_ROUNDING = 1e-12

# Sizes whose loss is within this share of the optimum are as good in practice.
NEAR_OPTIMAL = 1e-3
_BAND_STEPS = 1001
_BAND_REACH = 100.0


@dataclass(frozen=True)
class Optimum:
    """Compute-optimal sizes, NaN where a law has no interior optimum.

    Attributes:
        params: N.
        tokens: D.
        closed_form: whether a formula gave them, not a search.
    """

    params: Array
    tokens: Array
    closed_form: bool


def optimum(surface: Surface, flops: npt.ArrayLike) -> Optimum:
    """Compute-optimal N and D of a surface for each budget, C = 6 N D; NaN has none."""
    budgets = np.atleast_1d(np.asarray(flops, dtype=np.float64))
    closed = surface.law.optimal_params(surface.parameters, budgets)
    if closed is None:
        params = _search(surface, surface.working[:, None], budgets)
    else:
        params = _positive(closed)
    return Optimum(params, budgets / (6.0 * params), closed is not None)


def replicate_optimum(surface: Surface, flops: float) -> Optimum:
    """Compute-optimal N and D of every replicate of a surface at one budget."""
    closed = surface.law.optimal_params(surface.parameter_replicates(), flops)
    if closed is None:
        params = _search(surface, surface.replicates, np.full(surface.replicates.shape[1], flops))
    else:
        params = _positive(closed)
    return Optimum(params, flops / (6.0 * params), closed is not None)


def check_budgets(flops: npt.ArrayLike) -> None:
    """Check that budgets are positive finite numbers.

    Raises:
        InputError: one is not.
    """
    budgets = np.atleast_1d(np.asarray(flops, dtype=np.float64))
    unusable = budgets[~(np.isfinite(budgets) & (budgets > 0))]
    if unusable.size:
        raise InputError(
            "not a budget", where="--flops", found=f"{unusable[0]:g}", expected="a positive number"
        )


def require_optimum(surface: Surface, flops: float) -> tuple[float, float]:
    """Compute-optimal N and D at one budget.

    Raises:
        FitError: the law has no interior optimum there.
        InputError: the budget is no positive number.
    """
    check_budgets(flops)
    found = optimum(surface, flops)
    if np.isnan(found.params[0]):
        low, high = _TOKENS_PER_PARAM
        raise FitError(
            f"law {surface.law.name} has no optimal split of {flops:g} FLOPs: its loss has no "
            f"interior minimum between {low:g} and {high:g} tokens per parameter"
        )
    return float(found.params[0]), float(found.tokens[0])


def near_optimal_band(
    surface: Surface, flops: npt.ArrayLike, params: npt.ArrayLike
) -> tuple[Array, Array]:
    """Smallest and largest N around each optimum whose loss is within 0.1 % of it.

    Args:
        surface: the law.
        flops: budgets, C = 6 N D.
        params: the optimal N of each; NaN gives NaN.

    Returns:
        The ends of the connected band, cut at a hundredth and a hundred times the optimum.
    """
    budgets = np.atleast_1d(np.asarray(flops, dtype=np.float64))
    middle = np.atleast_1d(np.asarray(params, dtype=np.float64))
    ends = [
        middle * np.exp(_first_excess(surface, budgets, middle, direction))
        for direction in (-1.0, 1.0)
    ]
    return ends[0], ends[1]


def _first_excess(surface: Surface, flops: Array, params: Array, direction: float) -> Array:
    """Log step from each optimum at which the loss first exceeds what counts as near."""
    steps = direction * np.linspace(0.0, np.log(_BAND_REACH), _BAND_STEPS)[:, None]
    sizes = params * np.exp(steps)
    loss = surface.predict(params=sizes, tokens=flops / (6.0 * sizes))
    allowed = loss[0] * (1 + NEAR_OPTIMAL)
    outside = ~(loss <= allowed)
    column = np.arange(params.size)
    far = np.where(outside.any(axis=0), np.argmax(outside, axis=0), _BAND_STEPS - 1)
    near = np.maximum(far - 1, 0)
    rise = loss[far, column] - loss[near, column]
    with np.errstate(all="ignore"):
        share = np.clip((allowed - loss[near, column]) / rise, 0.0, 1.0)
    share = np.where(outside[far, column], share, 1.0)
    between: Array = steps[near, 0] + share * (steps[far, 0] - steps[near, 0])
    return between


def _positive(params: Array) -> Array:
    return np.where(np.isfinite(params) & (params > 0), params, np.nan)


def _search(surface: Surface, working: Array, flops: Array) -> Array:
    """Interior optimum at each budget, NaN where there is none.

    Args:
        surface: the law and its centre.
        working: working parameters, shape (parameters, budgets) or (parameters, 1).
        flops: the budgets.
    """
    law, centre = working_law(surface.law), surface.centre
    if set(surface.law.inputs) != {PARAMS, TOKENS}:
        raise InputError(f"law {surface.law.name} does not read N and D alone")
    first = surface.law.inputs.index(PARAMS)

    def ordered(params: Array, tokens: Array) -> tuple[Array, Array]:
        return (params, tokens) if first == 0 else (tokens, params)

    ends = [0.5 * np.log(flops / (6.0 * ratio)) for ratio in reversed(_TOKENS_PER_PARAM)]
    grid = np.exp(np.linspace(ends[0], ends[1], _GRID))
    tokens = flops / (6.0 * grid)
    loss = law.predict(working, ordered(grid, tokens), centre)
    # Where the loss rises with D, even fewer tokens would serve: no optimum of a sane law.
    falling = law.predict(working, ordered(grid, tokens * _NUDGE), centre) < loss
    inner, below, above = loss[1:-1], loss[:-2], loss[2:]
    deep = below + above - 2.0 * inner > _ROUNDING * inner
    valley = (inner < below) & (inner <= above) & deep & falling[1:-1]
    candidate = np.where(valley, inner, np.inf)
    place = np.argmin(candidate, axis=0) + 1
    column = np.arange(place.size)
    found = np.isfinite(candidate[place - 1, column])
    left, right = np.log(grid[place - 1, column]), np.log(grid[place + 1, column])
    for _ in range(_BISECTIONS):
        middle = 0.5 * (left + right)
        params = np.exp(middle)
        slopes = law.slopes(working, ordered(params, flops / (6.0 * params)), centre)
        rising = slopes[first] > slopes[1 - first]
        left, right = np.where(rising, left, middle), np.where(rising, middle, right)
    return np.where(found, np.exp(0.5 * (left + right)), np.nan)
