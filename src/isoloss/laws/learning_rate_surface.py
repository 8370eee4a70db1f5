"""Learning rate and batch: the loss over both, N and D, of whole sweeps with all their runs."""

from __future__ import annotations

from dataclasses import replace

from isoloss.laws.law import PARAMS, TOKENS, Input, Law, positive, real

LEARNING_RATE = Input("learning_rate", r"\eta", "peak learning rate", usual=(1e-5, 1e-1))
BATCH_TOKENS = Input("batch_tokens", "b", "tokens an optimiser step", usual=(1e4, 1e8))

_SURFACE = "(E + A/params**alpha + B/tokens**beta)"
# Logs relative to the best learning rate and batch, the power laws of the Step Law.
_RATE = "log(learning_rate*params**gamma/(c*tokens**delta))"
_BATCH = "log(batch_tokens/(d*tokens**epsilon))"
_SOURCE = "optima as in the Step Law, Li et al. 2025, arXiv:2503.04715; a bowl around them"

LEARNING_RATE_SURFACE = Law(
    name="learning-rate-surface",
    title="Chinchilla times a bowl: (E + A/N^alpha + B/D^beta)(1 + p x^2 + q y^2),"
    " x = ln(lr/(c N^-gamma D^delta)), y = ln(b/(d D^epsilon))",
    formula=f"{_SURFACE}*(1 + p*{_RATE}**2 + q*{_BATCH}**2)",
    inputs=(PARAMS, TOKENS, LEARNING_RATE, BATCH_TOKENS),
    parameters=(
        positive("E", unit="loss"),
        positive("A", unit="params**alpha*loss"),
        positive("B", unit="tokens**beta*loss"),
        positive("alpha", start=(0.05, 0.8), upper=3.0),
        positive("beta", start=(0.05, 0.8), upper=3.0),
        positive("c", start=(0.3, 3.0), unit="learning_rate*params**gamma/tokens**delta"),
        real("gamma", start=(0.0, 0.8)),
        real("delta", start=(0.0, 0.5)),
        positive("d", start=(0.3, 3.0), unit="batch_tokens/tokens**epsilon"),
        real("epsilon", start=(0.0, 0.8)),
        positive("p", start=(1e-3, 0.03)),
        positive("q", start=(1e-3, 0.03)),
    ),
    linear=("E", "A", "B"),
    params="nonembedding",
    source=_SOURCE,
    remark="The optimum of a given N and D is its centre. Good within a factor of about ten of it; "
    "leave out runs that diverged.",
)

TILTED_LEARNING_RATE_SURFACE = replace(
    LEARNING_RATE_SURFACE,
    name="tilted-learning-rate-surface",
    title="Chinchilla times a tilted bowl: (E + A/N^alpha + B/D^beta)(1 + p x^2 + q y^2 - 2 r x y),"
    " x = ln(lr/(c N^-gamma D^delta)), y = ln(b/(d D^epsilon))",
    formula=f"{_SURFACE}*(1 + p*{_RATE}**2 + q*{_BATCH}**2 - 2*r*{_RATE}*{_BATCH})",
    parameters=(*LEARNING_RATE_SURFACE.parameters, real("r", start=(-3e-3, 0.01))),
    source=f"{_SOURCE}, tilted",
    remark="At another batch than the best the best learning rate is another too: it grows as "
    "b^(r/p). A bowl as long as r^2 < p q.",
)
