"""Compute- and data-equivalent gains against closed forms and published numbers."""

from __future__ import annotations

import numpy as np
import pytest
from comparing_tables import EPOCH, chinchilla, known
from hypothesis import given
from hypothesis import strategies as st

from isoloss.comparing import PairEnsemble, compute_gain, data_gain, gain_curve
from isoloss.comparing.gain import check_path, optimal_params
from isoloss.errors import InputError
from isoloss.laws import Surface, find_law
from isoloss.planning import optimum

PLACE = np.array([1e9]), np.array([2e10])


def of_compute(factor: float, exponent: float) -> Surface:
    parameters = {"E": 1.9, "A": factor, "alpha": exponent}
    return Surface.of_parameters(find_law("compute"), parameters)


LSTM, TRANSFORMER, MODERN = (
    of_compute(*pair) for pair in ((36.3, 0.065), (81.7, 0.091), (88.0, 0.094))
)


@pytest.mark.parametrize(
    ("new", "flops", "gain"),
    [
        (TRANSFORMER, 1e15, 3.800),
        (TRANSFORMER, 1e17, 23.98),
        (TRANSFORMER, 1e20, 380.0),
        (TRANSFORMER, 1e23, 6022.3),
        (MODERN, 1e15, 5.967),
        (MODERN, 1e20, 1015),
        (MODERN, 1e23, 22130),
    ],
)
def test_gains_of_algorithms_by_gundlach(new: Surface, flops: float, gain: float) -> None:
    size = np.sqrt(flops / 120)
    found = compute_gain(known(new, LSTM), np.array([size]), np.array([20 * size]), 0.9)
    # The published values come from constants with more digits.
    assert float(found.value[0]) == pytest.approx(gain, rel=2e-3)


def test_the_gain_of_the_same_exponent_is_constant() -> None:
    ensemble = known(of_compute(80.0, 0.09), of_compute(90.0, 0.09))
    curve = gain_curve(ensemble, np.geomspace(1e18, 1e24, 5), 20.0, 0.9)
    assert np.allclose(curve.compute.value, (90 / 80) ** (1 / 0.09), rtol=1e-6)


@given(st.floats(0.2, 5.0))
def test_tokens_worth_more_are_a_data_gain(rho: float) -> None:
    better = chinchilla(B=EPOCH["B"] * rho ** -EPOCH["beta"])
    found = data_gain(known(better, chinchilla()), *PLACE, 0.9)
    assert float(found.value[0]) == pytest.approx(rho, rel=1e-6)


@given(st.floats(0.2, 5.0))
def test_all_compute_worth_more_is_a_compute_gain(rho: float) -> None:
    half = np.sqrt(rho)
    better = chinchilla(
        A=EPOCH["A"] * half ** -EPOCH["alpha"], B=EPOCH["B"] * half ** -EPOCH["beta"]
    )
    found = compute_gain(known(better, chinchilla()), *PLACE, 0.9)
    assert float(found.value[0]) == pytest.approx(rho, rel=1e-6)


def test_exact_knowledge_has_no_interval_and_swapping_inverts_the_direction() -> None:
    first, second = chinchilla(E=1.8), chinchilla()
    better = compute_gain(known(first, second), *PLACE, 0.9)
    assert better.lower[0] == better.value[0] == better.upper[0] > 1
    assert compute_gain(known(second, first), *PLACE, 0.9).value[0] < 1


def test_a_loss_below_the_others_floor_has_no_finite_gain() -> None:
    place = np.array([1e12]), np.array([2e13])
    found = compute_gain(known(chinchilla(E=1.5), chinchilla()), *place, 0.9)
    assert np.isnan(found.value[0])


def test_the_optimal_path_is_that_of_the_law() -> None:
    first, second = chinchilla(E=1.8), chinchilla()
    ensemble = known(first, second)
    flops = np.array([1e20, 1e22])
    for recipe, surface in enumerate((first, second)):
        exact = optimum(surface, flops).params
        assert np.allclose(optimal_params(ensemble, recipe, flops), exact, rtol=0.02)
    found = compute_gain(ensemble, np.sqrt(flops / 120), np.sqrt(flops / 120) * 20, 0.9, "optimal")
    best = [optimum(surface, flops).params for surface in (first, second)]
    target = first.predict(params=best[0], tokens=flops / (6 * best[0]))
    spent = flops * found.value
    own = optimum(second, spent).params
    assert np.allclose(second.predict(params=own, tokens=spent / (6 * own)), target, rtol=1e-5)


def test_a_law_without_optimum_has_no_gain_along_optimal_splits() -> None:
    found = compute_gain(known(MODERN, LSTM), *PLACE, 0.9, "optimal")
    assert np.isnan(found.value[0])


def test_unknown_paths() -> None:
    message = "^--path: unknown path: found 'best'; expected ratio or optimal$"
    with pytest.raises(InputError, match=message):
        check_path("best")


def test_the_curve_as_json() -> None:
    ensemble: PairEnsemble = known(chinchilla(E=1.5), chinchilla())
    curve = gain_curve(ensemble, np.array([1e19, 1e27]), 20.0, 0.9)
    near, far = curve.to_json()
    assert near["compute_gain"] > 1
    assert near["probability_a_better"] == 1
    assert far["compute_gain"] is None
