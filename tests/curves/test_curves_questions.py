"""What curves are asked: the rest of a run, decays to come, the best schedule."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import isoloss
from isoloss.curves import (
    Curve,
    CurveFit,
    Curves,
    Departure,
    MultiPowerLaw,
    NoLossesYetError,
    after_decay,
    best_decay,
    best_schedule,
    best_shape,
    constant,
    convert_checkpoints,
    cosine,
    final_loss,
    find_curve_law,
    fit_curves,
    forecast_run,
    multi_step,
    read_metrics,
    undecayed,
    wsd,
)
from isoloss.errors import InputError

STEPS, PEAK, WARMUP = 6000, 3e-4, 500
LAW = MultiPowerLaw()
PUBLISHED = dict(LAW.published[1].parameters)
# Final losses of the authors' optimised schedules, and where these end.
OPTIMISED = {"25m": 3.14968, "100m": 2.79414, "400m": 2.53322}


def made(schedule_name: str = "cosine", noise: float = 5e-4) -> Curve:
    schedule = {
        "cosine": cosine(STEPS, PEAK, end=3e-5, warmup=WARMUP),
        "constant": constant(STEPS, PEAK, warmup=WARMUP),
        "steps": multi_step(STEPS, PEAK, drops={3000: 9e-5}, warmup=WARMUP),
    }[schedule_name]
    steps = np.arange(WARMUP + 50, STEPS, 50)
    jitter = np.random.default_rng(len(schedule_name)).standard_normal(steps.size)
    loss = LAW.predict(PUBLISHED, schedule, steps) * np.exp(noise * jitter)
    return Curve(schedule_name, schedule, steps, loss)


@pytest.fixture(scope="module")
def fit() -> CurveFit:
    curves = tuple(made(name) for name in ("cosine", "constant", "steps"))
    return fit_curves(Curves(curves), "multi-power", threads=1)


@pytest.mark.parametrize("share", [0.3, 0.5, 0.7])
def test_the_rest_of_a_run(share: float) -> None:
    whole = made("cosine")
    found = forecast_run(
        whole.until(share), others=[made("constant"), made("steps")], law="multi-power", target=3.2
    )
    loss, lower, upper = found.final
    expected = LAW.predict(PUBLISHED, whole.schedule, np.array([STEPS - 1]))[0]
    assert lower < expected < upper
    assert loss == pytest.approx(expected, rel=0.005)
    assert found.flags == ()
    said = found.to_json()
    assert said["final"]["step"] == STEPS - 1
    assert said["probability"] == pytest.approx(float(expected < 3.2), abs=0.1)


def broken(kind: Departure) -> Curve:
    curve = made("constant").until(0.7)
    loss, count = curve.loss.copy(), curve.loss.size
    match kind:
        case Departure.SPIKE:
            loss[40] *= 1.1
        case Departure.DIVERGENCE:
            loss[-15:] *= np.linspace(1.0, 1.25, 15)
        case Departure.PLATEAU:
            loss[count // 3 :] = loss[count // 3]
    return replace(curve, loss=loss)


@pytest.mark.parametrize("kind", list(Departure))
def test_departures_are_flagged(kind: Departure, fit: CurveFit) -> None:
    from isoloss.curves import find_flags

    flags = find_flags(broken(kind), fit)
    assert kind in [flag.kind for flag in flags]
    if kind is Departure.SPIKE:
        assert [flag.step for flag in flags] == [int(made("constant").steps[40])]
    assert flags[0].to_json()["kind"] == flags[0].kind.value


def test_a_decay_from_a_checkpoint_is_that_of_the_whole_schedule(fit: CurveFit) -> None:
    steady = constant(STEPS, PEAK, warmup=WARMUP)
    found = after_decay(fit, steady, 4999, decay=1000, end=3e-5)
    direct = fit.predict(wsd(STEPS, PEAK, decay=1000, end=3e-5, warmup=WARMUP), [STEPS - 1])
    assert found.loss == pytest.approx(direct.loss[0], rel=1e-6)
    assert found.lower < found.loss < found.upper
    assert found.loss < fit.predict(steady, [4999]).loss[0]
    with pytest.raises(InputError, match="no such decay: found 5 steps after step 6000; expected"):
        after_decay(fit, steady, STEPS, decay=5)


def test_checkpoints_are_converted_with_their_own_difference(fit: CurveFit) -> None:
    curve = made("constant").take(np.array([60, 100]))
    moved = replace(curve, loss=curve.loss * 1.01)
    (early, late) = convert_checkpoints(fit, [moved]).checkpoints
    (plain, _) = convert_checkpoints(fit, [curve]).checkpoints
    assert early.decayed.loss == pytest.approx(1.01 * plain.decayed.loss)
    assert late.decayed.loss < early.decayed.loss < early.measured
    assert early.decayed.schedule.steps == pytest.approx(1.1 * early.step, abs=2)


def test_conversions_are_rows_of_a_surface_fit(fit: CurveFit) -> None:
    steady = replace(made("constant"), params=1e8, batch=5e5)
    found = convert_checkpoints(fit, undecayed([steady], count=5), level=0.5)
    frame = found.to_frame()
    assert frame.height == 5
    assert frame["params"].to_list() == [1e8] * 5
    last = frame.row(4, named=True)
    assert last["checkpoint_step"] == steady.steps[-1]
    assert last["steps"] == pytest.approx(1.1 * last["checkpoint_step"], abs=2)
    assert last["tokens"] == 5e5 * last["steps"]
    assert last["lower"] < last["loss"] < last["upper"]
    assert found.checkpoints[0].decayed.level == 0.5
    assert {"params", "tokens", "loss"} <= set(isoloss.read_runs(frame).frame.columns)
    assert found.plot().axes
    bare = convert_checkpoints(fit, undecayed([made("constant")], [2000, 4000]))
    assert [each.step for each in bare.checkpoints] == [2000, 4000]
    assert "tokens" not in bare.to_frame().columns


def test_decayed_checkpoints_are_not_converted(fit: CurveFit) -> None:
    cosine_run = made("cosine")
    (early,) = undecayed([cosine_run])
    assert np.all(cosine_run.schedule.rates[early.steps] >= 0.9 * PEAK)
    with pytest.raises(
        InputError, match=r"no undecayed checkpoint: found none at step 5500 at 0\.9"
    ):
        undecayed([cosine_run], [5500])
    with pytest.raises(InputError, match="unusable share of the decay: found 2; expected between"):
        convert_checkpoints(fit, [early], share=2.0)


def test_the_best_decay_is_neither_none_nor_all(fit: CurveFit) -> None:
    choice = best_decay(fit, STEPS, PEAK, end=3e-5, warmup=WARMUP)
    assert 0.02 * STEPS < choice.best < 0.8 * STEPS
    assert choice.loss.loss == min(each.loss for each in choice.losses)
    assert choice.to_json()["decay"] == choice.best
    shapes = best_shape(fit, STEPS, PEAK, end=3e-5, warmup=WARMUP)
    assert [each.loss.loss for each in shapes] == sorted(each.loss.loss for each in shapes)
    assert len(shapes) == 4
    assert len(best_shape(fit, STEPS, PEAK, end=0.0, warmup=WARMUP)) == 3


@pytest.mark.parametrize("name", ["multi-power", "multi-power-fading"])
def test_the_gradient_of_the_final_loss_is_exact(name: str) -> None:
    law = find_curve_law(name)
    assert isinstance(law, MultiPowerLaw)
    whole = wsd(800, PEAK, decay=200, end=3e-5, shape="exponential", warmup=50)
    rates, end_loss = whole.rates, partial(final_loss, PUBLISHED, warmup=50, fading=law.fading)
    loss, slope = end_loss(rates)
    assert loss == pytest.approx(law.predict(PUBLISHED, whole, np.array([799]))[0], rel=1e-9)
    for step in (20, 49, 50, 400, 600, 700, 799):
        width = 1e-5 * rates[step]
        above, below = rates.copy(), rates.copy()
        above[step] += width
        below[step] -= width
        difference = end_loss(above)[0] - end_loss(below)[0]
        assert slope[step] == pytest.approx(difference / (2 * width), rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("size", list(OPTIMISED))
def test_optimised_schedules_end_where_the_authors_do(size: str) -> None:
    """The authors' figures leave the rise of the warm-up out of the sum over changes."""
    parameters = next(dict(entry.parameters) for entry in LAW.published if entry.name == size)
    best = best_schedule(parameters, 24_000, PEAK, warmup=2160)
    rates = best.schedule.rates
    assert np.all(np.diff(rates[2160:]) <= 0)
    later = np.cumsum(rates[::-1])[::-1]
    k = np.arange(1, 2160)
    left = (1 + parameters["C"] * rates[k] ** -parameters["gamma"] * later[k]) ** -parameters[
        "beta"
    ]
    rise = parameters["B"] * np.sum((rates[k - 1] - rates[k]) * (1 - left))
    assert best.loss + rise == pytest.approx(OPTIMISED[size], abs=1e-4)
    assert best.loss < best.start
    assert rates[-1] == pytest.approx(1.4e-6, rel=0.4)


def test_the_best_schedule_under_fading_beats_the_best_decays() -> None:
    law = find_curve_law("multi-power-fading")
    assert isinstance(law, MultiPowerLaw)
    best = best_schedule(PUBLISHED, 2000, PEAK, warmup=100, least=3e-5, law=law)
    assert best.converged
    for decay in (100, 400, 800):
        own = wsd(2000, PEAK, decay=decay, end=3e-5, shape="1-sqrt", warmup=100)
        assert best.loss < law.predict(PUBLISHED, own, np.array([1999]))[0]


def test_schedules_that_cannot_be_sought() -> None:
    with pytest.raises(InputError, match="law multi-power: wrong parameters: found L0; expected L"):
        best_schedule({"L0": 3.0}, 100, PEAK)
    with pytest.raises(InputError, match="--end: unusable least rate: found 1; expected between 0"):
        best_schedule(PUBLISHED, 100, PEAK, least=1.0)


def test_metrics_files_may_end_in_the_middle_of_a_line(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    lines = [
        json.dumps({"_step": step, "train/loss": 4.0 - step / 100, "lr": 1e-3}) for step in range(9)
    ]
    lines.insert(3, json.dumps({"_step": 2, "eval": 1}))
    lines.append(json.dumps({"_step": 4, "train/loss": 3.5, "lr": 1e-3}))
    path.write_text("\n".join(lines) + '\n{"_step": 9, "trai')
    curve = read_metrics(path)
    assert curve.steps.tolist() == list(range(9))
    assert curve.loss[4] == 3.5
    text = tmp_path / "run.csv"
    text.write_text("iteration,loss,lr\n0,4.0,0.001\n10,3.9,0.001\n20,3.")
    whole = constant(100, 1e-3)
    assert read_metrics(text, schedule=whole).loss.tolist() == [4.0, 3.9]


def test_losses_that_are_no_numbers_at_the_end_are_where_a_run_was_lost(tmp_path: Path) -> None:
    path = tmp_path / "run.csv"
    path.write_text("step,loss,lr\n0,4.0,0.1\n1,nan,0.1\n2,,0.1\n3,3.8,0.1\n4,NaN,0.1\n5,inf,0.1\n")
    curve = read_metrics(path)
    assert (curve.steps.tolist(), curve.lost_from) == ([0, 3], 4)
    # After a restart the step is there again, with a loss.
    with path.open("a") as file:
        file.write("4,3.7,0.1\n5,3.6,0.1\n")
    assert read_metrics(path).lost_from is None


def test_a_metrics_file_that_is_not_there_yet(tmp_path: Path) -> None:
    with pytest.raises(NoLossesYetError, match="run: no such file"):
        read_metrics(tmp_path / "run")


def test_other_peak_rates_than_the_fitted_are_an_extrapolation(fit: CurveFit) -> None:
    assert fit.predict(cosine(STEPS, PEAK, warmup=WARMUP)).notes == ()
    (note,) = fit.predict(cosine(STEPS, 10 * PEAK, warmup=WARMUP)).notes
    assert note.code == "other-peak"
    assert note.message.startswith("the peak learning rate 0.003 is not that of the fitted curves")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no losses yet: expected records with a step and a positive loss"),
        ('{"step": 1}\n', "no column loss: found step; expected loss, or its name by --columns"),
        ('{"step": 1, "loss": null}\n', "no losses yet: expected records with a step and a posit"),
        ('{"step": 1\n{"step": 2}\n', "line 1: not JSON: found '{\"step\": 1'"),
        ('{"step": 1, "loss": 3}\n', "no learning rates: expected a column learning_rate, or the"),
        ("step,loss,lr\n1,3.0,0.1\n500,2.0,0.1\n", "a step beyond the schedule: found step 500;"),
    ],
)
def test_metrics_that_cannot_be_read(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "metrics"
    path.write_text(text)
    schedule = constant(100, 0.1) if "500" in text else None
    with pytest.raises(InputError) as refused:
        read_metrics(path, schedule=schedule)
    assert message in str(refused.value)


def test_figures_show_every_result(fit: CurveFit) -> None:
    from isoloss.curves import backtest_curves
    from isoloss.reporting.curves import curve_figure

    tested = backtest_curves(fit.curves, Curves((made("cosine"),)), ["annealing"])
    run = forecast_run(made("cosine").until(0.5), law="annealing", target=3.1)
    prediction = fit.predict(made("cosine").schedule)
    for result in (fit, tested, run, prediction):
        assert result.plot().axes
    assert len(curve_figure(prediction, made("cosine").schedule).axes) == 2
    with pytest.raises(TypeError, match="no figure for int: expected CurveFit, CurveBacktest, Cur"):
        curve_figure(3)
