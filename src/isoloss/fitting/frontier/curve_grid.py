"""Training curves, smoothed and interpolated on one grid of budgets."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from isoloss.arrays import Array, Indices
from isoloss.errors import InputError
from isoloss.fitting.frontier.budgets import training_flops
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


def with_tokens(curves: Runs) -> Runs:
    """The curves with a column `tokens`, computed from steps where it is absent."""
    columns = curves.frame.columns
    if "tokens" in columns:
        return curves
    if not {"step", "batch_tokens"} <= set(columns):
        raise InputError(
            "no tokens along the curves",
            where=curves.source,
            found=", ".join(columns),
            expected="a column tokens, or columns step and batch_tokens",
        )
    seen = curves.column("step") * curves.column("batch_tokens")
    return replace(curves, frame=curves.frame.with_columns(tokens=pl.Series(seen)))


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
    if run not in curves.frame.columns:
        raise InputError(
            f"no column {run} that names the run",
            where=curves.source,
            expected=", ".join(curves.frame.columns),
        )
    log_params, log_tokens = (np.log(curves.positive(n)) for n in ("params", "tokens"))
    log_flops = np.log(training_flops(curves, flops))
    log_end = log_tokens if schedule is None else np.log(curves.positive(schedule))
    loss = curves.positive("loss")
    step = curves.column("step") if "step" in curves.frame.columns else None
    names, members = _rows_of_runs(curves, run)
    kept = [place for place, own in enumerate(members) if own.size > 1]
    if not kept:
        raise InputError(
            f"no run of column {run} has two points",
            where=curves.source,
            expected="training curves, one row for each logged loss",
        )
    ordered = [members[place][np.argsort(log_flops[members[place]])] for place in kept]
    for place, own in zip(kept, ordered, strict=True):
        if np.ptp(log_params[own]) > 0:
            raise InputError(
                f"run {names[place]} has more than one size",
                where=curves.source,
                found=", ".join(f"{size:.6g}" for size in np.unique(np.exp(log_params[own]))[:2]),
                expected=f"one value of params for each {run}",
            )
    widths = [_width(step, own, smoothing) for own in ordered]
    smoothed = [_smooth(loss[own], width) for own, width in zip(ordered, widths, strict=True)]
    ordered = [own[own.size - values.size :] for own, values in zip(ordered, smoothed, strict=True)]
    starts, ends = ([log_flops[own[place]] for own in ordered] for place in (0, -1))
    places = np.linspace(min(starts), max(ends), points)

    def along(values: Array, own: Indices) -> Array:
        return np.asarray(np.interp(places, log_flops[own], values, left=np.nan, right=np.nan))

    return CurveGrid(
        log_flops=places,
        loss=np.stack([along(*pair) for pair in zip(smoothed, ordered, strict=True)]),
        log_tokens=np.stack([along(log_tokens[own], own) for own in ordered]),
        log_params=np.array([log_params[own[0]] for own in ordered]),
        log_end=np.array([np.max(log_end[own]) for own in ordered]),
        names=names[kept],
        smoothed=max(widths) > 0,
        n_single=len(members) - len(kept),
    )


def _rows_of_runs(curves: Runs, run: str) -> tuple[pl.Series, list[Indices]]:
    """The names of the runs, and which rows each has."""
    numbered = curves.frame.select(pl.col(run).alias("run")).with_row_index("row")
    rows = numbered.group_by("run", maintain_order=True).agg("row")
    return rows["run"], [np.array(own, dtype=np.int64) for own in rows["row"].to_list()]


def _width(step: Array | None, own: Indices, steps: float) -> float:
    """A number of steps in logged points of a curve; 0 where that is too few to smooth over."""
    spacing = 0.0 if step is None else float(np.median(np.diff(step[own])))
    width = steps / spacing if spacing > 0 else 0.0
    return width if width >= _LEAST_SMOOTHING else 0.0


def _smooth(loss: Array, width: float) -> Array:
    """Smooth by local lines under a Gaussian of a width in points.

    A plain moving mean lags at the end of a falling curve, where the envelope touches it.

    Returns:
        The smoothed loss of the last points, without a beginning that smoothing distorts.
    """
    from scipy.ndimage import correlate1d

    if not width:
        return loss
    reach = int(np.ceil(_CUT_OFF * width))
    offsets = np.arange(-reach, reach + 1, dtype=np.float64) / width
    kernel = np.exp(-0.5 * offsets**2)

    def moment(values: Array, power: int) -> Array:
        return np.asarray(correlate1d(values, kernel * offsets**power, mode="constant", cval=0.0))

    ones = np.ones_like(loss)
    total, first, second = (moment(ones, power) for power in range(3))
    value, lever = moment(loss, 0), moment(loss, 1)
    lines = (second * value - first * lever) / (total * second - first**2)
    return np.asarray(lines[min(int(np.ceil(_BEGINNING * width)), loss.size - 2) :])
