"""What a fit leaves over: relative residuals by each input of the law."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from isoloss.arrays import Array
from isoloss.fitting import Fit
from isoloss.reporting.style import (
    INK,
    MUTED,
    PAPER,
    dress,
    error_text,
    finish,
    law_looks,
    new_figure,
    percent_text,
    plain_scale,
    size_scale,
    title,
    widened,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# A column with more distinct values than this is averaged in bins.
_MOST_GROUPS = 30
_BINS = 12


def residual_figure(fit: Fit) -> Figure:
    """Draw relative residuals, predicted / measured - 1, by each input of the law.

    Dots are runs; the line joins the mean at each size (in bins where nearly every run has a size
    of its own). A trend in the means is what the law cannot express.

    Args:
        fit: the fit.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    inputs = fit.law.inputs
    figure = new_figure(max(4.4 * len(inputs), 5.4), 3.8)
    looks = law_looks([fit.law.name])
    present = fit.rows.weights > 0
    errors = fit.scale.error(fit.log_residuals[present])
    largest = 1.1 * float(np.max(np.abs(errors))) or 1e-3
    for position, (entry, column) in enumerate(zip(inputs, fit.rows.inputs, strict=True)):
        axes = dress(figure.add_subplot(1, len(inputs), position + 1, ylim=(-largest, largest)))
        values = column[present]
        low, high = float(values.min()), float(values.max())
        label = f"{entry.symbol}, {entry.unit}" if entry.unit else entry.symbol
        # Shares of a mixture and the like may be zero, which has no place on a logarithmic axis.
        by_size = entry.positive and low > 0
        if by_size:
            size_scale(axes, "x", widened(low, high, 1.25), label)
        else:
            plain_scale(axes, "x", (low, high), label)
        _draw(axes, values, errors, looks[fit.law.name].colour, by_size=by_size)
        axes.yaxis.set_major_formatter(lambda value, _: error_text(value))
        if position == 0:
            axes.set_ylabel("predicted / measured - 1")
            title(
                axes,
                f"Residuals of {fit.law.name}",
                f"{fit.n_runs} runs; noise of a single run {percent_text(fit.noise)}",
            )
        else:
            axes.tick_params(labelleft=False)
    return finish(figure)


def _draw(axes: Axes, values: Array, errors: Array, colour: str, *, by_size: bool) -> None:
    axes.axhline(0, color=MUTED, linewidth=1, zorder=1)
    axes.scatter(
        values, errors, s=16, color=colour, alpha=0.45, linewidths=0, zorder=2, label="run"
    )
    sizes, means = size_means(values, errors, by_size=by_size)
    binned = np.unique(values).size > _MOST_GROUPS
    axes.plot(
        sizes,
        means,
        color=INK,
        linewidth=1.2,
        marker="o",
        markersize=5,
        markeredgecolor=PAPER,
        zorder=3,
        label="mean of runs of similar size" if binned else "mean of runs of one size",
    )


def size_means(values: Array, errors: Array, *, by_size: bool = True) -> tuple[Array, Array]:
    """Mean error at each size; over bins of equal counts where there are too many sizes.

    Args:
        values: size of each run, or any other number.
        errors: of each run.
        by_size: whether values are sizes, which are positive.

    Returns:
        Middles of the bins (geometric means of sizes) and mean errors, in order.
    """
    order = np.argsort(values, kind="stable")
    values, errors = values[order], errors[order]
    starts = np.unique(values, return_index=True)[1]
    if starts.size > _MOST_GROUPS:
        starts = np.linspace(0, values.size, _BINS, endpoint=False).astype(np.int64)
    counts = np.diff(np.append(starts, values.size))
    total = np.add.reduceat(np.log(values) if by_size else values, starts)
    middles = np.exp(total / counts) if by_size else total / counts
    return middles, np.add.reduceat(errors, starts) / counts
