"""Several laws of two recipes as one answer, pooled as in a forecast."""

from __future__ import annotations

import numpy as np
import pytest
from comparing_tables import chinchilla, exactly, grid

from isoloss.comparing import PairEnsemble, PairFit, PairLaw
from isoloss.forecasting import CLOSE, Region
from isoloss.laws import Surface, find_law

PLACE = np.array([3e9, 3e10]), np.array([6e10, 1e11])
LAWS = ("chinchilla", "overtraining", "kaplan")


def surface(law: str, shift: float) -> Surface:
    """A law's first published set, its loss times a factor."""
    own = find_law(law)
    found = Surface.published(own, own.published[0].name)
    scale = np.exp(shift)
    return Surface(
        own, type(found.centre)(found.centre.inputs, found.centre.loss * scale), found.working
    )


def ensemble(
    shifts: tuple[float, ...], given: list[tuple[float, float]] | None = None
) -> PairEnsemble:
    """Laws, each of which has a difference of its own between the recipes.

    They count alike where no weight and plausibility of each is given.
    """
    region = Region.of(dict(zip(("params", "tokens"), grid(), strict=True)))
    fits = [
        PairFit(
            exactly(surface(law, shift)),
            exactly(surface(law, 0.0)),
            0.01,
            0.0,
            0.0,
            1e-3,
            20.0,
            5.0,
        )
        for law, shift in zip(LAWS, shifts, strict=True)
    ]
    share = 1 / len(fits)
    weights = given if given is not None else [(share, share)] * len(fits)
    laws = [PairLaw(*own, ((fit, 1.0),)) for own, fit in zip(weights, fits, strict=True)]
    return PairEnsemble(tuple(laws), None, region)


def test_laws_that_are_close_together_count_by_their_mean() -> None:
    contrast = ensemble((-0.003, 0.0, 0.006)).contrast(*PLACE)
    assert contrast.log_ratio == pytest.approx([0.001, 0.001], abs=1e-9)
    assert contrast.form == pytest.approx(np.std([-0.003, 0.0, 0.006]) * np.ones(2))


def test_a_law_that_strays_pulls_no_harder_than_one_close_by() -> None:
    contrast = ensemble((0.0, 0.0, 0.5)).contrast(*PLACE)
    # Two laws at 0 pull down by twice the centre, the third up by the distance called close.
    assert contrast.log_ratio == pytest.approx([CLOSE / 2, CLOSE / 2], abs=1e-9)
    # It is in the deviation all the same.
    assert np.all(contrast.form > 0.25)


def test_a_loss_beyond_all_numbers_is_infinite_for_its_recipe_alone() -> None:
    tiny = np.array([1e-100, 3e9]), np.array([1e-100, 6e10])
    first, second = ensemble((700.0, 0.0, 0.0)).log_losses(*tiny)
    assert first[0] == np.inf
    assert np.isfinite([*second, first[1]]).all()
    assert second == pytest.approx(ensemble((0.0, 0.0, 0.0)).log_losses(*tiny)[0], rel=0.1)


def test_losses_beyond_all_numbers_are_infinite_for_both_recipes() -> None:
    nowhere = np.array(1e-300), np.array(1e-300)
    assert [float(log) for log in ensemble((0.0, 0.0, 0.0)).log_losses(*nowhere)] == [np.inf] * 2


def test_laws_disagree_as_far_as_the_runs_leave_open() -> None:
    contrast = ensemble((0.0, 0.004, 0.5), [(1.0, 0.5), (0.0, 0.5), (0.0, 0.0)]).contrast(*PLACE)
    assert contrast.log_ratio == pytest.approx(np.zeros(2), abs=1e-12)
    assert contrast.form == pytest.approx(0.004 * np.sqrt(0.5) * np.ones(2))


def test_a_law_without_weight_has_no_say_beyond_its_domain() -> None:
    contrast = ensemble((0.0, 0.004, np.inf), [(1.0, 0.4), (0.0, 0.4), (0.0, 0.2)]).contrast(*PLACE)
    assert contrast.form == pytest.approx(0.004 * np.sqrt(0.4) * np.ones(2))


def test_the_losses_differ_by_the_contrast() -> None:
    laws = ensemble((-0.02, 0.004, 0.05))
    first, second = laws.log_losses(*PLACE)
    assert first - second == pytest.approx(laws.contrast(*PLACE).log_ratio, abs=1e-12)
    assert laws.log_loss(0, *PLACE) == pytest.approx(first)


def test_losses_keep_the_shape_of_the_places() -> None:
    laws = ensemble((0.0, 0.001, 0.002))
    sizes = np.geomspace(1e9, 1e10, 6).reshape(3, 2)
    both = laws.log_losses(sizes, 20 * sizes)
    assert both[0].shape == (3, 2)
    flat = laws.log_losses(sizes.ravel(), 20 * sizes.ravel())
    assert both[1].ravel() == pytest.approx(flat[1])


def test_of_one_law_the_losses_are_its_own() -> None:
    first, second = chinchilla(E=1.7), chinchilla()
    fit = PairFit(exactly(first), exactly(second), 0.01, 0.0, 0.0, 1e-3, 20.0, 5.0)
    region = Region.of(dict(zip(("params", "tokens"), grid(), strict=True)))
    losses = PairEnsemble((PairLaw(1.0, 1.0, ((fit, 1.0),)),), None, region).log_losses(*PLACE)
    for log_loss, own in zip(losses, (first, second), strict=True):
        exact = np.log(own.predict(params=PLACE[0], tokens=PLACE[1]))
        assert log_loss == pytest.approx(exact, abs=1e-12)
