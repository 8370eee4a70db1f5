"""Metrics files that a run is still writing: JSON lines as W&B exports them, or delimited text."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from isoloss.arrays import Array, Indices
from isoloss.curves.schedules import Schedule, through_points
from isoloss.curves.table import Curve
from isoloss.errors import InputError

# Names that trainers give to the columns, most usual first.
_NAMES = {
    "step": ("step", "_step", "global_step", "train/global_step", "iteration", "iter"),
    "loss": ("loss", "val_loss", "train_loss", "eval_loss", "train/loss", "val/loss", "eval/loss"),
    "learning_rate": ("learning_rate", "lr", "train/learning_rate", "train/lr"),
}


class NoLossesYetError(InputError):
    """A metrics file without a loss so far: its run may have just begun."""


def read_metrics(
    path: str | Path,
    *,
    schedule: Schedule | None = None,
    columns: Mapping[str, str] | None = None,
) -> Curve:
    """The curve of a run that may still be under way.

    A last line that is not whole yet is left out, and so are records without a loss. A step that
    is there twice, as after a restart, counts as written last.

    Args:
        path: JSON lines, or delimited text with a header line.
        schedule: learning rates of the whole run; where not given, those logged, up to the last.
        columns: name here (step, loss, learning_rate) to the file's own.

    Raises:
        NoLossesYetError: the file is not there, or holds no losses.
        InputError: it cannot be read, or has steps beyond the schedule.
    """
    where = str(path)
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise NoLossesYetError("no such file", where=where) from None
    except OSError as error:
        raise InputError("cannot be read", where=where, found=error.strerror or "") from None
    except UnicodeDecodeError:
        raise InputError("not UTF-8 text", where=where, expected="JSON lines or CSV") from None
    whole, _, rest = text.rpartition("\n")
    lines = [line for line in whole.split("\n") if line.strip()]
    jsonl = (lines[0] if lines else rest).lstrip().startswith("{")
    records = _json_records(lines, rest, where) if jsonl else _csv_records([*lines, rest])
    if not records:
        raise _no_losses(where)
    names = _found_names(records, columns, where)
    points: dict[int, tuple[float, float]] = {}
    lost: set[int] = set()
    for record in records:
        step, loss = (_number(record.get(names[name])) for name in ("step", "loss"))
        if not (math.isfinite(step) and step >= 0 and step == int(step)):
            continue
        if math.isfinite(loss) and loss > 0:
            points[int(step)] = (loss, _number(record.get(names.get("learning_rate", ""))))
            lost.discard(int(step))
        elif math.isinf(loss) or _is_nan(record.get(names["loss"])):
            lost.add(int(step))
            points.pop(int(step), None)
    if not points:
        raise _no_losses(where)
    steps = np.array(sorted(points), dtype=np.int64)
    losses = np.array([points[step][0] for step in steps.tolist()])
    if schedule is None:
        rates = np.array([points[step][1] for step in steps.tolist()])
        schedule = _logged(steps, rates, where)
    if steps[-1] >= schedule.steps:
        raise InputError(
            "a step beyond the schedule",
            where=where,
            found=f"step {steps[-1]}",
            expected=f"0 to {schedule.steps - 1}, the steps of schedule {schedule.name}",
        )
    ended = min((step for step in lost if step > steps[-1]), default=None)
    return Curve(Path(path).stem, schedule, steps, losses, lost_from=ended)


def _no_losses(where: str) -> NoLossesYetError:
    return NoLossesYetError(
        "no losses yet", where=where, expected="records with a step and a positive loss"
    )


def _json_records(lines: list[str], rest: str, where: str) -> list[dict[str, Any]]:
    records = []
    for number, line in enumerate([*lines, rest], 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError:
            if line is rest:
                break
            raise InputError(
                "not JSON", where=f"{where}: line {number}", found=repr(line[:40])
            ) from None
        if isinstance(record, dict):
            records.append(record)
    return records


def _csv_records(lines: list[str]) -> list[dict[str, Any]]:
    separator = max(",;\t", key=lines[0].count) if lines else ","
    rows = list(csv.reader(lines, delimiter=separator))
    header = [name.strip() for name in rows[0]] if rows else []
    # A row that is being written has fewer cells than the header.
    return [dict(zip(header, row, strict=True)) for row in rows[1:] if len(row) == len(header)]


def _found_names(
    records: list[dict[str, Any]], columns: Mapping[str, str] | None, where: str
) -> dict[str, str]:
    present = dict.fromkeys(key for record in records for key in record)
    names = {}
    for name, usual in _NAMES.items():
        given = (columns or {}).get(name)
        candidates = (given,) if given else usual
        found = next((each for each in candidates if each in present), None)
        if found is not None:
            names[name] = found
        elif name != "learning_rate" or given:
            raise NoLossesYetError(
                f"no column {given or name}",
                where=where,
                found=", ".join(list(present)[:12]) or "nothing",
                expected=f"{name}, or its name by --columns {name}=NAME",
            )
    return names


def _number(cell: Any) -> float:
    if isinstance(cell, bool) or cell is None:
        return math.nan
    try:
        return float(cell)
    except (TypeError, ValueError):
        return math.nan


def _is_nan(cell: Any) -> bool:
    """Whether a loss was written and is NaN, which an absent or unreadable one is not."""
    if isinstance(cell, str):
        return cell.strip().lower() == "nan"
    return isinstance(cell, float) and math.isnan(cell)


def _logged(steps: Indices, rates: Array, where: str) -> Schedule:
    known = np.isfinite(rates)
    if not known.any():
        raise InputError(
            "no learning rates",
            where=where,
            expected="a column learning_rate, or the whole schedule by --schedule",
        )
    ends = np.interp(steps[-1], steps[known], rates[known])
    places = np.unique(np.append(steps[known], steps[-1]))
    values = np.interp(places, steps[known], rates[known])
    values[-1] = ends
    return through_points(Path(where).stem, places, values)
