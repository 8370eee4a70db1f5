"""One law fitted to two recipes that differ only as far as the runs say so."""

from __future__ import annotations

import numpy as np
import pytest
from comparing_tables import EPOCH, chinchilla, runs_of, table

from isoloss.comparing import PairFit, PairProblem, fit_pair
from isoloss.errors import FitError
from isoloss.fitting import fit
from isoloss.laws import find_law
from isoloss.runs import Runs

POINT = {"params": 3.2e9, "tokens": 6.4e10}


def problem_of(first: Runs, second: Runs) -> PairProblem:
    middle = fit(first, "chinchilla", starts=16).surface
    return PairProblem.of(find_law("chinchilla"), (first, second), middle)


def likeliest(fits: dict[PairFit, float]) -> PairFit:
    return max(fits, key=lambda each: fits[each])


def test_a_known_difference_is_found() -> None:
    recipes = chinchilla(), chinchilla(B=EPOCH["B"] * 1.2, alpha=0.36)
    noise = 2e-4 * np.random.default_rng(1).standard_normal((2, 36))
    tables = [
        runs_of(recipe, error, sizes=6, horizons=6)
        for recipe, error in zip(recipes, noise, strict=True)
    ]
    fits = fit_pair(problem_of(*tables))
    assert sum(fits.values()) == pytest.approx(1)
    found = likeliest(fits)
    for surface, recipe in zip((found.surface_a, found.surface_b), recipes, strict=True):
        assert float(surface.predict(**POINT)) == pytest.approx(
            float(recipe.predict(**POINT)), rel=2e-3
        )
    assert found.noise_difference == pytest.approx(2e-4 * np.sqrt(2), rel=0.4)


def test_equal_recipes_share_their_parameters() -> None:
    noise = 2e-3 * np.random.default_rng(2).standard_normal((2, 16))
    fits = fit_pair(problem_of(*(runs_of(chinchilla(), error) for error in noise)))
    found = likeliest(fits)
    assert found.width <= 1e-3
    assert found.n_different < 2
    ratio = np.log(found.surface_a.predict(**POINT) / found.surface_b.predict(**POINT))
    assert abs(float(ratio)) < 2e-3


def test_noise_that_pairs_share_is_not_in_their_difference() -> None:
    generator = np.random.default_rng(3)
    common, own = 5e-3 * generator.standard_normal(25), 2e-4 * generator.standard_normal((2, 25))
    tables = [runs_of(chinchilla(), common + each, sizes=5, horizons=5) for each in own]
    assert likeliest(fit_pair(problem_of(*tables))).noise_difference < 6e-4
    shuffled = runs_of(chinchilla(), common[::-1] + own[1], sizes=5, horizons=5)
    alone = likeliest(fit_pair(problem_of(tables[0], shuffled)))
    assert alone.noise_difference > 4e-3


def test_draws_of_both_recipes_belong_together() -> None:
    noise = 1e-3 * np.random.default_rng(4).standard_normal((2, 16))
    tables = [runs_of(chinchilla(), error) for error in noise]
    found = likeliest(fit_pair(problem_of(*tables), draws=200))
    losses = [
        np.log(surface.predict_replicates(**POINT)[0])
        for surface in (found.surface_a, found.surface_b)
    ]
    # What is uncertain about both recipes alike cancels.
    assert np.std(losses[0] - losses[1]) < 0.7 * np.hypot(np.std(losses[0]), np.std(losses[1]))


def test_the_same_seed_gives_the_same_draws() -> None:
    tables = runs_of(chinchilla(), 1e-3 * np.sin(np.arange(16))), runs_of(chinchilla(E=1.8))
    drawn = [
        likeliest(fit_pair(problem_of(*tables), seed=seed)).surface_a.replicates
        for seed in (0, 0, 1)
    ]
    assert np.array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])


def test_too_few_runs_are_refused() -> None:
    few = table([1e8, 2e8, 4e8], [1e9, 4e9, 2e9], [3.3, 3.0, 2.9])
    middle = chinchilla()
    message = "law chinchilla has 5 parameters: 6 runs of both recipes together are too few"
    with pytest.raises(FitError, match=f"^{message}$"):
        PairProblem.of(find_law("chinchilla"), (few, few), middle)
