"""Loss curves: losses of runs at their steps, each with the schedule that it was trained under."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from isoloss.arrays import Array, Indices, Mask
from isoloss.curves.law import Points
from isoloss.curves.schedule_files import read_schedules
from isoloss.curves.schedules import Schedule, through_points
from isoloss.errors import InputError
from isoloss.notes import Note, Severity
from isoloss.runs import Runs, read_runs

REQUIRED = {"step": False, "loss": True}
_RUN = "run_id"
_SCHEDULE = "schedule"
_RATE = "learning_rate"


@dataclass(frozen=True, eq=False)
class Curve:
    """The losses of one run.

    Attributes:
        run_id: which run.
        schedule: its learning rates.
        steps: where the loss was measured, in rising order, shape (points,).
        loss: what it was, shape (points,).
        params: size of the model, where the table says so.
        batch: tokens a step, where the table says so.
        lost_from: step from which on the loss has been no number, in a run that has diverged.
    """

    run_id: str
    schedule: Schedule
    steps: Indices
    loss: Array
    params: float | None = None
    batch: float | None = None
    lost_from: int | None = None

    @property
    def points(self) -> Points:
        """Where the losses are."""
        return Points(self.schedule, self.steps, self.params, self.batch)

    def take(self, chosen: Mask | Indices) -> Curve:
        """Some of the points."""
        return replace(self, steps=self.steps[chosen], loss=self.loss[chosen])

    def until(self, share: float) -> Curve:
        """The points until a share of the schedule's steps is done."""
        return self.take(self.steps < share * self.schedule.steps)


@dataclass(frozen=True, eq=False)
class Curves:
    """A table of loss curves.

    Attributes:
        curves: one a run, in the table's order.
        source: where they came from.
        fingerprint: hash of their numbers.
        notes: what the user should know.
        rates_known: whether the learning rates are those of the runs; laws that read them refuse
            curves without.
    """

    curves: tuple[Curve, ...]
    source: str = "frame"
    fingerprint: str = ""
    notes: tuple[Note, ...] = ()
    rates_known: bool = True

    def __len__(self) -> int:
        return len(self.curves)

    def __getitem__(self, run_id: str) -> Curve:
        """The curve of a run.

        Raises:
            InputError: there is no such run.
        """
        for curve in self.curves:
            if curve.run_id == run_id:
                return curve
        raise InputError(
            "no such run",
            where=self.source,
            found=repr(run_id),
            expected="one of " + ", ".join(curve.run_id for curve in self.curves),
        )

    @property
    def loss(self) -> Array:
        """All losses, one run after the other."""
        return np.concatenate([curve.loss for curve in self.curves])

    @property
    def numbers(self) -> Indices:
        """The number of the curve that each loss belongs to."""
        return np.repeat(np.arange(len(self)), [curve.steps.size for curve in self.curves])

    @property
    def points(self) -> list[Points]:
        """Where the losses are, run by run."""
        return [curve.points for curve in self.curves]


def read_curves(
    source: str | Path | pl.DataFrame,
    *,
    schedules: str | Path | pl.DataFrame | Mapping[str, Schedule] | None = None,
    columns: Mapping[str, str] | None = None,
    where: str | None = None,
    rates: bool = True,
) -> Curves:
    """Read a table of loss curves.

    Args:
        source: a table with columns step and loss; run_id names the run (one run without it), and
            either learning_rate or, with `schedules`, schedule its learning rates. Anything that
            `read_runs` reads.
        schedules: a second table, see `read_schedules`, or schedules by name, joined on the column
            schedule. Without it, rates between the logged steps lie on straight lines, and those
            before the first logged step are the first one.
        columns: name here to the table's own name.
        where: an SQL condition over the columns.
        rates: whether learning rates are needed; laws of steps and batch sizes do without.

    Raises:
        InputError: a column is missing, a schedule is unknown or too short, or a step repeats.
        RunsError: the table holds what is no number.
    """
    required = required_columns(rates and schedules is None)
    runs = read_runs(source, columns=columns, where=where, required=required)
    return gather_curves(runs, schedules)


def required_columns(rates: bool) -> dict[str, bool]:
    """Columns that a table of curves must have, and whether each holds positive numbers.

    Args:
        rates: whether the learning rates stand in it.
    """
    return {**REQUIRED, _RATE: False} if rates else dict(REQUIRED)


def gather_curves(
    runs: Runs, schedules: str | Path | pl.DataFrame | Mapping[str, Schedule] | None = None
) -> Curves:
    """The curves of a table that has been read; see `read_curves`.

    Raises:
        InputError: a schedule is unknown or too short, or a step repeats.
    """
    given = (
        schedules
        if schedules is None or isinstance(schedules, Mapping)
        else read_schedules(schedules)
    )
    frame = runs.frame
    if given is not None and _SCHEDULE not in frame.columns:
        if len(given) > 1:
            raise InputError(
                "no column schedule",
                where=runs.source,
                expected="the name of the schedule of every row: " + ", ".join(given),
            )
        frame = frame.with_columns(pl.lit(next(iter(given))).alias(_SCHEDULE))
    names = frame[_RUN].cast(pl.String) if _RUN in frame.columns else pl.lit("run")
    grouped = frame.with_columns(names.alias(_RUN)).group_by(_RUN, maintain_order=True)
    curves = tuple(_curve(str(name[0]), part, given, runs.source) for name, part in grouped)
    notes = list(runs.notes)
    known = given is not None or _RATE in frame.columns
    early = [curve for curve in curves if given is None and curve.steps[0] > 0]
    if early and known:
        notes.append(
            Note(
                "rates-before-first-step",
                f"{len(early)} of {len(curves)} curves begin after step 0; the learning rate "
                "before is taken to be the first logged one: give --schedules where it was not",
                Severity.WARNING,
            )
        )
    return Curves(curves, runs.source, runs.fingerprint, tuple(notes), known)


def _curve(
    run_id: str, frame: pl.DataFrame, schedules: Mapping[str, Schedule] | None, source: str
) -> Curve:
    where = f"{source}: run {run_id}"
    ordered = frame.sort("step")
    steps, loss = ordered["step"].to_numpy(), ordered["loss"].to_numpy()
    wrong = np.flatnonzero(~((steps >= 0) & (steps == np.round(steps))))
    if wrong.size:
        raise InputError(
            "not a step", where=where, found=f"{steps[wrong[0]]:g}", expected="0, 1, 2, ..."
        )
    again = np.flatnonzero(np.diff(steps) == 0)
    if again.size:
        raise InputError(
            "a step twice",
            where=where,
            found=f"step {steps[again[0]]:g}",
            expected="one loss a step; tell runs apart by the column run_id",
        )
    if schedules is None and _RATE not in frame.columns:
        schedule = unknown_rates(int(steps[-1]) + 1)
    elif schedules is None:
        schedule = through_points(run_id, steps, ordered[_RATE].fill_null(np.nan).to_numpy())
    else:
        schedule = _named(ordered, schedules, where)
        if steps[-1] >= schedule.steps:
            raise InputError(
                "a step beyond its schedule",
                where=where,
                found=f"step {steps[-1]:g}",
                expected=f"0 to {schedule.steps - 1}, the steps of schedule {schedule.name}",
            )
    return Curve(
        run_id,
        schedule,
        steps.astype(np.int64),
        loss,
        _one_value(ordered, "params", where),
        _one_value(ordered, "batch_tokens", where),
    )


def unknown_rates(steps: int, name: str = "-") -> Schedule:
    """What stands for the schedule of a run whose learning rates nobody asks for."""
    return Schedule(name, np.ones(steps))


def _named(frame: pl.DataFrame, schedules: Mapping[str, Schedule], where: str) -> Schedule:
    names = frame[_SCHEDULE].cast(pl.String).unique(maintain_order=True).to_list()
    if len(names) != 1 or names[0] not in schedules:
        raise InputError(
            "unknown schedule" if len(names) == 1 else "more than one schedule",
            where=where,
            found=", ".join(map(repr, names)),
            expected="one of " + ", ".join(schedules),
        )
    return schedules[names[0]]


def _one_value(frame: pl.DataFrame, column: str, where: str) -> float | None:
    """The value of a column that is one number a run; None where there is none."""
    if column not in frame.columns or not frame[column].dtype.is_numeric():
        return None
    values = frame[column].drop_nulls().unique().to_list()
    if len(values) > 1:
        raise InputError(
            f"more than one {column}",
            where=where,
            found=", ".join(f"{value:g}" for value in sorted(values)[:3]),
            expected="one value a run",
        )
    return float(values[0]) if values else None


def select_curves(curves: Curves, keep: Sequence[str]) -> Curves:
    """Some of the curves, by the names of their runs."""
    chosen = tuple(curve for curve in curves.curves if curve.run_id in set(keep))
    return replace(curves, curves=chosen)


def split_curves(
    runs: Runs,
    hold_out: str,
    schedules: str | Path | pl.DataFrame | Mapping[str, Schedule] | None = None,
) -> tuple[Curves, Curves]:
    """The points for which an SQL condition does not hold, and those for which it does, as curves.

    A condition may divide a curve, as "step > 12000" does; both parts keep its whole schedule.

    Args:
        runs: the table.
        hold_out: the condition.
        schedules: as for `read_curves`.

    Raises:
        InputError: the condition cannot be evaluated, or one of the two parts is empty.
    """
    whole = gather_curves(runs, schedules)
    parts = []
    for part in runs.split(hold_out):
        frame = part.frame
        names = frame[_RUN].cast(pl.String) if _RUN in frame.columns else ["run"] * frame.height
        steps: dict[str, set[float]] = {}
        for name, step in zip(names, frame["step"], strict=True):
            steps.setdefault(str(name), set()).add(step)
        chosen = [
            curve.take(np.isin(curve.steps, np.array(sorted(steps[curve.run_id]))))
            for curve in whole.curves
            if curve.run_id in steps
        ]
        parts.append(replace(whole, curves=tuple(chosen), fingerprint=part.fingerprint))
    return parts[0], parts[1]
