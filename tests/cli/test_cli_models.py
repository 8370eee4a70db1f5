"""`isoloss allocate` for real shapes: latency, memory, conventions, a config.json."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_program import document, done, refusal

from isoloss.architecture import decode_flops_per_token, kv_cache_bytes, palm_flops, read_config

GPT_2 = {
    "model_type": "gpt2",
    "n_embd": 768,
    "n_layer": 12,
    "n_head": 12,
    "n_positions": 1024,
    "vocab_size": 50_257,
}
EPOCH = "chinchilla:epoch-2024"
LLAMA_3_8B = {
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128_256,
    "max_position_embeddings": 8192,
    "tie_word_embeddings": False,
}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "llama.json"
    path.write_text(json.dumps(LLAMA_3_8B))
    return path


def test_a_latency_with_the_cache_of_real_shapes() -> None:
    words = ("--context", "8192", "--sequences", "32", "--accelerator", "h100-sxm")
    found = document("allocate", EPOCH, "--flops", "1e24", "--max-latency", "0.01", *words)
    assert found["binding"] == ["training", "max_latency"]
    model = found["model"]
    assert model["amounts"]["max_latency"] <= 0.01
    # Weights and the caches of all sequences are read once for a token.
    assert model["amounts"]["max_latency"] == pytest.approx(model["serving_bytes"] / 3.35e12)
    assert model["serving_bytes"] == pytest.approx(
        2 * model["params_total"] + 32 * model["kv_cache_bytes"]
    )
    assert 6 * model["params"] * model["tokens"] == pytest.approx(1e24)
    twice = document(
        *("allocate", EPOCH, "--flops", "1e24", "--max-latency", "0.01", *words),
        *("--serving-accelerators", "2"),
    )
    assert twice["params"] > found["params"]


def test_models_like_another_keep_its_grouped_heads(config: Path) -> None:
    words = (
        *("allocate", EPOCH, "--flops", "1e24", "--max-serving-memory", "80e9"),
        *("--context", "8192", "--sequences", "64"),
    )
    own, like = document(*words), document(*words, "--like", config)
    assert like["model"]["serving_bytes"] <= 80e9
    # Eight key and value heads of 32 need a quarter of the cache: a larger model fits.
    assert like["params"] > 2 * own["params"]
    shape = like["model"]["shape"]
    assert shape["n_heads"] == 4 * shape["n_kv_heads"]
    assert shape["vocabulary_size"] == 128_256
    text = done(*words, "--like", config).stdout
    assert "The model to build" in text
    assert "weights and cache, bytes" in text


def test_the_very_model_of_a_config(config: Path) -> None:
    shape = read_config(config).shape
    found = document("allocate", EPOCH, "--flops", "1e24", "--config", config, "--context", "8192")
    assert found["params"] == shape.params_total
    assert found["binding"] == ["training", "params"]
    assert found["model"]["decode_flops_per_token"] == decode_flops_per_token(shape, 8192)
    assert found["model"]["kv_cache_bytes"] == kv_cache_bytes(shape, 8192)
    longer = document("allocate", EPOCH, "--target-loss", "2.1", "--config", config)
    assert longer["params"] == shape.params_total
    assert longer["optimal"]["params"] > shape.params_total


def test_flops_by_a_convention_and_both_counts(config: Path) -> None:
    words = ("allocate", EPOCH, "--flops", "1e22", "--config", config, "--context", "4096")
    found = document(*words, "--flops-convention", "palm")
    assert found["tokens"] * palm_flops(read_config(config).shape, 4096) == pytest.approx(1e22)
    flops = found["model"]["training_flops"]
    assert flops["palm"] == pytest.approx(1e22)
    assert flops["6N-nonembedding"] < flops["6N-total"] < flops["palm"]
    # Serving counts the products with half of the context too.
    served = document(*words, "--flops-convention", "palm", "--inference-tokens", "100B")
    total = next(each for each in served["costs"] if "inference" in each["name"])
    shape = read_config(config).shape
    expected = served["tokens"] * palm_flops(shape, 4096)
    expected += 100e9 * decode_flops_per_token(shape, 2048)
    assert total["amount"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "--flops-convention plam",
            "--flops-convention: unknown: found 'plam'; expected one of 6N-nonembedding, 6N-total, "
            "kaplan, farseer, step-law, megatron, palm, porian, porian-attention, chinchilla, "
            "chinchilla-layers",
        ),
        (
            "--cache-dtype int3",
            "--cache-dtype: unknown: found 'int3'; expected one of fp32, float32, bf16, bfloat16, "
            "fp16, float16, fp8, int8, fp4, int4",
        ),
        (
            "--context 0",
            "--context: no usable number: found '0'; expected a whole number, 1 or more",
        ),
        (
            "--max-latency 0.01",
            "--inference-accelerator: missing: expected the name of one, such as h100-sxm",
        ),
        (
            "--context 8192 --embedding-factor 47491",
            "--embedding-factor: two ways from N to embeddings: found the shapes of models "
            "besides; expected one of the two",
        ),
        ("--config CONFIG --like CONFIG", "--like: two models: expected --config or --like"),
        (
            "--config CONFIG --params 7B",
            "--params: two sizes: found 7e+09, and the model of --config has 8.03026e+09; expected "
            "one of the two",
        ),
        (
            "--config CONFIG --max-latency 0.001 --accelerator h100-sxm",
            "max_latency: no model keeps within the limit on max_latency: found at most 0.001 "
            "seconds; expected at least 0.004954 seconds, which every model takes",
        ),
        (
            "--config EMPTY",
            "EMPTY: model_type: missing: expected one of llama, qwen2, qwen3, mistral, gpt2, "
            "gpt_neox, gemma, gemma2, gemma3_text, olmo, olmo2, deepseek_v2, deepseek_v3, mixtral, "
            "qwen2_moe, qwen3_moe",
        ),
        (
            "--like GPT2",
            "GPT2: no rule gives other sizes of this model: found feed-forward blocks without a "
            "gate; expected a Llama-style model; --config takes any model as it is",
        ),
    ],
)
def test_questions_that_cannot_be_put(
    words: str, message: str, config: Path, tmp_path: Path
) -> None:
    empty, gpt_2 = tmp_path / "empty.json", tmp_path / "gpt2.json"
    empty.write_text("{}")
    gpt_2.write_text(json.dumps(GPT_2))
    for name, path in (("CONFIG", config), ("EMPTY", empty), ("GPT2", gpt_2)):
        words, message = words.replace(name, str(path)), message.replace(name, str(path))
    assert refusal("allocate", EPOCH, "--flops", "1e24", *words.split()) == message
