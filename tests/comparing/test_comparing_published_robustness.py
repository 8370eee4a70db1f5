"""Schaeffer et al. 2025 (arXiv:2509.23963): how robust Chinchilla's fit is, in their numbers.

Their point estimate maximises a Huber density of free scale. With delta 1e-3 of that scale it is
the least absolute deviation of the log loss, which reproduces their parameters to every digit.
Tokens stay as digitised, FLOPs / 6N, whatever N is then perturbed to.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from chinchilla_sizes import sizes, to_the_million, with_shapes

from isoloss.arrays import Array
from isoloss.comparing import (
    COUNTS,
    Perturbation,
    Trial,
    blur_params,
    count_params,
    raise_params,
    scale_params,
    shift_params,
)
from isoloss.fitting import Fit, find_objective, fit
from isoloss.laws import find_law
from isoloss.planning import optimum
from isoloss.runs import Runs, read_runs

STANDARD, BEST_FIT = "tied", "tied, 5 attention matrices"
LAW = find_law("chinchilla")


def trial_of(runs: Runs) -> Trial:
    return Trial(runs, LAW, find_objective("lad"), "joint", starts=4, seed=0)


def fitted(trial: Trial) -> Fit:
    return fit(trial.runs, trial.law, objective=trial.objective, starts=trial.starts)


@pytest.fixture(scope="module")
def digitised(shared_data: Path) -> Runs:
    return with_shapes(shared_data)


def params_by(runs: Runs, count: str) -> Array:
    if count == "digitised":
        return runs.params
    if count == "reported":
        return 1e6 * runs.column("millions")
    return to_the_million(count_params(runs, COUNTS[count]))


@pytest.fixture(scope="module")
def standard(digitised: Runs) -> Trial:
    """The runs with the standard count of N, which the paper perturbs."""
    return trial_of(digitised).with_params(params_by(digitised, STANDARD))


def perturbed(trial: Trial, perturbation: Perturbation) -> dict[str, float]:
    found = fitted(perturbation.change(trial))
    assert found.converged
    return found.parameters


@pytest.mark.parametrize(
    ("count", "A", "B", "E", "alpha", "beta"),
    [
        ("digitised", 482.006, 2085.434, 1.81686, 0.34781, 0.36585),
        ("reported", 452.071, 2014.200, 1.80974, 0.344055, 0.36413),
        (BEST_FIT, 437.148, 1803.982, 1.79747, 0.34186, 0.35869),
        (STANDARD, 493.376, 1786.727, 1.80653, 0.35026, 0.35820),
    ],
)
def test_fits_by_four_counts_of_parameters(
    count: str, A: float, B: float, E: float, alpha: float, beta: float, digitised: Runs
) -> None:
    found = fitted(trial_of(digitised).with_params(params_by(digitised, count)))
    printed = {"A": A, "B": B, "E": E, "alpha": alpha, "beta": beta}
    assert found.parameters == pytest.approx(printed, rel=1.5e-5)


@pytest.mark.parametrize(
    ("count", "per_decade"), [("reported", -1.248), (BEST_FIT, -1.049), (STANDARD, -0.572)]
)
def test_tokens_per_parameter_fall_by_about_one_a_decade(
    count: str, per_decade: float, digitised: Runs
) -> None:
    # They regress medians of 10,000 draws of the parameters; these are of the estimates alone.
    surface = fitted(trial_of(digitised).with_params(params_by(digitised, count))).surface
    budgets = 10.0 ** np.arange(18, 28, 0.05)
    best = optimum(surface, budgets)
    slope = np.polyfit(np.log10(budgets), best.tokens / best.params, 1)[0]
    assert slope == pytest.approx(per_decade, rel=0.03)


def test_tokens_per_parameter_of_small_budgets(digitised: Runs) -> None:
    best = optimum(fitted(trial_of(digitised)).surface, [1e18, 1e19])
    assert best.tokens / best.params == pytest.approx([25.6, 24.1], rel=5e-3)


def test_the_standard_count_differs_from_table_a9_at_every_size() -> None:
    error = relative_errors(STANDARD)
    assert np.count_nonzero(error) == 50
    assert 100 * error.mean() == pytest.approx(7.388, abs=5e-4)
    assert 100 * error.max() == pytest.approx(15.2, abs=0.05)
    assert 100 * error.min() == pytest.approx(3.6, abs=0.05)


def test_the_best_fit_count_meets_table_a9_at_44_of_50_sizes() -> None:
    # Beside these six one size, 724M, is off by 0.2 %, and fourteen by a million or less.
    error = relative_errors(BEST_FIT)
    assert np.count_nonzero(error > 0.01) == 6
    assert np.count_nonzero(error > 0.005) == 6
    assert 100 * error.max() == pytest.approx(8.7, abs=0.05)


def relative_errors(count: str) -> Array:
    table = sizes()
    runs = read_runs(table.with_columns(params=table["millions"], tokens=1e9, loss=3.0))
    reported = 1e6 * runs.column("millions")
    counted = to_the_million(count_params(runs, COUNTS[count]))
    return np.asarray(np.abs(reported - counted) / reported)


@pytest.mark.parametrize("factor", np.logspace(-3, 3, 11)[[0, 4, 6, 10]])
def test_a_factor_of_n_moves_a_alone(factor: float, standard: Trial) -> None:
    before = fitted(standard).parameters
    after = perturbed(standard, scale_params(factor))
    expected = {**before, "A": before["A"] * factor ** before["alpha"]}
    assert after == pytest.approx(expected, rel=1e-6)


def test_an_offset_of_n_bends_alpha_and_lifts_e(standard: Trial) -> None:
    steps = np.logspace(6.6, 7.6, 5)
    found = [perturbed(standard, shift_params(offset)) for offset in (*-steps[::-1], *steps)]
    alpha, floor = ([each[name] for each in found] for name in ("alpha", "E"))
    assert (alpha[0], alpha[-1]) == pytest.approx((0.199, 0.481), abs=6e-4)
    assert (floor[0], floor[-1]) == pytest.approx((1.565, 1.897), abs=5e-4)
    assert np.all(np.diff(alpha) > 0)
    assert np.all(np.diff(floor) > 0)


def test_a_power_of_n_divides_alpha(standard: Trial) -> None:
    before = fitted(standard).parameters
    middle = np.exp(np.mean(np.log(standard.runs.params)))
    powers = np.logspace(-0.5, 0.5, 11)[::2]
    found = [perturbed(standard, raise_params(power)) for power in powers]
    alpha = [each["alpha"] for each in found]
    slope, height = np.polyfit(np.log10(powers), np.log10(alpha), 1)
    assert slope == pytest.approx(-1, abs=1e-6)
    assert height == pytest.approx(-0.46, abs=5e-3)
    for power, each in zip(powers, found, strict=True):
        A = before["A"] * middle ** (before["alpha"] * (1 - power) / power)
        expected = {**before, "A": A, "alpha": before["alpha"] / power}
        # The solver's tolerance is multiplied by ln N in A.
        assert each == pytest.approx(expected, rel=1e-5)


def test_a_power_of_n_bends_tokens_per_parameter(standard: Trial) -> None:
    before = fitted(standard).parameters
    power = 10**0.3
    surface = fitted(raise_params(power).change(standard)).surface
    best = optimum(surface, [1e20, 1e21])
    ratio = best.tokens / best.params
    alpha, beta = before["alpha"] / power, before["beta"]
    assert np.log10(ratio[1] / ratio[0]) == pytest.approx((alpha - beta) / (alpha + beta), rel=1e-5)


def test_noise_of_n_flattens_alpha_and_lowers_e(standard: Trial) -> None:
    before = fitted(standard).parameters
    for seed in range(3):
        after = perturbed(standard, blur_params(1.0, seed))
        assert after["alpha"] < before["alpha"]
        assert after["A"] < before["A"]
        assert after["E"] < before["E"]
