"""From a sweep's folder to a run table, with everything that is needed to judge it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from isoloss.architecture import LLAMA_FIELDS
from isoloss.errors import InputError
from isoloss.files import write_whole
from isoloss.notes import Note, Severity
from isoloss.training.plan import Plan, PlannedRun
from isoloss.training.run_folder import RunFolder, is_finite_number

# What differs between two sweeps of the same plan.
MEASURED = (
    "seconds",
    "evaluation_seconds",
    "tokens_per_second",
    "hardware",
    "device",
    "precision",
    "threads",
    "peak_gpu_bytes",
    "versions",
)
# What the plan says, and the trainer may know better: the model that was really trained.
_COUNTED = ("params_nonembedding", "params_total", "tokens")
# Of every run in the table the same.
_IDLE = ("status",)
_RENAMED = {"data_sha256": "data_hash"}


@dataclass(frozen=True)
class Collected:
    """A run table.

    Attributes:
        frame: one row a run that is done, in the plan's order.
        notes: what is missing, and what does not agree with the plan.
    """

    frame: pl.DataFrame
    notes: tuple[Note, ...]


def collect_runs(plan: Plan, folder: Path) -> Collected:
    """The table of the runs that are done, as `read_runs` takes it.

    `params` is N as the sweep's family counts it; both counts stand beside it. FLOPs are those
    from the first step to the last by the plan's convention, also where a trunk was shared. The
    columns in `MEASURED` are the only ones that differ between two sweeps of the same plan.

    Raises:
        InputError: no run is done yet.
    """
    rows: list[dict[str, Any]] = []
    notes: list[Note] = []
    unfinished, failed = [], {}
    for run in plan.rows:
        place = RunFolder(plan.folder_of(run, folder))
        result = place.result
        if result is not None:
            rows.append(_row(plan, run, result))
            notes += _disagreements(run, result)
        elif place.failure is not None:
            failed[run.name] = str(place.failure.get("reason", ""))
        else:
            unfinished.append(run.name)
    if not rows:
        raise InputError(
            "no run is done yet", where=str(folder), expected="isoloss sweep run before collect"
        )
    for name, reason in failed.items():
        notes.append(
            Note("run-failed", f"{name} failed: {reason}", Severity.WARNING, {"run_id": name})
        )
    if unfinished:
        text = f"{len(unfinished)} of {len(plan.rows)} runs are not done yet"
        notes.append(Note("runs-missing", text, Severity.WARNING, {"run_ids": unfinished}))
    return Collected(_frame(rows), tuple(notes))


def write_table(frame: pl.DataFrame, path: Path) -> None:
    """Write a run table, as CSV or JSON lines by its name.

    Raises:
        InputError: the name ends in neither, or the file cannot be written.
    """
    check_table_name(path)
    as_csv = path.suffix.lower() == ".csv"
    write_whole(path, frame.write_csv() if as_csv else frame.write_ndjson())


def check_table_name(path: Path) -> None:
    """Refuse a name that says nothing about the format of a table.

    Raises:
        InputError: it ends in neither .csv nor .jsonl.
    """
    if path.suffix.lower() not in (".csv", ".jsonl"):
        raise InputError(
            "not a table's name", where=f"--output {path}", expected="one in .csv or .jsonl"
        )


def _row(plan: Plan, run: PlannedRun, result: dict[str, Any]) -> dict[str, Any]:
    trained = {
        name: int(result[name]) if is_finite_number(result.get(name)) else planned
        for name, planned in (
            ("params_nonembedding", run.shape.params_nonembedding),
            ("params_total", run.shape.params_total),
            ("tokens", run.tokens),
        )
    }
    row: dict[str, Any] = {
        "run_id": run.name,
        "recipe": run.recipe,
        "params": trained[f"params_{plan.counted}"],
        "tokens": trained["tokens"],
        "loss": result["loss"],
        "bits_per_byte": result.get("bits_per_byte"),
        "flops": run.flops * trained["tokens"] / run.tokens,
        "flops_convention": plan.convention,
        "params_nonembedding": trained["params_nonembedding"],
        "params_total": trained["params_total"],
        **{name: getattr(run.shape, name) for name in LLAMA_FIELDS},
        "context": run.context,
        "batch_tokens": run.batch_tokens,
        "steps": run.steps,
        "learning_rate": run.learning_rate,
        "schedule": run.schedule,
        "warmup_steps": run.warmup_steps,
        "decay_steps": run.decay_steps,
        "trunk": run.trunk,
        "seed": run.seed,
        "held_out": run.held_out,
    }
    known = {*row, *_RENAMED, *_IDLE}
    row |= {
        name: value for name, value in run.settings.items() if name not in known and _is_cell(value)
    }
    for name, value in result.items():
        column = _RENAMED.get(name, name)
        if column in MEASURED and isinstance(value, dict | list):
            row[column] = json.dumps(value, sort_keys=True)
        elif column not in {*row, *_IDLE} and _is_cell(value):
            row[column] = value
    return row


def _frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Rows as columns; a column that mixes kinds becomes text, one with nothing in it goes."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns: dict[str, list[Any]] = {}
    for name in [*(n for n in names if n not in MEASURED), *(n for n in MEASURED if n in names)]:
        cells = [row.get(name) for row in rows]
        kinds = {bool if isinstance(c, bool) else type(c) for c in cells if c is not None}
        if kinds == {int, float}:
            cells = [None if cell is None else float(cell) for cell in cells]
        elif len(kinds) > 1:
            cells = [None if cell is None else str(cell) for cell in cells]
        if kinds:
            columns[name] = cells
    return pl.DataFrame(columns)


def _disagreements(run: PlannedRun, result: dict[str, Any]) -> list[Note]:
    planned = {
        "params_nonembedding": run.shape.params_nonembedding,
        "params_total": run.shape.params_total,
        "tokens": run.tokens,
    }
    return [
        Note(
            "not-as-planned",
            f"{run.name} was trained with {name} {result[name]:,} instead of the planned "
            f"{planned[name]:,}: the table holds what was trained",
            Severity.WARNING,
            {"run_id": run.name, "column": name},
        )
        for name in _COUNTED
        if is_finite_number(result.get(name)) and result[name] != planned[name]
    ]


def _is_cell(value: Any) -> bool:
    return isinstance(value, str | bool | int | float)
