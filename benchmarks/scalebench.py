"""What the laws explain of the test regions of ScaleBench, fitted to all training rows.

    .venv/bin/python benchmarks/scalebench.py [--only TASK]

The tables are those of "Spend Less, Fit Better" (arXiv:2604.22753) in ../shared/data/scalebench.
Every law is fitted to the rows of train and predicts those of test. R2 is 1 - SS_res/SS_tot,
clipped to [-1, 1]: "by group" over the test rows of one group and one predicted column, averaged
over these (in `domain_mixture` the five losses of each of four sizes), and "of all rows" over the
test rows of all groups and columns together. "Asked" is the row "All Data" of the benchmark, which
its authors' code computes of all rows and averages over their laws. For `sparsity` their four laws
are fitted here too, to show that: 0.37 of all rows is what comes out, far below zero by group.

The objective of each law, and one law of each task ("chosen"), are those that predict best what
is held out of train: its dearest rows from the cheaper ones, or, where sizes are too few or the
test rows lie amid the others, each fifth from the other four. Test rows only measure. "auto" is
`isoloss.forecast` from the columns of the task: the laws of the catalogue that read them, weighed
by their backtests on train, with the usual objective. The exit status is 1 if no law of a task
reaches what is asked, of all rows.
"""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import dataclass

import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table
from scalebench_tasks import (
    REFERENCE_BOUNDS,
    REFERENCE_FORMS,
    Contestant,
    Task,
    tasks,
)

import isoloss
from isoloss.arrays import Array, Mask
from isoloss.errors import FitError
from isoloss.fitting import fit
from isoloss.laws import Law, law_from_formula
from isoloss.runs import read_runs

OBJECTIVES = ("huber", "huber:0.01", "squared-log")
_FOLDS = 5


@dataclass(frozen=True)
class Entry:
    """What one law reaches.

    Attributes:
        law: its name.
        objective: the one that predicts best what is held out of train.
        held_out: R2 on that.
        explained: R2 on test by group and column, averaged.
        together: R2 on test of all rows.
        by_part: R2 of each group and column.
        converged: test rows that a converged fit predicts, of how many.
    """

    law: str
    objective: str
    held_out: float
    explained: float
    together: float
    by_part: dict[str, float]
    converged: tuple[int, int]


def r_squared(predicted: Array, measured: Array) -> float:
    """Share of the variance explained, clipped to [-1, 1]."""
    if not np.all(np.isfinite(predicted)):
        return -1.0
    total = float(np.sum((measured - measured.mean()) ** 2))
    return float(np.clip(1.0 - np.sum((predicted - measured) ** 2) / total, -1.0, 1.0))


def of_all_rows(laws: tuple[Law, ...], points: pl.DataFrame, predicted: list[Array]) -> float:
    """R2 of all groups and predicted columns together."""
    measured = [points[law.target.name].to_numpy() for law in laws]
    return r_squared(np.concatenate(predicted), np.concatenate(measured))


def splits(task: Task, train: pl.DataFrame) -> list[Mask]:
    """Rows of train to fit, so that the others are predicted."""
    if not task.ladder:
        fold = np.random.default_rng(0).permutation(train.height) % _FOLDS
        return [fold != each for each in range(_FOLDS)]
    dearness = np.prod([train[name].to_numpy() for name in task.ladder], axis=0)
    return [dearness < np.quantile(dearness, share) for share in task.shares]


def predict(law: Law, objective: str, train: pl.DataFrame, points: pl.DataFrame) -> Array:
    """Predictions for points of a law fitted to train; NaN where the fit did not converge."""
    own = fit(read_runs(train, required=law.columns), law, objective=objective, starts=32)
    if not own.converged:
        return np.full(points.height, np.nan)
    return own.surface.predict(**{each.name: points[each.name].to_numpy() for each in law.inputs})


def by_group(
    law: Law, objective: str, pooled: bool, train: pl.DataFrame, points: pl.DataFrame
) -> Array:
    """Predictions for points, of one fit to each group unless pooled."""
    if pooled:
        return predict(law, objective, train, points)
    predicted = np.empty(points.height)
    for group in points["group"].unique():
        own = (points["group"] == group).to_numpy()
        rows = train.filter(pl.col("group") == group)
        predicted[own] = predict(law, objective, rows, points.filter(own))
    return predicted


def parts(law: Law, points: pl.DataFrame, predicted: Array) -> dict[str, float]:
    """R2 of each group."""
    measured = points[law.target.name].to_numpy()
    found = {}
    for group in points["group"].unique(maintain_order=True):
        own = (points["group"] == group).to_numpy()
        found[f"{group} {law.target.name}"] = r_squared(predicted[own], measured[own])
    return found


def held_out(contestant: Contestant, objective: str, task: Task, train: pl.DataFrame) -> float:
    """R2 on the rows held out of train, those of all splits together, averaged over parts."""
    found: dict[str, float] = {}
    for law in contestant.laws:
        fitted = splits(task, train)
        predicted = [
            by_group(law, objective, contestant.pooled, train.filter(mask), train.filter(~mask))
            for mask in fitted
        ]
        rows = pl.concat([train.filter(~mask) for mask in fitted])
        found |= parts(law, rows, np.concatenate(predicted))
    return float(np.mean(list(found.values())))


def reference(task: Task) -> list[tuple[float, float]]:
    """R2 on test of each law of the benchmark, of all rows and by group."""
    train, test = task.read("train"), task.read("test")
    found = []
    for form in REFERENCE_FORMS:
        bounds = {
            name: ends for name, ends in REFERENCE_BOUNDS.items() if re.search(rf"\b{name}\b", form)
        }
        law = law_from_formula(form, bounds=bounds, inputs=("sparsity", "active_params"))
        predicted = by_group(law, "squared", False, train, test)
        by_part = parts(law, test, predicted)
        found.append(
            (of_all_rows((law,), test, [predicted]), float(np.mean(list(by_part.values()))))
        )
    return found


def weighed(task: Task) -> tuple[dict[str, float], float, list[str]]:
    """R2 of `auto` on test, by group and column and of all rows, and the weights behind each."""
    train, test = task.read("train"), task.read("test")
    inputs = list(dict.fromkeys(each.name for each in task.inputs))
    found: dict[str, float] = {}
    told, every = [], []
    for law in task.contestants[0].laws:
        predicted = np.full(test.height, np.nan)
        parted = [None] if task.pooled else test["group"].unique(maintain_order=True).to_list()
        for group in parted:
            own = pl.lit(True) if group is None else pl.col("group") == group
            rows, points = train.filter(own), test.filter(own)
            required = {each.name: each.positive for each in task.inputs}
            runs = read_runs(rows, required={**required, law.target.name: law.target.positive})
            try:
                forecast = isoloss.forecast(
                    runs,
                    points.select(inputs).to_dicts(),
                    target=law.target.name,
                    objective="huber" if law.target.positive else "squared",
                    bootstrap=0,
                )
            except FitError as error:
                told.append(str(error))
                continue
            place = np.ones(test.height, dtype=bool) if group is None else test["group"] == group
            predicted[np.asarray(place)] = [each.value for each in forecast.predictions]
            shares = ", ".join(f"{name} {share:.2f}" for name, share in forecast.weights.items())
            told.append(f"{group or 'all'} {law.target.name}: {shares}")
        found |= parts(law, test, predicted)
        every.append(predicted)
    return found, of_all_rows(task.contestants[0].laws, test, every), told


def examine(contestant: Contestant, task: Task) -> Entry:
    """Choose the objective on train, then measure on test."""
    train, test = task.read("train"), task.read("test")
    tried = OBJECTIVES if contestant.laws[0].target.positive else ("squared",)
    scores = {objective: held_out(contestant, objective, task, train) for objective in tried}
    best = max(scores, key=lambda objective: scores[objective])
    found: dict[str, float] = {}
    every = []
    for law in contestant.laws:
        every.append(by_group(law, best, contestant.pooled, train, test))
        found |= parts(law, test, every[-1])
    converged = int(np.isfinite(every).sum())
    return Entry(
        contestant.name,
        best,
        scores[best],
        float(np.mean(list(found.values()))),
        of_all_rows(contestant.laws, test, every),
        found,
        (converged, test.height * len(contestant.laws)),
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="tasks whose name holds this text")
    parser.add_argument("--auto", action="store_true", help="weigh laws only, try none alone")
    given = parser.parse_args()
    console = Console(width=140)
    shown = Table(title="R2 on the test rows of ScaleBench")
    numbers = ("held out of train", "by group", "of all rows", "asked")
    for name in ("task", "law", "objective", *numbers, ""):
        shown.add_column(name, justify="right" if name in numbers else "left")
    short = []
    for task in tasks():
        if given.only not in task.name:
            continue
        alone = () if given.auto else task.contestants
        entries = [examine(contestant, task) for contestant in alone]
        chosen = max(entries, key=lambda entry: entry.held_out, default=None)
        best = max(entries, key=lambda entry: entry.together, default=None)
        if best is not None and best.together < task.asked:
            short.append(f"{task.name}: {best.together:.3f} of {task.asked}")
        for entry in entries:
            marks = [word for word, one in (("chosen", chosen), ("best", best)) if one is entry]
            shown.add_row(
                task.name,
                entry.law,
                entry.objective,
                f"{entry.held_out:.3f}",
                f"{entry.explained:.3f}",
                f"{entry.together:.3f}",
                f"{task.asked}",
                ", ".join(marks),
            )
            console.print(f"{task.name}, {entry.law}: {describe(entry)}", style="dim")
        if alone and task.name == "sparsity":
            show_reference(task, console)
        by_part, together, told = weighed(task)
        reached = float(np.mean(list(by_part.values())))
        reaching = (f"{reached:.3f}", f"{together:.3f}", f"{task.asked}")
        shown.add_row(task.name, "auto", "", "", *reaching, end_section=True)
        for line in told:
            console.print(f"{task.name}, auto, {line}", style="dim")
    console.print(shown)
    for line in short:
        console.print(f"below what is asked: {line}")
    return 1 if short else 0


def show_reference(task: Task, console: Console) -> None:
    """Print what the benchmark's own laws reach, by both measures."""
    found = reference(task)
    listed = ", ".join(f"{together:.3f} ({by_part:.3f})" for together, by_part in found)
    means = np.mean(found, axis=0)
    console.print(
        f"{task.name}, the benchmark's laws, of all rows (by group): {listed}; "
        f"mean {means[0]:.3f} ({means[1]:.3f})"
    )


def describe(entry: Entry) -> str:
    """R2 of each part, and whether a fit failed."""
    converged, predicted = entry.converged
    text = ", ".join(f"{name} {value:.2f}" for name, value in entry.by_part.items())
    return text if converged == predicted else f"{text} ({converged} of {predicted} predicted)"


if __name__ == "__main__":
    sys.exit(main())
