"""`isoloss curve`: loss curves and learning-rate schedules."""

from __future__ import annotations

from typing import Annotated

import typer

from isoloss.cli import arguments as args
from isoloss.cli import curve_arguments as given
from isoloss.cli.curve_plans import batch_verb, convert_verb, schedule_verb
from isoloss.cli.curve_tables import (
    backtest_tables,
    fit_tables,
    prediction_document,
    prediction_table,
)
from isoloss.cli.curve_watch import watch_verb
from isoloss.cli.law_arguments import law_names
from isoloss.cli.output import deliver, emit, progress, warn
from isoloss.errors import InputError

curve_app = typer.Typer(help="Loss curves and learning-rate schedules.", rich_markup_mode=None)


@curve_app.callback(invoke_without_command=True)
def _curve(context: typer.Context) -> None:
    """Loss curves and learning-rate schedules."""
    if context.invoked_subcommand is None:
        emit(context.get_help() + "\n")


@curve_app.command("fit", short_help="Fit a law to loss curves.")
def fit_verb(
    curves: given.CurvesFile,
    schedules: given.Schedules = None,
    law: given.OneCurveLaw = given.DEFAULT_LAW,
    decay_factor: given.DecayFactor = None,
    critical_batch: given.KnownCriticalBatch = None,
    columns: args.Columns = None,
    where: args.Where = None,
    objective: args.ObjectiveName = "huber",
    weighting: given.Weighting = "",
    bootstrap: given.FewReplicates = 100,
    resample: given.Resampled = "",
    level: args.Level = 0.9,
    seed: args.Seed = 0,
    threads: args.Threads = None,
    figure: given.Figure = None,
    output: args.Output = None,
    as_json: args.Json = False,
) -> None:
    """Fit a law to loss curves of one recipe."""
    given.check_files(output, figure, curves, schedules)
    from isoloss.curves import (
        curve_fit_to_document,
        curve_laws_with,
        find_curve_law,
        fit_curves,
        read_curves,
        scan_decay_factor,
    )
    from isoloss.curves.fit import DEFAULT_STARTS

    scanned = decay_factor == "scan" and law in curve_laws_with("decay_factor")
    chosen = None if scanned else given.curve_law(law, decay_factor, critical_batch)
    held = read_curves(
        curves,
        schedules=schedules,
        columns=args.column_names(columns),
        where=where,
        rates=chosen is None or chosen.reads_schedule,
    )
    with args.naming(curves), progress() as bars:
        task = bars.add_task(f"fit {law}", total=DEFAULT_STARTS + bootstrap)
        if chosen is None:
            chosen = scan_decay_factor(held, sizes=find_curve_law(law).reads_params)[0].law
        fitted = fit_curves(
            held,
            chosen,
            objective=objective,
            weighting=weighting,
            bootstrap=bootstrap,
            resample=resample,
            seed=seed,
            threads=threads,
            advance=lambda count: bars.advance(task, count),
        )
    warn(fitted.notes, source=curves)
    intervals = {name: list(pair) for name, pair in fitted.intervals(level).items()}
    spread = {"intervals": intervals, "level": level}
    given.draw(fitted, figure)
    deliver(
        {**fitted.to_json(), **spread},
        as_json=as_json,
        output=output,
        tables=fit_tables(fitted, level),
        saved={**curve_fit_to_document(fitted), **spread} if output else None,
    )


@curve_app.command("predict", short_help="Predict the curve of a schedule.")
def predict_verb(
    fit: given.CurveFitFile,
    schedule: given.ScheduleTexts = None,
    schedules: given.Schedules = None,
    at: Annotated[
        str | None,
        typer.Option(
            "--at", metavar="STEP,...", help="Steps to predict; the last one of each by default."
        ),
    ] = None,
    params: given.Params = None,
    batch_tokens: given.Batch = None,
    level: args.Level = 0.9,
    figure: given.Figure = None,
    output: args.Output = None,
    as_json: args.Json = False,
) -> None:
    """Predict the loss at steps of one or more schedules, with a band."""
    given.check_files(output, figure, fit, schedules)
    from isoloss.curves import load_curve_fit, unknown_rates

    fitted = load_curve_fit(fit)
    steps = given.read_steps(at) if at else None
    if fitted.law.reads_schedule or schedule or schedules:
        asked = given.asked_schedules(schedule, schedules)
    elif steps:
        asked = [unknown_rates(max(steps) + 1, f"{params} parameters, batch {batch_tokens or '-'}")]
    else:
        raise InputError(
            "no steps", where="--at", expected="steps such as 10K,100K, or a --schedule"
        )
    size = given.read_size(params, "--params")
    batch = given.read_size(batch_tokens, "--batch-tokens")
    found = [
        fitted.predict(each, steps or [each.steps - 1], params=size, batch=batch, level=level)
        for each in asked
    ]
    warn([note for each in found for note in (*fitted.notes, *each.notes)])
    if figure is not None:
        from isoloss.reporting import save_figure
        from isoloss.reporting.curves import predictions_figure

        whole = [fitted.predict(each, params=size, batch=batch, level=level) for each in asked]
        shown = asked if fitted.law.reads_schedule else []
        save_figure(predictions_figure(whole, shown), figure)
    deliver(
        prediction_document(fitted, found),
        as_json=as_json,
        output=output,
        tables=[prediction_table(found, level)],
    )


@curve_app.command("backtest", short_help="Fit some curves, predict the others.")
def backtest_verb(
    curves: given.CurvesFile,
    hold_out: args.HoldOut = None,
    schedules: given.Schedules = None,
    law: given.CurveLaws = None,
    decay_factor: given.DecayFactor = None,
    critical_batch: given.KnownCriticalBatch = None,
    columns: args.Columns = None,
    where: args.Where = None,
    objective: args.ObjectiveName = "huber",
    weighting: given.Weighting = "",
    bootstrap: given.FewReplicates = 100,
    resample: given.Resampled = "",
    level: args.Level = 0.9,
    seed: args.Seed = 0,
    threads: args.Threads = None,
    figure: given.Figure = None,
    output: args.Output = None,
    as_json: args.Json = False,
) -> None:
    """Fit some curves, predict those held out; scores are means over these."""
    given.check_files(output, figure, curves, schedules)
    if hold_out is None:
        raise InputError(
            "nothing to predict", where="--hold-out", expected='a condition such as "step > 12000"'
        )
    from isoloss.curves import backtest_curves, curve_laws_with, required_columns, split_curves
    from isoloss.runs import read_runs

    names = law_names(law) or ["annealing", "multi-power", "multi-power-fading"]
    # Where it is none of theirs, the first law refuses it.
    decaying, batched = (curve_laws_with(option) for option in ("decay_factor", "batch_scale"))
    laws = [
        given.curve_law(
            name,
            decay_factor if name in decaying or not set(names) & set(decaying) else None,
            critical_batch if name in batched or not set(names) & set(batched) else None,
        )
        for name in names
    ]
    required = required_columns(schedules is None and any(law.reads_schedule for law in laws))
    runs = read_runs(curves, columns=args.column_names(columns), where=where, required=required)
    fitted, held_out = split_curves(runs, hold_out, schedules)
    with args.naming(curves), progress() as bars:
        task = bars.add_task("backtest", total=len(laws))
        result = backtest_curves(
            fitted,
            held_out,
            laws,
            level=level,
            objective=objective,
            weighting=weighting,
            bootstrap=bootstrap,
            resample=resample,
            seed=seed,
            threads=threads,
            advance=lambda name: bars.update(task, advance=1, description=name),
        )
    warn([note for each in result.fits.values() for note in each.notes], source=curves)
    given.draw(result, figure)
    deliver(result.to_json(), as_json=as_json, output=output, tables=backtest_tables(result))


curve_app.command("watch", short_help="Follow a run: the rest, flags, chance of its target.")(
    watch_verb
)
curve_app.command("schedule", short_help="The best schedule for a budget of steps.")(schedule_verb)
curve_app.command("convert", short_help="Undecayed checkpoints as rows of a surface fit.")(
    convert_verb
)
curve_app.command("batch", short_help="Steps and tokens to a loss over batch sizes.")(batch_verb)
