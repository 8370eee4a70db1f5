"""`isoloss sweep`: plan the runs of a ladder, make them anywhere, and turn them into a table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isoloss.cli import arguments as args
from isoloss.cli.output import check_output, deliver, emit, progress, show, tell, to_text, warn
from isoloss.cli.sweep_tables import (
    collected_tables,
    failure_lines,
    held_out_tables,
    outcome_lines,
    plan_tables,
    status_tables,
)
from isoloss.errors import FitError, InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from isoloss.training import HeldOutRun, Outcome, Plan, PlannedRun, SweepOutcome

sweep_app = typer.Typer(help="Make the runs of a sweep.", rich_markup_mode=None)

SOME_FAILED = 1
_USUAL_RETRIES = 2
SweepFolder = Annotated[
    Path, typer.Argument(metavar="DIR", help="Folder of a sweep; or FILE.toml, if beside it.")
]


@sweep_app.callback(invoke_without_command=True)
def _sweep(context: typer.Context) -> None:
    """Make the runs of a sweep."""
    if context.invoked_subcommand is None:
        emit(context.get_help() + "\n")


@sweep_app.command("plan", short_help="Every run of a sweep: shape, steps, rates, cost.")
def plan_verb(
    file: Annotated[Path, typer.Argument(metavar="FILE.toml", help="What the sweep is.")],
    folder: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="DIR", help="Folder of the sweep; FILE without .toml."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print every run, and write nothing.")
    ] = False,
    as_json: args.Json = False,
) -> None:
    """Exact shapes, steps, batch, learning rate, FLOPs, time and cost of every run of a sweep."""
    from isoloss.training import save_plan

    plan = _make_plan(file)
    place = None if dry_run else folder or _usual_folder(file)
    if place is not None:
        save_plan(plan, place)
    warn(plan.notes)
    document = {**plan.to_json(), "folder": None if place is None else str(place)}
    deliver(
        document, as_json=as_json, output=None, tables=plan_tables(plan, place, in_full=dry_run)
    )


@sweep_app.command("run", short_help="Do the runs that have no result yet.")
def run_verb(
    source: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="Folder of a sweep; or a FILE.toml, planned first."),
    ],
    launcher: Annotated[
        str,
        typer.Option(
            "--launcher",
            metavar="NAME",
            help="local, ray (on this machine), ray:ADDRESS, slurm, or slurm:local.",
        ),
    ] = "local",
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            metavar="N",
            parser=args.whole_number("--workers", 1),
            help="Runs at a time; by default as many as there is room for.",
        ),
    ] = None,
    retries: Annotated[
        int,
        typer.Option(
            "--retries",
            metavar="K",
            parser=args.whole_number("--retries", 0, 1000),
            help="Further attempts of a run that failed.",
        ),
    ] = _USUAL_RETRIES,
    level: args.Level = 0.9,
    bootstrap: args.Bootstrap = 500,
    as_json: args.Json = False,
) -> None:
    """Do the runs that have no result yet; whatever stops it, run it again and it goes on.

    Held-out runs are forecast from the others before they are trained. Status 1 if a run failed
    for good while the rest went on.
    """
    from isoloss.training import (
        THIS_MACHINE,
        check_command,
        check_configurations,
        check_machine,
        prepare,
        read_plan,
        save_plan,
        with_measured,
    )

    folder = source
    if source.suffix.lower() == ".toml":
        folder = _usual_folder(source)
        plan = _make_plan(source)
        warn(plan.notes)
    else:
        plan = read_plan(folder)
        check_configurations(plan)
    if launcher in THIS_MACHINE:
        check_machine(plan)
    if prepare(plan) and plan.preparation is not None:
        tell(f"{plan.preparation.creates}: made")
    check_command(plan)
    if source.suffix.lower() == ".toml":
        save_plan(plan, folder)
    ladder = [run for run in plan.runs if not run.held_out]
    proof = [run for run in plan.runs if run.held_out]

    def do(runs: list[PlannedRun]) -> SweepOutcome:
        return _do(plan, folder, runs, launcher=launcher, workers=workers, retries=retries)

    outcome = do(ladder)
    forecasts: tuple[HeldOutRun, ...] = ()
    done, failed = len(outcome.done), dict(outcome.failed)
    attempts = outcome.attempts
    if proof:
        forecasts = _forecast(plan, folder, level, bootstrap)
        if forecasts and not as_json:
            show(held_out_tables(forecasts))
        last = do(proof)
        done, attempts = done + len(last.done), attempts + last.attempts
        failed |= last.failed
    measured = with_measured(forecasts, plan, folder)
    document = {
        "folder": str(folder),
        "done": done,
        "of": len(plan.runs),
        "attempts": attempts,
        "failed": failed,
        "held_out": [each.to_json() for each in measured],
    }
    tables = [
        *(held_out_tables(measured) if measured else []),
        *outcome_lines(folder, done, len(plan.runs), failed),
    ]
    deliver(document, as_json=as_json, output=None, tables=tables)
    for line in failure_lines(failed):
        tell(f"warning: {line}")
    if failed:
        raise typer.Exit(SOME_FAILED)


@sweep_app.command("status", short_help="How far a sweep is, while it runs.")
def status_verb(folder: SweepFolder, as_json: args.Json = False) -> None:
    """Progress, speed and time left of a sweep, read from its folder."""
    from isoloss.training import read_plan, sweep_status

    folder = _sweep_folder(folder)
    status = sweep_status(read_plan(folder), folder)
    deliver(status.to_json(), as_json=as_json, output=None, tables=status_tables(folder, status))


@sweep_app.command("collect", short_help="The run table of a sweep.")
def collect_verb(
    folder: SweepFolder,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="Write the table here: CSV or JSONL."),
    ] = None,
    as_json: args.Json = False,
) -> None:
    """The table of the runs that are done, as every other verb reads it."""
    from isoloss.training import check_table_name, collect_runs, read_plan, write_table

    check_output(output)
    if output is not None:
        check_table_name(output)
    folder = _sweep_folder(folder)
    collected = collect_runs(read_plan(folder), folder)
    warn(collected.notes)
    if output is not None:
        write_table(collected.frame, output)
    if as_json:
        emit(
            to_text(
                {
                    "runs": collected.frame.to_dicts(),
                    "notes": [note.to_json() for note in collected.notes],
                }
            )
        )
    else:
        show(collected_tables(folder, collected.frame, output))


def _make_plan(file: Path) -> Plan:
    from isoloss.training import check_configurations, make_plan, read_sweep

    plan = make_plan(read_sweep(file))
    check_configurations(plan)
    return plan


def _sweep_folder(source: Path) -> Path:
    """The folder of a sweep, by its own name or by that of its file."""
    return _usual_folder(source) if source.is_file() else source


def _usual_folder(file: Path) -> Path:
    """Where the sweep of a file lies unless told otherwise: beside it, under its name."""
    if file.suffix.lower() != ".toml":
        raise InputError(
            "not a TOML file by its name",
            where=str(file),
            expected="FILE.toml, or a folder given by -o",
        )
    return file.with_suffix("")


def _do(
    plan: Plan,
    folder: Path,
    runs: list[PlannedRun],
    *,
    launcher: str,
    workers: int | None,
    retries: int,
) -> SweepOutcome:
    """Do some runs of a plan under a progress bar."""
    from isoloss.training import make_launcher, run_sweep

    chosen = make_launcher(launcher, plan, folder, workers)
    with progress() as bars:
        task = bars.add_task("runs", total=len(runs))
        advance = _reporter(lambda: bars.advance(task))
        return run_sweep(plan, folder, chosen, runs=runs, retries=retries, advance=advance)


def _reporter(advance: Callable[[], object]) -> Callable[[str, Outcome], None]:
    def report(name: str, outcome: Outcome) -> None:
        if outcome.succeeded:
            advance()
        else:
            tell(f"{name}: {outcome.reason}")

    return report


def _forecast(plan: Plan, folder: Path, level: float, bootstrap: int) -> tuple[HeldOutRun, ...]:
    """Forecasts of the held-out runs; none, and a warning, where they cannot be made."""
    from isoloss.training import forecast_held_out

    try:
        return forecast_held_out(plan, folder, level=level, bootstrap=bootstrap)
    except (FitError, InputError) as error:
        tell(f"warning: no forecast: {error}")
        return ()
