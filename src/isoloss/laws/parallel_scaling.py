"""Parallel scaling: P streams through the same parameters, whose outputs are combined."""

from __future__ import annotations

from isoloss.laws.law import PARAMS, Input, Law, positive

STREAMS = Input("streams", "P", "parallel streams", improves=True, usual=(1, 16))

_PARAMETERS = (
    positive("E"),
    positive("A", unit="params**alpha*loss"),
    positive("alpha", start=(0.05, 0.6), upper=3.0),
    positive("k", start=(0.05, 1.0)),
)

PARALLEL_SCALING = Law(
    name="parallel-scaling",
    title="Parallel scaling: E + A/(N (1 + k ln P))^alpha",
    formula="E + A/(params*(1 + k*log(streams)))**alpha",
    inputs=(PARAMS, STREAMS),
    parameters=_PARAMETERS,
    linear=("E", "A"),
    source="Chen et al. 2025 (ParScale), arXiv:2505.10475",
    remark="For runs of the same tokens: P streams are worth 1 + k ln P times the parameters. A is "
    "the paper's to the power alpha.",
)

PARALLEL_POWER = Law(
    name="parallel-power",
    title="Parallel scaling without end: E + A/(N P^k)^alpha",
    formula="E + A/(params*streams**k)**alpha",
    inputs=(PARAMS, STREAMS),
    parameters=_PARAMETERS,
    linear=("E", "A"),
    source="power of P in place of the logarithm of ParScale, arXiv:2505.10475",
    remark="A check on parallel-scaling: each doubling of P is worth as much as the one before.",
)
