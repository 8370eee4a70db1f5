"""Coupled ("Skaling"): Chinchilla's two terms under a common power."""

from __future__ import annotations

from isoloss.laws.law import Law, positive

COUPLED = Law(
    name="coupled",
    title="Coupled: E + (A/N^alpha + B/D^beta)^k",
    formula="E + (A/params**alpha + B/tokens**beta)**k",
    parameters=(
        positive("E"),
        positive("A", start=(0.02, 1.0), unit="loss**(1/k)*params**alpha"),
        positive("B", start=(0.02, 1.0), unit="loss**(1/k)*tokens**beta"),
        positive("alpha", start=(0.1, 1.5), upper=10.0),
        positive("beta", start=(0.1, 1.5), upper=10.0),
        positive("k", start=(0.2, 1.2), upper=10.0),
    ),
    linear=("E",),
    optimum="(alpha*A/(beta*B))**(1/(alpha + beta))*(flops/6)**(beta/(alpha + beta))",
    source='"Skaling", arXiv:2608.07222',
    remark="One parameter more than Chinchilla, for the interaction of N and D; a strong, cheap "
    "baseline on dense grids.",
)
