"""The delta method: uncertainty from the curvature at the optimum, without any refit.

For an M-estimator the covariance is the sandwich H^-1 S H^-1, with H the curvature of the objective
and S the sum over runs of the outer products of their scores (Huber 1967); `information` has both,
for objectives too that curve in few residuals only. It holds whatever the law of the errors, as
long as the optimum is interior and the objective is close to a parabola around it; replicates need
neither.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from isoloss.arrays import Array
from isoloss.errors import FitError
from isoloss.fitting.information import local_information
from isoloss.fitting.result import Fit
from isoloss.laws import working_law

# Condition of the information matrix beyond which double precision cannot invert it.
_LARGEST_CONDITION = 1e12


@dataclass(frozen=True, eq=False)
class Covariance:
    """Covariance of a fit's working parameters.

    Attributes:
        fit: the fit.
        working: shape (parameters, parameters).
    """

    fit: Fit
    working: Array

    def standard_errors(self) -> dict[str, float]:
        """Standard error of each published parameter, to first order."""
        law, centre = working_law(self.fit.law), self.fit.surface.centre
        jacobian = law.published_jacobian(self.fit.surface.working, centre)
        variances = np.einsum("jk,kl,jl->j", jacobian, self.working, jacobian)
        names = self.fit.law.parameter_names
        return dict(zip(names, np.sqrt(np.maximum(variances, 0.0)).tolist(), strict=True))

    def log_deviation(self, **inputs: npt.ArrayLike) -> Array:
        """Standard deviation of the log of the predicted loss at each row."""
        surface = self.fit.surface
        law = working_law(surface.law)
        names = [entry.name for entry in surface.law.inputs]
        columns = [np.atleast_1d(np.asarray(inputs[name], dtype=np.float64)) for name in names]
        value, first = law.evaluator.gradient(
            list(surface.working),
            law.centred_inputs(columns, surface.centre),
            law.constants(surface.centre),
        )
        rows = np.stack([np.broadcast_to(slope / value, columns[0].shape) for slope in first])
        variance = np.einsum("jn,jk,kn->n", rows, self.working, rows)
        deviation: Array = np.sqrt(np.maximum(variance, 0.0))
        return deviation


def delta_covariance(fit: Fit) -> Covariance:
    """The sandwich covariance of a fit.

    Raises:
        FitError: the fit did not converge, ended on a bound, or its objective has no curvature in
            some direction.
    """
    fit.require_converged()
    if fit.identifiability.at_bound:
        raise FitError(
            "the delta method needs an interior optimum, and on a bound ended "
            f"{', '.join(fit.identifiability.at_bound)}: use bootstrap replicates"
        )
    known = local_information(fit.problem, fit.rows.weights, fit.surface.working)
    if known.condition > _LARGEST_CONDITION:
        raise FitError(
            "the delta method needs curvature in every direction; the data do not determine some "
            "combination of parameters: use bootstrap replicates"
        )
    return Covariance(fit, known.covariance)
