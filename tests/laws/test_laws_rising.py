"""The log of a rising factorial over a power, where gamma functions cancel and where not."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoloss.laws.rising import STIRLING_FROM, log_rise

SIZES = st.floats(-6, 15).map(lambda power: 10.0**power)


def exact(x: float, count: int) -> float:
    """The sum of log(1 + i/x) for i below a whole count, in decimals of sixty digits."""
    with localcontext() as context:
        context.prec = 60
        product = Decimal(1)
        for index in range(count):
            product *= 1 + index / Decimal(x)
        return float(product.ln())


@given(x=SIZES, count=st.integers(2, 60))
def test_is_the_log_of_the_product(x: float, count: int) -> None:
    assert float(log_rise(0, 0, x, count)) == pytest.approx(exact(x, count), rel=5e-15)


@given(x=SIZES, count=st.integers(2, 40))
def test_keeps_the_digits_that_gamma_functions_lose(x: float, count: int) -> None:
    """It falls off as n (n - 1)/2x however large x is."""
    value = float(log_rise(0, 0, 1e12 * x, count))
    assert value == pytest.approx(exact(1e12 * x, count), rel=5e-15)
    if x > 1:
        assert value == pytest.approx(count * (count - 1) / 2 / (1e12 * x), rel=1e-6)


@pytest.mark.parametrize("count", [0, 1])
@given(x=SIZES)
def test_of_no_factor_and_of_one_is_zero(count: int, x: float) -> None:
    assert float(log_rise(0, 0, x, count)) == pytest.approx(0, abs=2e-14 * (1 + abs(math.log(x))))


@pytest.mark.parametrize("count", [0.5, 3.0, 9.5, 200.0])
@pytest.mark.parametrize("order", [(0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2)])
def test_both_ways_to_compute_it_meet(order: tuple[int, int], count: float) -> None:
    edges = np.array([np.nextafter(STIRLING_FROM, 0), STIRLING_FROM])
    below, from_there = log_rise(*order, edges, count)
    assert below == pytest.approx(from_there, rel=1e-11)


@pytest.mark.parametrize(
    ("order", "of"), [((1, 0), (0, 0)), ((0, 1), (0, 0)), ((2, 0), (1, 0)), ((1, 1), (1, 0)),
                      ((1, 1), (0, 1)), ((0, 2), (0, 1))]
)  # fmt: skip
@given(x=st.floats(-1, 4).map(lambda power: 10.0**power), count=st.floats(1.5, 300))
def test_derivatives_are_those_of_difference_quotients(
    order: tuple[int, int], of: tuple[int, int], x: float, count: float
) -> None:
    step = 1e-5
    by_x = order[0] > of[0]
    span = step * (x if by_x else count)
    ends = [(x + s * span * by_x, count + s * span * (not by_x)) for s in (1, -1)]
    above, below = (float(log_rise(*of, *end)) for end in ends)
    quotient = (above - below) / (2 * span)
    rounding = 1e-14 * max(abs(above), abs(below)) / span
    assert float(log_rise(*order, x, count)) == pytest.approx(quotient, rel=1e-6, abs=rounding)


def test_ends_where_gamma_functions_do() -> None:
    assert float(log_rise(0, 0, np.inf, 7)) == 0.0
    assert np.isnan(log_rise(0, 0, -1.5, 7))


def test_broadcasts() -> None:
    rows, columns = np.array([1.0, 50.0, 1e9])[:, None], np.array([2.0, 5.0])
    result = log_rise(0, 0, rows, columns)
    assert result.shape == (3, 2)
    assert result[1, 1] == pytest.approx(exact(50.0, 5), rel=1e-14)
