"""Reference item 7: N, D and k together. No coefficients are printed; identities are."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from isoloss.laws import find_law
from isoloss.laws.train_to_test import PASS_AT_K_LAW, PASS_AT_K_OF_LOSS, TRAIN_TO_TEST

OURS = {"E": 0.3, "A": 60.0, "B": 300.0, "G": 1.2, "alpha": 0.3, "beta": 0.35, "gamma": 0.4}
BUDGET, INFERENCE = 2.56e19, 2e9


def along_budgets(params: float, answers_worth: float) -> float:
    """Loss with D = C_train/6N and k = C_inf/2N."""
    own = {**OURS, "G": answers_worth}
    tokens, samples = BUDGET / (6 * params), INFERENCE / (2 * params)
    return float(TRAIN_TO_TEST.predict(own, params=params, tokens=tokens, samples=samples))


def best_params(answers_worth: float) -> float:
    found = minimize_scalar(
        lambda log: along_budgets(np.exp(log), answers_worth),
        bounds=np.log([1e6, 1e11]),
        method="bounded",
        options={"xatol": 1e-9},
    )
    return float(np.exp(found.x))


class TestTrainToTest:
    def test_optimum_under_both_budgets(self) -> None:
        """alpha A N^-alpha = beta B D^-beta + gamma G k^-gamma."""
        N = best_params(OURS["G"])
        D, k = BUDGET / (6 * N), INFERENCE / (2 * N)
        model = OURS["alpha"] * OURS["A"] * N ** -OURS["alpha"]
        data = OURS["beta"] * OURS["B"] * D ** -OURS["beta"]
        answers = OURS["gamma"] * OURS["G"] * k ** -OURS["gamma"]
        assert model == pytest.approx(data + answers, rel=1e-5)

    @given(answers_worth=st.floats(0.01, 10))
    def test_optimum_is_smaller_than_chinchillas(self, answers_worth: float) -> None:
        own = {name: OURS[name] for name in ("E", "A", "B", "alpha", "beta")}
        N = find_law("chinchilla").optimal_params(own, BUDGET)
        assert N is not None
        assert best_params(answers_worth) < float(N)
        assert best_params(0.0) == pytest.approx(float(N), rel=1e-4)

    def test_one_answer_raises_the_floor(self) -> None:
        one = TRAIN_TO_TEST.predict(OURS, params=1e300, tokens=1e300, samples=1.0)
        assert float(one) == pytest.approx(OURS["E"] + OURS["G"], rel=1e-12)

    def test_latex(self) -> None:
        assert TRAIN_TO_TEST.latex() == (
            r"L(N, D, k) = A N^{- \alpha} + B D^{- \beta} + E + G k^{- \gamma}"
        )


THETAS = {"theta0": 1.2, "theta1": 3.0, "theta2": 0.9, "theta3": 2.0, "theta4": 0.4}
LOSSES = st.floats(0.2, 3)


def pass_at_k(loss: float, samples: float, **changed: float) -> float:
    own = {**THETAS, **changed}
    return float(PASS_AT_K_OF_LOSS.predict(own, task_loss=loss, samples=samples))


def mean_chance(loss: float) -> float:
    return float(0.9 / (1 + np.exp(3.0 * (loss - 1.2))))


class TestPassAtK:
    @given(loss=LOSSES)
    def test_of_one_answer_is_the_mean_chance(self, loss: float) -> None:
        assert pass_at_k(loss, 1) == pytest.approx(mean_chance(loss), rel=1e-11)

    @given(loss=LOSSES)
    def test_of_two_answers_in_closed_form(self, loss: float) -> None:
        """1 - E(1 - p)^2 = mu + (1 - mu) mu nu/(nu + 1)."""
        mu, nu = mean_chance(loss), np.exp(2.0 + 0.4 * loss)
        expected = mu + (1 - mu) * mu * nu / (nu + 1)
        assert pass_at_k(loss, 2) == pytest.approx(expected, rel=1e-11)

    @given(loss=st.floats(0.2, 1.5))
    def test_of_endless_answers_is_one(self, loss: float) -> None:
        assert pass_at_k(loss, 1e14) == pytest.approx(1, abs=1e-6)

    @given(loss=LOSSES, samples=st.floats(1, 20))
    def test_of_equal_chances_is_that_of_independent_answers(
        self, loss: float, samples: float
    ) -> None:
        """nu without bound: 1 - (1 - mu)^k."""
        expected = 1 - (1 - mean_chance(loss)) ** samples
        own = pass_at_k(loss, samples, theta3=np.log(1e7), theta4=0.0)
        assert own == pytest.approx(expected, rel=1e-4, abs=1e-6)

    @given(
        loss=st.floats(0.2, 6),
        samples=st.integers(1, 30),
        concentration=st.floats(-3, 20).map(lambda power: 10.0**power),
    )
    def test_keeps_its_digits_at_any_concentration(
        self, loss: float, samples: int, concentration: float
    ) -> None:
        """1 - prod (f + i)/(c + i) over i below k, with f = (1 - mu) c, in exact fractions."""
        own = pass_at_k(loss, samples, theta3=np.log(concentration), theta4=0.0)
        mean = Fraction(mean_chance(loss))
        whole = Fraction(float(np.exp(np.log(concentration))))
        failing = Fraction(1)
        for index in range(samples):
            failing *= ((1 - mean) * whole + index) / (whole + index)
        # The chance of one answer is rounded to 1e-16, next to 1.
        assert own == pytest.approx(float(1 - failing), rel=1e-12, abs=1e-15 * samples)

    @given(loss=LOSSES, samples=st.floats(1.5, 1000))
    def test_of_unequal_chances_is_less(self, loss: float, samples: float) -> None:
        assert pass_at_k(loss, samples) <= 1 - (1 - mean_chance(loss)) ** samples + 1e-13

    @given(loss=LOSSES, samples=st.floats(1, 1000), more=st.floats(1.1, 10))
    def test_never_falls_with_answers(self, loss: float, samples: float, more: float) -> None:
        assert pass_at_k(loss, samples) <= pass_at_k(loss, more * samples) + 1e-13


class TestPassAtKInOneStage:
    @given(params=st.floats(7, 12), tokens=st.floats(8, 13), samples=st.floats(1, 1000), E=LOSSES)
    def test_is_the_second_stage_of_chinchilla(
        self, params: float, tokens: float, samples: float, E: float
    ) -> None:
        """With the paper's E in theta0 and theta3, and theta1 in A, B and theta4."""
        N, D = 10**params, 10**tokens
        form = {"A": 60.0, "B": 300.0, "alpha": 0.3, "beta": 0.3}
        loss = float(find_law("chinchilla").predict({"E": E, **form}, params=N, tokens=D))
        one_stage = {
            **form,
            "A": 3.0 * form["A"],
            "B": 3.0 * form["B"],
            "theta0": 3.0 * (1.2 - E),
            "theta2": 0.9,
            "theta3": 2.0 + 0.4 * E,
            "theta4": 0.4 / 3.0,
        }
        own = PASS_AT_K_LAW.predict(one_stage, params=N, tokens=D, samples=samples)
        assert float(own) == pytest.approx(pass_at_k(loss, samples), rel=1e-9, abs=1e-12)

    def test_reads_shares_of_questions_of_which_more_is_better(self) -> None:
        for law in (PASS_AT_K_LAW, PASS_AT_K_OF_LOSS):
            assert law.target.name == "pass_at_k"
            assert law.target.higher_is_better
            assert law.latex().startswith(r"\mathrm{pass@}k(")
            assert r"\Gamma\left(k + " in law.latex()
