"""Backtests: what was held out, what was predicted, and how the two compare."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from forecasting_tables import EPOCH, GADRE, laws_named, own_law, simulated, table

from isoloss.errors import FitError, InputError
from isoloss.fitting import fit
from isoloss.forecasting import AUTO, Backtest, HeldOut, backtest, calibrate, predict
from isoloss.laws import CATALOGUE
from isoloss.runs import optimizer_runs, read_runs

DEMO = optimizer_runs("adamw")
RUNS = simulated(EPOCH, seed=0)
SURFACES = [law.name for law in CATALOGUE.values() if law.is_surface]
SUMMARY = {"mean_abs_rel_error", "mean_rel_error", "max_abs_rel_error", "coverage"}


@pytest.fixture(scope="module")
def demo() -> Backtest:
    """The published sizes up to 520M predict the four runs of 1.2B."""
    return backtest(DEMO, "params > 1e9", laws=[AUTO, "chinchilla", "overtraining"], bootstrap=40)


@pytest.mark.parametrize("name", [AUTO, "chinchilla", "overtraining"])
def test_sizes_up_to_520m_predict_1_2b_within_one_per_cent(demo: Backtest, name: str) -> None:
    held_out = demo.held_out[name]
    assert np.all(held_out.inputs["params"] == 1207959552)
    assert np.max(np.abs(held_out.rel_error)) < 0.01
    assert demo.to_json()["laws"][name]["coverage"] == 1.0


def test_json_is_what_other_programs_rely_on(demo: Backtest) -> None:
    document = demo.to_json()
    assert document["n_fit"] == 12
    assert document["n_held_out"] == 4
    assert document["laws"].keys() == {AUTO, "chinchilla", "overtraining"}
    for summary in document["laws"].values():
        assert summary.keys() == SUMMARY
        assert all(type(value) is float for value in summary.values())
    assert document.keys() == {"n_fit", "n_held_out", "laws", "refused", "level", "notes"}
    assert json.loads(json.dumps(document, allow_nan=False)) == document


def test_errors_are_relative_to_what_was_measured() -> None:
    held_out = HeldOut(
        {"params": np.full(4, 1e9), "tokens": np.full(4, 2e10)},
        measured=np.array([2.0, 2.0, 4.0, 4.0]),
        predicted=np.array([2.1, 1.8, 4.0, 4.4]),
        lower=np.array([1.9, 1.7, 3.9, 4.1]),
        upper=np.array([2.2, 1.9, 4.1, 4.5]),
    )
    np.testing.assert_allclose(held_out.rel_error, [0.05, -0.1, 0.0, 0.1])
    assert held_out.to_json() == pytest.approx(
        {
            "mean_abs_rel_error": 0.0625,
            "mean_rel_error": 0.0125,
            "max_abs_rel_error": 0.1,
            "coverage": 0.5,
        }
    )
    joined = HeldOut.join([held_out, held_out])
    assert joined.measured.size == 8
    assert joined.to_json() == pytest.approx(held_out.to_json())


def test_a_law_is_fitted_to_the_rest_alone() -> None:
    found = backtest(RUNS, "params > 5e8", laws=["overtraining"], bootstrap=20, seed=3)
    rest, held_out = RUNS.split("params > 5e8")
    alone = calibrate(fit(rest, "overtraining", bootstrap=20, seed=3), rest, seed=3)
    points = list(zip(held_out.params.tolist(), held_out.tokens.tolist(), strict=True))
    expected = predict(alone, points).to_frame()
    own = found.held_out["overtraining"]
    for name, column in (("loss", own.predicted), ("lower", own.lower), ("upper", own.upper)):
        np.testing.assert_allclose(column, expected[name].to_numpy(), rtol=1e-9)
    np.testing.assert_array_equal(own.measured, held_out.loss)


def test_what_is_held_out_has_no_say() -> None:
    """Spoiling the held-out losses changes the errors and nothing else."""
    spoilt = table(RUNS.params, RUNS.tokens, np.where(RUNS.params > 5e8, 9.0, RUNS.loss))
    honest, other = (
        backtest(runs, "params > 5e8", laws=["overtraining"], bootstrap=10)
        for runs in (RUNS, spoilt)
    )
    for name in ("predicted", "lower", "upper"):
        np.testing.assert_array_equal(
            getattr(honest.held_out["overtraining"], name),
            getattr(other.held_out["overtraining"], name),
        )
    assert other.to_json()["laws"]["overtraining"]["coverage"] == 0.0


def test_conditions_are_sql_over_all_columns() -> None:
    found = backtest(
        DEMO, "size = '1.2B' and 6*params*tokens > 5e20", laws=["overtraining"], bootstrap=10
    )
    assert found.n_held_out == int(np.sum((DEMO.params > 1e9) & (DEMO.flops > 5e20)))
    assert found.n_fit + found.n_held_out == 16


@pytest.mark.parametrize(("condition", "count"), [("params > 1e12", 0), ("params > 0", 20)])
def test_conditions_must_split_the_table(condition: str, count: int) -> None:
    with pytest.raises(InputError) as caught:
        backtest(RUNS, condition, laws=["compute"])
    assert str(caught.value) == (
        f"condition '{condition}': no split: found {count} of 20 runs of frame held out; "
        "expected some runs on either side"
    )


def test_rolling_backtests_predict_the_dearer_runs_of_each_share() -> None:
    found = backtest(RUNS, laws=["overtraining", "compute"], shares=(0.5, 0.8), bootstrap=10)
    order = np.sort(RUNS.flops)
    fitted = [int(np.sum(order <= np.quantile(order, share) * (1 + 1e-6))) for share in (0.5, 0.8)]
    assert found.n_fit == fitted[1]
    assert found.n_held_out == sum(20 - count for count in fitted)
    for held_out in found.held_out.values():
        assert held_out.measured.size == found.n_held_out


def test_rolling_backtests_leave_out_laws_that_a_fold_cannot_carry() -> None:
    found = backtest(DEMO, laws=["overtraining", "farseer"], shares=(0.4, 0.7), bootstrap=0)
    assert list(found.held_out) == ["overtraining"]
    assert found.refused == {
        "farseer": "law farseer has 9 parameters and needs at least 10 runs; the table has 7"
    }


def test_tables_of_one_budget_cannot_be_rolled() -> None:
    params = np.geomspace(1e8, 1e9, 8)
    runs = table(params, 1e20 / (6 * params), 3.0)
    with pytest.raises(InputError) as caught:
        backtest(runs, laws=["compute"])
    assert str(caught.value) == (
        "frame: the table is too small for rolling backtests: found 8 runs; expected runs of "
        "several budgets; or give --hold-out"
    )


def test_refused_laws_are_named_beside_the_others() -> None:
    found = backtest(RUNS, "tokens > 4.5e9", laws=["compute", "coupled"], bootstrap=10)
    assert list(found.held_out) == ["compute"]
    assert found.refused == {
        "coupled": "law coupled has 6 parameters and needs at least 7 runs; the table has 6"
    }
    assert found.to_json()["refused"] == found.refused


def test_no_law_that_can_predict_is_an_error() -> None:
    with pytest.raises(FitError) as caught:
        backtest(RUNS, "params > 1e8", laws=["chinchilla"], bootstrap=0)
    assert str(caught.value).startswith(
        "no law could predict the held-out runs: no law can be fitted to frame: law chinchilla "
        "has 5 parameters and needs at least 6 runs; the table has 5"
    )


def test_unknown_laws_are_refused_before_any_fit() -> None:
    with pytest.raises(InputError, match=r"^--law: unknown law: found 'chinchila' \(did you mean"):
        backtest(RUNS, "params > 5e8", laws=["chinchila"])


def test_levels_are_probabilities() -> None:
    with pytest.raises(InputError, match=r"^--level: not a level: found 90; expected between"):
        backtest(RUNS, "params > 5e8", laws=["compute"], level=90)


OWN = own_law("E + A/params**0.3 + B/tokens**0.3", "E A B")


def test_a_law_of_ones_own_stands_beside_auto() -> None:
    """It is no law of the catalogue, but `auto` takes it in."""
    found = backtest(RUNS, "params > 5e8", laws=[AUTO, OWN], bootstrap=0)
    assert set(found.held_out) == {AUTO, "own"}
    alone = backtest(RUNS, "params > 5e8", laws=[OWN], bootstrap=0)
    np.testing.assert_allclose(
        found.held_out["own"].predicted, alone.held_out["own"].predicted, rtol=1e-9
    )


def test_a_law_of_ones_own_replaces_that_of_the_same_name() -> None:
    same_name = own_law("E + A/params**0.3 + B/tokens**0.3", "E A B", name="chinchilla")
    found = backtest(RUNS, "params > 5e8", laws=[AUTO, same_name], bootstrap=0)
    expected = backtest(RUNS, "params > 5e8", laws=[OWN], bootstrap=0)
    np.testing.assert_allclose(
        found.held_out["chinchilla"].predicted, expected.held_out["own"].predicted, rtol=1e-9
    )


def test_wider_levels_cover_more() -> None:
    runs = simulated(GADRE, seed=4)
    coverage = [
        backtest(runs, "params > 3e8", laws=["overtraining"], bootstrap=30, level=level).to_json()[
            "laws"
        ]["overtraining"]["coverage"]
        for level in (0.05, 0.5, 0.99)
    ]
    assert coverage[0] < coverage[2]
    assert coverage == sorted(coverage)
    assert coverage[2] == 1.0


def test_a_frame_has_one_row_a_law_and_run(demo: Backtest) -> None:
    frame = demo.to_frame()
    assert frame.columns == ["law", "params", "tokens", "measured", "predicted", "lower", "upper"]
    assert frame.height == 3 * 4
    assert set(frame["law"]) == {AUTO, "chinchilla", "overtraining"}


def test_progress_names_each_law_that_is_done() -> None:
    done: list[str] = []
    laws = laws_named("compute", "overtraining")
    backtest(RUNS, "params > 5e8", laws=laws, bootstrap=0, advance=done.append)
    assert done == ["compute", "overtraining"]


@pytest.fixture(scope="module")
def farseer_split(shared_data: Path) -> Backtest:
    """The Farseer paper's own range of sizes, the larger half of them held out."""
    runs = read_runs(
        shared_data / "farseer_grid.csv",
        where="not duplicate_row and params > 2e8 and params < 6e9",
    )
    return backtest(runs, "params > 2e9", laws=[AUTO, "chinchilla", "farseer"], bootstrap=40)


def test_auto_beats_chinchilla_on_farseers_grid(farseer_split: Backtest) -> None:
    laws = farseer_split.to_json()["laws"]
    assert laws[AUTO]["mean_abs_rel_error"] < 0.5 * laws["chinchilla"]["mean_abs_rel_error"]
    assert laws[AUTO]["mean_abs_rel_error"] < 0.004
    assert laws[AUTO]["coverage"] > 0.85


def test_farseer_beats_chinchilla_on_its_own_grid(farseer_split: Backtest) -> None:
    laws = farseer_split.to_json()["laws"]
    assert laws["farseer"]["mean_abs_rel_error"] < laws["chinchilla"]["mean_abs_rel_error"]


def test_every_loss_surface_of_the_catalogue_can_be_asked_for(shared_data: Path) -> None:
    runs = read_runs(
        shared_data / "isoflop_llama_3.csv", where="condition = 'raw_loss' and flops < 1e21"
    )
    found = backtest(runs, "flops > 5e20", laws=SURFACES, bootstrap=10)
    assert set(found.held_out) | set(found.refused) == set(SURFACES)
    assert found.to_json()["laws"]["chinchilla"]["mean_abs_rel_error"] < 0.02
