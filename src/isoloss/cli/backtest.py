"""`isoloss backtest`: fit a part of a table, predict the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from isoloss.cli import arguments as args
from isoloss.cli.law_arguments import OwnLaw, law_names, listed, wanted_laws
from isoloss.cli.output import check_output, deliver, progress, remarks, table, warn

if TYPE_CHECKING:
    from isoloss.forecasting import Backtest
    from isoloss.laws import Law

_AUTO = "auto"


def backtest_verb(
    runs: args.RunsFile,
    hold_out: args.HoldOut = None,
    law: args.LawNames = None,
    formula: args.Formula = None,
    bounds: args.Bounds = None,
    inputs: args.Inputs = None,
    target: args.TargetName = None,
    signed: args.Signed = None,
    higher_is_better: args.HigherIsBetter = False,
    columns: args.Columns = None,
    where: args.Where = None,
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
    """Fit on a part of a table and predict what was held out, for each law and for auto.

    Without --hold-out, the cheapest 40, 55, 70 and 85 % of the runs predict the dearer ones; where
    neither N, D nor FLOPs tell which are cheap, each fifth is predicted from the other four. With
    --inputs, and --target, auto weighs the laws that predict the one from the others.
    """
    check_output(output, runs)
    has_formula = formula is not None
    wanted = law_names(law) or ([] if has_formula else [_AUTO])
    weighed = _AUTO in wanted
    # What a formula reads beside N and D is not for the laws of the catalogue.
    told = listed(None if has_formula else inputs) or ["params", "tokens"]
    predicted = (None if has_formula else target) or "loss"
    usual = _usual(told, predicted) if weighed else []
    if law or has_formula or bounds or signed or higher_is_better:
        read, sought = (inputs, target) if has_formula else (None, None)
        own = OwnLaw(formula, bounds, read, sought, signed, higher_is_better)
        named = wanted_laws([name for name in wanted if name != _AUTO], own, weighed=weighed)
    else:
        named = usual
    laws: list[Law | str] = [*([_AUTO] if weighed else []), *named]
    table_of_runs = args.read_table(runs, columns, where, [*named, *usual])
    import isoloss

    with args.naming(runs), args.workers(cluster), progress() as bars:
        task = bars.add_task("backtest", total=None)
        result = isoloss.backtest(
            table_of_runs,
            hold_out,
            laws=laws,
            inputs=told,
            target=predicted,
            objective=objective,
            method=method,
            bootstrap=bootstrap,
            level=level,
            seed=seed,
            threads=threads,
            advance=lambda name: bars.update(task, advance=1, description=name),
        )
    warn(result.notes, source=runs)
    deliver(result.to_json(), as_json=as_json, output=output, tables=backtest_tables(result))


def _usual(inputs: list[str], target: str) -> list[Law]:
    from isoloss.laws import candidates_for

    return list(candidates_for(inputs, target))


def backtest_tables(result: Backtest) -> list[Any]:
    """The errors of each law on the held-out runs, smallest first, and why others are missing."""
    rows = []
    summaries = {name: held_out.to_json() for name, held_out in result.held_out.items()}
    for name in sorted(summaries, key=lambda name: summaries[name]["mean_abs_rel_error"]):
        summary = summaries[name]
        errors = ("mean_abs_rel_error", "mean_rel_error", "max_abs_rel_error")
        rows.append(
            (
                name,
                *(f"{100 * summary[error]:.3f} %" for error in errors),
                f"{100 * summary['coverage']:.0f} %",
            )
        )
    title = f"Fitted {result.n_fit} runs, predicted {result.n_held_out}"
    level = f"inside {100 * result.level:g} % interval"
    columns = ("law", "mean |error|", "mean error", "largest |error|", level)
    tables = [table(title, columns, rows)]
    if result.refused:
        tables.append(table("Left out", ("law", "why"), result.refused.items(), numbers=False))
    return [*tables, *remarks(result.notes)]
