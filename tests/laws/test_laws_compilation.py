"""Compiled laws: first and second derivatives are exact, for every law of the catalogue."""

from __future__ import annotations

import functools
import itertools
import math
import pickle
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import sympy
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from laws_strategies import LAWS, at_kink, points

from isoloss.arrays import Array
from isoloss.laws import working_law
from isoloss.laws.compilation import Evaluator, log_gamma
from isoloss.laws.formula import parse_formula

mpmath: Any = pytest.importorskip("mpmath", reason="sharp difference quotients need mpmath")

# In double precision a difference quotient is too blunt to judge an exact second derivative; with
# 100 digits and this relative step it is right to 20, where gamma functions cancel too.
_DIGITS = 100
_STEP = "1e-12"
# Rounding of the compiled derivatives, on the scale of the largest of their kind, and of 1, from
# which laws of shares subtract.
_TOLERANCE = 1e-9


@functools.cache
def precise(evaluator: Evaluator) -> Callable[..., Any]:
    """The formula in the arithmetic of mpmath."""

    def exprel(order: int) -> Callable[[Any], Any]:
        return lambda t: mpmath.hyp1f1(order + 1, order + 2, t) / (order + 1)

    functions = {
        **{f"exprel{order}": exprel(order) for order in range(4)},
        "Maximum": max,
        "Minimum": min,
        "LogGamma": lambda order, x: mpmath.psi(order - 1, x) if order else mpmath.loggamma(x),
        "LogRise": lambda _i, _j, x, n: (
            mpmath.loggamma(x + n) - mpmath.loggamma(x) - n * mpmath.log(x)
        ),
        "Expm1": mpmath.expm1,
        "Log1p": mpmath.log1p,
    }
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
    largest = max(1.0, abs(value), np.abs(first).max())
    np.testing.assert_allclose(own_first, first, rtol=_TOLERANCE, atol=_TOLERANCE * largest)
    largest = max(largest, np.abs(second).max())
    np.testing.assert_allclose(own_second, second, rtol=_TOLERANCE, atol=_TOLERANCE * largest)


def _moved(column: Array, by: float, positive: bool) -> Array:
    """A column moved by a step, in its log if it is positive."""
    return column * np.exp(by) if positive else column + by


@pytest.mark.parametrize("name", LAWS)
class TestDerivatives:
    @settings(max_examples=10)
    @given(data=st.data())
    def test_in_working_coordinates(self, name: str, data: st.DataObject) -> None:
        point = data.draw(points(LAWS[name]))
        law = point.in_coordinates
        constants = law.constants(point.centre)
        ones = np.ones(point.working.size)
        assume(not at_kink(law.evaluator, point.working, point.centred_inputs, constants))
        assert_exact(law.evaluator, point.working, ones, point.centred_inputs, constants)

    @settings(max_examples=10)
    @given(data=st.data())
    def test_of_the_published_formula(self, name: str, data: st.DataObject) -> None:
        point = data.draw(points(LAWS[name], away_from_zero=True))
        published = point.published
        # A second derivative may divide by the square of such a number.
        assume(np.all(np.abs(np.log(np.abs(published))) < np.log(1e60)))
        assume(not at_kink(point.law.evaluator, published, point.inputs))
        assert_exact(point.law.evaluator, published, np.abs(published), point.inputs, ())

    @given(data=st.data())
    def test_slopes_by_the_inputs_or_their_logs(self, name: str, data: st.DataObject) -> None:
        point = data.draw(points(LAWS[name]))
        law, step = point.in_coordinates, 1e-5
        constants = law.constants(point.centre)
        assume(not at_kink(law.evaluator, point.working, point.centred_inputs, constants))
        slopes = law.slopes(point.working, point.inputs, point.centre)
        for index, (entry, slope) in enumerate(zip(law.law.inputs, slopes, strict=True)):
            above, below = (
                law.predict(point.working, moved, point.centre)
                for moved in (
                    [
                        column if other != index else _moved(column, by, entry.positive)
                        for other, column in enumerate(point.inputs)
                    ]
                    for by in (step, -step)
                )
            )
            assume(np.all(np.isfinite([above, below])))
            quotient = (above - below) / (2 * step)
            scale = max(1.0, np.max(np.abs(above)), np.max(np.abs(slope)))
            np.testing.assert_allclose(slope, quotient, rtol=1e-4, atol=1e-6 * scale)

    def test_gradient_and_value_agree_with_the_full_set(self, name: str) -> None:
        law = working_law(LAWS[name])
        working = [0.4 + 0.05 * index for index in range(len(law.parameters))]
        logs = [np.linspace(-1, 1, 5)] * len(law.law.inputs)
        constants = [2.0] * len(law.evaluator.constants)
        full = law.evaluator.derivatives(working, logs, constants)
        value, first = law.evaluator.gradient(working, logs, constants)
        np.testing.assert_allclose(full.value, value, rtol=1e-13)
        np.testing.assert_allclose(law.evaluator.value(working, logs, constants), value, rtol=1e-13)
        for one, other in zip(full.first, first, strict=True):
            # Where slopes vanish, what is left is rounding.
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)

    def test_second_derivatives_by_linear_parameters_are_left_out(self, name: str) -> None:
        law = working_law(LAWS[name])
        values = np.linspace(0.5, 0.9, len(law.parameters)).tolist()
        inputs = [np.zeros(1)] * len(law.law.inputs)
        constants = [2.0] * len(law.evaluator.constants)
        present = law.evaluator.derivatives(values, inputs, constants).second
        names = [entry.name for entry in law.parameters]
        linear = {names.index(each) for each in law.linear}
        assert not {pair for pair in present if set(pair) <= linear}


X, Y = sympy.symbols("x y", positive=True)
NAMES = {"x": X, "y": Y}


def of_two(formula: str) -> Evaluator:
    return Evaluator(parse_formula(formula, NAMES), (X, Y), ())


class TestDerivativesOfFunctions:
    @pytest.mark.parametrize(
        "formula",
        [
            "max(x, y)",
            "min(x, y)",
            "y*max(x, 1)**y + min(x**2, 3)/max(x*y, 2)",
            "max(min(x, y), 0.5)*exp(-max(x, y))",
            "lgamma(x) + y*lgamma(x + y)",
            "exp(lgamma(x + y) - lgamma(x + y + 1))",
            "lrise(x, y) - x*lrise(x*y, 2*y + 1)**2 + lrise(x + 20, 3*y)",
            "expm1(-x)*y + expm1(x*y)**2",
            "log1p(x)/y + log1p(x*y)**2",
        ],
    )
    @settings(max_examples=15)
    @given(x=st.floats(1e-3, 8), y=st.floats(1e-3, 8))
    @example(x=1e-3, y=2e-3)
    def test_are_exact_away_from_kinks(self, formula: str, x: float, y: float) -> None:
        gaps = [x - y, x - 1, y - 1, x - 0.5, y - 0.5, x**2 - 3, x * y - 2]
        assume(min(map(abs, gaps)) > 1e-6)
        values = np.array([x, y])
        assert_exact(of_two(formula), values, values, (), ())

    @pytest.mark.parametrize("function", ["max", "min"])
    def test_a_kink_has_no_second_derivative(self, function: str) -> None:
        assert not of_two(f"{function}(2*x, y)").derivatives([1.0, 3.0], ()).second

    @pytest.mark.parametrize("function", ["max", "min"])
    def test_where_both_are_equal_the_slope_is_of_one_of_them(self, function: str) -> None:
        _, first = of_two(f"{function}(2*x, y)").gradient([1.0, 2.0], ())
        assert tuple(float(slope) for slope in first) in {(2.0, 0.0), (0.0, 1.0)}

    def test_a_branch_without_a_slope_does_no_harm(self) -> None:
        x = np.array([0.0, 4.0])
        evaluator = of_two("max(sqrt(x), y)")
        with np.errstate(divide="ignore"):
            value, first = evaluator.gradient([x, 0.5], ())
        np.testing.assert_array_equal(value, [0.5, 2.0])
        np.testing.assert_array_equal(first[0], [0.0, 0.25])
        np.testing.assert_array_equal(first[1], [1.0, 0.0])

    @given(st.floats(1e-300, 1e-3), st.sampled_from([1, -1]))
    def test_small_differences_keep_their_digits(self, size: float, sign: int) -> None:
        value = of_two(f"expm1({sign}*x) + 0*y").value([size, 1.0], ())
        assert value == pytest.approx(float(mpmath.expm1(sign * size)), rel=1e-15)
        value = of_two(f"log1p({sign}*x) + 0*y").value([size, 1.0], ())
        assert value == pytest.approx(float(mpmath.log1p(sign * size)), rel=1e-15)


class TestLogGamma:
    @given(st.integers(0, 4), st.floats(1e-6, 1e6))
    @example(0, 1.0)
    @example(0, 2.0)
    @example(1, 1.4616321449683622)
    def test_equals_the_polygamma_functions(self, order: int, x: float) -> None:
        with mpmath.workdps(30):
            exact = mpmath.psi(order - 1, mpmath.mpf(x)) if order else mpmath.loggamma(x)
        assert float(log_gamma(order, x)) == pytest.approx(float(exact), rel=1e-13, abs=1e-15)

    def test_ends_at_zero(self) -> None:
        np.testing.assert_array_equal(log_gamma(0, [0.0, -1.5, np.inf]), [np.inf, np.nan, np.inf])
        for order in (1, 2):
            assert np.isnan(log_gamma(order, -1.5))

    @given(st.integers(1, 30), st.integers(1, 30))
    def test_counts_as_the_factorial_does(self, a: int, b: int) -> None:
        choose = of_two("exp(lgamma(x + y + 1) - lgamma(x + 1) - lgamma(y + 1))")
        assert choose.value([float(a), float(b)], ()) == pytest.approx(math.comb(a + b, a))

    def test_pass_at_k_is_what_a_beta_distribution_of_tasks_gives(self) -> None:
        names = {name: sympy.Symbol(name, positive=True) for name in ("a", "b", "k")}
        formula = "1 - exp(lgamma(b + k) + lgamma(a + b) - lgamma(a + b + k) - lgamma(b))"
        evaluator = Evaluator(parse_formula(formula, names), tuple(names.values()), ())
        # One attempt succeeds with the mean a/(a + b); with a = b = 1, k of them fail in 1/(k + 1).
        assert evaluator.value([2.0, 6.0, 1.0], ()) == pytest.approx(0.25, rel=1e-14)
        k = np.array([1.0, 4.0, 100.0])
        np.testing.assert_allclose(evaluator.value([1.0, 1.0, k], ()), k / (k + 1), rtol=1e-12)

    def test_is_the_one_function_that_needs_scipy(self) -> None:
        program = """
import sys, sympy
from isoloss.laws.compilation import Evaluator
from isoloss.laws.formula import parse_formula
x = sympy.Symbol("x", positive=True)
for formula in ("max(x, 1)*min(x, 3)*expm1(x)*log1p(x)*boxcox(x, 2)", "lgamma(x)"):
    Evaluator(parse_formula(formula, {"x": x}), (x,), ()).derivatives([2.0], ())
    print("scipy.special" in sys.modules)
"""
        done = subprocess.run(
            [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60
        )
        assert done.stdout.split() == ["False", "True"]


class TestNames:
    @pytest.mark.parametrize(
        "name", ["exprel0", "Maximum", "LogGamma", "e", "pi", "x0", "numpy", "log_gamma"]
    )
    def test_a_parameter_may_be_called_like_what_the_compiler_uses(self, name: str) -> None:
        own, x = sympy.Symbol(name, positive=True), sympy.Symbol("x", positive=True)
        formula = f"{name}*exp(1)*max(x, 1) + boxcox(x, {name}) + lgamma(x + 1) + max(x, 1)**2"
        evaluator = Evaluator(parse_formula(formula, {name: own, "x": x}), (own, x), ())
        expected = 0.5 * math.e * 3 + (np.sqrt(3) - 1) / 0.5 + np.log(6) + 9
        assert evaluator.derivatives([0.5, 3.0], ()).value == pytest.approx(expected, rel=1e-14)


class TestPickling:
    def test_a_formula_with_every_function_survives(self) -> None:
        evaluator = of_two(
            "max(x, y)*min(x, y) + lgamma(x)*expm1(x)*log1p(x) + boxcox(x, y)*sqrt(y)*log(x)"
            " + lrise(x, y)"
        )
        received = pickle.loads(pickle.dumps(evaluator))
        assert received == evaluator
        one, other = (each.derivatives([1.5, 2.5], ()) for each in (received, evaluator))
        assert one == other


class TestBroadcasting:
    def test_of_functions_of_two_arguments(self) -> None:
        rows, columns = np.array([1.0, 2.0, 3.0])[:, None], np.array([2.0, 0.5])
        for name, function in (("max", np.maximum), ("min", np.minimum)):
            result = of_two(f"{name}(x, y)").derivatives([rows, columns], ())
            np.testing.assert_array_equal(result.value, function(rows, columns))
            chosen = result.value == rows
            np.testing.assert_array_equal(result.first[0], chosen)
            assert all(slope.dtype == np.float64 for slope in result.first)

    @pytest.mark.parametrize("name", LAWS)
    def test_a_batch_of_parameters_gives_one_column_each(self, name: str) -> None:
        law = LAWS[name]
        published = np.array([[0.5 + 0.1 * j, 0.6 + 0.1 * j] for j in range(len(law.parameters))])
        rows = [np.array([2.0, 3.0, 5.0])[:, None] for _ in law.inputs]
        both = law.evaluator.value(list(published), rows)
        assert both.shape == (3, 2)
        for column in range(2):
            alone = law.evaluator.value(list(published[:, column]), [row[:, 0] for row in rows])
            np.testing.assert_allclose(both[:, column], alone, rtol=1e-15)
