"""Fitting a table: what a fit depends on and what not, and what it says of hopeless tables."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from fitting_tables import FORECASTERS, TRUTHS, grid, simulated, table
from hypothesis import given, settings
from hypothesis import strategies as st

from isoloss.arrays import Array
from isoloss.errors import FitError, InputError
from isoloss.fitting import OBJECTIVES, Fit, Status, fit, newton
from isoloss.laws import CATALOGUE, Centre, find_law, law_from_definition, read_law
from isoloss.notes import Severity
from isoloss.runs import Runs, read_runs

NOISE = 3e-3
# Predictions of two fits that came to the same optimum by different roads.
SAME = 1e-6
FEW = 8


def predictions(own: Fit, *, params: float = 1.0, tokens: float = 1.0, loss: float = 1.0) -> Array:
    """In and beyond the table, for a fit whose inputs and loss were multiplied as given."""
    N, D = np.meshgrid(np.geomspace(1e8, 1e11, 6), np.geomspace(2e9, 1e13, 6))
    return own.surface.predict(params=params * N, tokens=tokens * D) / loss


def codes(own: Fit) -> set[str]:
    return {note.code for note in own.all_notes()}


@pytest.mark.parametrize("law", FORECASTERS)
class TestInvariance:
    @settings(max_examples=2)
    @given(size=st.floats(1e-9, 1e9), unit=st.floats(1e-3, 1e3))
    def test_to_the_units_of_n_and_the_loss(self, law: str, size: float, unit: float) -> None:
        runs = simulated(law, noise=NOISE)
        scaled = table(size * runs.params, runs.tokens, unit * runs.loss)
        one, other = (fit(each, law, starts=FEW) for each in (runs, scaled))
        np.testing.assert_allclose(
            predictions(other, params=size, loss=unit), predictions(one), rtol=SAME
        )

    def test_to_the_unit_of_d_but_for_farseer(self, law: str) -> None:
        """D in billions: Farseer's B(N) D**-A(N) then needs a B(N) outside its family of curves."""
        runs = simulated(law, noise=NOISE)
        scaled = table(runs.params, 1e-9 * runs.tokens, runs.loss)
        one, other = (fit(each, law, starts=FEW) for each in (runs, scaled))
        if law.startswith("farseer"):
            shift = np.abs(predictions(other, tokens=1e-9) / predictions(one) - 1)
            assert 1e-5 < shift.max() < 1.0
        else:
            np.testing.assert_allclose(predictions(other, tokens=1e-9), predictions(one), rtol=SAME)

    def test_to_the_order_of_rows(self, law: str) -> None:
        runs = simulated(law, noise=NOISE)
        order = np.random.default_rng(2).permutation(len(runs))
        one, other = fit(runs, law, starts=FEW), fit(runs.take(order), law, starts=FEW)
        np.testing.assert_allclose(predictions(other), predictions(one), rtol=SAME)
        assert other.fingerprint == one.fingerprint

    def test_to_the_centre(self, law: str) -> None:
        runs = simulated(law, noise=NOISE)
        centre = Centre((3e8, 1e11), 1.0)
        one, other = fit(runs, law, starts=FEW), fit(runs, law, starts=FEW, centre=centre)
        assert other.surface.centre == centre
        if law == "farseer-held":
            # What is typical of Farseer's parameters is so at the middle of a table.
            return
        np.testing.assert_allclose(predictions(other), predictions(one), rtol=SAME)

    def test_to_the_seed_of_the_starts(self, law: str) -> None:
        runs = simulated(law, noise=NOISE)
        one, other = fit(runs, law, starts=FEW), fit(runs, law, starts=FEW, seed=99)
        np.testing.assert_allclose(predictions(other), predictions(one), rtol=SAME)

    def test_bit_by_bit_to_the_number_of_threads(self, law: str) -> None:
        runs = simulated(law, noise=NOISE, sizes=6, budgets=6)
        # More replicates than a block holds, so that two threads have something to share.
        one, two = (fit(runs, law, starts=4, bootstrap=600, threads=n) for n in (1, 2))
        np.testing.assert_array_equal(one.surface.working, two.surface.working)
        np.testing.assert_array_equal(one.surface.replicates, two.surface.replicates)
        assert one.objective_value == two.objective_value


class TestWeights:
    def test_equal_duplicated_rows(self) -> None:
        runs = simulated("chinchilla", noise=NOISE, sizes=5, budgets=5)
        counts = np.arange(25) % 4
        rows = np.repeat(np.arange(25), counts)
        one = fit(runs, "chinchilla", starts=FEW, weights=counts)
        other = fit(runs.take(rows), "chinchilla", starts=FEW)
        assert one.objective_value == pytest.approx(other.objective_value, rel=1e-9)
        np.testing.assert_allclose(predictions(one), predictions(other), rtol=SAME)

    def test_may_be_a_column(self) -> None:
        runs = simulated("chinchilla", noise=NOISE, sizes=5, budgets=5)
        weights = np.linspace(0.1, 2.0, 25)
        named = table(runs.params, runs.tokens, runs.loss, importance=weights)
        one = fit(named, "chinchilla", starts=FEW, weights="importance")
        other = fit(runs, "chinchilla", starts=FEW, weights=weights)
        np.testing.assert_array_equal(one.surface.working, other.surface.working)
        np.testing.assert_array_equal(one.rows.weights, weights)

    def test_of_zero_count_as_no_run(self) -> None:
        runs = simulated("chinchilla", noise=NOISE, sizes=5, budgets=5)
        weights = np.where(runs.params > 5e9, 0.0, 1.0)
        own = fit(runs, "chinchilla", starts=FEW, weights=weights)
        assert own.n_runs == 20
        assert own.region()["params"][1] == runs.params[runs.params < 5e9].max()
        assert sum(row["n_runs"] for row in own.residual_table("params")) == 20

    @pytest.mark.parametrize(
        ("weights", "message"),
        [
            ([1.0, 2.0], "wrong number of weights: found shape (2,); expected one a run, (25,)"),
            ([[1.0] * 25], "wrong number of weights: found shape (1, 25); expected one a run, (25"),
            ([1.0] * 24 + [-2.0], "unusable weight of run 25: found -2; expected a finite number,"),
            ([np.nan] * 25, "unusable weight of run 1: found nan; expected a finite number, not"),
            ([0.0] * 25, "every weight is zero: expected some weights above zero"),
        ],
    )
    def test_that_are_none_are_refused(self, weights: Any, message: str) -> None:
        with pytest.raises(InputError, match="^weights: " + re.escape(message)):
            fit(simulated("chinchilla", sizes=5, budgets=5), "chinchilla", weights=weights)


class TestUserLaw:
    DEFINITION = """
        name = "two-powers"
        formula = "E + A/params**alpha + B/tokens**beta"
        linear = ["E", "A", "B"]
        parameters.E.lower = 0
        parameters.A.lower = 0
        parameters.B.lower = 0
        parameters.alpha = {lower = 0, upper = 3, start = [0.05, 1.0]}
        parameters.beta = {lower = 0, upper = 3, start = [0.05, 1.0]}
    """

    def test_identical_to_chinchilla_fits_identically(self, tmp_path: Path) -> None:
        path = tmp_path / "law.toml"
        path.write_text(self.DEFINITION)
        runs = simulated("chinchilla", noise=NOISE)
        own = fit(runs, read_law(path), bootstrap=50)
        known = fit(runs, "chinchilla", bootstrap=50)
        assert own.parameters == known.parameters
        assert own.objective_value == known.objective_value
        np.testing.assert_array_equal(own.surface.replicates, known.surface.replicates)

    def test_may_read_columns_of_its_own(self) -> None:
        law = law_from_definition(
            {
                "name": "repeated",
                "formula": "E + A/params**alpha + B/(tokens*epochs**r)**beta",
                "inputs": ["params", "tokens", "epochs"],
                "linear": ["E", "A", "B"],
                "parameters": {
                    **{name: {"lower": 0} for name in ("E", "A", "B", "alpha", "beta")},
                    "r": {"lower": 0, "upper": 1},
                },
            }
        )
        truth = {"E": 1.5, "A": 400.0, "B": 900.0, "alpha": 0.34, "beta": 0.3, "r": 0.4}
        N, D = grid(6, 6)
        epochs = np.array([2.0 ** (row % 5) for row in range(N.size)])
        loss = law.predict(truth, params=N, tokens=D, epochs=epochs)
        own = fit(table(N, D, loss, epochs=epochs), law)
        assert own.parameters == pytest.approx(truth, rel=1e-6)
        assert set(own.region()) == {"params", "tokens", "epochs"}


class TestReplicates:
    def test_every_one_is_an_optimum_of_its_table(self) -> None:
        runs = simulated("chinchilla", noise=NOISE)
        own = fit(runs, "chinchilla", bootstrap=200)
        assert own.surface.replicates.shape == (5, 200)
        assert "replicates-not-converged" not in codes(own)

    def test_spread_as_far_as_their_table_leaves_open(self) -> None:
        """The truth lies inside the 99.9 % interval of each parameter."""
        own = fit(simulated("chinchilla", noise=NOISE, seed=4), "chinchilla", bootstrap=1000)
        for name, (low, high) in own.intervals(0.999).items():
            assert low < TRUTHS["chinchilla"][name] < high

    def test_intervals_are_percentiles_of_the_replicates(self) -> None:
        own = fit(simulated("chinchilla", noise=NOISE), "chinchilla", bootstrap=100)
        draws = own.surface.parameter_replicates()["E"]
        assert own.intervals(0.8)["E"] == pytest.approx(np.quantile(draws, [0.1, 0.9]), rel=1e-14)
        assert fit(simulated("chinchilla"), "chinchilla", starts=FEW).intervals() == {}

    def test_that_do_not_converge_are_left_out_and_counted(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        runs = simulated("chinchilla", noise=NOISE)
        whole = fit(runs, "chinchilla", bootstrap=200)
        monkeypatch.setattr(newton, "MAX_ITERATIONS", 6)
        own = fit(runs, "chinchilla", bootstrap=200)
        kept = own.surface.replicates.shape[1]
        assert 0 < kept < 196
        assert len(own.lost_draws) == 200 - kept
        np.testing.assert_array_equal(
            own.draws, [draw for draw in range(200) if draw not in own.lost_draws]
        )
        assert own.surface.replicates == pytest.approx(
            whole.surface.replicates[:, own.draws], rel=1e-3
        )
        (note,) = [note for note in own.all_notes() if note.code == "replicates-not-converged"]
        assert note.severity is Severity.WARNING
        assert note.details == {"converged": kept, "replicates": 200}
        assert note.message.startswith(
            f"{200 - kept} of 200 bootstrap replicates did not converge and are left out"
        )
        assert own.to_json()["bootstrap"] == {
            "replicates": 200,
            "converged": kept,
            "resample": "pairs",
        }

    def test_the_same_seed_gives_the_same_ones(self) -> None:
        runs = simulated("chinchilla", noise=NOISE)
        one, same, other = (
            fit(runs, "chinchilla", starts=FEW, bootstrap=20, seed=seed).surface.replicates
            for seed in (7, 7, 8)
        )
        np.testing.assert_array_equal(one, same)
        assert not np.array_equal(one, other)


class TestConvergence:
    def test_a_fit_that_ran_out_of_iterations_says_so(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(newton, "MAX_ITERATIONS", 1)
        own = fit(simulated("coupled", noise=NOISE), "coupled", starts=4)
        assert own.status is Status.ITERATION_LIMIT
        assert not own.converged
        assert not own.to_json()["converged"]
        (note,) = [note for note in own.all_notes() if note.code == "not-converged"]
        assert note.message == (
            "the fit did not converge: stopped at the iteration limit: try more starts or another "
            "objective"
        )
        with pytest.raises(
            FitError, match=r"^the fit of law coupled did not converge: stopped at the iteration l"
        ):
            own.require_converged()

    def test_counts_the_starts_that_found_the_optimum(self) -> None:
        own = fit(simulated("chinchilla", noise=NOISE), "chinchilla", starts=20)
        assert own.search.starts == own.search.converged == own.search.reached_best == 20
        assert own.search.next_gap is None
        assert own.search.gradient < 1e-6
        own.require_converged()

    @pytest.mark.parametrize("objective", OBJECTIVES)
    def test_counts_them_also_where_every_run_is_met_exactly(self, objective: str) -> None:
        own = fit(simulated("chinchilla"), "chinchilla", objective=objective, starts=20)
        assert own.search.reached_best == own.search.converged > 15
        assert own.search.next_gap is None

    def test_reports_progress(self) -> None:
        finished: list[int] = []
        fit(
            simulated("chinchilla", noise=NOISE),
            "chinchilla",
            starts=10,
            bootstrap=30,
            advance=finished.append,
        )
        assert sum(finished) == 40


class TestHopelessTables:
    """A clear refusal, or a fit whose notes say what it is worth."""

    @pytest.mark.parametrize("law", FORECASTERS)
    def test_three_rows(self, law: str) -> None:
        N, D = np.array([1e8, 1e9, 1e10]), np.array([1e10, 3e9, 2e10])
        count = len(CATALOGUE[law].parameters)
        with pytest.raises(
            FitError,
            match=f"^law {law} has {count} parameters and needs at least {count + 1} runs; the tab"
            "le has 3$",
        ):
            fit(table(N, D, np.array([3.0, 2.8, 2.4])), law)

    @pytest.mark.parametrize("law", FORECASTERS)
    def test_all_losses_equal(self, law: str) -> None:
        N, D = grid(4, 4)
        with pytest.raises(
            FitError, match=r"^all 16 runs have the same loss 2.5: there is nothing to fit$"
        ):
            fit(table(N, D, np.full(16, 2.5)), law)

    @pytest.mark.parametrize("law", [law for law in FORECASTERS if law != "compute"])
    def test_one_size_only(self, law: str) -> None:
        D = np.geomspace(1e9, 1e12, 20)
        with pytest.raises(
            FitError,
            match=rf"^law {law} cannot be fitted: with 1 value of params, 20 values of tokens the t"
            r"able does not tell apart .+; add runs or choose a law with fewer parameters$",
        ):
            fit(table(np.full(20, 1e9), D, 1.7 + 400 / D**0.3), law)

    @pytest.mark.parametrize("law", ["chinchilla", "coupled", "overtraining"])
    def test_one_number_of_tokens_only(self, law: str) -> None:
        N = np.geomspace(1e8, 1e10, 20)
        with pytest.raises(
            FitError,
            match=rf"^law {law} cannot be fitted: with 20 values of params, 1 value of tokens the t"
            r"able does not tell apart .+; add runs or choose a law with fewer parameters$",
        ):
            fit(table(N, np.full(20, 1e10), 1.7 + 400 / N**0.34), law)

    def test_tokens_in_proportion_to_size(self) -> None:
        """At 20 tokens a parameter throughout, the over-training law cannot split its two terms."""
        N = np.geomspace(1e8, 1e10, 12)
        with pytest.raises(FitError, match=r"does not tell apart a, b; add runs or choose a law"):
            fit(table(N, 20 * N, 1.7 + 400 / N**0.34), "overtraining")

    def test_a_law_that_fits_where_the_larger_ones_cannot(self) -> None:
        D = np.geomspace(1e9, 1e12, 20)
        own = fit(table(np.full(20, 1e9), D, 1.7 + 400 / D**0.3), "compute")
        assert own.converged
        assert own.mean_abs_rel_error < 1e-9

    @pytest.mark.parametrize("objective", ["huber", "squared"])
    @pytest.mark.parametrize("law", FORECASTERS)
    def test_losses_that_rise_with_n(self, law: str, objective: str) -> None:
        N, D = grid(5, 5)
        errors = np.exp(1e-3 * np.random.default_rng(0).standard_normal(25))
        own = fit(table(N, D, (N / 1e9) ** 0.1 * errors), law, objective=objective, starts=FEW)
        assert codes(own) & {"not-converged", "at-bound", "weakly-identified"}
        own.to_json()

    @pytest.mark.parametrize("falls_with", ["params", "tokens"])
    @pytest.mark.parametrize("law", FORECASTERS)
    def test_losses_that_fall_with_one_input_only(self, law: str, falls_with: str) -> None:
        N, D = grid(5, 5)
        loss = 1.5 + 400 / (N if falls_with == "params" else D) ** 0.34
        own = fit(table(N, D, loss), law, starts=FEW, bootstrap=4)
        assert own.converged or "not-converged" in codes(own)
        own.to_json()

    def test_six_sizes_of_one_recipe_with_farseer(self, shared_data: Path) -> None:
        runs = read_runs(shared_data / "gadre_overtraining.csv", where="recipe = 'rpj'")
        assert np.unique(runs.params).size == 6
        own = fit(runs, "farseer")
        assert "staged-method-not-usable" in codes(own)
        # Many local optima: most starts end elsewhere, and the search says so.
        assert own.search.reached_best < own.search.starts / 2
        few = runs.where("params < 1e8")
        with pytest.raises(
            FitError, match=r"^law farseer (cannot be fitted: with|has 9 parameters)"
        ):
            fit(few.where("params < 2e7"), "farseer")

    @pytest.mark.parametrize(
        ("column", "value"), [("loss", -1.0), ("tokens", 0.0), ("params", np.inf), ("loss", np.nan)]
    )
    def test_values_that_no_law_can_use(self, column: str, value: float) -> None:
        runs = simulated("chinchilla", sizes=5, budgets=5)
        damaged = {name: getattr(runs, name).copy() for name in ("params", "tokens", "loss")}
        damaged[column][6] = value
        with pytest.raises(
            InputError,
            match=rf"^a table: column {column} has values that no law can use: found {value:g} in r"
            r"ow 7; expected positive numbers: leave such rows out, as by --where$",
        ):
            fit(table(**damaged), "chinchilla")

    @pytest.mark.parametrize("objective", ["huber", "squared"])
    @pytest.mark.parametrize("law", FORECASTERS)
    def test_pure_chance(self, law: str, objective: str) -> None:
        """No law, no trend: whatever comes out is a fit that can be shown."""
        N, D = grid(4, 4)
        loss = np.exp(np.random.default_rng(3).standard_normal(16))
        own = fit(table(N, D, loss), law, objective=objective, starts=4, bootstrap=4)
        assert own.to_json()["converged"] in (True, False)
        assert own.converged or "not-converged" in codes(own)


class TestArguments:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"law": "zipf"}, "--law: unknown law: found 'zipf'; expected one of farseer, chinchi"),
            ({"objective": "mse"}, "--objective: unknown objective: found 'mse'; expected one of"),
            ({"method": "magic"}, "--method: unknown method: found 'magic'; expected one of joint"),
            ({"bootstrap": -1}, "--bootstrap: too few: found -1; expected 0 or more"),
            ({"starts": 0}, "starts: too few: found 0; expected 1 or more"),
            ({"weights": "importance"}, "a table: no column importance"),
        ],
    )
    def test_without_meaning_are_refused(self, options: dict[str, Any], message: str) -> None:
        with pytest.raises(InputError, match="^" + re.escape(message)):
            fit(simulated("chinchilla", sizes=5, budgets=5), **{"law": "chinchilla", **options})

    def test_an_input_that_the_table_lacks_is_named(self) -> None:
        law = law_from_definition(
            {
                "name": "own",
                "formula": "E + A/epochs",
                "inputs": ["epochs"],
                "parameters": {"E": {}, "A": {}},
            }
        )
        with pytest.raises(InputError, match=r"^a table: no column epochs: expected"):
            fit(simulated("chinchilla", sizes=5, budgets=5), law)


class TestReport:
    def test_residuals_by_size_and_by_tokens(self) -> None:
        runs = simulated("chinchilla", noise=NOISE, sizes=5, budgets=4)
        own = fit(runs, "chinchilla", starts=FEW)
        rows = own.residual_table("params")
        assert [row["params"] for row in rows] == pytest.approx(np.unique(runs.params))
        assert {row["n_runs"] for row in rows} == {4}
        predicted = own.surface.predict(params=runs.params, tokens=runs.tokens)
        errors = predicted / runs.loss - 1
        first = errors[runs.params == runs.params.min()]
        assert rows[0]["mean_rel_error"] == pytest.approx(first.mean(), abs=1e-12)
        assert rows[0]["rms_rel_error"] == pytest.approx(np.sqrt(np.mean(first**2)), rel=1e-9)
        assert own.mean_abs_rel_error == pytest.approx(np.mean(np.abs(errors)), rel=1e-9)
        assert len(own.residual_table("tokens")) == 4

    def test_noise_is_the_scatter_of_runs_around_the_surface(self) -> None:
        own = fit(simulated("chinchilla", noise=NOISE, sizes=12, budgets=12), "chinchilla")
        # The standard deviation of 139 degrees of freedom is known to 6 %.
        assert own.noise == pytest.approx(NOISE, rel=0.2)

    def test_region_is_what_was_fitted(self) -> None:
        own = fit(simulated("chinchilla"), "chinchilla", starts=FEW)
        assert own.region() == {
            "params": pytest.approx((1e8, 6e9)),
            "tokens": pytest.approx((2e9, 3e11)),
        }

    def test_notes_of_the_table_are_kept(self) -> None:
        frame = simulated("chinchilla", noise=NOISE).frame
        runs = read_runs(pl.concat([frame, frame[:2]]))
        assert {note.code for note in runs.notes} <= codes(fit(runs, "chinchilla", starts=FEW))
        assert "duplicates" in codes(fit(runs, "chinchilla", starts=FEW))

    def test_provenance_tells_the_table_and_the_seed(self) -> None:
        runs = simulated("chinchilla", noise=NOISE)
        report = fit(runs, "chinchilla", starts=FEW, seed=3).to_json()["provenance"]
        assert report["fingerprint"] == runs.fingerprint
        assert (report["source"], report["seed"]) == ("a table", 3)


def test_runs_can_be_fitted_by_name_or_by_law() -> None:
    runs: Runs = simulated("chinchilla", noise=NOISE)
    one, other = (fit(runs, law, starts=FEW) for law in ("chinchilla", CATALOGUE["chinchilla"]))
    assert one.parameters == other.parameters


class TestLargeTables:
    """A table of many rows is searched on a sample and refined on all of it."""

    def test_the_optimum_is_that_of_all_rows(self) -> None:
        generator = np.random.default_rng(0)
        N, D = 10 ** generator.uniform(8, 10, 30_000), 10 ** generator.uniform(9, 11, 30_000)
        law = find_law("chinchilla")
        truth = law.predict(law.published_set("epoch-2024").parameters, params=N, tokens=D)
        loss = truth * np.exp(0.01 * generator.standard_normal(30_000))
        fitted = fit(table(N, D, loss), law, objective="squared-log", starts=4)
        assert fitted.converged
        assert fitted.n_runs == 30_000
        assert "searched-on-a-sample" in {note.code for note in fitted.notes}
        assert fitted.search.gradient < 1e-8
        assert fitted.parameters["E"] == pytest.approx(1.8172, abs=0.01)
        rows = fitted.residual_table("params")
        assert sum(row["n_runs"] for row in rows) == 30_000
        assert len(rows) == 40
