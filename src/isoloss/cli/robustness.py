"""`isoloss robustness`: how far answers move when a fit is made a little otherwise."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isoloss.cli import arguments as args
from isoloss.cli.law_arguments import find_laws
from isoloss.cli.output import check_output, deliver, progress, remarks, table, warn
from isoloss.errors import InputError
from isoloss.quantities import format_quantity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from isoloss.comparing import ChecklistItem, PerturbedFit, Robustness

_OPEN = "not stated: add it by hand"


def robustness_verb(
    runs: args.RunsFile,
    at: args.Points = None,
    flops: Annotated[
        str | None,
        typer.Option(
            "--flops", metavar="C", help="Budget for D*/N*; 6 N D of the first point by default."
        ),
    ] = None,
    law: args.LawName = None,
    columns: args.Columns = None,
    where: args.Where = None,
    weights: args.Weights = None,
    objective: args.ObjectiveName = "huber",
    method: args.Method = "joint",
    bootstrap: args.Bootstrap = 100,
    level: args.Level = 0.9,
    seed: args.Seed = 0,
    threads: args.Threads = None,
    cluster: args.Cluster = None,
    output: args.Output = None,
    as_json: args.Json = False,
) -> None:
    """Fit a law again and again, each time with one thing changed (default chinchilla).

    N by a factor, an offset, a power, noise, or counted otherwise; runs left out at either end;
    other objectives, starts and laws: shows how the loss at each point and D*/N* move.
    """
    check_output(output, runs)
    points = args.read_plane_points(at)
    budget = None if flops is None else args.read_budget(flops)
    from isoloss.laws import REFERENCE_LAW

    laws = find_laws(law or [REFERENCE_LAW])
    if len(laws) != 1:
        raise InputError(
            "robustness takes one law", where="--law", found=str(len(laws)), expected="one"
        )
    table_of_runs = args.read_table(runs, columns, where)
    import isoloss

    with args.naming(runs), args.workers(cluster), progress() as bars:
        task = bars.add_task("robustness", total=None)
        result = isoloss.robustness(
            table_of_runs,
            laws[0],
            points=points,
            flops=budget,
            objective=objective,
            method=method,
            weights=weights,
            bootstrap=bootstrap,
            level=level,
            seed=seed,
            threads=threads,
            advance=lambda name: bars.update(task, advance=1, description=name),
        )
    warn(result.fit.all_notes(), source=runs)
    deliver(result.to_json(), as_json=as_json, output=output, tables=robustness_tables(result))


def robustness_tables(result: Robustness) -> list[Any]:
    """The perturbed fits by how far they move the loss, the verdict, and the checklist."""
    points = [f"{format_quantity(N)}:{format_quantity(D)}" for N, D in result.points]
    columns = ["perturbation"]
    for point in points:
        columns += [f"loss at {point}", "change"]
    columns += ["N*", "D*/N*", "change"]
    fits = [result.unperturbed, *(row for row in result.ranked() if not row.refused)]
    refused = [(row.perturbation, row.refused) for row in result.rows if row.refused]
    title = f"{result.fit.law.name} under perturbations; N* and D*/N* at {result.flops:.4g} FLOPs"
    tables = [table(title, columns, [_cells(row) for row in fits])]
    if refused:
        tables.append(table("Refused", ("perturbation", "why"), refused, numbers=False))
    return [
        *tables,
        result.verdict,
        checklist_table(result.checklist),
        *remarks(result.fit.all_notes()),
    ]


def checklist_table(items: Sequence[ChecklistItem]) -> Any:
    """The reproducibility checklist, open points marked."""
    rows = [(item.question, item.answer or _OPEN) for item in items]
    return table("Reproducibility checklist", ("point", "statement"), rows, numbers=False)


def _cells(row: PerturbedFit) -> list[str]:
    own = row.perturbation == "unperturbed"
    cells = [row.perturbation if row.converged else f"{row.perturbation} (not converged)"]
    for loss, change in zip(row.losses, row.loss_changes, strict=True):
        cells += [_text(loss, ".5g"), "" if own else _text(100 * change, "+.2f", " %")]
    cells += [
        format_quantity(row.params) if isfinite(row.params) else "none",
        _text(row.tokens_per_param, ".3g"),
        "" if own else _text(100 * (row.tokens_per_param_factor - 1), "+.0f", " %"),
    ]
    return cells


def _text(value: float, form: str, unit: str = "") -> str:
    if not isfinite(value):
        return ""
    text = f"{value:{form}}"
    # What rounds to nothing has no sign.
    return f"{text if float(text) else text.lstrip('+-')}{unit}"
