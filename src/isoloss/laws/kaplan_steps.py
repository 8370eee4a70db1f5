"""Kaplan's law of training: a power law each in N and in the least number of steps."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from isoloss.arrays import Array
from isoloss.laws.law import PARAMS, Coordinates, Law, Published, positive
from isoloss.laws.power import STEPS

KAPLAN_STEPS = Law(
    name="kaplan-steps",
    title="Kaplan: (N_c/N)^alpha_N + (S_c/S)^alpha_S",
    formula="(N_c/params)**alpha_N + (S_c/steps)**alpha_S",
    parameters=(positive("N_c"), positive("S_c"), positive("alpha_N"), positive("alpha_S")),
    coordinates=Coordinates(
        parameters=(
            positive("model"),
            positive("training"),
            positive("alpha_N", start=(0.02, 0.4), upper=3.0),
            positive("alpha_S", start=(0.1, 1.5), upper=5.0),
        ),
        linear=("model", "training"),
        formula="loss0*(model*(params/params0)**(-alpha_N) + training*(steps/steps0)**(-alpha_S))",
        published={
            "N_c": "params0*(loss0*model)**(1/alpha_N)",
            "S_c": "steps0*(loss0*training)**(1/alpha_S)",
            "alpha_N": "alpha_N",
            "alpha_S": "alpha_S",
        },
        working={
            "model": "(N_c/params0)**alpha_N/loss0",
            "training": "(S_c/steps0)**alpha_S/loss0",
            "alpha_N": "alpha_N",
            "alpha_S": "alpha_S",
        },
    ),
    inputs=(PARAMS, STEPS),
    source="Kaplan et al. 2020, arXiv:2001.08361, equation 1.6",
    params="nonembedding",
    remark="Steps are those that a batch far above the critical size would have needed, "
    "S_min = S/(1 + B_crit/B). No irreducible loss.",
    published=(
        Published(
            "kaplan-2020",
            {"N_c": 6.5e13, "S_c": 2.1e3, "alpha_N": 0.077, "alpha_S": 0.76},
            source="arXiv:2001.08361, table 3",
            data="WebText2, 768 to 1.5e9 parameters",
            loss="nats/token",
            params="nonembedding",
        ),
    ),
)


def off_optimal_compute(parameters: Mapping[str, float], size_ratio: npt.ArrayLike) -> Array:
    """How many times the least compute a model of another size needs for the same loss.

    Kaplan et al. 2020, arXiv:2001.08361, appendix B.4, where the loss is the one that the best
    size reaches when it is trained as far as is compute-optimal.

    Args:
        parameters: of the law above.
        size_ratio: size over the compute-optimal size.

    Returns:
        The factor; infinite for sizes too small to reach the loss at all.
    """
    ratio = np.asarray(size_ratio, dtype=np.float64)
    alpha, steps = parameters["alpha_N"], parameters["alpha_S"]
    with np.errstate(all="ignore"):
        bracket = 1.0 + (steps / alpha) * (1.0 - ratio**-alpha)
        return np.where(bracket > 0, ratio * np.maximum(bracket, 0.0) ** (-1.0 / steps), np.inf)
