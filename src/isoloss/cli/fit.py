"""`isoloss fit`: fit one law."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from isoloss.cli import arguments as args
from isoloss.cli.output import check_output, deliver, progress, remarks, table, warn
from isoloss.errors import InputError

if TYPE_CHECKING:
    from isoloss.fitting import Fit


def fit_verb(
    runs: args.RunsFile,
    law: args.LawName = None,
    columns: args.Columns = None,
    where: args.Where = None,
    weights: args.Weights = None,
    objective: args.ObjectiveName = "huber",
    method: args.Method = "joint",
    bootstrap: args.Bootstrap = 200,
    resample: args.Resample = "pairs",
    level: args.Level = 0.9,
    seed: args.Seed = 0,
    threads: args.Threads = None,
    cluster: args.Cluster = None,
    output: args.Output = None,
    as_json: args.Json = False,
) -> None:
    """Fit one law to a table of runs (default farseer)."""
    check_output(output, runs)
    laws = args.find_laws(law or ["farseer"])
    if len(laws) != 1:
        raise InputError(
            "fit takes one law",
            where="--law",
            found=str(len(laws)),
            expected="one; backtest and forecast compare several",
        )
    table_of_runs = args.read_table(runs, columns, where)
    import isoloss
    from isoloss.fitting import DEFAULT_STARTS, fit_to_document

    with args.naming(runs), args.workers(cluster), progress() as bars:
        task = bars.add_task(f"fit {laws[0].name}", total=DEFAULT_STARTS + bootstrap)
        fitted = isoloss.fit(
            table_of_runs,
            laws[0],
            objective=objective,
            method=method,
            weights=weights,
            bootstrap=bootstrap,
            resample=resample,
            seed=seed,
            threads=threads,
            advance=lambda count: bars.advance(task, count),
        )
    warn(fitted.all_notes(), source=runs)
    intervals = {name: list(pair) for name, pair in fitted.intervals(level).items()}
    spread = {"intervals": intervals, "level": level}
    deliver(
        {**fitted.to_json(), **spread},
        as_json=as_json,
        output=output,
        tables=_tables(fitted, level),
        saved={**fit_to_document(fitted), **spread} if output else None,
    )


def _tables(fitted: Fit, level: float) -> list[Any]:
    intervals = fitted.intervals(level)
    columns = ["parameter", "value"]
    rows = [[name, f"{value:.8g}"] for name, value in fitted.parameters.items()]
    if intervals:
        columns.append(f"{100 * level:g} % interval")
        for row in rows:
            low, high = intervals[row[0]]
            row.append(f"{low:.6g} to {high:.6g}")
    search = fitted.search
    found = (
        "fitted in stages: no minimum of the objective is sought"
        if fitted.method == "staged"
        else f"{fitted.status.value}: {search.reached_best} of {search.starts} starts ended in "
        f"the best optimum{_next_optimum(search.next_gap)}"
    )
    return [
        table(fitted.law.title, columns, rows),
        f"{fitted.objective.name} objective {fitted.objective_value:.8g} on {fitted.n_runs} runs; "
        f"in-sample error {100 * fitted.mean_abs_rel_error:.3f} %",
        found,
        *remarks(fitted.all_notes()),
    ]


def _next_optimum(gap: float | None) -> str:
    return "" if gap is None else f"; the next one is {100 * gap:.3g} % higher"
