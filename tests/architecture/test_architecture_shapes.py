"""Parameter counts: published models to the last parameter, and what holds for any shape."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from architecture_strategies import shapes
from hypothesis import assume, given
from hypothesis import strategies as st

from isoloss.architecture import TransformerShape
from isoloss.errors import InputError

# Li et al. 2025, arXiv 2506.10972, Table 4: N, d_model, d_ff, heads, layers.
FARSEER_TABLE_4 = (
    (201228288, 1024, 2728, 16, 16),
    (239005312, 1088, 2856, 17, 17),
    (284207616, 1152, 3032, 18, 18),
    (336994944, 1216, 3240, 19, 19),
    (397772800, 1280, 3472, 20, 20),
    (476931840, 1344, 3584, 21, 22),
    (568468736, 1472, 3888, 23, 22),
    (676012032, 1536, 4064, 24, 24),
    (798470400, 1600, 4264, 25, 26),
    (956354688, 1728, 4528, 27, 27),
    (1125938688, 1792, 4832, 28, 29),
    (1338278400, 1920, 5184, 30, 30),
    (1608122368, 2048, 5448, 32, 32),
    (1911894528, 2176, 5712, 34, 34),
    (2273495040, 2304, 6064, 36, 36),
    (2697992704, 2432, 6488, 38, 38),
    (3184435200, 2560, 6952, 40, 40),
    (3816352512, 2752, 7336, 43, 42),
    (4504118400, 2880, 7744, 45, 45),
    (5354047488, 3072, 8264, 48, 47),
    (6369572352, 3328, 9136, 52, 47),
)

# Hoffmann et al. 2022, arXiv 2203.15556, Table A9: N in millions, d_model, d_ff, head width, heads,
# layers. The last four have heads that do not add up to d_model.
CHINCHILLA_TABLE_A9 = (
    (44, 512, 2048, 64, 8, 8),
    (425, 1280, 5120, 128, 10, 18),
    (1143, 1792, 7168, 128, 14, 26),
    (6796, 3584, 14336, 128, 28, 40),
    (16183, 5120, 20480, 128, 40, 47),
    (3530, 2688, 10752, 128, 22, 36),
    (11452, 4352, 17408, 128, 32, 47),
    (12569, 4608, 18432, 128, 32, 47),
    (14940, 4992, 19968, 128, 32, 49),
)

# Parameters as the checkpoints on the authors' model pages hold them.
RELEASED_MODELS: dict[str, tuple[int, dict[str, Any]]] = {
    "GPT-2: biases, layer norms, learned positions, tied": (
        124_439_808,
        {
            "n_layers": 12,
            "d_model": 768,
            "d_ff": 3072,
            "n_heads": 12,
            "vocabulary_size": 50257,
            "gated": False,
            "tied_embeddings": True,
            "biases": True,
            "norm_vectors_per_layer": 4,
            "final_norm_vectors": 2,
            "learned_positions": 1024,
        },
    ),
    "Llama 2 7B: the defaults": (
        6_738_415_616,
        {
            "n_layers": 32,
            "d_model": 4096,
            "d_ff": 11008,
            "n_heads": 32,
            "vocabulary_size": 32000,
        },
    ),
    "Llama 3 8B: grouped-query attention": (
        8_030_261_248,
        {
            "n_layers": 32,
            "d_model": 4096,
            "d_ff": 14336,
            "n_heads": 32,
            "n_kv_heads": 8,
            "vocabulary_size": 128256,
        },
    ),
    "Llama 3 70B: grouped-query attention": (
        70_553_706_496,
        {
            "n_layers": 80,
            "d_model": 8192,
            "d_ff": 28672,
            "n_heads": 64,
            "n_kv_heads": 8,
            "vocabulary_size": 128256,
        },
    ),
    "Gemma 7B: heads wider than the model, tied": (
        8_537_680_896,
        {
            "n_layers": 28,
            "d_model": 3072,
            "d_ff": 24576,
            "n_heads": 16,
            "head_dim": 256,
            "vocabulary_size": 256000,
            "tied_embeddings": True,
        },
    ),
}

BASE = TransformerShape(n_layers=16, d_model=1024, d_ff=2728, n_heads=16, vocabulary_size=65536)


def changed(**fields: Any) -> TransformerShape:
    return replace(BASE, **fields)


def farseer_shape(n_layers: int, d_model: int, d_ff: int, n_heads: int) -> TransformerShape:
    return TransformerShape(
        n_layers=n_layers,
        d_model=d_model,
        d_ff=d_ff,
        n_heads=n_heads,
        head_dim=64,
        vocabulary_size=65536,
        final_norm_vectors=0,
    )


def weight_arrays(shape: TransformerShape) -> list[tuple[int, ...]]:
    """The dimensions of every array such a model holds, listed as an implementation would."""
    d, f = shape.d_model, shape.d_ff
    head = d // shape.n_heads if shape.head_dim is None else shape.head_dim
    heads = shape.n_heads
    kv_heads = heads if shape.n_kv_heads is None else shape.n_kv_heads
    matrices = [(d, heads * head), (d, kv_heads * head), (d, kv_heads * head), (heads * head, d)]
    matrices += [(d, f), (d, f), (f, d)] if shape.gated else [(d, f), (f, d)]
    layer: list[tuple[int, ...]] = [*matrices, *[(d,)] * shape.norm_vectors_per_layer]
    if shape.biases:
        layer += [(columns,) for _, columns in matrices]
    if shape.relative_position_projection:
        layer.append((d, heads * head))
    ends: list[tuple[int, ...]] = [(shape.vocabulary_size, d), *[(d,)] * shape.final_norm_vectors]
    if not shape.tied_embeddings:
        ends.append((d, shape.vocabulary_size))
    if shape.learned_positions:
        ends.append((shape.learned_positions, d))
    return layer * shape.n_layers + ends


class TestPublishedModels:
    @pytest.mark.parametrize(("params", "d_model", "d_ff", "n_heads", "n_layers"), FARSEER_TABLE_4)
    def test_farseer_table_4_to_the_last_parameter(
        self, params: int, d_model: int, d_ff: int, n_heads: int, n_layers: int
    ) -> None:
        shape = farseer_shape(n_layers, d_model, d_ff, n_heads)
        assert shape.params_nonembedding == params
        assert shape.params_total - params == 131072 * d_model

    @pytest.mark.parametrize(
        ("millions", "d_model", "d_ff", "head_dim", "n_heads", "n_layers"), CHINCHILLA_TABLE_A9
    )
    def test_chinchilla_table_a9_with_relative_positions_and_tied_embeddings(
        self, millions: int, d_model: int, d_ff: int, head_dim: int, n_heads: int, n_layers: int
    ) -> None:
        shape = TransformerShape(
            n_layers=n_layers,
            d_model=d_model,
            d_ff=d_ff,
            n_heads=n_heads,
            head_dim=head_dim,
            vocabulary_size=32000,
            gated=False,
            tied_embeddings=True,
            biases=True,
            relative_position_projection=True,
        )
        # The paper does not say where the biases sit; with all of them the last row rounds up.
        assert shape.params_total / 1e6 == pytest.approx(millions, abs=0.55)

    @pytest.mark.parametrize("name", RELEASED_MODELS)
    def test_released_checkpoints_to_the_last_parameter(self, name: str) -> None:
        params, arguments = RELEASED_MODELS[name]
        assert TransformerShape(**arguments).params_total == params

    @pytest.mark.parametrize(
        ("billions", "d_model", "n_heads", "n_layers"),
        [
            (1.7, 2304, 24, 24),
            (18.4, 6144, 48, 40),
            (145.6, 12288, 96, 80),
            (1008, 25600, 160, 128),
        ],
    )
    def test_megatron_table_1_and_its_parameter_formula(
        self, billions: float, d_model: int, n_heads: int, n_layers: int
    ) -> None:
        shape = TransformerShape(
            n_layers=n_layers,
            d_model=d_model,
            d_ff=4 * d_model,
            n_heads=n_heads,
            vocabulary_size=51200,
            gated=False,
            tied_embeddings=True,
            biases=True,
            norm_vectors_per_layer=4,
            final_norm_vectors=0,
            learned_positions=2048,
        )
        # Narayanan et al. 2021: P = 12 l h^2 (1 + 13 / (12 h) + (V + s) / (12 l h)).
        layers = 12 * n_layers * d_model**2 + 13 * n_layers * d_model
        assert shape.params_total == layers + (51200 + 2048) * d_model
        assert shape.params_total / 1e9 == pytest.approx(billions, abs=0.05)


class TestRunTables:
    def test_every_row_of_the_farseer_grid(self, shared_data: Path) -> None:
        rows = pl.read_csv(shared_data / "farseer_grid.csv")
        assert rows.height == 404
        for row in rows.iter_rows(named=True):
            shape = farseer_shape(row["n_layers"], row["d_model"], row["d_ff"], row["n_heads"])
            assert shape.params_nonembedding == row["params"]
            assert shape.params_total == row["params_total"]

    def test_every_cell_of_step_law_which_counts_no_norms(self, shared_data: Path) -> None:
        rows = pl.read_csv(shared_data / "steplaw_dense_surface.csv")
        for row in rows.iter_rows(named=True):
            shape = TransformerShape(
                n_layers=row["n_layers"],
                d_model=row["d_model"],
                d_ff=row["d_ff"],
                n_heads=row["n_heads"],
                vocabulary_size=65536,
                norm_vectors_per_layer=0,
                final_norm_vectors=0,
            )
            assert shape.params_nonembedding == shape.layer_matrix_params == row["params"]

    def test_gadre_total_counts_and_their_count_without_the_input_embedding(
        self, shared_data: Path
    ) -> None:
        sizes = {
            "d=96_l=8_h=4": (96, 8, 4),
            "d=512_l=8_h=4": (512, 8, 4),
            "d=576_l=24_h=8": (576, 24, 8),
            "d=1024_l=24_h=8": (1024, 24, 8),
            "open_lm_1b": (2048, 24, 16),
            "open_lm_7b": (4096, 32, 32),
        }
        for row in pl.read_csv(shared_data / "gadre_overtraining.csv").iter_rows(named=True):
            d_model, n_layers, n_heads = sizes[row["model"]]
            shape = TransformerShape(
                n_layers=n_layers,
                d_model=d_model,
                # OpenLM: 8/3 of the width, up to the next multiple of 256.
                d_ff=256 * -(-(8 * d_model // 3) // 256),
                n_heads=n_heads,
                vocabulary_size=50432,
            )
            assert shape.params_total == row["params_total"]
            without_input = shape.params_total - shape.vocabulary_matrix_params
            assert without_input == row["params_nonembedding"]


class TestEveryShape:
    @given(shape=shapes())
    def test_total_is_the_sum_over_the_arrays_of_the_model(self, shape: TransformerShape) -> None:
        assert shape.params_total == sum(prod(array) for array in weight_arrays(shape))

    @given(shape=shapes())
    def test_parts_add_up(self, shape: TransformerShape) -> None:
        parts = shape.attention_params + shape.feedforward_params + shape.norm_params
        assert parts == shape.params_nonembedding
        assert parts + shape.embedding_params == shape.params_total
        assert shape.layer_matrix_params <= shape.params_nonembedding

    @given(shape=shapes(), factor=st.integers(2, 5))
    def test_parameters_are_linear_in_layers(self, shape: TransformerShape, factor: int) -> None:
        deeper = replace(shape, n_layers=factor * shape.n_layers)
        final_norm = shape.final_norm_vectors * shape.d_model
        assert deeper.attention_params == factor * shape.attention_params
        assert deeper.feedforward_params == factor * shape.feedforward_params
        assert deeper.embedding_params == shape.embedding_params
        assert deeper.params_nonembedding - final_norm == factor * (
            shape.params_nonembedding - final_norm
        )

    @given(shape=shapes(), data=st.data())
    def test_grouping_queries_never_adds_parameters(
        self, shape: TransformerShape, data: st.DataObject
    ) -> None:
        full = replace(shape, n_kv_heads=None)
        divisors = [k for k in range(1, full.n_heads + 1) if full.n_heads % k == 0]
        few, many = sorted((data.draw(st.sampled_from(divisors)), shape.n_heads))
        grouped = replace(shape, n_kv_heads=few)
        assert grouped.params_total <= replace(shape, n_kv_heads=many).params_total
        assert replace(shape, n_kv_heads=full.n_heads).params_total == full.params_total
        saved = 2 * shape.n_layers * (full.key_value_width - grouped.key_value_width)
        rows = shape.d_model + shape.biases
        assert full.params_total - grouped.params_total == saved * rows

    @given(shape=shapes())
    def test_tying_saves_one_vocabulary_matrix(self, shape: TransformerShape) -> None:
        tied = replace(shape, tied_embeddings=True)
        untied = replace(shape, tied_embeddings=False)
        assert untied.params_total - tied.params_total == shape.vocabulary_matrix_params
        assert untied.params_nonembedding == tied.params_nonembedding

    @given(shape=shapes())
    def test_a_gate_adds_one_matrix_and_its_bias(self, shape: TransformerShape) -> None:
        gated, plain = replace(shape, gated=True), replace(shape, gated=False)
        gate = (shape.d_model + shape.biases) * shape.d_ff
        assert gated.feedforward_params - plain.feedforward_params == shape.n_layers * gate

    @given(shape=shapes(), width=st.integers(1, 600))
    def test_default_head_width_follows_the_model(
        self, shape: TransformerShape, width: int
    ) -> None:
        assume(shape.head_dim is None)
        wider = replace(shape, d_model=width * shape.n_heads)
        assert wider.query_width == wider.d_model
        assert wider == replace(wider, n_kv_heads=shape.n_kv_heads)
        explicit = replace(wider, head_dim=width)
        assert explicit.params_total == wider.params_total

    def test_numpy_integers_are_exact_however_narrow(self) -> None:
        narrow = changed(d_model=np.int32(65536), d_ff=np.int32(262144), n_layers=np.int16(99))
        wide = changed(d_model=65536, d_ff=262144, n_layers=99)
        assert narrow == wide
        assert type(narrow.params_total) is int
        assert narrow.params_total == wide.params_total > 2**32


class TestMessages:
    @pytest.mark.parametrize("name", ["n_layers", "d_model", "d_ff", "n_heads", "vocabulary_size"])
    @pytest.mark.parametrize("value", [0, -3, 1024.0, "12", None, True])
    def test_a_size_must_be_a_positive_integer(self, name: str, value: Any) -> None:
        with pytest.raises(InputError) as caught:
            changed(**{name: value})
        assert str(caught.value) == (
            f"TransformerShape.{name}: not a count: found {value!r}; "
            "expected an integer of at least 1"
        )

    @pytest.mark.parametrize(
        "name", ["norm_vectors_per_layer", "final_norm_vectors", "learned_positions"]
    )
    def test_an_optional_part_may_be_absent_but_not_negative(self, name: str) -> None:
        assert changed(**{name: 0}).params_total <= BASE.params_total
        message = rf"TransformerShape\.{name}: not a count: found -1; expected an integer of at le"
        with pytest.raises(InputError, match=message + "ast 0$"):
            changed(**{name: -1})

    @pytest.mark.parametrize("name", ["head_dim", "n_kv_heads"])
    def test_a_size_with_a_default_is_checked_when_given(self, name: str) -> None:
        message = rf"^TransformerShape\.{name}: not a count: found 0; expected an integer of at le"
        with pytest.raises(InputError, match=message + "ast 1$"):
            changed(**{name: 0})

    @pytest.mark.parametrize(
        "name", ["gated", "tied_embeddings", "biases", "relative_position_projection"]
    )
    def test_a_choice_must_be_true_or_false(self, name: str) -> None:
        message = rf"^TransformerShape\.{name}: not a choice: found 'no'; expected True or False$"
        with pytest.raises(InputError, match=message):
            changed(**{name: "no"})

    def test_heads_must_divide_the_width_unless_their_own_is_given(self) -> None:
        with pytest.raises(
            InputError,
            match=r"^TransformerShape\.n_heads: the heads do not divide d_model evenly: "
            r"found 15 with d_model 1024; expected a divisor of d_model, or head_dim given$",
        ):
            changed(n_heads=15)
        assert changed(n_heads=15, head_dim=64).query_width == 960

    def test_key_and_value_heads_must_divide_the_query_heads(self) -> None:
        with pytest.raises(
            InputError,
            match=r"^TransformerShape\.n_kv_heads: the key and value heads do not divide the query "
            r"heads evenly: found 5 with n_heads 16; expected a divisor of n_heads$",
        ):
            changed(n_kv_heads=5)
