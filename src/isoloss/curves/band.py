"""How far a predicted curve may be off: noise of a point, parameters, other curves, more steps.

Residuals of a curve are alike over long stretches, so that they say little about the errors on
another curve. What a law makes of curves that it has not seen is measured: each curve is left out
in turn, and all are cut in the middle, refitted and predicted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from isoloss.arrays import Array
from isoloss.curves.law import Prepared
from isoloss.curves.solving import Optimum, Task, find_optimum, point_weights, point_worth
from isoloss.curves.table import Curve, Curves
from isoloss.errors import FitError
from isoloss.fitting import ErrorGrowth
from isoloss.fitting.hold import noise_around, precision
from isoloss.fitting.information import spread_of
from isoloss.laws import Centre

# Fewer curves than this cannot do without one.
_FEWEST_CURVES = 3
# Beyond so many curves groups of them are left out together.
_MOST_FOLDS = 12
# Share of the steps at which curves are cut to see errors grow.
_CUT = 0.5
# Points of a curve, at least, on either side of the cut.
_FEWEST_POINTS = 8
# Points of each curve at which errors are looked at.
_POINTS = 48


@dataclass(frozen=True, eq=False)
class CurveBand:
    """Sizes of the errors of predicted curves, as standard deviations of log loss.

    Attributes:
        noise: of a single point around its own curve.
        discrepancy: of a curve that was not fitted, within the steps of those that were.
        growth: how errors grow beyond the steps of the fitted curves.
        covariance: of the working parameters, shape (parameters, parameters).
        last_step: of the fitted curves.
        n_curves: curves that were left out in turn; 0 where there are too few.
    """

    noise: float
    discrepancy: float
    growth: ErrorGrowth
    covariance: Array
    last_step: float
    n_curves: int

    def deviation(self, prepared: Prepared, working: Array, steps: Array) -> Array:
        """Standard deviation of the log of the loss at points, shape (points,).

        The uncertainty of the parameters counts where it is more than what other curves showed,
        which holds it already.

        Args:
            prepared: the law over the points.
            working: working parameters, shape (parameters,).
            steps: of the points.
        """
        slopes = log_slopes(prepared, working)
        by_parameters = np.einsum("pj,jk,pk->p", slopes, self.covariance, slopes)
        reach = np.maximum(np.log(np.maximum(steps, 1.0) / max(self.last_step, 1.0)), 0.0)
        common = np.maximum(by_parameters, self.discrepancy**2)
        spread: Array = np.sqrt(self.noise**2 + common + self.growth.deviation(reach) ** 2)
        return spread


def log_slopes(prepared: Prepared, working: Array) -> Array:
    """Derivatives of the log of the loss by the working parameters, shape (points, parameters)."""
    columns = [column[:, None] for column in prepared.inputs]
    with np.errstate(all="ignore"):
        value, first = prepared.law.evaluator.gradient(
            list(working[:, None, None]), columns, prepared.law.constants(prepared.centre)
        )
        slopes = [np.broadcast_to(each / value, value.shape)[:, 0] for each in first]
    table: Array = np.stack(slopes, axis=1)
    return np.where(np.isfinite(table), table, 0.0)


def measure_band(optimum: Optimum) -> CurveBand:
    """The errors of a fit, by what refits of parts of its curves make of the rest.

    Args:
        optimum: the fit.
    """
    task = optimum.task
    curves, residuals = task.curves.curves, task.residuals(optimum.working)
    noise = _point_noise(curves, residuals)
    inside = _left_out(optimum) if len(curves) >= _FEWEST_CURVES else []
    squares = sum(float(np.mean(errors**2)) for errors in inside)
    own = float(np.average(residuals**2, weights=task.weights))
    discrepancy = float(np.sqrt(max(squares / max(len(inside), 1) - noise**2, 0.0)))
    errors, reach = _continued(optimum)
    growth = ErrorGrowth.of_errors(errors, reach, float(np.sqrt(max(own, discrepancy**2))))
    # What the fitted steps show of growth is one draw: a law that errs on curves of their length
    # errs as much again on those e times longer.
    growth = replace(growth, per_reach=max(growth.per_reach, discrepancy))
    return CurveBand(
        noise=noise,
        discrepancy=max(discrepancy, float(np.sqrt(max(own - noise**2, 0.0)))),
        growth=growth,
        covariance=_covariance(optimum),
        last_step=float(max(curve.steps[-1] for curve in curves)),
        n_curves=len(inside),
    )


def _point_noise(curves: Sequence[Curve], residuals: Array) -> float:
    """Standard deviation of a point around its neighbours, robustly, over all curves."""
    ends = np.cumsum([curve.steps.size for curve in curves])[:-1]
    bends = [part[1:-1] - 0.5 * (part[:-2] + part[2:]) for part in np.split(residuals, ends)]
    sizes = np.abs(np.concatenate(bends))
    if not sizes.size:
        return 0.0
    # Of a bend of independent errors the variance is 3/2 of theirs; the mean size of a Gaussian
    # is sqrt(2/pi) of its deviation.
    return float(np.sqrt(np.pi / 2.0 / 1.5) * np.mean(sizes))


def _left_out(optimum: Optimum) -> list[Array]:
    """Log errors on each curve when all others are fitted, at steps that these reach."""
    curves = optimum.task.thinned(_POINTS).curves.curves
    folds = min(len(curves), _MOST_FOLDS)
    found = []
    for fold in range(folds):
        rest = [curve for place, curve in enumerate(curves) if place % folds != fold]
        reached = max(int(curve.steps[-1]) for curve in rest)
        asked = [curve.take(curve.steps <= reached) for curve in curves[fold::folds]]
        asked = [curve for curve in asked if curve.steps.size]
        errors = _errors(optimum, rest, asked) if asked else None
        if errors is not None:
            found += errors
    return found


def _continued(optimum: Optimum) -> tuple[Array, Array]:
    """Log errors on the later parts of curves when the earlier ones are fitted, and their reach.

    All are cut at half of the most steps that any has.
    """
    thin = optimum.task.thinned(_POINTS)
    last = _CUT * max(float(curve.steps[-1]) for curve in thin.curves.curves)
    early = [curve.take(curve.steps <= last) for curve in thin.curves.curves]
    late = [curve.take(curve.steps > last) for curve in thin.curves.curves]
    early = [curve for curve in early if curve.steps.size]
    late = [curve for curve in late if curve.steps.size]
    points = min(sum(c.steps.size for c in early), sum(c.steps.size for c in late))
    if points < _FEWEST_POINTS:
        return np.empty(0), np.empty(0)
    errors = _errors(optimum, early, late)
    if errors is None:
        return np.empty(0), np.empty(0)
    reach = [np.log(curve.steps / last) for curve in late]
    return np.concatenate(errors), np.concatenate(reach)


def _errors(
    optimum: Optimum, fitted: Sequence[Curve], asked: Sequence[Curve]
) -> list[Array] | None:
    """Log errors on some curves of the law fitted to others; None where these cannot carry it."""
    task = optimum.task
    centre: Centre = task.problem.centre
    part = Curves(tuple(fitted))
    try:
        own = Task.of(task.law, part, task.problem.objective, centre=centre)
    except FitError:
        return None
    own = replace(own, weights=point_weights(part.curves, task.law.weighting))
    held = task.problem.hold is not None
    refit = find_optimum(own, optimum.working[:, None], 0, hold=held)
    found = []
    for curve in asked:
        predicted = task.law.prepare([curve.points], centre=centre).predict(refit.best.working)
        found.append(np.log(predicted[:, 0] / curve.loss))
    return found


def _covariance(optimum: Optimum) -> Array:
    """Covariance of the working parameters, with residuals worth what their correlation leaves."""
    task, working = optimum.task, optimum.working
    problem = task.problem
    residuals = task.residuals(working)
    predicted = problem.measured * np.exp(residuals)
    noise = noise_around(predicted, problem.measured, task.weights, working.size)
    worth = point_worth(task.curves.curves, residuals)
    level = worth * precision(problem.objective, noise, problem.centre.loss)
    # A robust penalty curves in few points: its expected curvature is that of all of them.
    slopes = log_slopes(Prepared(problem.law, problem.centred_inputs, problem.centre), working)
    matrix: Array = slopes.T @ (task.weights[:, None] * slopes)
    errors = np.abs(residuals)
    share = float(np.average(errors <= problem.objective.scale, weights=task.weights))
    if problem.hold is not None:
        matrix = max(share, 0.1) * matrix + np.diag(problem.hold.strength)
    return spread_of(level * matrix, working)
