from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from isoloss.errors import FitError
from isoloss.fitting import Fit, Status, fit
from isoloss.fitting.covariance import delta_covariance
from isoloss.fitting.profile import profile
from isoloss.laws import find_law
from isoloss.runs import Runs, read_runs

NOISE = 2e-3
TRUTH = find_law("chinchilla").published_set("epoch-2024").parameters
STUDIES = range(40)


def simulated(seed: int, noise: float = NOISE) -> Runs:
    params = np.repeat(np.geomspace(5e7, 1e10, 9), 9)
    tokens = np.tile(np.geomspace(1e9, 3e11, 9), 9)
    loss = find_law("chinchilla").predict(TRUTH, params=params, tokens=tokens)
    loss = loss * np.exp(noise * np.random.default_rng(seed).standard_normal(loss.size))
    return read_runs(pl.DataFrame({"params": params, "tokens": tokens, "loss": loss}))


@pytest.fixture(scope="module")
def fits() -> list[Fit]:
    """Forty tables that differ by their noise."""
    return [fit(simulated(seed), "chinchilla", objective="squared-log") for seed in STUDIES]


def test_standard_errors_are_the_spread_over_repeated_studies(fits: list[Fit]) -> None:
    # With 40 studies the spread itself is known to 11 %; three times that is allowed.
    for name in ("E", "alpha", "beta"):
        stated = np.mean([delta_covariance(each).standard_errors()[name] for each in fits])
        spread = np.std([each.parameters[name] for each in fits], ddof=1)
        assert stated == pytest.approx(spread, rel=0.34), name


def test_the_spread_of_predictions_follows_too(fits: list[Fit]) -> None:
    place = {"params": [1e9, 7e10], "tokens": [2e10, 1.4e12]}
    stated = np.mean([delta_covariance(each).log_deviation(**place) for each in fits], axis=0)
    logs = [np.log(each.surface.predict(**place)) for each in fits]
    np.testing.assert_allclose(stated, np.std(logs, axis=0, ddof=1), rtol=0.34)


@pytest.mark.parametrize("objective", ["huber", "lad"])
def test_robust_objectives_are_not_too_sure(objective: str) -> None:
    """Few residuals lie where these objectives curve, and of `lad` none.

    Slopes across the smaller half of the residuals stand for curvature, a little on the safe side.
    """
    robust = [fit(simulated(seed), "chinchilla", objective=objective, starts=8) for seed in STUDIES]
    for name in ("E", "alpha", "beta"):
        stated = np.mean([delta_covariance(each).standard_errors()[name] for each in robust])
        spread = np.std([each.parameters[name] for each in robust], ddof=1)
        assert 0.55 < spread / stated < 1.2, name


def test_the_delta_method_agrees_with_the_bootstrap() -> None:
    fitted = fit(simulated(0), "chinchilla", objective="squared-log", bootstrap=400)
    errors = delta_covariance(fitted).standard_errors()
    replicates = fitted.surface.parameter_replicates()
    for name in ("E", "alpha", "beta"):
        assert errors[name] == pytest.approx(np.std(replicates[name]), rel=0.2)


def test_a_fit_that_did_not_converge_has_no_covariance(fits: list[Fit]) -> None:
    with pytest.raises(FitError, match="did not converge"):
        delta_covariance(replace(fits[0], status=Status.STALLED))


def test_a_parameter_on_its_bound_has_no_covariance() -> None:
    params = np.repeat(np.geomspace(1e8, 1e10, 6), 6)
    tokens = np.tile(np.geomspace(1e9, 1e11, 6), 6)
    loss = 20 * params**-0.1 + 10 * tokens**-0.1 - 1
    runs = read_runs(pl.DataFrame({"params": params, "tokens": tokens, "loss": loss}))
    with pytest.raises(FitError, match="on a bound ended E: use bootstrap replicates"):
        delta_covariance(fit(runs, "chinchilla", objective="squared-log"))


def test_profiles_agree_with_the_delta_method_where_the_law_is_nearly_linear(
    fits: list[Fit],
) -> None:
    fitted = fits[0]
    errors = delta_covariance(fitted).standard_errors()
    interval = profile(fitted, "alpha", level=0.6827)
    assert interval.determined
    half_width = 0.5 * (interval.upper - interval.lower)
    assert half_width == pytest.approx(errors["alpha"], rel=0.15)
    assert interval.lower < fitted.parameters["alpha"] < interval.upper


def test_profile_intervals_hold_the_truth_about_as_often_as_they_say(fits: list[Fit]) -> None:
    intervals = [profile(each, "beta", level=0.8, points=21) for each in fits]
    inside = np.mean([each.lower <= TRUTH["beta"] <= each.upper for each in intervals])
    # 40 studies at 80 %: between 65 and 95 % is within 2.4 standard deviations.
    assert 0.65 <= inside <= 0.95


def test_the_profile_is_zero_at_the_optimum_and_rises_to_both_sides(fits: list[Fit]) -> None:
    curve = profile(fits[1], "E")
    middle = int(np.argmin(curve.ratio))
    assert curve.ratio[middle] == pytest.approx(0.0, abs=1e-6)
    assert np.all(np.diff(curve.ratio[: middle + 1]) <= 1e-9)
    assert np.all(np.diff(curve.ratio[middle:]) >= -1e-9)


def test_a_parameter_that_the_data_do_not_determine_has_an_open_interval() -> None:
    # All tokens alike within a factor of 1.2, with noise: beta is anybody's guess.
    params = np.repeat(np.geomspace(5e7, 1e10, 12), 3)
    tokens = np.tile([1.0e10, 1.1e10, 1.2e10], 12)
    loss = find_law("chinchilla").predict(TRUTH, params=params, tokens=tokens)
    loss = loss * np.exp(5e-3 * np.random.default_rng(0).standard_normal(loss.size))
    runs = read_runs(pl.DataFrame({"params": params, "tokens": tokens, "loss": loss}))
    assert not profile(fit(runs, "chinchilla", objective="squared-log"), "beta").determined
