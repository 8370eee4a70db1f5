"""Predictions of runs not made yet, and by one law."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from isoloss.errors import FitError, InputError
from isoloss.fitting import Fit
from isoloss.forecasting.intervals import (
    UNBOUNDED,
    Deviations,
    extrapolation_deviation,
    half_width,
    parameter_deviation,
)
from isoloss.forecasting.reach import Region, departures
from isoloss.notes import Note, Severity
from isoloss.plotting import Plottable

Point = tuple[float, float]
DEFAULT_LEVEL = 0.9


@dataclass(frozen=True)
class Prediction:
    """The loss to expect of one run.

    Attributes:
        params: N.
        tokens: D.
        loss: the prediction, in the unit of the table.
        lower: lower end of the interval for the measured loss of such a run.
        upper: upper end.
        level: probability with which the interval should hold.
        extrapolation: N, D and C as multiples of the largest fitted.
        deviations: what the interval is made of.
    """

    params: float
    tokens: float
    loss: float
    lower: float
    upper: float
    level: float
    extrapolation: Mapping[str, float]
    deviations: Deviations

    def to_json(self) -> dict[str, Any]:
        """The prediction as one JSON object."""
        return {
            **vars(self),
            "extrapolation": dict(self.extrapolation),
            "deviations": dict(vars(self.deviations)),
        }


@dataclass(frozen=True, eq=False)
class Forecast(Plottable):
    """Predictions at one or more points, and the laws behind them.

    Attributes:
        predictions: one a point asked for.
        weights: share of each law in the predictions.
        fits: the fit of each of those laws.
        by_law: each law's own predictions at the points.
        reasons: one line a law of why it has its weight, or why it was left out.
        notes: what to know before relying on the numbers.
    """

    predictions: tuple[Prediction, ...]
    weights: Mapping[str, float]
    fits: Mapping[str, Fit]
    by_law: Mapping[str, tuple[float, ...]]
    reasons: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The forecast as one JSON object."""
        return {
            "predictions": [prediction.to_json() for prediction in self.predictions],
            "weights": dict(self.weights),
            "laws": {name: list(losses) for name, losses in self.by_law.items()},
            "reasons": dict(self.reasons),
            "notes": [note.to_json() for note in self.notes],
        }

    def to_frame(self) -> pl.DataFrame:
        """One row a point: params, tokens, loss, lower, upper, level."""
        columns = ("params", "tokens", "loss", "lower", "upper", "level")
        return pl.DataFrame(
            {name: [getattr(entry, name) for entry in self.predictions] for name in columns}
        )


def check_points(points: Sequence[Point]) -> None:
    """Check that points are pairs of positive finite sizes.

    Raises:
        InputError: there is no point, or one is no such pair.
    """
    if len(points) == 0:
        raise InputError("no point to predict", where="--at", expected="N:D, such as 70B:1.4T")
    for point in points:
        if not _is_point(point):
            raise InputError(
                "not a point",
                where="--at",
                found=repr(point),
                expected="pairs of parameters and tokens, both positive numbers",
            )


def _is_point(point: object) -> bool:
    try:
        sizes = np.asarray(point)
    except ValueError:
        return False
    usable = sizes.shape == (2,) and sizes.dtype.kind in "iuf"
    return usable and bool(np.all(np.isfinite(sizes) & (sizes > 0)))


def region_of_fit(fit: Fit) -> Region:
    """The part of the (N, D) plane that a fit has seen.

    Raises:
        InputError: the law does not read both N and D.
    """
    names = [entry.name for entry in fit.law.inputs]
    if not {"params", "tokens"} <= set(names):
        raise InputError(
            f"law {fit.law.name} is no law of N and D", found="inputs " + ", ".join(names)
        )
    present = fit.rows.weights > 0
    columns = dict(zip(names, fit.rows.inputs, strict=True))
    return Region.of(columns["params"][present], columns["tokens"][present])


def deviations_of_law(fit: Fit, region: Region, points: Sequence[Point]) -> list[Deviations]:
    """Standard deviations of one law's predictions, one entry a point."""
    params, tokens = np.array(points, dtype=np.float64).T
    replicates = fit.surface.predict_replicates(params=params, tokens=tokens)
    parameters = parameter_deviation(replicates)
    extrapolation = extrapolation_deviation(
        fit.growth, region.reach(params, tokens), region.aside(params, tokens)
    )
    return [
        Deviations(float(own), fit.noise, float(far))
        for own, far in zip(parameters, extrapolation, strict=True)
    ]


def make_prediction(
    point: Point,
    log_loss: float,
    deviations: Deviations,
    level: float,
    freedom: float,
    region: Region,
) -> Prediction:
    """A prediction with its interval, from the log of the loss and its standard deviations."""
    width = half_width(deviations.total, level, freedom)
    low, middle, high = np.exp([log_loss - width, log_loss, log_loss + width])
    return Prediction(
        float(point[0]),
        float(point[1]),
        float(middle),
        float(low),
        float(high),
        level,
        region.multiples(*point),
        deviations,
    )


def predict(fit: Fit, points: Sequence[Point], *, level: float = DEFAULT_LEVEL) -> Forecast:
    """Predict runs by one law.

    Args:
        fit: the fitted law; with bootstrap replicates and backtests (`calibrate`) the interval
            covers parameters, noise and extrapolation.
        points: (N, D) of each run.
        level: probability with which each interval should hold.

    Raises:
        FitError: the fit did not converge, or the law is not to be believed at a point.
        InputError: a point is unusable.
    """
    check_points(points)
    check_level(level)
    fit.require_converged()
    region = region_of_fit(fit)
    everything = deviations_of_law(fit, region, points)
    for point, deviations in zip(points, everything, strict=True):
        reasons = unsound(fit, region, point, deviations)
        if reasons:
            raise FitError(
                f"law {fit.law.name} cannot be believed at N={point[0]:g}, D={point[1]:g}: "
                f"{'; '.join(reasons)}. Use forecast, or a law with fewer parameters"
            )
    params, tokens = np.array(points, dtype=np.float64).T
    losses = fit.surface.predict(params=params, tokens=tokens)
    freedom = fit.n_runs - len(fit.law.parameters)
    predictions = tuple(
        make_prediction(point, float(np.log(loss)), deviations, level, freedom, region)
        for point, loss, deviations in zip(points, losses, everything, strict=True)
    )
    name = fit.law.name
    return Forecast(
        predictions,
        {name: 1.0},
        {name: fit},
        {name: tuple(losses.tolist())},
        notes=(*fit.all_notes(), *_missing_parts(fit)),
    )


def check_level(level: float) -> None:
    """Check that a level is a probability.

    Raises:
        InputError: it is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise InputError(
            "not a level", where="--level", found=f"{level:g}", expected="between 0 and 1, as 0.9"
        )


def unsound(fit: Fit, region: Region, point: Point, deviations: Deviations) -> list[str]:
    """Why a law cannot be believed at a point; empty where it can."""
    reasons = departures(fit.surface, region, *point)
    spread = float(np.hypot(deviations.parameters, deviations.extrapolation))
    if not half_width(spread, DEFAULT_LEVEL, np.inf) <= UNBOUNDED:
        reasons.append("the data do not determine its loss there")
    return reasons


def _missing_parts(fit: Fit) -> list[Note]:
    notes = []
    if not fit.surface.replicates.size:
        notes.append(
            Note(
                "no-replicates",
                "the fit has no bootstrap replicates: the interval leaves out the uncertainty of "
                "the parameters; fit again with --bootstrap 200",
                Severity.WARNING,
            )
        )
    if fit.growth is None:
        notes.append(
            Note(
                "no-backtest",
                "the table is too small for a backtest: how errors grow beyond the data is a "
                "guess of 2 % for each factor of 2.7",
                Severity.WARNING,
            )
        )
    return notes
