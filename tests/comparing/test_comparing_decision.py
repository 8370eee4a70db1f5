"""How many more runs decide, and where the order flips."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from comparing_tables import chinchilla, known, runs_of

from isoloss.comparing import (
    PairEnsemble,
    PairLaw,
    PairProblem,
    crossings,
    fit_pair,
    pairs_until_decided,
    plane,
)
from isoloss.fitting import ErrorGrowth
from isoloss.forecasting import Region
from isoloss.laws import find_law

POINT, PLACE = (3.2e9, 6.4e10), (8e8, 6.4e10)


def ensemble_of(shift: float, growth: ErrorGrowth | None = None) -> PairEnsemble:
    """Two recipes whose second is better by about `shift` of the loss."""
    generator = np.random.default_rng(5)
    noise = 2e-3 * generator.standard_normal((2, 16))
    tables = runs_of(chinchilla(), noise[0] + shift), runs_of(chinchilla(), noise[1])
    problem = PairProblem.of(find_law("chinchilla"), tables, chinchilla())
    region = Region.of_runs(tables[0])
    law = PairLaw(1.0, 1.0, tuple(fit_pair(problem).items()))
    return PairEnsemble((law,), growth, region)


def needed(ensemble: PairEnsemble) -> int | None:
    return pairs_until_decided(ensemble, ensemble.contrast(*POINT), POINT, PLACE)


def test_a_law_without_weight_does_not_count() -> None:
    own = ensemble_of(0.0015)
    fit = own.laws[0].fits[0][0]
    nowhere = replace(fit.surface_a, centre=replace(fit.surface_a.centre, loss=np.inf))
    lost = PairLaw(0.0, 0.1, ((replace(fit, surface_a=nowhere), 1.0),))
    count = needed(own)
    assert count is not None
    assert count > 0
    assert needed(replace(own, laws=(*own.laws, lost))) == count


def test_a_clear_case_needs_no_more_runs() -> None:
    assert needed(ensemble_of(0.05)) == 0


def test_a_close_case_needs_more_runs_the_closer_it_is() -> None:
    counts = []
    for shift in (0.006, 0.002, 0.0005):
        ensemble = ensemble_of(shift)
        count = needed(ensemble)
        probability = float(ensemble.contrast(*POINT).probability_a_better[0])
        decided = probability <= 0.05
        assert decided == (count == 0)
        counts.append(np.inf if count is None else count)
    assert counts == sorted(counts)
    assert counts[-1] > 0


def test_no_number_of_runs_lessens_the_error_of_the_form() -> None:
    assert needed(ensemble_of(0.004, ErrorGrowth(0.01, 20))) is None


def test_equal_recipes_are_never_decided() -> None:
    assert needed(known(chinchilla(), chinchilla())) is None


def test_the_order_flips_where_the_losses_are_equal() -> None:
    # A better floor against a better exponent of tokens.
    first, second = chinchilla(E=1.80), chinchilla(beta=0.372)
    (found,) = crossings(known(first, second), (20.0,), (1e7, 1e12))
    place = {"params": found.params, "tokens": found.tokens}
    assert found.tokens == pytest.approx(20 * found.params)
    assert float(first.predict(**place)) == pytest.approx(float(second.predict(**place)), rel=1e-5)
    assert found.better_beyond == 0
    document = found.to_json(("floor", "tokens"))
    assert document["better_beyond"] == "floor"
    assert document["flops"] == pytest.approx(6 * found.params * found.tokens)


def test_no_flip_where_one_recipe_is_always_better() -> None:
    assert crossings(known(chinchilla(E=1.8), chinchilla()), (5.0, 20.0), (1e7, 1e12)) == ()


def test_the_plane_has_one_row_a_token_count() -> None:
    found = plane(known(chinchilla(E=1.8), chinchilla()), (1e8, 1e10), (1e9, 1e12), 5)
    assert found.log_ratio.shape == found.probability_a_better.shape == (5, 5)
    assert np.all(found.log_ratio < 0)
    exact = chinchilla(E=1.8).predict(params=1e10, tokens=1e9)
    ratio = np.log(exact / chinchilla().predict(params=1e10, tokens=1e9))
    assert found.log_ratio[0, 4] == pytest.approx(float(ratio))
