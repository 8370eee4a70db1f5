"""Loss curves: measured and predicted with bands, residuals along steps, schedules beside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from isoloss.arrays import Array
from isoloss.curves import (
    BatchTradeOff,
    Conversion,
    Curve,
    CurveBacktest,
    CurveFit,
    CurvePrediction,
    RunForecast,
    Schedule,
)
from isoloss.reporting.batches import trade_off_figure
from isoloss.reporting.style import (
    INK,
    MUTED,
    OPTIMUM,
    SHADE,
    dress,
    error_text,
    finish,
    legend_label,
    new_figure,
    percent_text,
    size_scale,
    size_text,
    title,
    widened,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which colour-blind readers can tell apart.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
# Losses from this quantile of a curve on are shown: the first steps would flatten the rest.
_SHOWN = 0.04
# Names of schedules with more letters stand below each other in the legend.
_LONG_NAME = 20


def curve_figure(result: object, schedule: Schedule | None = None) -> Figure:
    """Draw a result about curves.

    A fit or backtest, a predicted curve, the forecast of a run, converted checkpoints, or what a
    loss takes over batch sizes.

    Args:
        result: what to draw.
        schedule: of a predicted curve, to draw beside it.

    Raises:
        TypeError: there is no figure for such a result.
        MissingExtraError: matplotlib is not installed.
    """
    match result:
        case CurveFit():
            return _fit_figure(result)
        case CurveBacktest():
            return _backtest_figure(result)
        case CurvePrediction():
            return predictions_figure([result], [schedule] if schedule else [])
        case RunForecast():
            return _run_figure(result)
        case Conversion():
            return _conversion_figure(result)
        case BatchTradeOff():
            return trade_off_figure(result)
    raise TypeError(
        f"no figure for {type(result).__name__}: expected CurveFit, CurveBacktest, "
        "CurvePrediction, RunForecast, Conversion or BatchTradeOff"
    )


def _fit_figure(fit: CurveFit) -> Figure:
    curves = fit.curves.curves
    figure = new_figure(11, 6.4 if fit.law.reads_schedule else 4.6)
    losses, residuals, rates = _panels(figure, curves, fit.law.reads_schedule)
    for number, curve in enumerate(curves):
        predicted = fit.predict_curve(curve)
        colour = COLOURS[number % len(COLOURS)]
        _measured(losses, curve, colour)
        losses.plot(
            predicted.steps,
            predicted.loss,
            color=colour,
            linewidth=1.4,
            label=legend_label(curve.run_id),
        )
        _residuals(residuals, curve, predicted.loss, colour)
        if rates is not None:
            _rates(rates, curve.schedule, colour)
    _limits(losses, curves)
    title(losses, f"{fit.law.name} on {len(curves)} curves", "dots are measured, lines the law")
    return finish(figure)


def _backtest_figure(result: CurveBacktest) -> Figure:
    law = min(result.held_out, key=lambda name: result.scores(name)["mae"])
    reads_rates = result.fits[law].law.reads_schedule
    figure = new_figure(11, 6.4 if reads_rates else 4.6)
    held = result.held_out[law]
    losses, residuals, rates = _panels(figure, [each.curve for each in held], reads_rates)
    for number, each in enumerate(held):
        colour = COLOURS[number % len(COLOURS)]
        curve = each.curve
        _measured(losses, curve, colour)
        losses.fill_between(
            curve.steps, each.lower, each.upper, color=colour, alpha=0.15, linewidth=0
        )
        losses.plot(
            curve.steps,
            each.predicted,
            color=colour,
            linewidth=1.4,
            label=legend_label(curve.run_id),
        )
        _residuals(residuals, curve, each.predicted, colour)
        if rates is not None:
            _rates(rates, curve.schedule, colour)
    _limits(losses, [each.curve for each in held])
    remark = (
        f"fitted {result.n_fit} curves; inside the {100 * result.level:g} % band: "
        f"{100 * result.scores(law)['coverage']:.0f} % of the points"
    )
    title(losses, f"{law} on curves that it has not seen", remark)
    return finish(figure)


def predictions_figure(
    predictions: Sequence[CurvePrediction], schedules: Sequence[Schedule] = ()
) -> Figure:
    """Draw predicted curves with their bands, and the learning rates below.

    Args:
        predictions: the curves.
        schedules: that they are of, in the same order; none where learning rates play no part.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    figure = new_figure(8, 5.6 if schedules else 4.0)
    losses = dress(figure.add_subplot(3 if schedules else 1, 1, (1, 2) if schedules else 1))
    for number, prediction in enumerate(predictions):
        colour = COLOURS[number % len(COLOURS)]
        _band(losses, prediction, colour)
        name = "predicted" if len(predictions) == 1 else legend_label(prediction.name)
        losses.plot(prediction.steps, prediction.loss, color=colour, linewidth=1.6, label=name)
    low = min(float(each.lower.min()) for each in predictions)
    high = max(float(np.quantile(each.upper, 1 - _SHOWN)) for each in predictions)
    losses.set_ylim(low - 0.03 * (high - low), high)
    losses.set_ylabel("loss")
    steps_axis(losses)
    if len(predictions) == 1:
        (only,) = predictions
        ends = f"{only.lower[-1]:.4f} to {only.upper[-1]:.4f}"
        title(losses, legend_label(only.name), f"at the end {only.loss[-1]:.4f}, {ends}")
    else:
        title(losses, f"{len(predictions)} schedules", "shaded: bands for single points")
    if schedules:
        rates = dress(figure.add_subplot(3, 1, 3, sharex=losses))
        for number, schedule in enumerate(schedules):
            _rates(rates, schedule, COLOURS[number % len(COLOURS)])
        rate_axis(rates)
    long = max(len(legend_label(each.name)) for each in predictions) > _LONG_NAME
    return finish(figure, columns=1 if long and len(predictions) > 1 else 4)


def _run_figure(result: RunForecast) -> Figure:
    figure = new_figure(8, 5.6)
    losses = dress(figure.add_subplot(3, 1, (1, 2)))
    if not result.at_end:
        _band(losses, result.prediction, COLOURS[0])
        losses.plot(
            result.prediction.steps,
            result.prediction.loss,
            color=COLOURS[0],
            linewidth=1.6,
            label="predicted",
        )
    losses.scatter(
        result.curve.steps, result.curve.loss, s=7, color=INK, linewidths=0, label="measured"
    )
    for flag in result.flags:
        losses.axvline(flag.step, color=OPTIMUM, linewidth=1, label=flag.kind.value)
    if result.target is not None:
        losses.axhline(result.target, color=MUTED, linewidth=1, linestyle="--", label="target")
    top = float(np.quantile(result.curve.loss, 1 - _SHOWN))
    low = min(float(result.prediction.lower.min()), float(result.curve.loss.min()))
    losses.set_ylim(low - 0.05 * (top - low), top)
    losses.set_ylabel("loss")
    loss, lower, upper = result.final
    remark = f"at the end {loss:.4f}" + ("" if result.at_end else f", {lower:.4f} to {upper:.4f}")
    if result.target is not None and result.probability is not None and not result.at_end:
        remark += f"; the target is met with {percent_text(result.probability, 0)}"
    title(losses, legend_label(result.curve.run_id), remark)
    rates = dress(figure.add_subplot(3, 1, 3, sharex=losses))
    _rates(rates, result.curve.schedule, INK)
    rate_axis(rates)
    return finish(figure, columns=5)


def _conversion_figure(result: Conversion) -> Figure:
    figure = new_figure(8, 4.8)
    axes = dress(figure.add_subplot())
    for number, curve in enumerate(result.curves):
        own = [each for each in result.checkpoints if each.run_id == curve.run_id]
        colour = COLOURS[number % len(COLOURS)]
        ends = [each.decayed.schedule.steps for each in own]
        decayed = np.array([each.decayed.loss for each in own])
        spread = [
            decayed - [each.decayed.lower for each in own],
            np.array([each.decayed.upper for each in own]) - decayed,
        ]
        axes.plot(
            curve.steps,
            curve.loss,
            color=colour,
            marker="o",
            markersize=4,
            linewidth=1,
            label=legend_label(curve.run_id),
        )
        axes.errorbar(
            ends,
            decayed,
            spread,
            color=colour,
            fmt="D",
            markersize=4,
            elinewidth=1,
            label="after a decay" if number == 0 else None,
        )
        for each, end in zip(own, ends, strict=True):
            axes.plot(
                [each.step, end],
                [each.measured, each.decayed.loss],
                color=colour,
                linewidth=0.8,
                linestyle=":",
            )
    axes.set_ylabel("loss")
    every = [
        step for each in result.checkpoints for step in (each.step, each.decayed.schedule.steps)
    ]
    size_scale(axes, "x", widened(min(every), max(every), 1.1), "step")
    remark = f"bars are {100 * result.level:g} % bands"
    title(axes, "Checkpoints as they are, and after a decay", remark)
    return finish(figure)


def _panels(
    figure: Figure, curves: Sequence[Curve], reads_rates: bool
) -> tuple[Axes, Axes, Axes | None]:
    """Losses, residuals, and learning rates where the law reads them; else steps are in logs."""
    rows, last = 2 if reads_rates else 1, max(int(curve.steps[-1]) for curve in curves)
    losses = dress(figure.add_subplot(rows, 2, (1, 3) if reads_rates else 1))
    residuals = dress(figure.add_subplot(rows, 2, 2))
    rates = dress(figure.add_subplot(2, 2, 4)) if reads_rates else None
    losses.set_ylabel("loss")
    steps_axis(losses)
    residuals.axhline(0, color=MUTED, linewidth=1)
    residuals.set_ylabel("predicted / measured - 1")
    residuals.yaxis.set_major_formatter(lambda value, _: error_text(value))
    steps_axis(residuals)
    if rates is not None:
        rate_axis(rates)
        for axes in (losses, residuals):
            axes.set_xlim(-0.03 * last, 1.03 * last)
        rates.set_xlim(losses.get_xlim())
    else:
        first = min(int(curve.steps[0]) for curve in curves)
        for axes in (losses, residuals):
            size_scale(axes, "x", widened(first, last, 1.1), "step")
    return losses, residuals, rates


def _measured(axes: Axes, curve: Curve, colour: str) -> None:
    axes.scatter(curve.steps, curve.loss, s=6, color=colour, alpha=0.5, linewidths=0)


def _band(axes: Axes, prediction: CurvePrediction, colour: str) -> None:
    axes.fill_between(
        prediction.steps,
        prediction.lower,
        prediction.upper,
        color=SHADE if colour == INK else colour,
        alpha=0.18,
        linewidth=0,
        label=f"{100 * prediction.level:g} % band",
    )


def _residuals(axes: Axes, curve: Curve, predicted: Array, colour: str) -> None:
    axes.plot(curve.steps, predicted / curve.loss - 1.0, color=colour, linewidth=1)


def _rates(axes: Axes, schedule: Schedule, colour: str) -> None:
    axes.plot(np.arange(schedule.steps), schedule.rates, color=colour, linewidth=1.4)


def _limits(axes: Axes, curves: Sequence[Curve]) -> None:
    """Show the losses after the first few of every curve."""
    low = min(float(curve.loss.min()) for curve in curves)
    high = max(float(np.quantile(curve.loss, 1 - _SHOWN)) for curve in curves)
    axes.set_ylim(low - 0.05 * (high - low), high)


def steps_axis(axes: Axes) -> None:
    """Name the axis of steps."""
    axes.set_xlabel("step")
    axes.xaxis.set_major_formatter(lambda value, _: size_text(value))


def rate_axis(axes: Axes) -> None:
    """Name the axes of learning rates over steps; rates are written as 3e-4."""
    axes.set_ylabel("learning rate")
    axes.yaxis.set_major_formatter(lambda value, _: rate_text(value))
    steps_axis(axes)


def rate_text(value: float) -> str:
    """A learning rate as people write it."""
    if value == 0:
        return "0"
    digits, _, power = f"{value:.3e}".partition("e")
    return f"{float(digits):g}e{int(power)}"
