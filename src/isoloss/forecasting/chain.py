"""Predictions in stages: a loss surface, then the task error that follows from the loss."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from isoloss.arrays import Array, Indices
from isoloss.errors import FitError, InputError
from isoloss.fitting import Fit, Objective, fit
from isoloss.forecasting.backtest import Backtest, HeldOut
from isoloss.forecasting.intervals import (
    Deviations,
    extrapolation_deviation,
    parameter_deviation,
)
from isoloss.forecasting.prediction import (
    DEFAULT_LEVEL,
    Forecast,
    Point,
    check_level,
    make_prediction,
    missing_parts,
    one_by_one,
    point_text,
    points_as_columns,
    region_of_fit,
    unsound,
)
from isoloss.forecasting.rolling import calibrate
from isoloss.laws import Input, Law, find_law, working_law
from isoloss.notes import Note, Severity
from isoloss.runs import Runs

DEFAULT_BOOTSTRAP = 200
# What fits minimise: of all stages, or one each.
Objectives = Objective | str | Sequence[Objective | str]


@dataclass(frozen=True, eq=False)
class Chain:
    """Fitted laws, each of which reads what the one before it predicts.

    Attributes:
        stages: the fits, first to last.
    """

    stages: tuple[Fit, ...]

    @property
    def name(self) -> str:
        """The names of the laws in order."""
        return " > ".join(fit.law.name for fit in self.stages)

    @property
    def inputs(self) -> tuple[Input, ...]:
        """What a point must give: every input that no earlier stage predicts."""
        return _open_inputs([fit.law for fit in self.stages])

    def to_json(self) -> dict[str, Any]:
        """The chain as one JSON object: the report of each stage."""
        return {"stages": [fit.to_json() for fit in self.stages]}


def chain(fits: Sequence[Fit]) -> Chain:
    """Put fits in a row.

    Raises:
        InputError: there are fewer than two, two laws have one name, or one does not read what the
            one before predicts.
    """
    _check_order([fit.law for fit in fits])
    return Chain(tuple(fits))


def fit_chain(
    runs: Runs | Sequence[Runs],
    laws: Sequence[Law | str],
    *,
    objective: Objectives = "huber",
    bootstrap: int = DEFAULT_BOOTSTRAP,
    resample: str = "pairs",
    seed: int = 0,
    threads: int | None = None,
    advance: Callable[[str], None] | None = None,
) -> Chain:
    """Fit laws of which each reads what the one before it predicts, as one.

    Stages that are fitted to the same table share the draws of its bootstrap, so that a replicate
    of the chain is that of one table; draws in which a stage did not converge are left out of all.
    Every stage is backtested on its own.

    Args:
        runs: the table of all stages, or one each.
        laws: laws or their names, first to last.
        objective: what fits minimise, of all stages or one each: a stage that predicts numbers of
            any sign needs "squared".
        bootstrap: replicates.
        resample: how they are drawn, see `fit`.
        seed: of starts and replicates.
        threads: for the solver.
        advance: called with the name of each law when it is done.

    Raises:
        FitError: a table cannot carry its law.
        InputError: the laws do not follow from one another, or a column is missing.
    """
    named = [find_law(law) if isinstance(law, str) else law for law in laws]
    _check_order(named)
    tables = [runs] * len(named) if isinstance(runs, Runs) else list(runs)
    if isinstance(objective, Objective | str):
        objective = [objective] * len(named)
    objectives = list(objective)
    for what, given in (("tables", tables), ("objectives", objectives)):
        if len(given) != len(named):
            raise InputError(
                f"wrong number of {what}",
                where="chain",
                found=str(len(given)),
                expected=f"one, or one for each of the {len(named)} laws",
            )
    stages = []
    for law, table, minimised in zip(named, tables, objectives, strict=True):
        fitted = fit(
            table,
            law,
            objective=minimised,
            bootstrap=bootstrap,
            resample=resample,
            seed=seed,
            threads=threads,
        )
        stages.append(calibrate(fitted, table, seed=seed, threads=threads))
        if advance:
            advance(law.name)
    return Chain(tuple(stages))


def predict_chain(
    chained: Chain, points: Sequence[Point], *, level: float = DEFAULT_LEVEL
) -> Forecast:
    """Predict what the last law of a chain predicts, through all stages.

    The interval carries what is unknown of every stage: replicates go through all laws, and what a
    stage's noise and its error beyond the data do to the end is the slope of the later ones. The
    losses on the way are in `by_law` of the result.

    Args:
        chained: the fitted laws.
        points: (N, D), or the value of each of `Chain.inputs` by name.
        level: probability with which each interval should hold.

    Raises:
        FitError: a stage did not converge, or is not to be believed at a point, or no bootstrap
            draw converged in all stages.
        InputError: a point is unusable.
    """
    check_level(level)
    columns = points_as_columns(points, chained.inputs)
    named = one_by_one(columns)
    known: dict[str, Array] = dict(columns)
    replicates: dict[str, Array] = {}
    draws = _common_draws(chained)
    noise = beyond = np.zeros(len(named))
    values: Array = np.empty(0)
    parameters: Array = np.zeros(len(named))
    by_law: dict[str, tuple[float, ...]] = {}
    before: Fit | None = None
    deviations: list[Deviations] = []
    for stage in chained.stages:
        stage.require_converged()
        own = {entry.name: known[entry.name] for entry in stage.law.inputs}
        values = stage.surface.predict(**own)
        drawn = _replicated(stage, own, replicates, draws)
        parameters = parameter_deviation(stage.scale.of(drawn))
        gain = np.zeros(len(named)) if before is None else _gain(before, stage, own, values)
        region = region_of_fit(stage)
        far = extrapolation_deviation(stage.growth, region.reach(**own), region.aside(**own))
        noise, beyond = np.hypot(gain * noise, stage.noise), np.hypot(gain * beyond, far)
        deviations = [
            Deviations(*map(float, each)) for each in zip(parameters, noise, beyond, strict=True)
        ]
        for point, place, each in zip(named, one_by_one(own), deviations, strict=True):
            reasons = unsound(stage, region, place, each)
            if reasons:
                raise FitError(
                    f"law {stage.law.name} cannot be believed at {point_text(point)}: "
                    + "; ".join(reasons)
                )
        target = stage.law.target.name
        known[target], replicates[target] = values, drawn
        by_law[stage.law.name] = tuple(values.tolist())
        before = stage
    last, first = chained.stages[-1], region_of_fit(chained.stages[0])
    freedom = min(stage.n_runs - len(stage.law.parameters) for stage in chained.stages)
    scaled = last.scale.of(values)
    seen = [entry.name for entry in chained.stages[0].law.inputs]
    # Later stages may read columns that the region of the first knows nothing of.
    predictions = tuple(
        replace(
            make_prediction(
                {name: point[name] for name in seen},
                float(value),
                each,
                level,
                freedom,
                first,
                last.scale,
                last.law.target.name,
            ),
            point=point,
        )
        for point, value, each in zip(named, scaled, deviations, strict=True)
    )
    return Forecast(
        predictions,
        {chained.name: 1.0},
        {stage.law.name: stage for stage in chained.stages},
        by_law,
        notes=_notes(chained),
    )


def backtest_chain(
    runs: Runs,
    hold_out: str,
    laws: Sequence[Law | str],
    *,
    objective: Objectives = "huber",
    bootstrap: int = DEFAULT_BOOTSTRAP,
    level: float = DEFAULT_LEVEL,
    seed: int = 0,
    threads: int | None = None,
) -> Backtest:
    """Fit a chain to a part of a table and predict the rest, whose losses it does not see.

    Args:
        runs: the table, with the columns of all stages.
        hold_out: SQL condition for the runs to predict.
        laws: first to last.
        objective: what fits minimise, of all stages or one each.
        bootstrap: replicates.
        level: of the intervals.
        seed: of starts and replicates.
        threads: for the solver.

    Returns:
        The backtest; runs at which a stage is not to be believed are left out, with a note.

    Raises:
        FitError: a law cannot be fitted, or is not to be believed at any of the runs.
        InputError: the condition or a law is unusable.
    """
    rest, held_out = runs.split(hold_out)
    chained = fit_chain(
        rest,
        laws,
        objective=objective,
        bootstrap=bootstrap,
        seed=seed,
        threads=threads,
    )
    columns = {entry.name: held_out.column(entry.name) for entry in chained.inputs}
    measured = held_out.column(chained.stages[-1].law.target.name)
    parts: list[HeldOut] = []
    refusals: list[str] = []
    for point, value in zip(one_by_one(columns), measured, strict=True):
        try:
            forecast = predict_chain(chained, [point], level=level)
        except FitError as error:
            refusals.append(str(error))
        else:
            parts.append(HeldOut.of(forecast, np.array([value])))
    if not parts:
        raise FitError(f"no held-out run could be predicted: {refusals[0]}")
    notes = (*runs.notes, *_left_out(refusals, len(held_out)))
    joined = {chained.name: HeldOut.join(parts)}
    return Backtest(len(rest), len(parts), joined, {}, level, notes)


def _left_out(refusals: Sequence[str], count: int) -> list[Note]:
    if not refusals:
        return []
    return [
        Note(
            "held-out-skipped",
            f"{len(refusals)} of {count} held-out runs are not predicted: {refusals[0]}",
            Severity.WARNING,
            {"skipped": len(refusals), "of": count},
        )
    ]


def _check_order(laws: Sequence[Law]) -> None:
    if len(laws) < 2:
        found = f"{len(laws)} law" + "s" * (len(laws) != 1)
        raise InputError("no chain", where="chain", found=found, expected="2 or more")
    names = [law.name for law in laws]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise InputError(
            "laws of one name", where="chain", found=", ".join(repeated), expected="a name each"
        )
    for before, after in itertools.pairwise(laws):
        names = [entry.name for entry in after.inputs]
        if before.target.name not in names:
            raise InputError(
                f"law {after.name} does not read what law {before.name} predicts",
                where="chain",
                found="inputs " + ", ".join(names),
                expected=before.target.name,
            )


def _open_inputs(laws: Sequence[Law]) -> tuple[Input, ...]:
    predicted: set[str] = set()
    inputs: dict[str, Input] = {}
    for law in laws:
        inputs |= {
            entry.name: entry
            for entry in law.inputs
            if entry.name not in predicted and entry.name not in inputs
        }
        predicted.add(law.target.name)
    return tuple(inputs.values())


def _notes(chained: Chain) -> tuple[Note, ...]:
    every = [
        note for stage in chained.stages for note in (*stage.all_notes(), *missing_parts(stage))
    ]
    return tuple({note.message: note for note in every}.values())


def _common_draws(chained: Chain) -> Indices:
    """Bootstrap draws that converged in every stage that has replicates."""
    drawn = [stage.draws for stage in chained.stages if stage.n_replicates]
    if not drawn:
        return np.empty(0, dtype=np.int64)
    common = functools.reduce(np.intersect1d, drawn)
    if not common.size:
        raise FitError(
            f"no bootstrap draw converged in every stage of {chained.name}: fit again with more "
            "replicates"
        )
    return common


def _replicated(
    stage: Fit, own: Mapping[str, Array], replicates: Mapping[str, Array], draws: Indices
) -> Array:
    """Predictions of a stage in each draw, at those of the stages before, (points, draws)."""
    if stage.n_replicates:
        working = stage.surface.replicates[:, np.isin(stage.draws, draws)]
    else:
        working = np.repeat(stage.surface.working[:, None], draws.size, axis=1)
    inputs = [replicates.get(name, column[:, None]) for name, column in own.items()]
    return working_law(stage.law).predict(working, inputs, stage.surface.centre)


def _gain(before: Fit, stage: Fit, own: Mapping[str, Array], values: Array) -> Array:
    """Change of a stage's prediction with that of the one before, both on their scales."""
    name = before.law.target.name
    slope = stage.surface.slopes(**own)[name]
    entry = next(entry for entry in stage.law.inputs if entry.name == name)
    if entry.positive != before.law.target.positive:
        slope = slope / own[name] if entry.positive else slope * own[name]
    if before.scale.unit is not None:
        slope = slope * before.scale.unit
    return np.asarray(slope / (values if stage.scale.unit is None else stage.scale.unit))
