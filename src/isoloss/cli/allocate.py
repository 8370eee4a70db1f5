"""`isoloss allocate`: split a training budget between parameters and tokens."""

from __future__ import annotations

from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isoloss.cli import arguments as args
from isoloss.cli.output import check_output, deliver, remarks, table, warn
from isoloss.errors import InputError
from isoloss.quantities import format_quantity

if TYPE_CHECKING:
    from isoloss.fitting import Fit
    from isoloss.laws import Surface
    from isoloss.planning import Allocation


def allocate_verb(
    fit: Annotated[
        str,
        typer.Argument(
            metavar="FIT.json|LAW:SET",
            help="A fit written by isoloss fit -o, or published coefficients as "
            "chinchilla:epoch-2024.",
        ),
    ],
    flops: Annotated[str, typer.Option("--flops", metavar="C", help="The budget, C = 6 N D.")],
    level: args.Level = 0.9,
    output: args.Output = None,
    as_json: args.Json = False,
) -> None:
    """The compute-optimal N and D for a budget, with intervals and the price of deviating."""
    check_output(output, fit)
    budget = args.read_budget(flops)
    import isoloss

    with args.naming(fit):
        result = isoloss.allocate(_fit_or_surface(fit), budget, level=level)
    warn(result.notes)
    deliver(result.to_json(), as_json=as_json, output=output, tables=allocation_tables(result))


def _fit_or_surface(text: str) -> Fit | Surface:
    from isoloss.fitting import load_fit
    from isoloss.laws import CATALOGUE, Surface

    if not Path(text).exists():
        name, colon, coefficients = text.partition(":")
        if colon:
            return Surface.published(args.find_laws([name or text], where=text)[0], coefficients)
        if name in CATALOGUE:
            sets = [f"{name}:{each.name}" for each in CATALOGUE[name].published]
            raise InputError(
                "a law without coefficients", where=text, expected=" or ".join([*sets, "FIT.json"])
            )
    return load_fit(text)


def allocation_tables(result: Allocation) -> list[Any]:
    """The optimum with its intervals, and what other sizes cost."""
    rows = [
        ("params", format_quantity(result.params, 4), _interval(result, "params")),
        ("tokens", format_quantity(result.tokens, 4), _interval(result, "tokens")),
        (
            "tokens_per_param",
            f"{result.tokens_per_param:.4g}",
            _interval(result, "tokens_per_param"),
        ),
        ("loss", f"{result.loss:.5g}", _interval(result, "loss")),
    ]
    # Published coefficients come without any interval, other fits perhaps with that of the loss.
    known = 3 if any(interval for *_, interval in rows) else 2
    columns = ("", "optimum", f"{100 * result.level:g} % interval")
    low, high = result.near_optimal
    deviations = [
        (
            f"{entry.params / result.params:.3g} N*",
            format_quantity(entry.params),
            format_quantity(entry.tokens),
            f"{entry.loss:.5g}",
            f"+{100 * entry.loss_increase:.2f} %",
            _wasted(entry.compute_share),
        )
        for entry in result.deviations
    ]
    title = f"Optimal split of {result.flops:.4g} FLOPs by {result.surface.law.name}"
    return [
        table(title, columns[:known], [row[:known] for row in rows]),
        f"Within 0.1 % of the least loss: N from {format_quantity(low)} to {format_quantity(high)}",
        table(
            "Other sizes at the same compute",
            ("size", "N", "D", "loss", "loss increase", "compute wasted"),
            deviations,
        ),
        *remarks(result.notes),
    ]


def _interval(result: Allocation, name: str) -> str:
    if name == "loss":
        known = result.lower < result.upper
        return f"{result.lower:.5g} to {result.upper:.5g}" if known else ""
    if name not in result.intervals:
        return ""
    low, high = result.intervals[name]
    if name == "tokens_per_param":
        return f"{low:.3g} to {high:.3g}"
    return f"{format_quantity(low)} to {format_quantity(high)}"


def _wasted(compute_share: float) -> str:
    # No budget at all may reach the loss of a size far from the optimum.
    return f"{max(0.0, 100 * (1 - compute_share)):.0f} %" if isfinite(compute_share) else "unknown"
