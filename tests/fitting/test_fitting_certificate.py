"""The optimum is the optimum: against random starts, and against another optimiser."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from replicate_optima import excess_of_replicates

from isoloss.fitting import fit
from isoloss.runs import Runs, read_runs


@pytest.fixture(scope="module")
def epoch_runs(shared_data: Path) -> Runs:
    return read_runs(shared_data / "chinchilla_fig4_epoch.csv", where="not excluded_by_epoch")


def test_three_hundred_random_starts_end_in_the_same_optimum(epoch_runs: Runs) -> None:
    search = fit(epoch_runs, "chinchilla", starts=300, seed=11).search
    assert (search.converged, search.reached_best, search.next_gap) == (300, 300, None)
    assert search.gradient < 1e-6


def test_replicates_are_at_the_optimum_that_scipys_trust_region_method_finds(
    epoch_runs: Runs,
) -> None:
    """`benchmarks/replicate_optima.py` looks at all 4,000."""
    excess = excess_of_replicates(epoch_runs, 60)
    assert np.isfinite(excess).all()
    assert np.max(np.abs(excess)) < 1e-8


def test_other_optima_of_farseer_are_named(shared_data: Path) -> None:
    runs = read_runs(shared_data / "farseer_grid.csv", where="params > 2e8 and not duplicate_row")
    search = fit(runs, "farseer", starts=64).search
    counted = search.reached_best + sum(optimum.starts for optimum in search.others)
    # Four other optima are named; the best one collects most starts.
    assert search.reached_best > search.converged / 2
    assert counted <= search.converged
    assert [optimum.excess for optimum in search.others] == sorted(
        optimum.excess for optimum in search.others
    )
    assert search.next_gap == pytest.approx(search.others[0].excess)
    assert all(optimum.excess > 0.5 for optimum in search.others)
