"""Figures of curves, batch sizes and hyperparameters: what they show, on small simulated tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from isoloss.curves import (
    KAPLAN,
    Curve,
    CurveFit,
    Curves,
    backtest_curves,
    batch_trade_off,
    best_shape,
    constant,
    convert_checkpoints,
    cosine,
    fit_curves,
    unknown_rates,
    wsd,
)
from isoloss.hyperparameters import fit_critical_batch
from isoloss.reporting.batches import critical_batch_figure, trade_off_figure
from isoloss.reporting.curves import curve_figure, predictions_figure, rate_text
from isoloss.reporting.schedules import schedules_figure
from isoloss.runs import Runs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STEPS, PEAK = 2000, 3e-4
SCHEDULES = (
    constant(STEPS, PEAK),
    cosine(STEPS, PEAK, end=3e-5),
    wsd(STEPS, PEAK, decay=500, end=3e-5),
)


def annealed(schedule_number: int) -> Curve:
    schedule = SCHEDULES[schedule_number]
    steps = np.arange(50, STEPS, 50)
    total = np.cumsum(schedule.rates)[steps]
    loss = 2.9 + 0.5 * total**-0.6 - 300 * (PEAK - schedule.rates[steps])
    return Curve(schedule.name, schedule, steps, loss)


def trajectories() -> Curves:
    curves = []
    for params in (1e7, 1e8):
        for batch in (5e4, 4e5, 3e6):
            steps = np.unique(np.round(np.geomspace(300, 3e4, 30)).astype(np.int64))
            loss = KAPLAN.loss(params, steps, batch)
            schedule = unknown_rates(30_001)
            curves.append(Curve(f"{params:g}/{batch:g}", schedule, steps, loss, params, batch))
    return Curves(tuple(curves), rates_known=False)


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


@pytest.fixture(scope="module")
def fit() -> CurveFit:
    return fit_curves(Curves((annealed(0), annealed(1))), "annealing")


def test_a_fit_shows_losses_residuals_and_rates(fit: CurveFit) -> None:
    figure = curve_figure(fit)
    figure.draw_without_rendering()
    losses, residuals, rates = figure.axes
    assert (losses.get_ylabel(), rates.get_ylabel()) == ("loss", "learning rate")
    assert residuals.get_ylabel() == "predicted / measured - 1"
    assert legend(figure) == ["constant", "cosine"]


def test_a_law_without_rates_is_drawn_over_the_log_of_steps() -> None:
    fitted = fit_curves(trajectories(), "trajectory", starts=2)
    figure = fitted.plot()
    figure.draw_without_rendering()
    assert [axes.get_xscale() for axes in figure.axes] == ["log", "log"]
    assert len(legend(figure)) == 6


@pytest.mark.parametrize(
    ("rate", "text"), [(0.0, "0"), (3e-4, "3e-4"), (2.5e-4, "2.5e-4"), (1.0, "1e0")]
)
def test_rates_are_written_as_people_do(rate: float, text: str) -> None:
    assert rate_text(rate) == text


def test_predictions_of_several_schedules_share_a_figure(fit: CurveFit) -> None:
    figure = predictions_figure([fit.predict(each) for each in SCHEDULES], SCHEDULES)
    figure.draw_without_rendering()
    assert legend(figure) == ["90 % band", "constant", "cosine", "wsd"]
    assert len(figure.axes[1].lines) == 3


def test_schedules_are_shown_by_their_ends_and_by_final_losses(fit: CurveFit) -> None:
    choices = best_shape(fit, STEPS, PEAK, end=3e-5)
    figure = schedules_figure(fit, choices, choices[0].loss)
    figure.draw_without_rendering()
    losses, rates, lengths = figure.axes
    assert (losses.get_ylabel(), rates.get_ylabel()) == ("loss", "learning rate")
    assert (lengths.get_xscale(), lengths.get_ylabel()) == ("log", "final loss")
    assert set(legend(figure)) == {choice.shape for choice in choices} | {"free, never rising"}


def test_a_backtest_says_how_often_its_band_held(fit: CurveFit) -> None:
    result = backtest_curves(fit.curves, Curves((annealed(2),)), ["annealing"])
    figure = result.plot()
    figure.draw_without_rendering()
    coverage = 100 * result.scores("annealing")["coverage"]
    remarks = [text.get_text() for text in figure.axes[0].texts]
    assert remarks == [f"fitted 2 curves; inside the 90 % band: {coverage:.0f} % of the points"]


def test_a_prediction_has_its_schedule_beside_it_where_asked(fit: CurveFit) -> None:
    prediction = fit.predict(SCHEDULES[2])
    assert len(curve_figure(prediction).axes) == 1
    figure = curve_figure(prediction, SCHEDULES[2])
    figure.draw_without_rendering()
    assert len(figure.axes) == 2


def test_converted_checkpoints_end_below_where_they_began(fit: CurveFit) -> None:
    found = convert_checkpoints(fit, [annealed(0).take(np.array([10, 20, 30]))])
    figure = curve_figure(found)
    figure.draw_without_rendering()
    (axes,) = figure.axes
    joined = [line for line in axes.lines if line.get_linestyle() == ":"]
    assert len(joined) == 3
    for line, each in zip(joined, found.checkpoints, strict=True):
        places = np.asarray(line.get_path().vertices)
        assert places[:, 1].tolist() == [each.measured, each.decayed.loss]


def test_a_trade_off_marks_the_critical_batch() -> None:
    found = batch_trade_off(KAPLAN, 1e9, 2.5, batches=[5e5, 5e6])
    figure = trade_off_figure(found)
    figure.draw_without_rendering()
    (axes,) = figure.axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("steps", "tokens")
    drawn = [np.asarray(each.get_offsets()) for each in axes.collections]
    marked = next(each for each in drawn if len(each) == 1)
    np.testing.assert_allclose(marked[0], [2 * found.least_steps, 2 * found.least_tokens])
    assert "500K" in [text.get_text() for text in axes.texts]
    assert found.plot().axes


def test_the_critical_batch_is_drawn_over_losses() -> None:
    rows = [
        (f"{batch:g}", batch, steps, float(KAPLAN.loss(1e8, steps, batch)))
        for batch in (3e4, 2e5, 1e6, 5e6)
        for steps in np.geomspace(300, 4e4, 60)
    ]
    names = ["run_id", "batch_tokens", "step", "loss"]
    found = fit_critical_batch(Runs(pl.DataFrame(rows, schema=names, orient="row")))
    figure = critical_batch_figure(found)
    figure.draw_without_rendering()
    lines, law = figure.axes
    assert lines.get_xlabel() == "batch size, tokens"
    assert len(lines.lines) == len(found.levels)
    assert law.get_ylabel() == "critical batch, tokens"
    assert "90 % interval" in legend(figure)
