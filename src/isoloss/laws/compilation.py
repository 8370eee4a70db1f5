"""From a SymPy expression to vectorised NumPy: values, and exact first and second derivatives."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import sympy

from isoloss.arrays import Array
from isoloss.laws.functions import (
    EXPREL,
    Expm1,
    Larger,
    Log1p,
    LogGamma,
    LogRise,
    Maximum,
    Minimum,
)
from isoloss.laws.rising import log_rise

# Below this the closed form of exprel loses digits to cancellation, above it the series needs
# more than the terms kept here.
_SERIES_RADIUS = 0.5
_SERIES_TERMS = 14
# Whole numbers up to here are doubles.
_MAX_INTEGER = 2**53


def exprel(order: int, argument: npt.ArrayLike) -> Array:
    """The function ∫₀¹ sᵏ exp(s t) ds for k = `order`, elementwise and accurate through t = 0.

    Order 0 is (exp(t) − 1)/t, and the derivative of order k is order k + 1, so that a Box-Cox
    power (uᵉ − 1)/e = log(u) exprel(0, e log u) is smooth in e through 0.
    """
    t = np.asarray(argument, dtype=np.float64)
    small = np.abs(t) < _SERIES_RADIUS
    series = np.full_like(t, 1.0 / (math.factorial(_SERIES_TERMS) * (order + _SERIES_TERMS + 1)))
    for power in reversed(range(_SERIES_TERMS)):
        series = series * t + 1.0 / (math.factorial(power) * (order + power + 1))
    safe = np.where(small, 1.0, t)
    exponential = np.exp(safe)
    closed = np.expm1(safe) / safe
    for k in range(1, order + 1):
        closed = (exponential - k * closed) / safe
    return np.where(small, series, closed)


def log_gamma(order: int, argument: npt.ArrayLike) -> Array:
    """Derivative number `order` of log Γ, elementwise; NaN for negative arguments.

    From order 2 on it is a Hurwitz zeta function (Abramowitz and Stegun 6.4.10).
    """
    # Slow to import, and most laws do without.
    from scipy import special

    given = np.asarray(argument, dtype=np.float64)
    x = np.where(given < 0, np.nan, given)
    match order:
        case 0:
            value = special.gammaln(x)
        case 1:
            value = special.digamma(x)
        case _:
            value = (-1) ** order * math.factorial(order - 1) * special.zeta(order, x)
    return np.asarray(value, dtype=np.float64)


def larger(
    first: npt.ArrayLike, second: npt.ArrayLike, then: npt.ArrayLike, otherwise: npt.ArrayLike
) -> Array:
    """Elementwise `then` where first >= second, and `otherwise` elsewhere."""
    chosen = np.where(np.greater_equal(first, second), then, otherwise)
    return np.asarray(chosen, dtype=np.float64)


_FUNCTIONS: dict[str, Callable[..., Array]] = {
    **{function.__name__: functools.partial(exprel, function.order) for function in EXPREL},
    Larger.__name__: larger,
    Maximum.__name__: np.maximum,
    Minimum.__name__: np.minimum,
    LogGamma.__name__: log_gamma,
    LogRise.__name__: log_rise,
    Expm1.__name__: np.expm1,
    Log1p.__name__: np.log1p,
}
# The names that compiled formulas use themselves; e is that of exp(1).
_TAKEN = frozenset([*_FUNCTIONS, "exp", "log", "sqrt", "e"])


@dataclass(frozen=True)
class Derivatives:
    """A law's value and derivatives at one set of parameters.

    Entries broadcast against (rows, problems): a derivative that does not depend on the rows has
    one row, a constant is a number. Second derivatives that vanish identically are left out.

    Attributes:
        value: the predictions.
        first: one entry a parameter.
        second: entry (j, k), j <= k, for each second derivative that is not identically zero.
    """

    value: Array
    first: tuple[Array, ...]
    second: dict[tuple[int, int], Array]


@dataclass(frozen=True)
class Evaluator:
    """A formula compiled over its parameters, inputs and constants.

    Args:
        expression: the SymPy expression.
        parameters: symbols to differentiate by.
        inputs: symbols that vary over rows.
        constants: symbols that are fixed for a table.
    """

    expression: Any
    parameters: tuple[Any, ...]
    inputs: tuple[Any, ...]
    constants: tuple[Any, ...] = ()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the formula alone: what it compiles to is made again where it arrives."""
        return _received, (self.expression, self.parameters, self.inputs, self.constants)

    @functools.cached_property
    def _arguments(self) -> list[Any]:
        return [*self.parameters, *self.inputs, *self.constants]

    @functools.cached_property
    def _value(self) -> Callable[..., Any]:
        return _compile(self._arguments, self.expression)

    @functools.cached_property
    def _second_pairs(self) -> dict[tuple[int, int], Any]:
        gradient = self._gradient
        return {
            (j, k): second
            for j in range(len(self.parameters))
            for k in range(j, len(self.parameters))
            if (second := sympy.diff(gradient[j], self.parameters[k])) != 0
        }

    @functools.cached_property
    def _gradient(self) -> list[Any]:
        return [sympy.diff(self.expression, parameter) for parameter in self.parameters]

    @functools.cached_property
    def _first(self) -> Callable[..., Any]:
        return _compile(self._arguments, sympy.Tuple(self.expression, *self._gradient))

    @functools.cached_property
    def _second(self) -> Callable[..., Any]:
        second = self._second_pairs.values()
        return _compile(self._arguments, sympy.Tuple(self.expression, *self._gradient, *second))

    def value(
        self, parameters: Sequence[Any], inputs: Sequence[Any], constants: Sequence[float] = ()
    ) -> Array:
        """Predictions, shaped as parameters and inputs broadcast."""
        return np.asarray(self._value(*parameters, *inputs, *constants), dtype=np.float64)

    def gradient(
        self, parameters: Sequence[Any], inputs: Sequence[Any], constants: Sequence[float] = ()
    ) -> tuple[Array, tuple[Array, ...]]:
        """Predictions and their first derivatives by each parameter."""
        value, *first = self._first(*parameters, *inputs, *constants)
        return value, tuple(first)

    def derivatives(
        self, parameters: Sequence[Any], inputs: Sequence[Any], constants: Sequence[float] = ()
    ) -> Derivatives:
        """Predictions with exact first and second derivatives."""
        results = self._second(*parameters, *inputs, *constants)
        count = 1 + len(self.parameters)
        pairs = self._second_pairs
        second = dict(zip(pairs, results[count:], strict=True))
        return Derivatives(results[0], tuple(results[1:count]), second)


@functools.lru_cache(maxsize=128)
def _received(
    expression: Any,
    parameters: tuple[Any, ...],
    inputs: tuple[Any, ...],
    constants: tuple[Any, ...],
) -> Evaluator:
    """The evaluator of a pickle, one for all pickles with equal formulas: compiling takes long."""
    return Evaluator(expression, parameters, inputs, constants)


def _compile(arguments: list[Any], expressions: Any) -> Callable[..., Any]:
    # A parameter called like a function would stand for it in the source made here; a dummy has a
    # name of its own there.
    own = {
        symbol: sympy.Dummy(symbol.name, **symbol.assumptions0)
        for symbol in arguments
        if symbol.name in _TAKEN
    }
    # NumPy's functions take no whole numbers beyond its own.
    integers = expressions.atoms(sympy.Integer)
    floats = {each: sympy.Float(each, 17) for each in integers if abs(each) > _MAX_INTEGER}
    compiled: Callable[..., Any] = sympy.lambdify(
        [own.get(symbol, symbol) for symbol in arguments],
        expressions.xreplace(own | floats),
        modules=[_FUNCTIONS, "numpy"],
        cse=True,
    )
    return compiled
