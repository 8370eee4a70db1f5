"""Paths over sizes: the tokens that each N gets, and what is least along them.

Three questions are asked of a law under limits. With a budget each N trains as long as it can,
and the loss is least. Under a law by which more tokens may do harm each N trains as long as is
good for it. With a loss to reach each N trains until it does, and a cost is least.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from isoloss.arrays import Array, Indices, Mask
from isoloss.planning.costs import Cost
from isoloss.planning.limits import TokenBound
from isoloss.planning.search import Range
from isoloss.planning.setting import ALL, Columns, Setting
from isoloss.planning.tokens import Bracket, best_tokens, crossing, usable

# Sizes on which the range of the search is found.
_SCAN = 400
# Parts into which the cell of an end is cut, and how often: exactly enough for the estimate, and
# for quantiles over many columns. Calls cost more than their elements where columns are few.
_FEW_PARTS, _FEW_STEPS = 16, 8
_MANY_PARTS, _MANY_STEPS = 4, 10
# A prediction this near to its target, as a share, has reached it.
_CLOSE = 1e-11
# Columns from which on a coarser scan has to do.
_MANY = 16
# Loss rising with D by less than this share for each factor e is flat.
_FLAT = 1e-9


@dataclass(frozen=True, eq=False)
class BudgetPath:
    """Each size trains as long as the limits let it, and the prediction is to be best."""

    setting: Setting

    def tokens(self, params: Array, columns: Columns = ALL) -> Array:
        """Training tokens of each size."""
        return self.setting.ceiling(params)

    def value(self, log_params: Array, columns: Columns) -> Array:
        """The prediction, signed so that less is better."""
        params = np.exp(log_params)
        tokens = self.tokens(params, columns)
        value = self.setting.sign * self.setting.predict(params, usable(tokens), columns)
        return np.where(self.setting.allowed(params), value, np.inf)

    def slope(self, log_params: Array, columns: Indices) -> Array:
        """Derivative of the value by ln N, along the path."""
        params = np.exp(log_params)
        tokens = usable(self.tokens(params, columns))
        by_params, by_tokens = self.setting.slopes(params, tokens, columns)
        return self.setting.sign * (by_params + by_tokens * self.setting.ceiling_slope(params))

    def sane(self, log_params: Array, columns: Indices) -> Mask:
        """Where the loss rises with D, even fewer tokens would serve: no optimum of a sane law."""
        params = np.exp(log_params)
        tokens = usable(self.tokens(params, columns))
        _, by_tokens = self.setting.slopes(params, tokens, columns)
        level = np.abs(self.setting.predict(params, tokens, columns))
        return np.asarray(self.setting.sign * by_tokens <= _FLAT * level)

    def over(self) -> Range:
        """The range of ln N, the same for all columns."""
        setting = self.setting
        within = [each for each in setting.tops if each.given]

        def allowed(log_params: Array) -> Mask:
            params = np.exp(log_params)
            if not within:
                return setting.allowed(params)
            # A size that could train on still more tokens than are searched is no candidate.
            asked = np.minimum.reduce([each.tokens(params) for each in within])
            return np.asarray(setting.allowed(params) & (asked <= setting.ceiling(params)))

        return _range(setting, allowed, _nothing_given, _floor_given(setting))


@dataclass(frozen=True, eq=False)
class FreePath:
    """Each size trains as long as is good for it within the limits."""

    setting: Setting

    def tokens(self, params: Array, columns: Columns = ALL) -> Array:
        """Training tokens of each size at which the prediction is best, for each column."""
        return best_tokens(self.setting, params, columns)

    def value(self, log_params: Array, columns: Columns) -> Array:
        """The prediction, signed so that less is better."""
        params = np.exp(log_params)
        value = self.setting.sign * self.setting.predict(
            params, self.tokens(params, columns), columns
        )
        return np.where(self.setting.allowed(params), value, np.inf)

    def slope(self, log_params: Array, columns: Indices) -> Array:
        """Derivative of the value by ln N; where D is free it drops out (the envelope theorem)."""
        params = np.exp(log_params)
        tokens = self.tokens(params, columns)
        by_params, by_tokens = self.setting.slopes(params, tokens, columns)
        at_top = tokens >= self.setting.ceiling(params) * (1 - _FLAT)
        at_bottom = tokens <= self.setting.floor(params) * (1 + _FLAT)
        follows = np.where(at_top, self.setting.ceiling_slope(params), 0.0)
        follows = np.where(at_bottom, self.setting.floor_slope(params), follows)
        return self.setting.sign * (by_params + by_tokens * follows)

    def sane(self, log_params: Array, columns: Indices) -> Mask:
        """Tokens at the end of the search, and not of any limit, are no answer."""
        params = np.exp(log_params)
        tokens = self.tokens(params, columns)
        ends = [each.tokens(params) for each in self.setting.tops if not each.given]
        return np.asarray(tokens < np.minimum.reduce(ends) * (1 - _FLAT))

    def over(self) -> Range:
        """The range of ln N, the same for all columns."""
        setting = self.setting
        return _range(
            setting,
            lambda log_params: setting.allowed(np.exp(log_params)),
            _nothing_given,
            _floor_given(setting),
        )


@dataclass(frozen=True, eq=False)
class TargetPath:
    """Each size trains until it reaches a prediction, and a cost is to be least.

    Attributes:
        setting: the law and the limits.
        cost: what is to be least.
        target: the prediction to reach, one for each column.
        also: values of ln N that the scan for sizes that reach it must not miss.
    """

    setting: Setting
    cost: Cost
    target: Array
    also: tuple[float, ...] = ()

    def tokens(self, params: Array, columns: Columns = ALL) -> Array:
        """Fewest training tokens with which each size reaches the target; NaN where none do."""
        fewest = [part._tokens(params, columns) for part in self.parts]
        return np.asarray(np.fmin.reduce(fewest))

    @property
    def parts(self) -> tuple[TargetPath, ...]:
        """The paths on either side of a bend of the law, between which the tokens leap."""
        return tuple(replace(self, setting=piece) for piece in self.setting.pieces)

    def _tokens(self, params: Array, columns: Columns) -> Array:
        setting = self.setting
        target = self.target[columns]
        top = FreePath(setting).tokens(params, columns) if setting.free_tokens else None
        high_tokens = usable(setting.ceiling(params)) if top is None else top
        shape = np.broadcast_shapes(np.shape(high_tokens), np.shape(params), target.shape)
        low = np.broadcast_to(np.log(usable(setting.floor(params))), shape)
        high = np.broadcast_to(np.log(high_tokens), shape)

        def missing(log_tokens: Array) -> Array:
            value = setting.predict(params, np.exp(log_tokens), columns)
            return np.asarray(setting.sign * (value - target))

        # A little more lenient than the range of sizes, whose ends must reach the target.
        lenient = 2 * _CLOSE * np.abs(target)
        at_low, at_high = np.broadcast_arrays(missing(low), missing(high))
        reached_at_once = at_low <= lenient
        reachable = (at_high <= lenient) & (high >= low)
        found = crossing(setting, params, target, columns, Bracket(low, high, at_low, at_high))
        found = np.where(reached_at_once, low, np.where(at_high > 0, high, found))
        return np.where(reachable & setting.allowed(params), np.exp(found), np.nan)

    def value(self, log_params: Array, columns: Columns) -> Array:
        """The log of the cost."""
        params = np.exp(log_params)
        return np.log(self.cost.amount(params, self.tokens(params, columns)))

    def slope(self, log_params: Array, columns: Indices) -> Array:
        """Derivative of the log of the cost by ln N, at constant prediction."""
        params = np.exp(log_params)
        tokens = self.tokens(params, columns)
        by_params, by_tokens = self.setting.slopes(params, tokens, columns)
        at_floor = tokens <= self.setting.floor(params) * (1 + _FLAT)
        with np.errstate(all="ignore"):
            follows = -by_params / by_tokens
        follows = np.where(at_floor, self.setting.floor_slope(params), follows)
        direct = self.cost.slope_by_params(params, tokens)
        indirect = self.cost.slope_by_tokens(params, tokens) * follows
        # Sizes that cannot reach the target are too small: the way is up.
        slope = direct + indirect
        return np.where(np.isfinite(slope), slope, -1.0)

    def sane(self, log_params: Array, columns: Indices) -> Mask:
        """Tokens at the end of the search, and not of any limit, are no answer."""
        params = np.exp(log_params)
        tokens = self.tokens(params, columns)
        tops = [each.tokens(params) for each in self.setting.tops if not each.given]
        bottoms = [each.tokens(params) for each in self.setting.bottoms if not each.given]
        low, high = np.maximum.reduce(bottoms), np.minimum.reduce(tops)
        return np.asarray((tokens > low * (1 + _FLAT)) & (tokens < high * (1 - _FLAT)))

    def over(self) -> Range:
        """The range of ln N of each column: the sizes that reach the target."""
        setting = self.setting
        longest = longest_path(setting)
        floor_given = _floor_given(setting)

        def reaching(log_params: Array) -> Mask:
            params = np.exp(log_params)
            target = setting.sign * self.target + _CLOSE * np.abs(self.target)
            reached = longest.value(log_params, ALL) <= target
            # Sizes that need fewer tokens than are searched are far too large.
            least = setting.sign * setting.predict(params, usable(setting.floor(params)))
            return np.asarray(reached & ((least > target) | floor_given(params)))

        ceiling_given = _ceiling_given(setting)

        def high_given(params: Array) -> Mask:
            return np.asarray(ceiling_given(params) | floor_given(params))

        return _range(setting, reaching, ceiling_given, high_given, self.also)


def longest_path(setting: Setting) -> BudgetPath | FreePath:
    """The path on which each size does as well as the limits let it."""
    return FreePath(setting) if setting.free_tokens else BudgetPath(setting)


def _range(
    setting: Setting,
    allowed: Callable[[Array], Mask],
    low_given: Callable[[Array], Mask],
    high_given: Callable[[Array], Mask],
    also: tuple[float, ...] = (),
) -> Range:
    """From the first to the last ln N that is allowed, by column.

    Args:
        setting: what bounds the sizes.
        allowed: whether sizes are, by ln N of shape (sizes, 1) or (1, columns).
        low_given: whether a limit asked for is what ends the range below, by N, where `setting`
            does not bound the size itself.
        high_given: the same above.
        also: values of ln N to look at beside those of an even scan.
    """
    bounds = setting.bounds
    count = _SCAN if setting.working.shape[1] < _MANY else _SCAN // 4
    nodes = np.linspace(math.log(bounds.low), math.log(bounds.high), count)
    nodes = np.sort(np.append(nodes, np.clip(also, nodes[0], nodes[-1])))
    count = nodes.size
    mask = allowed(nodes[:, None])
    some = mask.any(axis=0)
    first, last = np.argmax(mask, axis=0), count - 1 - np.argmax(mask[::-1], axis=0)
    low = _edge(allowed, nodes[first], nodes[np.maximum(first - 1, 0)])
    high = _edge(allowed, nodes[last], nodes[np.minimum(last + 1, count - 1)])
    at_low, at_high = first == 0, last == count - 1
    return Range(
        np.where(some, low, np.nan),
        np.where(some, high, np.nan),
        np.where(at_low, bool(bounds.low_name), low_given(np.exp(low))),
        np.where(at_high, bool(bounds.high_name), high_given(np.exp(high))),
    )


def _edge(allowed: Callable[[Array], Mask], good: Array, bad: Array) -> Array:
    """The last allowed ln N on the way from an allowed one to one that is not."""
    parts, steps = (_FEW_PARTS, _FEW_STEPS) if good.size < _MANY else (_MANY_PARTS, _MANY_STEPS)
    shares = np.arange(1, parts)[:, None] / parts
    for _ in range(steps):
        between = good + shares * (bad - good)
        last = np.logical_and.accumulate(allowed(between), axis=0).sum(axis=0)
        width = (bad - good) / parts
        good, bad = good + last * width, np.where(last < parts - 1, good + (last + 1) * width, bad)
    return good


def _nothing_given(params: Array) -> Mask:
    return np.zeros(np.shape(params), dtype=bool)


def _floor_given(setting: Setting) -> Callable[[Array], Mask]:
    return lambda params: _is_given(setting.bottoms, params, np.argmax)


def _ceiling_given(setting: Setting) -> Callable[[Array], Mask]:
    return lambda params: _is_given(setting.tops, params, np.argmin)


def _is_given(bounds: Sequence[TokenBound], params: Array, which: Callable[..., Indices]) -> Mask:
    """Whether the bound that binds at a size is one that somebody asked for."""
    values = np.stack([bound.tokens(params) for bound in bounds])
    given = np.array([bound.given for bound in bounds])
    return np.asarray(given[which(values, axis=0)])
