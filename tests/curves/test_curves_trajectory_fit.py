"""The trajectory law and Kaplan's law of least steps, fitted to curves at several batch sizes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoloss.curves import (
    KAPLAN,
    TRAJECTORY_LAW,
    Curve,
    CurveFit,
    Curves,
    Points,
    Trajectory,
    TrajectoryLaw,
    backtest_curves,
    batch_trade_off,
    constant,
    find_curve_law,
    fit_curves,
    least_steps_law,
    load_curve_fit,
    read_curves,
    save_curve_fit,
    trajectory_of,
    unknown_rates,
)
from isoloss.curves.trajectory_root import RootValues, loss_at_batch
from isoloss.errors import FitError, InputError
from isoloss.laws import Centre

TRUTH = {
    "N_c": 6.5e13,
    "alpha_N": 0.077,
    "S_c": 2.1e3,
    "alpha_S": 0.76,
    "B_star": 2.1e8,
    "alpha_B": 0.21,
}
SIZES, BATCHES = (1e7, 1e8, 1e9), (3e4, 1e5, 4e5, 2e6)


def made(params: float, batch: float, noise: float = 0.0, seed: int = 0) -> Curve:
    """A run under Kaplan's constants."""
    steps = np.unique(np.round(np.geomspace(300, max(3e4, 3e9 / batch), 60)).astype(np.int64))
    jitter = np.random.default_rng(seed).standard_normal(steps.size)
    loss = KAPLAN.loss(params, steps, batch) * np.exp(noise * jitter)
    schedule = unknown_rates(int(steps[-1]) + 1)
    return Curve(f"{params:g}/{batch:g}", schedule, steps, loss, params, batch)


def grid(noise: float = 0.0, seed: int = 0, sizes: tuple[float, ...] = SIZES) -> Curves:
    runs = [(params, batch) for params in sizes for batch in BATCHES]
    curves = [made(*run, noise, 100 * seed + k) for k, run in enumerate(runs)]
    return Curves(tuple(curves), rates_known=False)


@pytest.fixture(scope="module")
def noisy() -> CurveFit:
    return fit_curves(grid(3e-3), "trajectory", bootstrap=40, threads=1)


@given(
    floor=st.floats(0.0, 5.0),
    far=st.floats(1e-6, 1e3),
    ratio=st.floats(0.0, 1e12),
    slope=st.floats(0.1, 20.0),
    power=st.floats(0.01, 4.0),
)
def test_the_root_meets_its_equation(
    floor: float, far: float, ratio: float, slope: float, power: float
) -> None:
    loss = float(loss_at_batch(*map(np.asarray, (floor, far, ratio, slope, power))))
    again = floor + far * (1 + ratio * loss**-slope) ** power
    assert loss == pytest.approx(again, rel=1e-9)


@pytest.mark.parametrize("law", [TRAJECTORY_LAW, least_steps_law(2.1e8, 0.21)])
def test_derivatives_of_the_root_are_those_of_differences(law: TrajectoryLaw) -> None:
    curve = made(1e8, 1e5)
    centre = Centre((1e8, 5e3, 3e5), 3.4)
    prepared = law.prepare([Points(curve.schedule, curve.steps[::20], 3e8, 1e5)], centre=centre)
    working = np.array([0.7, 0.09, 0.25, 0.7, 0.4, 4.5])[: len(law.parameter_names)]
    columns = [column[:, None] for column in prepared.inputs]
    around = RootValues(not law.free_batch)
    constants = prepared.law.constants(centre)
    found = around.derivatives(list(working[:, None, None]), columns, constants)
    width = 1e-4
    for j in range(working.size):
        step = np.zeros(working.size)
        step[j] = width
        above, below = (prepared.predict((working + sign * step)[:, None]) for sign in (1, -1))
        np.testing.assert_allclose(found.first[j], (above - below) / (2 * width), rtol=1e-5)
        for k in range(j, working.size):
            other = np.zeros(working.size)
            other[k] = width
            corners = [
                prepared.predict((working + a * step + b * other)[:, None])
                for a, b in ((1, 1), (1, -1), (-1, 1), (-1, -1))
            ]
            mixed = (corners[0] - corners[1] - corners[2] + corners[3]) / (4 * width**2)
            np.testing.assert_allclose(found.second[j, k], mixed, rtol=2e-4, atol=2e-5)


def test_kaplans_constants_come_back_without_noise() -> None:
    fit = fit_curves(grid(), "trajectory")
    assert fit.parameters == pytest.approx(TRUTH, rel=1e-8)
    assert fit.converged
    known = fit_curves(grid(), least_steps_law(2.1e8, 0.21))
    assert known.parameters == pytest.approx({name: TRUTH[name] for name in known.parameters})


def test_least_steps_without_batches_are_kaplans_law_of_steps() -> None:
    curves = []
    for params in SIZES:
        curve = made(params, 1e5)
        loss = KAPLAN.loss(params, curve.steps)
        curves.append(replace(curve, loss=loss, batch=None))
    fit = fit_curves(Curves(tuple(curves), rates_known=False), "kaplan-steps")
    assert fit.parameters == pytest.approx({name: TRUTH[name] for name in fit.parameters})
    ahead = fit.predict(unknown_rates(10**6), [999_999], params=1e10)
    assert ahead.loss[0] == pytest.approx(float(KAPLAN.loss(1e10, 999_999)), rel=1e-9)


def test_noisy_runs_give_the_constants_within_their_intervals(noisy: CurveFit) -> None:
    assert noisy.parameters == pytest.approx(TRUTH, rel=0.15)
    for name, (low, high) in noisy.intervals(0.99).items():
        width = high - low
        assert low - 0.5 * width < TRUTH[name] < high + 0.5 * width
    assert trajectory_of(noisy).critical_batch(3.0) == pytest.approx(1.123e6, rel=0.05)


def test_small_runs_predict_large_ones_as_the_paper_claims() -> None:
    """Su et al. 2024: fits to 1M to 60M parameters predict up to 33B, whole trajectories."""
    small = grid(1e-3, sizes=(1e6, 7e6, 6e7))
    large = Curves((made(3.3e10, 4e6), made(3.3e10, 4e5)), rates_known=False)
    result = backtest_curves(small, large, ["trajectory"])
    assert result.scores("trajectory")["max_abs_rel_error"] < 0.01
    assert result.scores("trajectory")["coverage"] > 0.8


@pytest.mark.parametrize("factor", [1e-3, 7.0])
def test_units_of_size_and_batch_do_not_matter(factor: float, noisy: CurveFit) -> None:
    curves = noisy.curves
    scaled = [
        replace(curve, params=factor * (curve.params or 0), batch=factor * (curve.batch or 0))
        for curve in curves.curves
    ]
    fit = fit_curves(replace(curves, curves=tuple(scaled)), "trajectory", starts=4)
    for name, value in noisy.parameters.items():
        unit = factor if name in ("N_c", "B_star") else 1.0
        assert fit.parameters[name] == pytest.approx(value * unit, rel=1e-5)


def test_what_a_target_takes_with_its_intervals(noisy: CurveFit) -> None:
    found = batch_trade_off(noisy, 1e9, 2.5, batches=[4e6, 1e6])
    assert found.least_steps == pytest.approx(float(KAPLAN.least_steps(1e9, 2.5)), rel=0.1)
    assert found.critical_batch == pytest.approx(2.675e6, rel=0.05)
    assert [choice.batch for choice in found.choices] == [1e6, 4e6]
    for name, value in (
        ("least_steps", found.least_steps),
        ("least_tokens", found.least_tokens),
        ("critical_batch", found.critical_batch),
    ):
        low, high = found.intervals[name]
        assert low < value < high
    said = found.to_json()
    assert said["choices"][0]["flops"] == pytest.approx(6e9 * said["choices"][0]["tokens"])
    least_only = fit_curves(grid(sizes=SIZES[:2]), "kaplan-steps")
    with pytest.raises(FitError, match="without a critical batch says nothing of batch sizes: fit"):
        batch_trade_off(least_only, 1e9, 2.5)


def test_a_saved_fit_of_a_known_critical_batch(tmp_path: Path) -> None:
    fit = fit_curves(grid(1e-3), least_steps_law(2.1e8, 0.21), bootstrap=5)
    save_curve_fit(fit, tmp_path / "fit.json")
    back = load_curve_fit(tmp_path / "fit.json")
    assert back.law.options() == {"batch_scale": 2.1e8, "batch_power": 0.21}
    schedule = unknown_rates(50_001)
    own, same = (each.predict(schedule, params=1e10, batch=1e6) for each in (fit, back))
    np.testing.assert_array_equal(own.loss, same.loss)
    np.testing.assert_array_equal(own.upper, same.upper)
    assert trajectory_of(back).batch_scale == 2.1e8


def test_published_coefficients_are_the_constants() -> None:
    (published,) = TRAJECTORY_LAW.published
    steps = np.array([100, 10_000])
    own = TRAJECTORY_LAW.predict(published.parameters, constant(10_001, 1.0), steps, 1e9, 5e5)
    np.testing.assert_allclose(own, KAPLAN.loss(1e9, steps, 5e5), rtol=1e-12)
    assert isinstance(KAPLAN, Trajectory)


def test_tables_without_learning_rates_can_be_read() -> None:
    curve = made(1e8, 1e5)
    count = curve.steps.size
    frame = pl.DataFrame(
        {
            "run_id": ["a"] * count,
            "params": [1e8] * count,
            "batch_tokens": [1e5] * count,
            "step": curve.steps,
            "loss": curve.loss,
        }
    )
    (read,) = read_curves(frame, rates=False).curves
    assert (read.params, read.batch) == (1e8, 1e5)
    with pytest.raises(InputError, match="law multi-power reads learning rates: found curves with"):
        fit_curves(read_curves(frame, rates=False), "multi-power")
    mixed = frame.with_columns(batch_tokens=pl.col("step").cast(pl.Float64))
    with pytest.raises(InputError, match="run a: more than one batch_tokens: found 300, 3"):
        read_curves(mixed, rates=False)


@pytest.mark.parametrize(
    ("curves", "message"),
    [
        (grid(sizes=(1e8,)), "law trajectory needs curves of 2 sizes or more; there is 1$"),
        (
            Curves((made(1e7, 1e5), made(1e8, 1e5)), rates_known=False),
            "needs curves of 2 batch sizes or more; there is 1; with one batch size fit kaplan-st",
        ),
        (
            Curves(tuple(replace(each, batch=None) for each in grid().curves), rates_known=False),
            "reads the batch size: found no batch_tokens for a run of 100001 steps; expected a co",
        ),
        (
            Curves(
                tuple(replace(each, steps=each.steps - 300) for each in grid().curves),
                rates_known=False,
            ),
            "a loss before the first step: found step 0; expected steps from 1 on: leave it out, ",
        ),
    ],
)
def test_curves_that_cannot_carry_the_law(curves: Curves, message: str) -> None:
    with pytest.raises((FitError, InputError), match=message):
        fit_curves(curves, "trajectory")


def test_critical_batches_that_are_none(noisy: CurveFit) -> None:
    with pytest.raises(InputError, match="law kaplan-steps: unusable critical batch: found -1 and"):
        find_curve_law("kaplan-steps", batch_scale=-1.0)
    with pytest.raises(InputError, match="law trajectory has no such option: found batch_scale; e"):
        find_curve_law("trajectory", batch_scale=1.0)
    other = replace(noisy, law=find_curve_law("annealing"))
    with pytest.raises(FitError, match="a fit of annealing says nothing of batch sizes: fit traj"):
        trajectory_of(other)
