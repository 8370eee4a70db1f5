"""Training tokens of one size: where a prediction is best, and where it comes to a target.

All sizes and columns are searched at once, in ln D.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from isoloss.arrays import Array
from isoloss.planning.setting import Columns, Setting

# Steps towards the best token count; beyond the first every third halves the bracket.
_STEPS = 60
_SMOOTH = 10
# Newton's steps towards a target; each bad one becomes a halving, so that 60 always do.
_NEWTON_STEPS = 60
# A step of Newton's below which the next would change nothing.
_NEWTON_CLOSE = 1e-8
# Token counts tried for each size under a law that may turn upwards.
_TOKEN_GRID = 48
# Token counts between which a loss that may rise again is first placed.
_BRACKETS = 12
_TOLERANCE = 1e-13
# Stands for no tokens at all, of which laws know nothing.
_LEAST_TOKENS = 1e-30
# A gain below this share is no reason to go beyond a bend: a law may set its kink a little later.
_WORTH_LEAVING = 1e-9
# Stands for endless training.
_ENDLESS = 1e200


def usable(tokens: Array) -> Array:
    """Tokens that a law can be asked about, also where there are none."""
    return np.maximum(tokens, _LEAST_TOKENS)


def best_tokens(setting: Setting, params: Array, columns: Columns) -> Array:
    """Training tokens of each size at which the prediction is best, for each column."""
    tokens, level = _best_of_piece(setting.pieces[0], params, columns)
    for piece in setting.pieces[1:]:
        other, reached = _best_of_piece(piece, params, columns)
        better = reached + _WORTH_LEAVING * np.abs(reached) < level
        tokens, level = np.where(better, other, tokens), np.where(better, reached, level)
    return tokens


def _best_of_piece(setting: Setting, params: Array, columns: Columns) -> tuple[Array, Array]:
    """The tokens, and the prediction with its sign; infinite where the size allows none."""
    low = np.log(usable(setting.floor(params)))
    high = np.maximum(np.log(usable(setting.ceiling(params))), low)

    def value(log_tokens: Array) -> Array:
        found = setting.sign * setting.predict(params, np.exp(log_tokens), columns)
        return np.where(np.isfinite(found), found, np.inf)

    def slope(log_tokens: Array) -> Array:
        _, by_tokens = setting.slopes(params, np.exp(log_tokens), columns)
        return setting.sign * by_tokens

    shape = np.shape(value(low))
    shares = np.linspace(0.0, 1.0, _TOKEN_GRID).reshape(-1, *(1 for _ in shape))
    tried = np.broadcast_to(low + shares * (high - low), (_TOKEN_GRID, *shape))
    values = value(tried)
    place = np.argmin(values, axis=0)[None]

    def beside(step: int) -> Array:
        at = np.clip(place + step, 0, _TOKEN_GRID - 1)
        return np.asarray(np.take_along_axis(tried, at, axis=0)[0])

    node, level = beside(0), np.take_along_axis(values, place, axis=0)[0]
    # Beyond the next token count the law may turn once more.
    rising = slope(node) > 0
    left, right = np.where(rising, beside(-1), node), np.where(rising, node, beside(1))
    found = turning_point(slope, left, right)
    reached = value(found)
    better = reached < level
    tokens, level = np.exp(np.where(better, found, node)), np.where(better, reached, level)
    return tokens, np.where(setting.allowed(params), level, np.inf)


def turning_point(slope: Callable[[Array], Array], left: Array, right: Array) -> Array:
    """Where a slope changes from falling to rising, by regula falsi (Illinois)."""
    below, above = slope(left), slope(right)
    # An end where the value already rises, or still falls, is itself the answer of its bracket.
    right = np.where(below > 0, left, right)
    left = np.where(above <= 0, right, left)
    found = 0.5 * (left + right)
    side = np.zeros(np.shape(below))
    for step in range(_STEPS):
        place = 0.5 * (left + right)
        if step < _SMOOTH or step % 3 < 2:
            with np.errstate(all="ignore"):
                secant = left - below * (right - left) / (above - below)
            place = np.where((secant > left) & (secant < right), secant, place)
        here = slope(place)
        rising = here > 0
        moved = np.abs(place - found)
        found = place
        # An end that stays twice running counts half of its slope, so that it is moved as well.
        stays = np.where(side == np.where(rising, 1.0, -1.0), 0.5, 1.0)
        side = np.where(rising, 1.0, -1.0)
        below, above = (
            np.where(rising, stays * below, here),
            np.where(rising, here, stays * above),
        )
        left, right = np.where(rising, left, place), np.where(rising, place, right)
        if not np.any((moved > _TOLERANCE * np.abs(place)) & (right > left)):
            break
    return found


@dataclass(frozen=True)
class Bracket:
    """From few to many tokens, in ln D, with how far the prediction is above the target there."""

    low: Array
    high: Array
    at_low: Array
    at_high: Array


def crossing(
    setting: Setting, params: Array, target: Array, columns: Columns, within: Bracket
) -> Array:
    """Where the prediction meets the target, by Newton's method kept within its bracket.

    What is brought to zero is ln((prediction - floor) / (target - floor)) over ln D, where the
    floor is what endless training gives: a straight line for every law whose D-term is a power.
    A bracket that holds no root gives a place within it.
    """
    sign = setting.sign
    goal = sign * (target - setting.predict(params, np.asarray(_ENDLESS), columns))
    if setting.free_tokens:
        within = _first_crossing(setting, params, target, columns, within)
    left, right = within.low, within.high
    with np.errstate(all="ignore"):
        fall = np.log1p(within.at_low / goal)
        here = left + (right - left) * fall / (fall - np.log1p(within.at_high / goal))
    here = np.where((here >= left) & (here <= right), here, 0.5 * (left + right))
    sought = (within.at_low > 0) & (within.at_high <= 0)
    for _ in range(_NEWTON_STEPS):
        tokens = np.exp(here)
        above = sign * (setting.predict(params, tokens, columns) - target)
        _, slope = setting.slopes(params, tokens, columns)
        left, right = np.where(above > 0, here, left), np.where(above > 0, right, here)
        with np.errstate(all="ignore"):
            share = above / goal
            straight = (goal > 0) & (share > -1) & np.isfinite(share)
            rise = np.where(straight, goal * (1 + share) * np.log1p(share), above)
            step = here - rise / (sign * slope)
        inside = (step >= left) & (step <= right)
        after = np.where(inside, step, 0.5 * (left + right))
        moved = np.abs(after - here)
        here = after
        # The error left by a step of Newton's is of the order of its square.
        enough = np.where(inside, _NEWTON_CLOSE, _TOLERANCE * np.abs(here))
        if not np.any(sought & (moved > enough)):
            break
    return here


def _first_crossing(
    setting: Setting, params: Array, target: Array, columns: Columns, within: Bracket
) -> Bracket:
    """The first part of a bracket in which the prediction comes to the target."""
    low, high = within.low, within.high
    shares = np.linspace(0.0, 1.0, _BRACKETS).reshape(-1, *(1 for _ in low.shape))
    tried = low + shares * (high - low)
    above = setting.sign * (setting.predict(params, np.exp(tried), columns) - target)
    place = np.maximum(np.logical_and.accumulate(above > 0, axis=0).sum(axis=0) - 1, 0)[None]
    after = np.minimum(place + 1, _BRACKETS - 1)
    ends = ((tried, place), (tried, after), (above, place), (above, after))
    return Bracket(*(np.take_along_axis(rows, at, axis=0)[0] for rows, at in ends))
