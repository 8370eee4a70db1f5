"""Coupled ("Skaling"): Chinchilla's two terms under a common power."""

from __future__ import annotations

from isoloss.laws.law import Coordinates, Law, positive, real

# At the centre of a table the bracket is split into a level, in units of the typical loss, and the
# share of it that N holds; exponents are those of the power of the bracket, alpha k and beta k.
# These hardly depend on k, which A, B, alpha and beta do strongly.
_COORDINATES = Coordinates(
    parameters=(
        positive("E"),
        positive("level"),
        real("share", start=(0.1, 0.9), lower=0.0, upper=1.0),
        positive("model_exponent", start=(0.05, 0.6), upper=5.0),
        positive("data_exponent", start=(0.05, 0.6), upper=5.0),
        real("k", start=(0.2, 1.2), lower=0.02, upper=10.0),
    ),
    linear=("E", "level"),
    formula=(
        "E*loss0 + level*loss0*(share*(params/params0)**(-model_exponent/k)"
        " + (1 - share)*(tokens/tokens0)**(-data_exponent/k))**k"
    ),
    published={
        "E": "E*loss0",
        "A": "share*(level*loss0)**(1/k)*params0**(model_exponent/k)",
        "B": "(1 - share)*(level*loss0)**(1/k)*tokens0**(data_exponent/k)",
        "alpha": "model_exponent/k",
        "beta": "data_exponent/k",
        "k": "k",
    },
    working={
        "E": "E/loss0",
        "level": "(A/params0**alpha + B/tokens0**beta)**k/loss0",
        "share": "A/params0**alpha/(A/params0**alpha + B/tokens0**beta)",
        "model_exponent": "alpha*k",
        "data_exponent": "beta*k",
        "k": "k",
    },
)

COUPLED = Law(
    name="coupled",
    title="Coupled: E + (A/N^alpha + B/D^beta)^k",
    formula="E + (A/params**alpha + B/tokens**beta)**k",
    parameters=tuple(positive(name) for name in ("E", "A", "B", "alpha", "beta", "k")),
    coordinates=_COORDINATES,
    optimum="(alpha*A/(beta*B))**(1/(alpha + beta))*(flops/6)**(beta/(alpha + beta))",
    source='"Skaling", arXiv:2608.07222',
    remark="One parameter more than Chinchilla, for the interaction of N and D; a strong, cheap "
    "baseline on dense grids.",
)
