"""Where expected inference moves the optimum: sizes and savings by the tokens served."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from isoloss.errors import InputError
from isoloss.planning import Demand
from isoloss.reporting.planning_marks import label_beside
from isoloss.reporting.style import (
    PAPER,
    dress,
    finish,
    law_looks,
    legend_label,
    new_figure,
    size_scale,
    title,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Room beside the smallest and largest size.
_BESIDE = 1.6


def demand_figure(demands: Demand | Sequence[Demand]) -> Figure:
    """Draw how expected inference moves the cheapest run of one or more losses.

    Args:
        demands: from `isoloss.demand`, of one law and one kind of cost.

    Raises:
        InputError: there is none, or they differ in what they cost.
        MissingExtraError: matplotlib is not installed.
    """
    found = [demands] if isinstance(demands, Demand) else list(demands)
    if len({(each.cost, each.unit, each.surface.law.name) for each in found}) != 1:
        raise InputError(
            "not demands of one kind",
            where="demands",
            found=f"{len(found)} of different laws or costs" if found else "none",
            expected="one or more of one law and one cost",
        )
    first = found[0]
    target = first.surface.law.target.name
    named = {f"{target} {each.target:.4g}": each for each in found}
    figure = new_figure(10.4, 4.2)
    left, right = (dress(axes) for axes in figure.subplots(1, 2))
    for name, look in law_looks(named).items():
        one = named[name]
        style = {"color": look.colour, "linewidth": 2, "zorder": 3}
        left.loglog(one.served, one.params, label=legend_label(name), **style)
        right.semilogx(one.served, 100 * one.saved, **style)
        for place in (0, (len(one.served) - 1) // 2, -1):
            for axes, value in ((left, one.params[place]), (right, 100 * one.saved[place])):
                axes.plot(
                    one.served[place],
                    value,
                    marker=look.marker,
                    markersize=6,
                    color=look.colour,
                    markeredgecolor=PAPER,
                    zorder=4,
                )
        _label_ratios(left, one)
    every = np.concatenate([one.params for one in found])
    served = np.concatenate([one.served for one in found])
    size_scale(
        left, "y", (float(every.min()) / _BESIDE, float(every.max()) * _BESIDE), "N, parameters"
    )
    right.set_ylabel(f"{first.unit} saved, %")
    right.set_ylim(bottom=0)
    for axes in (left, right):
        ends = (float(served.min()) / _BESIDE, float(served.max()) * _BESIDE)
        size_scale(axes, "x", ends, "tokens served over the model's life")
    title(
        left, f"The cheapest run of a {target}", f"law {first.surface.law.name}; D/N at the marks"
    )
    title(right, "Saved over the run that is cheapest to train", f"of {first.cost}")
    return finish(figure)


def _label_ratios(axes: Axes, one: Demand) -> None:
    last = len(one.served) - 1
    for place in sorted({0, last // 2, last}):
        # Sizes fall with the demand: there is room above to the right, at the end only below.
        label_beside(
            axes,
            f"D/N {one.tokens[place] / one.params[place]:,.0f}",
            (float(one.served[place]), float(one.params[place])),
            (2, 8),
            below=place == last,
        )
