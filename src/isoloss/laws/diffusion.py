"""Diffusion language models on repeated data: passes gain less and less, and at last do harm."""

from __future__ import annotations

from dataclasses import replace

from isoloss.laws.law import PARAMS, TOKENS, Law, positive
from isoloss.laws.repeated_data import UNIQUE_TOKENS

_EPOCHS = "tokens/unique_tokens"
_SCALE = "c_p*unique_tokens**m_p/params**k_p"
# The loss rises with infinite slope from a single epoch on: what rounding adds to one is none. No
# excess would have no derivative by gamma at 0.
_ROUNDING = 1e-9
_EXCESS = f"max({_EPOCHS} - {1 + _ROUNDING!r}, 1e-200)"

REPEATED_DIFFUSION = Law(
    name="repeated-diffusion",
    title="Diffusion on repeated data: E + A/N^alpha + B/D'^beta, D' first rises, then falls",
    formula=(
        "E + A/params**alpha"
        f" + B/(unique_tokens*({_EPOCHS})**p_e*exp(-({_EXCESS}/({_SCALE}))**gamma))**beta"
    ),
    # Past the best number of epochs more tokens do harm, and the sooner the larger the model is.
    inputs=tuple(replace(each, improves=False) for each in (PARAMS, TOKENS, UNIQUE_TOKENS)),
    parameters=(
        positive("E"),
        positive("A"),
        positive("B", unit="unique_tokens**beta*loss"),
        positive("alpha", start=(0.1, 0.8), upper=3.0),
        positive("beta", start=(0.05, 0.6), upper=3.0),
        positive("p_e", start=(0.5, 2.0), upper=10.0),
        positive("c_p", start=(3.0, 300.0), unit="params**k_p/unique_tokens**m_p"),
        positive("m_p", start=(0.1, 0.8), upper=3.0),
        positive("k_p", start=(0.1, 0.8), upper=3.0),
        positive("gamma", start=(0.2, 1.0), upper=3.0),
    ),
    linear=("E", "A", "B"),
    source="Ni et al. 2025 (Quokka), arXiv:2510.03280, data-constrained law",
    remark="The best number of epochs is near (p_e/gamma)^(1/gamma) c_p U_D^m_p/N^k_p. The paper "
    "prints no E.",
)
