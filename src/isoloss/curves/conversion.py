"""Undecayed checkpoints, and the losses that they would have after a decay.

A surface L(N, D) is made of final losses. One run at a steady rate gives it several, once what a
decay from each of its checkpoints would bring is known from a law of curves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from isoloss.arrays import Indices
from isoloss.curves.decays import FinalLoss, after_decay
from isoloss.curves.drawing import Drawable
from isoloss.curves.result import DEFAULT_LEVEL, CurveFit
from isoloss.curves.table import Curve
from isoloss.errors import InputError

# Checkpoints of a run that are taken unless told otherwise, alike in the log of their steps from
# this share of its last on: closer ones say the same.
CHECKPOINTS = 8
_FIRST = 0.1
# A checkpoint is undecayed at this share of the peak rate or more.
_STEADY = 0.9


@dataclass(frozen=True)
class ConvertedCheckpoint:
    """A checkpoint, and the loss that it would have after a decay.

    Attributes:
        run_id: of the run.
        step: of the checkpoint.
        measured: its loss as it is.
        decayed: after the decay.
        params: size of the model, where it is known.
        batch: tokens a step, where they are known.
    """

    run_id: str
    step: int
    measured: float
    decayed: FinalLoss
    params: float | None = None
    batch: float | None = None

    @property
    def tokens(self) -> float | None:
        """Tokens of the run and its decay, where the batch size is known."""
        return None if self.batch is None else self.batch * self.decayed.schedule.steps

    def to_json(self) -> dict[str, Any]:
        """The row that a surface fit reads, and where it came from."""
        return {
            "run_id": self.run_id,
            "params": self.params,
            "tokens": self.tokens,
            "loss": self.decayed.loss,
            "lower": self.decayed.lower,
            "upper": self.decayed.upper,
            "steps": self.decayed.schedule.steps,
            "checkpoint_step": self.step,
            "checkpoint_loss": self.measured,
        }


@dataclass(frozen=True, eq=False)
class Conversion(Drawable):
    """Converted checkpoints of some curves.

    Attributes:
        curves: that they are on.
        checkpoints: one run after the other.
        level: of the bands.
    """

    curves: tuple[Curve, ...]
    checkpoints: tuple[ConvertedCheckpoint, ...]
    level: float = DEFAULT_LEVEL

    def to_json(self) -> dict[str, Any]:
        """All checkpoints as one JSON object."""
        return {"level": self.level, "checkpoints": [each.to_json() for each in self.checkpoints]}

    def to_frame(self) -> pl.DataFrame:
        """A table of runs as `isoloss.read_runs` reads it; columns nobody knows are left out."""
        frame = pl.DataFrame([each.to_json() for each in self.checkpoints])
        return frame.select(name for name in frame.columns if not frame[name].is_null().all())


def convert_checkpoints(
    fit: CurveFit,
    curves: Sequence[Curve],
    *,
    share: float = 0.1,
    end_share: float = 0.1,
    shape: str = "linear",
    level: float = DEFAULT_LEVEL,
) -> Conversion:
    """Losses of undecayed checkpoints after a decay, so that they can enter a surface fit.

    A run's own difference from the law at the checkpoint is carried over.

    Args:
        fit: a law of curves.
        curves: whose every point is a checkpoint; see `undecayed`.
        share: steps of the decay as a share of those of the checkpoint.
        end_share: rate that it leads to, as a share of the peak.
        shape: one of `DECAYS`.
        level: of the bands.

    Raises:
        InputError: the decay has no meaning.
    """
    for name, value in (("share of the decay", share), ("share of the last rate", end_share)):
        if not 0 <= value <= 1:
            raise InputError(f"unusable {name}", found=f"{value:g}", expected="between 0 and 1")
    converted = []
    for curve in curves:
        own = fit.predict_curve(curve)
        for step, loss, expected in zip(curve.steps, curve.loss, own.loss, strict=True):
            here = float(curve.schedule.rates[step])
            final = after_decay(
                fit,
                curve.schedule,
                int(step),
                decay=max(1, round(share * int(step))),
                end=min(here, end_share * curve.schedule.peak),
                shape=shape,
                params=curve.params,
                level=level,
            )
            ratio = float(loss) / float(expected)
            converted.append(
                ConvertedCheckpoint(
                    curve.run_id,
                    int(step),
                    float(loss),
                    final.scaled(ratio),
                    curve.params,
                    curve.batch,
                )
            )
    return Conversion(tuple(curves), tuple(converted), level)


def undecayed(
    curves: Sequence[Curve], steps: Sequence[int] = (), *, count: int = CHECKPOINTS
) -> tuple[Curve, ...]:
    """The checkpoints of curves at which the learning rate had not decayed.

    Args:
        curves: curves.
        steps: of the checkpoints wanted; each curve gives those that it has. Where none are
            given, a few of every curve, alike in the log of their steps.
        count: how many those few are.

    Raises:
        InputError: no curve has such a checkpoint.
    """
    found = []
    for curve in curves:
        rates = curve.schedule.rates[curve.steps]
        steady = (rates >= _STEADY * curve.schedule.peak) & (curve.steps >= curve.schedule.warmup)
        part = curve.take(steady)
        if steps:
            part = part.take(np.isin(part.steps, np.asarray(steps)))
        elif part.steps.size:
            part = part.take(_spread(part.steps, count))
        if part.steps.size:
            found.append(part)
    if not found:
        logged = {int(step) for curve in curves for step in curve.steps}
        near = sorted({min(logged, key=lambda step: abs(step - asked)) for asked in steps})
        asked = "at step " + ", ".join(map(str, steps)) if steps else "in any curve"
        hint = f"; logged near them: {', '.join(map(str, near))}" if near else ""
        raise InputError(
            "no undecayed checkpoint",
            found=f"none {asked} at {_STEADY:g} of the peak rate or more{hint}",
            expected="logged steps at which the rate is steady, as of a constant or WSD schedule",
        )
    return tuple(found)


def _spread(steps: Indices, count: int) -> Indices:
    """Places of the steps nearest to some that are alike in their logs."""
    last = float(steps[-1])
    wanted = np.geomspace(max(_FIRST * last, 1.0), last, count)
    places: Indices = np.unique([int(np.argmin(np.abs(steps - step))) for step in wanted])
    return places
