"""Forecast losses with their intervals, beside what each law says on its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isoloss.forecasting import Forecast, Prediction
from isoloss.reporting.style import (
    INK,
    PAPER,
    SMALL_SIZE,
    dress,
    finish,
    law_looks,
    legend_label,
    new_figure,
    percent_text,
    size_text,
    title,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ROW_HEIGHT = 0.55
_LEAST_HEIGHT = 2.2
# Half the height of a row over which the laws' own predictions are spread.
_SPREAD = 0.26
# The area of a law's marker grows with its weight between these.
_SMALLEST, _LARGEST = 32.0, 90.0


def forecast_figure(forecast: Forecast, *, loss_label: str = "") -> Figure:
    """Draw predictions with intervals, and each law's own prediction with its weight.

    One row a point. A law's marker is the larger the more weight it has; laws without weight are
    hollow.

    Args:
        forecast: the forecast.
        loss_label: name of what is predicted, with its unit if known.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    count = len(forecast.predictions)
    figure = new_figure(8.4, _LEAST_HEIGHT + _ROW_HEIGHT * count)
    axes = dress(figure.add_subplot(), grid="x")
    for row, prediction in enumerate(forecast.predictions):
        _draw_prediction(axes, row, prediction)
    _draw_laws(axes, forecast)
    axes.set_ylim(count - 0.4, -0.6)
    axes.set_yticks(range(count), [_point_text(entry) for entry in forecast.predictions])
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(f"predicted {loss_label or forecast.predictions[0].target}")
    level = forecast.predictions[0].level
    first = forecast.predictions[0]
    compute = "; × C: compute over the largest fitted run's" * bool(_reach_text(first))
    title(
        axes,
        "Forecast",
        f"bars: {percent_text(level, 0)} interval for the measured {first.target} of such a run"
        f"{compute}",
    )
    return finish(figure)


def _point_text(prediction: Prediction) -> str:
    point = prediction.point
    if list(point) == ["params", "tokens"]:
        return " : ".join(map(size_text, point.values()))
    return "\n".join(f"{name} {size_text(value)}" for name, value in point.items())


def _reach_text(prediction: Prediction) -> str:
    flops = prediction.extrapolation.get("flops")
    return "" if flops is None else f"   {size_text(flops)}× C"


def _draw_prediction(axes: Axes, row: int, prediction: Prediction) -> None:
    first = row == 0
    axes.hlines(
        row,
        prediction.lower,
        prediction.upper,
        color=INK,
        linewidth=9,
        alpha=0.16,
        label=f"{percent_text(prediction.level, 0)} interval" if first else "",
    )
    axes.vlines(
        prediction.value,
        row - 0.32,
        row + 0.32,
        color=INK,
        linewidth=2,
        zorder=4,
        label="forecast" if first else "",
    )
    axes.annotate(
        f"{prediction.value:#.4g}   [{prediction.lower:#.4g}, {prediction.upper:#.4g}]"
        f"{_reach_text(prediction)}",
        (1, row),
        xycoords=("axes fraction", "data"),
        xytext=(8, 0),
        textcoords="offset points",
        va="center",
        fontsize=SMALL_SIZE,
        color=INK,
    )


def _draw_laws(axes: Axes, forecast: Forecast) -> None:
    names = sorted(forecast.by_law, key=lambda name: -forecast.weights.get(name, 0.0))
    looks = law_looks(names)
    step = 2 * _SPREAD / max(len(names) - 1, 1)
    for place, name in enumerate(names):
        weight = forecast.weights.get(name, 0.0)
        offset = place * step - _SPREAD if len(names) > 1 else 0.0
        axes.scatter(
            forecast.by_law[name],
            [row + offset for row in range(len(forecast.predictions))],
            s=_SMALLEST + (_LARGEST - _SMALLEST) * weight,
            marker=looks[name].marker,
            facecolors=looks[name].colour if weight else "none",
            edgecolors=PAPER if weight else looks[name].colour,
            linewidths=0.7 if weight else 1.2,
            zorder=5,
            label=legend_label(f"{name}, weight {weight:.2f}"),
        )
