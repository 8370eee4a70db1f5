"""Profiles: each parameter held in turn, against scipy, other methods and simulated studies."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fitting_tables import TRUTHS, grid, simulated, table
from scipy.optimize import minimize

from isoloss.errors import FitError, InputError
from isoloss.fitting import Fit, Profile, Status, delta_covariance, fit, profile, profiles
from isoloss.laws import CATALOGUE, working_law

NOISE = 3e-3


@pytest.fixture(scope="module")
def squares() -> Fit:
    return fit(simulated("chinchilla", noise=NOISE), "chinchilla", objective="squared-log")


def bare(lower: float, upper: float, level: float = 0.9) -> Profile:
    return Profile("gamma", 1.0, np.ones(1), np.zeros(1), lower, upper, level)


class TestSentences:
    @pytest.mark.parametrize(
        ("lower", "upper", "sentence"),
        [
            (0.3301, 0.3599, "gamma lies between 0.33 and 0.36 (90 %)"),
            (0.33012, 0.33047, "gamma lies between 0.33012 and 0.33047 (90 %)"),
            (1263.0, 56700.0, "gamma lies between 1260 and 56700 (90 %)"),
            (-0.1, np.inf, "gamma lies above -0.1 (90 %); the data do not bound it from above"),
            (-np.inf, 2.0, "gamma lies below 2 (90 %); the data do not bound it from below"),
            (-np.inf, np.inf, "the data do not bound gamma"),
        ],
    )
    def test_say_what_the_interval_says(self, lower: float, upper: float, sentence: str) -> None:
        assert bare(lower, upper).sentence == sentence

    def test_the_level_is_said(self) -> None:
        assert bare(1.0, 2.0, 0.955).sentence == "gamma lies between 1 and 2 (95.5 %)"

    def test_in_json_an_open_end_is_none(self) -> None:
        assert bare(-np.inf, 2.0).to_json() == {
            "parameter": "gamma",
            "lower": None,
            "upper": 2.0,
            "determined": False,
            "level": 0.9,
        }


class TestAllParameters:
    @pytest.mark.parametrize("law", TRUTHS)
    def test_on_a_dense_grid_every_law_is_bounded_around_its_fit(self, law: str) -> None:
        own = fit(simulated(law, noise=1e-4), law, starts=16)
        found = profiles(own, points=21)
        assert [each.parameter for each in found] == [
            entry.name for entry in working_law(own.law).parameters
        ]
        for each in found:
            assert each.determined, each.sentence
            assert each.lower < each.fitted < each.upper
            assert np.all(np.diff(each.values) > 0)
            if each.parameter in own.parameters:
                assert each.fitted == pytest.approx(own.parameters[each.parameter], rel=1e-9)

    def test_a_table_that_hardly_varies_tokens_bounds_what_concerns_parameters_alone(self) -> None:
        N, D = np.meshgrid(np.geomspace(5e7, 1e10, 12), [1.0e10, 1.1e10, 1.2e10])
        loss = CATALOGUE["chinchilla"].predict(TRUTHS["chinchilla"], params=N, tokens=D)
        errors = 5e-3 * np.random.default_rng(0).standard_normal(N.shape)
        runs = table(N.ravel(), D.ravel(), (loss * np.exp(errors)).ravel())
        found = {
            each.parameter: each
            for each in profiles(fit(runs, "chinchilla", objective="squared-log"))
        }
        assert found["A"].determined
        assert found["alpha"].determined
        assert not found["E"].determined
        assert not found["beta"].determined
        assert found["beta"].sentence.endswith("; the data do not bound it from above")

    def test_on_a_bound_the_interval_is_open_to_that_side(self) -> None:
        N, D = grid(6, 6)
        noise = np.exp(1e-3 * np.random.default_rng(1).standard_normal(N.size))
        runs = table(N, D, (400 / N**0.3 + 900 / D**0.3 - 0.05) * noise)
        own = fit(runs, "chinchilla", objective="squared-log")
        assert own.identifiability.at_bound == ("E",)
        floor = profile(own, "E")
        assert floor.lower == -np.inf
        assert 0 < floor.upper < 0.2


class TestPublishedCoefficients:
    """A is fitted in units of N0**alpha, which changes with alpha: what users know is A itself."""

    def test_the_rise_is_that_of_refits_by_another_optimiser(self, squares: Fit) -> None:
        runs = simulated("chinchilla", noise=NOISE)
        curve = profile(squares, "A", points=5)
        rises = [self.least(runs, held) - squares.objective_value for held in curve.values]
        scale = curve.ratio[0] / rises[0]
        np.testing.assert_allclose(curve.ratio, scale * np.array(rises), rtol=1e-3, atol=1e-6)

    @staticmethod
    def least(runs: Any, held: float) -> float:
        """Least half sum of squares with A held, in E, log B, alpha and beta."""

        def objective(free: Any) -> float:
            E, log_B, alpha, beta = free
            predicted = E + held / runs.params**alpha + np.exp(log_B) / runs.tokens**beta
            return float(0.5e6 * np.sum(np.log(predicted / runs.loss) ** 2))

        start = np.array([1.8, np.log(2000.0), np.log(held / 482.0) / 20.5 + 0.348, 0.366])
        options = {"maxiter": 20_000, "maxfev": 20_000, "xatol": 1e-10, "fatol": 1e-10}
        found = minimize(objective, start, method="Nelder-Mead", options=options)
        found = minimize(objective, found.x, method="Nelder-Mead", options=options)
        return float(found.fun) * 1e-6

    def test_agrees_with_the_bootstrap(self) -> None:
        own = fit(simulated("overtraining", noise=NOISE), "overtraining", bootstrap=400)
        for each in profiles(own, points=21):
            low, high = own.intervals(0.9)[each.parameter]
            assert each.upper - each.lower == pytest.approx(high - low, rel=0.3)

    def test_a_coefficient_of_either_sign(self) -> None:
        """A user's law, with a slope that may pass through zero."""
        from isoloss.laws import law_from_definition

        law = law_from_definition(
            {
                "name": "drift",
                "formula": "E + B/tokens**beta + S/params**alpha",
                "linear": ["E", "B", "S"],
                "parameters": {
                    "E": {"lower": 0},
                    "B": {"lower": 0},
                    "S": {},
                    "alpha": {"lower": 0.3, "upper": 0.4, "start": [0.3, 0.4]},
                    "beta": {"lower": 0, "upper": 3, "start": [0.05, 1.0]},
                },
            }
        )
        N, D = grid(8, 8)
        errors = 2e-2 * np.random.default_rng(3).standard_normal(N.size)
        runs = table(N, D, (1.8 + 2000 / D**0.366) * np.exp(errors))
        slope = profile(fit(runs, law, objective="squared-log", starts=16), "S")
        assert slope.lower < 0 < slope.upper


class TestAgreement:
    def test_with_the_delta_method_where_the_law_is_nearly_linear(self) -> None:
        own = fit(simulated("chinchilla", noise=2e-4), "chinchilla", objective="squared-log")
        errors = delta_covariance(own).standard_errors()
        for each in profiles(own, level=0.6827):
            half = 0.5 * (each.upper - each.lower)
            assert half == pytest.approx(errors[each.parameter], rel=0.1)

    @pytest.mark.parametrize("objective", ["huber", "lad", "soft-l1"])
    def test_robust_objectives_bound_about_as_well_as_least_squares(
        self, squares: Fit, objective: str
    ) -> None:
        """Their curvature lies in few residuals, or in a point, and yet their intervals hold."""
        robust = fit(simulated("chinchilla", noise=NOISE), "chinchilla", objective=objective)
        for name in ("E", "alpha", "beta"):
            one, other = (profile(each, name, points=21) for each in (robust, squares))
            widths = [each.upper - each.lower for each in (one, other)]
            assert 0.8 < widths[0] / widths[1] < 2.5


class TestInvariance:
    def test_the_unit_of_the_loss_does_not_matter(self, squares: Fit) -> None:
        runs = simulated("chinchilla", noise=NOISE)
        scaled = table(runs.params, runs.tokens, 1.4427 * runs.loss)
        other = fit(scaled, "chinchilla", objective="squared-log")
        for name, factor in (("E", 1.4427), ("A", 1.4427), ("alpha", 1.0)):
            one, two = profile(squares, name, points=21), profile(other, name, points=21)
            assert two.lower == pytest.approx(factor * one.lower, rel=1e-4)
            assert two.upper == pytest.approx(factor * one.upper, rel=1e-4)

    def test_the_size_of_all_weights_does_not_matter(self, squares: Fit) -> None:
        runs = simulated("chinchilla", noise=NOISE)
        weighted = fit(runs, "chinchilla", objective="squared-log", weights=np.full(64, 50.0))
        one, other = profile(squares, "beta", points=21), profile(weighted, "beta", points=21)
        assert other.lower == pytest.approx(one.lower, rel=1e-5)
        assert other.upper == pytest.approx(one.upper, rel=1e-5)

    def test_a_higher_level_is_wider(self, squares: Fit) -> None:
        half, most = (profile(squares, "B", level=level, points=21) for level in (0.5, 0.99))
        assert most.lower < half.lower < half.upper < most.upper


class TestRefusals:
    def test_an_unknown_parameter(self, squares: Fit) -> None:
        message = (
            "law chinchilla: unknown working parameter: found 'gamma'; "
            "expected one of E, A, B, alpha, beta"
        )
        with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
            profile(squares, "gamma")

    def test_a_fit_that_did_not_converge(self, squares: Fit) -> None:
        with pytest.raises(FitError, match=r"^the fit of law chinchilla did not converge: stuck"):
            profiles(replace(squares, status=Status.STALLED))

    def test_a_staged_fit_is_no_minimum(self, squares: Fit) -> None:
        with pytest.raises(
            FitError,
            match=r"^a profile rises from a minimum, which a staged fit is not: fit jointly$",
        ):
            profiles(replace(squares, method="staged"))
