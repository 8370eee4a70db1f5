"""A run that is under way: the rest of its curve, whether it is on track, and what went wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np

from isoloss.arrays import Array, Mask
from isoloss.curves.catalogue import DEFAULT_CURVE_LAW
from isoloss.curves.drawing import Drawable
from isoloss.curves.fit import fit_curves
from isoloss.curves.law import CurveLaw
from isoloss.curves.result import DEFAULT_LEVEL, CurveFit, CurvePrediction, default_steps, two_sided
from isoloss.curves.table import Curve, Curves
from isoloss.notes import Note

# A point this many deviations of its neighbours above them is a spike.
_SPIKE = 8.0
# Spikes smaller than this share of the loss are not worth a word.
_LEAST_SPIKE = 0.01
# Points that a local level is the median of.
_WINDOW = 9
# The last points, as a share, that decide on divergence and plateau; and how few they may be.
_LAST, _FEWEST_LAST = 0.1, 5
# Deviations of the band beyond which the last points have left it.
_OUTSIDE = 3.0


class Departure(StrEnum):
    """How a run leaves the curve expected of it."""

    SPIKE = "spike"
    DIVERGENCE = "divergence"
    PLATEAU = "plateau"


@dataclass(frozen=True)
class Flag:
    """One departure.

    Attributes:
        kind: spike, divergence or plateau.
        step: where it was seen.
        loss: what was measured there.
        expected: what the curve says.
        message: one sentence.
    """

    kind: Departure
    step: int
    loss: float
    expected: float
    message: str

    def to_json(self) -> dict[str, Any]:
        """The flag as one JSON object."""
        return {
            "kind": self.kind.value,
            "step": self.step,
            "loss": self.loss,
            "expected": self.expected,
            "message": self.message,
        }


@dataclass(frozen=True, eq=False)
class RunForecast(Drawable):
    """The rest of a run.

    Attributes:
        curve: what was measured so far.
        prediction: the rest, the last step with it.
        flags: departures so far.
        target: the loss that the run should reach, if one was given.
        fit: the law behind it.
    """

    curve: Curve
    prediction: CurvePrediction
    flags: tuple[Flag, ...]
    fit: CurveFit
    target: float | None = None

    @property
    def at_end(self) -> bool:
        """Whether the last step of the schedule is measured."""
        return bool(self.curve.steps[-1] >= self.curve.schedule.steps - 1)

    @property
    def last_logged(self) -> bool:
        """Whether the next loss, logged as those before, would lie beyond the schedule."""
        steps = self.curve.steps
        usual = float(np.median(np.diff(steps))) if steps.size > 1 else 1.0
        return bool(steps[-1] + usual > self.curve.schedule.steps - 1)

    @property
    def final(self) -> tuple[float, float, float]:
        """Expected loss at the last step, and the ends of its band; all as measured at the end."""
        if self.at_end:
            measured = float(self.curve.loss[-1])
            return measured, measured, measured
        last = self.prediction
        return float(last.loss[-1]), float(last.lower[-1]), float(last.upper[-1])

    @property
    def probability(self) -> float | None:
        """Probability that the run ends at its target or below; None without one."""
        if self.target is None:
            return None
        if self.at_end:
            return float(self.curve.loss[-1] <= self.target)
        return float(self.prediction.probability_below(self.target)[-1])

    @property
    def notes(self) -> tuple[Note, ...]:
        """What the user should know."""
        return (*self.fit.notes, *self.prediction.notes)

    def to_json(self) -> dict[str, Any]:
        """The forecast as one JSON object."""
        loss, lower, upper = self.final
        return {
            "run_id": self.curve.run_id,
            "step": int(self.curve.steps[-1]),
            "loss": float(self.curve.loss[-1]),
            "at_end": self.at_end,
            "final": {
                "step": int(self.prediction.steps[-1]),
                "loss": loss,
                "lower": lower,
                "upper": upper,
            },
            "level": self.prediction.level,
            "target": self.target,
            "probability": self.probability,
            "flags": [flag.to_json() for flag in self.flags],
            "predictions": self.prediction.to_json()["predictions"],
            "notes": [note.to_json() for note in self.notes],
        }


def forecast_run(
    curve: Curve,
    *,
    others: Sequence[Curve] = (),
    law: CurveLaw | str = DEFAULT_CURVE_LAW,
    target: float | None = None,
    level: float = DEFAULT_LEVEL,
    **options: Any,
) -> RunForecast:
    """Predict the rest of a run from what it has shown, and from other runs of its recipe.

    The law is fitted to all of them together; the difference between the run's last points and
    the law is carried on, as long as residuals of the fit were alike.

    Args:
        curve: the run so far; its schedule is the whole one.
        others: finished curves of the same recipe and size. Without a curve that decays, what a
            decay brings is taken to be as in published fits, within wide bands.
        law: a law of curves or its name.
        target: the loss that the run should reach.
        level: of the band.
        options: for `fit_curves`.

    Raises:
        FitError: there are too few points.
    """
    clean = curve.take(~spikes(curve.loss))
    fit = fit_curves(Curves((*others, clean)), law, **options)
    steps = default_steps(curve.schedule)
    steps = np.unique(np.append(steps[steps > curve.steps[-1]], curve.schedule.steps - 1))
    prediction = fit.predict(
        curve.schedule, steps, params=curve.params, batch=curve.batch, level=level
    )
    own = fit.predict_curve(clean, level=level)
    moved = _carried_on(prediction, own, clean, fit.band.noise)
    return RunForecast(curve, moved, find_flags(curve, fit), fit, target)


def _carried_on(
    prediction: CurvePrediction, own: CurvePrediction, curve: Curve, noise: float
) -> CurvePrediction:
    """The prediction, moved by how the run's last points differ from the law.

    The difference fades as the inverse of the steps: residuals of a curve are alike over about
    an e-fold of its steps. The band narrows where few steps are left and the rate stays as it is;
    what a decay to come will bring is as uncertain as for a run that is not known. How fast it
    widens is what runs cut at several places show (benchmarks/multi_power.py).

    Args:
        prediction: of the steps to come.
        own: of the points so far.
        curve: the run so far.
        noise: of a single point around its own curve, in logs.
    """
    last = int(curve.steps[-1])
    late = curve.steps >= 0.9 * last
    difference = float(np.median(np.log(curve.loss[late] / own.loss[late])))
    kept = last / np.maximum(prediction.steps, 1.0)
    loss = prediction.loss * np.exp(difference * kept)
    known = kept**2 * _alike(curve.schedule.rates[prediction.steps], curve.schedule.rates[last])
    beyond_noise = np.maximum(prediction.deviation**2 - noise**2, 0.0)
    deviation = np.sqrt(noise**2 + beyond_noise * (1.0 - known**2))
    half = two_sided(prediction.level) * deviation
    return replace(
        prediction,
        loss=loss,
        lower=loss * np.exp(-half),
        upper=loss * np.exp(half),
        deviation=deviation,
    )


def _alike(rates: Array, now: float) -> Array:
    """The smaller of each rate and the present one over the larger; 0 where either is none."""
    larger = np.maximum(rates, now)
    return np.asarray(np.minimum(rates, now) / np.where(larger > 0, larger, 1.0))


def spikes(loss: Array) -> Mask:
    """Which points lie far above those before them, shape (points,).

    A point is compared with the median of the points before it, in units of how far points
    usually lie from theirs. A curve falls, so that any point above it is unusual.
    """
    if loss.size <= _WINDOW:
        return np.zeros(loss.size, dtype=bool)
    logs = np.log(loss)
    before = np.lib.stride_tricks.sliding_window_view(logs, _WINDOW)[:-1]
    off = logs[_WINDOW:] - np.median(before, axis=1)
    # Second differences leave out how the curve falls; their variance is six times that of a point.
    usual = 1.4826 / np.sqrt(6.0) * float(np.median(np.abs(np.diff(logs, 2))))
    far = np.zeros(loss.size, dtype=bool)
    far[_WINDOW:] = off > max(_SPIKE * usual, _LEAST_SPIKE)
    return far


def find_flags(curve: Curve, fit: CurveFit) -> tuple[Flag, ...]:
    """Where a run has left the curve that a law expects of it.

    Args:
        curve: the run so far.
        fit: the law, best from other runs.
    """
    expected = fit.predict_curve(curve)
    flags = [
        Flag(
            Departure.SPIKE,
            int(curve.steps[place]),
            float(curve.loss[place]),
            float(expected.loss[place]),
            f"the loss jumped to {curve.loss[place]:.4g} at step {curve.steps[place]}",
        )
        for place in _first_of_each(spikes(curve.loss))
    ]
    if curve.lost_from is not None:
        message = f"the loss is no number from step {curve.lost_from} on"
        return (
            *flags,
            Flag(
                Departure.DIVERGENCE,
                curve.lost_from,
                float("nan"),
                float(expected.loss[-1]),
                message,
            ),
        )
    count = max(_FEWEST_LAST, round(_LAST * curve.steps.size))
    if curve.steps.size < 2 * count:
        return tuple(flags)
    before, last = slice(-2 * count, -count), slice(-count, None)
    step, loss = int(curve.steps[-1]), float(np.median(curve.loss[last]))
    there = float(expected.loss[-1])
    off = np.log(curve.loss / expected.loss) / expected.deviation
    above = float(np.median(off[last])) > _OUTSIDE
    rising = float(np.median(curve.loss[last])) > float(np.median(curve.loss[before]))
    should_fall = float(np.mean(np.log(expected.loss[before]))) - float(
        np.mean(np.log(expected.loss[last]))
    )
    fell = float(np.mean(np.log(curve.loss[before]))) - float(np.mean(np.log(curve.loss[last])))
    if above and rising:
        message = f"the loss rises and is {loss:.4g} where {there:.4g} was expected"
        flags.append(Flag(Departure.DIVERGENCE, step, loss, there, message))
    elif above and fell < 0.5 * should_fall:
        message = f"the loss stays at {loss:.4g} where {there:.4g} was expected"
        flags.append(Flag(Departure.PLATEAU, step, loss, there, message))
    return tuple(flags)


def _first_of_each(marked: Mask) -> list[int]:
    """The first place of every unbroken stretch of marked ones."""
    before = np.concatenate([[False], marked[:-1]])
    places: list[int] = np.flatnonzero(marked & ~before).tolist()
    return places
