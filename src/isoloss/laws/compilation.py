"""From a SymPy expression to vectorised NumPy: values, and exact first and second derivatives."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy

from isoloss.arrays import Array
from isoloss.laws.formula import EXPREL, exprel

_FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    function.__name__: functools.partial(exprel, function.order) for function in EXPREL
}


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
        return _compile(self._arguments, [self.expression, *self._gradient])

    @functools.cached_property
    def _second(self) -> Callable[..., Any]:
        expressions = [self.expression, *self._gradient, *self._second_pairs.values()]
        return _compile(self._arguments, expressions)

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
    compiled: Callable[..., Any] = sympy.lambdify(
        arguments, expressions, modules=[_FUNCTIONS, "numpy"], cse=True
    )
    return compiled
