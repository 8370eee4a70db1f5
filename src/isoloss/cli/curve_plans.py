"""`isoloss curve schedule|convert|batch`: what a fit of curves says of runs to come."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from isoloss.cli import arguments as args
from isoloss.cli import curve_arguments as given
from isoloss.cli.curve_tables import conversion_tables, schedule_tables, trade_off_tables
from isoloss.cli.output import check_output, deliver, tell, warn
from isoloss.errors import InputError
from isoloss.quantities import parse_quantity


def schedule_verb(
    fit: given.CurveFitFile,
    steps: Annotated[str, typer.Option("--steps", metavar="N", help="Steps in all.")],
    peak: Annotated[float, typer.Option("--peak", metavar="RATE", help="The largest rate.")],
    end: Annotated[
        float, typer.Option("--end", metavar="RATE", help="Where decays lead; no rate is lower.")
    ] = 0.0,
    warmup: Annotated[
        str, typer.Option("--warmup", metavar="N", help="Steps of the linear warm-up.")
    ] = "0",
    best: Annotated[
        str | None,
        typer.Option("--save", metavar="FILE.csv", help="Write the best schedule, one row a step."),
    ] = None,
    figure: given.Figure = None,
    output: args.Output = None,
    as_json: args.Json = False,
) -> None:
    """The best decay of every shape, and under the multi-power law the best of all schedules."""
    given.check_files(output, figure, fit)
    from isoloss.curves import (
        MultiPowerLaw,
        best_schedule,
        best_shape,
        load_curve_fit,
        schedule_frame,
    )
    from isoloss.curves.decays import final_loss_of
    from isoloss.files import write_whole

    count = given.read_count(steps, "--steps")
    warm = given.read_count(warmup, "--warmup")
    given.read_rate(peak, "--peak")
    if warm >= count:
        raise InputError(
            "a warm-up of the whole run",
            where="--warmup",
            found=f"{warm} of {count} steps",
            expected="fewer steps",
        )
    if not 0 <= end <= peak:
        raise InputError(
            "not the end of a decay", where="--end", found=f"{end:g}", expected=f"0 to {peak:g}"
        )
    fitted = load_curve_fit(fit)
    choices = best_shape(fitted, count, peak, end=end, warmup=warm)
    document: dict[str, Any] = {"decays": [choice.to_json() for choice in choices]}
    schedule, least = choices[0].loss.schedule, None
    if isinstance(fitted.law, MultiPowerLaw):
        found = best_schedule(
            fitted.parameters,
            count,
            peak,
            warmup=warm,
            least=end if end > 0 else None,
            law=fitted.law,
        )
        schedule = found.schedule
        least = final_loss_of(fitted, schedule)
        document["best"] = {
            **least.to_json(),
            "converged": found.converged,
            "last_rate": float(schedule.rates[-1]),
        }
    if best is not None:
        write_whole(best, schedule_frame(schedule).write_csv())
    if figure is not None:
        from isoloss.reporting import save_figure
        from isoloss.reporting.schedules import schedules_figure

        save_figure(schedules_figure(fitted, choices, least), figure)
    warn((*fitted.notes, *fitted.predict(schedule, [count - 1]).notes))
    deliver(document, as_json=as_json, output=output, tables=schedule_tables(choices, document))


def convert_verb(
    fit: given.CurveFitFile,
    curves: given.CurvesFile,
    schedules: given.Schedules = None,
    columns: args.Columns = None,
    where: args.Where = None,
    at: Annotated[
        str | None,
        typer.Option(
            "--at", metavar="STEP,...", help="Steps of the checkpoints; eight of each curve if not."
        ),
    ] = None,
    share: Annotated[
        float,
        typer.Option("--share", metavar="S", help="Steps of the decay over those before it."),
    ] = 0.1,
    end_share: Annotated[
        float,
        typer.Option("--end-share", metavar="S", help="Where it leads, over the peak rate."),
    ] = 0.1,
    shape: Annotated[
        str,
        typer.Option("--shape", metavar="NAME", help="linear, exponential, 1-sqrt or cosine."),
    ] = "linear",
    params: given.Params = None,
    batch_tokens: given.Batch = None,
    level: args.Level = 0.9,
    save: Annotated[
        Path | None,
        typer.Option("--save", metavar="RUNS.csv", help="Write the rows that isoloss fit reads."),
    ] = None,
    figure: given.Figure = None,
    output: args.Output = None,
    as_json: args.Json = False,
) -> None:
    """Turn undecayed checkpoints into the losses that they would have after a decay."""
    given.check_files(output, figure, fit, curves, schedules)
    check_output(save, fit, curves, *([schedules] if schedules else []))
    from isoloss.curves import convert_checkpoints, load_curve_fit, read_curves, undecayed
    from isoloss.files import write_whole

    fitted = load_curve_fit(fit)
    size = given.read_size(params, "--params")
    batch = given.read_size(batch_tokens, "--batch-tokens")
    read = read_curves(curves, schedules=schedules, columns=args.column_names(columns), where=where)
    named = [
        replace(curve, params=curve.params or size, batch=curve.batch or batch)
        for curve in read.curves
    ]
    steps = given.read_steps(at) if at else []
    found = convert_checkpoints(
        fitted,
        undecayed(named, steps),
        share=share,
        end_share=end_share,
        shape=shape,
        level=level,
    )
    frame = found.to_frame()
    if save is not None:
        write_whole(save, frame.write_csv())
    warn((*read.notes, *fitted.notes))
    missing = [name for name in ("params", "tokens") if name not in frame.columns]
    if missing:
        known = {"params": "--params", "tokens": "--batch-tokens"}
        tell(
            f"warning: a surface fit needs {' and '.join(missing)}: give "
            f"{' and '.join(known[name] for name in missing)}"
        )
    given.draw(found, figure)
    deliver(found.to_json(), as_json=as_json, output=output, tables=conversion_tables(found))


def batch_verb(
    fit: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FIT.json]",
            help="A fit of trajectory, or of kaplan-steps with a critical batch; Kaplan's "
            "published constants where there is none.",
        ),
    ] = None,
    params: Annotated[
        str | None, typer.Option("--params", metavar="N", help="Size of the model.")
    ] = None,
    loss: Annotated[
        str | None, typer.Option("--loss", metavar="L", help="The loss to be reached.")
    ] = None,
    batches: Annotated[
        str | None,
        typer.Option(
            "--batch-tokens",
            metavar="B,...",
            help="Batch sizes; shares of the critical one if not.",
        ),
    ] = None,
    level: args.Level = 0.9,
    figure: given.Figure = None,
    output: args.Output = None,
    as_json: args.Json = False,
) -> None:
    """The least steps and tokens to a loss, and time against compute over batch sizes."""
    given.check_files(output, figure, fit)
    for option, text in (("--params", params), ("--loss", loss)):
        if text is None:
            raise InputError(
                "not given", where=option, expected="a number, as --params 1B --loss 2.5"
            )
    from isoloss.curves import KAPLAN, CurveFit, Trajectory, batch_trade_off, load_curve_fit

    law: Trajectory | CurveFit = KAPLAN if fit is None else load_curve_fit(fit)
    if isinstance(law, CurveFit):
        warn(law.notes)
    else:
        tell(
            "warning: Kaplan's published constants, for his data, tokenizer and context: fit your "
            "own by isoloss curve fit --law trajectory"
        )
    found = batch_trade_off(
        law,
        parse_quantity(params or "", where="--params"),
        parse_quantity(loss or "", where="--loss"),
        batches=given.read_sizes(batches, "--batch-tokens") if batches else (),
        level=level,
    )
    given.draw(found, figure)
    deliver(found.to_json(), as_json=as_json, output=output, tables=trade_off_tables(found))
