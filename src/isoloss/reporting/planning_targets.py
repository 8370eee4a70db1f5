"""What reaching a loss costs by the size of the model, and when a smaller size pays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from isoloss.arrays import Array
from isoloss.errors import InputError
from isoloss.planning import Allocation, Overtraining
from isoloss.planning.path import TargetPath
from isoloss.reporting.planning_marks import draw_optimum
from isoloss.reporting.style import (
    INK,
    MUTED,
    OPTIMUM,
    PAPER,
    SHADE,
    SMALL_SIZE,
    dress,
    finish,
    halo,
    law_looks,
    legend_label,
    new_figure,
    size_scale,
    size_text,
    title,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_GRID = 241
# Room beside the smallest and largest size of interest.
_BESIDE = 1.4
# Costs shown above the least, relative to it, at most.
_DEAREST = 2.0
# Tokens served on both sides of those after which a smaller size pays.
_DECADES = 1.5
_FLOPS_SERVED = 2.0


def target_figure(allocation: Allocation) -> Figure:
    """Draw what reaching a loss costs against the size of the model.

    Args:
        allocation: from `isoloss.cheapest`.

    Raises:
        InputError: the allocation is the split of a budget.
        MissingExtraError: matplotlib is not installed.
    """
    figure = new_figure(7.6, 4.6)
    _draw_costs(dress(figure.add_subplot()), allocation)
    return finish(figure)


def overtraining_figure(result: Overtraining) -> Figure:
    """Draw what a fixed size costs beside the cheapest, and when serving it has paid for that.

    Args:
        result: from `isoloss.overtraining`.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    figure = new_figure(10.4, 4.4)
    left, right = (dress(axes) for axes in figure.subplots(1, 2))
    _draw_costs(left, result.optimal, result.fixed)
    _draw_lifetimes(right, result)
    return finish(figure)


def _draw_costs(axes: Axes, allocation: Allocation, fixed: Allocation | None = None) -> None:
    if not allocation.minimised:
        raise InputError("no cost is least here", where="allocation", expected="one of cheapest")
    cost = next(each for each in allocation.costs if each.name == allocation.minimised)
    name = allocation.surface.law.name
    sizes = [allocation.params, *allocation.near_optimal]
    sizes += [entry.params for entry in allocation.deviations]
    sizes += [fixed.params] if fixed else []
    limits = (min(sizes) / _BESIDE, max(sizes) * _BESIDE)
    params = np.geomspace(*limits, _GRID)
    with np.errstate(all="ignore"):
        tokens = allocation.tokens_of(params)
        spent = _amounts(allocation, params, tokens)
    axes.axvspan(
        *allocation.near_optimal,
        color=SHADE,
        zorder=0,
        label=f"within 1 % of the least {cost.name}",
    )
    colour = law_looks([name])[name].colour
    axes.plot(params, spent, color=colour, linewidth=2, zorder=3, label=legend_label(name))
    draw_optimum(axes, allocation, cost.amount, "cheapest")
    own = fixed.cost(cost.name) if fixed else cost.amount
    if fixed:
        axes.plot(
            fixed.params,
            own,
            linestyle="none",
            marker="s",
            markersize=7,
            color=INK,
            markeredgecolor=PAPER,
            zorder=5,
            label="this size",
        )
    highest = max(min(float(np.nanmax(spent)), _DEAREST * cost.amount), 1.1 * own)
    axes.set_ylim(cost.amount - 0.25 * (highest - cost.amount), highest)
    axes.yaxis.set_major_formatter(lambda value, _: size_text(value))
    axes.set_ylabel(f"{cost.name}, {cost.unit}")
    size_scale(axes, "x", limits, "N, parameters")
    title(
        axes,
        f"What a loss of {allocation.loss:.4g} costs under {name}",
        f"cheapest: {size_text(allocation.params)} parameters, {size_text(allocation.tokens)} "
        f"tokens, {size_text(cost.amount)} {cost.unit}",
    )


def _amounts(allocation: Allocation, params: Array, tokens: Array) -> Array:
    path = allocation.path
    assert isinstance(path, TargetPath)
    return path.cost.amount(params, tokens)


def _draw_lifetimes(axes: Axes, result: Overtraining) -> None:
    """Training and inference FLOPs of both sizes over the tokens served."""
    pays = result.pays_after
    middle = pays if np.isfinite(pays) and pays > 0 else result.fixed.tokens
    ends = (middle * 10**-_DECADES, middle * 10**_DECADES)
    served = np.geomspace(*ends, _GRID)
    looks = (
        (result.fixed, INK, (0, (4, 2)), "training and serving this size"),
        (result.optimal, OPTIMUM, "-", "training and serving the cheapest"),
    )
    for run, colour, dashes, label in looks:
        lifetime = run.flops + _FLOPS_SERVED * run.params * served
        axes.loglog(
            served, lifetime, color=colour, linestyle=dashes, linewidth=2, zorder=3, label=label
        )
    if np.isfinite(pays) and pays > 0:
        axes.axvline(pays, color=MUTED, linewidth=1, zorder=2)
        axes.annotate(
            f"pays after {size_text(pays)} tokens",
            (pays, 0.03),
            xycoords=("data", "axes fraction"),
            xytext=(6, 0),
            textcoords="offset points",
            fontsize=SMALL_SIZE,
            color=INK,
            path_effects=halo(),
        )
        remark = "2 N FLOPs for each token served"
    else:
        remark = "never pays: the size is no smaller than the cheapest"
    size_scale(axes, "x", ends, "tokens served over the model's life")
    size_scale(axes, "y", axes.get_ylim(), "FLOPs")
    title(axes, "Over the model's life", remark)
