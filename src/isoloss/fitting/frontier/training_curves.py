"""Training curves: the losses of each run in the order of compute, and how far its schedule was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from isoloss.arrays import Array, Indices
from isoloss.errors import InputError
from isoloss.fitting.frontier.budgets import training_flops
from isoloss.notes import Note, Severity
from isoloss.runs import Runs

# A learning rate that has all but decayed: the check of Hoffmann et al. on what is compared.
_LATE_SHARE = 0.15
# Share of points that may come earlier.
_TOLERATED_EARLY = 0.05


@dataclass(frozen=True, eq=False)
class TrainingCurve:
    """One run's losses, in ascending order of compute.

    Attributes:
        name: the run, as its column has it.
        log_params: ln N.
        log_flops: ln C so far, of each point.
        log_tokens: ln D so far, of each point.
        loss: of each point.
        step: optimiser step of each point; None where the table has no column `step`.
        log_end: ln D at the end of the run's schedule.
    """

    name: str | float | None
    log_params: float
    log_flops: Array
    log_tokens: Array
    loss: Array
    step: Array | None
    log_end: float

    @property
    def n_points(self) -> int:
        """How many losses were logged."""
        return self.loss.size


def with_tokens(curves: Runs) -> Runs:
    """The curves with a column `tokens`, computed from steps where it is absent.

    Raises:
        InputError: neither tokens nor steps and batch size are there.
    """
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


def read_training_curves(
    curves: Runs, *, run: str, flops: str | None, schedule: str | None
) -> tuple[TrainingCurve, ...]:
    """The training curve of each run, in the order in which the table names them.

    Args:
        curves: one row for each logged loss, with `params`, `tokens` and `loss`.
        run: the column that names the run.
        flops: column of training FLOPs so far, see `training_flops`.
        schedule: column of the tokens that a run's schedule was made for; the last logged ones
            where not given.

    Raises:
        InputError: a column is missing or unusable, or a run has two sizes.
    """
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

    def curve(name: str | float | None, members: Indices) -> TrainingCurve:
        own = members[np.argsort(log_flops[members], kind="stable")]
        if np.ptp(log_params[own]) > 0:
            raise InputError(
                f"run {name} has more than one size",
                where=curves.source,
                found=", ".join(f"{size:.6g}" for size in np.unique(np.exp(log_params[own]))[:2]),
                expected=f"one value of params for each {run}",
            )
        return TrainingCurve(
            name=name,
            log_params=float(log_params[own[0]]),
            log_flops=log_flops[own],
            log_tokens=log_tokens[own],
            loss=loss[own],
            step=None if step is None else step[own],
            log_end=float(np.max(log_end[own])),
        )

    numbered = curves.frame.select(pl.col(run).alias("run")).with_row_index("row")
    rows = numbered.group_by("run", maintain_order=True).agg("row")
    return tuple(
        curve(name, np.array(members, dtype=np.int64))
        for name, members in zip(rows["run"].to_list(), rows["row"].to_list(), strict=True)
    )


def run_names(curves: Sequence[TrainingCurve]) -> pl.Series:
    """The names of the runs as a column."""
    return pl.Series("run_id", [curve.name for curve in curves])


def late_share(progress: Array) -> float:
    """Share of points in the last 15 % of their run's schedule.

    Args:
        progress: share of the schedule done at each point.
    """
    return float(np.mean(progress >= 1 - _LATE_SHARE))


def notes_on_schedules(late: float) -> list[Note]:
    """A warning where more than a twentieth of the points come early in their schedule.

    Args:
        late: share of the points that come late, see `late_share`.
    """
    if 1 - late <= _TOLERATED_EARLY:
        return []
    return [
        Note(
            "schedule-not-finished",
            f"{1 - late:.0%} of the chosen points come before the last {_LATE_SHARE:.0%} of "
            "their run's schedule, where the learning rate had not decayed: the optimum is "
            "biased unless the rate was constant; run more horizons",
            Severity.WARNING,
            {"late_share": late},
        )
    ]
