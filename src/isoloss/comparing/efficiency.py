"""Efficiency factors: by how much a recipe makes N and D worth more than in another.

Both recipes follow one law with all parameters shared, L_A(N, D) = L_B(rho_N N, rho_D D), as in
"Towards Robust Scaling Laws for Optimizers", arXiv:2602.07712. Two numbers for the whole plane: a
summary, which cannot say that a gain shrinks with scale.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from isoloss.arrays import Array
from isoloss.comparing.pair_ensemble import quantile
from isoloss.comparing.pair_fit import PairProblem
from isoloss.comparing.pairing import DIFFERENCE, SINGLE, SUM

# Rounds of weighing sums and differences of pairs by their own residuals.
_ROUNDS = 3
_LEAST_NOISE = 1e-6
# Condition beyond which double precision cannot invert the normal matrix.
_SINGULAR = 1e12


@dataclass(frozen=True)
class Efficiency:
    """Efficiency factors of the first recipe relative to the second.

    Attributes:
        law: name of the shared law.
        factors: of each input, with the ends of its interval.
        level: of the intervals.
    """

    law: str
    factors: dict[str, tuple[float, float, float]]
    level: float

    def to_json(self) -> dict[str, Any]:
        """The factors as one JSON object: value, lower, upper."""
        known = {name: list(entry) for name, entry in self.factors.items()}
        return {"law": self.law, "level": self.level, **known}


def efficiency(problem: PairProblem, level: float) -> Efficiency | None:
    """Fit the factors together with the law; None where the runs do not determine them."""
    from scipy.optimize import least_squares

    count, names = problem.middle.size, [entry.name for entry in problem.law.law.inputs]
    lower, upper = (
        np.concatenate([end[:count], np.full(len(names), far)])
        for end, far in zip(problem.bounds(), (-np.inf, np.inf), strict=True)
    )
    kinds = problem.pairing.kinds
    noise = np.full(3, 0.01)
    begin = np.concatenate([problem.middle, np.zeros(len(names))])
    for _ in range(_ROUNDS):
        scale = 1.0 / noise[kinds]
        solution = least_squares(
            lambda values, own: _residuals(problem, values)[0] * own,
            np.clip(begin, lower + 1e-9, upper - 1e-9),
            jac=lambda values, own: _residuals(problem, values)[1] * own[:, None],
            bounds=(lower, upper),
            x_scale=np.concatenate([problem.effect, np.ones(len(names))]),
            args=(scale,),
            max_nfev=200,
        )
        begin = solution.x
        off = _residuals(problem, begin)[0]
        for kind in (SINGLE, SUM, DIFFERENCE):
            if np.any(kinds == kind):
                noise[kind] = max(float(np.sqrt(np.mean(off[kinds == kind] ** 2))), _LEAST_NOISE)
    freedom = kinds.size - begin.size
    jacobian = solution.jac
    # Columns of one size: parameters have different units.
    size = np.maximum(np.sqrt(np.sum(jacobian**2, axis=0)), 1e-300)
    precision = (jacobian / size).T @ (jacobian / size)
    if freedom < 1 or not solution.success or np.linalg.cond(precision) > _SINGULAR:
        return None
    covariance = np.linalg.inv(precision) * (2.0 * solution.cost / freedom)
    errors = np.sqrt(np.diag(covariance)) / size
    half = quantile(freedom, 0.5 + level / 2) * errors[count:]
    values = begin[count:]
    ends = np.exp(np.clip(np.stack([values, values - half, values + half]), -50, 50))
    factors = {name: tuple(column) for name, column in zip(names, ends.T.tolist(), strict=True)}
    return Efficiency(
        problem.law.law.name,
        {name: (entry[0], entry[1], entry[2]) for name, entry in factors.items()},
        level,
    )


def _residuals(problem: PairProblem, values: Array) -> tuple[Array, Array]:
    """ln(predicted / measured) of the observations, and its derivatives.

    Args:
        problem: law and tables.
        values: working parameters, then the log of each factor.
    """
    count = problem.middle.size
    working, logs = values[:count], values[count:]
    inputs_a = [
        np.exp(column + shift) * middle
        for column, shift, middle in zip(problem.logs[0], logs, problem.centre.inputs, strict=True)
    ]
    moved_a = tuple(column + shift for column, shift in zip(problem.logs[0], logs, strict=True))
    moved = replace(problem, logs=(moved_a, problem.logs[1]))
    value_a, slopes_a = moved.log_predict(working, 0)
    value_b, slopes_b = moved.log_predict(working, 1)
    by_input = problem.law.slopes(working, inputs_a, problem.centre)
    shifts = np.stack(by_input, axis=1) / np.exp(value_a)[:, None]
    off = problem.pairing.observations(value_a - problem.log_loss[0], value_b - problem.log_loss[1])
    slopes = problem.pairing.observations(
        np.hstack([slopes_a, shifts]),
        np.hstack([slopes_b, np.zeros((value_b.size, logs.size))]),
    )
    return off, slopes
