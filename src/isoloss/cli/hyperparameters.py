"""`isoloss hyperparameters`: learning rate and batch size, from rules and from runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isoloss.cli import arguments as args
from isoloss.cli.curve_arguments import read_sizes
from isoloss.cli.curve_tables import trade_off_tables
from isoloss.cli.hyperparameter_tables import (
    critical_batch_tables,
    rule_tables,
    sweep_tables,
    transfer_tables,
)
from isoloss.cli.hyperparameter_tuning import Figure, tune_verb
from isoloss.cli.output import (
    check_figure,
    check_output,
    deliver,
    emit,
    tell,
    warn,
)
from isoloss.errors import InputError
from isoloss.quantities import format_quantity, parse_point, parse_quantity

if TYPE_CHECKING:
    from isoloss.hyperparameters import HeldOutCell, SweepFit

hyperparameters_app = typer.Typer(help="Learning rate and batch size.", rich_markup_mode=None)

Share = Annotated[
    float,
    typer.Option(
        "--share",
        metavar="S",
        parser=lambda text: _read_share(text, "--share"),
        help="Loss that a choice may cost, as a share of it.",
    ),
]
Band = Annotated[
    float,
    typer.Option(
        "--band",
        metavar="S",
        parser=lambda text: _read_share(text, "--band"),
        help="Loss above a cell's minimum up to which its runs count, as a share.",
    ),
]


@hyperparameters_app.callback(invoke_without_command=True)
def _hyperparameters(context: typer.Context) -> None:
    """Learning rate and batch size."""
    if context.invoked_subcommand is None:
        emit(context.get_help() + "\n")


@hyperparameters_app.command("recommend", short_help="What the published rules say, side by side.")
def recommend_verb(
    points: Annotated[
        list[str],
        typer.Argument(metavar="N:D...", help="Parameters and tokens, as 7B:1.4T."),
    ],
    loss: Annotated[
        str | None,
        typer.Option(
            "--loss",
            metavar="L",
            help="Loss to be reached, nats/token; rules for the critical batch need it.",
        ),
    ] = None,
    rules: Annotated[
        str | None,
        typer.Option("--rule", metavar="NAME,...", help="Only these rules."),
    ] = None,
    output: args.Output = None,
    as_json: args.Json = False,
) -> None:
    """Learning rate and batch size by every published rule, with its domain and warnings."""
    check_output(output)
    wanted = [parse_point(point, where="N:D") for point in points]
    target = None if loss is None else parse_quantity(loss, where="--loss")
    from isoloss.hyperparameters import RULES, disagreement, recommend

    names = RULES if rules is None else tuple(name for name in rules.split(",") if name)
    answers = [recommend(*point, loss=target, rules=names) for point in wanted]
    for each in answers:
        warn(disagreement(each))
    document = {
        "recommendations": [entry.to_json() for each in answers for entry in each],
        "notes": [note.to_json() for each in answers for note in disagreement(each)],
    }
    deliver(document, as_json=as_json, output=output, tables=rule_tables(answers))


@hyperparameters_app.command("fit", short_help="A rule of one's own from a sweep.")
def fit_verb(
    sweep: Annotated[
        Path, typer.Argument(metavar="SWEEP", help="Runs that differ in hyperparameters too.")
    ],
    columns: args.Columns = None,
    where: args.Where = None,
    over: Annotated[
        str,
        typer.Option("--over", metavar="NAME,...", help="Columns of the hyperparameters."),
    ] = "learning_rate,batch_tokens",
    depends: Annotated[
        list[str] | None,
        typer.Option(
            "--depends",
            metavar="NAME=COLUMN,...",
            help="On what an optimum depends, as batch_tokens=params,tokens; by default a batch "
            "size on tokens, anything else on params and tokens.",
        ),
    ] = None,
    hold_out: args.HoldOut = None,
    at: args.Points = None,
    share: Share = 0.003,
    band: Band = 0.01,
    bootstrap: args.Bootstrap = 500,
    level: args.Level = 0.9,
    seed: args.Seed = 0,
    figure: Figure = None,
    output: args.Output = None,
    as_json: args.Json = False,
) -> None:
    """The optimum of each (N, D) cell with its uncertainty, and the law over cells.

    The optimum is that of a local quadratic in the logs, not the best run. Cells held out are
    predicted by the law, and judged by their own runs.
    """
    check_output(output, sweep)
    names = [name.strip() for name in over.split(",") if name.strip()]
    points = args.read_plane_points(at) if at else []
    inputs = _read_depends(depends, names)
    check_figure(figure)
    from isoloss.hyperparameters import fit_sweep, read_cells, score_cells
    from isoloss.runs import read_runs

    required = dict.fromkeys(("params", "tokens", "loss", *names), True)
    runs = read_runs(sweep, columns=args.column_names(columns), where=where, required=required)
    held_out: tuple[HeldOutCell, ...] = ()
    with args.naming(sweep):
        fitted, held = runs.split(hold_out) if hold_out else (runs, None)
        found = fit_sweep(
            fitted, over=names, inputs=inputs, band=band, bootstrap=bootstrap, seed=seed
        )
        if held is not None:
            held_out = score_cells(found, read_cells(held, names), band=band)
    warn((*runs.notes, *found.notes), source=sweep)
    asked = [{"params": params, "tokens": tokens} for params, tokens in points]
    _warn_of_unmeasured(found, asked)
    document = {
        **found.to_json(share=share, level=level),
        "n_fit": len(fitted),
        "predictions": [found.prediction_to_json(point, level) for point in asked],
        "held_out": [each.to_json(share) for each in held_out],
    }
    if figure is not None:
        from isoloss.reporting import save_figure
        from isoloss.reporting.hyperparameters import landscape_figure

        shown = [each.optimum for each in held_out] or found.optima
        drawn = landscape_figure(shown, share=share, level=level, predicted=found)
        save_figure(drawn, figure)
    deliver(
        document,
        as_json=as_json,
        output=output,
        tables=sweep_tables(found, asked, held_out, share, level),
    )


@hyperparameters_app.command("critical-batch", short_help="B_crit from curves at several batches.")
def critical_batch_verb(
    curves: Annotated[
        Path,
        typer.Argument(
            metavar="CURVES", help="Loss curves of one model: run_id, batch_tokens, step, loss."
        ),
    ],
    columns: args.Columns = None,
    where: args.Where = None,
    levels: Annotated[
        str | None,
        typer.Option(
            "--levels", metavar="L,...", help="Losses at which steps are compared, as 3.5,3.2,3."
        ),
    ] = None,
    loss: Annotated[
        str | None,
        typer.Option(
            "--loss", metavar="L", help="Say what this loss takes, at least and by batch size."
        ),
    ] = None,
    batches: Annotated[
        str | None,
        typer.Option("--batch-tokens", metavar="B,...", help="Batch sizes for --loss, as 500K,2M."),
    ] = None,
    level: args.Level = 0.9,
    figure: Figure = None,
    output: args.Output = None,
    as_json: args.Json = False,
) -> None:
    """The critical batch size, from the steps that each batch takes to the same loss."""
    check_output(output, curves)
    check_figure(figure)
    wanted = read_sizes(levels, "--levels") if levels else None
    target = None if loss is None else parse_quantity(loss, where="--loss")
    sizes = read_sizes(batches, "--batch-tokens") if batches else ()
    if sizes and target is None:
        raise InputError(
            "nothing to price",
            where="--batch-tokens",
            expected="--loss L too, the loss that the batch sizes are to reach",
        )
    from isoloss.hyperparameters import fit_critical_batch
    from isoloss.runs import read_runs

    required = dict.fromkeys(("batch_tokens", "step", "loss"), True)
    logged = read_runs(curves, columns=args.column_names(columns), where=where, required=required)
    with args.naming(curves):
        found = fit_critical_batch(logged, levels=wanted)
        trade_off = None if target is None else found.trade_off(target, batches=sizes, level=level)
    warn(found.notes, source=curves)
    document, tables = found.to_json(level), critical_batch_tables(found, level)
    if trade_off is not None:
        document["trade_off"] = trade_off.to_json()
        tables += trade_off_tables(trade_off)
    if figure is not None:
        from isoloss.reporting import save_figure
        from isoloss.reporting.batches import critical_batch_figure

        save_figure(critical_batch_figure(found, level=level), figure)
    deliver(document, as_json=as_json, output=output, tables=tables)


@hyperparameters_app.command("transfer", short_help="Does an optimum stay put across widths?")
def transfer_verb(
    sweep: Annotated[
        Path,
        typer.Argument(metavar="SWEEP", help="A sweep of one hyperparameter at several widths."),
    ],
    columns: args.Columns = None,
    where: args.Where = None,
    over: Annotated[
        str, typer.Option("--over", metavar="NAME", help="Column of the hyperparameter.")
    ] = "learning_rate",
    along: Annotated[
        str, typer.Option("--along", metavar="NAME", help="Column that grows.")
    ] = "width",
    share: Share = 0.003,
    band: Band = 0.01,
    level: args.Level = 0.9,
    output: args.Output = None,
    as_json: args.Json = False,
) -> None:
    """Whether the best value for a narrow model is that for a wide one, as muP promises."""
    check_output(output, sweep)
    from isoloss.hyperparameters import check_transfer
    from isoloss.runs import read_runs

    required = dict.fromkeys(("loss", over, along), True)
    runs = read_runs(sweep, columns=args.column_names(columns), where=where, required=required)
    with args.naming(sweep):
        found = check_transfer(
            runs, over=over, along=along, level=level, tolerated=share, band=band
        )
    warn((*runs.notes, *found.notes), source=sweep)
    deliver(found.to_json(), as_json=as_json, output=output, tables=transfer_tables(found))


hyperparameters_app.command("tune", short_help="Tune a command, with cost as an objective.")(
    tune_verb
)


def _warn_of_unmeasured(found: SweepFit, points: Sequence[Mapping[str, float]]) -> None:
    for law in found.laws.values():
        for name in dict.fromkeys(name for point in points for name in law.unmeasured(point)):
            value = format_quantity(law.covered[name][0])
            tell(
                f"warning: {law.name}: all cells have {value} {name}, so that its power is not "
                "known; what is predicted at other values is that of these cells"
            )


def _read_share(text: str, option: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 < value < 1:
        raise InputError(
            "not a share", where=option, found=repr(str(text)), expected="between 0 and 1, as 0.003"
        )
    return value


def _read_depends(texts: Sequence[str] | None, names: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for text in texts or ():
        name, equals, rest = text.partition("=")
        inputs = [each.strip() for each in rest.split(",") if each.strip()]
        if not equals or name.strip() not in names or not set(inputs) <= {"params", "tokens"}:
            raise InputError(
                "not a dependence",
                where="--depends",
                found=repr(text),
                expected=f"NAME=params,tokens, with NAME one of {', '.join(names)}",
            )
        found[name.strip()] = inputs
    return found
