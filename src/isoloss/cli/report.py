"""`isoloss report`: everything about a table in one HTML file."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isoloss.cli import arguments as args
from isoloss.cli.law_arguments import find_laws
from isoloss.cli.output import check_output, emit, progress, show, to_text, warn

if TYPE_CHECKING:
    from isoloss.reporting.study import Study


def report_verb(
    context: typer.Context,
    runs: args.RunsFile,
    hold_out: args.HoldOut = None,
    at: args.PlanePoints = None,
    flops: Annotated[
        list[str] | None,
        typer.Option("--flops", metavar="C", help="Budget to split; may be repeated."),
    ] = None,
    law: args.LawNames = None,
    columns: args.Columns = None,
    where: args.Where = None,
    objective: args.ObjectiveName = "huber",
    bootstrap: args.Bootstrap = 100,
    level: args.Level = 0.9,
    seed: args.Seed = 0,
    threads: args.Threads = None,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="The HTML file.")
    ] = Path("report.html"),
    as_json: args.Json = False,
) -> None:
    """One self-contained HTML file for laws of N and D: fits, backtests, a forecast, budgets.

    Without --hold-out the backtests roll over compute; without --flops and --at it plans and
    forecasts a run of ten times the largest compute.
    """
    check_output(output, runs)
    laws = find_laws(law) or None
    points = args.read_plane_points(at) if at else []
    budgets = [args.read_budget(text) for text in flops or ()]
    table_of_runs = args.read_table(runs, columns, where)
    if hold_out is not None:
        table_of_runs.split(hold_out)  # a condition that cannot be used is better known at once
    from isoloss.reporting.study import make_study
    from isoloss.reporting.style import require_matplotlib

    require_matplotlib()
    with args.naming(runs), progress() as bars:
        task = bars.add_task("report", total=None)
        study = make_study(
            table_of_runs,
            hold_out,
            points=points,
            budgets=budgets,
            laws=laws,
            objective=objective,
            bootstrap=bootstrap,
            level=level,
            seed=seed,
            threads=threads,
            advance=lambda name: bars.update(task, advance=1, description=name),
        )
    warn_of_study(study, runs)
    write_study(study, output, title=f"Isoloss report on {runs.name}", words=context.obj)
    if as_json:
        emit(to_text(study_document(study, output)))
    else:
        show([f"Wrote {output}"])


def warn_of_study(study: Study, source: str | Path) -> None:
    """Print what to know before relying on a study."""
    ahead = study.forecast.notes if study.forecast else ()
    warn([*study.runs.notes, *study.notes, *ahead], source=source)


def write_study(
    study: Study, output: Path, *, title: str, words: list[str] | None, loss_unit: str = ""
) -> None:
    """Write a study as one HTML file.

    Args:
        study: what there is to say.
        output: the file.
        title: of the page.
        words: the words of the command line, which the page repeats.
        loss_unit: unit of the table's loss, where it is known.
    """
    from isoloss.reporting import build_report, write_report

    page = build_report(
        study.runs,
        title=title,
        fits=study.fits,
        backtest=study.backtest,
        forecast=study.forecast,
        allocations=study.allocations,
        notes=study.notes,
        commands=[shlex.join(["isoloss", *(words or ())])],
        loss_unit=loss_unit,
    )
    write_report(output, page)


def study_document(study: Study, output: Path) -> dict[str, Any]:
    """A study, and where its page lies, as one JSON object."""
    return {
        "fits": [each.to_json() for each in study.fits],
        "backtest": study.backtest.to_json() if study.backtest else None,
        "forecast": study.forecast.to_json() if study.forecast else None,
        "allocations": [each.to_json() for each in study.allocations],
        "notes": [note.to_json() for note in study.notes],
        "report": str(output),
    }
