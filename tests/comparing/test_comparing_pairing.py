"""Runs of two recipes as pairs."""

from __future__ import annotations

import numpy as np
from comparing_tables import chinchilla, grid, runs_of, table
from hypothesis import given
from hypothesis import strategies as st

from isoloss.comparing import Pairing
from isoloss.comparing.pairing import DIFFERENCE, SINGLE, SUM, neighbours


def test_runs_of_equal_sizes_are_pairs_in_any_order() -> None:
    params, tokens = grid(2, 2)
    first = table(params, tokens, np.full(4, 3.0))
    second = table(params[::-1], tokens[::-1], np.full(4, 2.9))
    pairing = Pairing.of(first, second)
    assert pairing.pairs.tolist() == [[0, 3], [1, 2], [2, 1], [3, 0]]
    assert pairing.alone_a.size == pairing.alone_b.size == 0


def test_each_run_has_one_partner_and_the_rest_stand_alone() -> None:
    first = table([1e8, 1e8, 2e8], [1e9, 1e9, 1e9], [3.0, 3.1, 2.9])
    second = table([1e8, 4e8], [1e9, 1e9], [2.9, 2.7])
    pairing = Pairing.of(first, second)
    assert pairing.pairs.tolist() == [[0, 0]]
    assert pairing.alone_a.tolist() == [1, 2]
    assert pairing.alone_b.tolist() == [1]
    assert pairing.kinds.tolist() == [SINGLE] * 3 + [SUM, DIFFERENCE]


def test_sizes_that_differ_by_rounding_are_the_same() -> None:
    first, second = table([1e8], [2e9], [3.0]), table([1.0003e8], [1.9995e9], [2.9])
    assert len(Pairing.of(first, second).pairs) == 1
    assert not len(Pairing.of(first, table([1.01e8], [2e9], [2.9])).pairs)


@given(st.lists(st.floats(-1, 1), min_size=8, max_size=8))
def test_observations_keep_the_sum_of_squares(values: list[float]) -> None:
    first = runs_of(chinchilla(), sizes=2, horizons=2)
    second = table([1e8, 1e9, 2e8, 5e8], [1e9, 1e9, 2e9, 5e9], np.full(4, 3.0))
    pairing = Pairing.of(first, second)
    of_a, of_b = np.array(values[:4]), np.array(values[4:])
    observed = pairing.observations(of_a, of_b)
    assert observed.size == pairing.kinds.size == 8
    assert np.isclose(np.sum(observed**2), np.sum(of_a**2) + np.sum(of_b**2))


def test_neighbours_are_the_nearest_within_reach() -> None:
    first = table([1e8, 1e9], [1e9, 1e10], [3.0, 2.8])
    second = table([1.2e8, 1.1e8, 3e9], [1e9, 1.1e9, 1e10], [3.0, 3.0, 2.7])
    assert neighbours(first, second, 0.35).tolist() == [[0, 1]]
