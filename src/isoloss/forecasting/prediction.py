"""Predictions of runs not made yet, and by one law."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from isoloss.arrays import Array
from isoloss.errors import FitError, InputError
from isoloss.fitting import ErrorScale, Fit
from isoloss.forecasting.intervals import (
    UNBOUNDED,
    Deviations,
    extrapolation_deviation,
    half_width,
    parameter_deviation,
)
from isoloss.forecasting.reach import Region, departures
from isoloss.laws import PARAMS, TOKENS, Input
from isoloss.notes import Note, Severity
from isoloss.plotting import Plottable

PlanePoint = tuple[float, float]
# N and D, or the value of every input of the law by name.
Point = PlanePoint | Mapping[str, float]
DEFAULT_LEVEL = 0.9
# Inputs that tell cheap runs from dear ones.
ORDERING = (PARAMS.name, TOKENS.name, "flops")


@dataclass(frozen=True)
class Prediction:
    """What to expect of one run.

    Attributes:
        point: the run, by the inputs of the laws: `params` and `tokens` of most.
        value: the prediction, in the unit of the table.
        lower: lower end of the interval for the measured value of such a run.
        upper: upper end.
        level: probability with which the interval should hold.
        extrapolation: N, D and C, or other sizes, as multiples of the largest fitted.
        deviations: what the interval is made of.
        target: what is predicted, "loss" of most laws.
    """

    point: Mapping[str, float]
    value: float
    lower: float
    upper: float
    level: float
    extrapolation: Mapping[str, float]
    deviations: Deviations
    target: str = "loss"

    @property
    def params(self) -> float:
        """N of the run."""
        return self.point["params"]

    @property
    def tokens(self) -> float:
        """D of the run."""
        return self.point["tokens"]

    @property
    def loss(self) -> float:
        """The prediction, where it is of a loss."""
        return self.value

    def to_json(self) -> dict[str, Any]:
        """The prediction as one JSON object."""
        return {
            **self.point,
            self.target: self.value,
            "lower": self.lower,
            "upper": self.upper,
            "level": self.level,
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
        """One row a point: the point, the prediction, lower, upper, level."""
        rows = [
            {
                **entry.point,
                entry.target: entry.value,
                "lower": entry.lower,
                "upper": entry.upper,
                "level": entry.level,
            }
            for entry in self.predictions
        ]
        return pl.DataFrame(rows)


def points_as_columns(
    points: Sequence[Point], inputs: Sequence[Input] = (PARAMS, TOKENS)
) -> dict[str, Array]:
    """Points as one array an input.

    Args:
        points: pairs (N, D), or mappings from the name of an input to its value.
        inputs: what each must give.

    Raises:
        InputError: there is no point, or one does not give exactly those inputs.
    """
    if len(points) == 0:
        raise InputError("no point to predict", where="--at", expected="N:D, such as 70B:1.4T")
    named = [dict(point) if isinstance(point, Mapping) else _pair(point) for point in points]
    for point, values in zip(points, named, strict=True):
        if values.keys() != {entry.name for entry in inputs} or not all(
            _is_usable(values[entry.name], entry.positive) for entry in inputs
        ):
            raise InputError(
                "not a point", where="--at", found=repr(point), expected=_form_of_point(inputs)
            )
    return {
        entry.name: np.array([values[entry.name] for values in named], dtype=np.float64)
        for entry in inputs
    }


def names_of_points(points: Sequence[Point]) -> tuple[str, ...]:
    """The columns that points tell of runs: N and D, or those that the first one names."""
    first = points[0] if len(points) else ()
    return tuple(first) if isinstance(first, Mapping) else (PARAMS.name, TOKENS.name)


def inputs_of_points(points: Sequence[Point], read: Sequence[Input]) -> tuple[Input, ...]:
    """What points have to give for laws that read some inputs; a pair is N and D in any case."""
    in_pairs = bool(points) and not isinstance(points[0], Mapping)
    every = (PARAMS, TOKENS, *read) if in_pairs else tuple(read)
    return tuple({entry.name: entry for entry in every}.values())


def _form_of_point(inputs: Sequence[Input]) -> str:
    names = [entry.name for entry in inputs]
    if names == ["params", "tokens"]:
        return "pairs of parameters and tokens, both positive numbers"
    return "all inputs of the law: " + ":".join(f"{name}=..." for name in names)


def _pair(point: object) -> dict[str, float]:
    try:
        sizes = np.asarray(point)
    except ValueError:
        return {}
    if sizes.shape != (2,) or sizes.dtype.kind not in "iuf":
        return {}
    return {"params": float(sizes[0]), "tokens": float(sizes[1])}


def _is_usable(value: object, positive: bool) -> bool:
    number = np.asarray(value)
    if number.shape != () or number.dtype.kind not in "iuf":
        return False
    return bool(np.isfinite(number) and (number > 0 or not positive))


def region_of_fit(fit: Fit) -> Region:
    """What a fit has seen."""
    present = fit.rows.weights > 0
    return Region.of_law(fit.law, [column[present] for column in fit.rows.inputs])


def deviations_of_law(fit: Fit, region: Region, columns: Mapping[str, Array]) -> list[Deviations]:
    """Standard deviations of one law's predictions, one entry a point."""
    replicates = fit.scale.of(fit.surface.predict_replicates(**columns))
    parameters = parameter_deviation(replicates)
    extrapolation = extrapolation_deviation(
        fit.growth, region.reach(**columns), region.aside(**columns)
    )
    return [
        Deviations(float(own), fit.noise, float(far))
        for own, far in zip(parameters, extrapolation, strict=True)
    ]


def make_prediction(
    point: Mapping[str, float],
    scaled: float,
    deviations: Deviations,
    level: float,
    freedom: float,
    region: Region,
    scale: ErrorScale,
    target: str,
) -> Prediction:
    """A prediction with its interval, from what is predicted on the scale of errors."""
    width = half_width(deviations.total, level, freedom)
    low, middle, high = scale.back([scaled - width, scaled, scaled + width])
    return Prediction(
        dict(point),
        float(middle),
        float(low),
        float(high),
        level,
        region.multiples(**point),
        deviations,
        target,
    )


def one_by_one(columns: Mapping[str, Array]) -> list[dict[str, float]]:
    """Points given as one array an input, as one mapping a point."""
    rows = zip(*(each.tolist() for each in columns.values()), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def predict(fit: Fit, points: Sequence[Point], *, level: float = DEFAULT_LEVEL) -> Forecast:
    """Predict runs by one law.

    Args:
        fit: the fitted law; with bootstrap replicates and backtests (`calibrate`) the interval
            covers parameters, noise and extrapolation.
        points: (N, D) of each run, or for a law that reads other columns the value of each by name.
        level: probability with which each interval should hold.

    Raises:
        FitError: the fit did not converge, or the law is not to be believed at a point.
        InputError: a point is unusable.
    """
    columns = points_as_columns(points, fit.law.inputs)
    check_level(level)
    fit.require_converged()
    region = region_of_fit(fit)
    everything = deviations_of_law(fit, region, columns)
    named = one_by_one(columns)
    for point, deviations in zip(named, everything, strict=True):
        reasons = unsound(fit, region, point, deviations)
        if reasons:
            raise FitError(
                f"law {fit.law.name} cannot be believed at {point_text(point)}: "
                f"{'; '.join(reasons)}. Use forecast, or a law with fewer parameters"
            )
    losses = fit.surface.predict(**columns)
    scale, freedom = fit.scale, fit.n_runs - len(fit.law.parameters)
    predictions = tuple(
        make_prediction(
            point,
            float(scaled),
            deviations,
            level,
            freedom,
            region,
            scale,
            fit.law.target.name,
        )
        for point, scaled, deviations in zip(named, scale.of(losses), everything, strict=True)
    )
    name = fit.law.name
    return Forecast(
        predictions,
        {name: 1.0},
        {name: fit},
        {name: tuple(losses.tolist())},
        notes=(*fit.all_notes(), *missing_parts(fit)),
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


def point_text(point: Mapping[str, float]) -> str:
    """A point for people: `N=7e+10, D=1.4e+12`, other inputs under their own names."""
    short = {"params": "N", "tokens": "D"}
    return ", ".join(f"{short.get(name, name)}={value:g}" for name, value in point.items())


def unsound(
    fit: Fit, region: Region, point: Mapping[str, float], deviations: Deviations
) -> list[str]:
    """Why a law cannot be believed at a point; empty where it can."""
    reasons = departures(fit.surface, region, **point)
    spread = float(np.hypot(deviations.parameters, deviations.extrapolation))
    if not half_width(spread, DEFAULT_LEVEL, np.inf) <= UNBOUNDED:
        reasons.append(f"the data do not determine its {fit.law.target.name} there")
    return reasons


def missing_parts(fit: Fit) -> list[Note]:
    """What the intervals of a fit leave out or guess."""
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
        ordered = any(entry.name in ORDERING for entry in fit.law.inputs)
        why = (
            "the table is too small for a backtest"
            if ordered
            else "no backtest: the law reads nothing that tells cheap runs from dear ones"
        )
        notes.append(
            Note(
                "no-backtest",
                f"{why}: how errors grow beyond the data is a guess of 2 % for each factor of 2.7",
                Severity.WARNING,
            )
        )
    return notes
