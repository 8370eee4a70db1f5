"""Training curves read off at IsoFLOP budgets, and the exponents of Porian et al. from them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
from fitting_frontiers import (
    PORIAN_BUDGETS,
    PORIAN_SIZES,
    codes,
    porian_curves,
    porian_surface,
    training_curves,
    true_params,
)
from hypothesis import given
from hypothesis import strategies as st

from isoloss.arrays import Array, Mask
from isoloss.errors import InputError
from isoloss.fitting.frontier import (
    curves_at_budgets,
    fit_isoflop_akima,
    fit_isoflop_curves,
    fit_isoflop_parabolas,
)
from isoloss.notes import Severity
from isoloss.runs import Runs, read_runs

# Porian et al. 2024, arXiv:2406.19146: exponent a and N* at 5.88e23 FLOPs of each set-up, with
# FLOPs that count the head.
SET_UPS = {
    "RefinedWeb, head counted": (0.7065, 7.87e11),
    "RefinedWeb, short warm-up": (0.602, 2.92e11),
    "RefinedWeb, matched cosine": (0.5715, 1.83e11),
    "RefinedWeb, tuned": (0.4969, 7.69e10),
    "OpenWebText2, tuned": (0.5185, 9.88e10),
}
TUNED = porian_surface(*SET_UPS["RefinedWeb, tuned"])


def runs(frame: pl.DataFrame) -> Runs:
    return read_runs(frame, check=False)


def power_curve(
    exponent: float, *, params: float = 1e8, flops: Array | None = None, points: int = 40
) -> pl.DataFrame:
    """A curve that is straight in logs, L = 3 (C / 1e18)^-exponent."""
    spent = np.geomspace(1e17, 1e19, points) if flops is None else flops
    return pl.DataFrame(
        {
            "run_id": "straight",
            "params": np.full(spent.size, params),
            "tokens": spent / (6 * params),
            "loss": 3 * (spent / 1e18) ** -exponent,
        }
    )


def matched_curves(
    *, undecayed: float, noise: float | str = 0.0, beginning: float = 0.01
) -> pl.DataFrame:
    """Runs of the tuned set-up for each size and budget, each with a schedule of that length."""
    params, flops = (grid.ravel() for grid in np.meshgrid(PORIAN_SIZES, PORIAN_BUDGETS))
    tokens = flops / (6 * params)
    kept = has_own_run(params, tokens)
    return training_curves(
        TUNED,
        params[kept],
        tokens[kept],
        undecayed=undecayed,
        noise=noise,
        beginning=beginning,
    )


def has_own_run(params: Array, tokens: Array) -> Mask:
    return np.asarray((tokens > 2 * params) & (tokens < 300 * params))


# The published exponents


@pytest.mark.parametrize("name", SET_UPS)
def test_curves_of_a_constant_learning_rate_give_porians_exponents(name: str) -> None:
    exponent, params = SET_UPS[name]
    law = porian_surface(exponent, params)
    curves = runs(porian_curves(law, points=600, noise="refinedweb"))
    fit = fit_isoflop_curves(curves, budgets=PORIAN_BUDGETS, bootstrap=300)
    low, high = fit.intervals(0.95)["a"]
    assert low < exponent < high
    assert high - low < 0.15
    assert fit.a == pytest.approx(exponent, abs=0.03)
    low, high = fit.optimum_intervals(5.88e23, 0.95)["params"]
    assert low < params < high


def test_the_sizes_of_the_tuned_set_up_are_found() -> None:
    # Its IsoFLOP minima, read from the released summaries.
    fit = fit_isoflop_curves(runs(porian_curves(TUNED, noise="refinedweb")), budgets=PORIAN_BUDGETS)
    assert [budget.kept for budget in fit.budgets] == [True] * 12
    for flops, params, loss in (
        (1e17, 3.126e7, 4.0374),
        (1.6e18, 1.280e8, 3.5100),
        (2.56e19, 5.347e8, 3.0949),
    ):
        low, high = fit.optimum_intervals(flops, 0.95)["params"]
        assert low < params < high
        budget = min(fit.budgets, key=lambda each: abs(np.log(each.flops / flops)))
        assert budget.loss == pytest.approx(loss, rel=0.005)


def test_noise_is_all_that_stands_between_the_curves_and_their_exponent() -> None:
    curves = runs(porian_curves(TUNED, points=300))
    fit = fit_isoflop_curves(curves, budgets=PORIAN_BUDGETS, noise=1e-6, bootstrap=20)
    assert fit.a == pytest.approx(0.4969, abs=2e-3)
    assert fit.b == pytest.approx(0.5031, abs=2e-3)
    for budget in fit.budgets:
        # Two of the 25 steps between sizes.
        assert budget.params == pytest.approx(float(true_params(TUNED, budget.flops)), rel=0.03)


def test_intervals_cover_the_exponent_as_often_as_they_say() -> None:
    covered = []
    for seed in range(40):
        curves = runs(porian_curves(TUNED, noise="refinedweb", points=60, seed=seed))
        fit = fit_isoflop_curves(curves, budgets=PORIAN_BUDGETS, bootstrap=100, seed=seed)
        low, high = fit.intervals(0.9)["a"]
        covered.append(low < 0.4969 < high)
    # Three binomial standard errors below 0.9.
    assert np.mean(covered) > 0.75


def test_schedules_matched_to_the_budgets_are_read_at_their_ends() -> None:
    # Longer runs pass the same budgets, with a learning rate that has not decayed.
    table = curves_at_budgets(runs(matched_curves(undecayed=0.3)), budgets=PORIAN_BUDGETS)
    own = has_own_run(table.params, table.tokens)
    assert np.sum(own) > 80
    assert table.column("progress")[own] == pytest.approx(1)
    true_loss = TUNED.predict(params=table.params, tokens=table.tokens)
    assert table.loss[own] == pytest.approx(true_loss[own], rel=0.005)
    noisy = runs(matched_curves(undecayed=0.3, noise="refinedweb"))
    fit = fit_isoflop_curves(noisy, budgets=PORIAN_BUDGETS, bootstrap=300)
    low, high = fit.intervals(0.95)["a"]
    assert low < 0.4969 < high


def test_schedules_longer_than_the_budget_are_noted() -> None:
    curves = runs(porian_curves(TUNED, undecayed=0.1))
    fit = fit_isoflop_curves(curves, budgets=PORIAN_BUDGETS, noise=1e-3, bootstrap=50)
    note = next(note for note in fit.notes if note.code == "schedule-not-finished")
    assert note.severity is Severity.WARNING
    assert "where the learning rate had not decayed" in note.message
    # A long schedule ahead makes large models look worse at every budget but the last.
    exact = fit_isoflop_curves(
        runs(porian_curves(TUNED)), budgets=PORIAN_BUDGETS, noise=1e-3, bootstrap=50
    )
    assert fit.a > exact.a + 0.005
    finished = runs(matched_curves(undecayed=0.1, beginning=0.6))
    table = curves_at_budgets(finished, budgets=PORIAN_BUDGETS)
    assert "schedule-not-finished" not in [note.code for note in table.notes]


# Reading a curve


@given(st.floats(0.01, 0.3), st.floats(0, 0.3), st.floats(1.01e17, 9.9e18), st.integers(40, 400))
def test_a_curve_straight_in_logs_is_read_exactly(
    exponent: float, smoothing: float, flops: float, points: int
) -> None:
    curve = runs(power_curve(exponent, points=points))
    table = curves_at_budgets(curve, budgets=flops, smoothing=smoothing)
    assert table.loss.tolist() == pytest.approx([3 * (flops / 1e18) ** -exponent])
    assert table.tokens.tolist() == pytest.approx([flops / 6e8])
    assert table.column("flops").tolist() == [flops]
    assert table.column("progress").tolist() == pytest.approx([flops / 1e19])


def test_a_run_counts_where_it_has_logged_a_point_within_the_tolerance() -> None:
    curve = power_curve(0.1, flops=np.array([1e18, 2e18, 4e18]))
    budgets = [0.95e18, 1e18, 1.09e18, 1.5e18, 1.9e18, 4.35e18, 4.5e18]
    table = curves_at_budgets(runs(curve), budgets=budgets)
    assert table.column("flops").tolist() == [0.95e18, 1e18, 1.09e18, 1.9e18, 4.35e18]
    # Beyond either end stands the loss of the end, with the tokens that the budget pays for.
    assert table.loss[[0, -1]].tolist() == pytest.approx([3, 3 * 4**-0.1])
    assert table.tokens[-1] == pytest.approx(4.35e18 / 6e8)
    assert table.column("progress")[-1] == 1
    note = next(note for note in table.notes if note.code == "budgets-not-reached")
    assert note.message == "no curve has a point near 1.5e+18, 4.5e+18 FLOPs"
    wider = curves_at_budgets(runs(curve), budgets=budgets, tolerance=0.4)
    assert wider.column("flops").tolist() == budgets


def test_smoothing_averages_noise_and_does_not_lag_at_the_end() -> None:
    params, tokens = np.full(100, 1e8), np.full(100, 2e9)
    curves = training_curves(TUNED, params, tokens, beginning=0.5, points=200, noise=0.01)
    end = 6e8 * 2e9
    true_loss = float(TUNED.predict(params=1e8, tokens=2e9))
    errors = {}
    for smoothing in (0, 0.05):
        # Runs of one size compete; here each is on its own.
        losses = [
            curves_at_budgets(runs(curve), budgets=end, smoothing=smoothing).loss[0]
            for _, curve in curves.group_by("run_id")
        ]
        errors[smoothing] = np.array(losses) - true_loss
    assert np.std(errors[0]) == pytest.approx(0.01, rel=0.2)
    assert np.std(errors[0.05]) < 0.6 * np.std(errors[0])
    assert abs(np.mean(errors[0.05])) < 3 * np.std(errors[0.05]) / np.sqrt(100)


def test_the_best_run_of_each_size_is_kept() -> None:
    curves = pl.concat(
        power_curve(0.1, params=params).with_columns(
            pl.col("loss") + excess, run_id=pl.lit(f"{params:g} {excess:g}")
        )
        for params in (1e8, 2e8)
        for excess in (0.2, 0.0, 0.1)
    )
    table = curves_at_budgets(runs(curves), budgets=[1e18, 2e18])
    assert table.params.tolist() == pytest.approx([1e8, 2e8] * 2)
    assert table.frame["run_id"].to_list() == ["1e+08 0", "2e+08 0"] * 2


def test_budgets_double_over_all_that_three_sizes_pass() -> None:
    curves = pl.concat(
        power_curve(0.1, params=params, flops=np.geomspace(1e16, last, 200)).with_columns(
            run_id=pl.lit(f"{params:g}")
        )
        for params, last in ((1e7, 1e17), (2e7, 1.1e18), (4e7, 1e19), (8e7, 1e20))
    )
    table = curves_at_budgets(runs(curves))
    assert np.unique(table.column("flops")).tolist() == pytest.approx(PORIAN_BUDGETS[:7])
    assert [note.code for note in table.notes] == ["curves-read-off", "schedule-not-finished"]
    note = table.notes[0]
    assert note.message == (
        "losses at 7 budgets are read off 4 training curves, the best run of each size; one that "
        "ends up to 10% short of a budget counts there with its last loss"
    )


def test_flops_of_the_table_decide_where_a_budget_is() -> None:
    curve = power_curve(0.1).with_columns(flops=1.2 * 6 * pl.col("params") * pl.col("tokens"))
    table = curves_at_budgets(runs(curve), budgets=1e18)
    assert table.tokens[0] == pytest.approx(1e18 / 7.2e8)
    named = runs(curve.rename({"flops": "spent"}))
    assert curves_at_budgets(named, budgets=1e18, flops="spent").fingerprint == table.fingerprint


def test_tokens_may_be_given_as_steps() -> None:
    curve = power_curve(0.1)
    steps = curve.with_columns(step=pl.col("tokens") / 2**19, batch_tokens=2.0**19).drop("tokens")
    by_steps, by_tokens = (curves_at_budgets(runs(table), budgets=1e18) for table in (steps, curve))
    assert by_steps.loss == pytest.approx(by_tokens.loss)


def test_one_point_is_a_run_at_its_own_budget() -> None:
    curve = power_curve(0.1, flops=np.array([1e18]))
    assert curves_at_budgets(runs(curve), budgets=1e18).loss.tolist() == pytest.approx([3])


def test_a_schedule_may_be_longer_than_its_run() -> None:
    curve = power_curve(0.1).with_columns(planned=2 * pl.col("tokens").max())
    table = curves_at_budgets(runs(curve), budgets=5e18, schedule="planned")
    assert table.column("progress").tolist() == pytest.approx([0.25])


def test_any_isoflop_method_takes_the_table() -> None:
    curves = runs(porian_curves(TUNED, noise="refinedweb"))
    table = curves_at_budgets(curves, budgets=PORIAN_BUDGETS)
    whole = fit_isoflop_curves(curves, budgets=PORIAN_BUDGETS, bootstrap=50, seed=3)
    akima = fit_isoflop_akima(table, bootstrap=50, seed=3)
    assert whole.intervals() == akima.intervals()
    assert whole.source == akima.source == "frame"
    assert codes(whole)[:3] == ["curves-read-off", "schedule-not-finished", "akima-noise"]
    parabolas = fit_isoflop_parabolas(table, bootstrap=0)
    assert parabolas.a == pytest.approx(0.4969, abs=0.03)


def test_rows_may_come_in_any_order() -> None:
    frame = porian_curves(TUNED, noise="refinedweb")
    shuffled = frame.sample(fraction=1.0, shuffle=True, seed=1)
    fits = [
        fit_isoflop_curves(runs(table), budgets=PORIAN_BUDGETS, bootstrap=20)
        for table in (frame, shuffled)
    ]
    assert fits[0].fingerprint == fits[1].fingerprint
    assert fits[0].intervals()["a"] == pytest.approx(fits[1].intervals()["a"], rel=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda r: curves_at_budgets(r, budgets=[1e18, -1]), "budgets: not a budget: found -1; ex"),
        (lambda r: curves_at_budgets(r, budgets=[]), "budgets: no budget: expected positive num"),
        (
            lambda r: curves_at_budgets(r, budgets=1e25),
            r"budgets: no budget with points of any curve near it: expected FLOPs between 1e\+17 ",
        ),
        (
            curves_at_budgets,
            "budgets: no budget with points of curves of 3 sizes near it: expected",
        ),
        (
            lambda r: curves_at_budgets(r, tolerance=-1),
            "tolerance: not a share: found -1; expected",
        ),
        (
            lambda r: curves_at_budgets(r, smoothing=1),
            "smoothing: not a share: found 1; expected 0",
        ),
        (lambda r: curves_at_budgets(r, run="name"), "frame: no column name that names the run"),
        (lambda r: curves_at_budgets(r, schedule="plan"), "frame: no column plan: expected one of"),
        (lambda r: fit_isoflop_curves(r, budgets=1e18, bootstrap=0), "bootstrap: too few: found 0"),
    ],
)
def test_arguments_without_meaning_are_refused(
    call: Callable[[Runs], object], message: str
) -> None:
    with pytest.raises(InputError, match=f"^{message}"):
        call(runs(power_curve(0.1)))
