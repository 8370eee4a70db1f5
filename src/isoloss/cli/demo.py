"""`isoloss demo`: our own sweep, forecast from its cheaper half, beside what it really gave."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isoloss.cli import arguments as args
from isoloss.cli.backtest import backtest_tables
from isoloss.cli.output import check_output, emit, progress, show, table, to_text
from isoloss.cli.plan_tables import allocation_tables
from isoloss.cli.predict import prediction_tables
from isoloss.cli.report import study_document, warn_of_study, write_study
from isoloss.quantities import format_quantity

if TYPE_CHECKING:
    from isoloss.forecasting.backtest import HeldOut
    from isoloss.reporting.study import Study

# About half of the runs of each recipe lie below.
HELD_OUT = "flops > 1.5e12"
# A run that nobody has made: four times the largest size, on the whole of the text.
TARGET = (4e6, 3.1e7)
# So many held-out runs are shown one by one.
SHOWN = 8
AUTO = "auto"


def demo_verb(
    context: typer.Context,
    recipe: Annotated[
        str, typer.Option("--recipe", metavar="adamw|muon", help="Whose report is written.")
    ] = "adamw",
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="The HTML report.")
    ] = Path("isoloss-demo.html"),
    seed: args.Seed = 0,
    threads: args.Threads = None,
    as_json: args.Json = False,
) -> None:
    """Our own sweep: fit the cheaper half, forecast the dearer, compare with what it gave."""
    check_output(output)
    import isoloss
    from isoloss.laws import CANDIDATES
    from isoloss.reporting.study import make_study
    from isoloss.reporting.style import require_matplotlib
    from isoloss.runs import RECIPES

    isoloss.demo_runs(recipe)  # an unknown recipe is better known at once
    require_matplotlib()
    studies: dict[str, Study] = {}
    with progress() as bars:
        task = bars.add_task("demo", total=2 * len(RECIPES) * len(CANDIDATES))
        for name in RECIPES:
            studies[name] = make_study(
                isoloss.demo_runs(name),
                HELD_OUT,
                points=[TARGET],
                budgets=[6 * TARGET[0] * TARGET[1]],
                seed=seed,
                threads=threads,
                advance=lambda law: bars.update(task, advance=1, description=law),
            )
    chosen = studies[recipe]
    warn_of_study(chosen, chosen.runs.source)
    title = f"Isoloss demo: {recipe}, 6K to 1M parameters"
    write_study(chosen, output, title=title, words=context.obj, loss_unit="nats/byte")
    if as_json:
        documents = {name: study_document(each, output) for name, each in studies.items()}
        emit(to_text({"recipes": documents, "order": _order(studies), "report": str(output)}))
    else:
        show(_tables(studies, chosen, output))


def _tables(studies: Mapping[str, Study], chosen: Study, output: Path) -> list[Any]:
    shown: list[Any] = [
        "Decoders of 6K to 1M parameters on the sources of Python's standard library, trained by "
        "AdamW and by Muon; N without embeddings, loss in nats/byte.",
    ]
    for name, study in studies.items():
        if study.backtest and AUTO in study.backtest.held_out:
            level = f"{100 * study.backtest.level:g} % interval"
            columns = ("N:D", "predicted", level, "measured", "error")
            title = f"{name}: the dearest runs, predicted by auto from the cheaper half"
            shown.append(table(title, columns, _dearest(study.backtest.held_out[AUTO])))
            shown += backtest_tables(study.backtest)
    order = _order(studies)
    shown.append(
        f"{order['better_in_truth']} is better in most of the {order['cells']} cells held out of "
        f"both; the forecasts name the better recipe in {order['named_rightly']} of them."
    )
    if chosen.forecast:
        shown += prediction_tables(chosen.forecast)
    if chosen.allocations:
        shown += allocation_tables(chosen.allocations[0])
    # Each part repeats what there is to say about the runs.
    return list(dict.fromkeys([*shown, f"Report: {output}"]))


def _dearest(held_out: HeldOut) -> list[tuple[str, ...]]:
    """The dearest held-out runs, one row each, the dearest last."""
    import numpy as np

    params, tokens = held_out.inputs["params"], held_out.inputs["tokens"]
    return [
        (
            f"{format_quantity(params[row])}:{format_quantity(tokens[row])}",
            f"{held_out.predicted[row]:.4f}",
            f"{held_out.lower[row]:.4f} to {held_out.upper[row]:.4f}",
            f"{held_out.measured[row]:.4f}",
            f"{100 * held_out.rel_error[row]:+.2f} %",
        )
        for row in np.argsort(params * tokens, kind="stable")[-SHOWN:]
    ]


def _order(studies: Mapping[str, Study]) -> dict[str, Any]:
    """Which recipe is better where both were held out, in truth and by the forecasts."""
    import numpy as np

    cells: list[dict[tuple[float, float], tuple[float, float]]] = []
    for study in studies.values():
        assert study.backtest is not None
        auto = study.backtest.held_out[AUTO]
        places = zip(auto.inputs["params"].tolist(), auto.inputs["tokens"].tolist(), strict=True)
        losses = zip(auto.measured.tolist(), auto.predicted.tolist(), strict=True)
        cells.append(dict(zip(places, losses, strict=True)))
    shared = [place for place in cells[0] if place in cells[1]]
    gains = np.array([np.subtract(cells[0][place], cells[1][place]) for place in shared])
    first, second = studies
    return {
        "cells": len(shared),
        "better_in_truth": second if np.mean(gains[:, 0] > 0) > 0.5 else first,
        "named_rightly": int(np.sum((gains[:, 0] > 0) == (gains[:, 1] > 0))),
    }
