"""`isoloss curve watch`: a run that is under way."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from isoloss.cli import arguments as args
from isoloss.cli import curve_arguments as given
from isoloss.cli.curve_tables import watch_tables
from isoloss.cli.output import deliver, tell, warn


def watch_verb(
    metrics: Annotated[
        Path, typer.Argument(metavar="METRICS", help="What the run writes: JSON lines or CSV.")
    ],
    schedule: Annotated[
        str | None,
        typer.Option("--schedule", metavar="TEXT", help="Learning rates of the whole run."),
    ] = None,
    schedules: given.Schedules = None,
    reference: Annotated[
        Path | None,
        typer.Option("--curves", metavar="CURVES", help="Finished curves of the same recipe."),
    ] = None,
    where: Annotated[
        str | None,
        typer.Option("--where", metavar="SQL", help="Of --curves, only those rows."),
    ] = None,
    law: given.OneCurveLaw = given.DEFAULT_LAW,
    columns: args.Columns = None,
    target: Annotated[
        float | None,
        typer.Option("--target", metavar="LOSS", help="The loss that the run should reach."),
    ] = None,
    every: Annotated[
        float | None,
        typer.Option(
            "--every", metavar="SECONDS", help="Look again so often, until the run is over."
        ),
    ] = None,
    params: given.Params = None,
    batch_tokens: given.Batch = None,
    level: args.Level = 0.9,
    figure: given.Figure = None,
    output: args.Output = None,
    as_json: args.Json = False,
) -> None:
    """Follow a run under way: the rest of its curve, departures, and the chance of its target."""
    given.check_files(output, figure, metrics, schedules, reference)
    from isoloss.curves import forecast_run, read_curves, read_metrics

    chosen, names = given.curve_law(law), args.column_names(columns)
    size = given.read_size(params, "--params")
    batch = given.read_size(batch_tokens, "--batch-tokens")
    whole = None
    if schedule is not None or schedules is not None:
        whole = given.asked_schedules([schedule] if schedule else None, schedules)[0]
    others = (
        read_curves(reference, schedules=schedules, where=where, rates=chosen.reads_schedule).curves
        if reference
        else ()
    )
    seen = -1
    while True:
        read = read_metrics(metrics, schedule=whole, columns=names)
        curve = replace(read, params=size, batch=batch)
        over = curve.steps[-1] >= curve.schedule.steps - 1
        if curve.steps[-1] > seen:
            with args.naming(metrics):
                result = forecast_run(curve, others=others, law=chosen, target=target, level=level)
            seen = int(curve.steps[-1])
            warn(result.notes)
            for flag in result.flags:
                tell(f"{flag.kind.value}: {flag.message}")
            given.draw(result, figure)
            deliver(result.to_json(), as_json=as_json, output=output, tables=watch_tables(result))
        if every is None or over:
            return
        time.sleep(max(every, 0.0))
