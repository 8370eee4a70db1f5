"""Approach 1 on simulated training curves, whose compute-optimal sizes are known."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
from fitting_frontiers import (
    PORIAN_SIZES,
    porian_surface,
    surface,
    training_curves,
    true_params,
)

from isoloss.arrays import Array
from isoloss.errors import FitError, InputError
from isoloss.fitting.frontier.envelope import fit_envelope
from isoloss.fitting.frontier.power_law import fit_line, fit_power_law
from isoloss.notes import Severity
from isoloss.runs import Runs, read_runs

LAW = surface()
TRUE_A = 0.28 / 0.62
SIZES = np.geomspace(7e7, 1e10, 20)
# The law asks for about 40 tokens per parameter at 1e20 FLOPs.
RATIOS = (10.0, 20.0, 40.0, 80.0, 160.0)


def true_optimum(flops: float) -> tuple[float, float]:
    params = float(true_params(LAW, flops))
    return params, flops / 6 / params


def ladder(
    sizes: Array = SIZES,
    ratios: tuple[float, ...] = RATIOS,
    *,
    undecayed: float = 0.05,
    points: int = 100,
    noise: float = 0.0,
) -> pl.DataFrame:
    """Curves of every size at several horizons, given as D/N."""
    params, ratio = (grid.ravel() for grid in np.meshgrid(sizes, ratios, indexing="ij"))
    return training_curves(
        LAW, params, params * ratio, undecayed=undecayed, points=points, noise=noise
    )


def runs(frame: pl.DataFrame) -> Runs:
    return read_runs(frame, check=False)


def test_curves_of_a_constant_learning_rate_have_the_surface_as_their_envelope() -> None:
    curves = ladder(ratios=(1000.0,), undecayed=0, points=200)
    fit = fit_envelope(runs(curves))
    assert fit.a == pytest.approx(TRUE_A, abs=0.005)
    assert fit.b == pytest.approx(1 - TRUE_A, abs=0.005)
    for flops in (1e20, 1e21):
        assert fit.optimum(flops) == pytest.approx(true_optimum(flops), rel=0.02)
    low, high = fit.intervals(0.9)["a"]
    assert low < TRUE_A < high
    # No point comes near the end of a schedule, and the result says so.
    assert fit.late_share == 0
    note = next(note for note in fit.notes if note.code == "schedule-not-finished")
    assert note.severity is Severity.WARNING
    assert note.message.startswith("100% of the chosen points come before the last 15% of")


def test_decaying_schedules_move_the_envelope_to_the_ends_of_runs() -> None:
    fit = fit_envelope(runs(ladder(undecayed=0.3)))
    assert fit.a == pytest.approx(TRUE_A, abs=0.02)
    assert fit.optimum(1e20) == pytest.approx(true_optimum(1e20), rel=0.15)
    assert fit.late_share > 0.9
    assert fit.late_share == pytest.approx(np.mean(fit.chosen["progress"].to_numpy() >= 0.85))
    low, high = fit.intervals(0.9)["a"]
    assert low < TRUE_A < high


@pytest.mark.parametrize(("undecayed", "noise"), [(0.0, 0.0), (0.3, 0.0), (0.3, "refinedweb")])
def test_porians_exponent_comes_out_of_simulated_curves(
    undecayed: float, noise: float | str
) -> None:
    # Porian et al. 2024, arXiv:2406.19146, tuned: a = 0.4969. Five horizons a size, in factors of
    # two around the compute-optimal one, logged at even steps.
    law = porian_surface(0.4969, 7.69e10)
    budgets = np.geomspace(1e14, 1e22, 500)
    optimum = true_params(law, budgets)
    tokens = np.exp(np.interp(np.log(PORIAN_SIZES), np.log(optimum), np.log(budgets / 6 / optimum)))
    horizons = np.outer(tokens, 2.0 ** np.arange(-2, 3))
    curves = training_curves(
        law,
        np.repeat(PORIAN_SIZES, 5),
        horizons.ravel(),
        undecayed=undecayed,
        noise=noise,
        steps=400,
    )
    fit = fit_envelope(runs(curves))
    assert fit.a == pytest.approx(0.4969, abs=0.02)
    assert fit.b == pytest.approx(0.5031, abs=0.02)
    low, high = fit.intervals(0.9)["a"]
    assert low < 0.4969 < high
    assert fit.optimum(1e18) == pytest.approx(
        (float(true_params(law, 1e18)), 1e18 / 6 / float(true_params(law, 1e18))), rel=0.15
    )


def test_horizons_off_the_optimum_bias_the_coefficients() -> None:
    fit = fit_envelope(runs(ladder(ratios=(5.0, 10.0, 20.0), undecayed=0.3)))
    assert fit.optimum(1e20)[0] > 1.3 * true_optimum(1e20)[0]


def test_a_schedule_longer_than_its_run_is_never_finished() -> None:
    curves = ladder().with_columns(planned=2 * pl.col("tokens").max().over("run_id"))
    fit = fit_envelope(runs(curves), schedule="planned", bootstrap=0)
    assert fit.late_share == 0
    assert fit.chosen["progress"].max() == pytest.approx(0.5, abs=0.01)


def test_smoothing_keeps_noise_from_choosing() -> None:
    steps = pl.int_range(1, pl.len() + 1).over("run_id")
    frame = ladder(ratios=(1000.0,), undecayed=0, points=800, noise=0.03)
    curves = runs(frame.with_columns(step=steps))
    excess = {}
    for width in (0, 10):
        fit = fit_envelope(curves, smoothing=width, bootstrap=0)
        params, tokens, loss = (fit.chosen[name] for name in ("params", "tokens", "loss"))
        true_loss = LAW.predict(params=params.to_numpy(), tokens=tokens.to_numpy())
        excess[width] = float(np.mean(loss.to_numpy() - true_loss))
        assert ("not-smoothed" in [note.code for note in fit.notes]) == (width == 0)
    assert excess[0] < -0.02
    assert abs(excess[10]) < 0.01


def test_smoothing_leaves_straight_curves_alone() -> None:
    frame = ladder(points=60)
    share = pl.int_range(pl.len()).over("run_id") / 60
    straight = frame.with_columns(
        step=1 + 60 * share,
        tokens=pl.col("tokens").max().over("run_id") * (0.5 + share),
        loss=pl.col("loss").min().over("run_id") - 0.1 * share,
    )
    smoothed, raw = (fit_envelope(runs(straight), smoothing=width, bootstrap=0) for width in (3, 0))
    # Only the first points, which smoothing would distort on a bent curve, are gone.
    assert smoothed.a == pytest.approx(raw.a, abs=0.02)
    joined = smoothed.chosen.join(raw.chosen, on=["run_id"], how="semi")
    assert joined.height > 0.9 * smoothed.chosen.height


def test_sizes_that_end_the_range_are_not_chosen() -> None:
    fit = fit_envelope(runs(ladder()), bootstrap=0)
    chosen = fit.chosen["params"].unique().to_numpy()
    assert chosen.min() > SIZES[0] * 1.01
    assert chosen.max() < SIZES[-1] / 1.01
    note = next(note for note in fit.notes if note.code == "edges-left-out")
    assert note.details["share"] == pytest.approx(1 - fit.chosen.height / fit.n_covered)
    assert fit.n_sizes == chosen.size


def test_the_chosen_run_has_the_least_loss() -> None:
    frame = ladder()
    fit = fit_envelope(runs(frame), bootstrap=0)
    row = fit.chosen.row(fit.chosen.height // 2, named=True)
    assert 6 * row["params"] * row["tokens"] == pytest.approx(row["flops"], rel=1e-6)
    for (_,), curve in frame.group_by("run_id"):
        ordered = curve.sort("tokens")
        flops = 6 * ordered["params"].to_numpy() * ordered["tokens"].to_numpy()
        if flops[0] <= row["flops"] <= flops[-1]:
            there = np.interp(np.log(row["flops"]), np.log(flops), ordered["loss"].to_numpy())
            assert row["loss"] <= there + 1e-12


def test_tokens_may_be_given_as_steps() -> None:
    frame = ladder()
    steps = frame.with_columns(step=pl.col("tokens") / 2**19, batch_tokens=2.0**19).drop("tokens")
    by_steps, by_tokens = (
        fit_envelope(runs(table), smoothing=0, bootstrap=0) for table in (steps, frame)
    )
    assert by_steps.a == pytest.approx(by_tokens.a, rel=1e-9)


def test_rows_may_come_in_any_order() -> None:
    frame = ladder(points=40)
    shuffled = frame.sample(fraction=1.0, shuffle=True, seed=1)
    fits = [fit_envelope(runs(table), bootstrap=0) for table in (frame, shuffled)]
    assert fits[0].a == pytest.approx(fits[1].a, rel=1e-9)
    assert fits[0].fingerprint == fits[1].fingerprint


def test_single_points_are_left_out_and_counted() -> None:
    frame = ladder()
    lone = frame.head(1).with_columns(run_id=pl.lit("lone"), loss=pl.lit(0.1))
    fit = fit_envelope(runs(pl.concat([frame, lone])), bootstrap=0)
    assert fit.n_curves == 100
    note = next(note for note in fit.notes if note.code == "single-points")
    assert note.message == "1 runs have a single point, no curve, and are left out"
    assert fit.chosen["loss"].to_numpy().min() > 1


def test_results_are_json() -> None:
    fit = fit_envelope(runs(ladder()), bootstrap=20, seed=3)
    report = json.loads(json.dumps(fit.to_json(), allow_nan=False))
    assert report["a"] == fit.a
    assert report["n_curves"] == 100
    assert report["provenance"]["seed"] == 3
    assert fit.to_frame().height == report["n_chosen"]
    without = fit_envelope(runs(ladder()), bootstrap=0)
    # Points along one envelope do not err alone: their scatter is no standard error.
    assert without.to_json()["a_error"] is None
    assert without.intervals() == {}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.drop("tokens"), "no tokens along the curves: found params, loss, run_id; exp"),
        (lambda f: f.drop("run_id"), "no column run_id that names the run: expected params, tok"),
        (lambda f: f.unique("run_id"), "no run of column run_id has two points: expected training"),
        (
            lambda f: f.with_columns(run_id=pl.lit("one")),
            "run one has more than one size: found 7e[+]07, 9.*; expected one value of params for",
        ),
        (
            lambda f: f.with_columns(tokens=pl.col("tokens") - pl.col("tokens").min()),
            "column tokens has values that no law can use: found 0 in row 1; expected positive",
        ),
    ],
)
def test_tables_that_are_no_curves_are_refused(
    change: Callable[[pl.DataFrame], pl.DataFrame], message: str
) -> None:
    with pytest.raises(InputError, match=f"^frame: {message}"):
        fit_envelope(runs(change(ladder(points=5))))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda r: fit_envelope(r, smoothing=-1), "smoothing: not a width: found -1; expected 0"),
        (
            lambda r: fit_envelope(r, bootstrap=-1),
            "bootstrap: too few: found -1; expected 0 or more",
        ),
        (lambda r: fit_envelope(r, schedule="horizon"), "no column horizon: expected one of"),
    ],
)
def test_arguments_without_meaning_are_refused(
    call: Callable[[Runs], object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        call(runs(ladder(points=5)))


def test_three_sizes_have_to_be_best_somewhere() -> None:
    with pytest.raises(
        FitError, match=r"needs 3 sizes that are best at some budget.*; frame has 1 in 9 curves"
    ):
        fit_envelope(runs(ladder(np.array([1e8, 3e8, 1e9]), (10.0, 40.0, 160.0))))


# The power law behind all three methods


def test_a_power_law_is_recovered_with_its_error() -> None:
    generator = np.random.default_rng(0)
    log_flops = np.log(np.geomspace(1e18, 1e22, 9))
    found = [
        fit_power_law(log_flops, -2 + 0.5 * log_flops + 0.1 * generator.standard_normal(9))
        for _ in range(300)
    ]
    exponents = np.array([law.exponent for law in found])
    assert np.mean(exponents) == pytest.approx(0.5, abs=1e-3)
    claimed = np.sqrt(np.mean([law.exponent_error**2 for law in found]))
    assert claimed == pytest.approx(np.std(exponents), rel=0.1)
    exact = fit_power_law(log_flops, -2 + 0.5 * log_flops)
    assert exact.coefficient == pytest.approx(np.exp(-2), rel=1e-9)
    assert exact.at([1e20, 1e24]) == pytest.approx(np.exp(-2) * np.array([1e10, 1e12]), rel=1e-9)


def test_lines_leave_out_missing_points_and_flat_problems() -> None:
    x = np.array([1.0, 2.0, 3.0, 4.0])
    y = np.stack([2 * x + 1, np.where(x == 2, np.nan, 3 - x), np.where(x > 1, np.nan, x)], axis=1)
    lines = fit_line(x, y, np.ones((4, 1)))
    assert lines[:, 0] == pytest.approx([1, 2])
    assert lines[:, 1] == pytest.approx([3, -1])
    assert np.isnan(lines[1, 2])


def test_weights_count() -> None:
    x, y = np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.0, 4.0])
    weights = np.array([1.0, 1.0, 1e-9])
    assert fit_power_law(x, y, weights).exponent == pytest.approx(1, abs=1e-6)
    assert fit_power_law(x, y).exponent == pytest.approx(2)
