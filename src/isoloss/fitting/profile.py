"""Profile likelihood: how badly a law fits when one parameter is held away from its optimum.

Every point of a profile is a fit of all other parameters. The rise of the objective becomes a
likelihood ratio, the square of a Student's t, through the spread of the residuals (Schrader and
Hettmansperger 1980) and of the runs' pulls on the parameter (Kent 1982). An interval that never
closes shows a parameter that the data do not determine, in that direction.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from isoloss.arrays import Array, Mask
from isoloss.errors import FitError, InputError
from isoloss.fitting.identifiability import number_text
from isoloss.fitting.information import Information, local_information
from isoloss.fitting.problem import Problem
from isoloss.fitting.result import Fit
from isoloss.fitting.solver import solve
from isoloss.fitting.tables import GivenTables
from isoloss.laws import Law, working_law

DEFAULT_POINTS = 41
_LEVEL = 0.9
# The first range, as a multiple of a parabola's interval, and by how much it grows.
_FIRST_REACH = 1.5
_GROWTH = 3.0
# Widest profile to either side, in standard errors by the curvature at the optimum.
_WIDEST = 300.0
# Times that the range is changed, at most.
_MOST_ROUNDS = 12


@dataclass(frozen=True, eq=False)
class Profile:
    """The profile of one parameter.

    Attributes:
        parameter: its name; see `profile` for which parameters these are.
        fitted: its value in the fit.
        values: where it was held and the others could be refitted, rising.
        ratio: likelihood-ratio statistic there, 0 at the optimum.
        lower: lower end of the interval; -inf where it does not close.
        upper: upper end; inf where it does not close.
        level: of the interval.
    """

    parameter: str
    fitted: float
    values: Array
    ratio: Array
    lower: float
    upper: float
    level: float

    @property
    def determined(self) -> bool:
        """Whether the data bound the parameter on both sides."""
        return bool(np.isfinite(self.lower) and np.isfinite(self.upper))

    def to_json(self) -> dict[str, Any]:
        """The interval as one JSON object; an end where it does not close is None."""
        return {
            "parameter": self.parameter,
            "lower": self.lower if np.isfinite(self.lower) else None,
            "upper": self.upper if np.isfinite(self.upper) else None,
            "determined": self.determined,
            "level": self.level,
        }

    @property
    def sentence(self) -> str:
        """What a user should know about the parameter."""
        name, sure = self.parameter, f"({100 * self.level:g} %)"
        if self.determined:
            low, high = _apart(self.lower, self.upper)
            return f"{name} lies between {low} and {high} {sure}"
        if np.isfinite(self.lower):
            end, open_side = f"above {number_text(self.lower)}", "above"
        elif np.isfinite(self.upper):
            end, open_side = f"below {number_text(self.upper)}", "below"
        else:
            return f"the data do not bound {name}"
        return f"{name} lies {end} {sure}; the data do not bound it from {open_side}"


def _apart(low: float, high: float) -> tuple[str, str]:
    """Two numbers to three digits, or to as many as show the gap between them to a tenth or so."""
    gap = (high - low) / max(abs(low), abs(high), 1e-300)
    digits = 3 if gap <= 0 else max(3, 1 + int(np.ceil(np.log10(3.0 / gap))))
    return number_text(low, digits), number_text(high, digits)


def profile(
    fit: Fit,
    parameter: str,
    *,
    level: float = _LEVEL,
    points: int = DEFAULT_POINTS,
    threads: int | None = None,
) -> Profile:
    """Profile likelihood of one parameter.

    The range widens until the interval of the given level lies inside it, or a bound or three
    hundred standard errors are reached.

    Args:
        fit: a converged fit.
        parameter: a published parameter, or, for a law with coordinates of its own, one of these;
            exponents are mostly both.
        level: of the interval.
        points: values at which the other parameters are refitted.
        threads: for the solver.

    Raises:
        FitError: the fit did not converge, or in stages, which seek no minimum.
        InputError: the law has no such parameter.
    """
    fit.require_converged()
    if fit.method == "staged":
        raise FitError("a profile rises from a minimum, which a staged fit is not: fit jointly")
    names = [entry.name for entry in working_law(fit.law).parameters]
    if parameter not in names:
        raise InputError(
            "unknown working parameter",
            where=f"law {fit.law.name}",
            found=repr(parameter),
            expected="one of " + ", ".join(names),
        )
    axis = _axis(fit, names.index(parameter))
    critical = axis.known.quantile(level) ** 2
    room = axis.room()
    reach = tuple(min(_FIRST_REACH * axis.known.quantile(level), limit) for limit in room)
    for _ in range(_MOST_ROUNDS):
        sides = _refitted(fit, axis, reach, points, threads)
        wanted = tuple(
            side.reach(critical, at, limit)
            for side, at, limit in zip(sides, reach, room, strict=True)
        )
        if wanted == reach:
            break
        reach = wanted
    below, above = sides
    return Profile(
        parameter,
        float(above.values[0]),
        np.concatenate([below.values[:0:-1], above.values]),
        np.concatenate([below.ratio[:0:-1], above.ratio]),
        below.crossing(critical, -np.inf),
        above.crossing(critical, np.inf),
        level,
    )


def profiles(
    fit: Fit,
    *,
    level: float = _LEVEL,
    points: int = DEFAULT_POINTS,
    threads: int | None = None,
) -> tuple[Profile, ...]:
    """The profile of every parameter that `profile` knows, in the law's order.

    Args:
        fit: a converged fit.
        level: of the intervals.
        points: values of each parameter at which the others are refitted.
        threads: for the solver.

    Raises:
        FitError: the fit did not converge, or in stages, which seek no minimum.
    """
    return tuple(
        profile(fit, entry.name, level=level, points=points, threads=threads)
        for entry in working_law(fit.law).parameters
    )


def likelihood_scale(problem: Problem, fit: Fit) -> float:
    """What the objective is multiplied by to become minus a log likelihood."""
    return local_information(problem, fit.rows.weights, fit.surface.working).likelihood_scale


@dataclass(frozen=True, eq=False)
class _Axis:
    """A parameter, and the coordinates in which it is held while the others are refitted.

    Attributes:
        problem: law, in those coordinates, and table.
        known: what the rows say near the fit.
        index: of the parameter.
        working: the optimum in those coordinates.
        step: how they move along the profile for one standard error of the parameter.
        scale: what a rise of the objective is multiplied by to be a likelihood ratio.
        by_factors: whether the parameter is moved by factors: a positive one of any size.
        published: index of the published parameter as which values are reported; None for a
            coordinate of the law.
    """

    problem: Problem
    known: Information
    index: int
    working: Array
    step: Array
    scale: float
    by_factors: bool
    published: int | None

    def starts(self, distances: Array) -> Array:
        """Where refits begin with the parameter held so many standard errors away."""
        lower, upper = self.problem.lower[:, None], self.problem.upper[:, None]
        starts = np.clip(self.working[:, None] + self.step[:, None] * distances, lower, upper)
        if self.by_factors:
            middle = self.working[self.index]
            with np.errstate(over="ignore"):
                starts[self.index] = middle * np.exp(self.step[self.index] / middle * distances)
        return starts

    def room(self) -> tuple[float, float]:
        """How many standard errors the profile may reach to either side."""
        if self.by_factors:
            return _WIDEST, _WIDEST
        middle, error = self.working[self.index], self.step[self.index]
        low = float(middle - self.problem.lower[self.index]) / error
        high = float(self.problem.upper[self.index] - middle) / error
        return min(low, _WIDEST), min(high, _WIDEST)

    def values(self, starts: Array) -> Array:
        """Where the parameter is held, as users know it."""
        if self.published is None:
            own: Array = starts[self.index]
            return own
        published: Array = self.problem.law.to_published(starts, self.problem.centre)[
            self.published
        ]
        return published


def _axis(fit: Fit, index: int) -> _Axis:
    """The axis of a working parameter, or of the published one behind it."""
    problem = fit.problem
    working, centre = fit.surface.working.copy(), problem.centre
    known = local_information(problem, fit.rows.weights, working)
    entry, names = problem.law.parameters[index], fit.law.parameter_names
    gradient = np.eye(working.size)[index]
    published = names.index(entry.name) if entry.name in names else None
    coefficient = False
    if published is not None:
        jacobian = problem.law.published_jacobian(working, centre)[published]
        if np.any(np.delete(jacobian, index) != 0):
            # Its unit depends on other parameters, as A's on alpha through N0**alpha.
            coefficient = fit.law.coordinates is None
            gradient = jacobian if coefficient else gradient
            published = published if coefficient else None
    step = known.ridge(gradient[None])[0]
    if coefficient:
        working[index] = problem.law.to_published(working, centre)[index]
        step[index] = gradient @ step
        problem = replace(problem, law=working_law(_without_unit(fit.law, entry.name)))
    return _Axis(
        problem,
        known,
        index,
        working,
        step,
        2.0 * known.likelihood_scale * float(known.robustness(gradient[None])[0]),
        coefficient and entry.lower == 0.0 and bool(working[index] > 0.0),
        published,
    )


@functools.cache
def _without_unit(law: Law, name: str) -> Law:
    """The same law with one coefficient in the table's own units wherever it is fitted."""
    parameters = tuple(
        replace(entry, unit="1") if entry.name == name else entry for entry in law.parameters
    )
    return replace(law, parameters=parameters)


@dataclass(frozen=True, eq=False)
class _Side:
    """A profile to one side, from the optimum outwards.

    Attributes:
        distances: standard errors from the optimum.
        values: where the parameter was held.
        ratio: likelihood-ratio statistic there.
    """

    distances: Array
    values: Array
    ratio: Array

    def reach(self, critical: float, reached: float, limit: float) -> float:
        """How far to follow the profile so that its crossing lies inside, and not in a corner."""
        above = np.flatnonzero(self.ratio > critical)
        if not above.size:
            return min(_GROWTH * reached, limit)
        crossed = _FIRST_REACH * float(self.distances[above[0]])
        return crossed if crossed * _GROWTH < reached else reached

    def crossing(self, critical: float, otherwise: float) -> float:
        """Where the ratio first rises through the critical value."""
        above = np.flatnonzero(self.ratio > critical)
        if not above.size:
            return otherwise
        after = int(above[0])
        values = self.values[after - 1 : after + 1]
        low, high = np.sqrt(self.ratio[after - 1 : after + 1])
        share = (np.sqrt(critical) - low) / (high - low)
        return float(values[0] + share * (values[1] - values[0]))


def _refitted(
    fit: Fit, axis: _Axis, reach: Sequence[float], points: int, threads: int | None
) -> tuple[_Side, _Side]:
    """The profile to either side; values at which the others cannot be refitted are left out."""
    half = points // 2
    below, above = (np.linspace(0.0, each, half + 1) for each in reach)
    distances = np.concatenate([-below[:0:-1], above])
    starts = axis.starts(distances)
    value, found = _refit(fit, axis, starts, threads)
    value[half], found[half] = fit.objective_value, True
    ratio = np.maximum(axis.scale * (value - fit.objective_value), 0.0)
    values = axis.values(starts)
    inwards = np.flatnonzero(found[: half + 1])[::-1]
    outwards = half + np.flatnonzero(found[half:])
    first, second = (
        _Side(np.abs(distances[which]), values[which], ratio[which])
        for which in (inwards, outwards)
    )
    return first, second


def _refit(fit: Fit, axis: _Axis, starts: Array, threads: int | None) -> tuple[Array, Mask]:
    """The objective where a parameter is held and the others are refitted, and where they could be.

    A refit that fails begins once more where its nearest neighbour ended.
    """
    tables = GivenTables(fit.rows.weights)
    first = solve(axis.problem, starts, tables, held=(axis.index,), threads=threads)
    value, found = first.value.copy(), first.converged.copy()
    failed, good = np.flatnonzero(~found), np.flatnonzero(found)
    if failed.size and good.size:
        nearest = good[np.argmin(np.abs(failed[:, None] - good), axis=1)]
        again = first.working[:, nearest]
        again[axis.index] = starts[axis.index, failed]
        second = solve(axis.problem, again, tables, held=(axis.index,), threads=threads)
        value[failed], found[failed] = second.value, second.converged
    return value, found
