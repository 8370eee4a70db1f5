"""Shape laws: how width, depth and the parts of a layer move the loss at a given size."""

from __future__ import annotations

from isoloss.laws.law import PARAMS, TOKENS, Input, Law, Published, positive, real

WIDTH_RATIO = Input("width_ratio", "x", "d_model/sqrt(N), N non-embedding", usual=(0.03, 0.2))
MLP_ATTENTION_RATIO = Input(
    "mlp_attention_ratio", "r", "MLP parameters per attention parameter", usual=(0.3, 6.0)
)
BASE_LOSS = Input("base_loss", r"L_\mathrm{opt}", "the table's own unit", usual=(1.5, 4.0))
D_MODEL = Input("d_model", "d", "width of the residual stream", usual=(256, 8192))
N_LAYERS = Input("n_layers", r"\ell", "layers", usual=(4, 96))

_CONDITIONAL = "Bian et al. 2026, arXiv:2510.18245, conditional scaling law"
_CONDITIONAL_INPUTS = (WIDTH_RATIO, MLP_ATTENTION_RATIO, BASE_LOSS)


def _conditional(
    name: str, data: str, a: tuple[float, float, float], b: tuple[float, float, float]
) -> Published:
    values = {f"a{index}": value * b[0] for index, value in enumerate(a)}
    return Published(
        name,
        {**values, "b1": b[1] / b[0], "b2": b[2] / b[0]},
        source="arXiv:2510.18245",
        data=data,
        loss="nats/token",
        params="nonembedding",
    )


# The paper's b0 only multiplies a0, a1, a2: it is divided out of b1 and b2 and taken into those.
CONDITIONAL_SHAPE = Law(
    name="conditional-shape",
    title="Shape factors: (a0 + a1 ln x + a2/x)(1 + b1 ln r + b2/r) L_opt",
    formula=(
        "(a0 + a1*log(width_ratio) + a2/width_ratio)"
        "*(1 + b1*log(mlp_attention_ratio) + b2/mlp_attention_ratio)*base_loss"
    ),
    inputs=_CONDITIONAL_INPUTS,
    parameters=(
        real("a0", start=(0.5, 1.5)),
        real("a1", start=(0.0, 0.2)),
        real("a2", start=(0.0, 0.2), unit="width_ratio"),
        real("b1", start=(0.0, 0.1)),
        real("b2", start=(0.0, 0.1)),
    ),
    linear=("a0", "a1", "a2"),
    params="nonembedding",
    source=f"{_CONDITIONAL}, multiplicative",
    remark="Best shape: x = a2/a1, r = b2/b1, whatever the size. L_opt is the best loss known at "
    "that N and D. The paper's b0 is part of a0, a1, a2, and divides b1 and b2.",
    published=(
        _conditional(
            "80m-297m",
            "models of 80M, 145M and 297M on Dolma",
            (2.697, 0.0974, 0.0078),
            (0.3870, 0.0063, 0.0065),
        ),
        _conditional(
            "1b", "models of 1B on Dolma", (2.319, 0.238, 0.0176), (0.5104, 0.0051, 0.0062)
        ),
    ),
)

CONDITIONAL_SHAPE_ADDED = Law(
    name="conditional-shape-added",
    title="Shape terms: a0 + a1 ln x + a2/x + b1 ln r + b2/r + L_opt",
    formula=(
        "a0 + a1*log(width_ratio) + a2/width_ratio"
        " + b1*log(mlp_attention_ratio) + b2/mlp_attention_ratio + base_loss"
    ),
    inputs=_CONDITIONAL_INPUTS,
    parameters=(
        real("a0", start=(-1.0, 1.0)),
        real("a1", start=(0.0, 0.5)),
        real("a2", start=(0.0, 0.5), unit="width_ratio"),
        real("b1", start=(0.0, 0.1)),
        real("b2", start=(0.0, 0.1)),
    ),
    linear=("a0", "a1", "a2", "b1", "b2"),
    params="nonembedding",
    source=f"{_CONDITIONAL}, additive",
    remark="Best shape: x = a2/a1, r = b2/b1. No coefficients are printed.",
)

_MORPH = "Bian et al. 2025 (Morph), arXiv:2501.18107"
_MORPH_SIZE = "(E + A/params**alpha + B/tokens**alpha)"
_MORPH_PARAMETERS = (
    positive("E", unit="loss"),
    positive("A", unit="params**alpha*loss"),
    positive("B", unit="tokens**alpha*loss"),
    positive("alpha", start=(0.05, 1.0), upper=3.0),
)


def _morph(parameters: dict[str, float]) -> tuple[Published]:
    return (
        Published(
            "morph-2025",
            parameters,
            source="arXiv:2501.18107, recomputed from the released runs and code",
            data="27 runs of 80M to 313M parameters, 20 or 160 tokens a parameter",
            loss="nats/token",
            params="total",
        ),
    )


ASPECT = Law(
    name="aspect",
    title="Aspect ratio: (E + A/N^alpha + B/D^alpha)(1 + gamma (d_model/layers)^alpha)",
    formula=f"{_MORPH_SIZE}*(1 + gamma*(d_model/n_layers)**alpha)",
    inputs=(PARAMS, TOKENS, D_MODEL, N_LAYERS),
    parameters=(
        *_MORPH_PARAMETERS,
        positive("gamma", start=(1e-3, 0.3), unit="(n_layers/d_model)**alpha"),
    ),
    linear=("E", "A", "B"),
    source=_MORPH,
    remark="One exponent for all: deeper is always better, so it ranks shapes of a given cost.",
    published=_morph(
        {"E": 2.44751, "A": 54754.43, "B": 778345.52, "alpha": 0.614574, "gamma": 0.00114621}
    ),
)

ASPECT_FREE = Law(
    name="aspect-free",
    title="Aspect ratio: (E + A/N^alpha + B/D^alpha)(1 + gamma (d_model/layers)^eta)",
    formula=f"{_MORPH_SIZE}*(1 + gamma*(d_model/n_layers)**eta)",
    inputs=(PARAMS, TOKENS, D_MODEL, N_LAYERS),
    parameters=(
        *_MORPH_PARAMETERS,
        positive("gamma", start=(1e-3, 0.3), unit="(n_layers/d_model)**eta"),
        positive("eta", start=(0.1, 2.0), upper=5.0),
    ),
    linear=("E", "A", "B"),
    source=f"{_MORPH}, exponent of the shape left free",
    remark="As the law aspect, with an exponent of its own for the shape.",
    published=_morph(
        {
            "E": 2.46750,
            "A": 50840.98,
            "B": 704732.56,
            "alpha": 0.609582,
            "gamma": 2.3583e-5,
            "eta": 1.256066,
        }
    ),
)
