"""Compute-optimal allocation against compute, for several laws with their spread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from isoloss.arrays import Array
from isoloss.errors import InputError
from isoloss.fitting import Fit
from isoloss.forecasting import DEFAULT_LEVEL
from isoloss.forecasting.prediction import check_level
from isoloss.laws import Surface
from isoloss.planning import optimum, replicate_optimum
from isoloss.reporting.plane import region_of, surface_of
from isoloss.reporting.style import (
    SHADE,
    Look,
    dress,
    finish,
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

_BUDGETS = 41
# The search of laws without a closed form over every replicate is what takes time.
_BAND_BUDGETS = 9
# Budgets shown beyond those of the runs, where no range is asked for.
_BEYOND = 100.0
_WITHOUT_DATA = (1e18, 1e25)
# Replicates without an optimum make a band that says too little; below this share it is left out.
_LEAST_SHARE = 0.5


@dataclass(frozen=True)
class _Curve:
    """Optimal N of one law over budgets, with the spread of its replicates."""

    flops: Array
    params: Array
    band_flops: Array
    lower: Array
    upper: Array


def allocation_figure(
    laws: Sequence[Fit | Surface] | Mapping[str, Fit | Surface],
    flops: tuple[float, float] | None = None,
    *,
    level: float = DEFAULT_LEVEL,
) -> Figure:
    """Draw compute-optimal tokens per parameter and parameters against the budget C = 6 N D.

    Bands are percentile intervals over bootstrap replicates; the shaded budgets are those of the
    fitted runs. Laws without an interior optimum are named and left out.

    Args:
        laws: fits or surfaces, optionally by the name to show.
        flops: smallest and largest budget; from the data to 100 times beyond where not given.
        level: of the bands.

    Raises:
        InputError: no law is given, a law does not read N and D alone, the range is no range or
            the level no probability.
        MissingExtraError: matplotlib is not installed.
    """
    check_level(level)
    named = _named(laws)
    if not named:
        raise InputError("no law to draw", expected="one or more fits or surfaces")
    regions = [region.flops for law in named.values() if (region := region_of(law)) is not None]
    data = (min(r[0] for r in regions), max(r[1] for r in regions)) if regions else None
    low, high = flops or ((data[0], data[1] * _BEYOND) if data else _WITHOUT_DATA)
    if not 0 < low < high < np.inf:
        raise InputError(
            "not a range of budgets", found=f"{low:g} to {high:g}", expected="from low to high"
        )
    curves = {name: _curve(surface_of(law), (low, high), level) for name, law in named.items()}
    found = {name: curve for name, curve in curves.items() if np.isfinite(curve.params).any()}
    figure = new_figure(9.0, 4.4)
    ratio, params = (dress(figure.add_subplot(1, 2, place)) for place in (1, 2))
    looks = law_looks(named)
    for name, curve in found.items():
        _draw_curve(ratio, curve, looks[name], name, per_param=True)
        _draw_curve(params, curve, looks[name], name, per_param=False)
    for axes, label in ((ratio, "D*/N*, tokens per parameter"), (params, "N*, parameters")):
        size_scale(axes, "x", (low, high), "C = 6ND, training FLOPs")
        if data:
            axes.axvspan(
                max(low, data[0]),
                min(high, data[1]),
                color=SHADE,
                zorder=0,
                label="budgets of the runs",
            )
        limits = axes.get_ylim() if found else (1.0, 1000.0)
        size_scale(axes, "y", limits, label)
    title(ratio, "Compute-optimal allocation", _remark(list(named), found, level))
    return finish(figure)


def _named(laws: Sequence[Fit | Surface] | Mapping[str, Fit | Surface]) -> dict[str, Fit | Surface]:
    if isinstance(laws, Mapping):
        return dict(laws)
    named: dict[str, Fit | Surface] = {}
    for law in laws:
        name, count = law.law.name, 2
        while name in named:
            name, count = f"{law.law.name} {count}", count + 1
        named[name] = law
    return named


def _remark(asked: list[str], found: Mapping[str, _Curve], level: float) -> str:
    missing = [name for name in asked if name not in found]
    bands = any(np.isfinite(curve.lower).any() for curve in found.values())
    if missing:
        return f"no optimal split at any of these budgets: {', '.join(missing)}"
    return f"bands: {percent_text(level, 0)} of the bootstrap replicates" if bands else ""


def _curve(surface: Surface, flops: tuple[float, float], level: float) -> _Curve:
    budgets = np.geomspace(*flops, _BUDGETS)
    params = optimum(surface, budgets).params
    edges = np.geomspace(*flops, _BAND_BUDGETS)
    lower, upper = np.full((2, _BAND_BUDGETS), np.nan)
    if surface.replicates.size and np.isfinite(params).any():
        for place, budget in enumerate(edges):
            # A wild replicate may overflow far from the data; it then has no optimum.
            with np.errstate(all="ignore"):
                sizes = replicate_optimum(surface, float(budget)).params
            sizes = sizes[np.isfinite(sizes)]
            if sizes.size >= _LEAST_SHARE * surface.replicates.shape[1]:
                lower[place], upper[place] = np.quantile(sizes, [(1 - level) / 2, (1 + level) / 2])
    return _Curve(budgets, params, edges, lower, upper)


def _draw_curve(axes: Axes, curve: _Curve, look: Look, name: str, *, per_param: bool) -> None:
    def shown(flops: Array, params: Array) -> Array:
        return flops / (6 * params**2) if per_param else params

    axes.fill_between(
        curve.band_flops,
        shown(curve.band_flops, curve.lower),
        shown(curve.band_flops, curve.upper),
        color=look.colour,
        alpha=0.15,
        linewidth=0,
        zorder=2,
    )
    axes.loglog(
        curve.flops,
        shown(curve.flops, curve.params),
        color=look.colour,
        linewidth=2,
        zorder=3,
        label=legend_label(name),
        marker=look.marker,
        markevery=(4, 8),
        markersize=5,
    )
