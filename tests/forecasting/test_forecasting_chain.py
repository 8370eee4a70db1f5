"""Chains: the loss of a run, then the error on tasks that follows from it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from isoloss.arrays import Array
from isoloss.errors import FitError, InputError
from isoloss.fitting import Fit, fit, load_fit, save_fit
from isoloss.forecasting import (
    Chain,
    backtest_chain,
    calibrate,
    chain,
    fit_chain,
    predict,
    predict_chain,
)
from isoloss.laws import find_law, law_from_formula
from isoloss.notes import Severity
from isoloss.runs import Runs, read_runs

COMPUTE, DOWNSTREAM, EMERGENT = (find_law(name) for name in ("compute", "downstream", "emergent"))
# Losses from 4.5 to 2.1 over the sizes below, and the errors of reference item 8 for them.
OF_COMPUTE = {"E": 1.7, "A": 1500.0, "alpha": 0.17}
OF_LOSS = dict(DOWNSTREAM.published_set("c4-17").parameters)
OF_ONSET = {"epsilon": 0.75, "k": 0.35, "tau": 3.0}
LOSS_NOISE, ERROR_NOISE = 3e-3, 1e-2
SIZES = np.geomspace(1e7, 1e9, 24)


def measured(
    seed: int,
    params: Array = SIZES,
    *,
    law: str = "downstream",
    truth: Mapping[str, float] = OF_LOSS,
    noise: float = 1.0,
) -> Runs:
    """Runs of 20 tokens a parameter whose loss and error are both noisy, in logs."""
    random = np.random.default_rng(seed)
    shape, tokens = params.shape, 20 * params
    loss = COMPUTE.predict(OF_COMPUTE, params=params, tokens=tokens)
    loss = loss * np.exp(noise * LOSS_NOISE * random.standard_normal(shape))
    error = find_law(law).predict(truth, loss=loss)
    error = error * np.exp(noise * ERROR_NOISE * random.standard_normal(shape))
    columns = {"params": params, "tokens": tokens, "loss": loss, "error": error}
    return Runs(pl.DataFrame(columns), source="a table")


def of_runs(runs: Runs | Sequence[Runs], *, bootstrap: int = 60) -> Chain:
    return fit_chain(
        runs, ["compute", "downstream"], objective="squared", bootstrap=bootstrap, threads=1
    )


@pytest.fixture(scope="module")
def chained() -> Chain:
    return of_runs(measured(0))


@pytest.fixture(scope="module")
def redpajama(shared_data: Path) -> Runs:
    return read_runs(
        shared_data / "gadre_overtraining.csv",
        columns={"error": "err_avg_17"},
        where="recipe = 'rpj'",
        required=dict.fromkeys(("params", "tokens", "loss", "error"), True),
    )


class TestGadre:
    """Reference item 8(d): RedPajama, 1.4B at 640 tokens a parameter and 6.9B at 20."""

    POINTS = ((1439795200.0, 640 * 1439795200.0), (6889410560.0, 20 * 6889410560.0))
    MEASURED = (0.4752, 0.4716)

    def test_six_small_runs_give_the_published_errors(self, redpajama: Runs) -> None:
        """The loss is fitted to five runs, the error to these and one of 1.4B, as in the paper."""
        overtrained = "params < 2e7 and chinchilla_multiplier = 16"
        five, six = (
            redpajama.where(
                f"(params < {largest} and chinchilla_multiplier = 1) or ({overtrained})"
            )
            for largest in ("1e9", "2e9")
        )
        assert (len(five), len(six)) == (5, 6)
        own = fit_chain(
            [five, six], ["overtraining", "downstream"], objective="squared", bootstrap=100
        )
        found = predict_chain(own, self.POINTS)
        assert found.by_law["overtraining"] == pytest.approx([2.5198, 2.4427], abs=1e-4)
        assert found.by_law["downstream"] == pytest.approx([0.4925, 0.4719], abs=1e-4)
        for entry, value in zip(found.predictions, self.MEASURED, strict=True):
            assert entry.lower < value < entry.upper

    def test_all_small_runs_narrow_the_intervals(self, redpajama: Runs) -> None:
        small = redpajama.where("params < 1e9")
        own = fit_chain(small, ["overtraining", "downstream"], bootstrap=100)
        for entry, value in zip(
            predict_chain(own, self.POINTS).predictions, self.MEASURED, strict=True
        ):
            assert entry.value == pytest.approx(value, rel=0.05)
            assert 0.3 < entry.lower < value < entry.upper < 0.7


class TestPredictions:
    POINTS = ((3e8, 6e9), (3e9, 6e10))

    def test_go_through_all_stages(self, chained: Chain) -> None:
        loss, error = chained.stages
        found = predict_chain(chained, self.POINTS)
        N, D = np.transpose(self.POINTS)
        losses = loss.surface.predict(params=N, tokens=D)
        assert found.by_law["compute"] == pytest.approx(losses, rel=1e-14)
        values = [entry.value for entry in found.predictions]
        assert values == pytest.approx(error.surface.predict(loss=losses), rel=1e-12)
        truth = DOWNSTREAM.predict(OF_LOSS, loss=COMPUTE.predict(OF_COMPUTE, params=N, tokens=D))
        assert values == pytest.approx(truth, rel=0.03)
        assert {entry.target for entry in found.predictions} == {"error"}
        assert found.weights == {"compute > downstream": 1.0}
        json.dumps(found.to_json(), allow_nan=False)

    def test_are_less_certain_than_the_last_stage_at_that_loss(self, chained: Chain) -> None:
        found = predict_chain(chained, self.POINTS)
        last = predict(chained.stages[1], [{"loss": loss} for loss in found.by_law["compute"]])
        for entry, alone in zip(found.predictions, last.predictions, strict=True):
            assert entry.value == pytest.approx(alone.value, rel=1e-12)
            assert entry.lower < alone.lower < alone.upper < entry.upper

    def test_carry_the_noise_of_the_loss_by_the_slope_of_the_error(self, chained: Chain) -> None:
        loss, error = chained.stages
        (entry,) = predict_chain(chained, self.POINTS[:1]).predictions
        step = 1e-5
        middle = float(loss.surface.predict(params=3e8, tokens=6e9))
        above, below = (
            float(error.surface.predict(loss=middle * np.exp(sign * step))) for sign in (1, -1)
        )
        slope = np.log(above / below) / (2 * step)
        expected = np.hypot(slope * loss.noise, error.noise)
        assert entry.deviations.noise == pytest.approx(expected, rel=1e-6)

    def test_say_how_far_they_reach(self, chained: Chain) -> None:
        inside, beyond = predict_chain(chained, self.POINTS).predictions
        assert beyond.extrapolation == pytest.approx({"params": 3, "tokens": 3, "flops": 9})
        assert inside.deviations.extrapolation == 0
        assert beyond.deviations.extrapolation > 0

    def test_of_fits_without_replicates_say_what_is_missing(self) -> None:
        runs = measured(0)
        bare = [fit(runs, law, starts=16) for law in ("compute", "downstream")]
        found = predict_chain(chain(bare), self.POINTS)
        assert {note.code for note in found.notes} == {"no-replicates", "no-backtest"}
        assert all(entry.deviations.parameters == 0 for entry in found.predictions)

    def test_of_stages_whose_replicates_differ_in_number(self) -> None:
        runs = measured(0)
        mixed = [fit(runs, "compute", bootstrap=40), fit(runs, "downstream", starts=16)]
        deviations = predict_chain(chain(mixed), self.POINTS).predictions[0].deviations
        assert 0 < deviations.parameters < 0.01

    def test_beyond_what_a_stage_can_bear_are_refused(self, chained: Chain) -> None:
        with pytest.raises(
            FitError,
            match=r"^law downstream cannot be believed at N=1e\+15, D=2e\+16: the data do not dete",
        ):
            predict_chain(chained, [(1e15, 2e16)])

    def test_need_every_open_input(self, chained: Chain) -> None:
        with pytest.raises(InputError, match=r"^--at: not a point: found \{'params': 1000000000"):
            predict_chain(chained, [{"params": 1e9}])
        with pytest.raises(InputError, match=r"^--level: not a level: found 1; expected between"):
            predict_chain(chained, self.POINTS, level=1.0)


def without(stage: Fit, *draws: int) -> Fit:
    """The fit as it would be had these draws of its bootstrap not converged."""
    kept = np.delete(stage.surface.replicates, draws, axis=1)
    return replace(
        stage, surface=replace(stage.surface, replicates=kept), lost_draws=tuple(sorted(draws))
    )


class TestDrawsThatDidNotConverge:
    """Replicates of all stages belong to one draw of the table, whichever of them converged."""

    POINTS = ((3e8, 6e9), (3e9, 6e10))

    def test_leave_out_only_themselves(self, chained: Chain) -> None:
        loss, error = chained.stages
        one_each = chain([without(loss, 3, 11), without(error, 7)])
        same_in_both = chain([without(loss, 3, 7, 11), without(error, 3, 7, 11)])
        assert predict_chain(one_each, self.POINTS).predictions == (
            predict_chain(same_in_both, self.POINTS).predictions
        )

    def test_barely_change_the_interval(self) -> None:
        """Errors that offset the losses they came with: pairing them wrongly would widen it."""
        runs = measured(0)
        offset = runs.loss / COMPUTE.predict(OF_COMPUTE, params=runs.params, tokens=runs.tokens)
        error = DOWNSTREAM.predict(OF_LOSS, loss=runs.loss) / offset**5
        table = Runs(runs.frame.with_columns(error=pl.Series(error)), source="a table")
        loss, error_of = of_runs(table, bootstrap=200).stages
        point = self.POINTS[1:]
        whole, lost, shuffled = (
            predict_chain(chain([first, error_of]), point).predictions[0].deviations.parameters
            for first in (loss, without(loss, 0), replace(without(loss, 0), lost_draws=(199,)))
        )
        assert lost == pytest.approx(whole, rel=0.05)
        assert shuffled > 1.2 * whole

    def test_are_known_to_a_saved_fit(self, chained: Chain, tmp_path: Path) -> None:
        stages = [without(chained.stages[0], 3, 11), chained.stages[1]]
        for stage in stages:
            save_fit(stage, tmp_path / f"{stage.law.name}.json")
        again = chain([load_fit(tmp_path / f"{stage.law.name}.json") for stage in stages])
        assert again.stages[0].lost_draws == (3, 11)
        assert predict_chain(again, self.POINTS).predictions == (
            predict_chain(chain(stages), self.POINTS).predictions
        )

    def test_that_leave_none_in_common_are_refused(self, chained: Chain) -> None:
        loss, error = chained.stages
        with pytest.raises(
            FitError,
            match=r"^no bootstrap draw converged in every stage of compute > downstream: fit again",
        ):
            predict_chain(
                chain([without(loss, *range(30)), without(error, *range(30, 60))]), self.POINTS
            )


class TestLaterInputs:
    """A later stage may read columns that no stage predicts."""

    LAW = law_from_formula(
        "e + k*loss/shots**s", inputs=["loss", "shots"], target="error", name="shots"
    )

    def test_are_asked_for_and_told(self) -> None:
        runs = measured(0)
        shots = np.resize([1.0, 2.0, 5.0, 10.0], len(runs))
        error = self.LAW.predict({"e": 0.1, "k": 0.15, "s": 0.2}, loss=runs.loss, shots=shots)
        columns = [pl.Series("shots", shots), pl.Series("error", error)]
        table = Runs(runs.frame.with_columns(columns), source="a table")
        own = fit_chain(table, ["compute", self.LAW], bootstrap=10)
        assert [entry.name for entry in own.inputs] == ["params", "tokens", "shots"]
        point = {"params": 1e9, "tokens": 2e10, "shots": 5.0}
        (entry,) = predict_chain(own, [point]).predictions
        assert entry.point == point
        assert set(entry.extrapolation) == {"params", "tokens", "flops"}
        loss = float(own.stages[0].surface.predict(params=1e9, tokens=2e10))
        assert entry.value == pytest.approx(0.1 + 0.15 * loss / 5**0.2, rel=1e-6)


class TestCoverage:
    @pytest.mark.parametrize("params", [3e8, 3e9], ids=["inside", "beyond"])
    def test_intervals_hold_about_as_often_as_they_say(self, params: float) -> None:
        """Sixty tables, each with a run of its own to predict; both stages noisy, level 90 %."""
        held = 0
        for seed in range(60):
            own = of_runs(measured(seed), bootstrap=30)
            (entry,) = predict_chain(own, [(params, 20 * params)]).predictions
            (error,) = measured(1000 + seed, np.array([params])).column("error")
            held += entry.lower < error < entry.upper
        assert 0.75 <= held / 60 <= 1.0


class TestEmergence:
    """FLP, arXiv:2410.08527: FLOPs to loss, then a loss at which the task sets in."""

    def test_errors_stay_at_chance_above_the_onset(self) -> None:
        sizes = np.geomspace(1e7, 3e9, 24)
        runs = measured(0, sizes, law="emergent", truth=OF_ONSET, noise=0.5)
        own = fit_chain(runs, [COMPUTE, EMERGENT], objective="squared", bootstrap=50)
        assert own.stages[1].parameters == pytest.approx(OF_ONSET, rel=0.02)
        small, large = predict_chain(own, [(2e7, 4e8), (1e10, 2e11)]).predictions
        assert small.value == pytest.approx(0.75, rel=0.01)
        # There the error does not depend on the loss, nor on its noise.
        assert small.deviations.noise == own.stages[1].noise
        truth = EMERGENT.predict(
            OF_ONSET, loss=COMPUTE.predict(OF_COMPUTE, params=1e10, tokens=2e11)
        )
        assert large.lower < float(truth) < large.upper
        assert large.value == pytest.approx(float(truth), rel=0.03)


class TestTables:
    def test_may_be_one_for_each_stage(self) -> None:
        """The error is known for few of the runs, and of those without N and D."""
        runs = measured(0)
        few = Runs(runs.frame[::2].select("loss", "error"), source="errors")
        own = of_runs([runs, few])
        assert [stage.n_runs for stage in own.stages] == [24, 12]
        (entry,) = predict_chain(own, [(5e8, 1e10)]).predictions
        loss = COMPUTE.predict(OF_COMPUTE, params=5e8, tokens=1e10)
        assert entry.value == pytest.approx(float(DOWNSTREAM.predict(OF_LOSS, loss=loss)), rel=0.02)

    def test_of_the_wrong_number_are_refused(self) -> None:
        with pytest.raises(
            InputError,
            match=r"^chain: wrong number of tables: found 3; expected one, or one for each of the",
        ):
            fit_chain([measured(0)] * 3, ["compute", "downstream"])

    def test_without_a_column_are_refused(self) -> None:
        runs = Runs(measured(0).frame.drop("error"), source="a table")
        with pytest.raises(InputError, match=r"^a table: no column error: expected one of params,"):
            of_runs(runs)


class TestObjectives:
    """A margin over a baseline may be negative, and has no logarithm; the loss has one."""

    MARGIN = law_from_formula(
        "a - b*loss", inputs=["loss"], target="margin", signed=["margin"], name="margin"
    )

    def table(self) -> Runs:
        runs = measured(0)
        margin = 0.9 - 0.3 * runs.loss + 1e-3 * np.random.default_rng(0).standard_normal(len(runs))
        return Runs(runs.frame.with_columns(pl.Series("margin", margin)), source="a table")

    def test_may_differ_between_stages(self) -> None:
        own = fit_chain(
            self.table(), ["compute", self.MARGIN], objective=["huber", "squared"], bootstrap=20
        )
        assert [stage.objective.name for stage in own.stages] == ["huber", "squared"]
        (entry,) = predict_chain(own, [(5e8, 1e10)]).predictions
        loss = float(COMPUTE.predict(OF_COMPUTE, params=5e8, tokens=1e10))
        assert entry.value == pytest.approx(0.9 - 0.3 * loss, abs=0.01)

    def test_that_have_no_logarithm_are_refused(self) -> None:
        with pytest.raises(InputError, match=r"^--objective: margin may be negative, and has no l"):
            fit_chain(self.table(), ["compute", self.MARGIN], bootstrap=0)

    def test_of_the_wrong_number_are_refused(self) -> None:
        with pytest.raises(
            InputError,
            match=r"^chain: wrong number of objectives: found 1; expected one, or one for each of",
        ):
            fit_chain(self.table(), ["compute", self.MARGIN], objective=["huber"])


class TestOrder:
    @pytest.mark.parametrize(
        ("laws", "message"),
        [
            (
                ["downstream", "compute"],
                "law compute does not read what law downstream predicts: found inputs params, tok"
                "ens; expected error",
            ),
            (["compute"], "no chain: found 1 law; expected 2 or more"),
            ([], "no chain: found 0 laws; expected 2 or more"),
            (
                ["compute", "chinchilla"],
                "law chinchilla does not read what law compute predicts: found inputs params, tok"
                "ens; expected loss",
            ),
            (
                [COMPUTE, law_from_formula("A*loss", inputs=["loss"], target="e", name="compute")],
                "laws of one name: found compute; expected a name each",
            ),
        ],
    )
    def test_that_makes_no_chain_is_refused(self, laws: list[str], message: str) -> None:
        with pytest.raises(InputError, match=f"^chain: {re.escape(message)}$"):
            fit_chain(measured(0), laws)

    def test_of_fits_is_looked_at_too(self, chained: Chain) -> None:
        assert chain(chained.stages).name == "compute > downstream"
        with pytest.raises(InputError, match=r"^chain: law compute does not read what law downst"):
            chain(chained.stages[::-1])
        with pytest.raises(InputError, match=r"^chain: no chain: found 1 law; expected 2 or more$"):
            chain(chained.stages[:1])

    def test_one_fit_after_the_other_gives_the_same(self, chained: Chain) -> None:
        runs = measured(0)
        fits = [
            calibrate(fit(runs, law, objective="squared", bootstrap=60), runs)
            for law in ("compute", "downstream")
        ]
        point = [(3e9, 6e10)]
        one, other = (predict_chain(each, point).predictions[0] for each in (chain(fits), chained))
        assert one == other


class TestBacktest:
    def test_predicts_what_it_has_not_seen(self) -> None:
        found = backtest_chain(
            measured(0), "params > 2.6e8", ["compute", "downstream"], objective="squared"
        )
        assert (found.n_fit, found.n_held_out) == (17, 7)
        summary = found.to_json()["laws"]["compute > downstream"]
        assert summary["mean_abs_rel_error"] < 0.03
        assert summary["coverage"] >= 5 / 7

    def test_leaves_out_runs_at_which_a_stage_is_not_to_be_believed(self) -> None:
        """One held-out run lies so far out that the error is not determined there."""
        near = measured(0)
        far = measured(1, np.array([1e15]))
        table = Runs(pl.concat([near.frame, far.frame]), source="a table")
        stages = ["compute", "downstream"]
        found = backtest_chain(table, "params > 2.6e8", stages, objective="squared", bootstrap=60)
        assert (found.n_fit, found.n_held_out) == (17, 7)
        assert found.held_out["compute > downstream"].inputs["params"].max() == 1e9
        (note,) = found.notes
        assert (note.code, note.severity) == ("held-out-skipped", Severity.WARNING)
        assert note.message.startswith(
            "1 of 8 held-out runs are not predicted: law downstream cannot be believed at N=1e+15, "
        )
        assert note.details == {"skipped": 1, "of": 8}
        with pytest.raises(
            FitError,
            match=r"^no held-out run could be predicted: law downstream cannot be believed",
        ):
            backtest_chain(table, "params > 1e12", stages, objective="squared", bootstrap=60)

    def test_reports_each_stage(self, chained: Chain) -> None:
        advanced: list[str] = []
        own = fit_chain(
            measured(0), ["compute", "downstream"], bootstrap=0, advance=advanced.append
        )
        assert advanced == ["compute", "downstream"]
        assert [stage["law"] for stage in own.to_json()["stages"]] == advanced
        json.dumps(chained.to_json(), allow_nan=False)
