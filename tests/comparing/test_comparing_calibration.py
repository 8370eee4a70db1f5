"""Stated probabilities are right as often as they say, on simulated pairs of recipes.

A small version of benchmarks/comparison_calibration.py.
"""

from __future__ import annotations

import numpy as np
import pytest
from comparison_calibration import TRUTHS, Call, calibration, called, simulated_pair

from isoloss.laws import Surface, find_law

PAIRS = 30


@pytest.fixture(scope="module")
def calls() -> list[Call]:
    return called(PAIRS, 1, ["chinchilla"])


def test_sure_calls_are_right(calls: list[Call]) -> None:
    sure = [call for call in calls if call.stated >= 0.9]
    assert len(sure) >= 8
    assert np.mean([call.right for call in sure]) >= 0.85


def test_calls_are_right_as_often_as_they_say(calls: list[Call]) -> None:
    stated = np.array([call.stated for call in calls])
    right = np.array([call.right for call in calls])
    chance = np.sqrt(np.sum(stated * (1 - stated)))
    assert abs(np.sum(right) - np.sum(stated)) < 2.5 * chance


def test_intervals_hold_the_truth(calls: list[Call]) -> None:
    assert 0.8 <= np.mean([call.held for call in calls]) <= 1.0


def test_every_call_is_in_one_bin(calls: list[Call]) -> None:
    assert sum(count for _, _, count, _, _ in calibration(calls)) == PAIRS


def test_simulated_recipes_differ_as_said() -> None:
    name, coefficients = TRUTHS[0]
    truth = Surface.published(find_law(name), coefficients)
    tables, point, true = simulated_pair(np.random.default_rng(7), truth)
    assert point[0] >= max(runs.params.max() for runs in tables)
    assert true != 0
