"""`isoloss data`: what a table holds and what is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from isoloss.cli import arguments as args
from isoloss.cli.output import check_output, deliver, emit, remarks, table
from isoloss.notes import Severity
from isoloss.quantities import format_quantity

if TYPE_CHECKING:
    from isoloss.runs import Problem, Runs

data_app = typer.Typer(help="What a table of runs holds.", rich_markup_mode=None)


@data_app.callback(invoke_without_command=True)
def _data(context: typer.Context) -> None:
    """What a table of runs holds."""
    if context.invoked_subcommand is None:
        emit(context.get_help() + "\n")


@data_app.command("check", short_help="What a table holds, and what is wrong with it.")
def check_verb(
    runs: args.RunsFile,
    columns: args.Columns = None,
    where: args.Where = None,
    output: args.Output = None,
    as_json: args.Json = False,
) -> None:
    """What a table holds, and everything that is wrong with it; status 2 if it cannot be used."""
    check_output(output, runs)
    from isoloss.runs import RunsError, check_runs, read_runs

    mapping = args.column_names(columns)
    problems = check_runs(runs, columns=mapping, where=where)
    errors = [problem for problem in problems if problem.severity == "error"]
    held = read_runs(runs, columns=mapping, where=where, check=not errors)
    document = {
        "usable": not errors,
        "problems": [problem.to_json() for problem in problems],
        **held.to_json(),
    }
    deliver(document, as_json=as_json, output=output, tables=_tables(held, problems))
    if errors:
        raise RunsError(str(runs), errors)


def _tables(runs: Runs, problems: tuple[Problem, ...]) -> list[Any]:
    summary = runs.to_json()
    rows = [
        (name, *(_written(name, extent[end]) for end in ("min", "max")))
        for name, extent in summary["ranges"].items()
        if extent
    ]
    counts = [_counted(summary["n_runs"], "run"), _counted(summary["n_sizes"], "size")]
    title = f"{runs.source}: {', '.join(counts)}"
    tables: list[Any] = [table(title, ("", "smallest", "largest"), rows) if rows else title]
    if problems:
        listed = [(problem.severity, problem.message) for problem in problems]
        tables.append(table("Problems", ("", "what and where"), listed, numbers=False))
    else:
        tables.append("Nothing is wrong with it.")
    return [*tables, *remarks(note for note in runs.notes if note.severity is Severity.INFO)]


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _written(name: str, value: float) -> str:
    # A ratio of 2.57K is hard to read; only counts are written with suffixes.
    return f"{value:.4g}" if name in ("loss", "tokens_per_param") else format_quantity(value, 4)
