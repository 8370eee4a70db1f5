"""The classical methods: the compute-optimal frontier without a loss surface.

Approach 1 follows the envelope of training curves, approach 2 the minima of IsoFLOP profiles; both
end in power laws N* = k C^a and D* = k C^b.
"""

from isoloss.fitting.frontier.akima import fit_isoflop_akima
from isoloss.fitting.frontier.curve_budgets import curves_at_budgets, fit_isoflop_curves
from isoloss.fitting.frontier.envelope import EnvelopeFit, fit_envelope
from isoloss.fitting.frontier.isoflop import Budget, IsoflopFit
from isoloss.fitting.frontier.optimal_loss import fit_optimal_loss
from isoloss.fitting.frontier.parabola import ParabolaBias, parabola_bias
from isoloss.fitting.frontier.parabolas import fit_isoflop_parabolas
from isoloss.fitting.frontier.power_law import PowerLaw
from isoloss.fitting.frontier.result import Frontier, FrontierFit, OptimalLosses

__all__ = [
    "Budget",
    "EnvelopeFit",
    "Frontier",
    "FrontierFit",
    "IsoflopFit",
    "OptimalLosses",
    "ParabolaBias",
    "PowerLaw",
    "curves_at_budgets",
    "fit_envelope",
    "fit_isoflop_akima",
    "fit_isoflop_curves",
    "fit_isoflop_parabolas",
    "fit_optimal_loss",
    "parabola_bias",
]
