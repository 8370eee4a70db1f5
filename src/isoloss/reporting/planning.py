"""The frontier of a law: the least loss for what is spent, and the choices along it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from isoloss.arrays import Array
from isoloss.errors import InputError
from isoloss.planning import Frontier
from isoloss.reporting.planning_marks import label_beside
from isoloss.reporting.style import (
    INK,
    OPTIMUM,
    PAPER,
    SHADE,
    dress,
    finish,
    law_looks,
    legend_label,
    new_figure,
    percent_text,
    size_scale,
    size_text,
    title,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Room beside the smallest and largest value of interest.
_BESIDE = 1.4
# Points along a frontier whose choice is written beside them, at most.
_LABELS = 4
# Room above and below the losses, as a share of their range, for what is written there.
_HEADROOM = 0.14


def frontier_figure(frontier: Frontier, *, loss_label: str = "") -> Figure:
    """Draw the least loss against its cost, and the choice of N and D behind it.

    Args:
        frontier: from `isoloss.frontier`.
        loss_label: name of the loss, with its unit if known.

    Raises:
        InputError: the law has no optimum at any of the budgets.
        MissingExtraError: matplotlib is not installed.
    """
    known = np.isfinite(frontier.column("params"))
    if not known.any():
        raise InputError("no optimum at any of the budgets", where="frontier")
    columns = {name: frontier.column(name)[known] for name in frontier.to_frame().columns}
    amount, name = columns["amount"], frontier.surface.law.name
    limits = (float(amount.min()) / _BESIDE, float(amount.max()) * _BESIDE)
    figure = new_figure(10.4, 4.4)
    left, right = (dress(axes) for axes in figure.subplots(1, 2))
    colour = law_looks([name])[name].colour
    if np.isfinite(columns["lower"]).any():
        left.fill_between(
            amount,
            columns["lower"],
            columns["upper"],
            color=colour,
            alpha=0.18,
            linewidth=0,
            zorder=2,
            label=f"{percent_text(frontier.level, 0)} of the replicates",
        )
    left.plot(
        amount, columns["loss"], color=colour, linewidth=2, zorder=3, label=legend_label(name)
    )
    _mark_limited(left, columns, "loss")
    _label_choices(left, columns)
    # The first choice is written above the highest point, the last below the lowest.
    low, high = left.get_ylim()
    left.set_ylim(low - _HEADROOM * (high - low), high + _HEADROOM * (high - low))
    left.set_ylabel(f"predicted {loss_label or frontier.surface.law.target.name}")
    right.fill_between(
        amount,
        columns["near_smallest"],
        columns["near_largest"],
        color=SHADE,
        linewidth=0,
        zorder=1,
        label="N with a loss within 0.1 %",
    )
    if np.isfinite(columns["params_lower"]).any():
        right.fill_between(
            amount,
            columns["params_lower"],
            columns["params_upper"],
            color=colour,
            alpha=0.18,
            linewidth=0,
            zorder=2,
        )
    right.plot(amount, columns["params"], color=colour, linewidth=2, zorder=3)
    right.plot(
        amount,
        columns["tokens"],
        color=INK,
        linewidth=1.5,
        linestyle=(0, (4, 2)),
        zorder=3,
        label="D, tokens",
    )
    _mark_limited(right, columns, "params")
    both = np.concatenate([columns["params"], columns["tokens"], columns["near_smallest"]])
    size_scale(right, "y", (float(both.min()) / _BESIDE, float(both.max()) * _BESIDE), "N and D")
    for axes in (left, right):
        size_scale(axes, "x", limits, f"{frontier.cost}, {frontier.unit}")
    title(left, "Least loss for what is spent", f"law {name}; N and D of the best runs beside them")
    title(right, "The choices along it", "line: N, parameters; dashes: D, tokens")
    return finish(figure)


def _mark_limited(axes: Axes, columns: dict[str, Array], name: str) -> None:
    limited = ~columns["interior"].astype(bool)
    if limited.any():
        axes.plot(
            columns["amount"][limited],
            columns[name][limited],
            linestyle="none",
            marker="s",
            markersize=6,
            color=OPTIMUM,
            markeredgecolor=PAPER,
            zorder=4,
            label="stands at a limit",
        )


def _label_choices(axes: Axes, columns: dict[str, Array]) -> None:
    count = columns["amount"].size
    for place in np.unique(np.linspace(0, count - 1, min(_LABELS, count)).astype(int)):
        at = (float(columns["amount"][place]), float(columns["loss"][place]))
        axes.plot(*at, marker="o", markersize=5, color=INK, markeredgecolor=PAPER, zorder=5)
        # A frontier falls ever more slowly: above it there is room to the right of a point, and at
        # the last one only below.
        label_beside(
            axes,
            f"{size_text(float(columns['params'][place]))}\n"
            f"{size_text(float(columns['tokens'][place]))} tokens",
            at,
            (7, 4),
            below=place == count - 1,
        )
