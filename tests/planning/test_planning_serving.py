"""Serving real shapes: memory and time by hand, and as limits of a plan."""

from __future__ import annotations

import math

import numpy as np
import pytest

from isoloss.architecture import (
    ExactModel,
    ModelFamily,
    Shape,
    ShapeRule,
    TransformerShape,
    as_decoder,
    decode_flops_per_token,
    read_config,
    training_flops_per_token,
)
from isoloss.errors import FitError, InputError
from isoloss.laws import CATALOGUE, Surface
from isoloss.planning import (
    Limits,
    Serving,
    ShapeLimit,
    allocate,
    find_accelerator,
    nearest_built,
    training_flops,
)

EPOCH = Surface.published(CATALOGUE["chinchilla"], "epoch-2024")
H100 = find_accelerator("h100-sxm")
LLAMA_3_8B = TransformerShape(
    n_layers=32,
    d_model=4096,
    d_ff=14336,
    n_heads=32,
    n_kv_heads=8,
    vocabulary_size=128_256,
)
# Keys and values of 32 layers, each 8 heads of 128, in two bytes.
CACHE_PER_TOKEN = 2 * 32 * 8 * 128 * 2
GROUPED = ModelFamily(ShapeRule(group=4))


def test_memory_of_a_known_model() -> None:
    served = Serving(context=8192, sequences=16)
    assert served.cache_bytes(LLAMA_3_8B) == 16 * 8192 * CACHE_PER_TOKEN
    weights = 2 * LLAMA_3_8B.params_total
    assert served.bytes(LLAMA_3_8B) == weights + 16 * 8192 * CACHE_PER_TOKEN
    small = Serving(context=8192, sequences=16, weights="int4", cache="fp8")
    assert small.bytes(LLAMA_3_8B) == weights / 4 + 8 * 8192 * CACHE_PER_TOKEN


def test_few_sequences_wait_for_memory_and_many_for_arithmetic() -> None:
    peak = H100.peak()
    one = Serving(context=1024)
    read = 2 * LLAMA_3_8B.params_total + 1024 * CACHE_PER_TOKEN
    assert one.seconds(LLAMA_3_8B, bandwidth=H100.bandwidth, peak_flops=peak) == pytest.approx(
        read / H100.bandwidth
    )
    many = Serving(context=16, sequences=4096)
    flops = 4096 * decode_flops_per_token(LLAMA_3_8B, 16)
    assert many.seconds(LLAMA_3_8B, bandwidth=H100.bandwidth, peak_flops=peak) == pytest.approx(
        flops / peak
    )


def test_one_sequence_reads_only_the_experts_that_it_meets() -> None:
    config = {
        "model_type": "mixtral",
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "vocab_size": 32_000,
        "num_local_experts": 8,
        "num_experts_per_tok": 2,
    }
    mixtral = as_decoder(read_config(config).shape)
    assert mixtral.params_active < mixtral.params_total
    one, eight = Serving(context=1), Serving(context=1, sequences=8)
    read = 2 * mixtral.params_active + CACHE_PER_TOKEN
    assert one.seconds(mixtral, bandwidth=1.0) == pytest.approx(read)
    # Eight sequences meet at most all of them.
    read = 2 * mixtral.params_total + 8 * CACHE_PER_TOKEN
    assert eight.seconds(mixtral, bandwidth=1.0) == pytest.approx(read)


def latency(served: Serving, at_most: float) -> ShapeLimit:
    def seconds(shape: Shape) -> float:
        return served.seconds(shape, bandwidth=H100.bandwidth, peak_flops=H100.peak())

    return ShapeLimit("latency", "seconds", seconds, at_most)


@pytest.mark.parametrize("sequences", [1, 16, 128])
@pytest.mark.parametrize("seconds", [0.005, 0.02])
def test_a_plan_within_a_latency_is_the_largest_that_keeps_to_it(
    sequences: int, seconds: float
) -> None:
    limit = latency(Serving(context=4096, sequences=sequences), seconds)
    plan = allocate(EPOCH, 1e24, limits=Limits(sizes=(limit.over(GROUPED),)))
    assert plan.binding == ("training", "latency")
    built = nearest_built(plan, GROUPED, [limit])
    assert built.amounts["latency"] <= seconds
    # Widths come in steps of whole groups of heads.
    assert built.amounts["latency"] > 0.8 * seconds
    assert built.params == built.shape.params_total
    assert 6 * built.params * built.tokens == pytest.approx(1e24)
    assert built.loss == pytest.approx(
        float(EPOCH.predict(params=built.params, tokens=built.tokens))
    )
    # More sequences at once leave room for a smaller model only.
    if sequences > 1:
        alone = latency(Serving(context=4096), seconds)
        assert (
            plan.params < allocate(EPOCH, 1e24, limits=Limits(sizes=(alone.over(GROUPED),))).params
        )


def test_a_limit_that_does_not_bind_changes_nothing() -> None:
    limit = latency(Serving(context=4096), 10.0)
    free = allocate(EPOCH, 1e22)
    plan = allocate(EPOCH, 1e22, limits=Limits(sizes=(limit.over(GROUPED),)))
    assert plan.params == pytest.approx(free.params, rel=1e-9)
    built = nearest_built(plan, GROUPED, [limit])
    assert built.params == pytest.approx(free.params, rel=0.05)
    assert built.loss == pytest.approx(free.loss, rel=1e-4)
    assert set(built.to_json()) == {"params", "tokens", "loss", "amounts"}


def test_one_model_as_it_is() -> None:
    model = ExactModel(LLAMA_3_8B)
    fixed = Limits(min_params=model.params, max_params=model.params)
    plan = allocate(EPOCH, 1e24, limits=fixed)
    built = nearest_built(plan, model)
    assert built.shape is LLAMA_3_8B
    assert built.tokens == pytest.approx(1e24 / (6 * LLAMA_3_8B.params_total))
    assert plan.binding == ("training", "params")
    slow = latency(Serving(context=8192), 0.001)
    with pytest.raises(InputError) as caught:
        allocate(EPOCH, 1e24, limits=Limits(max_params=model.params, sizes=(slow.over(model),)))
    least = (2 * LLAMA_3_8B.params_total + 8192 * CACHE_PER_TOKEN) / H100.bandwidth
    assert str(caught.value) == (
        "latency: no model keeps within the limit on latency: found at most 0.001 seconds; "
        f"expected at least {least:.4g} seconds, which every model takes"
    )
    with pytest.raises(FitError, match=r"^no shape near N=8\.03e\+09 keeps within the limits: "):
        nearest_built(plan, model, [slow])


@pytest.mark.parametrize("convention", ["kaplan", "palm", "chinchilla"])
def test_training_flops_of_real_shapes_by_any_convention(convention: str) -> None:
    def per_token(shape: Shape) -> float:
        return training_flops_per_token(shape, convention, context=2048)

    cost = training_flops(GROUPED.by_size(per_token))
    plan = allocate(EPOCH, 1e21, training=cost)
    assert plan.cost("training") == pytest.approx(1e21)
    built = nearest_built(plan, GROUPED)
    assert per_token(built.shape) * built.tokens == pytest.approx(1e21, rel=0.01)
    # No buildable shape of the family does better with the same FLOPs.
    for params in np.geomspace(0.3, 3, 41) * plan.params:
        shape = GROUPED.nearest(float(params))
        tokens = 1e21 / per_token(shape)
        other = float(EPOCH.predict(params=shape.params_total, tokens=tokens))
        assert built.loss <= other * (1 + 1e-4)


def test_ways_of_serving_that_cannot_be() -> None:
    with pytest.raises(InputError, match=r"^context: not a count: found 0; expected 1 or more$"):
        Serving(context=0)
    with pytest.raises(InputError, match=r"^precision: unknown precision: found 'int3'; expected"):
        Serving(context=1, weights="int3")
    with pytest.raises(InputError, match=r"^bandwidth: not a positive number: found -1; expected"):
        Serving(context=1).seconds(LLAMA_3_8B, bandwidth=-1.0)
    with pytest.raises(InputError, match=r"^peak FLOP/s: not a positive number: found nan"):
        Serving(context=1).seconds(LLAMA_3_8B, bandwidth=1.0, peak_flops=math.nan)
