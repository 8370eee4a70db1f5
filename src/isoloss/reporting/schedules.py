"""What schedules make of a budget of steps: their ends, and final losses by length of decay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from isoloss.curves import CurveFit, DecayChoice, FinalLoss
from isoloss.reporting.curves import COLOURS, rate_axis, steps_axis
from isoloss.reporting.style import (
    INK,
    OPTIMUM,
    dress,
    finish,
    new_figure,
    percent_text,
    title,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# The part before the longest of the best decays that is shown, as a share of that decay.
_BEFORE = 0.5
_POINTS = 300


def schedules_figure(
    fit: CurveFit, choices: Sequence[DecayChoice], best: FinalLoss | None = None
) -> Figure:
    """Draw the decays of each shape: the last steps of the best, and final losses by length.

    Args:
        fit: the law that predicts them.
        choices: one for each shape of decay.
        best: the best schedule of all, if it was sought.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    figure = new_figure(11, 5.2)
    losses = dress(figure.add_subplot(2, 2, 1))
    rates = dress(figure.add_subplot(2, 2, 3, sharex=losses))
    lengths = dress(figure.add_subplot(2, 2, (2, 4)))
    finals = [choice.loss for choice in choices] + ([best] if best is not None else [])
    count = finals[0].schedule.steps
    first = max(0, count - round((1 + _BEFORE) * max(choice.best for choice in choices)))
    steps = np.unique(np.round(np.linspace(first, count - 1, _POINTS)).astype(np.int64))
    names = [choice.shape for choice in choices] + ["free, never rising"]
    for number, (name, final) in enumerate(zip(names, finals, strict=False)):
        colour = OPTIMUM if final is best else COLOURS[number % len(COLOURS)]
        predicted = fit.predict(final.schedule, steps)
        losses.plot(steps, predicted.loss, color=colour, linewidth=1.4, label=name)
        rates.plot(steps, final.schedule.rates[steps], color=colour, linewidth=1.4)
    losses.set_ylabel("loss")
    steps_axis(losses)
    rate_axis(rates)
    title(losses, "The last steps", "of the best decay of each shape")
    for number, choice in enumerate(choices):
        colour = COLOURS[number % len(COLOURS)]
        shares = np.array(choice.lengths) / count
        lengths.plot(shares, [each.loss for each in choice.losses], color=colour, linewidth=1.4)
        lengths.scatter([choice.best / count], [choice.loss.loss], s=26, color=colour, zorder=3)
    if best is not None:
        lengths.axhline(best.loss, color=OPTIMUM, linewidth=1.2)
    lengths.set_xscale("log")
    lengths.set_xticks([0.02, 0.05, 0.1, 0.2, 0.5, 1.0])
    lengths.minorticks_off()
    lengths.xaxis.set_major_formatter(lambda value, _: percent_text(value, 0))
    lengths.set_xlabel("steps of the decay, of all", color=INK)
    lengths.set_ylabel("final loss")
    chosen = min(finals, key=lambda each: each.loss)
    remark = f"least {chosen.loss:.4f}, {chosen.lower:.4f} to {chosen.upper:.4f} as one run"
    title(lengths, "Final loss by length of the decay", remark)
    return finish(figure, columns=5)
