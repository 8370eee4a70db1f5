"""Marks that figures of plans share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isoloss.planning import Allocation
from isoloss.reporting.style import OPTIMUM, PAPER, percent_text

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
