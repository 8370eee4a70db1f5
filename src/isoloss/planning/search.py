"""The search behind every plan: the least of a function of ln N, for many columns at once.

A grid finds every valley; in each the exact slope is brought to zero, and the lowest is taken. An
end of the range counts only where it is a limit that somebody asked for: a law can fall again at
sizes without any data (the Farseer form tends to a constant as N grows), so the edge of the search
itself is never an answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from isoloss.arrays import Array, Indices, Mask

# Sizes looked at: for the estimate, where time does not matter, and for each of many replicates.
GRID = 600
REPLICATE_GRID = 150
# The same where each size takes a search of its own for its tokens.
COARSE_GRID = 60
# Steps within a valley. A smooth one takes fewer than ten; then every third step halves the
# bracket, which is all that helps at a kink, where two limits meet.
_STEPS = 120
_SMOOTH = 10
# Steps in ln N below which nothing moves any more: for N itself, and for quantiles and costs.
EXACT = 1e-12
NEAR = 1e-7
# A valley shallower than this share of the value is rounding: a law of C alone is flat.
_ROUNDING = 1e-12
# A range of ln N narrower than this holds one size for all that matters.
_NARROW = 1e-4
# An answer this close to an end, as a share of a cell, stands at the end.
_AT_END = 1e-9

LOW, INSIDE, HIGH = -1, 0, 1


class Course(Protocol):
    """What is minimised over ln N, for each column."""

    def value(self, log_params: Array, columns: Indices | slice) -> Array:
        """Value at ln N, shape (sizes, columns) or (sizes, 1); not finite where not allowed."""

    def slope(self, log_params: Array, columns: Indices) -> Array:
        """Derivative of the value by ln N, at one size for each of the columns given."""

    def sane(self, log_params: Array, columns: Indices) -> Mask:
        """Whether the law may be believed at one size for each of the columns given."""


@dataclass(frozen=True)
class Range:
    """From where to where ln N is searched.

    Attributes:
        low: smallest ln N, shape (1,) or (columns,); NaN where a column has no range.
        high: largest.
        low_given: whether the lower end is a limit that somebody asked for.
        high_given: the same of the upper end.
    """

    low: Array
    high: Array
    low_given: Mask
    high_given: Mask


@dataclass(frozen=True)
class Minimum:
    """Where a course is least, by column; NaN where it has no minimum.

    Attributes:
        log_params: ln N.
        value: the value there.
        end: at which end of the range it stands: LOW, INSIDE or HIGH.
    """

    log_params: Array
    value: Array
    end: Indices


def minimise(
    course: Course, over: Range, columns: int, grid: int = GRID, tolerance: float = EXACT
) -> Minimum:
    """The lowest valley of each column, or the end of its range where that is a limit.

    Args:
        course: what is minimised.
        over: where.
        columns: how many there are.
        grid: sizes to look at.
        tolerance: step in ln N below which a valley counts as found.
    """
    shares = np.linspace(0.0, 1.0, grid)[:, None]
    nodes = over.low + (over.high - over.low) * shares
    values = np.broadcast_to(course.value(nodes, slice(None)), (grid, columns))
    values = np.where(np.isfinite(values), values, np.inf)
    nodes = np.broadcast_to(nodes, (grid, columns))
    row, column = _valleys(values)
    left, right = [nodes[row - 1, column]], [nodes[row + 1, column]]
    best, level = [nodes[row, column]], [values[row, column]]
    owner = [column]
    # In so narrow a range rounding hides the valley: the lowest size will do.
    narrow = np.broadcast_to(over.high - over.low < _NARROW, (columns,))
    here = np.flatnonzero(narrow & np.isfinite(np.min(values, axis=0)))
    lowest = np.argmin(values[:, here], axis=0)
    left.append(nodes[np.maximum(lowest - 1, 0), here])
    right.append(nodes[np.minimum(lowest + 1, grid - 1), here])
    best.append(nodes[lowest, here])
    level.append(values[lowest, here])
    owner.append(here)
    for given, edge, beside in ((over.low_given, 0, 1), (over.high_given, -1, -2)):
        # At a limit the least may stand at the end itself, or within the first cell.
        asked = np.broadcast_to(given, (columns,)) & np.isfinite(values[edge])
        here = np.flatnonzero(asked & (values[edge] <= values[beside]))
        ends = nodes[edge, here], nodes[beside, here]
        left.append(np.minimum(*ends))
        right.append(np.maximum(*ends))
        best.append(nodes[edge, here])
        level.append(values[edge, here])
        owner.append(here)
    return _refine(
        course,
        over,
        columns,
        tolerance,
        np.concatenate(left),
        np.concatenate(right),
        np.concatenate(best),
        np.concatenate(level),
        np.concatenate(owner),
    )


def _valleys(values: Array) -> tuple[Indices, Indices]:
    """Row and column of every inner node that is lower than those beside it."""
    inner, below, above = values[1:-1], values[:-2], values[2:]
    with np.errstate(invalid="ignore"):
        deep = below + above - 2.0 * inner > _ROUNDING * np.abs(inner)
        row, column = np.nonzero((inner < below) & (inner <= above) & deep)
    flat_row, flat_column = _plains(values)
    new = ~np.isin(flat_column, column)
    return np.append(row + 1, flat_row[new]), np.append(column, flat_column[new])


def _plains(values: Array) -> tuple[Indices, Indices]:
    """Row and column of the first node of every lowest plain that rises on both sides."""
    least = np.min(values, axis=0)
    with np.errstate(invalid="ignore"):
        low = values <= least + _ROUNDING * np.abs(least)
    first = np.argmax(low, axis=0)
    last = len(values) - 1 - np.argmax(low[::-1], axis=0)
    column = np.flatnonzero(np.isfinite(least) & (first > 0) & (last < len(values) - 1))
    return first[column], column


def _stationary(
    course: Course, left: Array, right: Array, column: Indices, tolerance: float
) -> Array:
    """Where the slope changes its sign within each bracket, by regula falsi (Illinois)."""
    found = 0.5 * (left + right)
    left, right, going = left.copy(), right.copy(), np.arange(column.size)
    below, above = course.slope(left, column), course.slope(right, column)
    # An end where the value already rises, or still falls, is itself the answer of its bracket.
    right = np.where(below > 0, left, right)
    left = np.where(above <= 0, right, left)
    side = np.zeros(column.size)
    for step in range(_STEPS):
        low, high = left[going], right[going]
        place = 0.5 * (low + high)
        if step < _SMOOTH or step % 3 < 2:
            rise = above[going] - below[going]
            with np.errstate(all="ignore"):
                secant = low - below[going] * (high - low) / rise
            place = np.where((secant > low) & (secant < high), secant, place)
        slope = course.slope(place, column[going])
        rising = slope > 0
        moved = np.abs(place - found[going])
        found[going] = place
        # An end that stays twice running counts half of its slope, so that it is moved as well.
        stays = np.where(side[going] == np.where(rising, 1.0, -1.0), 0.5, 1.0)
        side[going] = np.where(rising, 1.0, -1.0)
        below[going] = np.where(rising, stays * below[going], slope)
        above[going] = np.where(rising, slope, stays * above[going])
        left[going], right[going] = np.where(rising, low, place), np.where(rising, place, high)
        width = right[going] - left[going]
        going = going[(moved > tolerance) & (width > tolerance) & (slope != 0)]
        if not going.size:
            break
    return found


def _refine(
    course: Course,
    over: Range,
    columns: int,
    tolerance: float,
    left: Array,
    right: Array,
    node: Array,
    node_value: Array,
    column: Indices,
) -> Minimum:
    """Narrow every bracket, and take the lowest of each column where the law is sane."""
    where, value = np.full(columns, np.nan), np.full(columns, np.nan)
    end = np.full(columns, INSIDE)
    if not column.size:
        return Minimum(where, value, end)
    found = _stationary(course, left, right, column, tolerance)
    reached = np.broadcast_to(course.value(found[None], column), (1, column.size))[0]
    # Where a function of the user's has steps the slope misleads, and the node is better.
    worse = ~(reached <= node_value)
    found, reached = np.where(worse, node, found), np.where(worse, node_value, reached)
    good = np.flatnonzero(course.sane(found, column) & np.isfinite(reached))
    order = good[np.lexsort((reached[good], column[good]))]
    owners, first = np.unique(column[order], return_index=True)
    chosen = order[first]
    where[owners], value[owners] = found[chosen], reached[chosen]
    low, high = (np.broadcast_to(each, (columns,)) for each in (over.low, over.high))
    close = _AT_END * (1.0 + high - low)
    low_given = np.broadcast_to(over.low_given, (columns,))
    high_given = np.broadcast_to(over.high_given, (columns,))
    with np.errstate(invalid="ignore"):
        end = np.where(low_given & (where - low <= close), LOW, end)
        end = np.where(high_given & (high - where <= close), HIGH, end)
    where = np.where(end == LOW, low, np.where(end == HIGH, high, where))
    return Minimum(where, value, end)
