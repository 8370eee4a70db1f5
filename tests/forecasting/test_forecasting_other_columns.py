"""`auto` over other columns than N and D: which laws, which backtests, which prediction."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
import pytest

from isoloss.arrays import Array
from isoloss.errors import FitError, InputError
from isoloss.forecasting import (
    AUTO,
    Forecast,
    Region,
    backtest,
    fit_candidates,
    folds_by_compute,
    folds_for,
    forecast,
    weigh,
)
from isoloss.laws import PARAMS, TOKENS, Law, find_law, own_share_law
from isoloss.laws.experts import ACTIVE_PARAMS, EXPERTS
from isoloss.runs import Runs

NOISE = 0.002
COUPLED = {"E": 1.6, "A": 60.0, "alpha": 0.24, "delta": 0.25, "gamma": 0.008}
VOCABULARY = {
    **{"E": 5.9, "A1": 40.0, "A2": 8.0, "B": 500.0},
    **{"alpha1": 0.25, "alpha2": 0.4, "beta": 0.25},
}
DOMAINS = ("web", "code", "books")


def grid(**columns: Any) -> dict[str, Array]:
    meshed = np.meshgrid(*(np.asarray(each, dtype=np.float64) for each in columns.values()))
    return dict(zip(columns, map(np.ravel, meshed), strict=True))


def table(
    law: Law, truth: Mapping[str, float], columns: Mapping[str, Array], seed: int = 0
) -> Runs:
    """Runs that follow a law, with noise in its logs, or of that share of its range."""
    exact = law.predict(truth, **columns)
    noise = NOISE * np.random.default_rng(seed).standard_normal(exact.shape)
    noisy = exact * np.exp(noise) if law.target.positive else exact + noise * np.ptp(exact)
    return Runs(pl.DataFrame({**columns, law.target.name: noisy}), source="a table")


def experts(seed: int = 0) -> Runs:
    sizes = {"active_params": np.geomspace(2e7, 4e8, 5), "experts": 2.0 ** np.arange(0, 9, 2)}
    return table(find_law("coupled-experts"), COUPLED, grid(**sizes), seed)


LARGE = [{"active_params": 1.3e9, "experts": 64.0}, {"active_params": 1.3e9, "experts": 8.0}]


class TestFolds:
    INPUTS = (ACTIVE_PARAMS, EXPERTS)

    def test_of_n_and_d_are_by_compute(self) -> None:
        sizes = grid(params=np.geomspace(1e8, 1e9, 4), tokens=np.geomspace(1e9, 1e10, 4))
        runs = Runs(pl.DataFrame({**sizes, "loss": 3.0 + 0 * sizes["params"]}))
        point = {"params": np.array([1e10]), "tokens": np.array([1e11])}
        found, expected = folds_for(runs, point, (PARAMS, TOKENS)), folds_by_compute(runs)
        np.testing.assert_array_equal(found.fitted, expected.fitted)
        assert found.asked == "the dearer runs from the cheaper"

    def test_go_the_way_that_the_points_lie_beyond_the_table(self) -> None:
        """More active parameters and no more experts: the larger models are predicted."""
        runs = experts()
        points = {"active_params": np.array([1.3e9]), "experts": np.array([64.0])}
        folds = folds_for(runs, points, self.INPUTS)
        assert folds.ordered
        size = runs.column("active_params")
        assert folds.fitted.shape[1] >= 2
        for fitted in folds.fitted.T:
            assert size[fitted].max() < size[~fitted].min()

    def test_go_down_too(self) -> None:
        runs = experts()
        points = {"active_params": np.array([1e6]), "experts": np.array([64.0])}
        size = runs.column("active_params")
        for fitted in folds_for(runs, points, self.INPUTS).fitted.T:
            assert size[fitted].min() > size[~fitted].max()

    def test_of_points_amid_the_table_are_fifths(self) -> None:
        runs = experts()
        points = {"active_params": np.array([1e8]), "experts": np.array([16.0])}
        folds = folds_for(runs, points, self.INPUTS)
        assert not folds.ordered
        assert folds.asked == "each fifth of the runs from the others"
        np.testing.assert_array_equal((~folds.fitted).sum(axis=1), 1)
        np.testing.assert_array_equal((~folds.fitted).sum(axis=0), 5)

    def test_of_shares_take_their_range_for_a_measure(self) -> None:
        code = np.linspace(0, 0.4, 9)
        runs = Runs(pl.DataFrame({"code": code, "loss": 3 - code}))
        entry = own_share_law(["web", "code"], "code", "loss").inputs[1]
        folds = folds_for(runs, {"code": np.array([0.8])}, [entry])
        for fitted in folds.fitted.T:
            assert code[fitted].max() < code[~fitted].min()


class TestRegion:
    def test_counts_how_far_beyond_either_end_a_column_lies(self) -> None:
        region = Region({"experts": (1.0, 64.0), "code": (0.0, 0.5)}, frozenset({"code"}))
        found = region.excess(experts=[0.5, 8.0, 128.0], code=[-0.1, 0.2, 1.0])
        np.testing.assert_allclose(found["experts"], [-np.log(2), 0, np.log(2)])
        np.testing.assert_allclose(found["code"], [-0.2, 0, 1])
        reach = region.reach(experts=[0.5, 8.0, 128.0], code=[-0.1, 0.2, 1.0])
        np.testing.assert_allclose(reach, [np.log(2), 0, 1])


@pytest.fixture(scope="module")
def found() -> Forecast:
    return forecast(experts(), LARGE, bootstrap=20)


class TestForecast:
    def test_weighs_the_laws_of_these_columns(self, found: Forecast) -> None:
        assert set(found.weights) <= {"routed", "effective-experts", "coupled-experts"}
        assert found.weights["coupled-experts"] > 0.3
        assert sum(found.weights.values()) == pytest.approx(1)
        assert (
            "% error when predicting the runs farthest towards the points from the others, "
            in found.reasons["coupled-experts"]
        )

    def test_predicts_beyond_the_table(self, found: Forecast) -> None:
        for entry, point in zip(found.predictions, LARGE, strict=True):
            true = float(find_law("coupled-experts").predict(COUPLED, **point))
            assert entry.value == pytest.approx(true, rel=0.02)
            assert entry.lower < true < entry.upper
            assert entry.point == point
            assert entry.target == "loss"
            assert entry.extrapolation["active_params"] == pytest.approx(1.3e9 / 4e8)
        json.dumps(found.to_json(), allow_nan=False)

    def test_of_numbers_of_any_sign(self) -> None:
        sizes = {
            "non_vocabulary_params": np.geomspace(3e7, 1e9, 4),
            "vocabulary_size": np.geomspace(4e3, 6e4, 4),
            "characters": np.geomspace(1e9, 1e11, 4),
        }
        law = find_law("vocabulary-of-text")
        point = {"non_vocabulary_params": 1e9, "vocabulary_size": 1e5, "characters": 2e10}
        found = forecast(
            table(law, VOCABULARY, grid(**sizes)),
            [point],
            target=law.target.name,
            objective="squared",
            bootstrap=20,
        )
        (entry,) = found.predictions
        true = float(law.predict(VOCABULARY, **point))
        assert true < 0
        assert entry.lower < true < entry.upper < 0
        assert entry.value == pytest.approx(true, rel=0.02)
        with pytest.raises(InputError, match=r"^--objective: unigram_normalized_loss may be nega"):
            forecast(table(law, VOCABULARY, grid(**sizes)), [point], target=law.target.name)

    def test_of_a_mixture_finds_the_share_that_counts(self) -> None:
        shares = np.random.default_rng(0).dirichlet([0.7] * 3, 30)
        columns = dict(zip(DOMAINS, shares.T, strict=True))
        law = own_share_law(DOMAINS, "code", "code_loss")
        truth = {"k": 1.3, "epsilon": 0.02, "alpha": 0.15, "t1": 0.1}
        point = {"web": 0.3, "code": 0.5, "books": 0.2}
        found = forecast(table(law, truth, columns), [point], target="code_loss", bootstrap=0)
        assert found.weights["own-share-code"] > 0.9
        assert "when predicting each fifth of the runs" in found.reasons["own-share-code"]
        (entry,) = found.predictions
        assert entry.value == pytest.approx(float(law.predict(truth, **point)), rel=0.01)

    def test_where_nothing_was_repeated_is_that_of_n_and_d_alike(self) -> None:
        """Laws that ignore a column take part: here they are simpler and as right."""
        sizes = grid(params=np.geomspace(1e8, 1e9, 4), tokens=np.geomspace(2e9, 2e10, 4))
        law = find_law("chinchilla")
        runs = table(law, law.published_set("epoch-2024").parameters, sizes)
        runs = Runs(runs.frame.with_columns(unique_tokens=pl.col("tokens")))
        laws = [law, find_law("repeated-data")]
        point = {"params": 2e9, "tokens": 4e10, "unique_tokens": 4e10}
        found = forecast(runs, [point], laws=laws, bootstrap=0)
        true = float(
            law.predict(law.published_set("epoch-2024").parameters, params=2e9, tokens=4e10)
        )
        assert found.predictions[0].value == pytest.approx(true, rel=0.01)

    def test_needs_every_column_at_every_point(self) -> None:
        with pytest.raises(InputError, match=r"^--at: not a point: found \{'experts': 8\.0\}; exp"):
            forecast(experts(), [LARGE[0], {"experts": 8.0}])
        with pytest.raises(InputError, match=r"^no law predicts loss from experts, colour: expect"):
            forecast(experts(), [{"experts": 8.0, "colour": 1.0}])
        with pytest.raises(InputError, match=r"^--at: no point to predict"):
            forecast(experts(), [])


class TestWeights:
    def test_of_laws_without_a_standing_are_by_their_evidence_alone(self) -> None:
        flops = np.geomspace(1e18, 1e21, 14)
        law = find_law("power-flops")
        runs = table(law, {"C_c": 1e27, "alpha": 0.06}, {"flops": flops})
        laws = [law, find_law("broken-1")]
        candidates = fit_candidates(runs, laws, bootstrap=0)
        assert all(each.standing == 0 for each in laws)
        weights = weigh(candidates, list(candidates.fits)).weights
        assert sum(weights.values()) == pytest.approx(1)
        assert weights["power-flops"] > 0.5


class TestBacktest:
    def test_weighs_what_it_is_told(self) -> None:
        found = backtest(
            experts(),
            "active_params > 3e8",
            laws=[AUTO, "effective-experts"],
            inputs=["active_params", "experts"],
            bootstrap=10,
        )
        assert set(found.held_out) == {AUTO, "effective-experts"}
        errors = np.abs(found.held_out[AUTO].rel_error)
        assert np.max(errors) < 0.02
        assert set(found.held_out[AUTO].inputs) == {"active_params", "experts"}

    def test_without_an_order_of_cost_predicts_each_fifth_from_the_others(self) -> None:
        found = backtest(experts(), laws=["effective-experts", "coupled-experts"], bootstrap=0)
        assert (found.n_fit, found.n_held_out) == (20, 25)
        for held_out in found.held_out.values():
            assert sorted(held_out.measured) == pytest.approx(sorted(experts().loss))
            assert np.mean(np.abs(held_out.rel_error)) < 0.01

    def test_needs_the_columns_of_n_and_d_unless_told_of_others(self) -> None:
        with pytest.raises(InputError, match=r"^a table: no column params: expected one of"):
            backtest(experts(), "active_params > 3e8")

    def test_of_a_table_that_carries_no_law_says_why(self) -> None:
        few = Runs(experts().frame.sort("active_params")[[0, 5, 10, 24]], source="a table")
        with pytest.raises(
            FitError, match=r"^no law could predict the held-out runs: no law can b"
        ):
            backtest(few, "active_params > 3e8", inputs=["active_params", "experts"])
