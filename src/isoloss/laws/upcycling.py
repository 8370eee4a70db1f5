"""Sparse upcycling: a dense model, trained on D1 tokens, becomes one of experts and trains on."""

from __future__ import annotations

from dataclasses import replace

from isoloss.laws.experts import ACTIVE_PARAMS
from isoloss.laws.law import TOKENS, Input, Law, positive, real

DENSE_PARAMS = Input("dense_params", "N_1", "parameters of the dense model")
DENSE_TOKENS = Input("dense_tokens", "D_1", "training tokens of the dense model", improves=True)
UPCYCLED_TOKENS = replace(TOKENS, symbol="D_2", unit="training tokens after upcycling")
SPARSITY = Input("sparsity", "P", "parameters per active parameter", usual=(1, 32))

_LIEW = "Liew et al. 2025, arXiv:2502.03009"
_ACTIVATION = "(active_params/dense_params)"
_ALL_TOKENS = "(dense_tokens + tokens)"
_WITH_TOKENS = (ACTIVE_PARAMS, DENSE_TOKENS, UPCYCLED_TOKENS)
_ALPHA = positive("alpha", start=(0.05, 0.8), upper=3.0)

UPCYCLED_DATA = Law(
    name="upcycled-data",
    title="Upcycling over tokens: E + A D1^-alpha1 D2^(-alpha2 + alpha3 ln D1)",
    formula="E + A*dense_tokens**(-alpha1)*tokens**(alpha3*log(dense_tokens) - alpha2)",
    inputs=(DENSE_TOKENS, UPCYCLED_TOKENS),
    parameters=(
        positive("E"),
        positive("A", unit="dense_tokens**alpha1*tokens**alpha2*loss"),
        positive("alpha1", start=(0.05, 2.0)),
        positive("alpha2", start=(0.05, 2.0)),
        positive("alpha3", start=(1e-3, 0.05)),
    ),
    linear=("E",),
    source=f"{_LIEW}, over the tokens of both stages",
    remark="One configuration of models. Beyond ln D1 = alpha2/alpha3 upcycling gains nothing.",
)

UPCYCLED_SIZE = Law(
    name="upcycled-size",
    title="Upcycling over configurations: E + A/(N_act^alpha P^beta)",
    formula="E + A/(active_params**alpha*sparsity**beta)",
    inputs=(ACTIVE_PARAMS, SPARSITY),
    parameters=(
        positive("E"),
        positive("A", unit="active_params**alpha*sparsity**beta*loss"),
        _ALPHA,
        real("beta", start=(-0.1, 0.4)),
    ),
    linear=("E", "A"),
    source=f"power law in size and sparsity, after {_LIEW}",
    remark="For runs of the same tokens in both stages.",
)

UPCYCLED = Law(
    name="upcycled",
    title="Upcycling: E + A/N_act^alpha + B/(D1 + D2)^beta",
    formula=f"E + A/active_params**alpha + B/{_ALL_TOKENS}**beta",
    inputs=_WITH_TOKENS,
    parameters=(
        positive("E"),
        positive("A", unit="active_params**alpha*loss"),
        positive("B", unit=f"{_ALL_TOKENS}**beta*loss"),
        _ALPHA,
        positive("beta", start=(0.05, 0.5), upper=3.0),
    ),
    linear=("E", "A", "B"),
    source="Chinchilla (arXiv:2203.15556) of active parameters and the tokens of both stages",
    remark="The null hypothesis of upcycling: nothing is lost, and spare experts gain nothing.",
)

# Kaplan's form joins N and D, so that what more tokens are worth also says where more size ends.
UPCYCLED_COUPLED = Law(
    name="upcycled-coupled",
    title="Upcycling: (A P^(delta - kappa ln(N_act/N_1))/N_act^alpha + B/(D1 + D2))^beta",
    formula=(
        f"(A*sparsity**(delta - kappa*log{_ACTIVATION})/active_params**alpha"
        f" + B/{_ALL_TOKENS})**beta"
    ),
    inputs=(ACTIVE_PARAMS, DENSE_PARAMS, SPARSITY, DENSE_TOKENS, UPCYCLED_TOKENS),
    parameters=(
        positive("A", start=(0.1, 2.0), unit="active_params**alpha*loss**(1/beta)"),
        positive("B", start=(0.1, 2.0), unit=f"{_ALL_TOKENS}*loss**(1/beta)"),
        positive("alpha", start=(0.3, 2.0), upper=5.0),
        positive("beta", start=(0.05, 0.4), upper=1.0),
        real("delta", start=(-0.2, 0.3)),
        real("kappa", start=(-0.3, 0.3)),
    ),
    source="Kaplan et al. 2020, arXiv:2001.08361, equation 1.5, with a factor of sparsity",
    remark="Spare experts gain the more, the more experts are active at a time: with one they may "
    "do harm.",
)

_CONFIGURED = f"sparsity**(delta - kappa*log{_ACTIVATION})*{_ACTIVATION}**epsilon"

UPCYCLED_DENSE = replace(
    UPCYCLED_COUPLED,
    name="upcycled-dense",
    title="Upcycling: (A P^(delta - kappa ln a) a^epsilon/N_1^alpha + B/(D1 + D2))^beta,"
    " a = N_act/N_1",
    formula=f"(A*{_CONFIGURED}/dense_params**alpha + B/{_ALL_TOKENS})**beta",
    parameters=(
        positive("A", start=(0.1, 2.0), unit="dense_params**alpha*loss**(1/beta)"),
        *UPCYCLED_COUPLED.parameters[1:],
        real("epsilon", start=(-0.5, 0.5)),
    ),
    remark="As upcycled-coupled, where activating more is not the same as a larger dense model.",
)
