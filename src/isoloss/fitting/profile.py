"""Profile likelihood: how badly a law fits when one parameter is held away from its optimum.

Every point of a profile is a fit of all other parameters. The rise of the objective becomes a
likelihood ratio through the spread of the residuals: for an M-estimator with penalty rho,
2 (rise) mean(rho'') / mean(rho'^2) is chi-squared with one degree of freedom (Schrader and
Hettmansperger 1980). An interval that never closes shows a parameter that the data do not
determine, in that direction.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import chdtri

from isoloss.arrays import Array
from isoloss.errors import InputError
from isoloss.fitting.problem import Problem
from isoloss.fitting.result import Fit
from isoloss.fitting.solver import solve
from isoloss.fitting.tables import GivenTables
from isoloss.laws import working_law

DEFAULT_POINTS = 41
_LEVEL = 0.9
# Widest profile, in conditional standard errors to either side, and how it is reached.
_WIDEST = 3000.0
_FIRST_REACH = 4.0
_GROWTH = 3.0


@dataclass(frozen=True)
class Profile:
    """The profile of one working parameter.

    Attributes:
        parameter: its name in the law's working coordinates.
        values: where it was held.
        ratio: likelihood-ratio statistic there, 0 at the optimum.
        lower: lower end of the interval; -inf where it does not close.
        upper: upper end; inf where it does not close.
        level: of the interval.
    """

    parameter: str
    values: Array
    ratio: Array
    lower: float
    upper: float
    level: float

    @property
    def determined(self) -> bool:
        """Whether the data bound the parameter on both sides."""
        return bool(np.isfinite(self.lower) and np.isfinite(self.upper))


def profile(
    fit: Fit,
    parameter: str,
    *,
    level: float = _LEVEL,
    points: int = DEFAULT_POINTS,
    threads: int | None = None,
) -> Profile:
    """Profile likelihood of one working parameter.

    The range widens until the interval of the given level lies inside it, or a bound or three
    thousand conditional standard errors are reached.

    Args:
        fit: a converged fit.
        parameter: its name in the working coordinates, which for laws without coordinates of
            their own is the published name.
        level: of the interval.
        points: values at which the other parameters are refitted.
        threads: for the solver.

    Raises:
        FitError: the fit did not converge.
        InputError: the law has no such working parameter.
    """
    fit.require_converged()
    names = [entry.name for entry in working_law(fit.law).parameters]
    if parameter not in names:
        raise InputError(
            "unknown working parameter",
            where=f"law {fit.law.name}",
            found=repr(parameter),
            expected="one of " + ", ".join(names),
        )
    index = names.index(parameter)
    problem = Problem.of(fit.law, fit.rows, fit.objective, fit.surface.centre)
    middle = float(fit.surface.working[index])
    error = _conditional_error(problem, fit, index)
    critical = float(chdtri(1.0, 1.0 - level))
    low = high = _FIRST_REACH
    while True:
        left = max(middle - low * error, problem.lower[index])
        right = min(middle + high * error, problem.upper[index])
        half = points // 2
        values = np.concatenate(
            [np.linspace(left, middle, half + 1), np.linspace(middle, right, half + 1)[1:]]
        )
        ratio = _ratio(problem, fit, index, values, threads)
        open_left = ratio[0] < critical and left > problem.lower[index] and low < _WIDEST
        open_right = ratio[-1] < critical and right < problem.upper[index] and high < _WIDEST
        if not (open_left or open_right):
            break
        low, high = low * (_GROWTH if open_left else 1), high * (_GROWTH if open_right else 1)
    return Profile(
        parameter,
        values,
        ratio,
        _crossing(values[: half + 1][::-1], ratio[: half + 1][::-1], critical, -np.inf),
        _crossing(values[half:], ratio[half:], critical, np.inf),
        level,
    )


def _conditional_error(problem: Problem, fit: Fit, index: int) -> float:
    """Standard error of a parameter with the others fixed, a scale for the first range."""
    value, first = problem.law.evaluator.gradient(
        list(fit.surface.working), problem.log_inputs, problem.law.constants(problem.centre)
    )
    sensitivity = np.broadcast_to(first[index] / value, problem.measured.shape)
    information = float(np.sum(fit.rows.weights * sensitivity**2))
    return fit.noise / float(np.sqrt(max(information, 1e-300)))


def _ratio(problem: Problem, fit: Fit, index: int, values: Array, threads: int | None) -> Array:
    """Likelihood-ratio statistic with one parameter held at each value."""
    starts = np.repeat(fit.surface.working[:, None], values.size, axis=1)
    starts[index] = values
    held = solve(problem, starts, GivenTables(fit.rows.weights), held=(index,), threads=threads)
    rise = held.value - fit.objective_value
    return np.maximum(2.0 * likelihood_scale(problem, fit) * rise, 0.0)


def likelihood_scale(problem: Problem, fit: Fit) -> float:
    """What the objective is multiplied by to become minus a log likelihood."""
    predicted = problem.predict(fit.surface.working[:, None])[:, 0]
    residual = problem.objective.residual(predicted, problem.measured)
    penalty = problem.objective.penalty(residual, problem.objective.scale)
    weights = fit.rows.weights
    freedom = max(1, fit.n_runs - fit.surface.working.size) / fit.n_runs
    ratio = np.sum(weights * penalty.curvature) / np.sum(weights * penalty.slope**2)
    return float(freedom * ratio)


def _crossing(values: Array, ratio: Array, critical: float, otherwise: float) -> float:
    """Where the ratio first rises through the critical value, walking out from the optimum."""
    above = np.flatnonzero(ratio > critical)
    if not above.size:
        return otherwise
    after = int(above[0])
    root = np.sqrt(ratio[after - 1 : after + 1])
    share = (np.sqrt(critical) - root[0]) / (root[1] - root[0])
    return float(values[after - 1] + share * (values[after] - values[after - 1]))
