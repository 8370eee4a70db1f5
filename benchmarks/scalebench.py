"""What the laws explain of the test regions of ScaleBench, fitted to all training rows.

    .venv/bin/python benchmarks/scalebench.py [--only TASK]

The tables are those of "Spend Less, Fit Better" (arXiv:2604.22753) in ../shared/data/scalebench.
Every law is fitted to the rows of train and predicts those of test. R2 is 1 - SS_res/SS_tot over
the test rows of one group and one predicted column, clipped to [-1, 1], and averaged over these;
in `domain_mixture` these are the five losses of each of four sizes. "Asked" is the row "All Data"
of the benchmark.

The objective of each law, and one law of each task ("chosen"), are those that predict best what
is held out of train: its dearest rows from the cheaper ones, or, where sizes are too few or the
test rows lie amid the others, each fifth from the other four. Test rows only measure. "auto" is
`isoloss.forecast` from the columns of the task: the laws of the catalogue that read them, weighed
by their backtests on train, with the usual objective. The exit status is 1 if no law of a task
reaches what is asked.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from public_tables import FOLDER
from rich.console import Console
from rich.table import Table

import isoloss
from isoloss.arrays import Array, Mask
from isoloss.errors import FitError
from isoloss.fitting import fit
from isoloss.laws import Input, Law
from isoloss.laws.diffusion import REPEATED_DIFFUSION
from isoloss.laws.experts import COUPLED_EXPERTS, EFFECTIVE_EXPERTS, ROUTED
from isoloss.laws.learning_rate_surface import (
    LEARNING_RATE_SURFACE,
    TILTED_LEARNING_RATE_SURFACE,
)
from isoloss.laws.mixing import mixing_law
from isoloss.laws.own_share import own_share_law
from isoloss.laws.parallel_scaling import PARALLEL_POWER, PARALLEL_SCALING
from isoloss.laws.repeated_data import REPEATED_DATA
from isoloss.laws.upcycling import UPCYCLED, UPCYCLED_COUPLED, UPCYCLED_DENSE, UPCYCLED_SIZE
from isoloss.laws.vocabulary import VOCABULARY_DILUTING, VOCABULARY_OF_TEXT
from isoloss.runs import read_runs

OBJECTIVES = ("huber", "huber:0.01", "squared-log")
# The sweeps count batches in sequences of so many tokens.
SEQUENCE = 2048
_FOLDS = 5
_DOMAINS = tuple(f"proportion_domain_{index}" for index in range(1, 6))
_DOMAIN_LOSSES = tuple(f"loss_domain_{index}" for index in range(1, 6))


@dataclass(frozen=True)
class Contestant:
    """A law for each predicted column.

    Attributes:
        laws: by predicted column.
        pooled: whether one fit serves all groups.
    """

    laws: tuple[Law, ...]
    pooled: bool = False

    @property
    def name(self) -> str:
        """Name of its laws, which have the same."""
        return self.laws[0].name


@dataclass(frozen=True)
class Task:
    """One pair of tables.

    Attributes:
        name: of the task and its files.
        asked: the R2 to reach.
        columns: our name of each column of the files that is read.
        factors: what columns are multiplied by to count in units of one.
        contestants: laws to try.
        ladder: column or product of columns by which rows become dear; empty for fifths.
        shares: quantiles of the ladder, below which rows are fitted to predict the others.
    """

    name: str
    asked: float
    columns: dict[str, str]
    contestants: tuple[Contestant, ...]
    ladder: tuple[str, ...] = ()
    shares: tuple[float, ...] = (0.8,)
    factors: tuple[tuple[str, float], ...] = ()

    @property
    def inputs(self) -> tuple[Input, ...]:
        """What the laws of the first predicted column read."""
        every = (entry for each in self.contestants for entry in each.laws[0].inputs)
        return tuple({entry.name: entry for entry in every}.values())

    @property
    def pooled(self) -> bool:
        """Whether one fit may serve all groups."""
        return any(each.pooled for each in self.contestants)

    def read(self, part: str) -> pl.DataFrame:
        """The rows of "train" or "test", in our names and units, and their groups."""
        frame = pl.read_csv(FOLDER / "scalebench" / f"{self.name}_{part}.csv")
        frame = frame.select(
            "group", *(pl.col(own).alias(as_) for own, as_ in self.columns.items())
        )
        return frame.with_columns(pl.col(name) * factor for name, factor in self.factors)


def _each(*laws: Law, pooled: bool = False) -> tuple[Contestant, ...]:
    return tuple(Contestant((law,), pooled) for law in laws)


def tasks() -> Iterator[Task]:
    """The seven tasks."""
    yield Task(
        "lr_bsz",
        0.04,
        {
            **{"non_embedding_param_size": "params", "data_size": "tokens"},
            **{"lr": "learning_rate", "bsz": "batch_tokens", "lm_loss": "loss"},
        },
        _each(LEARNING_RATE_SURFACE, TILTED_LEARNING_RATE_SURFACE),
        ladder=("params", "tokens"),
        factors=(("batch_tokens", SEQUENCE),),
    )
    mixing = tuple(mixing_law(_DOMAINS, loss) for loss in _DOMAIN_LOSSES)
    own_share = tuple(
        own_share_law(_DOMAINS, own, loss)
        for own, loss in zip(_DOMAINS, _DOMAIN_LOSSES, strict=True)
    )
    yield Task(
        "domain_mixture",
        0.81,
        {name: name for name in (*_DOMAINS, *_DOMAIN_LOSSES)},
        (Contestant(mixing), Contestant(own_share)),
    )
    yield Task(
        "vocab",
        0.93,
        {
            **{"non_vocab_parameters": "non_vocabulary_params", "vocab_size": "vocabulary_size"},
            **{"num_characters": "characters"},
            **{"unigram_normalized_loss": "unigram_normalized_loss"},
        },
        _each(VOCABULARY_OF_TEXT, VOCABULARY_DILUTING),
        ladder=("vocabulary_size",),
        shares=(0.6, 0.8),
    )
    yield Task(
        "parallel",
        0.99,
        {"num_params": "params", "parallel_size": "streams", "loss": "loss"},
        _each(PARALLEL_SCALING, PARALLEL_POWER),
        ladder=("streams",),
    )
    yield Task(
        "moe",
        0.81,
        {
            **{"dense_parameter_count": "active_params", "num_experts": "experts"},
            **{"loss_validation": "loss"},
        },
        _each(ROUTED, EFFECTIVE_EXPERTS, COUPLED_EXPERTS),
        ladder=("active_params",),
        shares=(0.6, 0.8),
    )
    yield Task(
        "data_constrained",
        0.79,
        {name: name for name in ("params", "tokens", "unique_tokens", "loss")},
        _each(REPEATED_DATA, REPEATED_DIFFUSION),
        ladder=("params", "tokens"),
        shares=(0.6, 0.8),
    )
    yield Task(
        "sparsity",
        0.37,
        {
            **{"P": "sparsity", "N_active": "active_params", "N_dense": "dense_params"},
            **{"D1": "dense_tokens", "D2": "tokens", "loss": "loss"},
        },
        (
            *_each(UPCYCLED_SIZE),
            *_each(UPCYCLED, UPCYCLED_COUPLED, UPCYCLED_DENSE, pooled=True),
        ),
        factors=tuple(
            (name, 1e9) for name in ("active_params", "dense_params", "dense_tokens", "tokens")
        ),
    )


@dataclass(frozen=True)
class Entry:
    """What one law reaches.

    Attributes:
        law: its name.
        objective: the one that predicts best what is held out of train.
        held_out: R2 on that.
        explained: R2 on test.
        by_part: the same by group and column.
        converged: test rows that a converged fit predicts, of how many.
    """

    law: str
    objective: str
    held_out: float
    explained: float
    by_part: dict[str, float]
    converged: tuple[int, int]


def r_squared(predicted: Array, measured: Array) -> float:
    """Share of the variance explained, clipped to [-1, 1]."""
    if not np.all(np.isfinite(predicted)):
        return -1.0
    total = float(np.sum((measured - measured.mean()) ** 2))
    return float(np.clip(1.0 - np.sum((predicted - measured) ** 2) / total, -1.0, 1.0))


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


def weighed(task: Task) -> tuple[dict[str, float], list[str]]:
    """R2 of `auto` on test, by group and column, and the weights behind each."""
    train, test = task.read("train"), task.read("test")
    inputs = list(dict.fromkeys(each.name for each in task.inputs))
    found: dict[str, float] = {}
    told = []
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
    return found, told


def examine(contestant: Contestant, task: Task) -> Entry:
    """Choose the objective on train, then measure on test."""
    train, test = task.read("train"), task.read("test")
    tried = OBJECTIVES if contestant.laws[0].target.positive else ("squared",)
    scores = {objective: held_out(contestant, objective, task, train) for objective in tried}
    best = max(scores, key=lambda objective: scores[objective])
    found: dict[str, float] = {}
    converged = 0
    for law in contestant.laws:
        predicted = by_group(law, best, contestant.pooled, train, test)
        found |= parts(law, test, predicted)
        converged += int(np.isfinite(predicted).sum())
    return Entry(
        contestant.name,
        best,
        scores[best],
        float(np.mean(list(found.values()))),
        found,
        (converged, test.height * len(contestant.laws)),
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="tasks whose name holds this text")
    parser.add_argument("--auto", action="store_true", help="weigh laws only, try none alone")
    given = parser.parse_args()
    console = Console(width=120)
    shown = Table(title="R2 on the test rows of ScaleBench")
    for name in ("task", "law", "objective", "held out of train", "R2", "asked", ""):
        shown.add_column(name, justify="right" if name in ("held out of train", "R2") else "left")
    short = []
    for task in tasks():
        if given.only not in task.name:
            continue
        alone = () if given.auto else task.contestants
        entries = [examine(contestant, task) for contestant in alone]
        chosen = max(entries, key=lambda entry: entry.held_out, default=None)
        best = max(entries, key=lambda entry: entry.explained, default=None)
        if best is not None and best.explained < task.asked:
            short.append(f"{task.name}: {best.explained:.3f} of {task.asked}")
        for entry in entries:
            marks = [word for word, one in (("chosen", chosen), ("best", best)) if one is entry]
            shown.add_row(
                task.name,
                entry.law,
                entry.objective,
                f"{entry.held_out:.3f}",
                f"{entry.explained:.3f}",
                f"{task.asked}",
                ", ".join(marks),
            )
            console.print(f"{task.name}, {entry.law}: {describe(entry)}", style="dim")
        by_part, told = weighed(task)
        reached = float(np.mean(list(by_part.values())))
        shown.add_row(
            task.name, "auto", "", "", f"{reached:.3f}", f"{task.asked}", end_section=True
        )
        for line in told:
            console.print(f"{task.name}, auto, {line}", style="dim")
    console.print(shown)
    for line in short:
        console.print(f"below what is asked: {line}")
    return 1 if short else 0


def describe(entry: Entry) -> str:
    """R2 of each part, and whether a fit failed."""
    converged, predicted = entry.converged
    text = ", ".join(f"{name} {value:.2f}" for name, value in entry.by_part.items())
    return text if converged == predicted else f"{text} ({converged} of {predicted} predicted)"


if __name__ == "__main__":
    sys.exit(main())
