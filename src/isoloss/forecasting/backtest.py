"""Backtests: fit on a part of a table, predict what was held out, for each law and for `auto`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from isoloss.arrays import Array
from isoloss.errors import FitError, InputError
from isoloss.fitting import Objective
from isoloss.forecasting.ensemble import DEFAULT_BOOTSTRAP, fit_candidates
from isoloss.forecasting.forecast import combine
from isoloss.forecasting.prediction import (
    DEFAULT_LEVEL,
    ORDERING,
    Forecast,
    check_level,
    one_by_one,
    predict,
)
from isoloss.forecasting.rolling import SHARES, Folds, folds_by_compute, folds_for
from isoloss.laws import LOSS, PARAMS, TOKENS, Law, candidates_for, find_law
from isoloss.notes import Note
from isoloss.plotting import Plottable
from isoloss.runs import Runs

AUTO = "auto"
_PREDICTED = ("measured", "predicted", "lower", "upper")


@dataclass(frozen=True)
class HeldOut:
    """Predictions of held-out runs by one law, one entry a run.

    Attributes:
        inputs: what the law read of each run, by name.
        measured: what was held out.
        predicted: what was predicted.
        lower: lower end of its interval.
        upper: upper end.
    """

    inputs: Mapping[str, Array]
    measured: Array
    predicted: Array
    lower: Array
    upper: Array

    @property
    def rel_error(self) -> Array:
        """(predicted - measured) / measured."""
        return self.predicted / self.measured - 1.0

    def to_json(self) -> dict[str, float]:
        """Summary over the held-out runs; errors are fractions."""
        inside = (self.lower <= self.measured) & (self.measured <= self.upper)
        return {
            "mean_abs_rel_error": float(np.mean(np.abs(self.rel_error))),
            "mean_rel_error": float(np.mean(self.rel_error)),
            "max_abs_rel_error": float(np.max(np.abs(self.rel_error))),
            "coverage": float(np.mean(inside)),
        }

    @classmethod
    def of(cls, forecast: Forecast, measured: Array) -> HeldOut:
        """The predictions of a forecast beside what was measured."""
        predicted = np.array(
            [(each.value, each.lower, each.upper) for each in forecast.predictions]
        )
        names = forecast.predictions[0].point
        inputs = {
            name: np.array([each.point[name] for each in forecast.predictions]) for name in names
        }
        return cls(inputs, measured, *predicted.T)

    @classmethod
    def join(cls, parts: Sequence[HeldOut]) -> HeldOut:
        """Several folds as one."""
        names = parts[0].inputs
        inputs = {name: np.concatenate([part.inputs[name] for part in parts]) for name in names}
        columns = [[getattr(part, name) for part in parts] for name in _PREDICTED]
        return cls(inputs, *map(np.concatenate, columns))


@dataclass(frozen=True, eq=False)
class Backtest(Plottable):
    """How laws predicted runs that they were not fitted to.

    Attributes:
        n_fit: runs fitted (of rolling backtests, by the largest fold).
        n_held_out: runs predicted (of rolling backtests, over all folds).
        held_out: the predictions of each law.
        refused: why each of the other laws asked for is not there.
        level: of the intervals.
        notes: what to know of the table.
    """

    n_fit: int
    n_held_out: int
    held_out: Mapping[str, HeldOut]
    refused: Mapping[str, str]
    level: float
    notes: tuple[Note, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The backtest as one JSON object."""
        return {
            "n_fit": self.n_fit,
            "n_held_out": self.n_held_out,
            "laws": {name: each.to_json() for name, each in self.held_out.items()},
            "refused": dict(self.refused),
            "level": self.level,
            "notes": [note.to_json() for note in self.notes],
        }

    def to_frame(self) -> pl.DataFrame:
        """One row a law and held-out run."""
        frames = [
            pl.DataFrame(
                {
                    "law": [name] * each.measured.size,
                    **each.inputs,
                    **{column: getattr(each, column) for column in _PREDICTED},
                }
            )
            for name, each in self.held_out.items()
        ]
        return pl.concat(frames, how="diagonal")


def backtest(
    runs: Runs,
    hold_out: str | None = None,
    *,
    laws: Sequence[Law | str] = (AUTO,),
    inputs: Sequence[str] = (PARAMS.name, TOKENS.name),
    target: str = LOSS.name,
    shares: tuple[float, ...] = SHARES,
    objective: Objective | str = "huber",
    method: str = "joint",
    bootstrap: int = DEFAULT_BOOTSTRAP,
    level: float = DEFAULT_LEVEL,
    seed: int = 0,
    threads: int | None = None,
    advance: Callable[[str], None] | None = None,
) -> Backtest:
    """Fit laws to a part of a table and compare their predictions of the rest.

    Args:
        runs: the table.
        hold_out: SQL condition for the runs to predict; without it, rolling backtests fit each of
            the `shares` of the table, cheapest runs first, and predict the dearer ones. Where
            neither N, D nor FLOPs tell which runs are cheap, each fifth, drawn at random, is
            predicted from the other four.
        laws: laws or their names; "auto" is the weighted forecast of the catalogue's laws for the
            columns `inputs`, see `candidates_for`, and of those asked for that read them.
        inputs: the columns that "auto" is told.
        target: the column that "auto" predicts.
        shares: of the rolling backtests.
        objective: what fits minimise.
        method: "joint", or "staged" for laws whose authors fit them in stages.
        bootstrap: replicates of each law.
        level: of the intervals.
        seed: of starts and replicates.
        threads: for the solver.
        advance: called with the name of each law when it is done on a fold.

    Raises:
        FitError: no law asked for could predict the held-out runs.
        InputError: the condition holds out nothing or everything, or a law is unknown.
    """
    check_level(level)
    if hold_out is not None:
        splits = [runs.split(hold_out)]
    else:
        fitted = _usual_folds(runs, laws, inputs, target, shares).fitted.T
        splits = [(runs.take(mask), runs.take(~mask)) for mask in fitted]
        if not splits:
            raise InputError(
                "the table is too small for rolling backtests",
                where=runs.source,
                found=f"{len(runs)} runs",
                expected="runs of several budgets; or give --hold-out",
            )
    named = {law if isinstance(law, str) else law.name: law for law in laws}
    parts: dict[str, list[HeldOut]] = {name: [] for name in named}
    refused: dict[str, str] = {}
    for rest, held_out in splits:
        outcome = _one_split(
            rest,
            held_out,
            named,
            refused,
            inputs=inputs,
            target=target,
            objective=objective,
            method=method,
            bootstrap=bootstrap,
            level=level,
            seed=seed,
            threads=threads,
            advance=advance,
        )
        for name, part in outcome.items():
            parts[name].append(part)
    joined = {
        name: HeldOut.join(each) for name, each in parts.items() if each and name not in refused
    }
    if not joined:
        raise FitError("no law could predict the held-out runs: " + "; ".join(refused.values()))
    return Backtest(
        max(len(rest) for rest, _ in splits),
        sum(len(held_out) for _, held_out in splits),
        joined,
        refused,
        level,
        runs.notes,
    )


def _usual_folds(
    runs: Runs,
    laws: Sequence[Law | str],
    inputs: Sequence[str],
    target: str,
    shares: tuple[float, ...],
) -> Folds:
    """The dearer runs from the cheaper, or fifths of a table that has no order of cost."""
    if set(ORDERING) & set(runs.frame.columns):
        return folds_by_compute(runs, shares)
    named = [find_law(law) if isinstance(law, str) else law for law in laws if law != AUTO]
    if AUTO in laws:
        named += candidates_for(inputs, target)
    known = {entry.name: entry for law in named for entry in law.inputs}
    columns = {name: runs.numbers(name, entry.positive) for name, entry in known.items()}
    return folds_for(runs, columns, known.values())


def _one_split(
    rest: Runs,
    held_out: Runs,
    named: Mapping[str, Law | str],
    refused: dict[str, str],
    *,
    inputs: Sequence[str],
    target: str,
    objective: Objective | str,
    method: str,
    bootstrap: int,
    level: float,
    seed: int,
    threads: int | None,
    advance: Callable[[str], None] | None,
) -> dict[str, HeldOut]:
    """Held-out predictions by law; laws that cannot predict are added to `refused`."""
    own = [
        find_law(law) if isinstance(law, str) else law
        for name, law in named.items()
        if name != AUTO
    ]
    folds = None
    if AUTO in named:
        usual = candidates_for(inputs, target)
        told = {name: held_out.column(name) for name in inputs}
        folds = folds_for(rest, told, [entry for law in usual for entry in law.inputs])
        # Laws of one's own replace those of the same name.
        own = list({law.name: law for law in (*usual, *own)}.values())
    try:
        candidates = fit_candidates(
            rest,
            own,
            objective=objective,
            method=method,
            folds=folds,
            bootstrap=bootstrap,
            seed=seed,
            threads=threads,
            advance=advance,
        )
    except FitError as error:
        refused.update(dict.fromkeys(named, str(error)))
        return {}
    outcome = {}
    for name in named:
        try:
            if name == AUTO:
                able = candidates.only(inputs, target)
                forecast = combine(able, _points(held_out, inputs), level=level)
            elif name in candidates.fits:
                fitted = candidates.fits[name]
                points = _points(held_out, [entry.name for entry in fitted.law.inputs])
                forecast = predict(fitted, points, level=level)
            else:
                raise FitError(candidates.refused[name])
            measured = held_out.column(forecast.predictions[0].target)
            outcome[name] = HeldOut.of(forecast, measured)
        except FitError as error:
            refused[name] = str(error)
    return outcome


def _points(runs: Runs, names: Sequence[str]) -> list[dict[str, float]]:
    return one_by_one({name: runs.column(name) for name in names})
