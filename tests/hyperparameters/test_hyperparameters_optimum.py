"""The optimum of a cell: a bowl, not the best run."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hyperparameters_sweeps import BATCHES, CURVATURE, RATES, best_batch, best_rate, sweep
from hypothesis import given
from hypothesis import strategies as st

from isoloss.errors import InputError
from isoloss.hyperparameters import Cell, find_optimum, read_cells

POINT = (2e8, 1.2e10)


def cell_of(**choices: float) -> Cell:
    (cell,) = read_cells(sweep([POINT], **choices))  # type: ignore[arg-type]
    return cell


def test_a_parabola_is_found_exactly() -> None:
    found = find_optimum(cell_of())
    assert found.values["learning_rate"] == pytest.approx(best_rate(*POINT), rel=1e-6)
    assert found.values["batch_tokens"] == pytest.approx(best_batch(POINT[1]), rel=1e-6)
    assert np.allclose(found.found.curvature, CURVATURE, rtol=1e-5)
    assert found.loss < found.cell.loss.min()
    assert found.errors["learning_rate"] < 1e-5


def test_the_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    held = 0
    for seed in range(60):
        found = find_optimum(cell_of(noise=0.001, seed=seed))
        low, high = found.interval("learning_rate", 0.9)
        held += low <= best_rate(*POINT) <= high
    assert 46 <= held <= 60


def test_the_bowl_is_nearer_to_the_truth_than_the_best_run() -> None:
    off = {"bowl": 0.0, "run": 0.0}
    for seed in range(20):
        found = find_optimum(cell_of(noise=0.002, seed=seed))
        off["bowl"] += abs(math.log(found.values["batch_tokens"] / best_batch(POINT[1])))
        off["run"] += abs(math.log(found.cell.best_run["batch_tokens"] / best_batch(POINT[1])))
    assert off["bowl"] < 0.6 * off["run"]


def test_a_steep_side_is_a_bias_that_the_error_knows() -> None:
    found = find_optimum(cell_of(steep=0.004))
    off = math.log(found.values["learning_rate"] / best_rate(*POINT))
    assert off < 0
    assert abs(off) < 2 * found.errors["learning_rate"]


@given(rate=st.floats(0.1, 10.0), batch=st.floats(0.1, 10.0), loss=st.floats(0.1, 10.0))
def test_units_change_nothing(rate: float, batch: float, loss: float) -> None:
    cell = cell_of(noise=0.001, seed=3)
    other = Cell.of(cell.at, cell.names, cell.logs + np.log([rate, batch]), cell.loss * loss)
    found, moved = find_optimum(cell), find_optimum(other)
    assert moved.values["learning_rate"] == pytest.approx(rate * found.values["learning_rate"])
    assert moved.values["batch_tokens"] == pytest.approx(batch * found.values["batch_tokens"])
    assert moved.loss == pytest.approx(loss * found.loss)


def test_divergent_and_wild_runs_do_not_move_it() -> None:
    cell = cell_of(noise=0.0005, seed=1)
    loss = cell.loss.copy()
    loss[[5, 40]] = [math.nan, 11.0]
    loss[np.argsort(loss)[10]] *= 1.02
    dropped = Cell.of(cell.at, cell.names, cell.logs, loss)
    assert dropped.n_diverged == 2
    moved = find_optimum(dropped).found.place - find_optimum(cell).found.place
    assert np.all(np.abs(moved) < 0.05)


def test_the_region_costs_what_it_says() -> None:
    found = find_optimum(cell_of())
    outline = found.region(0.003)
    costs = [found.excess({"learning_rate": x, "batch_tokens": y}) for x, y in outline]
    assert np.allclose(costs, 0.003, rtol=1e-6)
    low, high = found.tolerance(0.003)["learning_rate"]
    assert outline[:, 0].min() == pytest.approx(low, rel=1e-3)
    assert outline[:, 0].max() == pytest.approx(high, rel=1e-3)


def test_the_ellipse_has_the_errors_as_its_extent() -> None:
    found = find_optimum(cell_of(noise=0.001))
    outline = np.log(found.ellipse(0.9))
    # The 90 % quantile of chi-squared with two degrees of freedom is 4.605.
    reach = math.sqrt(4.605) * found.errors["learning_rate"]
    assert np.ptp(outline[:, 0]) / 2 == pytest.approx(reach, rel=1e-3)


def test_the_cost_of_a_place_is_interpolated_between_its_runs() -> None:
    cell = cell_of()
    on_a_run = {"learning_rate": float(RATES[4]), "batch_tokens": float(BATCHES[4])}
    at = np.flatnonzero(np.all(np.isclose(np.exp(cell.logs), list(on_a_run.values())), axis=1))[0]
    assert cell.measured_excess(on_a_run) == pytest.approx(cell.loss[at] / cell.loss.min() - 1)
    assert math.isnan(cell.measured_excess({"learning_rate": 1.0, "batch_tokens": 1e5}))


def test_one_hyperparameter_is_enough() -> None:
    runs = sweep([POINT])
    kept = runs.where(f"batch_tokens < {BATCHES[0] * 1.01}")
    (cell,) = read_cells(kept, ["learning_rate"])
    found = find_optimum(cell, band=0.02)
    # At another batch the best rate follows the tilt of the bowl.
    tilt = -CURVATURE[0, 1] / CURVATURE[0, 0] * math.log(BATCHES[0] / best_batch(POINT[1]))
    assert math.log(found.values["learning_rate"] / best_rate(*POINT)) == pytest.approx(tilt)
    with pytest.raises(InputError, match="no outline: found learning_rate; expected two"):
        found.ellipse()
    assert cell.measured_excess(found.values) >= 0


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        ("batch_tokens < 110000", "2 values of batch_tokens, 3 are needed"),
        ("learning_rate < 0.0011", "the least loss lies outside of what was tried"),
        (
            "batch_tokens < 250000 and learning_rate > 0.006",
            "the least loss lies outside of what was tried",
        ),
    ],
)
def test_cells_without_an_optimum_say_why(where: str, reason: str) -> None:
    (cell,) = read_cells(sweep([POINT]).where(where))
    found = find_optimum(cell)
    assert found.rejected.startswith(reason)
    assert found.to_json()["optimum"] is None
    with pytest.raises(InputError, match=r"params 2e\+08, tokens 1.2e\+10: no optimum: found"):
        _ = found.values


def test_a_quadratic_needs_more_runs_than_coefficients() -> None:
    (cell,) = read_cells(sweep([POINT]))
    # Three values of each hyperparameter, but no more runs than the six coefficients.
    near = np.argsort(cell.loss)[:40]
    chosen = near[[0, 7, 14, 21, 28, 35]]
    few = Cell.of(cell.at, cell.names, cell.logs[chosen], cell.loss[chosen])
    assert find_optimum(few).rejected == "fewer than 7 runs near the least loss"


def test_five_rates_in_steps_of_two_are_enough_for_one_hyperparameter() -> None:
    rates = 0.0025 * 2.0 ** np.arange(5)
    loss = 1.5 * np.exp(0.05 * np.log(rates / 0.008) ** 2)
    cell = Cell.of({"params": 1e5, "tokens": 2e6}, ["learning_rate"], np.log(rates)[:, None], loss)
    found = find_optimum(cell)
    assert found.values["learning_rate"] == pytest.approx(0.008)
    assert found.loss == pytest.approx(1.5)


def test_a_hill_has_no_optimum() -> None:
    cell = cell_of()
    hill = Cell.of(cell.at, cell.names, cell.logs, 1 / cell.loss)
    assert find_optimum(hill).rejected


def test_bad_requests() -> None:
    with pytest.raises(InputError, match="band: not a share: found 2; expected 0 to 1"):
        find_optimum(cell_of(), band=2.0)
    with pytest.raises(InputError, match="params 1e\\+08: no run with a loss"):
        Cell.of({"params": 1e8}, ["x"], np.zeros((2, 1)), np.full(2, np.nan))
