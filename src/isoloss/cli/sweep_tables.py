"""What `isoloss sweep` shows to people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isoloss.cli.output import table
from isoloss.quantities import format_quantity

if TYPE_CHECKING:
    import polars as pl

    from isoloss.training import HeldOutRun, Plan, PlannedRun, RunStatus, SweepStatus

# Runs that a line names.
_NAMED = 3
_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0


def plan_tables(plan: Plan, folder: Path | None, *, in_full: bool) -> list[Any]:
    """The totals of a plan, and its runs: all of them, or one line a size."""
    runs = plan.runs
    kinds = Counter(run.kind for run in runs)
    words = [f"{len(plan.rows)} runs in the table"]
    if kinds["trunk"]:
        words.append(f"{kinds['trunk']} trunks with {kinds['branch']} branches")
    if held_out := sum(run.held_out for run in runs):
        words.append(f"{held_out} held out")
    if in_full:
        known = len(_RUN_COLUMNS) - (plan.seconds is None) - (plan.cost is None)
        rows = [_run_row(run)[:known] for run in runs]
        body = table(plan.source, _RUN_COLUMNS[:known], rows)
    else:
        body = table(plan.source, _SIZE_COLUMNS, list(_size_rows(runs)))
    lines = [
        f"{', '.join(words)}: {plan.flops:.3g} FLOPs ({plan.convention})"
        + (f", {duration(plan.seconds)} of one worker" if plan.seconds is not None else "")
        + (f", a cost of {plan.cost:.2f}" if plan.cost is not None else "")
    ]
    lines += [note.message for note in plan.notes if note.severity == "info"]
    if folder is not None:
        lines.append(f"{folder}: planned; isoloss sweep run {folder}")
    return [body, *lines]


_RUN_COLUMNS = (
    "run",
    "N",
    "layers",
    "d_model",
    "d_ff",
    "heads",
    "D",
    "steps",
    "batch",
    "rate",
    "FLOPs",
    "time",
    "cost",
)
_SIZE_COLUMNS = ("recipe", "N", "layers", "d_model", "runs", "D from", "to", "rate", "FLOPs")


def _run_row(run: PlannedRun) -> tuple[str, ...]:
    steps = f"{run.start_step}+{run.steps - run.start_step}" if run.trunk else str(run.steps)
    return (
        run.name,
        format_quantity(run.params, 4),
        str(run.shape.n_layers),
        str(run.shape.d_model),
        str(run.shape.d_ff),
        str(run.shape.n_heads),
        format_quantity(run.tokens, 4),
        steps,
        format_quantity(run.batch_tokens, 4),
        f"{run.learning_rate:.3g}",
        f"{run.spent_flops:.3g}",
        duration(run.seconds) if run.seconds is not None else "",
        f"{run.cost:.2f}" if run.cost is not None else "",
    )


def _size_rows(runs: Sequence[PlannedRun]) -> list[tuple[str, ...]]:
    """One line for all runs of a recipe and size; held-out ones apart."""
    groups: dict[tuple[str, Any, bool], list[PlannedRun]] = {}
    for run in runs:
        groups.setdefault((run.recipe, run.shape, run.held_out), []).append(run)
    rows: list[tuple[str, ...]] = []
    for (recipe, shape, held_out), members in groups.items():
        of_table = [run for run in members if run.gives_row]
        rates = sorted(run.learning_rate for run in members)
        tokens = [run.tokens for run in of_table]
        rates_text = " to ".join(f"{rate:.3g}" for rate in dict.fromkeys((rates[0], rates[-1])))
        rows.append(
            (
                f"{recipe} (held out)" if held_out else recipe,
                format_quantity(members[0].params, 4),
                str(shape.n_layers),
                str(shape.d_model),
                str(len(of_table)),
                format_quantity(min(tokens), 4),
                format_quantity(max(tokens), 4),
                rates_text,
                f"{sum(run.spent_flops for run in members):.3g}",
            )
        )
    return rows


def status_tables(folder: Path, status: SweepStatus) -> list[Any]:
    """How a sweep is getting on."""
    counts = {state: status.count(state) for state in ("done", "running", "failed", "waiting")}
    share = status.flops_done / status.flops
    line = f"{folder}: " + ", ".join(f"{count} {state}" for state, count in counts.items())
    line += f"; {100 * share:.1f} % of {status.flops:.3g} FLOPs"
    if status.flops_per_second:
        line += f", {status.flops_per_second:.3g} FLOP/s a worker"
    if status.seconds_left:
        line += f", {duration(status.seconds_left)} left"
    shown = [run for run in status.runs if run.state in ("running", "failed")]
    if not shown:
        return [line]
    columns = ("run", "", "step", "of", "loss", "tokens/s")
    reasons = [f"{run.name}: {run.reason}" for run in shown if run.reason]
    return [table("At work and failed", columns, list(map(_status_row, shown))), line, *reasons]


def _status_row(run: RunStatus) -> tuple[str, ...]:
    return (
        run.name,
        run.state,
        str(run.step),
        str(run.steps),
        "" if run.loss is None else f"{run.loss:.4f}",
        "" if run.tokens_per_second is None else format_quantity(run.tokens_per_second),
    )


def held_out_tables(runs: Sequence[HeldOutRun]) -> list[Any]:
    """Forecasts of held-out runs, beside what they gave once they are trained."""
    measured = any(run.measured is not None for run in runs)
    columns = ["run", "N", "D", "times compute", "forecast", "from", "to"]
    columns += ["measured", "error", "inside"] if measured else []
    rows = []
    for run in runs:
        row = [
            run.run_id,
            format_quantity(run.params, 4),
            format_quantity(run.tokens, 4),
            f"{run.extrapolation:.3g}",
            *(f"{value:.4f}" for value in (run.loss, run.lower, run.upper)),
        ]
        if measured:
            row.append("" if run.measured is None else f"{run.measured:.4f}")
            row.append("" if run.error is None else f"{100 * run.error:+.2f} %")
            row.append({True: "yes", False: "no", None: ""}[run.covered])
        rows.append(row)
    title = "Forecast against truth" if measured else "Forecast, before they are trained"
    return [table(title, columns, rows)]


def outcome_lines(folder: Path, done: int, of: int, failed: Mapping[str, str]) -> list[str]:
    """How a sitting ended."""
    line = f"{folder}: {done} of {of} runs done"
    if failed:
        line += f", {len(failed)} failed"
    return [line, f"the table: isoloss sweep collect {folder} -o runs.csv"]


def failure_lines(failed: Mapping[str, str]) -> list[str]:
    """Which runs failed, those with the same reason in one line."""
    lines = []
    for reason in dict.fromkeys(failed.values()):
        names = [name for name, its_reason in failed.items() if its_reason == reason]
        named = ", ".join(names[:_NAMED])
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        lines.append(f"{named}{more} failed: {reason}")
    return lines


def collected_tables(folder: Path, frame: pl.DataFrame, output: Path | None) -> list[Any]:
    """The main columns of a collected table, and where the whole of it is."""
    columns = ("run_id", "params", "tokens", "loss", "flops")
    rows = [
        (
            row["run_id"],
            format_quantity(row["params"], 4),
            format_quantity(row["tokens"], 4),
            f"{row['loss']:.4f}",
            f"{row['flops']:.3g}",
        )
        for row in frame.select(columns).to_dicts()
    ]
    where = "-o runs.csv writes all of them" if output is None else f"written to {output}"
    line = f"{frame.height} runs, {frame.width} columns; {where}"
    return [table(str(folder), ("run", "N", "D", "loss", "FLOPs"), rows), line]


def duration(seconds: float) -> str:
    """A time as people say it: 40 s, 12 min, 3.4 h, 2.1 days."""
    for size, unit in ((_DAY, "days"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.2g} s"
