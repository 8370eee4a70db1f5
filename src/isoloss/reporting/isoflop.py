"""The loss against the size of the model under a plan: where the optimum lies and how flat."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from isoloss.arrays import Array
from isoloss.planning import Allocation
from isoloss.reporting.planning_marks import draw_optimum
from isoloss.reporting.planning_targets import target_figure
from isoloss.reporting.style import (
    INK,
    MUTED,
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
    size_text,
    tick_fractions,
    title,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_GRID = 241
# Room beside the smallest and largest size of interest.
_BESIDE = 1.4
# Losses shown above the optimum, relative to it, at most.
_HIGHEST = 0.12
# In ln N, how near to the optimum a size counts as on the flat part of the curve.
_FLAT = 0.5


def isoflop_figure(allocation: Allocation, *, loss_label: str = "loss") -> Figure:
    """Draw the loss against N under the limits of a plan, such as a budget C = 6 N D.

    The curve with the spread of its replicates, the optimum with the interval of its size, the
    sizes within 0.1 % of it, and the price of other sizes; the upper axis has D/N, where only a
    budget of FLOPs decides it.

    Args:
        allocation: the split of the budget.
        loss_label: name of the loss, with its unit if known.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    if allocation.minimised:
        return target_figure(allocation)
    figure = new_figure(7.6, 4.8)
    axes = dress(figure.add_subplot())
    sizes = [allocation.params, *allocation.near_optimal]
    sizes += [entry.params for entry in allocation.deviations]
    limits = (min(sizes) / _BESIDE, max(sizes) * _BESIDE)
    size_scale(axes, "x", limits, "N, parameters")
    params = np.geomspace(*limits, _GRID)
    axes.axvspan(*allocation.near_optimal, color=SHADE, zorder=0, label="loss within 0.1 %")
    curve = _draw_curves(axes, allocation, params)
    draw_optimum(
        axes,
        allocation,
        allocation.loss,
        "compute-optimal" if allocation.interior else "best within the limits",
    )
    _draw_deviations(axes, allocation)
    highest = min(float(np.nanmax(curve)), allocation.loss * (1 + _HIGHEST))
    depth = highest - allocation.loss
    axes.set_ylim(allocation.loss - 0.25 * depth, highest + 0.1 * depth)
    axes.set_ylabel(f"predicted {loss_label}")
    plain = _is_plain(allocation)
    if plain:
        _add_ratio_axis(axes, allocation.flops, limits)
    title(
        axes,
        f"{_spent(allocation)} under {allocation.surface.law.name}",
        f"best: {size_text(allocation.params)} parameters, {size_text(allocation.tokens)} tokens, "
        f"{allocation.tokens_per_param:.3g} tokens per parameter, loss {allocation.loss:.4g}",
        room=30 if plain else 0,
    )
    return finish(figure)


def _is_plain(allocation: Allocation) -> bool:
    """Whether D follows from N by C = 6 N D alone."""
    tokens = allocation.tokens_of(np.array(allocation.near_optimal))
    products = 6 * np.array(allocation.near_optimal) * tokens
    return bool(np.allclose(products, allocation.flops, rtol=1e-6)) and allocation.interior


def _spent(allocation: Allocation) -> str:
    limited = [each for each in allocation.costs if each.at_most is not None]
    if not limited:
        return "Best run"
    return " and ".join(f"{size_text(each.at_most or 0.0)} {each.unit}" for each in limited)


def _draw_curves(axes: Axes, allocation: Allocation, params: Array) -> Array:
    """Draw the loss along the budget, and the spread of its replicates; returns the loss."""
    name = allocation.surface.law.name
    colour = law_looks([name])[name].colour
    with np.errstate(all="ignore"):
        loss = allocation.loss_of(params)
        replicates = allocation.replicate_losses_of(params)
    if replicates.shape[1]:
        tails = [(1 - allocation.level) / 2, (1 + allocation.level) / 2]
        # Sizes that the limits rule out have no loss.
        known = np.isfinite(replicates).any(axis=1)
        low, high = np.nanquantile(replicates[known], tails, axis=1)
        axes.fill_between(
            params[known],
            low,
            high,
            color=colour,
            alpha=0.18,
            linewidth=0,
            zorder=2,
            label=f"{percent_text(allocation.level, 0)} of the replicates",
        )
    axes.plot(params, loss, color=colour, linewidth=2, zorder=3, label=legend_label(name))
    return np.asarray(loss)


def _draw_deviations(axes: Axes, allocation: Allocation) -> None:
    for entry in allocation.deviations:
        axes.plot(
            entry.params,
            entry.loss,
            marker="o",
            markersize=5,
            color=INK,
            markeredgecolor=PAPER,
            zorder=4,
        )
        # The curve bends away from what is written on its inner side; near the optimum it is flat.
        step = np.log(entry.params / allocation.params)
        side = 0 if abs(step) < _FLAT else int(np.sign(step))
        axes.annotate(
            error_text(float(f"{entry.loss_increase:.2g}")),
            (entry.params, entry.loss),
            xytext=(-5 * side, 5 if side else 11),
            textcoords="offset points",
            ha={-1: "left", 0: "center", 1: "right"}[side],
            fontsize=SMALL_SIZE,
            color=INK,
            path_effects=halo(),
            annotation_clip=True,
            zorder=6,
        )


def _add_ratio_axis(axes: Axes, flops: float, limits: tuple[float, float]) -> None:
    """Write D/N along the top, at round values; at a fixed budget it follows from N."""
    low, high = (flops / (6 * size**2) for size in reversed(limits))
    decades = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    ratios = np.outer(decades, tick_fractions(low, high)).ravel()
    ratios = ratios[(ratios >= low) & (ratios <= high)]
    top = axes.secondary_xaxis("top")
    top.set_xticks(np.sqrt(flops / (6 * ratios)), [size_text(ratio) for ratio in ratios])
    top.set_xticks([], minor=True)
    top.tick_params(color=MUTED, labelcolor=MUTED, labelsize=SMALL_SIZE)
    top.set_xlabel("D/N, tokens per parameter", fontsize=TEXT_SIZE, color=MUTED)
    for spine in top.spines.values():
        spine.set_visible(False)
