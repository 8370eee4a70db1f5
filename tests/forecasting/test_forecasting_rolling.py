"""Rolling backtests: which runs each fold fits, and what the refitted laws get wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from forecasting_tables import EPOCH, grid, simulated, table
from hypothesis import given
from hypothesis import strategies as st

from isoloss.fitting import Fit, fit
from isoloss.forecasting import Region, calibrate, folds_by_compute
from isoloss.forecasting.rolling import RollingErrors, rolling_errors
from isoloss.laws import CATALOGUE
from isoloss.runs import Runs, optimizer_runs, read_runs

DEMO = optimizer_runs("adamw")


def isoflop(budgets: list[float], each: int, rounding: float = 0.0) -> Runs:
    """Profiles of equal budgets, whose 6 N D differs by rounding."""
    flops = np.repeat(budgets, each)
    params = np.tile(np.geomspace(1e8, 1e9, each), len(budgets))
    jitter = 1 + rounding * np.linspace(-1, 1, flops.size)
    tokens = flops * jitter / (6 * params)
    return table(params, tokens, EPOCH.predict(params=params, tokens=tokens))


def test_folds_fit_the_cheapest_runs_and_predict_the_dearer_ones() -> None:
    params, tokens = grid(sizes=5, horizons=8)
    runs = table(params, tokens, EPOCH.predict(params=params, tokens=tokens))
    folds = folds_by_compute(runs)
    assert folds.fitted.shape == (40, 4)
    np.testing.assert_allclose(folds.shares, (0.4, 0.55, 0.7, 0.85), atol=0.06)
    for fitted in folds.fitted.T:
        assert runs.flops[fitted].max() < runs.flops[~fitted].min()
    np.testing.assert_allclose(folds.shares, folds.fitted.mean(axis=0))


@pytest.mark.parametrize("rounding", [0.0, 3e-7])
def test_runs_of_one_budget_stay_together(rounding: float) -> None:
    runs = isoflop([1e18, 1e19, 1e20, 1e21, 1e22], each=7, rounding=rounding)
    folds = folds_by_compute(runs)
    for fitted in folds.fitted.T:
        profiles = fitted.reshape(5, 7)
        assert np.all(profiles.all(axis=1) | ~profiles.any(axis=1))
    assert folds.shares == (0.4, 0.6, 0.8)


def test_shares_that_come_to_the_same_runs_make_one_fold() -> None:
    folds = folds_by_compute(isoflop([1e18, 1e20], each=10))
    assert folds.shares == (0.5,)
    assert folds.fitted.shape == (20, 1)


@pytest.mark.parametrize(
    "runs",
    [
        table([1e8, 2e8, 4e8], [2e9, 4e9, 8e9], [4.0, 3.8, 3.6]),
        isoflop([1e20], each=12),
        table([1e8], [2e9], [4.0]),
    ],
    ids=["three runs", "one budget", "one run"],
)
def test_tables_that_leave_nothing_to_fit_or_predict_have_no_folds(runs: Runs) -> None:
    folds = folds_by_compute(runs)
    assert folds.fitted.shape == (len(runs), 0)
    assert folds.shares == ()


def test_shares_can_be_chosen() -> None:
    folds = folds_by_compute(DEMO, (0.5,))
    assert folds.fitted.shape == (16, 1)
    assert folds.shares == (0.5,)


@given(st.permutations(range(16)))
def test_folds_do_not_depend_on_the_order_of_rows(order: list[int]) -> None:
    folds, shuffled = folds_by_compute(DEMO), folds_by_compute(DEMO.take(order))
    np.testing.assert_array_equal(shuffled.fitted, folds.fitted[order])
    assert shuffled.shares == folds.shares


@pytest.fixture(scope="module", params=["chinchilla", "coupled", "overtraining", "kaplan"])
def demo_fit(request: pytest.FixtureRequest) -> Fit:
    return fit(DEMO, request.param, starts=16)


@pytest.fixture(scope="module")
def demo_errors(demo_fit: Fit) -> RollingErrors:
    return rolling_errors(demo_fit, DEMO, folds_by_compute(DEMO))


def test_errors_are_those_of_separate_fits_to_each_fold(
    demo_fit: Fit, demo_errors: RollingErrors
) -> None:
    """Each fold, fitted on its own around its own centre, must err in the same way: nothing of
    the runs that it predicts may have helped.
    """
    folds = folds_by_compute(DEMO)
    assert not demo_errors.failed
    for fold, fitted in enumerate(folds.fitted.T):
        alone, rest = fit(DEMO.take(fitted), demo_fit.law, starts=16), DEMO.take(~fitted)
        predicted = alone.surface.predict(params=rest.params, tokens=rest.tokens)
        own = demo_errors.fold == fold
        np.testing.assert_array_equal(demo_errors.row[own], np.flatnonzero(~fitted))
        np.testing.assert_allclose(
            demo_errors.log_error[own], np.log(predicted / rest.loss), atol=2e-6
        )


def test_reach_is_measured_from_the_runs_that_a_fold_fits(demo_errors: RollingErrors) -> None:
    folds = folds_by_compute(DEMO)
    for fold, fitted in enumerate(folds.fitted.T):
        rest = DEMO.take(~fitted)
        reach = Region.of_runs(DEMO.take(fitted)).reach(params=rest.params, tokens=rest.tokens)
        np.testing.assert_allclose(demo_errors.reach[demo_errors.fold == fold], reach)


def test_errors_do_not_depend_on_threads_or_the_order_of_rows() -> None:
    fitted = fit(DEMO, "chinchilla", starts=16)
    one, two = (
        rolling_errors(fitted, DEMO, folds_by_compute(DEMO), threads=threads) for threads in (1, 2)
    )
    np.testing.assert_array_equal(one.log_error, two.log_error)
    order = np.random.default_rng(0).permutation(len(DEMO))
    shuffled = DEMO.take(order)
    other = rolling_errors(
        fit(shuffled, "chinchilla", starts=16), shuffled, folds_by_compute(shuffled)
    )
    expected = {
        (fold, row): error
        for fold, row, error in zip(one.fold, one.row, one.log_error, strict=True)
    }
    for fold, row, error in zip(other.fold, other.row, other.log_error, strict=True):
        assert error == pytest.approx(expected[fold, order[row]], abs=1e-7)


def test_runs_of_weight_zero_are_neither_fitted_nor_predicted() -> None:
    spoilt = np.where(np.arange(16) % 4 == 1, 9.0, DEMO.loss)
    runs = table(DEMO.params, DEMO.tokens, spoilt)
    weights = np.where(spoilt == 9.0, 0.0, 1.0)
    folds = folds_by_compute(runs)
    errors = rolling_errors(fit(runs, "compute", weights=weights, starts=8), runs, folds)
    assert np.all(weights[errors.row] == 1)
    assert np.max(np.abs(errors.log_error)) < 0.05


def test_residuals_are_those_of_the_runs_that_a_fold_fitted() -> None:
    folds = folds_by_compute(DEMO)
    errors = rolling_errors(fit(DEMO, "overtraining", starts=8), DEMO, folds)
    assert list(errors.residuals) == list(range(folds.fitted.shape[1]))
    for fold, residuals in errors.residuals.items():
        fitted = folds.fitted[:, fold]
        alone = fit(DEMO.take(fitted), "overtraining")
        np.testing.assert_array_equal(np.isfinite(residuals), fitted)
        np.testing.assert_allclose(residuals[fitted], alone.log_residuals, atol=1e-4)


def test_folds_that_cannot_carry_a_law_are_named_with_the_reason() -> None:
    errors = rolling_errors(fit(DEMO, "farseer", starts=8), DEMO, folds_by_compute(DEMO))
    assert errors.failed[0] == (
        "law farseer has 9 parameters and needs at least 10 runs; the table has 7"
    )
    assert not np.isin(errors.fold, list(errors.failed)).any()


def test_a_law_that_no_fold_can_carry_has_no_errors() -> None:
    runs = DEMO.take(range(7))
    errors = rolling_errors(fit(runs, "coupled", starts=8), runs, folds_by_compute(runs))
    assert errors.log_error.size == errors.row.size == errors.fold.size == errors.reach.size == 0
    assert len(errors.failed) == folds_by_compute(runs).fitted.shape[1]


def test_gross_failures_count_as_an_error_of_one() -> None:
    """A single absurd prediction must not decide an average alone."""
    loss = np.where(DEMO.params > 1e9, 40.0, DEMO.loss)
    runs = table(DEMO.params, DEMO.tokens, loss)
    folds = folds_by_compute(runs)
    errors = rolling_errors(fit(runs, "compute", starts=8), runs, folds)
    first = errors.log_error[errors.fold == 0]
    assert first.min() == -1.0
    assert np.all(np.abs(errors.log_error) <= 1.0)


def test_the_staged_method_is_refitted_in_stages(shared_data: Path) -> None:
    runs = read_runs(shared_data / "farseer_grid.csv", where="not duplicate_row and params > 2e8")
    folds = folds_by_compute(runs, (0.85,))
    errors = rolling_errors(fit(runs, "farseer", method="staged"), runs, folds)
    fitted = folds.fitted[:, 0]
    alone, rest = fit(runs.take(fitted), "farseer", method="staged"), runs.take(~fitted)
    predicted = alone.surface.predict(params=rest.params, tokens=rest.tokens)
    np.testing.assert_allclose(errors.log_error, np.log(predicted / rest.loss), atol=1e-9)


def test_calibration_adds_how_errors_grew() -> None:
    runs = simulated(EPOCH, seed=0)
    fitted = fit(runs, "overtraining", starts=8)
    assert fitted.growth is None
    calibrated = calibrate(fitted, runs)
    assert calibrated.growth is not None
    errors = rolling_errors(fitted, runs, folds_by_compute(runs))
    beyond = errors.reach > 0
    assert calibrated.growth.n_points == np.sum(beyond)
    # Variance of held-out errors beyond that of single runs, per unit of reach.
    excess = np.mean(errors.log_error[beyond] ** 2) - fitted.noise**2
    growth = np.sqrt(np.maximum(excess, 0) / np.mean(errors.reach[beyond] ** 2))
    assert calibrated.growth.per_reach == pytest.approx(growth)
    assert calibrated.parameters == fitted.parameters


def test_calibration_leaves_a_fit_to_a_tiny_table_as_it_is() -> None:
    runs = isoflop([1e20], each=12)
    fitted = fit(runs, CATALOGUE["overtraining"], starts=8)
    assert calibrate(fitted, runs) is fitted
