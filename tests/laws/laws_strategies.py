"""Laws at random places of their domain, for properties that hold for all of them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy
from hypothesis import assume
from hypothesis import strategies as st

from isoloss.arrays import Array
from isoloss.laws import (
    CATALOGUE,
    Centre,
    Input,
    Law,
    Parameter,
    WorkingLaw,
    mixing_law,
    working_law,
)
from isoloss.laws.compilation import Evaluator
from isoloss.laws.functions import Maximum, Minimum

# In published form a curve exp(a N**e + b) has a and b that grow as 1/e and cancel; nearer to an
# exponent of 0 than this, comparisons in double precision say nothing.
SMALLEST_EXPONENT = 0.05
ROWS = 7
# Rows lie within this factor of the centre, in logs, as those of a table do.
SPREAD = 3.0
# Derivatives jump where the arguments of max or min cross; no difference quotient spans this gap.
SMALLEST_GAP = 1e-3
SMALLEST_PREDICTION = 1e-12

# Every law of the catalogue, and one of shares, which may be zero.
LAWS = {**CATALOGUE, "mixing": mixing_law(("code", "web"), "loss")}


@dataclass(frozen=True, repr=False)
class Point:
    """A law at working parameters, with a centre and a few rows around it."""

    law: Law
    centre: Centre
    working: Array
    inputs: tuple[Array, ...]

    def __repr__(self) -> str:
        return f"{self.law.name} at {self.working} about {self.centre}, rows {self.inputs}"

    @property
    def in_coordinates(self) -> WorkingLaw:
        return working_law(self.law)

    @property
    def published(self) -> Array:
        return self.in_coordinates.to_published(self.working, self.centre)

    @property
    def centred_inputs(self) -> list[Array]:
        return self.in_coordinates.centred_inputs(self.inputs, self.centre)


def _values(parameter: Parameter) -> st.SearchStrategy[float]:
    """Anywhere in the range of starts and half its width beyond, off the bounds of the domain."""
    low, high = parameter.start
    margin = 0.5 * (high - low)
    least = max(low - margin, parameter.lower + 0.02)
    return st.floats(least, min(high + margin, parameter.upper - 0.02))


def _middle(entry: Input) -> st.SearchStrategy[float]:
    if not entry.positive:
        return st.just(1.0)
    return st.floats(*np.log(entry.usual)).map(lambda log: float(np.exp(log)))


def _column(entry: Input, middle: float) -> st.SearchStrategy[Array]:
    """Log-uniform in the usual range of the input, near the centre; shares from 0 to 1."""
    if not entry.positive:
        return st.lists(st.floats(0, 1), min_size=ROWS, max_size=ROWS).map(np.array)
    low, high = np.clip(np.log(middle) + np.array([-SPREAD, SPREAD]), *np.log(entry.usual))
    return st.lists(st.floats(low, high), min_size=ROWS, max_size=ROWS).map(np.exp)


@st.composite
def points(draw: st.DrawFn, law: Law, *, away_from_zero: bool = False) -> Point:
    """A random point of a law's domain, a random centre, and rows around it, all of usual size.

    Args:
        draw: supplied by Hypothesis.
        law: the law.
        away_from_zero: keep parameters that may be 0 off it, as published forms need.
    """
    middle = tuple(draw(_middle(entry)) for entry in law.inputs)
    centre = Centre(middle, float(np.exp(draw(st.floats(-2, 2)))))
    working = np.array([draw(_values(entry)) for entry in working_law(law).parameters])
    if away_from_zero:
        sign = np.where(working < 0, -1.0, 1.0)
        working = sign * np.maximum(np.abs(working), SMALLEST_EXPONENT)
    inputs = tuple(
        draw(_column(entry, size)) for entry, size in zip(law.inputs, middle, strict=True)
    )
    point = Point(law, centre, working, inputs)
    with np.errstate(all="ignore"):
        predicted = point.in_coordinates.predict(working, inputs, centre)
    # Of a chance or a loss that has all but vanished only rounding is left to compare, and where
    # it is beyond all bounds its slopes change within the step of a quotient.
    assume(np.all(np.abs(predicted) < 1.0 / SMALLEST_PREDICTION))
    assume(not law.target.positive or np.all(np.abs(predicted) > SMALLEST_PREDICTION))
    return point


def at_kink(
    evaluator: Evaluator,
    parameters: Sequence[Array] | Array,
    inputs: Sequence[Array],
    constants: Sequence[float] = (),
) -> bool:
    """Whether a row is where the arguments of a max or min cross.

    There the compiled slope is that of one side, and a difference quotient lies between the two.
    """
    values = (list(parameters), inputs, constants)
    with np.errstate(all="ignore"):
        return any(
            bool(np.any(np.abs(gap.value(*values)) < SMALLEST_GAP)) for gap in _gaps(evaluator)
        )


@functools.cache
def _gaps(evaluator: Evaluator) -> list[Evaluator]:
    """By how much the arguments of each max and min differ, as a share of them or of 1."""
    return [
        _like(evaluator, (first - second) / (1 + sympy.Abs(first) + sympy.Abs(second)))
        for first, second in (node.args for node in evaluator.expression.atoms(Maximum, Minimum))
    ]


def _like(evaluator: Evaluator, expression: Any) -> Evaluator:
    return Evaluator(expression, evaluator.parameters, evaluator.inputs, evaluator.constants)
