"""Kaplan: one joint power law in N and D, without a floor."""

from __future__ import annotations

from isoloss.laws.law import Coordinates, Law, Published, positive

# N_c and D_c are sizes at which a loss of one would be reached, 10^13 and beyond; `model` and
# `data` are the losses that N0 alone and D0 alone would allow, in units of the typical loss.
_COORDINATES = Coordinates(
    parameters=(
        positive("model", start=(0.3, 1.0)),
        positive("data", start=(0.3, 1.0)),
        positive("alpha_N", start=(0.03, 0.3), upper=3.0),
        positive("alpha_D", start=(0.05, 0.5), upper=3.0),
    ),
    formula=(
        "loss0*(model**(1/alpha_D)*(params/params0)**(-alpha_N/alpha_D)"
        " + data**(1/alpha_D)*(tokens0/tokens))**alpha_D"
    ),
    published={
        "N_c": "params0*(loss0*model)**(1/alpha_N)",
        "D_c": "tokens0*(loss0*data)**(1/alpha_D)",
        "alpha_N": "alpha_N",
        "alpha_D": "alpha_D",
    },
    working={
        "model": "(N_c/params0)**alpha_N/loss0",
        "data": "(D_c/tokens0)**alpha_D/loss0",
        "alpha_N": "alpha_N",
        "alpha_D": "alpha_D",
    },
)

KAPLAN = Law(
    name="kaplan",
    standing=0.01,
    title="Kaplan: ((N_c/N)^(alpha_N/alpha_D) + D_c/D)^alpha_D",
    formula="((N_c/params)**(alpha_N/alpha_D) + D_c/tokens)**alpha_D",
    parameters=(positive("N_c"), positive("D_c"), positive("alpha_N"), positive("alpha_D")),
    coordinates=_COORDINATES,
    optimum=("((alpha_N/alpha_D)*N_c**(alpha_N/alpha_D)*flops/(6*D_c))**(1/(1 + alpha_N/alpha_D))"),
    source="Kaplan et al. 2020, arXiv:2001.08361, equation 1.5",
    params="nonembedding",
    remark="No irreducible loss: forecasts far beyond the data tend to be too low.",
    published=(
        Published(
            "kaplan-2020",
            {"N_c": 6.4e13, "D_c": 1.8e13, "alpha_N": 0.076, "alpha_D": 0.103},
            source="arXiv:2001.08361, equation 1.5 and table 2",
            data="WebText2, 768 to 1.5e9 parameters",
            loss="nats/token",
            params="nonembedding",
            warning="early-stopped loss with 10 % dropout: not for compute-optimal allocation",
        ),
    ),
)
