"""What rows say about parameters, to first order: against textbook formulas and resampling."""

from __future__ import annotations

import numpy as np
import pytest
from fitting_tables import TRUTHS, grid, simulated, table
from hypothesis import given
from hypothesis import strategies as st

from isoloss.arrays import Array
from isoloss.fitting import Fit, fit
from isoloss.fitting.information import Information, local_information, relative_slopes
from isoloss.laws import CATALOGUE

NOISE = 3e-3


def known(own: Fit) -> Information:
    return local_information(own.problem, own.rows.weights, own.surface.working)


@pytest.fixture(scope="module")
def squares() -> Fit:
    return fit(simulated("chinchilla", noise=NOISE), "chinchilla", objective="squared-log")


def jacobian(own: Fit) -> Array:
    slopes: Array = relative_slopes(own.problem, own.surface.working[:, None])[0]
    return slopes


class TestSlopes:
    @pytest.mark.parametrize("law", TRUTHS)
    def test_are_those_of_the_log_of_the_loss(self, law: str) -> None:
        own = fit(simulated(law, noise=NOISE, sizes=5, budgets=5), law, starts=8)
        middle, step = own.surface.working, 1e-6
        exact = jacobian(own)
        for index in range(middle.size):
            shift = step * np.eye(middle.size)[index]
            above, below = (
                np.log(own.problem.predict((middle + sign * shift)[:, None])[:, 0])
                for sign in (1, -1)
            )
            difference = (above - below) / (2 * step)
            np.testing.assert_allclose(exact[:, index], difference, rtol=1e-4, atol=1e-7)


class TestLeastSquares:
    def test_noise_is_that_of_the_residuals(self, squares: Fit) -> None:
        assert known(squares).noise == pytest.approx(squares.noise, rel=1e-6)

    def test_errors_alike_give_the_textbook_covariance(self, squares: Fit) -> None:
        expected = squares.noise**2 * np.linalg.inv(jacobian(squares).T @ jacobian(squares))
        np.testing.assert_allclose(known(squares).inverse, expected, rtol=1e-4)

    def test_errors_of_any_size_give_the_sandwich(self, squares: Fit) -> None:
        slopes = jacobian(squares)
        bread = np.linalg.inv(slopes.T @ slopes)
        scores = slopes * squares.log_residuals[:, None]
        expected = bread @ scores.T @ scores @ bread * 64 / 59
        np.testing.assert_allclose(known(squares).covariance, expected, rtol=1e-4)


class TestRobustObjectives:
    def test_least_absolute_deviations_cost_a_quarter_of_precision(self) -> None:
        """Under normal errors its standard errors are sqrt(pi/2) times those of least squares."""
        runs = simulated("chinchilla", noise=NOISE, sizes=25, budgets=25)
        absolute, squared = (
            known(fit(runs, "chinchilla", objective=name, starts=8)).noise
            for name in ("lad", "squared-log")
        )
        assert absolute / squared == pytest.approx(np.sqrt(np.pi / 2), rel=0.15)

    @pytest.mark.parametrize("objective", ["huber", "huber:0.01", "squared-log", "soft-l1"])
    def test_errors_are_the_spread_of_replicates_also_where_noise_varies(
        self, objective: str
    ) -> None:
        N, D = grid(12, 12)
        truth = CATALOGUE["chinchilla"].published_set("epoch-2024").parameters
        loss = CATALOGUE["chinchilla"].predict(truth, params=N, tokens=D)
        size = 1e-3 * (N.max() / N) ** 0.5
        errors = size * np.random.default_rng(5).standard_normal(N.size)
        runs = table(N, D, loss * np.exp(errors))
        own = fit(runs, "chinchilla", objective=objective, starts=8, bootstrap=200)
        stated = np.sqrt(np.diag(known(own).covariance))
        low, high = np.quantile(own.surface.replicates, [0.16, 0.84], axis=1)
        np.testing.assert_allclose(stated, (high - low) / 2, rtol=0.4)


class TestRidges:
    @given(
        st.lists(st.floats(-5, 5), min_size=5, max_size=5).filter(lambda g: max(map(abs, g)) > 1)
    )
    def test_move_a_function_by_its_standard_error(
        self, squares: Fit, gradient: list[float]
    ) -> None:
        found, function = known(squares), np.array(gradient)
        step = found.ridge(function[None])[0]
        error = np.sqrt(function @ found.covariance @ function)
        assert function @ step == pytest.approx(error, rel=1e-8)

    @given(st.integers(0, 4), st.lists(st.floats(-1, 1), min_size=5, max_size=5))
    def test_cost_less_than_any_other_step_that_moves_it_as_far(
        self, squares: Fit, index: int, aside: list[float]
    ) -> None:
        found = known(squares)
        step = found.ridge(np.eye(5)[[index]])[0]
        other = step + np.where(np.arange(5) == index, 0.0, aside) * 1e-3
        cost = [np.sum((jacobian(squares) @ each) ** 2) for each in (step, other)]
        assert cost[0] <= cost[1] * (1 + 1e-9)


class TestInvariance:
    @pytest.mark.parametrize("objective", ["huber", "squared", "lad"])
    def test_the_size_of_all_weights_does_not_matter(self, objective: str) -> None:
        runs = simulated("chinchilla", noise=NOISE)
        one, hundred = (
            known(fit(runs, "chinchilla", objective=objective, weights=np.full(64, weight)))
            for weight in (1.0, 100.0)
        )
        np.testing.assert_allclose(hundred.covariance, one.covariance, rtol=1e-4, atol=1e-12)

    def test_runs_of_weight_zero_say_nothing(self) -> None:
        runs = simulated("chinchilla", noise=NOISE)
        weights = np.r_[np.ones(50), np.zeros(14)]
        weighted = fit(runs, "chinchilla", objective="squared-log", weights=weights)
        found = known(weighted)
        errors = np.where(weights > 0, weighted.log_residuals, 0.0)
        assert found.noise == pytest.approx(np.sqrt(np.sum(errors**2) / 45), rel=1e-6)
        assert found.freedom == 45

    def test_few_runs_need_more_standard_errors(self) -> None:
        """Student's t at a level of 90 %: 2.015 with 5 degrees of freedom, 1.671 with 60."""
        few, many = (
            fit(simulated("compute", noise=NOISE, sizes=sizes, budgets=budgets), "compute")
            for sizes, budgets in ((4, 2), (9, 7))
        )
        assert known(few).quantile(0.9) == pytest.approx(2.015, abs=1e-3)
        assert known(many).quantile(0.9) == pytest.approx(1.671, abs=1e-3)


class TestWithoutInformation:
    def test_a_parameter_that_no_run_depends_on_has_a_large_but_finite_error(self) -> None:
        """alpha, with nothing left of the term it stands in."""
        own = fit(simulated("chinchilla", noise=NOISE), "chinchilla", objective="squared-log")
        working = own.surface.working.copy()
        working[1] = 0.0
        found = local_information(own.problem, own.rows.weights, working)
        errors = np.sqrt(np.diag(found.covariance))
        assert errors[3] == pytest.approx(100.0)
        assert np.all(errors[[0, 2, 4]] < 1.0)

    def test_exact_losses_are_not_believed_to_the_last_digit(self) -> None:
        own = fit(simulated("chinchilla"), "chinchilla", objective="squared-log")
        assert known(own).noise == pytest.approx(1e-6, rel=0.1)
