"""Training curves, smoothed and interpolated on one grid of budgets."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from isoloss.arrays import Array
from isoloss.errors import InputError
from isoloss.fitting.frontier.training_curves import (
    TrainingCurve,
    read_training_curves,
    run_names,
)
from isoloss.runs import Runs

# Smoothing over less than this part of the distance of two logged values changes nothing.
_LEAST_SMOOTHING = 0.2
# The Gaussian is cut off here, in standard deviations.
_CUT_OFF = 4.0
# One-sided smoothing of the steep beginning of a curve falls below it: these first standard
# deviations are left out.
_BEGINNING = 2.0


@dataclass(frozen=True, eq=False)
class CurveGrid:
    """Training curves on one grid of budgets; NaN where a curve does not reach.

    Attributes:
        log_flops: ln C of the grid, shape (grid,).
        loss: smoothed loss, shape (curves, grid).
        log_tokens: ln D, likewise.
        log_params: ln N of each curve.
        log_end: ln D at the end of each curve's schedule.
        names: name of each curve's run.
        smoothed: whether smoothing changed any curve.
        n_single: runs left out since they have one point.
    """

    log_flops: Array
    loss: Array
    log_tokens: Array
    log_params: Array
    log_end: Array
    names: pl.Series
    smoothed: bool
    n_single: int


def curves_on_grid(
    curves: Runs,
    *,
    run: str,
    flops: str | None,
    schedule: str | None,
    smoothing: float,
    points: int,
) -> CurveGrid:
    """Smooth training curves and interpolate them over ln C.

    Args:
        curves: one row for each logged loss, with `params`, `tokens` and `loss`.
        run: the column that names the run.
        flops: column of training FLOPs so far, see `training_flops`.
        schedule: column of the tokens that a run's schedule was made for; the last logged ones
            where not given.
        smoothing: standard deviation of the Gaussian, in steps; 0 for none, as is done where the
            table has no column `step`.
        points: budgets of the grid, evenly spaced in ln C over all that was logged.

    Raises:
        InputError: a column is missing or unusable, a run has two sizes, or no run is a curve.
    """
    if not (np.isfinite(smoothing) and smoothing >= 0):
        raise InputError(
            "not a width", where="smoothing", found=f"{smoothing:g}", expected="0 or more steps"
        )
    everything = read_training_curves(curves, run=run, flops=flops, schedule=schedule)
    kept = [curve for curve in everything if curve.n_points > 1]
    if not kept:
        raise InputError(
            f"no run of column {run} has two points",
            where=curves.source,
            expected="training curves, one row for each logged loss",
        )
    widths = [_width(curve.step, smoothing) for curve in kept]
    smoothed = [_smooth(curve, width) for curve, width in zip(kept, widths, strict=True)]
    first = min(curve.log_flops[0] for curve in smoothed)
    last = max(curve.log_flops[-1] for curve in smoothed)
    places = np.linspace(first, last, points)

    def along(curve: TrainingCurve, values: Array) -> Array:
        return np.asarray(np.interp(places, curve.log_flops, values, left=np.nan, right=np.nan))

    return CurveGrid(
        log_flops=places,
        loss=np.stack([along(curve, curve.loss) for curve in smoothed]),
        log_tokens=np.stack([along(curve, curve.log_tokens) for curve in smoothed]),
        log_params=np.array([curve.log_params for curve in kept]),
        log_end=np.array([curve.log_end for curve in kept]),
        names=run_names(kept),
        smoothed=max(widths) > 0,
        n_single=len(everything) - len(kept),
    )


def _width(step: Array | None, steps: float) -> float:
    """A number of steps in logged points of a curve; 0 where that is too few to smooth over."""
    spacing = 0.0 if step is None else float(np.median(np.diff(step)))
    width = steps / spacing if spacing > 0 else 0.0
    return width if width >= _LEAST_SMOOTHING else 0.0


def _smooth(curve: TrainingCurve, width: float) -> TrainingCurve:
    """Smooth by local lines under a Gaussian of a width in points.

    A plain moving mean lags at the end of a falling curve, where the envelope touches it.

    Returns:
        The curve's last points, without a beginning that smoothing distorts.
    """
    from scipy.ndimage import correlate1d

    if not width:
        return curve
    loss = curve.loss
    reach = int(np.ceil(_CUT_OFF * width))
    offsets = np.arange(-reach, reach + 1, dtype=np.float64) / width
    kernel = np.exp(-0.5 * offsets**2)

    def moment(values: Array, power: int) -> Array:
        return np.asarray(correlate1d(values, kernel * offsets**power, mode="constant", cval=0.0))

    ones = np.ones_like(loss)
    total, first, second = (moment(ones, power) for power in range(3))
    value, lever = moment(loss, 0), moment(loss, 1)
    lines = (second * value - first * lever) / (total * second - first**2)
    usable = slice(min(int(np.ceil(_BEGINNING * width)), loss.size - 2), None)
    return replace(
        curve,
        log_flops=curve.log_flops[usable],
        log_tokens=curve.log_tokens[usable],
        loss=np.asarray(lines[usable]),
    )
