"""Batch sizes: time against compute to a loss, and the critical batch over losses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from isoloss.curves import BatchTradeOff
from isoloss.hyperparameters import CriticalBatch
from isoloss.quantities import format_quantity
from isoloss.reporting.style import (
    INK,
    MUTED,
    OPTIMUM,
    SMALL_SIZE,
    dress,
    finish,
    halo,
    new_figure,
    size_scale,
    size_text,
    title,
    widened,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LINE = "#0072b2"
# Batches shown on the curve, as multiples of the critical one.
_SHOWN = (0.04, 25.0)
_LEVEL_COLOURS = "viridis"


def trade_off_figure(found: BatchTradeOff) -> Figure:
    """Draw steps against tokens to one loss, along the batch size.

    Args:
        found: the trade-off.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    figure = new_figure(7.4, 4.8)
    axes = dress(figure.add_subplot())
    critical = found.critical_batch
    batches = [each.batch for each in found.choices]
    low = min(_SHOWN[0], *(batch / critical for batch in batches)) / 1.3
    high = max(_SHOWN[1], *(batch / critical for batch in batches)) * 1.3
    share = np.geomspace(low, high, 200)
    steps, tokens = found.least_steps * (1 + 1 / share), found.least_tokens * (1 + share)
    size_scale(axes, "x", widened(found.least_steps, steps.max(), 1.15), "steps")
    size_scale(axes, "y", widened(found.least_tokens, tokens.max(), 1.15), "tokens")
    axes.axvline(found.least_steps, color=MUTED, linestyle="--", linewidth=1, label="least steps")
    axes.axhline(
        found.least_tokens, color=MUTED, linestyle=":", linewidth=1.2, label="least tokens"
    )
    axes.plot(steps, tokens, color=_LINE, linewidth=1.6, label="over batch sizes")
    axes.scatter(
        [each.steps for each in found.choices],
        [each.tokens for each in found.choices],
        s=26,
        color=_LINE,
        zorder=3,
    )
    axes.scatter(
        [2 * found.least_steps],
        [2 * found.least_tokens],
        s=90,
        facecolors="none",
        edgecolors=OPTIMUM,
        linewidths=1.6,
        zorder=4,
        label="critical batch: twice both",
    )
    for each in found.choices:
        axes.annotate(
            size_text(each.batch),
            (each.steps, each.tokens),
            xytext=(7, 4),
            textcoords="offset points",
            fontsize=SMALL_SIZE,
            color=INK,
            path_effects=halo(),
        )
    size = "" if found.params is None else f" with {format_quantity(found.params)} parameters"
    remark = f"beside each point its batch in tokens; the critical one is {size_text(critical)}"
    title(axes, f"What a loss of {found.loss:g}{size} takes", remark)
    return finish(figure)


def critical_batch_figure(found: CriticalBatch, *, level: float = 0.9) -> Figure:
    """Draw tokens against batch size at each loss, and the critical batch over losses.

    Args:
        found: the critical batch.
        level: of the band.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    import matplotlib

    figure = new_figure(11, 4.6)
    lines, law = dress(figure.add_subplot(1, 2, 1)), dress(figure.add_subplot(1, 2, 2))
    sizes = np.concatenate([each.batch for each in found.levels])
    tokens = np.concatenate([each.batch * each.steps for each in found.levels])
    across = np.geomspace(sizes.min() / 1.5, sizes.max() * 1.5, 100)
    size_scale(lines, "x", (across[0], across[-1]), "batch size, tokens")
    size_scale(lines, "y", widened(tokens.min(), tokens.max(), 1.5), "tokens to the loss")
    colours = matplotlib.colormaps[_LEVEL_COLOURS](np.linspace(0.0, 0.85, len(found.levels)))
    for each, colour in zip(found.levels, colours, strict=True):
        lines.scatter(each.batch, each.batch * each.steps, s=20, color=colour, linewidths=0)
        lines.plot(
            across,
            each.least_tokens + each.least_steps * across,
            color=colour,
            linewidth=1.3,
            label=f"loss {each.loss:.3f}",
        )
    title(lines, "Tokens to a loss", "straight lines E_min + S_min B; dots are runs")
    losses = np.array([each.loss for each in found.levels])
    dense = np.linspace(losses.min(), losses.max(), 80)
    ends = np.array([found.interval(float(loss), level) for loss in dense])
    each_level = np.array([each.critical for each in found.levels])
    usable = each_level[np.isfinite(each_level)]
    shown = np.concatenate([usable, found.at(dense), ends[np.isfinite(ends)]])
    size_scale(law, "y", widened(shown.min(), shown.max(), 1.1), "critical batch, tokens")
    law.set_xlabel("loss")
    law.invert_xaxis()
    law.fill_between(
        dense,
        ends[:, 0],
        ends[:, 1],
        color=_LINE,
        alpha=0.18,
        linewidth=0,
        label=f"{100 * level:g} % interval",
    )
    law.plot(dense, found.at(dense), color=_LINE, linewidth=1.6, label="over all losses")
    law.scatter(losses, each_level, s=24, color=INK, zorder=3, label="each loss by itself")
    formula = f"{found.scale:.3g} / L^(1/{found.alpha:.3g}), {found.n_runs} runs"
    title(law, "Critical batch", formula)
    return finish(figure, columns=6)
