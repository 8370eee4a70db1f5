"""`isoloss laws`: the catalogue, or one law in full."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isoloss.cli import arguments as args
from isoloss.cli.law_arguments import OwnLaw, wanted_laws
from isoloss.cli.output import check_output, deliver, table, verbatim
from isoloss.errors import InputError
from isoloss.quantities import format_quantity

if TYPE_CHECKING:
    from isoloss.arrays import Array
    from isoloss.forecasting import Point
    from isoloss.laws import Law


def laws_verb(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="A law, or a TOML file with one.")
    ] = None,
    at: args.Points = None,
    formula: args.Formula = None,
    bounds: args.Bounds = None,
    inputs: args.Inputs = None,
    target: args.TargetName = None,
    signed: args.Signed = None,
    higher_is_better: args.HigherIsBetter = False,
    output: args.Output = None,
    as_json: args.Json = False,
) -> None:
    """The catalogue of laws, or one law in full with its published coefficients.

    With --at, what the published coefficients predict there. --json has the law as LaTeX and as a
    JavaScript function.
    """
    check_output(output)
    points = args.read_points(at) if at else []
    own = OwnLaw(formula, bounds, inputs, target, signed, higher_is_better)
    laws = wanted_laws([] if name is None else [name], own, where="NAME")
    if len(laws) > 1:
        raise InputError(
            "two laws", where="--formula", found=f"{name} too", expected="a name or a formula"
        )
    if not laws:
        if points:
            raise InputError("no law to predict with", where="--at", expected="isoloss laws NAME")
        _show_catalogue(output=output, as_json=as_json)
        return
    law = laws[0]
    if points and not law.published:
        raise InputError(
            "no published coefficients to predict with",
            where=f"law {law.name}",
            expected="isoloss fit, then isoloss predict",
        )
    document = law.to_json()
    columns = _columns(points, law) if points else {}
    for entry, shown in zip(law.published, document["published"], strict=True):
        values = {law.target.name: law.predict(entry.parameters, **columns)} if points else {}
        rows = {**columns, **values}
        shown["predictions"] = [
            {name: float(column[row]) for name, column in rows.items()}
            for row in range(len(points))
        ]
    deliver(document, as_json=as_json, output=output, tables=_tables(law, document))


def _columns(points: list[Point], law: Law) -> dict[str, Array]:
    from isoloss.forecasting import points_as_columns

    return points_as_columns(points, law.inputs)


def _show_catalogue(*, output: Path | None, as_json: bool) -> None:
    from isoloss.laws import CATALOGUE, FAMILIES

    laws = list(CATALOGUE.values())
    rows = [(law.name, law.title, law.source) for law in laws]
    listing = table("Laws", ("name", "what it is", "source"), rows, numbers=False)
    families = f"With --inputs and --target, for any columns: {', '.join(FAMILIES)}"
    document = {"laws": [law.to_json() for law in laws], "families": list(FAMILIES)}
    deliver(document, as_json=as_json, output=output, tables=[listing, families])


def _tables(law: Law, document: dict[str, Any]) -> list[Any]:
    counted = {"total": "all parameters", "nonembedding": "parameters without embeddings"}
    lines: list[Any] = [
        law.title,
        verbatim(f"formula  {law.formula}"),
        verbatim(f"LaTeX    {document['latex']}"),
        f"source   {law.source}",
        "reads    " + ", ".join(f"{entry.name} ({entry.unit})" for entry in law.inputs),
        f"predicts {law.target.name} ({law.target.unit})",
    ]
    if "params" in law.columns:
        lines.append(f"N counts {counted.get(law.params, law.params)}")
    if law.remark:
        lines.append(law.remark)
    # Symbols are LaTeX, which terminals do not show.
    target = law.target.symbol if law.target.symbol.isalpha() else law.target.name
    for entry in document["published"]:
        title = f"{law.name}:{entry['name']} ({entry['loss']}; {entry['data']}; {entry['source']})"
        rows = [(key, f"{value!r}") for key, value in entry["parameters"].items()]
        for each in entry["predictions"]:
            *point, predicted = each.values()
            where = ", ".join(map(format_quantity, point))
            rows.append((f"{target}({where})", f"{predicted:.6g}"))
        lines.append(table(title, ("parameter", "value"), rows))
        if entry["warning"]:
            lines.append(f"Careful: {entry['warning']}")
    return lines
