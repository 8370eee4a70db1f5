"""`isoloss fit`: fit one law."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isoloss.cli import arguments as args
from isoloss.cli.law_arguments import OwnLaw, law_names, wanted_laws
from isoloss.cli.output import check_output, deliver, progress, remarks, table, warn
from isoloss.errors import InputError

if TYPE_CHECKING:
    from isoloss.fitting import Fit, Profile, Search

Profiled = Annotated[
    bool,
    typer.Option("--profile", help="Bound each parameter by its profile likelihood."),
]


def fit_verb(
    runs: args.RunsFile,
    law: args.LawName = None,
    formula: args.Formula = None,
    bounds: args.Bounds = None,
    inputs: args.Inputs = None,
    target: args.TargetName = None,
    signed: args.Signed = None,
    higher_is_better: args.HigherIsBetter = False,
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
    profile: Profiled = False,
    output: args.Output = None,
    as_json: args.Json = False,
) -> None:
    """Fit one law to a table of runs (default farseer)."""
    check_output(output, runs)
    own = OwnLaw(formula, bounds, inputs, target, signed, higher_is_better)
    from isoloss.laws import DEFAULT_LAW

    laws = wanted_laws(law_names(law) or ([] if formula else [DEFAULT_LAW]), own)
    if len(laws) != 1:
        raise InputError(
            "fit takes one law",
            where="--law",
            found=str(len(laws)),
            expected="one; backtest and forecast compare several",
        )
    if profile and method == "staged":
        raise InputError(
            "a staged fit is no minimum for a profile to rise from",
            where="--profile",
            found="--method staged",
            expected="--method joint",
        )
    table_of_runs = args.read_table(runs, columns, where, laws)
    import isoloss
    from isoloss.fitting import default_starts, fit_to_document, profiles

    starts = default_starts(len(laws[0].parameters))
    with args.naming(runs), args.workers(cluster), progress() as bars:
        task = bars.add_task(f"fit {laws[0].name}", total=starts + bootstrap)
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
        profiled: tuple[Profile, ...] = ()
        if profile and fitted.converged:
            profiled = profiles(fitted, level=level, threads=threads)
    warn(fitted.all_notes(), source=runs)
    intervals = {name: list(pair) for name, pair in fitted.intervals(level).items()}
    spread: dict[str, Any] = {"intervals": intervals, "level": level}
    if profile:
        spread["profiles"] = [each.to_json() for each in profiled]
    deliver(
        {**fitted.to_json(), **spread},
        as_json=as_json,
        output=output,
        tables=_tables(fitted, level, profiled),
        saved={**fit_to_document(fitted), **spread} if output else None,
    )


def _tables(fitted: Fit, level: float, profiled: Sequence[Profile]) -> list[Any]:
    return [
        _parameters(fitted, level),
        f"{fitted.objective.name} objective {fitted.objective_value:.8g} on {fitted.n_runs} runs; "
        f"in-sample error {100 * fitted.mean_abs_rel_error:.3f} %",
        _convergence(fitted),
        _certainty(fitted),
        *_other_optima(fitted.search),
        *_profiles(fitted, profiled),
        *(f"note: {each.sentence}" for each in fitted.identifiability.combinations),
        *remarks(fitted.all_notes()),
    ]


def _parameters(fitted: Fit, level: float) -> Any:
    intervals = fitted.intervals(level)
    columns = ["parameter", "value"]
    rows = [[name, f"{value:.8g}"] for name, value in fitted.parameters.items()]
    if intervals:
        columns.append(f"{100 * level:g} % interval")
        for row in rows:
            low, high = intervals[row[0]]
            row.append(f"{low:.6g} to {high:.6g}")
    return table(fitted.law.title, columns, rows)


def _convergence(fitted: Fit) -> str:
    if fitted.method == "staged":
        return "fitted in stages: no minimum of the objective is sought"
    search = fitted.search
    return (
        f"{fitted.status.value}: {search.reached_best} of {search.starts} starts ended in the best "
        f"optimum, where the relative gradient is {search.gradient:.0e}{_next_optimum(search)}"
    )


def _next_optimum(search: Search) -> str:
    return (
        "" if search.next_gap is None else f"; the next one is {100 * search.next_gap:.3g} % higher"
    )


def _certainty(fitted: Fit) -> str:
    from isoloss.fitting.identifiability import WEAK_CONDITION, number_text

    replicates = (
        f"{fitted.n_replicates} of {fitted.n_bootstrap} replicates converged; "
        if fitted.n_bootstrap
        else ""
    )
    condition = fitted.identifiability.condition
    verdict = "too high" if condition > WEAK_CONDITION else "sound"
    return (
        f"{replicates}condition number {number_text(condition, 2)}, {verdict} "
        f"(limit {number_text(WEAK_CONDITION, 2)})"
    )


def _other_optima(search: Search) -> list[Any]:
    if not search.others:
        return []
    columns = ["higher by", "starts", *search.others[0].parameters]
    rows = [
        [
            f"{100 * each.excess:.3g} %",
            str(each.starts),
            *(f"{value:.4g}" for value in each.parameters.values()),
        ]
        for each in search.others
    ]
    return [table("Other optima that starts ended in", columns, rows)]


def _profiles(fitted: Fit, profiled: Sequence[Profile]) -> list[Any]:
    if not profiled:
        return []
    rows = [[each.parameter, f"{each.fitted:.8g}", each.sentence] for each in profiled]
    shown = table(
        "Profiles: one parameter held, the others refitted",
        ("parameter", "value", "what the data say"),
        rows,
        numbers=False,
    )
    own = [each.parameter for each in profiled if each.parameter not in fitted.parameters]
    if not own:
        return [shown]
    return [shown, f"{', '.join(own)}: coordinates in which the law is fitted"]
