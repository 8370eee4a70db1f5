"""Marks that figures of plans share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isoloss.planning import Allocation
from isoloss.reporting.style import INK, OPTIMUM, PAPER, SMALL_SIZE, halo, percent_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_optimum(axes: Axes, allocation: Allocation, height: float, label: str) -> None:
    """Mark the best run of a plan, with the interval of its size as a bar.

    Args:
        axes: over N.
        allocation: the plan.
        height: its loss or cost.
        label: what the run is, for the legend.
    """
    if "params" in allocation.intervals:
        axes.hlines(
            height,
            *allocation.intervals["params"],
            color=OPTIMUM,
            linewidth=3,
            alpha=0.5,
            zorder=4,
            label=f"{percent_text(allocation.level, 0)} interval of N*",
        )
    axes.scatter(
        [allocation.params],
        [height],
        s=70,
        color=OPTIMUM,
        edgecolors=PAPER,
        zorder=5,
        label=label,
    )


def label_beside(
    axes: Axes, text: str, at: tuple[float, float], above: tuple[int, int], *, below: bool
) -> None:
    """Write beside a mark on a falling line: above to the right, or below to the left.

    Args:
        axes: where the mark is.
        text: the label.
        at: the mark.
        above: offset of the label above, in points.
        below: whether it stands below, as at the end of a line.
    """
    axes.annotate(
        text,
        at,
        xytext=(2, -8) if below else above,
        textcoords="offset points",
        ha="right" if below else "left",
        va="top" if below else "bottom",
        fontsize=SMALL_SIZE,
        color=INK,
        path_effects=halo(),
        zorder=6,
    )
