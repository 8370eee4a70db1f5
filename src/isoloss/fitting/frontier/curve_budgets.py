"""From training curves to IsoFLOP budgets, as Porian et al. 2024 read them off.

A run that trains through several budgets stands for a run of its own at each of them. That saves
most of the compute of an IsoFLOP study, and is sound as long as the learning rate does not depend
on how long the run will be: a constant rate, or a schedule that ends at the budget.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from isoloss.arrays import Array
from isoloss.errors import InputError
from isoloss.fitting.frontier.akima import fit_isoflop_akima
from isoloss.fitting.frontier.isoflop import IsoflopFit
from isoloss.fitting.frontier.power_law import fit_line
from isoloss.fitting.frontier.training_curves import (
    TrainingCurve,
    late_share,
    notes_on_schedules,
    read_training_curves,
    run_names,
    with_tokens,
)
from isoloss.notes import Note, Severity
from isoloss.runs import Runs

# The budgets of the paper double from here.
_FIRST_BUDGET = 1.25e16
# Budgets are given exactly, so that any step separates two of them.
_SAME_BUDGET = 1e-9
# Two points make a line without smoothing anything.
_LEAST_POINTS = 3
# Budgets that fewer sizes pass have no minimum between sizes.
_LEAST_SIZES = 3


def fit_isoflop_curves(
    curves: Runs,
    *,
    budgets: npt.ArrayLike | None = None,
    run: str = "run_id",
    flops: str | None = None,
    schedule: str | None = None,
    tolerance: float = 0.1,
    smoothing: float = 0.05,
    noise: str | float = "refinedweb",
    bootstrap: int = 1000,
    seed: int = 0,
) -> IsoflopFit:
    """Fit N* = k C^a and D* = k C^b to training curves, read off at IsoFLOP budgets.

    The method of Porian et al. from end to end: `curves_at_budgets`, then `fit_isoflop_akima`.

    Source: Porian et al. 2024, arXiv:2406.19146, and its code.

    Args:
        curves: one row for each logged loss, with `params`, `loss`, and `tokens` seen so far, or
            `step` and `batch_tokens` instead.
        budgets: see `curves_at_budgets`, as for the arguments up to `smoothing`.
        run: the column that names the run.
        flops: column of training FLOPs so far.
        schedule: column of the tokens for which the run's learning rate schedule was made.
        tolerance: how far, as a share, a budget may be from the nearest logged point.
        smoothing: half the window, as a share of the budget.
        noise: standard deviation of ln L from seed to seed, or the name of a noise model, see
            `fit_isoflop_akima`.
        bootstrap: noisy copies.
        seed: of the noise.

    Raises:
        FitError: fewer than two budgets have an optimum.
        InputError: an argument or a column has no meaning.
    """
    runs = curves_at_budgets(
        curves,
        budgets=budgets,
        run=run,
        flops=flops,
        schedule=schedule,
        tolerance=tolerance,
        smoothing=smoothing,
    )
    return fit_isoflop_akima(
        runs, tolerance=_SAME_BUDGET, noise=noise, bootstrap=bootstrap, seed=seed
    )


def curves_at_budgets(
    curves: Runs,
    *,
    budgets: npt.ArrayLike | None = None,
    run: str = "run_id",
    flops: str | None = None,
    schedule: str | None = None,
    tolerance: float = 0.1,
    smoothing: float = 0.05,
) -> Runs:
    """Read training curves off at IsoFLOP budgets: the best run of each size at each budget.

    ln L is interpolated over ln C between the logged points. Where three or more of them are
    within the smoothing window, a least-squares line through these takes the interpolation's
    place; it does not lag at the end of a curve, as the moving mean of the paper does. A run
    counts at a budget if it has logged a point within the tolerance. So a run that ends a little
    short of a budget stands there with its last loss, a little too high.

    Source: Porian et al. 2024, arXiv:2406.19146, and its code.

    Args:
        curves: one row for each logged loss, with `params`, `loss`, and `tokens` seen so far, or
            `step` and `batch_tokens` instead.
        budgets: training FLOPs; where not given, those of 1.25e16 2^i, with whole numbers i, that
            curves of three sizes pass. The paper has 1.25e16 to 2.56e19.
        run: the column that names the run.
        flops: column of training FLOPs so far; where not given, `flops` if the table has it, else
            6 N D.
        schedule: column of the tokens for which the run's learning rate schedule was made; where
            not given, each run's last logged point ends its schedule.
        tolerance: how far, as a share, a budget may be from the nearest logged point.
        smoothing: half the window, as a share of the budget; 0 for none. The paper smooths
            training losses by 0.05, and validation losses not at all.

    Returns:
        A table with one row for each budget and size: `params`, `tokens` (those that the budget
        pays for), `loss`, `flops` (the budget), `run_id` and `progress`, the share of the run's
        schedule done there. Any IsoFLOP method takes it.

    Raises:
        InputError: an argument or a column has no meaning, or no curve passes a budget.
    """
    for name, share in (("tolerance", tolerance), ("smoothing", smoothing)):
        if not 0 <= share < 1:
            raise InputError(
                "not a share", where=name, found=f"{share:g}", expected="0 or more, below 1"
            )
    curves = with_tokens(curves)
    read = read_training_curves(curves, run=run, flops=flops, schedule=schedule)
    wanted = _doublings(read) if budgets is None else _given(budgets)
    frame = _best_readings(read, wanted, tolerance, smoothing)
    missed = [] if budgets is None else np.setdiff1d(wanted, frame["flops"].to_numpy()).tolist()
    if budgets is None:
        frame = frame.filter(pl.len().over("flops") >= _LEAST_SIZES)
    if frame.is_empty():
        sizes = f"curves of {_LEAST_SIZES} sizes" if budgets is None else "any curve"
        raise InputError(
            f"no budget with points of {sizes} near it",
            where="budgets",
            expected=_reach_of_curves(read),
        )
    notes = _notes(len(read), frame, tolerance, missed)
    return Runs(frame, curves.source, (*curves.notes, *notes))


def _given(budgets: npt.ArrayLike) -> Array:
    """The budgets asked for, each once, in ascending order."""
    given = np.unique(np.asarray(budgets, dtype=np.float64))
    unusable = given[~(np.isfinite(given) & (given > 0))]
    if unusable.size or not given.size:
        raise InputError(
            "not a budget" if given.size else "no budget",
            where="budgets",
            found=f"{unusable[0]:g}" if given.size else "",
            expected="positive numbers of FLOPs",
        )
    return given


def _doublings(curves: Sequence[TrainingCurve]) -> Array:
    """The budgets of the paper, continued to wherever the curves are."""
    logged = np.concatenate([curve.log_flops for curve in curves])
    steps = (np.array([logged.min(), logged.max()]) - np.log(_FIRST_BUDGET)) / np.log(2)
    return np.asarray(_FIRST_BUDGET * 2.0 ** np.arange(np.floor(steps[0]), np.ceil(steps[1]) + 1))


def _best_readings(
    curves: Sequence[TrainingCurve], budgets: Array, tolerance: float, smoothing: float
) -> pl.DataFrame:
    """The run of least loss of each size at each budget, see `curves_at_budgets`."""
    log_budgets = np.log(budgets)
    readings = [_read_off(curve, log_budgets, tolerance, smoothing) for curve in curves]
    log_loss, log_tokens = (np.stack(column) for column in zip(*readings, strict=True))
    own, place = np.nonzero(np.isfinite(log_loss))
    log_params, log_end = (
        np.array([getattr(curve, name) for curve in curves]) for name in ("log_params", "log_end")
    )
    done = np.exp(log_tokens[own, place] - log_end[own])
    everything = pl.DataFrame(
        {
            "params": np.exp(log_params[own]),
            "tokens": np.exp(log_tokens[own, place]),
            "loss": np.exp(log_loss[own, place]),
            "flops": budgets[place],
            "run_id": run_names(curves)[own],
            "progress": np.minimum(1.0, done),
        }
    )
    ranked = everything.sort("flops", "params", "loss", maintain_order=True)
    return ranked.unique(["flops", "params"], keep="first", maintain_order=True)


def _read_off(
    curve: TrainingCurve, log_budgets: Array, tolerance: float, smoothing: float
) -> tuple[Array, Array]:
    """The ln L and ln D of one curve at each budget; ln L is NaN where it has no point near."""
    log_flops, log_loss = curve.log_flops, np.log(curve.loss)
    values = np.interp(log_budgets, log_flops, log_loss)
    log_price = np.interp(log_budgets, log_flops, log_flops - curve.log_tokens)
    nearest = np.min(np.abs(log_flops[:, None] - log_budgets), axis=0)
    reached = nearest <= np.log1p(tolerance)
    for place in np.flatnonzero(reached):
        values[place] = _along_line(
            log_flops - log_budgets[place], log_loss, smoothing, values[place]
        )
    return np.where(reached, values, np.nan), log_budgets - log_price


def _along_line(x: Array, y: Array, smoothing: float, otherwise: float) -> float:
    """The value at 0 of a line through the points in the smoothing window around it.

    Args:
        x: ln C of the points relative to the budget, ascending.
        y: ln L of the points.
        smoothing: half the window, as a share of the budget.
        otherwise: the value where the window has too few points for a line.
    """
    window = (x >= np.log1p(-smoothing)) & (x <= np.log1p(smoothing))
    x, y = x[window], y[window]
    if x.size < _LEAST_POINTS or not np.ptp(x) > 0:
        return otherwise
    intercept, slope = fit_line(x, y[:, None], np.ones((x.size, 1)))[:, 0]
    # A line through the last points of a curve says nothing of what lies beyond them.
    return float(intercept + slope * np.clip(0.0, x[0], x[-1]))


def _reach_of_curves(curves: Sequence[TrainingCurve]) -> str:
    first, last = (
        np.exp(end([end(curve.log_flops) for curve in curves])) for end in (np.min, np.max)
    )
    return f"FLOPs between {first:.3g} and {last:.3g}, where the curves are"


def _notes(
    n_curves: int, frame: pl.DataFrame, tolerance: float, missed: Sequence[float]
) -> list[Note]:
    n_budgets = frame["flops"].n_unique()
    notes = [
        Note(
            "curves-read-off",
            f"losses at {n_budgets} budgets are read off {n_curves} training curves, the best run "
            f"of each size; one that ends up to {tolerance:.0%} short of a budget counts there "
            "with its last loss",
            details={"budgets": n_budgets, "curves": n_curves},
        ),
        *notes_on_schedules(late_share(frame["progress"].to_numpy())),
    ]
    if missed:
        notes.append(
            Note(
                "budgets-not-reached",
                f"no curve has a point near {', '.join(f'{flops:.3g}' for flops in missed)} FLOPs",
                Severity.WARNING,
                {"flops": list(missed)},
            )
        )
    return notes
