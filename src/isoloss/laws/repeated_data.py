"""Repeated data: tokens seen again, and parameters beyond what unique data feed, are worth less."""

from __future__ import annotations

import math

from isoloss.laws.law import PARAMS, TOKENS, Input, Law, Published, positive

UNIQUE_TOKENS = Input(
    "unique_tokens", "U_D", "distinct training tokens", improves=True, usual=(1e9, 1e12)
)

# U_N of the paper, (U_D G)^(beta/alpha) G, is where alpha A/N^alpha = beta B/U_D^beta.
_UNIQUE = "min(tokens, unique_tokens)"
_FED = f"min(params, (alpha*A/(beta*B))**(1/alpha)*{_UNIQUE}**(beta/alpha))"


def _worth(amount: str, unique: str, decay: str) -> str:
    """Formula of what an amount is worth, when what exceeds its unique part decays in value."""
    return f"{unique}*(1 + {decay}*(1 - exp(-({amount}/{unique} - 1)/{decay})))"


REPEATED_DATA = Law(
    name="repeated-data",
    title="Repeated data: Chinchilla of the effective N' and D'",
    formula=(
        f"E + A/({_worth('params', _FED, 'R_N_star')})**alpha"
        f" + B/({_worth('tokens', _UNIQUE, 'R_D_star')})**beta"
    ),
    inputs=(PARAMS, TOKENS, UNIQUE_TOKENS),
    parameters=(
        positive("E"),
        positive("A", unit="params**alpha*loss"),
        positive("B", unit="tokens**beta*loss"),
        positive("alpha", start=(0.1, 0.8), upper=3.0),
        positive("beta", start=(0.1, 0.8), upper=3.0),
        positive("R_D_star", start=(2.0, 50.0)),
        positive("R_N_star", start=(1.0, 30.0)),
    ),
    linear=("E",),
    source="Muennighoff et al. 2023, arXiv:2305.16264",
    remark="Loss never rises with more epochs: leave out runs that repetition made worse.",
    published=(
        Published(
            "muennighoff-2023",
            {
                "E": math.exp(0.6254804),
                "A": math.exp(6.255414),
                "B": math.exp(7.3049974),
                "alpha": 0.3526596,
                "beta": 0.3526596,
                "R_D_star": 15.387756,
                "R_N_star": 5.309743,
            },
            source="arXiv:2305.16264, released code",
            data="54 single-epoch and 182 repeated runs on C4",
            loss="nats/token",
            params="total",
        ),
    ),
)
