"""What a table can and cannot tell about a law's parameters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isoloss.arrays import Array
from isoloss.errors import FitError
from isoloss.fitting.problem import Problem

# Columns of the scaled Jacobian closer to dependence than this leave a direction undetermined:
# with second derivatives in double precision nothing finer can be told from rounding.
_RANK_TOLERANCE = 1e-8
# Below this an eigenvalue of a scaled information matrix is rounding, whatever its sign.
_SMALLEST_EIGENVALUE = 1e-20
# Condition number of the scaled information matrix beyond which single parameters mean little.
_WEAK_CONDITION = 1e8
# Rows looked at; dependence between parameters shows in these as in all.
_ROWS = 4096
# Share of the weakest direction that a parameter must hold to be named.
_NAMED_SHARE = 0.3


@dataclass(frozen=True)
class Identifiability:
    """How well data determine the working parameters at a fit.

    Attributes:
        condition: condition number of the information matrix, each parameter in units of its own
            conditional standard error.
        weak: parameters that make up the least determined direction, if it is weak.
        at_bound: parameters that ended on a bound of their domain.
    """

    condition: float
    weak: tuple[str, ...]
    at_bound: tuple[str, ...]


def require_carrying(problem: Problem, weights: Array, starts: Array) -> None:
    """Check that the table's runs could determine every parameter of the law.

    The law's sensitivities to its parameters must be independent over the table's rows at some
    of the starting points.

    Args:
        problem: law and table.
        weights: weight of each row.
        starts: working parameters at which to look, shape (parameters, starts).

    Raises:
        FitError: there are too few runs, no spread in the loss, or dependent parameters.
    """
    law, parameters = problem.law.law, problem.law.parameters
    present = weights > 0
    runs = int(np.sum(present))
    if runs <= len(parameters):
        raise FitError(
            f"law {law.name} has {len(parameters)} parameters and needs at least "
            f"{len(parameters) + 1} runs; the table has {runs}"
        )
    if np.ptp(np.log(problem.measured[present])) < 1e-12:
        raise FitError(
            f"all {runs} runs have the same loss {problem.measured[present][0]:g}: there is "
            "nothing to fit"
        )
    part, rows = problem.sample(_ROWS)
    jacobian = _sensitivities(part, starts)[:, present[rows]]
    with np.errstate(all="ignore"):
        scaled = jacobian / np.maximum(np.linalg.norm(jacobian, axis=1, keepdims=True), 1e-300)
    usable = np.isfinite(scaled).all(axis=(1, 2))
    if not usable.any():
        raise FitError(f"law {law.name} has no value anywhere in its range of starts")
    _, singular, directions = np.linalg.svd(scaled[usable], full_matrices=False)
    smallest = singular[:, len(parameters) - 1]
    best = int(np.argmax(smallest))
    if smallest[best] > _RANK_TOLERANCE:
        return
    share = np.abs(directions[best, -1]) / np.max(np.abs(directions[best, -1]))
    named = [entry.name for entry, part in zip(parameters, share, strict=True) if part > 0.1]
    counts = ", ".join(
        f"{np.unique(column[present]).size} value{'s' * (np.unique(column[present]).size > 1)} "
        f"of {entry.name}"
        # Fits of several recipes append columns that say which recipe a run is of.
        for entry, column in zip(law.inputs, problem.log_inputs, strict=False)
    )
    raise FitError(
        f"law {law.name} cannot be fitted: with {counts} the table does not tell apart "
        f"{', '.join(named)}; add runs or choose a law with fewer parameters"
    )


def _sensitivities(problem: Problem, points: Array) -> Array:
    """Relative sensitivities of the loss, shape (points, rows, parameters)."""
    columns = [column[:, None] for column in problem.log_inputs]
    shape = (problem.measured.size, points.shape[1])
    with np.errstate(all="ignore"):
        value, first = problem.law.evaluator.gradient(
            list(points[:, None, :]), columns, problem.law.constants(problem.centre)
        )
        rows = [np.broadcast_to(entry / value, shape) for entry in first]
    return np.moveaxis(np.stack(rows), 0, -1).transpose(1, 0, 2)


def identifiability(problem: Problem, weights: Array, working: Array) -> Identifiability:
    """How well the data determine the parameters at a fit, shape (parameters,)."""
    parameters = problem.law.parameters
    names = [entry.name for entry in parameters]
    # Where the law has no derivative, as by 0**x at a bound, the data say nothing.
    slopes = _sensitivities(problem, working[:, None])[0]
    jacobian = np.where(np.isfinite(slopes), slopes, 0.0)
    residual = problem.objective.residual(problem.predict(working[:, None])[:, 0], problem.measured)
    with np.errstate(all="ignore"):
        robust = problem.objective.penalty(residual, problem.objective.scale).weight
    reweighted = weights * np.where(np.isfinite(robust), robust, 0.0)
    information = jacobian.T @ (reweighted[:, None] * jacobian)
    scale = 1.0 / np.sqrt(np.maximum(np.diag(information), 1e-300))
    values, vectors = np.linalg.eigh(information * scale[:, None] * scale)
    condition = float(values[-1]) / max(float(values[0]), _SMALLEST_EIGENVALUE)
    share = np.abs(vectors[:, 0])
    weak = [name for name, part in zip(names, share, strict=True) if part > _NAMED_SHARE]
    bound = [
        entry.name
        for entry, value in zip(parameters, working, strict=True)
        if value <= entry.lower or value >= entry.upper
    ]
    return Identifiability(
        condition, tuple(weak) if condition > _WEAK_CONDITION else (), tuple(bound)
    )
