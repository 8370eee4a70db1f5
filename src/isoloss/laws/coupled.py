"""Coupled ("Skaling"): Chinchilla's two terms under a common power."""

from __future__ import annotations

from dataclasses import replace

from isoloss.laws.law import Coordinates, Law, positive, real

# At the centre of a table the bracket is split into a level, in units of the typical loss, and the
# share of it that N holds; exponents are those of the power of the bracket, alpha k and beta k.
# These hardly depend on k, which A, B, alpha and beta do strongly. Runs that say nothing of one
# term would shrink its share for ever.
_SHARE = real("share", start=(0.1, 0.9), lower=1e-6, upper=1.0 - 1e-6)
_COORDINATES = Coordinates(
    parameters=(
        positive("E"),
        positive("level"),
        _SHARE,
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
    standing=0.1,
    title="Coupled: E + (A/N^alpha + B/D^beta)^k",
    formula="E + (A/params**alpha + B/tokens**beta)**k",
    parameters=tuple(positive(name) for name in ("E", "A", "B", "alpha", "beta", "k")),
    coordinates=_COORDINATES,
    optimum="(alpha*A/(beta*B))**(1/(alpha + beta))*(flops/6)**(beta/(alpha + beta))",
    source='"Skaling", arXiv:2608.07222',
    remark="One parameter more than Chinchilla, for the interaction of N and D; a strong, cheap "
    "baseline on dense grids.",
)

# Chosen on public tables: exponents of N and D both near a third, k a little below one.
# Held there, the law is nearly Chinchilla's with equal exponents where the runs say nothing else.
_HELD_COORDINATES = Coordinates(
    parameters=(
        positive("E"),
        positive("level"),
        _SHARE,
        replace(positive("exponent", start=(0.05, 0.6), upper=5.0), typical=(0.33, 0.1)),
        replace(real("gap", start=(-0.1, 0.1), lower=-3.0, upper=3.0), typical=(0.0, 0.03)),
        replace(real("log_k", start=(-0.7, 0.3), lower=-4.0, upper=2.3), typical=(-0.2, 0.2)),
    ),
    linear=("E", "level"),
    formula=(
        "E*loss0 + level*loss0*("
        "share*(params/params0)**(-(exponent + gap/2)*exp(-log_k))"
        " + (1 - share)*(tokens/tokens0)**(-(exponent - gap/2)*exp(-log_k))"
        ")**exp(log_k)"
    ),
    published={
        "E": "E*loss0",
        "A": "share*(level*loss0)**exp(-log_k)*params0**((exponent + gap/2)*exp(-log_k))",
        "B": "(1 - share)*(level*loss0)**exp(-log_k)*tokens0**((exponent - gap/2)*exp(-log_k))",
        "alpha": "(exponent + gap/2)*exp(-log_k)",
        "beta": "(exponent - gap/2)*exp(-log_k)",
        "k": "exp(log_k)",
    },
    working={
        **{name: _COORDINATES.working[name] for name in ("E", "level", "share")},
        "exponent": "(alpha + beta)*k/2",
        "gap": "(alpha - beta)*k",
        "log_k": "log(k)",
    },
)

COUPLED_HELD = replace(
    COUPLED,
    name="coupled-held",
    standing=1.0,
    title="Coupled, held near equal exponents as far as the data leave them open",
    coordinates=_HELD_COORDINATES,
    remark="A safe law for tables of a few budgets or sizes.",
)
