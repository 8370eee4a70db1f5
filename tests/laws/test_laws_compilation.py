"""Compiled laws: first and second derivatives are exact, for every law of the catalogue."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import sympy
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from laws_strategies import law_named, points

from isoloss.arrays import Array
from isoloss.laws import CATALOGUE, working_law
from isoloss.laws.compilation import Evaluator

mpmath: Any = pytest.importorskip("mpmath", reason="sharp difference quotients need mpmath")

# In double precision a difference quotient is too blunt to judge an exact second derivative; with
# 50 digits and this relative step it is right to 20.
_DIGITS = 50
_STEP = "1e-12"
# Rounding of the compiled derivatives, on the scale of the largest of their kind.
_TOLERANCE = 1e-9


@functools.cache
def precise(evaluator: Evaluator) -> Callable[..., Any]:
    """The formula in the arithmetic of mpmath."""

    def exprel(order: int) -> Callable[[Any], Any]:
        return lambda t: mpmath.hyp1f1(order + 1, order + 2, t) / (order + 1)

    functions = {f"exprel{order}": exprel(order) for order in range(4)}
    arguments = [*evaluator.parameters, *evaluator.inputs, *evaluator.constants]
    compiled: Callable[..., Any] = sympy.lambdify(
        arguments, evaluator.expression, modules=[functions, "mpmath"], cse=True
    )
    return compiled


def quotients(
    function: Callable[..., Any], values: Array, sizes: Array, rest: Sequence[float]
) -> tuple[Array, Array]:
    """First and second difference quotients, each times the sizes of its variables."""
    count = values.size
    with mpmath.workdps(_DIGITS):
        step = mpmath.mpf(_STEP)
        exact = [mpmath.mpf(float(value)) for value in values]
        steps = [step * mpmath.mpf(float(size)) for size in sizes]
        fixed = [mpmath.mpf(float(value)) for value in rest]

        @functools.cache
        def at(moves: tuple[int, ...]) -> Any:
            moved = (
                value + move * each for value, move, each in zip(exact, moves, steps, strict=True)
            )
            return function(*moved, *fixed)

        def move(*signed: tuple[int, int]) -> tuple[int, ...]:
            return tuple(sum(sign for index, sign in signed if index == j) for j in range(count))

        first = [(at(move((j, 1))) - at(move((j, -1)))) / (2 * step) for j in range(count)]
        second = np.zeros((count, count))
        for j, k in itertools.combinations_with_replacement(range(count), 2):
            corners = sum(
                one * other * at(move((j, one), (k, other)))
                for one, other in itertools.product((1, -1), repeat=2)
            )
            second[j, k] = second[k, j] = float(corners / (4 * step**2))
        return np.array([float(each) for each in first]), second


def assert_exact(
    evaluator: Evaluator,
    values: Array,
    sizes: Array,
    inputs: Sequence[Array],
    constants: Sequence[float],
) -> None:
    row = [column[:1] for column in inputs]
    compiled = evaluator.derivatives(list(values), row, constants)
    rest = [*(float(column[0]) for column in row), *constants]
    first, second = quotients(precise(evaluator), values, sizes, rest)

    def number(entry: Array) -> float:
        return float(np.ravel(entry)[0])

    value = number(compiled.value)
    own_first = sizes * [number(entry) for entry in compiled.first]
    own_second = np.zeros_like(second)
    for (j, k), entry in compiled.second.items():
        own_second[j, k] = own_second[k, j] = sizes[j] * sizes[k] * number(entry)
    largest = max(value, np.abs(first).max())
    np.testing.assert_allclose(own_first, first, rtol=_TOLERANCE, atol=_TOLERANCE * largest)
    largest = max(largest, np.abs(second).max())
    np.testing.assert_allclose(own_second, second, rtol=_TOLERANCE, atol=_TOLERANCE * largest)


@pytest.mark.parametrize("name", CATALOGUE)
class TestDerivatives:
    @settings(max_examples=10)
    @given(data=st.data())
    def test_in_working_coordinates(self, name: str, data: st.DataObject) -> None:
        point = data.draw(points(law_named(name)))
        law = point.in_coordinates
        constants = law.constants(point.centre)
        ones = np.ones(point.working.size)
        assert_exact(law.evaluator, point.working, ones, point.log_inputs, constants)

    @settings(max_examples=10)
    @given(data=st.data())
    def test_of_the_published_formula(self, name: str, data: st.DataObject) -> None:
        point = data.draw(points(law_named(name), away_from_zero=True))
        published = point.published
        # A second derivative may divide by the square of such a number.
        assume(np.all(np.abs(np.log(np.abs(published))) < np.log(1e60)))
        assert_exact(point.law.evaluator, published, np.abs(published), point.inputs, ())

    @given(data=st.data())
    def test_slopes_by_the_logs_of_the_inputs(self, name: str, data: st.DataObject) -> None:
        point = data.draw(points(law_named(name)))
        law, step = point.in_coordinates, 1e-4
        slopes = law.slopes(point.working, point.inputs, point.centre)
        for index, slope in enumerate(slopes):
            factor = np.exp(step * np.eye(len(slopes))[index])[:, None]
            above = law.predict(point.working, list(np.array(point.inputs) * factor), point.centre)
            below = law.predict(point.working, list(np.array(point.inputs) / factor), point.centre)
            quotient = (above - below) / (2 * step)
            np.testing.assert_allclose(slope, quotient, rtol=1e-4, atol=1e-6 * np.max(above))

    def test_gradient_and_value_agree_with_the_full_set(self, name: str) -> None:
        law = working_law(law_named(name))
        working = [0.4 + 0.05 * index for index in range(len(law.parameters))]
        logs = [np.linspace(-1, 1, 5)] * len(law.law.inputs)
        constants = [2.0] * (len(logs) + 1)
        full = law.evaluator.derivatives(working, logs, constants)
        value, first = law.evaluator.gradient(working, logs, constants)
        np.testing.assert_allclose(full.value, value, rtol=1e-14)
        np.testing.assert_allclose(law.evaluator.value(working, logs, constants), value, rtol=1e-14)
        for one, other in zip(full.first, first, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12)

    def test_second_derivatives_by_linear_parameters_are_left_out(self, name: str) -> None:
        law = working_law(law_named(name))
        ones = [0.5] * len(law.parameters)
        inputs, constants = [np.zeros(1)] * len(law.law.inputs), [2.0] * (len(law.law.inputs) + 1)
        present = law.evaluator.derivatives(ones, inputs, constants).second
        names = [entry.name for entry in law.parameters]
        linear = {names.index(each) for each in law.linear}
        assert not {pair for pair in present if set(pair) <= linear}


class TestBroadcasting:
    @pytest.mark.parametrize("name", CATALOGUE)
    def test_a_batch_of_parameters_gives_one_column_each(self, name: str) -> None:
        law = CATALOGUE[name]
        published = np.array([[0.5 + 0.1 * j, 0.6 + 0.1 * j] for j in range(len(law.parameters))])
        rows = [np.array([2.0, 3.0, 5.0])[:, None] for _ in law.inputs]
        both = law.evaluator.value(list(published), rows)
        assert both.shape == (3, 2)
        for column in range(2):
            alone = law.evaluator.value(list(published[:, column]), [row[:, 0] for row in rows])
            np.testing.assert_allclose(both[:, column], alone, rtol=1e-15)
