"""`isoloss compare`: which of two or more recipes wins where, how sure, and what it is worth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import isfinite, isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isoloss.cli import arguments as args
from isoloss.cli.law_arguments import find_laws, law_names
from isoloss.cli.output import check_figure, check_output, deliver, progress, remarks, table, warn
from isoloss.errors import InputError
from isoloss.quantities import format_quantity

if TYPE_CHECKING:
    from isoloss.comparing import ComparedPoint, Comparison, Pair
    from isoloss.runs import Runs

_AUTO = "auto"
_RECIPE = "recipe"


def compare_verb(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUNS_A RUNS_B ...",
            help="Tables of runs, one a recipe; or one table with a column recipe.",
        ),
    ],
    at: args.Points = None,
    by: Annotated[
        str | None,
        typer.Option(
            "--by",
            metavar="COLUMN",
            help="Of a single table: the column that names the recipe; recipe by default.",
        ),
    ] = None,
    recipes: Annotated[
        str | None,
        typer.Option(
            "--recipes",
            metavar="A,B,...",
            help="Of a single table: which recipes, the first against each of the others.",
        ),
    ] = None,
    path: Annotated[
        str,
        typer.Option(
            "--path",
            metavar="ratio|optimal",
            help="Compute gain at the point's tokens per parameter, or between compute-optimal "
            "splits.",
        ),
    ] = "ratio",
    law: args.LawNames = None,
    columns: args.Columns = None,
    where: args.Where = None,
    objective: args.ObjectiveName = "squared-log",
    bootstrap: Annotated[
        int,
        typer.Option(
            "--bootstrap",
            metavar="B",
            parser=args.whole_number("--bootstrap", 20, 100_000),
            help="Draws of each law's parameters.",
        ),
    ] = 200,
    level: args.Level = 0.9,
    seed: args.Seed = 0,
    threads: args.Threads = None,
    cluster: args.Cluster = None,
    figure: Annotated[
        Path | None,
        typer.Option("--figure", metavar="FILE", help="Draw the comparison, as SVG or PNG."),
    ] = None,
    output: args.Output = None,
    as_json: args.Json = False,
) -> None:
    """Difference of expected loss, who is better, and gains in compute and data.

    The first recipe is compared with each of the others. Differences are the loss of the first
    minus that of the other; gains say how many times more the other needs.
    """
    check_output(output, *runs)
    points = args.read_plane_points(at)
    names = law_names(law)
    laws = find_laws([name for name in names if name != _AUTO])
    tables = _tables(runs, by, recipes, columns, where)
    from isoloss.comparing import compare_recipes
    from isoloss.laws import CANDIDATES

    if figure is not None:
        check_figure(figure)
    if _AUTO in names and laws:
        laws = [*CANDIDATES, *laws]
    with args.naming(", ".join(map(str, runs))), args.workers(cluster), progress() as bars:
        task = bars.add_task("compare", total=(len(tables) - 1) * len(laws or CANDIDATES))
        result = compare_recipes(
            tables,
            points,
            laws=laws or None,
            path=path,
            objective=objective,
            bootstrap=bootstrap,
            level=level,
            seed=seed,
            threads=threads,
            advance=lambda name: bars.update(task, advance=1, description=name),
        )
    warn(result.notes)
    if figure is not None:
        from isoloss.reporting import save_figure

        save_figure(result.plot(), figure)
    deliver(result.to_json(), as_json=as_json, output=output, tables=comparison_tables(result))


def _tables(
    paths: Sequence[Path],
    by: str | None,
    recipes: str | None,
    columns: str | None,
    where: str | None,
) -> dict[str, Runs]:
    """The runs of each recipe, by its name."""
    if len(paths) == 1:
        return _of_one_table(paths[0], by or _RECIPE, recipes, columns, where)
    for option, given in (("--by", by), ("--recipes", recipes)):
        if given is not None:
            raise InputError(
                "only a single table is split into recipes",
                where=option,
                found=f"{len(paths)} tables",
                expected="one table, or the option left out",
            )
    tables = [args.read_table(path, columns, where) for path in paths]
    for names in (
        [str(each.recipes[0]) if len(each.recipes) == 1 else "" for each in tables],
        [path.stem for path in paths],
        [str(path) for path in paths],
    ):
        if all(names) and max(Counter(names).values()) == 1:
            return dict(zip(names, tables, strict=True))
    raise InputError(
        "the same table twice", found=", ".join(map(str, paths)), expected="different tables"
    )


def _of_one_table(
    path: Path, by: str, recipes: str | None, columns: str | None, where: str | None
) -> dict[str, Runs]:
    from isoloss.comparing import split_recipes
    from isoloss.runs import read_runs

    everything = read_runs(path, columns=args.column_names(columns), where=where, check=False)
    if by == _RECIPE and by not in {*everything.frame.columns, *everything.own_names}:
        raise InputError(
            "nothing to compare with",
            where=str(path),
            found=f"no column {by}",
            expected="a second table, or --by with the column that names the recipe",
        )
    present = split_recipes(everything, by)
    wanted = [name.strip() for name in recipes.split(",")] if recipes else list(present)
    unknown = [name for name in wanted if name not in present]
    if unknown or len(set(wanted)) < 2:
        raise InputError(
            "no such recipe" if unknown else "nothing to compare with",
            where="--recipes",
            found=", ".join(unknown or wanted),
            expected="two or more of " + ", ".join(present),
        )
    own = everything.own_names.get(by, by)
    is_number = everything.frame[own].dtype.is_numeric()
    tables = {}
    for name in wanted:
        # Read again by condition, so that each recipe is judged on its own.
        literal = name if is_number else "'" + name.replace("'", "''") + "'"
        condition = f'"{own}" = {literal}'
        both = f"({where}) and {condition}" if where else condition
        tables[name] = args.read_table(path, columns, both)
    return tables


def comparison_tables(result: Comparison) -> list[Any]:
    """Who is better at each point, what it is worth, and what the laws and runs say."""
    shown: list[Any] = []
    for pair in result.pairs:
        shown += _pair_tables(pair, result)
    return [*shown, *remarks(result.notes)]


def _pair_tables(pair: Pair, result: Comparison) -> list[Any]:
    first, second = pair.recipes
    level = f"{100 * result.level:g} % interval"
    rows = [
        (
            f"{format_quantity(point.params)}:{format_quantity(point.tokens)}",
            f"{point.loss_a:.5g}",
            f"{point.loss_b:.5g}",
            f"{point.difference:+.2g}",
            f"{point.lower:+.2g} to {point.upper:+.2g}",
            _probability(point.probability_a_better),
            point.better,
            _more(point),
        )
        for point in pair.points
    ]
    gains = [
        (
            f"{format_quantity(point.params)}:{format_quantity(point.tokens)}",
            _gain(point.compute_gain),
            _gain_interval(point.compute_gain_interval),
            _gain(point.data_gain),
            _gain_interval(point.data_gain_interval),
        )
        for point in pair.points
    ]
    lines = [
        table(
            f"{first} against {second}: expected loss",
            ("N:D", first, second, "difference", level, f"P({first} better)", "better", "decided"),
            rows,
        ),
        table(
            f"What {second} needs to match {first}",
            ("N:D", "compute", level, "data", level),
            gains,
        ),
    ]
    lines += [
        f"At {crossing.tokens_per_param:.3g} tokens per parameter the order flips at "
        f"N = {format_quantity(crossing.params)}, D = {format_quantity(crossing.tokens)}: beyond "
        f"it {pair.recipes[crossing.better_beyond]} is expected to be better"
        for crossing in pair.crossings
    ]
    trend = pair.measured.trend if pair.measured else None
    if trend is not None:
        lines.append(
            f"Measured size by size, the data gain goes as N^{trend.exponent:.3f} "
            f"({100 * trend.level:g} % interval {trend.lower:.3f} to {trend.upper:.3f})"
        )
    lines.append(table("Laws", ("law", "why"), pair.reasons.items(), numbers=False))
    return lines


def _probability(share: float) -> str:
    """A probability, without calling anything impossible."""
    if not 0.001 <= share <= 0.999:
        return "< 0.1 %" if share < 0.5 else "> 99.9 %"
    return f"{100 * share:.1f} %"


def _gain(value: float) -> str:
    return "never" if isnan(value) else f"{value:.3g}×"


def _gain_interval(ends: tuple[float, float]) -> str:
    if isnan(ends[0]):
        return ""
    low, high = ends
    return f"{low:.3g} to {high:.3g}" if isfinite(high) else f"{low:.3g} or more"


def _more(point: ComparedPoint) -> str:
    if point.more_pairs is None:
        return "not by such runs"
    return f"after {point.more_pairs} more pairs" if point.more_pairs else "yes"
