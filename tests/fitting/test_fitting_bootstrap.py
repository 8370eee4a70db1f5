from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoloss.errors import InputError
from isoloss.fitting import fit
from isoloss.fitting.bootstrap import (
    NoiseBootstrap,
    ResidualBootstrap,
    cluster_bootstrap,
    pairs_bootstrap,
    porian_log_noise,
    seed_log_noise,
)
from isoloss.laws import find_law
from isoloss.runs import Runs, optimizer_runs, read_runs


@given(rows=st.integers(3, 40), seed=st.integers(0, 1000))
def test_pairs_draw_as_many_runs_as_there_are_and_never_one_of_weight_zero(
    rows: int, seed: int
) -> None:
    weights = np.ones(rows)
    weights[0] = 0.0
    drawn = pairs_bootstrap(weights, seed).block(slice(0, 20))[0].T
    assert np.all(drawn.sum(axis=0) == rows - 1)
    assert np.all(drawn[0] == 0)


@given(sizes=st.lists(st.integers(1, 6), min_size=3, max_size=8), seed=st.integers(0, 1000))
def test_clusters_are_drawn_whole(sizes: list[int], seed: int) -> None:
    clusters = np.repeat(np.arange(len(sizes)), sizes)
    drawn = cluster_bootstrap(np.ones(clusters.size), clusters, seed).block(slice(0, 20))[0].T
    for cluster in range(len(sizes)):
        own = drawn[clusters == cluster]
        assert np.all(own == own[0])
    picked = np.stack([drawn[clusters == cluster][0] for cluster in range(len(sizes))])
    assert np.all(picked.sum(axis=0) == len(sizes))


@given(seed=st.integers(0, 1000))
def test_runs_are_drawn_within_their_stratum(seed: int) -> None:
    strata = np.repeat([0, 1, 2], [4, 9, 5])
    drawn, _ = pairs_bootstrap(np.ones(18), seed, strata).block(slice(0, 20))
    for stratum, size in enumerate((4, 9, 5)):
        assert np.all(drawn[:, strata == stratum].sum(axis=1) == size)


def test_blocks_are_drawn_anew_and_alike() -> None:
    bootstrap = pairs_bootstrap(np.ones(30), 7)
    first, second = (bootstrap.block(slice(begin, begin + 10))[0] for begin in (0, 10))
    assert np.any(first != second)
    np.testing.assert_array_equal(first, bootstrap.block(slice(0, 10))[0])


def test_two_clusters_are_too_few() -> None:
    with pytest.raises(InputError, match="too few clusters to draw from: found 2; expected three"):
        cluster_bootstrap(np.ones(4), np.array([0, 0, 1, 1]), 0)


def test_residuals_are_drawn_around_the_surface_and_inflated_for_the_parameters() -> None:
    predicted = np.full(2000, 2.5)
    residuals = np.random.default_rng(0).normal(0.3, 0.01, 2000)
    bootstrap = ResidualBootstrap(np.ones(2000), predicted, residuals, 500, seed=1)
    _, measured = bootstrap.block(slice(0, 40))
    spread = np.log(measured / predicted)
    assert abs(spread.mean()) < 1e-4
    assert np.std(spread) == pytest.approx(0.01 * np.sqrt(2000 / 1500), rel=0.02)


def test_noise_has_the_size_asked_for() -> None:
    bootstrap = NoiseBootstrap(np.ones(500), np.full(500, 3.0), 0.002, seed=1)
    _, measured = bootstrap.block(slice(0, 200))
    assert np.std(np.log(measured / 3.0)) == pytest.approx(0.002, rel=0.02)


def test_noise_of_porian_interpolates_the_standard_deviation_of_the_loss() -> None:
    loss = np.array([2.0, 3.0, np.sqrt(21.0), 7.0, 9.0])
    expected = np.array([0.002, 0.002, np.sqrt(0.002 * 0.05), 0.05, 0.05]) / loss
    np.testing.assert_allclose(porian_log_noise(loss, "refinedweb"), expected)
    with pytest.raises(InputError, match="unknown corpus: found 'pile'; expected one of refined"):
        porian_log_noise(loss, "pile")


def test_noise_between_seeds_is_pooled_over_repeated_runs() -> None:
    params = np.array([1e8, 1e8, 1e8, 1e9, 1e9, 1e10])
    loss = np.exp(np.array([1.0, 1.1, 1.2, 0.5, 0.5, 0.3]))
    noise, freedom = seed_log_noise((params,), loss)
    assert freedom == 3
    assert noise == pytest.approx(np.sqrt(0.02 / 3))
    assert np.isnan(seed_log_noise((np.array([1e8, 1e9]),), np.array([3.0, 2.0]))[0])


@pytest.mark.parametrize("resample", ["pairs", "residual", "cluster:size", "noise:0.001"])
def test_every_kind_gives_converged_replicates_around_the_fit(resample: str) -> None:
    fitted = fit(optimizer_runs("adamw"), "overtraining", bootstrap=60, resample=resample)
    assert fitted.surface.replicates.shape == (4, 60)
    low, high = np.quantile(fitted.surface.predict_replicates(params=1e9, tokens=2e10), [0, 1])
    assert low < fitted.surface.predict(params=1e9, tokens=2e10) < high


def repeated_runs(noise: float) -> Runs:
    law = find_law("chinchilla")
    params = np.repeat(np.geomspace(1e8, 1e10, 6), 6)
    tokens = np.tile(np.repeat(np.geomspace(1e9, 1e11, 3), 2), 6)
    truth = law.predict(law.published_set("epoch-2024").parameters, params=params, tokens=tokens)
    loss = truth * np.exp(noise * np.random.default_rng(3).standard_normal(params.size))
    return read_runs(pl.DataFrame({"params": params, "tokens": tokens, "loss": loss}))


def test_noise_without_a_size_is_that_between_the_seeds_of_the_table() -> None:
    runs = repeated_runs(2e-3)
    by_seeds = fit(runs, "chinchilla", bootstrap=200, resample="noise")
    noise, _ = seed_log_noise((runs.params, runs.tokens), runs.loss)
    stated = fit(runs, "chinchilla", bootstrap=200, resample=f"noise:{noise!r}")
    np.testing.assert_array_equal(by_seeds.surface.replicates, stated.surface.replicates)


@pytest.mark.parametrize(
    ("resample", "message"),
    [
        ("jackknife", "unknown kind of bootstrap: found 'jackknife'; expected pairs, residual"),
        ("cluster:shape", "no column shape"),
        ("noise:loud", "not a noise level: found 'loud'"),
        ("noise", "no run is repeated, so the noise between seeds is unknown"),
    ],
)
def test_a_kind_that_makes_no_sense_is_refused(resample: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        fit(optimizer_runs("adamw"), "overtraining", bootstrap=5, resample=resample)
