"""The best run along a path, for every column of its setting."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from isoloss.arrays import Array, Indices, Mask
from isoloss.planning.path import BudgetPath, FreePath, TargetPath, longest_path
from isoloss.planning.search import EXACT, GRID, HIGH, LOW, minimise

# A size this near to a bound, as a share, stands at it.
_AT_BOUND = 1e-9


@dataclass(frozen=True)
class Solution:
    """The best run of each column, NaN where there is none.

    Attributes:
        params: N.
        tokens: D.
        value: what the path makes least.
        end: at which end of the sizes it stands, as in `search`.
        possible: whether any size at all is on the path.
    """

    params: Array
    tokens: Array
    value: Array
    end: Indices
    possible: Mask


def solve(
    path: BudgetPath | FreePath | TargetPath, grid: int = GRID, tolerance: float = EXACT
) -> Solution:
    """The best run along a path, for every column of its setting."""
    if not isinstance(path, TargetPath):
        return _solve_smooth(path, grid, tolerance)
    return _least([_solve_smooth(part, grid, tolerance) for part in path.parts])


def solve_closely(path: TargetPath) -> Solution:
    """As `solve` for a single column, also where few sizes reach the target."""
    found = []
    for part in path.parts:
        solution = _solve_smooth(part)
        if not solution.possible[0]:
            # They would lie around the best.
            best = _solve_smooth(longest_path(part.setting)).params[0]
            if np.isfinite(best):
                solution = _solve_smooth(replace(part, also=(float(np.log(best)),)))
        found.append(solution)
    return _least(found)


def _solve_smooth(
    path: BudgetPath | FreePath | TargetPath, grid: int = GRID, tolerance: float = EXACT
) -> Solution:
    columns = path.setting.working.shape[1]
    over = path.over()
    found = minimise(path, over, columns, grid, tolerance)
    params = np.exp(found.log_params)
    bounds = path.setting.bounds
    for end, bound in ((LOW, bounds.low), (HIGH, bounds.high)):
        at_bound = (found.end == end) & np.isclose(params, bound, rtol=_AT_BOUND, atol=0.0)
        params = np.where(at_bound, bound, params)
    tokens = np.where(np.isfinite(params), path.tokens(params, slice(None)), np.nan)
    possible = np.broadcast_to(np.isfinite(over.low), (columns,))
    return Solution(params, tokens, found.value, found.end, possible)


def _least(parts: list[Solution]) -> Solution:
    """The best of the parts of a path, by column."""
    best = parts[0]
    for other in parts[1:]:
        better = np.isnan(best.value) | (other.value < best.value)
        best = Solution(
            np.where(better, other.params, best.params),
            np.where(better, other.tokens, best.tokens),
            np.where(better, other.value, best.value),
            np.where(better, other.end, best.end),
            best.possible | other.possible,
        )
    return best
