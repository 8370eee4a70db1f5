"""The null model: the loss depends on training compute alone, however it is split."""

from __future__ import annotations

from isoloss.laws.law import Law, positive

COMPUTE = Law(
    name="compute",
    standing=0.01,
    title="Compute alone: E + A/C^alpha, C = 6ND",
    formula="E + A/(6*params*tokens)**alpha",
    parameters=(positive("E"), positive("A"), positive("alpha", start=(0.02, 0.6), upper=2.0)),
    linear=("E", "A"),
    source="null model; compare Guo 2024, arXiv:2404.19484",
    remark="Says nothing about how to split a budget; shows how much N and D add.",
)
