"""Backtests of two recipes: which law to believe, and how errors of the difference grow."""

from __future__ import annotations

import numpy as np
import pytest
from comparing_tables import EPOCH, chinchilla, runs_of

from isoloss.comparing import (
    PairBacktest,
    PairFit,
    PairFold,
    PairProblem,
    fit_pair,
    pair_backtest,
)
from isoloss.fitting import fit
from isoloss.laws import Surface, find_law
from isoloss.runs import Runs


def tables(noise: float = 0.0) -> tuple[Runs, Runs]:
    errors = noise * np.random.default_rng(8).standard_normal((2, 25))
    recipes = chinchilla(), chinchilla(B=EPOCH["B"] * 1.2, alpha=0.36)
    first, second = (
        runs_of(recipe, error, sizes=5, horizons=5)
        for recipe, error in zip(recipes, errors, strict=True)
    )
    return first, second


def fitted(name: str, both: tuple[Runs, Runs]) -> tuple[PairFit, Surface]:
    middle = fit(both[0], name, starts=16).surface
    fits = fit_pair(PairProblem.of(find_law(name), both, middle))
    return max(fits, key=lambda each: fits[each]), middle


def test_the_true_law_errs_least() -> None:
    both = tables(1e-4)
    laws = {name: fitted(name, both) for name in ("chinchilla", "compute")}
    backtest = pair_backtest(both, laws)
    true, other = backtest.scores(["chinchilla", "compute"])
    assert true < 4 * 1e-4
    assert other > 3 * true
    assert all(np.all(fold.reach > 0) for fold in backtest.folds)


def test_errors_that_noise_explains_do_not_grow() -> None:
    both = tables(1e-3)
    backtest = pair_backtest(both, {"chinchilla": fitted("chinchilla", both)})
    growth = backtest.growth({"chinchilla": 1.0})
    assert growth is not None
    assert growth.per_reach < 1e-3


def test_errors_that_it_does_not_explain_grow_with_the_reach() -> None:
    reach = np.array([1.0, 2.0])
    off = np.stack([0.05 * reach, 0.03 * reach])
    folds = [
        PairFold(number, np.arange(2), reach, {"x": off}, {"x": np.zeros(2)}, {})
        for number in range(4)
    ]
    growth = PairBacktest(tuple(folds)).growth({"x": 1.0})
    assert growth is not None
    assert growth.deviation(np.array([3.0])) == pytest.approx([0.06])
    assert growth.n_points == 8


def test_a_law_that_a_fold_cannot_carry_is_given_the_worst_error_there() -> None:
    both = tables(1e-4)
    laws = {name: fitted(name, both) for name in ("compute", "chinchilla")}
    few = both[0].take([0, 1, 6, 12, 18, 24]), both[1].take([0, 1, 6, 12, 18, 24])
    backtest = pair_backtest(few, laws)
    first = backtest.folds[0]
    assert set(first.losses) == {"compute"}
    assert "chinchilla has 5 parameters" in first.failed["chinchilla"]
    scores = backtest.scores(["compute", "chinchilla"])
    assert np.all(np.isfinite(scores))


def test_without_dearer_runs_there_is_no_backtest() -> None:
    both = tables()
    same = both[0].take([0, 0, 0]), both[1].take([0, 0, 0])
    backtest = pair_backtest(same, {"chinchilla": fitted("chinchilla", both)})
    assert backtest.folds == ()
    assert backtest.growth({"chinchilla": 1.0}) is None
    assert backtest.scores(["chinchilla"]) == pytest.approx([np.nan], nan_ok=True)
