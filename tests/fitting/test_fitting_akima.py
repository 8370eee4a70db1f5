"""The IsoFLOP method of Porian et al.: interpolated curves under a model of the noise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
from fitting_frontiers import codes, isoflop_runs, surface, true_params

from isoloss.errors import InputError
from isoloss.fitting.frontier.akima import fit_isoflop_akima
from isoloss.fitting.frontier.parabolas import fit_isoflop_parabolas
from isoloss.runs import Runs, read_runs


def test_interpolated_curves_find_the_exponents() -> None:
    runs = isoflop_runs(surface(), half_width=6, sizes=9)
    exact = fit_isoflop_akima(runs, noise=1e-9, bootstrap=10)
    assert exact.a == pytest.approx(0.28 / 0.62, abs=1e-9)
    assert exact.b == pytest.approx(0.34 / 0.62, abs=1e-9)
    fit = fit_isoflop_akima(runs, bootstrap=300)
    low, high = fit.intervals(0.95)["a"]
    assert low < 0.28 / 0.62 < high
    assert 0.01 < high - low < 0.1
    assert fit.optimum(1e20)[0] == pytest.approx(float(true_params(surface(), 1e20)), rel=0.05)
    assert codes(fit) == ["akima-noise"]
    assert fit.to_json()["method"] == "akima"


def test_interpolation_has_no_bias_on_wide_grids() -> None:
    law = surface(0.465, 0.155)
    runs = isoflop_runs(law, half_width=16, sizes=31)
    params = float(true_params(law, 1e20))
    akima = fit_isoflop_akima(runs, noise=1e-6, bootstrap=50)
    parabola = fit_isoflop_parabolas(runs, bootstrap=0)
    assert akima.optimum(1e20)[0] == pytest.approx(params, rel=0.02)
    assert parabola.optimum(1e20)[0] > 1.25 * params


def test_intervals_hold_the_exponent_when_the_noise_is_known() -> None:
    runs = isoflop_runs(surface(), half_width=6, sizes=9, noise=0.01)
    fit = fit_isoflop_akima(runs, noise=0.004, bootstrap=400)
    low, high = fit.intervals(0.95)["a"]
    assert low < 0.28 / 0.62 < high


def test_errors_are_a_third_of_the_distance_of_two_sizes_at_least() -> None:
    runs = isoflop_runs(surface(), half_width=8, sizes=13)
    fit = fit_isoflop_akima(runs, noise=1e-9, bootstrap=50)
    interval = 2 * np.log(8) / 12
    for budget in fit.budgets:
        assert budget.interior_share == 1
        # 25 points an interval, the last one shared: a step is a little more than 1/25.
        assert budget.params_error == pytest.approx(0.33 * interval, rel=0.01)


def test_more_noise_gives_wider_intervals() -> None:
    runs = isoflop_runs(surface(), half_width=6, sizes=9)
    widths = []
    for noise in ("refinedweb", "openwebtext2", 0.03):
        low, high = fit_isoflop_akima(runs, noise=noise, bootstrap=200).intervals()["a"]
        widths.append(high - low)
    assert widths == sorted(widths)


def test_the_best_of_several_runs_of_one_size_counts() -> None:
    runs = isoflop_runs(surface(), sizes=9)
    worse = runs.frame.with_columns(pl.col("loss") + 0.3, pl.col("params") * 1.0001)
    doubled = read_runs(pl.concat([worse, runs.frame]), check=False)
    fit = fit_isoflop_akima(doubled, noise=1e-6, bootstrap=20)
    alone = fit_isoflop_akima(runs, noise=1e-6, bootstrap=20)
    assert [budget.n_sizes for budget in fit.budgets] == [9] * 5
    assert fit.optimum(1e20) == pytest.approx(alone.optimum(1e20), rel=1e-3)


def test_a_minimum_at_the_edge_is_no_minimum() -> None:
    runs = isoflop_runs(
        surface(), half_width=2, off_centre=lambda flops: 4.0 if flops == 1e19 else 1.0
    )
    fit = fit_isoflop_akima(runs, bootstrap=50)
    assert fit.budgets[2].rejected == "the least loss over ln N is at the edge of the runs"
    assert len(fit.kept) == 4


def test_half_of_the_copies_need_a_minimum() -> None:
    runs = isoflop_runs(surface(), half_width=2, sizes=4, off_centre=lambda _: 1.9)
    fit = fit_isoflop_akima(runs, noise=0.005, bootstrap=200)
    shares = [budget.interior_share for budget in fit.kept]
    assert min(shares) >= 0.5
    reasons = [budget.rejected for budget in fit.budgets if not budget.kept]
    assert reasons
    for reason in reasons:
        assert reason.endswith(
            "% of the noisy copies have a minimum over ln N inside the runs, 50% are needed"
        )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda runs: fit_isoflop_akima(runs, bootstrap=1),
            "bootstrap: too few: found 1; expected 2 or more",
        ),
        (
            lambda runs: fit_isoflop_akima(runs, noise="c4"),
            "unknown corpus: found 'c4'; expected one of refinedweb, openwebtext2",
        ),
        (lambda runs: fit_isoflop_akima(runs, noise=0.0), "noise: no noise: found 0; expected the"),
    ],
)
def test_arguments_without_meaning_are_refused(
    call: Callable[[Runs], object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        call(isoflop_runs(surface()))
