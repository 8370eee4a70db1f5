"""The classical methods: the compute-optimal frontier without a loss surface.

Approach 1 follows the envelope of training curves, approach 2 the minima of IsoFLOP profiles; both
end in power laws N* = k C^a and D* = k C^b.
"""

from isoloss.fitting.frontier.akima import fit_isoflop_akima
from isoloss.fitting.frontier.envelope import EnvelopeFit, fit_envelope
from isoloss.fitting.frontier.isoflop import Budget, IsoflopFit
from isoloss.fitting.frontier.parabola import ParabolaBias, parabola_bias
from isoloss.fitting.frontier.parabolas import fit_isoflop_parabolas
from isoloss.fitting.frontier.power_law import Frontier, PowerLaw

__all__ = [
    "Budget",
    "EnvelopeFit",
    "Frontier",
    "IsoflopFit",
    "ParabolaBias",
    "PowerLaw",
    "fit_envelope",
    "fit_isoflop_akima",
    "fit_isoflop_parabolas",
    "parabola_bias",
]
