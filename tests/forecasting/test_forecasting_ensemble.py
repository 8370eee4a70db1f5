"""Weights of laws from how they erred when predicting the dearer runs of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from forecasting_tables import EPOCH, laws_named, simulated, table
from hypothesis import given
from hypothesis import strategies as st

from isoloss.errors import FitError
from isoloss.fitting import FittedRows
from isoloss.forecasting import Candidates, Region, fit_candidates, folds_by_compute, weigh
from isoloss.forecasting.rolling import RollingErrors, rolling_errors

RUNS = simulated(EPOCH, seed=0)
TWO = ("chinchilla", "overtraining")
THREE = (*TWO, "compute")


@pytest.fixture(scope="module")
def candidates() -> Candidates:
    """Laws of equal standing for which the fitted runs say the same: one fit under three names."""
    found = fit_candidates(RUNS, laws_named(*THREE), bootstrap=0)
    alike = found.fits["chinchilla"]
    fits = {}
    for name in found.fits:
        law = replace(alike.law, name=name, standing=1.0)
        fits[name] = replace(alike, surface=replace(alike.surface, law=law))
    return replace(found, fits=fits)


def errors_of(folds: Sequence[int], log_errors: Sequence[float]) -> RollingErrors:
    """Errors of one law, a held-out run a fold and entry, each at a reach of one."""
    count = len(folds)
    return RollingErrors(
        np.asarray(folds, dtype=np.int64),
        np.arange(count),
        np.asarray(log_errors, dtype=np.float64),
        np.ones(count),
        {},
    )


def with_errors(candidates: Candidates, errors: dict[str, RollingErrors]) -> Candidates:
    return replace(candidates, errors=errors)


def weights_of(candidates: Candidates, errors: dict[str, RollingErrors]) -> list[float]:
    ensemble = weigh(with_errors(candidates, errors), list(errors))
    return [ensemble.weights[name] for name in errors]


error_columns = st.integers(3, 12).flatmap(
    lambda count: st.lists(
        st.lists(st.floats(-0.2, 0.2), min_size=count, max_size=count), min_size=3, max_size=3
    )
)


@given(error_columns)
def test_weights_are_shares(candidates: Candidates, columns: list[list[float]]) -> None:
    folds = [index % 3 for index in range(len(columns[0]))]
    weights = weights_of(
        candidates, {n: errors_of(folds, c) for n, c in zip(THREE, columns, strict=True)}
    )
    assert sum(weights) == pytest.approx(1.0, abs=1e-9)
    assert all(0 <= weight <= 1 for weight in weights)


@given(error_columns, st.floats(0.01, 100))
def test_weights_do_not_depend_on_the_size_of_all_errors(
    candidates: Candidates, columns: list[list[float]], scale: float
) -> None:
    folds = [0] * len(columns[0])
    array = np.round(np.array(columns), 3) + 0.001
    before, after = (
        weights_of(candidates, {n: errors_of(folds, c) for n, c in zip(THREE, rows, strict=True)})
        for rows in (array, array * scale)
    )
    # A weight near the share below which it is dropped may fall on either side.
    np.testing.assert_allclose(before, after, atol=0.006)


def test_laws_that_err_alike_count_alike(candidates: Candidates) -> None:
    errors = errors_of([0, 0, 1], [0.01, -0.02, 0.015])
    assert weights_of(candidates, dict.fromkeys(TWO, errors)) == pytest.approx([0.5, 0.5])


def test_odds_are_inverse_to_the_error(candidates: Candidates) -> None:
    errors = {
        "chinchilla": errors_of([0], [1e-3]),
        "overtraining": errors_of([0], [-2e-3]),
        "compute": errors_of([0], [0.5]),
    }
    weights = weights_of(candidates, errors)
    assert weights[:2] == pytest.approx([2 / 3, 1 / 3])
    # A share too small to notice is dropped.
    assert weights[2] == 0.0


def test_a_law_without_error_takes_all(candidates: Candidates) -> None:
    errors = {"chinchilla": errors_of([0, 1], [0.0, 0.0]), "compute": errors_of([0, 1], [0.01] * 2)}
    assert weights_of(candidates, errors) == [1.0, 0.0]


def test_a_fold_counts_alike_however_many_runs_it_predicts(candidates: Candidates) -> None:
    one, many = (
        weights_of(
            candidates,
            {
                "chinchilla": errors_of([0] * copies + [1], [0.01] * copies + [0.02]),
                "overtraining": errors_of([0] * copies + [1], [0.03] * copies + [0.01]),
            },
        )
        for copies in (1, 9)
    )
    assert one == pytest.approx(many)


def test_the_fold_fitted_to_most_runs_counts_most(candidates: Candidates) -> None:
    """The first law errs on the early fold, the second as much on the late one."""
    early, late = weights_of(
        candidates,
        {
            "chinchilla": errors_of([0, 1], [0.02, 0.01]),
            "overtraining": errors_of([0, 1], [0.01, 0.02]),
        },
    )
    assert early == pytest.approx((0.01 + 9 * 0.02) / (0.02 + 9 * 0.01) * late)


def test_standing_is_prior_odds(candidates: Candidates) -> None:
    errors = dict.fromkeys(TWO, errors_of([0, 1], [0.01, 0.02]))
    fits = dict(candidates.fits)
    own = fits["overtraining"]
    law = replace(own.law, standing=3.0)
    fits["overtraining"] = replace(own, surface=replace(own.surface, law=law))
    assert weights_of(replace(candidates, fits=fits), errors) == pytest.approx([0.25, 0.75])


def test_evidence_grows_with_the_square_root_of_the_runs() -> None:
    """Residuals half as large make a law 2^k times as likely, with k = 0.65 sqrt(n)."""
    for copies in (1, 4):
        found = fit_candidates(RUNS, laws_named(*TWO), bootstrap=0)
        close = found.fits["chinchilla"]
        alike = replace(close, surface=replace(close.surface, law=replace(close.law, standing=1.0)))
        rows = alike.rows
        # Measured losses twice as far from the surface, and every run `copies` times.
        far = np.tile(rows.measured * np.exp(-alike.log_residuals), copies)
        inputs = tuple(np.tile(column, copies) for column in rows.inputs)
        ones = np.ones(far.size)
        loose = replace(alike, rows=FittedRows(inputs, far, ones))
        tight = replace(alike, rows=FittedRows(inputs, np.tile(rows.measured, copies), ones))
        errors = dict.fromkeys(TWO, errors_of([0], [0.01]))
        pair = replace(found, fits=dict(zip(TWO, (tight, loose), strict=True)))
        odds = 2 ** (0.65 * np.sqrt(far.size))
        assert weights_of(pair, errors) == pytest.approx([odds / (1 + odds), 1 / (1 + odds)])


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_fold_that_a_law_cannot_carry_counts_as_the_worst_error_there(
    candidates: Candidates, sign: float
) -> None:
    """With its sign: were a law that always fails on a fold given an error of the other sign, it
    would seem to correct the law that does not.
    """
    everywhere = errors_of([0, 1], [sign * 0.02, sign * 0.01])
    only_later = RollingErrors(
        np.array([1]), np.array([1]), np.array([sign * 0.03]), np.ones(1), {0: "too few runs"}
    )
    weights = weights_of(candidates, {"chinchilla": everywhere, "overtraining": only_later})
    filled_in = errors_of([0, 1], [sign * 0.02, sign * 0.03])
    assert weights == weights_of(candidates, {"chinchilla": everywhere, "overtraining": filled_in})
    assert weights[0] > 0.7


def test_without_backtests_laws_count_alike(candidates: Candidates) -> None:
    none = errors_of([], [])
    ensemble = weigh(with_errors(candidates, dict.fromkeys(THREE, none)), list(THREE))
    assert list(ensemble.weights.values()) == pytest.approx([1 / 3] * 3)
    assert ensemble.growth is None
    assert all(np.isnan(score) for score in ensemble.scores.values())


def test_scores_are_mean_absolute_errors_with_later_folds_first(candidates: Candidates) -> None:
    errors = {name: errors_of([0, 0, 1], [0.01, -0.03, 0.04]) for name in TWO}
    ensemble = weigh(with_errors(candidates, errors), list(TWO))
    assert ensemble.scores["chinchilla"] == pytest.approx((0.02 + 9 * 0.04) / 10)


def test_growth_is_that_of_the_weighted_prediction(candidates: Candidates) -> None:
    """Laws that cancel err less together than either alone."""
    errors = {
        "chinchilla": errors_of([0, 1], [0.05, 0.05]),
        "compute": errors_of([0, 1], [-0.05, -0.05]),
    }
    together = weigh(with_errors(candidates, errors), list(errors)).growth
    alone = weigh(with_errors(candidates, errors), ["chinchilla"]).growth
    assert together is not None
    assert alone is not None
    assert together.per_reach < 0.2 * alone.per_reach
    noise = candidates.fits["chinchilla"].noise
    assert alone.per_reach == pytest.approx(np.sqrt(0.05**2 - noise**2))


def test_errors_are_those_of_the_weighted_prediction(candidates: Candidates) -> None:
    """Residuals are weighed among the laws that a fold could carry."""
    later = np.array([0.01, -0.02, np.nan])
    both = {name: errors_of([0, 1], [0.02, 0.01]) for name in TWO}
    both["chinchilla"] = replace(both["chinchilla"], residuals={0: -later, 1: later})
    both["overtraining"] = replace(both["overtraining"], residuals={1: 3 * later})
    ensemble = weigh(with_errors(candidates, both), list(TWO))
    np.testing.assert_array_equal(ensemble.errors.fold, [0, 1])
    np.testing.assert_array_equal(ensemble.errors.row, [0, 1])
    np.testing.assert_allclose(ensemble.errors.log_error, [0.02, 0.01])
    np.testing.assert_allclose(ensemble.errors.residuals[0], -later)
    np.testing.assert_allclose(ensemble.errors.residuals[1], 2 * later)


def test_candidates_are_fitted_and_backtested() -> None:
    candidates = fit_candidates(RUNS, laws_named(*THREE), bootstrap=0)
    assert tuple(candidates.fits) == THREE
    assert candidates.refused == {}
    assert candidates.region == Region.of_runs(RUNS)
    expected = rolling_errors(candidates.fits["compute"], RUNS, folds_by_compute(RUNS))
    np.testing.assert_allclose(candidates.errors["compute"].log_error, expected.log_error)
    for name in THREE:
        growth = candidates.fits[name].growth
        assert growth is not None
        assert growth.n_points == np.sum(candidates.errors[name].reach > 0)


def test_laws_that_a_table_cannot_carry_are_refused_with_the_reason() -> None:
    few = fit_candidates(RUNS.take(range(5)), laws_named("compute", "chinchilla"), bootstrap=0)
    assert list(few.fits) == ["compute"]
    assert few.refused == {
        "chinchilla": "law chinchilla has 5 parameters and needs at least 6 runs; the table has 5"
    }


def test_a_table_that_can_carry_no_law_is_an_error() -> None:
    tiny = table([1e8, 2e8, 4e8], [2e9, 4e9, 8e9], [4.0, 3.8, 3.6])
    with pytest.raises(FitError) as caught:
        fit_candidates(tiny, laws_named("compute", "kaplan"))
    assert str(caught.value) == (
        "no law can be fitted to frame: "
        "law compute has 3 parameters and needs at least 4 runs; the table has 3; "
        "law kaplan has 4 parameters and needs at least 5 runs; the table has 3"
    )


def test_progress_names_each_law() -> None:
    done: list[str] = []
    fit_candidates(RUNS, laws_named("compute", "overtraining"), bootstrap=0, advance=done.append)
    assert done == ["compute", "overtraining"]
