"""The tables inside the package: numbers that were published, and a sweep of our own."""

from __future__ import annotations

import math

import numpy as np
import pytest

from isoloss.architecture import TransformerShape, training_flops_per_token
from isoloss.errors import InputError
from isoloss.runs import demo_runs, optimizer_runs

# Wen et al. 2025 fit AdamW's loss at each size by alpha horizon^-B + beta (their script, rerun),
# and count how many times more tokens AdamW needs to reach the loss of Muon.
ADAMW_FITS = {
    "130M": (0.41787, 0.49500, 3.11128),
    "300M": (0.34975, 0.47736, 2.91301),
    "520M": (0.34174, 0.39726, 2.76267),
    "1.2B": (0.23935, 0.48480, 2.66492),
}
MUON_SPEED_UPS = {
    "130M": (1.419, 1.327, 1.320, 1.408),
    "300M": (1.300, 1.199, 1.187, 1.256),
    "520M": (1.296, 1.227, 1.229, 1.236),
    "1.2B": (1.120, 1.116, 1.133, 1.099),
}


def test_two_recipes_at_four_sizes_and_four_horizons() -> None:
    runs = optimizer_runs()
    assert len(runs) == 32
    assert runs.recipes == ("adamw", "muon")
    assert [note.code for note in runs.notes] == ["mixed-recipes"]
    for recipe in runs.recipes:
        one = optimizer_runs(recipe)
        assert len(one) == 16
        assert one.recipes == (recipe,)
        assert one.source == "isoloss/data/optimizers.csv"
        assert np.array_equal(one.tokens, 20 * one.params * one.column("horizon"))


def test_sizes_are_those_of_the_shapes_without_embeddings() -> None:
    # 32 layers of 4 d^2 attention and 3 d 4d feed-forward weights.
    shapes = [32 * (4 * d**2 + 3 * d * 4 * d) for d in (512, 768, 1024, 1536)]
    assert np.unique(optimizer_runs().params).tolist() == shapes


def test_the_published_fits_and_speed_ups_come_out() -> None:
    adamw, muon = optimizer_runs("adamw"), optimizer_runs("muon")
    for size, (alpha, power, beta) in ADAMW_FITS.items():
        horizon = adamw.where(f"size = '{size}'").column("horizon")
        fitted = alpha * horizon**-power + beta
        assert fitted == pytest.approx(adamw.where(f"size = '{size}'").loss, abs=3e-3)
        equivalent = ((muon.where(f"size = '{size}'").loss - beta) / alpha) ** (-1 / power)
        assert equivalent / horizon == pytest.approx(MUON_SPEED_UPS[size], abs=1.5e-3)


def test_other_recipes_are_not_there() -> None:
    with pytest.raises(InputError, match="no such recipe: found 'lion'; expected adamw or muon"):
        optimizer_runs("lion")
    with pytest.raises(InputError, match="no such recipe: found 'lion'; expected adamw or muon"):
        demo_runs("lion")


@pytest.mark.parametrize("recipe", ["adamw", "muon"])
def test_our_own_sweep_covers_a_grid_and_its_noise(recipe: str) -> None:
    runs = demo_runs(recipe)
    grid, replicates = runs.split("seed > 0")
    assert len(np.unique(grid.params)) >= 12
    assert grid.params.min() < 6e3 < 9e5 < grid.params.max() < 1e6
    assert np.unique(grid.tokens).tolist() == [512e3 * 2**step for step in range(6)]
    cells = set(zip(grid.params.tolist(), grid.tokens.tolist(), strict=True))
    assert len(cells) == len(grid)
    seeds = replicates.column("seed")
    assert np.unique(seeds).tolist() == [1, 2]
    for seed in (1, 2):
        again = replicates.where(f"seed = {seed}")
        assert len(again) >= 6
        assert set(zip(again.params.tolist(), again.tokens.tolist(), strict=True)) <= cells


def test_the_counts_of_our_own_sweep_are_those_of_its_shapes() -> None:
    runs = demo_runs()
    for row in runs.frame.iter_rows(named=True):
        shape = TransformerShape(
            n_layers=int(row["n_layers"]),
            d_model=int(row["d_model"]),
            d_ff=int(row["d_ff"]),
            n_heads=int(row["n_heads"]),
            vocabulary_size=256,
            tied_embeddings=True,
        )
        assert row["params"] == shape.params_nonembedding
        assert row["params_total"] == shape.params_total
        assert row["tokens"] == 2048 * row["steps"]
        per_token = training_flops_per_token(shape, "megatron", context=128)
        assert row["flops"] == per_token * row["tokens"]


def test_losses_of_bytes_are_bits_in_other_units() -> None:
    runs = demo_runs()
    # Ends of documents cost bits, and are no bytes: 539 documents in seven megabytes.
    assert runs.column("bits_per_byte") == pytest.approx(runs.loss / math.log(2), rel=1e-3)
    assert np.all((runs.loss > 1) & (runs.loss < math.log(256)))
