"""Speed-ups read off the runs, against Wen et al. 2025 (arXiv:2509.02046)."""

from __future__ import annotations

import numpy as np
import pytest
from comparing_tables import chinchilla, runs_of, table

from isoloss.comparing import measured_gains
from isoloss.runs import optimizer_runs

# Muon's tokens over those that AdamW needs, at 1, 2, 4 and 8 times 20 tokens per parameter.
SPEED_UPS = {
    134217728: (1.419, 1.327, 1.320, 1.408),
    301989888: (1.300, 1.199, 1.187, 1.256),
    536870912: (1.296, 1.227, 1.229, 1.236),
    1207959552: (1.120, 1.116, 1.133, 1.099),
}


def test_the_published_speed_ups_of_muon() -> None:
    found = measured_gains(optimizer_runs("muon"), optimizer_runs("adamw"), 0.9)
    assert found is not None
    for size, published in SPEED_UPS.items():
        own = found.params == size
        assert np.allclose(found.data_gain[own], published, atol=6e-4)
        assert np.all(np.diff(found.tokens[own]) > 0)


def test_the_gain_shrinks_with_size() -> None:
    found = measured_gains(optimizer_runs("muon"), optimizer_runs("adamw"), 0.9)
    assert found is not None
    assert found.trend is not None
    assert found.trend.lower < found.trend.exponent < found.trend.upper < 0
    document = found.to_json()
    assert document["trend"]["level"] == 0.9
    assert len(document["gains"]) == 16


def test_a_recipe_that_makes_tokens_worth_half_as_much_again() -> None:
    exponent = 0.3658
    better = chinchilla(B=2085.43 * 1.5**-exponent)
    found = measured_gains(runs_of(better), runs_of(chinchilla()), 0.9)
    assert found is not None
    assert np.allclose(found.data_gain, 1.5, rtol=1e-5)
    assert found.trend is not None
    assert found.trend.exponent == pytest.approx(0, abs=1e-5)


def test_no_gain_where_no_size_has_a_curve() -> None:
    short = runs_of(chinchilla(), horizons=3)
    assert measured_gains(short, short, 0.9) is None


def test_a_loss_below_the_curves_floor_has_no_gain() -> None:
    reference = runs_of(chinchilla(), sizes=1)
    found = measured_gains(table([1e8], [1e9], [1.0]), reference, 0.9)
    assert found is not None
    assert np.isnan(found.data_gain[0])
    assert found.to_json() == {
        "gains": [{"params": 1e8, "tokens": 1e9, "data_gain": None}],
        "trend": None,
    }
