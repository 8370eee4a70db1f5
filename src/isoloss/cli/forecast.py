"""`isoloss forecast`: the loss of a run that was not made, by every suitable law."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isoloss.cli import arguments as args
from isoloss.cli.law_arguments import OwnLaw, law_names, wanted_laws
from isoloss.cli.output import check_output, deliver, progress, warn
from isoloss.cli.predict import prediction_tables

if TYPE_CHECKING:
    from isoloss.forecasting import Point
    from isoloss.laws import Law

_AUTO = "auto"


def forecast_verb(
    runs: args.RunsFile,
    at: args.Points = None,
    law: args.LawNames = None,
    formula: args.Formula = None,
    bounds: args.Bounds = None,
    target: args.TargetName = None,
    columns: args.Columns = None,
    where: args.Where = None,
    objective: args.ObjectiveName = "huber",
    bootstrap: args.Bootstrap = 100,
    level: args.Level = 0.9,
    seed: args.Seed = 0,
    threads: args.Threads = None,
    cluster: args.Cluster = None,
    output: args.Output = None,
    as_json: args.Json = False,
) -> None:
    """Predict runs by every law that the table can carry, weighed by backtests on the table.

    Points N:D are predicted by the laws of N and D, points that name other columns, as in
    params=7B:tokens=1T:unique_tokens=50B, by those that read them.
    """
    check_output(output, runs)
    points = args.read_points(at)
    own = OwnLaw(formula, bounds, _read_by(formula, points), target if formula else None)
    laws = _candidates(law_names(law), own, points, target or "loss")
    table_of_runs = args.read_table(runs, columns, where, laws)
    import isoloss

    with args.naming(runs), args.workers(cluster), progress() as bars:
        task = bars.add_task("forecast", total=len(laws))
        result = isoloss.forecast(
            table_of_runs,
            points,
            laws=laws,
            objective=objective,
            bootstrap=bootstrap,
            level=level,
            seed=seed,
            threads=threads,
            advance=lambda name: bars.update(task, advance=1, description=name),
        )
    warn(result.notes, source=runs)
    deliver(result.to_json(), as_json=as_json, output=output, tables=prediction_tables(result))


def _read_by(formula: str | None, points: list[Point]) -> str | None:
    """The columns of the points that a formula reads beside N and D."""
    from isoloss.forecasting import names_of_points
    from isoloss.laws.formula import names_in

    if formula is None:
        return None
    used = set(names_in(formula)) - {"params", "tokens"}
    return ",".join(name for name in names_of_points(points) if name in used)


def _candidates(names: list[str], own: OwnLaw, points: list[Point], target: str) -> list[Law]:
    """The laws to weigh: those asked for, of which `auto` stands for the usual ones."""
    from isoloss.forecasting import names_of_points
    from isoloss.laws import candidates_for

    others = wanted_laws([name for name in names if name != _AUTO], own)
    if others and _AUTO not in names:
        return others
    return [*candidates_for(names_of_points(points), target), *others]
