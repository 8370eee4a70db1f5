"""`isoloss hyperparameters tune`: a kept optimiser over a command, with cost as an objective."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isoloss.cli import arguments as args
from isoloss.cli.hyperparameter_tables import tuning_tables
from isoloss.cli.output import check_figure, check_output, deliver, progress, tell
from isoloss.errors import FitError
from isoloss.quantities import parse_quantity

if TYPE_CHECKING:
    from isoloss.hyperparameters import FrontRelation

Figure = Annotated[
    Path | None, typer.Option("--figure", metavar="FILE", help="Draw it, as SVG or PNG.")
]


def tune_verb(
    command: Annotated[
        str,
        typer.Option(
            "--command",
            metavar="TEXT",
            help="What does a run, with names in braces: 'train --lr {learning_rate}'. It prints "
            'a line such as {"loss": 2.31, "cost": 1e18}; without a cost, seconds count.',
        ),
    ],
    space: Annotated[
        list[str],
        typer.Option(
            "--space",
            metavar="NAME=LOW:HIGH[:log][:int]",
            help="What is tuned, as learning_rate=1e-4:1e-2:log or act=gelu|silu; repeat it.",
        ),
    ],
    trials: Annotated[
        int,
        typer.Option(
            "--trials",
            metavar="N",
            parser=args.whole_number("--trials", 1),
            help="Runs in all, those of earlier sittings included.",
        ),
    ] = 30,
    storage: Annotated[
        Path | None,
        typer.Option(
            "--storage", metavar="FILE", help="SQLite file that keeps the study, to go on later."
        ),
    ] = None,
    at_cost: Annotated[
        list[str] | None,
        typer.Option("--at-cost", metavar="C", help="Say what to expect at this cost; repeat it."),
    ] = None,
    level: args.Level = 0.9,
    seed: args.Seed = 0,
    figure: Figure = None,
    output: args.Output = None,
    as_json: args.Json = False,
) -> None:
    """Tune the hyperparameters of a command, and say how the best ones go with cost."""
    check_output(output)
    check_figure(figure)
    from isoloss.hyperparameters import Tuning, check_template, parse_space, run_command

    variables = parse_space(space)
    check_template(command, variables)
    costs = [parse_quantity(text, where="--at-cost") for text in at_cost or ()]
    tuning = Tuning(variables, storage=storage, seed=seed)
    before = len(tuning.trials)
    if before:
        tell(f"{storage}: goes on after {before} finished trials")
    with progress() as bars:
        task = bars.add_task("tune", total=max(trials - before, 0))
        tuning.run(
            lambda suggestion: run_command(command, suggestion.values),
            trials,
            lambda count: bars.advance(task, count),
        )
    done, front = tuning.trials, tuning.front
    if not front:
        raise FitError(f"all {len(done)} runs failed: try the command by hand")
    relations: tuple[FrontRelation, ...] = ()
    lines: list[str] = []
    try:
        relations = tuning.relations()
    except FitError as error:
        lines.append(f"note: {error}")
    document = {
        "n_trials": len(done),
        "n_failed": sum(not trial.succeeded for trial in done),
        "front": [trial.to_json() for trial in front],
        "best": min(front, key=lambda trial: trial.loss).to_json(),
        "relations": [relation.to_json(level) for relation in relations],
        "level": level,
        "expected": [_expected(relations, cost, level) for cost in costs],
    }
    if figure is not None:
        from isoloss.reporting import save_figure
        from isoloss.reporting.hyperparameters import front_figure

        save_figure(front_figure(done, front), figure)
    deliver(
        document,
        as_json=as_json,
        output=output,
        tables=[*tuning_tables(front, variables, relations, costs, level), *lines],
    )


def _expected(relations: Sequence[FrontRelation], cost: float, level: float) -> dict[str, Any]:
    reach = max((cost / each.covered[1] for each in relations), default=float("nan"))
    return {
        "cost": cost,
        "beyond": max(reach, 1.0),
        "values": {each.variable.name: each.at(cost) for each in relations},
        "intervals": {each.variable.name: list(each.interval(cost, level)) for each in relations},
        "cut_off": [each.variable.name for each in relations if each.leaves_range(cost)],
    }
