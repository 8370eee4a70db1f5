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
    """Compute-optimal N and D of a surface for each budget, C = 6 N D."""
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


def require_optimum(surface: Surface, flops: float) -> tuple[float, float]:
    """Compute-optimal N and D at one budget.

    Raises:
        FitError: the law has no interior optimum there.
    """
    found = optimum(surface, flops)
    if np.isnan(found.params[0]):
        low, high = _TOKENS_PER_PARAM
        raise FitError(
            f"law {surface.law.name} has no optimal split of {flops:g} FLOPs: its loss has no "
            f"interior minimum between {low:g} and {high:g} tokens per parameter"
        )
    return float(found.params[0]), float(found.tokens[0])


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
    inner = loss[1:-1]
    valley = (inner < loss[:-2]) & (inner <= loss[2:]) & falling[1:-1]
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
