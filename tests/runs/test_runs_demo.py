"""The table inside the package holds the numbers that were published."""

from __future__ import annotations

import numpy as np
import pytest

from isoloss.errors import InputError
from isoloss.runs import demo_runs

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
    runs = demo_runs()
    assert len(runs) == 32
    assert runs.recipes == ("adamw", "muon")
    assert [note.code for note in runs.notes] == ["mixed-recipes"]
    for recipe in runs.recipes:
        one = demo_runs(recipe)
        assert len(one) == 16
        assert one.recipes == (recipe,)
        assert one.source == "isoloss/data/optimizers.csv"
        assert np.array_equal(one.tokens, 20 * one.params * one.column("horizon"))


def test_sizes_are_those_of_the_shapes_without_embeddings() -> None:
    # 32 layers of 4 d^2 attention and 3 d 4d feed-forward weights.
    shapes = [32 * (4 * d**2 + 3 * d * 4 * d) for d in (512, 768, 1024, 1536)]
    assert np.unique(demo_runs().params).tolist() == shapes


def test_the_published_fits_and_speed_ups_come_out() -> None:
    adamw, muon = demo_runs("adamw"), demo_runs("muon")
    for size, (alpha, power, beta) in ADAMW_FITS.items():
        horizon = adamw.where(f"size = '{size}'").column("horizon")
        fitted = alpha * horizon**-power + beta
        assert fitted == pytest.approx(adamw.where(f"size = '{size}'").loss, abs=3e-3)
        equivalent = ((muon.where(f"size = '{size}'").loss - beta) / alpha) ** (-1 / power)
        assert equivalent / horizon == pytest.approx(MUON_SPEED_UPS[size], abs=1.5e-3)


def test_other_recipes_are_not_there() -> None:
    with pytest.raises(InputError, match="no such recipe: found 'lion'; expected adamw or muon"):
        demo_runs("lion")
