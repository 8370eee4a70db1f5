"""Mixtures of experts: a layer routes each token to a few of its experts."""

from __future__ import annotations

from isoloss.laws.law import TOKENS, Input, Law, Parameter, positive, real

ACTIVE_PARAMS = Input(
    "active_params", r"N_\mathrm{act}", "parameters that a token passes through", improves=True
)
EXPERTS = Input("experts", r"\mathcal{E}", "experts a routed layer, 1 for dense", usual=(1, 1024))

# The paper's E^: experts count for less below E_start and hardly at all beyond E_max.
_SATURATING = "(1/(1/(experts - 1 + 1/(1/E_start - 1/E_max)) + 1/E_max))"
_SATURATION = (
    real("E_start", start=(1.0, 5.0), lower=0.1, upper=20.0),
    real("E_max", start=(60.0, 2000.0), lower=21.0),
)
_ROUTED = "Clark et al. 2022, arXiv:2202.01169"
_JOINT = "Ludziejewski et al. 2025, arXiv:2502.05172"
_WITH_SIZE = (ACTIVE_PARAMS, EXPERTS)


def _size_term(exponent: Parameter) -> tuple[Parameter, ...]:
    """Floor, coefficient and exponent of a power law of the active parameters."""
    return positive("E"), positive("A", unit="active_params**alpha*loss"), exponent


_ALPHA = positive("alpha", start=(0.05, 0.5), upper=3.0)

ROUTED = Law(
    name="routed",
    title="Routed: ln L = a ln N + b ln E^ + c ln N ln E^ + d, E^ a saturating number of experts",
    formula=f"exp(d)*active_params**a*{_SATURATING}**(b + c*log(active_params))",
    inputs=_WITH_SIZE,
    parameters=(
        real("a", start=(-0.2, 0.0)),
        real("b", start=(-0.3, 0.0)),
        real("c", start=(0.0, 0.02)),
        real("d", start=(0.0, 4.0)),
        *_SATURATION,
    ),
    source=f"{_ROUTED}, with natural logs",
    remark="For runs of the same tokens. Gains end at N = exp(-b/c), beyond which it says that "
    "experts do harm; without a floor it is too low far beyond the largest model.",
)

EFFECTIVE_EXPERTS = Law(
    name="effective-experts",
    title="Experts multiply N: E + A/(N experts^k)^alpha",
    formula="E + A/(active_params*experts**k)**alpha",
    inputs=_WITH_SIZE,
    parameters=(*_size_term(_ALPHA), positive("k", start=(0.05, 0.8))),
    linear=("E", "A"),
    source=f"effective parameter count of {_ROUTED}, gains that do not depend on N",
    remark="For runs of the same tokens, where a model of experts^k times the size is as good.",
)

COUPLED_EXPERTS = Law(
    name="coupled-experts",
    title="Experts help small models more: E + A experts^(gamma ln N - delta)/N^alpha",
    formula="E + A*experts**(gamma*log(active_params) - delta)/active_params**alpha",
    inputs=_WITH_SIZE,
    parameters=(
        *_size_term(_ALPHA),
        real("delta", start=(0.0, 0.3)),
        real("gamma", start=(0.0, 0.02)),
    ),
    linear=("E", "A"),
    source=f"{_JOINT}, at one number of tokens and without saturation",
    remark="For runs of the same tokens. Unlike the law routed it has a floor.",
)

JOINT_EXPERTS = Law(
    name="joint-experts",
    title="Experts, N and D: C + A E^^delta N^(alpha + gamma ln E^) + B E^^omega D^(beta + zeta ln"
    " E^)",
    formula=(
        f"C + A*{_SATURATING}**(delta + gamma*log(active_params))*active_params**alpha"
        f" + B*{_SATURATING}**(omega + zeta*log(tokens))*tokens**beta"
    ),
    inputs=(ACTIVE_PARAMS, TOKENS, EXPERTS),
    parameters=(
        positive("C"),
        positive("A", unit="loss/active_params**alpha"),
        positive("B", unit="loss/tokens**beta"),
        real("alpha", start=(-0.5, -0.1), lower=-3.0),
        real("beta", start=(-0.5, -0.1), lower=-3.0),
        real("delta", start=(-0.3, 0.0)),
        real("gamma", start=(0.0, 0.02)),
        real("omega", start=(-0.3, 0.3)),
        real("zeta", start=(-0.02, 0.02)),
        *_SATURATION,
    ),
    linear=("C", "A", "B"),
    source=_JOINT,
    remark="Needs several sizes, tokens and numbers of experts, and 1 and hundreds among these.",
)
