"""A law, limits and given inputs together: which runs are allowed, and what the law says of them.

The law is held once for the estimate and once for each replicate, as columns of working
parameters, so that one search answers for all of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from isoloss.arrays import Array, Indices, Mask
from isoloss.errors import InputError
from isoloss.laws import PARAMS, TOKENS, Input, Surface, working_law
from isoloss.planning.limits import (
    Limits,
    SizeBounds,
    TokenBound,
    ceilings,
    constant,
    floors,
    proportional,
    size_bounds,
)

# Tokens per parameter between which anything is searched; no run has been useful outside.
TOKENS_PER_PARAM = (1e-3, 1e7)
# A bound counts as reached within this share of it.
_REACHED = 1e-6

Columns = Indices | slice
ALL = slice(None)


@dataclass(frozen=True, eq=False)
class InputRule:
    """How a plan sets an input of the law that is neither N nor D.

    Attributes:
        value: the input, by N and D.
        by_params: derivative of its log by ln N.
        by_tokens: derivative of its log by ln D, by N and D.
    """

    value: Callable[[Array, Array], Array]
    by_params: float = 0.0
    by_tokens: Callable[[Array, Array], Array] | None = None


@dataclass(frozen=True, eq=False)
class Setting:
    """What a plan is made of.

    Attributes:
        surface: the law.
        working: working parameters, shape (parameters, columns): the estimate's and, behind it,
            those of replicates.
        limits: what bounds the plan.
        bounds: the sizes allowed.
        tops: bounds on tokens from above, those of the search among them.
        bottoms: bounds on tokens from below.
        rules: for each input beside N and D, how it is set.
        bend: tokens at which a law by which more of them may do harm has a kink, if it has one:
            there its loss can have a valley beside the smooth one.
    """

    surface: Surface
    working: Array
    limits: Limits
    bounds: SizeBounds
    tops: tuple[TokenBound, ...]
    bottoms: tuple[TokenBound, ...]
    rules: Mapping[str, InputRule] = field(default_factory=dict)
    bend: TokenBound | None = None

    @property
    def sign(self) -> float:
        """1 where less is better, as of a loss, -1 where more is."""
        return -1.0 if self.surface.law.target.higher_is_better else 1.0

    @property
    def free_tokens(self) -> bool:
        """Whether the law may say that more tokens do harm, so that fewer may be best."""
        return _may_do_harm(self.surface)

    @property
    def pieces(self) -> tuple[Setting, ...]:
        """The same below the bend and above it; itself alone where there is none."""
        if self.bend is None:
            return (self,)
        return (
            replace(self, tops=(*self.tops, self.bend), bend=None),
            replace(self, bottoms=(*self.bottoms, self.bend), bend=None),
        )

    @property
    def token_bounds(self) -> tuple[TokenBound, ...]:
        """Every token count by size at which a run can be held, the bend among them."""
        return (*self.tops, *self.bottoms, *((self.bend,) if self.bend else ()))

    @property
    def bounded(self) -> bool:
        """Whether any limit asked for bounds the tokens from above."""
        return any(top.given for top in self.tops)

    def ceiling(self, params: Array) -> Array:
        """Most tokens of a size."""
        return np.asarray(np.minimum.reduce([top.tokens(params) for top in self.tops]))

    def floor(self, params: Array) -> Array:
        """Fewest tokens of a size."""
        return np.asarray(np.maximum.reduce([bottom.tokens(params) for bottom in self.bottoms]))

    def ceiling_slope(self, params: Array) -> Array:
        """Derivative of the log of the most tokens by ln N."""
        return _slope_of(self.tops, params, np.argmin)

    def floor_slope(self, params: Array) -> Array:
        """Derivative of the log of the fewest tokens by ln N."""
        return _slope_of(self.bottoms, params, np.argmax)

    def allowed(self, params: Array) -> Mask:
        """Whether any tokens are left to a size."""
        return self.ceiling(params) >= self.floor(params)

    def inputs(self, params: Array, tokens: Array) -> dict[str, Array]:
        """Every input of the law at runs of given N and D."""
        known = {PARAMS.name: params, TOKENS.name: tokens}
        return {
            entry.name: known[entry.name]
            if entry.name in known
            else self.rules[entry.name].value(params, tokens)
            for entry in self.surface.law.inputs
        }

    def predict(self, params: Array, tokens: Array, columns: Columns = ALL) -> Array:
        """What the law predicts, for each of the columns."""
        inputs = list(self.inputs(params, tokens).values())
        law, centre = working_law(self.surface.law), self.surface.centre
        return law.predict(self.working[:, columns], inputs, centre)

    def slopes(self, params: Array, tokens: Array, columns: Columns = ALL) -> tuple[Array, Array]:
        """Derivatives of the prediction by ln N at fixed D, and by ln D at fixed N."""
        law, centre = working_law(self.surface.law), self.surface.centre
        inputs = self.inputs(params, tokens)
        rows = law.slopes(self.working[:, columns], list(inputs.values()), centre)
        by_params: Array = np.zeros(np.shape(rows[0]))
        by_tokens: Array = np.zeros(np.shape(rows[0]))
        for name, row in zip(inputs, rows, strict=True):
            if name == PARAMS.name:
                by_params = by_params + row
            elif name == TOKENS.name:
                by_tokens = by_tokens + row
            else:
                rule = self.rules[name]
                if rule.by_params:
                    by_params = by_params + rule.by_params * row
                if rule.by_tokens:
                    with np.errstate(invalid="ignore"):  # a slope without bound, where D is none
                        by_tokens = by_tokens + rule.by_tokens(params, tokens) * row
        return by_params, by_tokens

    def rebound(self, limits: Limits, working: Array) -> Setting:
        """The same law and inputs under other limits on tokens, for other columns."""
        names = [entry.name for entry in self.surface.law.inputs]
        searched = tuple(top for top in self.tops if not top.given)
        return replace(
            self,
            limits=limits,
            working=working,
            tops=(*ceilings(limits, reads_unique_tokens="unique_tokens" in names), *searched),
        )

    def binding(self, params: float, tokens: float) -> tuple[str, ...]:
        """Names of the limits that a run stands at."""
        N = np.asarray(params)
        names = [each.name for each in self.token_bounds if _is_at(tokens, each.tokens(N))]
        ends = ((self.bounds.low, self.bounds.low_name), (self.bounds.high, self.bounds.high_name))
        names += [name for end, name in ends if name and _is_at(params, end)]
        return tuple(dict.fromkeys(names))


def setting_of(
    surface: Surface,
    limits: Limits,
    given: Mapping[str, float] | None = None,
    *,
    working: Array | None = None,
) -> Setting:
    """Put a law, limits and given inputs together.

    Args:
        surface: the law with its replicates.
        limits: what bounds the plan.
        given: the value of each input of the law that is neither N, D nor set by the limits; for
            a law of steps, `batch_tokens` gives D/batch_tokens of them.
        working: working parameters as columns; the surface's estimate and replicates by default.

    Raises:
        InputError: the law reads no N, an input is missing or unknown, or the limits contradict
            each other.
    """
    names = [entry.name for entry in surface.law.inputs]
    if PARAMS.name not in names:
        raise InputError(
            f"law {surface.law.name} does not read N",
            found="inputs " + ", ".join(names),
            expected="params among them",
        )
    rules = _rules(surface, limits, dict(given or {}))
    low, high = TOKENS_PER_PARAM
    if working is None:
        working = with_replicates(surface)
    return Setting(
        surface,
        working,
        limits,
        size_bounds(limits, reads_samples="samples" in names),
        (
            *ceilings(limits, reads_unique_tokens="unique_tokens" in names),
            proportional("", high, given=False),
        ),
        (*floors(limits), proportional("", low, given=False)),
        rules,
        _bend(surface, limits, given or {}),
    )


def _bend(surface: Surface, limits: Limits, given: Mapping[str, float]) -> TokenBound | None:
    """Where repetition begins to do harm, under a law that says so."""
    name = "unique_tokens"
    unique = given.get(name, limits.unique_tokens)
    reads = any(entry.name == name for entry in surface.law.inputs)
    return constant(name, unique) if unique and reads and _may_do_harm(surface) else None


def _may_do_harm(surface: Surface) -> bool:
    return any(entry.name == TOKENS.name and not entry.improves for entry in surface.law.inputs)


def with_replicates(surface: Surface) -> Array:
    """Working parameters of the estimate and behind it of every replicate, as columns."""
    own = surface.working[:, None]
    return np.concatenate([own, surface.replicates], axis=1) if surface.replicates.size else own


def _rules(surface: Surface, limits: Limits, given: dict[str, float]) -> dict[str, InputRule]:
    rules: dict[str, InputRule] = {}
    missing: list[str] = []
    for entry in surface.law.inputs:
        name = entry.name
        if name in (PARAMS.name, TOKENS.name):
            continue
        if name in given:
            rules[name] = _fixed(entry, given.pop(name))
        elif name == "unique_tokens" and limits.unique_tokens is not None:
            rules[name] = _seen_once(limits.unique_tokens)
        elif name == "samples" and limits.answer_flops is not None:
            rules[name] = _answers(limits.answer_flops)
        elif name == "steps" and "batch_tokens" in given:
            rules[name] = _steps(given.pop("batch_tokens"))
        else:
            missing.append(name)
    if missing:
        raise InputError(
            f"law {surface.law.name} reads more than N and D",
            found="no value for " + ", ".join(missing),
            expected="one in given, or a limit that sets it: unique_tokens, answer_flops",
        )
    if given:
        raise InputError(
            f"law {surface.law.name} does not read what is given",
            where="given",
            found=", ".join(given),
            expected="inputs among " + ", ".join(entry.name for entry in surface.law.inputs),
        )
    return rules


def _fixed(entry: Input, value: float) -> InputRule:
    if not math.isfinite(value) or (entry.positive and value <= 0):
        kind = "a positive number" if entry.positive else "a number"
        raise InputError("not usable", where=entry.name, found=f"{value:g}", expected=kind)
    return InputRule(lambda params, tokens: np.asarray(float(value)))


def _seen_once(unique: float) -> InputRule:
    return InputRule(
        lambda params, tokens: np.minimum(tokens, unique),
        by_tokens=lambda params, tokens: (tokens < unique).astype(np.float64),
    )


def _answers(flops: float) -> InputRule:
    return InputRule(lambda params, tokens: flops / (2.0 * params), by_params=-1.0)


def _steps(batch: float) -> InputRule:
    return InputRule(
        lambda params, tokens: tokens / batch,
        by_tokens=lambda params, tokens: np.ones(np.shape(tokens)),
    )


def _slope_of(
    bounds: tuple[TokenBound, ...], params: Array, which: Callable[..., Indices]
) -> Array:
    values = np.stack([bound.tokens(params) for bound in bounds])
    slopes = np.stack([np.broadcast_to(bound.slope(params), values[0].shape) for bound in bounds])
    chosen: Array = np.take_along_axis(slopes, which(values, axis=0)[None], axis=0)[0]
    return chosen


def _is_at(value: float, bound: float | Array) -> bool:
    return bool(abs(value - float(bound)) <= _REACHED * value)
