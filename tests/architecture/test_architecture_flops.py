"""FLOPs per token: published counts, a list of matrix products, and how conventions relate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from architecture_strategies import shapes
from hypothesis import given
from hypothesis import strategies as st

from isoloss.architecture import (
    FLOPS_CONVENTIONS,
    TransformerShape,
    chinchilla_flops,
    farseer_flops,
    kaplan_flops,
    megatron_flops,
    palm_flops,
    porian_attention_flops,
    porian_flops,
    six_n_nonembedding_flops,
    six_n_total_flops,
    training_flops_per_token,
)
from isoloss.errors import InputError

# Hoffmann et al. 2022, arXiv 2203.15556, Table A4: layers, d_model, d_ff, heads, head width and
# the printed ratio of training FLOPs to 6ND; then the ratio to four decimals that appendix F gives
# without embeddings and logits.
CHINCHILLA_TABLE_A4 = (
    (10, 640, 2560, 10, 64, "1.03", "1.0264"),
    (20, 1024, 4096, 16, 64, "1.10", "1.1019"),
    (24, 1280, 5120, 10, 128, "1.08", "1.0838"),
    (26, 1792, 7168, 14, 128, "1.04", "1.0447"),
    (28, 2048, 8192, 16, 128, "1.03", "1.0335"),
    (40, 3584, 14336, 28, 128, "0.99", "0.9944"),
)

LLAMA_3_8B = TransformerShape(
    n_layers=32, d_model=4096, d_ff=14336, n_heads=32, n_kv_heads=8, vocabulary_size=128256
)


contexts = st.integers(1, 4096)


def chinchilla_shape(
    n_layers: int, d_model: int, d_ff: int, n_heads: int, head_dim: int
) -> TransformerShape:
    return TransformerShape(
        n_layers=n_layers,
        d_model=d_model,
        d_ff=d_ff,
        n_heads=n_heads,
        head_dim=head_dim,
        vocabulary_size=32000,
        gated=False,
        tied_embeddings=True,
        norm_vectors_per_layer=0,
        final_norm_vectors=0,
        relative_position_projection=True,
    )


def forward_products(shape: TransformerShape, context: int) -> list[tuple[int, int, int]]:
    """Every matrix product (rows, inner, columns) of a forward pass over one sequence."""
    s, d, f = context, shape.d_model, shape.d_ff
    head = shape.query_width // shape.n_heads
    kv_width = shape.key_value_width
    projections = [(s, d, shape.query_width), (s, d, kv_width), (s, d, kv_width)]
    attention = [(s, head, s), (s, s, head)] * shape.n_heads
    output = [(s, shape.query_width, d)]
    feedforward = [(s, d, f)] * (2 if shape.gated else 1) + [(s, f, d)]
    logits = [(s, d, shape.vocabulary_size)]
    return (projections + attention + output + feedforward) * shape.n_layers + logits


class TestPublishedCounts:
    @pytest.mark.parametrize(
        ("n_layers", "d_model", "d_ff", "n_heads", "head_dim", "printed", "exact"),
        CHINCHILLA_TABLE_A4,
    )
    def test_chinchilla_table_a4_ratios_to_6n(
        self,
        n_layers: int,
        d_model: int,
        d_ff: int,
        n_heads: int,
        head_dim: int,
        printed: str,
        exact: str,
    ) -> None:
        shape = chinchilla_shape(n_layers, d_model, d_ff, n_heads, head_dim)
        layers = training_flops_per_token(shape, "chinchilla-layers", context=2048)
        ratio = layers / six_n_total_flops(shape)
        assert f"{ratio:.4f}" == exact
        assert f"{ratio:.2f}" == printed

    def test_chinchilla_appendix_f_as_listed_is_far_from_its_own_table(self) -> None:
        smallest = chinchilla_shape(10, 640, 2560, 10, 64)
        ratio = chinchilla_flops(smallest, 2048) / six_n_total_flops(smallest)
        assert f"{ratio:.2f}" == "1.58"

    def test_chinchilla_appendix_f_term_by_term(self) -> None:
        s, vocabulary, d, width, h, f, layers = 2048, 32000, 1280, 10 * 128, 10, 5120, 24
        attention = 2 * 3 * s * d * width + 2 * s * s * width + 3 * h * s * s
        attention += 2 * s * s * width + 2 * s * width * d
        dense = 2 * s * (d * f + d * f)
        forward = 2 * s * vocabulary * d + layers * (attention + dense) + 2 * s * d * vocabulary
        shape = chinchilla_shape(layers, d, f, h, 128)
        assert chinchilla_flops(shape, s) * s == 3 * forward

    def test_every_row_of_the_farseer_grid_to_its_three_printed_digits(
        self, shared_data: Path
    ) -> None:
        for row in pl.read_csv(shared_data / "farseer_grid.csv").iter_rows(named=True):
            shape = TransformerShape(
                n_layers=row["n_layers"],
                d_model=row["d_model"],
                d_ff=row["d_ff"],
                n_heads=row["n_heads"],
                vocabulary_size=65536,
                final_norm_vectors=0,
            )
            flops = farseer_flops(shape, 2048) * row["tokens"]
            assert float(f"{flops:.2e}") == row["flops"]

    def test_step_law_formula_on_its_own_shapes(self, shared_data: Path) -> None:
        for row in pl.read_csv(shared_data / "steplaw_dense_surface.csv").iter_rows(named=True):
            shape = TransformerShape(
                n_layers=row["n_layers"],
                d_model=row["d_model"],
                d_ff=row["d_ff"],
                n_heads=row["n_heads"],
                vocabulary_size=65536,
            )
            printed = 4 * row["d_model"] + 3 * row["d_ff"] + 2 * 2048
            printed *= 6 * row["n_layers"] * row["d_model"]
            assert training_flops_per_token(shape, "step-law", context=2048) == printed

    def test_kaplan_table_1_on_the_largest_gpt_2(self) -> None:
        shape = TransformerShape(
            n_layers=48, d_model=1600, d_ff=6400, n_heads=25, vocabulary_size=50257, gated=False
        )
        assert shape.layer_matrix_params == 12 * 48 * 1600**2
        forward = 2 * 12 * 48 * 1600**2 + 2 * 48 * 1024 * 1600
        assert kaplan_flops(shape, 1024) == 3 * forward

    def test_megatron_formula_less_its_recomputed_forward_pass(self) -> None:
        layers, d, vocabulary, s = 96, 12288, 51200, 2048
        shape = TransformerShape(
            n_layers=layers,
            d_model=d,
            d_ff=4 * d,
            n_heads=96,
            vocabulary_size=vocabulary,
            gated=False,
        )
        # Narayanan et al. 2021: 96 s l h^2 (1 + s / (6 h) + V / (16 l h)) with recomputation.
        published = 96 * layers * d**2 + 16 * layers * s * d + 6 * vocabulary * d
        recomputed = 24 * layers * d**2 + 4 * layers * s * d
        assert megatron_flops(shape, s) == published - recomputed

    def test_porian_counts_on_an_openlm_shape(self) -> None:
        width, depth, vocabulary, s = 1024, 24, 50432, 2048
        d_ff = 2816
        shape = TransformerShape(
            n_layers=depth, d_model=width, d_ff=d_ff, n_heads=4, vocabulary_size=vocabulary
        )
        params = (4 * width + 3 * d_ff) * width * depth + vocabulary * width
        assert porian_flops(shape) == 6 * params
        assert porian_attention_flops(shape, s) == 6 * params + 6 * s * width * depth


class TestEveryShape:
    @given(shape=shapes(), context=contexts)
    def test_megatron_is_every_matrix_product_of_the_model(
        self, shape: TransformerShape, context: int
    ) -> None:
        forward = sum(2 * m * k * n for m, k, n in forward_products(shape, context))
        assert megatron_flops(shape, context) * context == 3 * forward

    @given(shape=shapes(), context=contexts)
    def test_conventions_differ_by_the_terms_that_they_name(
        self, shape: TransformerShape, context: int
    ) -> None:
        attention = 6 * shape.n_layers * context * shape.query_width
        logits = 6 * shape.vocabulary_matrix_params
        layers = 6 * shape.layer_matrix_params
        softmax = 9 * shape.n_layers * context * shape.n_heads
        assert kaplan_flops(shape, context) == layers + attention
        assert farseer_flops(shape, context) == layers + 2 * attention
        assert porian_flops(shape) == layers + logits
        assert porian_attention_flops(shape, context) == layers + logits + attention
        assert palm_flops(shape, context) == six_n_total_flops(shape) + 2 * attention
        in_layers = chinchilla_flops(shape, context, embeddings_and_logits=False)
        assert in_layers == layers + 2 * attention + softmax
        assert chinchilla_flops(shape, context) == in_layers + 2 * logits

    @given(shape=shapes(), context=contexts, factor=st.integers(2, 5))
    @pytest.mark.parametrize("count", [kaplan_flops, farseer_flops])
    def test_counts_of_the_layers_are_linear_in_layers(
        self,
        count: Callable[[TransformerShape, int], int],
        shape: TransformerShape,
        context: int,
        factor: int,
    ) -> None:
        deeper = replace(shape, n_layers=factor * shape.n_layers)
        assert count(deeper, context) == factor * count(shape, context)

    @given(shape=shapes(), context=contexts)
    @pytest.mark.parametrize("name", FLOPS_CONVENTIONS)
    def test_any_count_grows_by_the_same_amount_with_each_layer(
        self, name: str, shape: TransformerShape, context: int
    ) -> None:
        counts = [
            training_flops_per_token(replace(shape, n_layers=n), name, context=context)
            for n in (1, 2, 3)
        ]
        assert counts[2] - counts[1] == counts[1] - counts[0] > 0

    @given(shape=shapes(), context=contexts)
    @pytest.mark.parametrize("name", FLOPS_CONVENTIONS)
    def test_grouping_queries_never_adds_flops_and_keeps_those_of_attention(
        self, name: str, shape: TransformerShape, context: int
    ) -> None:
        full = replace(shape, n_kv_heads=None)
        grouped = training_flops_per_token(shape, name, context=context)
        saved = training_flops_per_token(full, name, context=context) - grouped
        assert saved >= 0
        narrower = full.key_value_width - shape.key_value_width
        matrices = 6 * 2 * shape.n_layers * shape.d_model * narrower
        biases = 6 * 2 * shape.n_layers * narrower * shape.biases
        assert saved in (matrices, matrices + biases)

    @given(
        heads=st.integers(32, 128),
        layers=st.integers(1, 100),
        context=st.integers(1, 64),
        vocabulary=st.integers(1, 64),
        gated=st.booleans(),
    )
    @pytest.mark.parametrize("name", FLOPS_CONVENTIONS)
    def test_wide_models_of_short_context_cost_6n_whatever_the_convention(
        self, name: str, heads: int, layers: int, context: int, vocabulary: int, gated: bool
    ) -> None:
        width = 128 * heads
        shape = TransformerShape(
            n_layers=layers,
            d_model=width,
            d_ff=4 * width,
            n_heads=heads,
            vocabulary_size=vocabulary,
            gated=gated,
        )
        flops = training_flops_per_token(shape, name, context=context)
        assert flops / six_n_nonembedding_flops(shape) == pytest.approx(1, abs=0.01)

    @given(shape=shapes(), context=contexts)
    def test_kaplan_exceeds_6n_by_context_over_twelve_widths(
        self, shape: TransformerShape, context: int
    ) -> None:
        d = shape.d_model
        plain = replace(
            shape, d_ff=4 * d, n_heads=1, head_dim=d, n_kv_heads=1, gated=False, biases=False
        )
        ratio = kaplan_flops(plain, context) / (6 * plain.layer_matrix_params)
        assert ratio == pytest.approx(1 + context / (12 * d), rel=1e-12)


class TestRegistry:
    def test_names_are_those_documented(self) -> None:
        assert list(FLOPS_CONVENTIONS) == [
            "6N-nonembedding",
            "6N-total",
            "kaplan",
            "farseer",
            "step-law",
            "megatron",
            "palm",
            "porian",
            "porian-attention",
            "chinchilla",
            "chinchilla-layers",
        ]
        assert all(name == entry.name for name, entry in FLOPS_CONVENTIONS.items())

    @given(shape=shapes(), context=contexts)
    @pytest.mark.parametrize("name", FLOPS_CONVENTIONS)
    def test_each_count_is_the_formula_that_it_states(
        self, name: str, shape: TransformerShape, context: int
    ) -> None:
        values = {
            "N_nonembedding": shape.params_nonembedding,
            "N_total": shape.params_total,
            "N_matrix": shape.layer_matrix_params,
            "L": shape.n_layers,
            "s": context,
            "w": shape.query_width,
            "h": shape.n_heads,
            "V": shape.vocabulary_size,
            "d": shape.d_model,
        }
        terms = [term.split() for term in FLOPS_CONVENTIONS[name].formula.split(" + ")]
        expected = sum(int(factor) * prod(values[s] for s in symbols) for factor, *symbols in terms)
        assert training_flops_per_token(shape, name, context=context) == expected

    @pytest.mark.parametrize("name", ["6N-nonembedding", "6N-total", "porian"])
    def test_a_count_without_attention_needs_no_context(self, name: str) -> None:
        without = training_flops_per_token(LLAMA_3_8B, name)
        assert without == training_flops_per_token(LLAMA_3_8B, name, context=8192)

    @pytest.mark.parametrize(
        "name", [name for name, entry in FLOPS_CONVENTIONS.items() if entry.needs_context]
    )
    def test_a_count_with_attention_asks_for_the_context(self, name: str) -> None:
        message = f"^context: missing, but the convention {name} counts attention over it: "
        with pytest.raises(InputError, match=message + "expected the tokens per training sequence"):
            training_flops_per_token(LLAMA_3_8B, name)

    @pytest.mark.parametrize("context", [0, -2048, 2048.0, "2048", True])
    @pytest.mark.parametrize(
        "name", [name for name, entry in FLOPS_CONVENTIONS.items() if entry.needs_context]
    )
    def test_a_context_must_be_a_positive_integer(self, name: str, context: Any) -> None:
        with pytest.raises(InputError) as caught:
            training_flops_per_token(LLAMA_3_8B, name, context=context)
        assert str(caught.value) == (
            f"context: not a count: found {context!r}; expected an integer of at least 1"
        )

    @pytest.mark.parametrize("name", ["6N", "hoffmann", ""])
    def test_an_unknown_name_is_answered_with_the_known_ones(self, name: str) -> None:
        with pytest.raises(InputError) as caught:
            training_flops_per_token(LLAMA_3_8B, name)
        assert str(caught.value) == (
            f"convention: unknown FLOP convention: found {name!r}; "
            f"expected one of {', '.join(FLOPS_CONVENTIONS)}"
        )
