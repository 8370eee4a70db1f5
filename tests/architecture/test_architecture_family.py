"""Models of every size: amounts by N that follow shapes which can be built."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoloss.architecture import (
    AttentionShape,
    DecoderShape,
    ExactModel,
    ExpertsShape,
    FeedForwardShape,
    LayerShape,
    ModelFamily,
    ShapeRule,
    TransformerShape,
    decode_flops_per_token,
    kv_cache_bytes,
    palm_flops,
    read_config,
    rule_like,
)
from isoloss.errors import InputError

LLAMA_3_8B = TransformerShape(
    n_layers=32,
    d_model=4096,
    d_ff=14336,
    n_heads=32,
    n_kv_heads=8,
    vocabulary_size=128_256,
)
RULES = st.sampled_from(
    [ShapeRule(), ShapeRule(aspect_ratio=64, head_dim=64, group=4), rule_like(LLAMA_3_8B)]
)


@given(rule=RULES, n_layers=st.integers(1, 150))
def test_amounts_are_exact_at_shapes_of_the_rule(rule: ShapeRule, n_layers: int) -> None:
    step = rule.d_model_step
    shape = rule.shape(step * max(1, round(n_layers * rule.aspect_ratio / step)), n_layers)
    cache = ModelFamily(rule).by_size(lambda each: kv_cache_bytes(each, 4096))
    # Only every so many layers are kept; between them a power of N is good to a few per cent.
    assert cache(np.array(rule.count(shape))) == pytest.approx(
        kv_cache_bytes(shape, 4096), rel=1e-9 if n_layers <= 10 else 0.03
    )


@given(rule=RULES, params=st.floats(1e4, 1e14), factor=st.floats(1.001, 10))
def test_amounts_grow_with_n(rule: ShapeRule, params: float, factor: float) -> None:
    family = ModelFamily(rule)
    for amount in (
        lambda each: kv_cache_bytes(each, 1024),
        lambda each: decode_flops_per_token(each, 1024),
        lambda each: palm_flops(each, 1024),
    ):
        by_size = family.by_size(amount)
        assert by_size(np.array(params)) < by_size(np.array(params * factor))


@pytest.mark.parametrize("params", [1e9, 7e9, 7e10])
def test_the_nearest_shape_takes_nearly_as_much(params: float) -> None:
    family = ModelFamily(ShapeRule(counted="nonembedding"))
    shape = family.nearest(params)
    flops = family.by_size(lambda each: palm_flops(each, 4096))
    own = np.array(float(family.count(shape)))
    assert own == shape.params_nonembedding
    assert flops(own) == pytest.approx(palm_flops(shape, 4096), rel=0.01)


def test_beyond_all_shapes_amounts_are_proportional_to_n() -> None:
    flops = ModelFamily(ShapeRule()).by_size(lambda each: palm_flops(each, 4096))
    for low, high in ((1.0, 1e3), (1e18, 1e20)):
        assert flops(np.array(high)) / flops(np.array(low)) == pytest.approx(high / low, rel=1e-3)


def test_other_sizes_of_a_model_keep_its_proportions() -> None:
    rule = rule_like(LLAMA_3_8B)
    assert rule == ShapeRule(
        vocabulary_size=128_256, aspect_ratio=128, mlp_ratio=3.5, group=4, d_ff_multiple=256
    )
    own = ModelFamily(rule).nearest(LLAMA_3_8B.params_total)
    assert own.params_total == LLAMA_3_8B.params_total
    larger = ModelFamily(rule).nearest(70e9)
    assert larger.n_heads == 4 * (larger.n_kv_heads or 0)


def test_one_model_takes_the_same_at_any_n() -> None:
    model = ExactModel(LLAMA_3_8B, "nonembedding")
    cache = model.by_size(lambda each: kv_cache_bytes(each, 1))
    assert cache(np.array([1e3, 1e12])).tolist() == [131_072, 131_072]
    assert model.params == LLAMA_3_8B.params_nonembedding
    assert model.nearest(1.0) is LLAMA_3_8B


ATTENTION = AttentionShape(n_heads=8, head_dim=64, n_kv_heads=8)


def layer(
    attention: AttentionShape = ATTENTION,
    feedforward: FeedForwardShape | ExpertsShape | None = None,
    norm_vectors: int = 2,
) -> LayerShape:
    return LayerShape(
        attention=attention,
        feedforward=feedforward or FeedForwardShape(d_ff=2048),
        norm_vectors=norm_vectors,
    )


def model_of(*layers: LayerShape) -> DecoderShape:
    return DecoderShape(d_model=512, vocabulary_size=32_000, layers=layers)


@pytest.mark.parametrize(
    ("shape", "found"),
    [
        (model_of(layer(), layer(norm_vectors=4)), "layers of more than one kind"),
        (
            model_of(
                layer(
                    feedforward=ExpertsShape(
                        n_experts=8, experts_per_token=2, expert=FeedForwardShape(d_ff=2048)
                    )
                )
            ),
            "experts",
        ),
        (
            model_of(
                layer(attention=AttentionShape(n_heads=8, head_dim=64, n_kv_heads=8, window=128))
            ),
            "attention in windows",
        ),
        (
            model_of(layer(feedforward=FeedForwardShape(d_ff=2048, gated=False))),
            "feed-forward blocks without a gate",
        ),
        (
            model_of(layer(attention=AttentionShape(n_heads=8, head_dim=128, n_kv_heads=8))),
            "8 heads of 128 for a d_model of 512",
        ),
        (
            read_config(
                {
                    "model_type": "deepseek_v2",
                    "hidden_size": 2048,
                    "intermediate_size": 10944,
                    "moe_intermediate_size": 1408,
                    "num_hidden_layers": 27,
                    "num_attention_heads": 16,
                    "num_key_value_heads": 16,
                    "kv_lora_rank": 512,
                    "q_lora_rank": None,
                    "qk_nope_head_dim": 128,
                    "qk_rope_head_dim": 64,
                    "v_head_dim": 128,
                    "n_routed_experts": 64,
                    "n_shared_experts": 2,
                    "num_experts_per_tok": 6,
                    "first_k_dense_replace": 0,
                    "vocab_size": 102_400,
                }
            ).shape,
            "latent attention",
        ),
    ],
)
def test_models_that_no_rule_gives_are_refused(shape: DecoderShape, found: str) -> None:
    with pytest.raises(InputError) as caught:
        rule_like(shape)
    assert str(caught.value) == (
        f"shape: no rule gives other sizes of this model: found {found}; expected a Llama-style "
        "model, or the one model as it is"
    )
