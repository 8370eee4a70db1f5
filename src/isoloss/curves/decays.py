"""Decays that have not been made: of a checkpoint, of a whole run, and how long they should be."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from isoloss.curves.result import DEFAULT_LEVEL, CurveFit
from isoloss.curves.schedules import DECAYS, Schedule, decay_rates, wsd
from isoloss.errors import InputError

# Lengths of a decay that are tried, as shares of the steps.
SHARES = (0.02, 0.05, 0.08, 0.1, 0.125, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.65, 0.8, 1.0)


@dataclass(frozen=True)
class FinalLoss:
    """The loss at the end of a schedule.

    Attributes:
        schedule: the schedule.
        loss: expected at its last step.
        lower: lower end of the band.
        upper: upper end.
        level: of the band.
    """

    schedule: Schedule
    loss: float
    lower: float
    upper: float
    level: float = DEFAULT_LEVEL

    def scaled(self, ratio: float) -> FinalLoss:
        """The loss and its band times a number."""
        return replace(
            self, loss=self.loss * ratio, lower=self.lower * ratio, upper=self.upper * ratio
        )

    def to_json(self) -> dict[str, Any]:
        """The loss as one JSON object."""
        return {
            "schedule": self.schedule.name,
            "steps": self.schedule.steps,
            "loss": self.loss,
            "lower": self.lower,
            "upper": self.upper,
            "level": self.level,
        }


def final_loss_of(
    fit: CurveFit,
    schedule: Schedule,
    *,
    params: float | None = None,
    level: float = DEFAULT_LEVEL,
) -> FinalLoss:
    """The loss at the last step of a schedule."""
    last = fit.predict(schedule, [schedule.steps - 1], params=params, level=level)
    loss, lower, upper = (float(each[0]) for each in (last.loss, last.lower, last.upper))
    return FinalLoss(schedule, loss, lower, upper, level)


def after_decay(
    fit: CurveFit,
    schedule: Schedule,
    step: int,
    *,
    decay: int,
    end: float = 0.0,
    shape: str = "linear",
    params: float | None = None,
    level: float = DEFAULT_LEVEL,
) -> FinalLoss:
    """The loss that a checkpoint would reach after a decay from where it is.

    Args:
        fit: a law of curves.
        schedule: that the checkpoint was trained under.
        step: of the checkpoint.
        decay: steps of the decay.
        end: rate that it leads to.
        shape: one of `DECAYS`.
        params: size of the model, for laws that read it.
        level: of the band.

    Raises:
        InputError: the schedule has no such step, or the decay no meaning.
    """
    if not 0 <= step < schedule.steps or decay < 1:
        raise InputError(
            "no such decay",
            where=f"schedule {schedule.name}",
            found=f"{decay} steps after step {step}",
            expected=f"one or more, after 0 to {schedule.steps - 1}",
        )
    rates = decay_rates(shape, decay, float(schedule.rates[step]), end)
    name = f"{schedule.name}, {shape} decay of {decay} steps from {step}"
    return final_loss_of(fit, schedule.until(step).then(rates, name), params=params, level=level)


@dataclass(frozen=True)
class DecayChoice:
    """Final losses over the length of the decay, and the best of them.

    Attributes:
        shape: of the decay.
        lengths: steps of each decay.
        losses: the final loss of each.
    """

    shape: str
    lengths: tuple[int, ...]
    losses: tuple[FinalLoss, ...]

    @property
    def best(self) -> int:
        """Steps of the decay that ends lowest."""
        return self.lengths[int(np.argmin([each.loss for each in self.losses]))]

    @property
    def loss(self) -> FinalLoss:
        """What it ends in."""
        return min(self.losses, key=lambda each: each.loss)

    def to_json(self) -> dict[str, Any]:
        """The choice as one JSON object."""
        return {
            "shape": self.shape,
            "decay": self.best,
            "share": self.best / self.loss.schedule.steps,
            "loss": self.loss.loss,
            "tried": [
                {"decay": length, "loss": each.loss, "lower": each.lower, "upper": each.upper}
                for length, each in zip(self.lengths, self.losses, strict=True)
            ],
        }


def best_decay(
    fit: CurveFit,
    steps: int,
    peak: float,
    *,
    end: float = 0.0,
    warmup: int = 0,
    shape: str = "linear",
    params: float | None = None,
) -> DecayChoice:
    """How long the decay of a run of so many steps should be.

    Args:
        fit: a law of curves.
        steps: in all.
        peak: the stable rate.
        end: rate that the decay leads to.
        warmup: steps of the warm-up.
        shape: one of `DECAYS`.
        params: size of the model, for laws that read it.

    Raises:
        InputError: the shape is unknown, or steps and rates have no meaning.
    """
    lengths = sorted({max(1, round(share * (steps - warmup))) for share in SHARES})
    losses = [
        final_loss_of(
            fit,
            wsd(steps, peak, decay=length, end=end, shape=shape, warmup=warmup),
            params=params,
        )
        for length in lengths
    ]
    return DecayChoice(shape, tuple(lengths), tuple(losses))


def best_shape(
    fit: CurveFit, steps: int, peak: float, *, end: float, warmup: int = 0
) -> list[DecayChoice]:
    """The best decay of every shape for a budget of steps, the lowest final loss first."""
    shapes = [shape for shape in DECAYS if shape != "exponential" or end > 0]
    choices = [
        best_decay(fit, steps, peak, end=end, warmup=warmup, shape=shape) for shape in shapes
    ]
    return sorted(choices, key=lambda choice: choice.loss.loss)
