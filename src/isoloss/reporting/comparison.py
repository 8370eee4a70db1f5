"""Recipes compared: the signed difference over the plane, and the gain against compute."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from isoloss.arrays import Array
from isoloss.comparing import Comparison, Pair, Plane, plane
from isoloss.reporting.plane import shown_region
from isoloss.reporting.style import (
    ERROR_COLOURS,
    INK,
    MUTED,
    OPTIMUM,
    PAPER,
    SHADE,
    SMALL_SIZE,
    TEXT_SIZE,
    dress,
    error_text,
    finish,
    halo,
    law_looks,
    legend_label,
    new_figure,
    percent_text,
    size_scale,
    title,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_GRID = 61
_BANDS = 9
# Differences beyond this quantile do not stretch the colour scale.
_LARGEST_COLOURED = 0.95
_SMALLEST_SCALE = 1e-4
# Gains shown at most, when an interval has no end.
_GAIN_MARGIN = 1.15
_LARGEST_SHOWN = 20.0


def comparison_figure(comparison: Comparison) -> Figure:
    """Draw a comparison, one row of two axes for each pair of recipes.

    Left: the difference of expected losses over the plane, relative to the loss, blue where the
    first recipe is better; the line where both are equal; hatched where neither is decided; the
    runs of both, and the points asked for. Right: compute-equivalent gain against compute with
    its interval, and the gains read off the runs without any law of N.

    Args:
        comparison: the comparison.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    count = len(comparison.pairs)
    figure = new_figure(11.0, 0.6 + 4.6 * count)
    for row, pair in enumerate(comparison.pairs):
        left = dress(figure.add_subplot(count, 2, 2 * row + 1), grid=None)
        _draw_map(figure, left, pair, comparison)
        _draw_gain(dress(figure.add_subplot(count, 2, 2 * row + 2)), pair, comparison)
    return finish(figure, columns=4)


def _draw_map(figure: Figure, axes: Axes, pair: Pair, comparison: Comparison) -> None:
    first, second = pair.recipes
    points = [(point.params, point.tokens) for point in pair.points]
    shown = shown_region(pair.ensemble.region, points)
    size_scale(axes, "x", shown.params, "N, parameters")
    size_scale(axes, "y", shown.tokens, "D, training tokens")
    seen = plane(pair.ensemble, shown.params, shown.tokens, _GRID)
    bands = axes.contourf(
        seen.params,
        seen.tokens,
        np.expm1(seen.log_ratio),
        levels=_levels(seen.log_ratio),
        cmap=ERROR_COLOURS,
        extend="both",
        zorder=0,
    )
    # Without an edge of its own colour each band shows a hairline in vector formats.
    bands.set_edgecolor("face")
    _draw_undecided(axes, seen, comparison.level)
    _draw_runs(axes, pair)
    axes.scatter(
        [params for params, _ in points],
        [tokens for _, tokens in points],
        marker="*",
        s=170,
        color=PAPER,
        edgecolors=INK,
        linewidths=1,
        zorder=7,
        label="asked for",
    )
    bar = figure.colorbar(bands, ax=axes, pad=0.02, aspect=28)
    bar.ax.tick_params(labelsize=SMALL_SIZE, color=MUTED, labelcolor=INK)
    bar.ax.yaxis.set_major_formatter(lambda value, _: error_text(float(f"{value:.2g}")))
    bar.outline.set_visible(False)
    bar.set_label(f"loss of {first} over that of {second}", fontsize=TEXT_SIZE, color=INK)
    title(axes, f"{first} against {second}", f"blue: {first} is expected to be better")


def _draw_runs(axes: Axes, pair: Pair) -> None:
    """Rings for the runs of the first recipe, crosses for those of the second: both show."""
    (runs_a, runs_b), (name_a, name_b) = pair.tables, pair.recipes
    axes.scatter(
        runs_a.params,
        runs_a.tokens,
        s=28,
        facecolors="none",
        edgecolors=INK,
        linewidths=0.9,
        zorder=5,
        label=legend_label(f"run of {name_a}"),
    )
    axes.scatter(
        runs_b.params,
        runs_b.tokens,
        s=16,
        marker="x",
        color=INK,
        linewidths=0.9,
        zorder=5,
        label=legend_label(f"run of {name_b}"),
    )


def _levels(log_ratio: Array) -> Array:
    """Round relative differences, as far below zero as above."""
    from matplotlib.ticker import MaxNLocator

    usable = np.abs(np.expm1(log_ratio[np.isfinite(log_ratio)]))
    largest = max(float(np.quantile(usable, _LARGEST_COLOURED)), _SMALLEST_SCALE)
    ticks = MaxNLocator(_BANDS, steps=[1, 2, 2.5, 5, 10]).tick_values(0.0, largest)
    step = float(ticks[1] - ticks[0])
    count = int(np.ceil(largest / step - 1e-9))
    return np.asarray(step * np.arange(-count, count + 1), dtype=np.float64)


def _draw_undecided(axes: Axes, seen: Plane, level: float) -> None:
    """Hatch where the interval holds zero, and draw the line where both are equal."""
    tail = (1 - level) / 2
    hatched = axes.contourf(
        seen.params,
        seen.tokens,
        seen.probability_a_better,
        levels=[tail, 1 - tail],
        colors="none",
        hatches=["////"],
        zorder=1,
    )
    hatched.set(edgecolor=MUTED, linewidth=0.0)
    ends = float(seen.log_ratio.min()), float(seen.log_ratio.max())
    if ends[0] < 0 < ends[1]:
        axes.contour(
            seen.params,
            seen.tokens,
            seen.log_ratio,
            levels=[0.0],
            colors=INK,
            linewidths=2,
            zorder=3,
        )
        axes.plot([], [], color=INK, linewidth=2, label="equally good")
    inside = (seen.probability_a_better > tail) & (seen.probability_a_better < 1 - tail)
    if inside.any():
        axes.fill(
            [],
            [],
            facecolor="none",
            edgecolor=MUTED,
            hatch="////",
            linewidth=0,
            label=f"undecided at {percent_text(level, 0)}",
        )


def _draw_gain(axes: Axes, pair: Pair, comparison: Comparison) -> None:
    first, second = pair.recipes
    curve = pair.curve
    colour = law_looks([first])[first].colour
    limits = float(curve.flops[0]), float(curve.flops[-1])
    size_scale(axes, "x", limits, "C = 6ND, training FLOPs")
    axes.set_yscale("log")
    low, high = pair.ensemble.region.flops
    axes.axvspan(low, min(high, limits[1]), color=SHADE, zorder=0, label="budgets of the runs")
    top = _largest_gain(pair)
    axes.fill_between(
        curve.flops,
        np.maximum(curve.compute.lower, 1 / _LARGEST_SHOWN / 2),
        np.minimum(curve.compute.upper, 2 * _LARGEST_SHOWN),
        color=colour,
        alpha=0.18,
        linewidth=0,
        zorder=2,
        label=f"{percent_text(comparison.level, 0)} interval",
    )
    axes.plot(
        curve.flops,
        curve.compute.value,
        color=colour,
        linewidth=2,
        zorder=3,
        label=f"compute-equivalent gain of {first}",
    )
    axes.axhline(1.0, color=OPTIMUM, linewidth=1.2, zorder=2.5)
    if pair.measured is not None:
        axes.scatter(
            6 * pair.measured.params * pair.measured.tokens,
            pair.measured.data_gain,
            s=26,
            color=INK,
            edgecolors=PAPER,
            linewidths=0.7,
            zorder=5,
            label="measured at one size: gain in tokens",
        )
    axes.set_ylim(*top)
    _gain_ticks(axes, top)
    axes.set_ylabel(f"compute of {second} over that of {first}")
    for place, text, side in ((top[1], first, "top"), (top[0], second, "bottom")):
        axes.annotate(
            f"{text} better",
            (limits[1], place),
            xytext=(-6, -6 if side == "top" else 6),
            textcoords="offset points",
            ha="right",
            va="top" if side == "top" else "bottom",
            fontsize=SMALL_SIZE,
            color=MUTED,
            path_effects=halo(),
            zorder=6,
        )
    title(axes, "Gain against compute", _remark(pair, comparison))


def _remark(pair: Pair, comparison: Comparison) -> str:
    if comparison.path == "optimal":
        return "each recipe at its own compute-optimal split"
    return f"at {pair.curve.tokens[0] / pair.curve.params[0]:.3g} tokens per parameter"


def _largest_gain(pair: Pair) -> tuple[float, float]:
    """Limits of the axis of gains: what is known of them, within reason, and 1."""
    gains = [pair.curve.compute.value, pair.curve.compute.lower, pair.curve.compute.upper]
    if pair.measured is not None:
        gains.append(pair.measured.data_gain)
    known = np.concatenate([np.ones(1), *gains])
    known = known[np.isfinite(known) & (known > 0)]
    low = max(float(known.min()), 1 / _LARGEST_SHOWN)
    high = min(float(known.max()), _LARGEST_SHOWN)
    return low / _GAIN_MARGIN, high * _GAIN_MARGIN


def _gain_ticks(axes: Axes, limits: tuple[float, float]) -> None:
    from matplotlib.ticker import FixedLocator, MaxNLocator, NullFormatter, NullLocator

    if limits[1] < 5 * limits[0]:
        places = MaxNLocator(6, steps=[1, 2, 5, 10]).tick_values(*limits)
    else:
        places = np.outer(10.0 ** np.arange(-3, 6), (1.0, 2.0, 5.0)).ravel().tolist()
    ticks = [place for place in places if limits[0] <= place <= limits[1]]
    axes.yaxis.set_major_locator(FixedLocator(ticks))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.3g}×")
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_minor_formatter(NullFormatter())
