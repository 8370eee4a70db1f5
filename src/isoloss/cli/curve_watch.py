"""`isoloss curve watch`: a run that is under way."""

from __future__ import annotations

import json
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isoloss.cli import arguments as args
from isoloss.cli import curve_arguments as given
from isoloss.cli.curve_tables import watch_tables
from isoloss.cli.output import deliver, emit, plain, tell, warn
from isoloss.errors import FitError, InputError

if TYPE_CHECKING:
    from isoloss.curves import RunForecast


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
        str | None,
        typer.Option("--target", metavar="LOSS", help="The loss that the run should reach."),
    ] = None,
    every: Annotated[
        float | None,
        typer.Option(
            "--every",
            metavar="SECONDS",
            help="Look again so often, until the run is over; --json then prints a line a look.",
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
    if every is not None and not 0 < every < math.inf:
        raise InputError(
            "not a time to wait", where="--every", found=f"{every:g}", expected="seconds, as 60"
        )
    from isoloss.curves import NoLossesYetError, forecast_run, read_curves, read_metrics

    chosen, names = given.curve_law(law), args.column_names(columns)
    size = given.read_size(params, "--params")
    batch = given.read_size(batch_tokens, "--batch-tokens")
    aim = given.read_size(target, "--target")
    whole = given.own_schedule(schedule, schedules)
    if whole is None and chosen.reads_schedule:
        tell(
            "warning: without --schedule nothing is known of the learning rates to come: "
            "the run is judged up to its last step"
        )
    others = (
        read_curves(reference, schedules=schedules, where=where, rates=chosen.reads_schedule).curves
        if reference
        else ()
    )
    seen: tuple[int, int | None] | None = None
    told: set[str] = set()
    while True:
        over = False
        try:
            read = read_metrics(metrics, schedule=whole, columns=names)
            now = int(read.steps[-1]), read.lost_from
            if now != seen:
                curve = replace(read, params=size, batch=batch)
                with args.naming(metrics):
                    result = forecast_run(curve, others=others, law=chosen, target=aim, level=level)
                _say(result, told, metrics)
                given.draw(result, figure)
                _deliver(result, output, as_json=as_json, in_a_line=every is not None)
                over = result.at_end
            else:
                # A run that has logged its last loss before its last step is over all the same.
                over = result.last_logged
            seen = now
        except (NoLossesYetError, FitError) as error:
            if every is None:
                raise
            _tell_once(f"waiting: {error}", told)
        if every is None or (over and whole is not None):
            return
        time.sleep(every)


def _say(result: RunForecast, told: set[str], source: Path) -> None:
    """Notes and departures that have not been told before."""
    warn([note for note in result.notes if note.message not in told], source=source)
    told.update(note.message for note in result.notes)
    for flag in result.flags:
        _tell_once(f"{flag.kind.value}: {flag.message}", told)


def _tell_once(text: str, told: set[str]) -> None:
    if text not in told:
        tell(text)
        told.add(text)


def _deliver(result: RunForecast, output: Path | None, *, as_json: bool, in_a_line: bool) -> None:
    document = result.to_json()
    deliver(
        document,
        as_json=as_json and not in_a_line,
        output=output,
        tables=[] if as_json else watch_tables(result),
    )
    if as_json and in_a_line:
        emit(json.dumps(plain(document), allow_nan=False) + "\n")
