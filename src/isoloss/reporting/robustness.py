"""How far perturbations move a forecast and D*/N*: a tornado chart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from isoloss.comparing import PerturbedFit, Robustness
from isoloss.reporting.style import (
    GRID,
    INK,
    MUTED,
    SHADE,
    SMALL_SIZE,
    TEXT_SIZE,
    dress,
    error_text,
    finish,
    new_figure,
    size_scale,
    size_text,
    title,
)
from isoloss.reporting.wording import loss_text, number_text, point_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Rows drawn; those that move the loss least are left out beyond.
_MOST_ROWS = 40
_ROW_HEIGHT = 0.21
# Changes beyond this multiple of the third quartile end at the edge, with their value beside.
_CUT = 4.0
_KINDS = {
    "N": ("#0072b2", "N perturbed"),
    "count of N": ("#56b4e9", "N counted otherwise"),
    "runs": ("#d55e00", "runs left out"),
    "objective": ("#009e73", "objective"),
    "search": ("#7a8a1e", "starts, seed, method"),
    "law": ("#cc79a7", "law"),
}


def robustness_figure(robustness: Robustness) -> Figure:
    """Draw how far each perturbation moves the loss at the first point, and D*/N* at the budget.

    Rows are ranked by the loss. Shades are the bootstrap intervals of the unperturbed fit. A bar
    far longer than most ends at the edge with its value; fits that are refused or did not converge
    are left out.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    trusted = [row for row in robustness.ranked() if row.counts]
    rows = trusted[:_MOST_ROWS]
    figure = new_figure(9.0, 1.9 + _ROW_HEIGHT * max(len(rows), 4))
    loss, ratio = (dress(figure.add_subplot(1, 2, place), grid="x") for place in (1, 2))
    _draw_losses(loss, rows, robustness)
    _draw_ratios(ratio, rows, robustness)
    for axes in (loss, ratio):
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
    loss.set_yticks(range(len(rows)), [row.perturbation for row in rows])
    ratio.set_yticks(range(len(rows)), [""] * len(rows))
    left_out = len(trusted) - len(rows)
    beside = f"; {left_out} that move it less are not shown" if left_out else ""
    point = point_text(*robustness.points[0])
    title(
        loss,
        f"Loss at {point}",
        f"{loss_text(robustness.unperturbed.losses[0])} by "
        f"{robustness.fit.law.name}, unperturbed{beside}",
    )
    title(ratio, "D*/N*", _optimum_remark(robustness))
    return finish(figure, columns=3)


def _optimum_remark(robustness: Robustness) -> str:
    budget = f"at {size_text(robustness.flops)} FLOPs"
    own = robustness.unperturbed.tokens_per_param
    if not np.isfinite(own):
        return f"no optimal split {budget}"
    return f"{number_text(own, 3)} {budget}, unperturbed"


def _draw_losses(axes: Axes, rows: Sequence[PerturbedFit], robustness: Robustness) -> None:
    changes = np.array([row.loss_changes[0] for row in rows])
    if robustness.loss_intervals:
        low, high = np.array(robustness.loss_intervals[0]) / robustness.unperturbed.losses[0] - 1
        _shade(axes, low, high, robustness)
    else:
        low = high = 0.0
    sizes = np.abs(changes[np.isfinite(changes)])
    usual = _CUT * float(np.quantile(sizes, 0.75)) if sizes.size else 0.0
    edge = 1.15 * max(float(np.max(sizes[sizes <= usual], initial=1e-4)), abs(low), abs(high))
    for place, (row, change) in enumerate(zip(rows, changes, strict=True)):
        colour, label = _KINDS[row.kind]
        shown = float(np.clip(change, -edge, edge))
        axes.barh(place, shown, height=0.62, color=colour, label=label, zorder=3)
        if abs(change) > edge:
            side = "left" if change < 0 else "right"
            axes.annotate(
                error_text(round(float(change), 3)),
                (shown, place),
                xytext=(4 if side == "left" else -4, 0),
                textcoords="offset points",
                ha=side,
                va="center",
                fontsize=SMALL_SIZE - 1,
                color="#ffffff",
                zorder=4,
            )
    axes.set_xlim(-edge, edge)
    axes.axvline(0, color=INK, linewidth=1, zorder=4)
    axes.xaxis.set_major_formatter(lambda value, _: error_text(round(value, 6)))
    axes.set_xlabel("change of the loss", fontsize=TEXT_SIZE, color=INK)


def _draw_ratios(axes: Axes, rows: Sequence[PerturbedFit], robustness: Robustness) -> None:
    own = robustness.unperturbed.tokens_per_param
    ratios = np.array([row.tokens_per_param for row in rows])
    known = np.append(ratios[np.isfinite(ratios)], own if np.isfinite(own) else [])
    interval = robustness.tokens_per_param_interval
    if not known.size:
        axes.set_xticks([])
        return
    if interval:
        _shade(axes, *interval, robustness)
        known = np.append(known, interval)
    for place, (row, value) in enumerate(zip(rows, ratios, strict=True)):
        colour, _ = _KINDS[row.kind]
        if not np.isfinite(value):
            axes.annotate(
                "no optimum",
                (0.01, place),
                xycoords=("axes fraction", "data"),
                va="center",
                fontsize=SMALL_SIZE - 1,
                color=MUTED,
            )
            continue
        if np.isfinite(own):
            axes.plot([own, value], [place, place], color=colour, linewidth=1.5, zorder=3)
        axes.plot(value, place, "o", color=colour, markersize=5, zorder=4)
    if np.isfinite(own):
        axes.axvline(own, color=INK, linewidth=1, zorder=2)
    size_scale(axes, "x", (known.min() / 1.25, known.max() * 1.25), "D*/N*, tokens per parameter")
    axes.grid(True, axis="x", color=GRID, linewidth=0.8)


def _shade(axes: Axes, low: float, high: float, robustness: Robustness) -> None:
    axes.axvspan(
        low,
        high,
        color=SHADE,
        zorder=0,
        label=f"{100 * robustness.level:g} % bootstrap interval, unperturbed",
    )
