"""Schedules as tables: `schedule, step, learning_rate`, one row a step or one for each kink."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from isoloss.arrays import Array
from isoloss.curves.schedules import Schedule, through_points
from isoloss.errors import InputError
from isoloss.runs import RunsError, read_runs

COLUMNS = {"step": False, "learning_rate": False}
_NAME = "schedule"


def read_schedules(source: str | Path | pl.DataFrame) -> dict[str, Schedule]:
    """Schedules by name.

    Between the steps of a schedule that are given, the rate lies on straight lines. A rate that
    rises from the first step on is in its warm-up until it no longer does.

    Args:
        source: a table with columns step and learning_rate, and one called schedule where there
            are several; anything that `read_runs` reads.

    Raises:
        InputError: a column is missing, or a schedule cannot be used.
    """
    try:
        table = read_runs(source, required=COLUMNS)
    except RunsError as error:
        absent = next((each for each in error.problems if each.code == "missing-column"), None)
        if absent is None:
            raise
        # --columns is about the table of curves, and would not help here.
        raise InputError(
            f"no column {absent.column}",
            where="schedules" if isinstance(source, pl.DataFrame) else str(source),
            expected="a table of schedules, with the columns schedule, step, learning_rate",
        ) from None
    frame = table.frame
    names = frame[_NAME].cast(pl.String) if _NAME in frame.columns else None
    if names is None:
        names = pl.Series(_NAME, [Path(table.source).stem] * frame.height)
    if names.null_count():
        raise InputError(
            "a row without a schedule",
            where=f"{table.source}: column {_NAME}",
            expected="the name of a schedule in every row",
        )
    found = {}
    columns = frame.with_columns(names.alias(_NAME))
    for name, part in columns.group_by(_NAME, maintain_order=True):
        ordered = part.sort("step")
        where = f"{table.source}: schedule {name[0]}"
        try:
            found[str(name[0])] = through_points(str(name[0]), *_points(ordered))
        except InputError as error:
            raise InputError(
                error.what, where=where, found=error.found, expected=error.expected
            ) from None
    return found


def _points(frame: pl.DataFrame) -> tuple[Array, Array]:
    steps, rates = (frame[name].fill_null(np.nan).to_numpy() for name in COLUMNS)
    return steps, rates


def schedule_frame(schedule: Schedule) -> pl.DataFrame:
    """A schedule as the table that `read_schedules` reads, one row a step."""
    return pl.DataFrame(
        {
            _NAME: [schedule.name] * schedule.steps,
            "step": np.arange(schedule.steps),
            "learning_rate": schedule.rates,
        }
    )
