"""The look of every figure: paper, ink, one colour and marker a law, axes in sizes.

Matplotlib is imported inside these functions only, so that the rest of Isoloss never needs it.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from isoloss.errors import MissingExtraError
from isoloss.forecasting import AUTO
from isoloss.laws import CANDIDATES
from isoloss.quantities import format_quantity

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PAPER = "#ffffff"
INK = "#1f2328"
MUTED = "#656d76"
GRID = "#e4e7eb"
SHADE = "#eef1f4"
OPTIMUM = "#d1242f"

TITLE_SIZE = 12
TEXT_SIZE = 10
SMALL_SIZE = 9

# Sequential and diverging maps that stay readable with every common colour blindness.
LOSS_COLOURS = "YlGnBu"
ERROR_COLOURS = "RdBu_r"


@dataclass(frozen=True)
class Look:
    """Colour and marker of a law; the marker tells laws apart without colour."""

    colour: str
    marker: str


# Okabe and Ito's colours, which colour-blind readers can tell apart, in the candidates' order.
_CANDIDATE_LOOKS = (
    Look("#0072b2", "o"),
    Look("#d55e00", "s"),
    Look("#009e73", "D"),
    Look("#cc79a7", "^"),
    Look("#e69f00", "v"),
    Look("#56b4e9", "P"),
    # Held laws: darker than the laws that they hold.
    Look("#004a73", "*"),
    Look("#00553f", "d"),
    Look("#7a2e58", "X"),
)
_OTHER_LOOKS = (
    Look("#aa3377", "8"),
    Look("#7a8a1e", "p"),
    Look("#8c6d4f", "<"),
    Look("#6f5fc7", ">"),
    Look("#4d8a8a", "H"),
)
_WEIGHTED = Look(INK, "h")

# Fractions of a decade at which an axis may have ticks, coarsest first.
_TICKS = (
    (1.0,),
    (1.0, 3.0),
    (1.0, 2.0, 5.0),
    (1.0, 1.5, 2.0, 3.0, 5.0, 7.0),
    tuple(np.arange(1.0, 9.9, 0.5).tolist()),
)
_FEWEST_TICKS = 3


def require_matplotlib() -> None:
    """Check that figures can be drawn.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        raise MissingExtraError("figures", package="matplotlib", extra="plot")


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of a size in inches.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    require_matplotlib()
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained", facecolor=PAPER)


def law_looks(names: Iterable[str]) -> dict[str, Look]:
    """Colour and marker of each name.

    A law that weighted forecasts consider looks the same wherever it appears, and so does the
    forecast itself; other names take the colours that are left, by a hash of the name, so that
    they rarely change with their company.
    """
    candidates = (law.name for law in CANDIDATES)
    known = dict(zip(candidates, _CANDIDATE_LOOKS, strict=True)) | {AUTO: _WEIGHTED}
    looks: dict[str, Look] = {}
    taken: set[int] = set()
    for name in dict.fromkeys(names):
        if name in known:
            looks[name] = known[name]
            continue
        slot = zlib.crc32(name.encode()) % len(_OTHER_LOOKS)
        while slot in taken and len(taken) < len(_OTHER_LOOKS):
            slot = (slot + 1) % len(_OTHER_LOOKS)
        taken.add(slot)
        looks[name] = _OTHER_LOOKS[slot]
    return looks


def size_text(value: float, digits: int = 3) -> str:
    """A size as people write it, with budgets such as 6e18 without a plus sign."""
    return format_quantity(value, digits).replace("e+", "e")


def percent_text(share: float, digits: int = 2) -> str:
    """A share in per cent, such as `0.31 %`."""
    return f"{100 * share:.{digits}f} %"


def error_text(share: float) -> str:
    """A signed share as a tick of an error axis, such as `+0.5 %`."""
    return f"{100 * share:+.3g} %".replace("-", "−") if share else "0"


def dress(axes: Axes, *, grid: Literal["both", "x", "y"] | None = "both") -> Axes:
    """Give axes the house look: two quiet spines, a light grid, readable labels."""
    axes.set_facecolor(PAPER)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(MUTED)
        spine.set_linewidth(0.8)
    axes.tick_params(which="both", color=MUTED, labelcolor=INK, labelsize=SMALL_SIZE, width=0.8)
    axes.tick_params(which="minor", length=2)
    axes.set_axisbelow(True)
    if grid:
        axes.grid(True, axis=grid, color=GRID, linewidth=0.8)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_color(INK)
        label.set_fontsize(TEXT_SIZE)
    return axes


def title(axes: Axes, text: str, remark: str = "", *, room: float = 0) -> None:
    """Write a title over axes, left-aligned, with an optional quieter line below it.

    Args:
        axes: where.
        text: the title.
        remark: the quieter line.
        room: points to leave free directly above the axes.
    """
    pad = room + (24 if remark else 8)
    axes.set_title(
        text, loc="left", fontsize=TITLE_SIZE, fontweight="bold", color=INK, pad=pad, wrap=False
    )
    if remark:
        axes.annotate(
            remark,
            (0, 1),
            xytext=(0, room + 8),
            xycoords="axes fraction",
            textcoords="offset points",
            fontsize=SMALL_SIZE,
            color=MUTED,
        )


def finish(figure: Figure, *, columns: int = 4) -> Figure:
    """Add one legend below all axes, and take every text as it stands.

    Args:
        figure: with everything drawn; returned.
        columns: of the legend at most; fewer where they would not fit into the figure.
    """
    labelled: dict[str, Any] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            labelled.setdefault(label, handle)
    for count in range(min(columns, len(labelled)), 0, -1):
        legend = figure.legend(
            list(labelled.values()),
            list(labelled),
            loc="outside lower center",
            ncols=count,
            frameon=False,
            fontsize=SMALL_SIZE,
            labelcolor=INK,
        )
        _take_as_it_stands(legend)
        if count == 1 or legend.get_window_extent().width <= figure.bbox.width:
            break
        legend.remove()
    _take_as_it_stands(figure)
    return figure


def _take_as_it_stands(artist: Artist) -> None:
    """The name of a law or a loss may hold a dollar sign, which would start a formula."""
    from matplotlib.text import Text

    for text in artist.findobj(Text):
        if isinstance(text, Text):
            text.set_parse_math(False)


def legend_label(name: str) -> str:
    """A name that shows in a legend; matplotlib leaves out those that begin with a low line."""
    return f" {name}" if name.startswith("_") else name


def size_scale(
    axes: Axes, which: Literal["x", "y"], limits: tuple[float, float], label: str
) -> None:
    """Make an axis logarithmic over sizes, with ticks such as 500M, 1B, 2B.

    Args:
        axes: where.
        which: "x" or "y".
        limits: smallest and largest value shown.
        label: of the axis.
    """
    from matplotlib.ticker import LogLocator, NullFormatter, NullLocator

    axis = axes.xaxis if which == "x" else axes.yaxis
    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    (axes.set_xlim if which == "x" else axes.set_ylim)(*limits)
    axis.set_major_locator(LogLocator(subs=tick_fractions(*limits)))
    axis.set_major_formatter(lambda value, _: size_text(value))
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())
    axis.set_label_text(label, fontsize=TEXT_SIZE, color=INK)


def plain_scale(
    axes: Axes, which: Literal["x", "y"], limits: tuple[float, float], label: str
) -> None:
    """Make an axis linear over numbers of any sign, with room on both sides of its limits.

    Args:
        axes: where.
        which: "x" or "y".
        limits: smallest and largest value.
        label: of the axis.
    """
    axis = axes.xaxis if which == "x" else axes.yaxis
    room = 0.05 * (limits[1] - limits[0]) or 0.05 * abs(limits[0]) or 1.0
    (axes.set_xscale if which == "x" else axes.set_yscale)("linear")
    (axes.set_xlim if which == "x" else axes.set_ylim)(limits[0] - room, limits[1] + room)
    axis.set_label_text(label, fontsize=TEXT_SIZE, color=INK)


def tick_fractions(low: float, high: float) -> tuple[float, ...]:
    """The coarsest fractions of a decade that put enough ticks between two sizes."""
    decades = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    for fractions in _TICKS:
        ticks = np.outer(decades, fractions)
        if np.sum((ticks >= low) & (ticks <= high)) >= _FEWEST_TICKS:
            return fractions
    return _TICKS[-1]


def widened(low: float, high: float, factor: float) -> tuple[float, float]:
    """Limits that leave room on both sides of a range of sizes, also where it is one value."""
    return low / factor, high * factor


def halo(width: float = 2.5) -> list[Any]:
    """A rim of paper around text or lines, so that they can be read on any colour."""
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=width, foreground=PAPER)]
