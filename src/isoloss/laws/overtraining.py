"""Over-training law: one exponent for N and D, loss as a function of compute and tokens a param."""

from __future__ import annotations

from dataclasses import replace

from isoloss.laws.law import Law, Published, positive

_WARNING = "recomputed from the released runs; agrees with the paper after rounding"


def _published(name: str, data: str, a: float, b: float, eta: float, E: float) -> Published:
    return Published(
        name,
        {"E": E, "a": a, "b": b, "eta": eta},
        source="Gadre et al. 2024, arXiv:2403.08540, released model files",
        data=f"five models trained on {data}, loss on C4",
        loss="nats/token",
        params="total",
        warning=_WARNING,
    )


OVERTRAINING = Law(
    name="overtraining",
    standing=0.1,
    title="Over-training: E + (a M^eta + b M^-eta) C^-eta, M = D/N, C = 6ND",
    formula="E + (a*(tokens/params)**eta + b*(tokens/params)**(-eta))*(6*params*tokens)**(-eta)",
    parameters=(
        positive("E"),
        positive("a"),
        positive("b"),
        positive("eta", start=(0.03, 0.5), upper=1.5),
    ),
    linear=("E", "a", "b"),
    optimum="((flops/6)*(a/b)**(1/(2*eta)))**(1/2)",
    source="Gadre et al. 2024, arXiv:2403.08540, equation 4",
    remark="Chinchilla with alpha = beta = 2 eta: the safe choice on sparse ladders.",
    published=(
        _published("c4", "C4", 141.28, 189.52, 0.1212, 1.5083),
        _published("redpajama", "RedPajama", 212.24, 366.69, 0.1364, 1.8366),
        _published("refinedweb", "RefinedWeb", 157.12, 246.21, 0.1272, 1.7345),
    ),
)

# Half of the exponents that Besiroglu et al. (2024) found for Chinchilla's runs, 0.35 and 0.37; the
# spread was chosen on public tables.
_TYPICAL_ETA = (0.175, 0.025)

OVERTRAINING_HELD = replace(
    OVERTRAINING,
    name="overtraining-held",
    standing=3.0,
    title="Over-training, held near Chinchilla's exponents as far as the data leave them open",
    parameters=tuple(
        replace(entry, typical=_TYPICAL_ETA) if entry.name == "eta" else entry
        for entry in OVERTRAINING.parameters
    ),
    remark="The safest law for a ladder of few sizes: three numbers for the data to determine.",
    published=(),
)
