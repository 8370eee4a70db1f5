"""Limits of a plan: what may be spent, and how large, how long and how heavy a run may be.

Every limit becomes a bound on N, or a bound on the tokens of a given N. Together they leave, for
each size, the tokens from a floor to a ceiling.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from isoloss.arrays import Array
from isoloss.errors import InputError
from isoloss.planning.costs import Cost, OfSize

# Sizes that are looked at where nothing bounds them: from one parameter to more than any machine.
SMALLEST, LARGEST = 1.0, 1e20
_BISECTIONS = 100


@dataclass(frozen=True, eq=False)
class Spend:
    """At most so much of a cost.

    Attributes:
        cost: what is spent.
        at_most: the amount, in the unit of the cost.
    """

    cost: Cost
    at_most: float


@dataclass(frozen=True, eq=False)
class SizeLimit:
    """At most so much of something that grows with N alone, such as memory or latency.

    Attributes:
        name: as people call the limit.
        unit: what it is counted in.
        of: the amount by N, never falling.
        at_most: the most that is allowed.
    """

    name: str
    unit: str
    of: OfSize
    at_most: float


@dataclass(frozen=True, eq=False)
class Limits:
    """What bounds a plan; None bounds nothing.

    Attributes:
        spend: costs with the most that may be spent on each.
        sizes: limits on what grows with N alone.
        min_params: smallest N.
        max_params: largest N.
        min_tokens: fewest training tokens.
        max_tokens: most training tokens.
        min_tokens_per_param: least D/N.
        max_tokens_per_param: most D/N.
        unique_tokens: distinct tokens that there are. A law that reads them sees
            min(D, unique_tokens); under any other no token can be seen twice, unless `max_epochs`
            says so.
        max_epochs: most passes over the unique tokens.
        answer_flops: inference FLOPs for one question; a law that reads `samples` gets
            answer_flops/(2 N) of them.
    """

    spend: tuple[Spend, ...] = ()
    sizes: tuple[SizeLimit, ...] = ()
    min_params: float | None = None
    max_params: float | None = None
    min_tokens: float | None = None
    max_tokens: float | None = None
    min_tokens_per_param: float | None = None
    max_tokens_per_param: float | None = None
    unique_tokens: float | None = None
    max_epochs: float | None = None
    answer_flops: float | None = None

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if name not in ("spend", "sizes") and value is not None:
                _require_positive(value, name)
        for spend in self.spend:
            _require_positive(spend.at_most, f"limit on {spend.cost.name}")
        for size in self.sizes:
            _require_positive(size.at_most, f"limit on {size.name}")
        if self.max_epochs is not None and self.unique_tokens is None:
            raise InputError(
                "epochs of unknown data", where="max_epochs", expected="unique_tokens beside it"
            )


@dataclass(frozen=True, eq=False)
class TokenBound:
    """A bound on the training tokens of each size.

    Attributes:
        name: of the limit behind it.
        tokens: the bound by N; not positive where no tokens are left at all.
        slope: derivative of its log by ln N.
        given: whether somebody asked for it, or it only ends the search.
    """

    name: str
    tokens: Callable[[Array], Array]
    slope: Callable[[Array], Array]
    given: bool = True


@dataclass(frozen=True)
class SizeBounds:
    """The sizes that are allowed, and what bounds them; no name where nothing does."""

    low: float
    high: float
    low_name: str = ""
    high_name: str = ""


def size_bounds(limits: Limits, *, reads_samples: bool) -> SizeBounds:
    """The smallest and largest N that limits on sizes allow.

    Raises:
        InputError: they contradict each other.
    """
    tops = [(_largest(size), size.name) for size in limits.sizes]
    if limits.max_params is not None:
        tops.append((limits.max_params, "max_params"))
    if reads_samples and limits.answer_flops is not None:
        # One answer takes 2 N FLOPs a token.
        tops.append((limits.answer_flops / 2, "answer_flops"))
    high, high_name = min(tops, default=(LARGEST, ""))
    low, low_name = (limits.min_params, "min_params") if limits.min_params else (SMALLEST, "")
    if low == high == limits.max_params:
        # One size is asked for: that is no limit which decides against another.
        low_name = high_name = "params"
    if low > high:
        raise InputError(
            "contradictory limits",
            where="params",
            found=f"at least {low:g} by {low_name or 'one parameter'}, "
            f"at most {high:g} by {high_name}",
            expected=f"min_params of at most {high:g}, or more room for {high_name}",
        )
    return SizeBounds(low, high, low_name, high_name)


def ceilings(limits: Limits, *, reads_unique_tokens: bool) -> list[TokenBound]:
    """Bounds on the tokens from above."""
    found = [_of_spend(spend) for spend in limits.spend]
    if limits.max_tokens is not None:
        found.append(constant("max_tokens", limits.max_tokens))
    if limits.max_tokens_per_param is not None:
        found.append(proportional("max_tokens_per_param", limits.max_tokens_per_param))
    if limits.unique_tokens is not None:
        if limits.max_epochs is not None:
            found.append(constant("max_epochs", limits.max_epochs * limits.unique_tokens))
        elif not reads_unique_tokens:
            found.append(constant("unique_tokens", limits.unique_tokens))
    return found


def floors(limits: Limits) -> list[TokenBound]:
    """Bounds on the tokens from below."""
    found = []
    if limits.min_tokens is not None:
        found.append(constant("min_tokens", limits.min_tokens))
    if limits.min_tokens_per_param is not None:
        found.append(proportional("min_tokens_per_param", limits.min_tokens_per_param))
    return found


def proportional(name: str, ratio: float, *, given: bool = True) -> TokenBound:
    """A bound of so many tokens per parameter."""
    return TokenBound(
        name, lambda params: ratio * params, lambda params: np.ones(np.shape(params)), given
    )


def constant(name: str, tokens: float) -> TokenBound:
    """A bound of so many tokens for every size."""
    return TokenBound(
        name,
        lambda params: np.full(np.shape(params), float(tokens)),
        lambda params: np.zeros(np.shape(params)),
    )


def _of_spend(spend: Spend) -> TokenBound:
    cost = spend.cost

    def tokens(params: Array) -> Array:
        return cost.tokens_for(params, spend.at_most)

    def slope(params: Array) -> Array:
        bought = tokens(params)
        with np.errstate(all="ignore"):
            return -cost.slope_by_params(params, bought) / cost.slope_by_tokens(params, bought)

    return TokenBound(cost.name, tokens, slope)


def _largest(size: SizeLimit) -> float:
    """The largest N whose amount is allowed.

    Raises:
        InputError: not even one parameter is.
    """

    def allowed(log_params: float) -> bool:
        return bool(np.asarray(size.of(np.asarray(math.exp(log_params)))) <= size.at_most)

    low, high = math.log(SMALLEST), math.log(LARGEST)
    if allowed(high):
        return LARGEST
    if not allowed(low):
        least = float(np.asarray(size.of(np.asarray(SMALLEST))))
        raise InputError(
            f"no model keeps within the limit on {size.name}",
            where=size.name,
            found=f"at most {size.at_most:g} {size.unit}",
            expected=f"at least {least:.4g} {size.unit}, which every model takes",
        )
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if allowed(middle) else (low, middle)
    return math.exp(low)


def _require_positive(value: float, where: str) -> None:
    if not 0 < value < math.inf:
        raise InputError(
            "not a usable limit", where=where, found=f"{value:g}", expected="a positive number"
        )
