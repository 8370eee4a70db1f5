"""Fit a law to a table of runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from isoloss.arrays import Array
from isoloss.errors import FitError, InputError
from isoloss.fitting.bootstrap import find_bootstrap
from isoloss.fitting.hold import (
    ASSUMED_NOISE,
    Hold,
    effective_parameters,
    noise_around,
    precision,
    states_typical,
)
from isoloss.fitting.identifiability import identifiability, require_carrying
from isoloss.fitting.local_model import local_model
from isoloss.fitting.objectives import Objective, find_objective
from isoloss.fitting.problem import Problem, Solution, Status
from isoloss.fitting.result import Fit
from isoloss.fitting.rows import FittedRows
from isoloss.fitting.search import Search, best_of, find_search, solve_starts
from isoloss.fitting.solver import solve
from isoloss.fitting.starts import default_starts, random_starts
from isoloss.fitting.tables import GivenTables, Tables
from isoloss.laws import CATALOGUE, DEFAULT_LAW, Centre, Law, Surface, find_law
from isoloss.notes import Note, Severity
from isoloss.runs import Runs

METHODS = ("joint", "staged")
# The laws of the catalogue whose authors fit them in stages.
STAGED_METHODS = frozenset(law.name for law in CATALOGUE.values() if law.stages is not None)
# Starting points at which a table's ability to carry a law is checked.
_CHECKED_STARTS = 8
# Rows on which the optimum is looked for in larger tables, before it is refined on all of them.
_SEARCHED_ROWS = 20_000
# Rounds in which noise and held parameters are found in turn, and starts kept after the first.
_HOLD_ROUNDS = 4
_HOLD_STARTS = 8


def fit(
    runs: Runs,
    law: Law | str = DEFAULT_LAW,
    *,
    objective: Objective | str = "huber",
    method: str = "joint",
    weights: npt.ArrayLike | str | None = None,
    bootstrap: int = 0,
    resample: str = "pairs",
    starts: int | None = None,
    begin: Sequence[Mapping[str, float]] = (),
    seed: int = 0,
    threads: int | None = None,
    centre: Centre | None = None,
    advance: Callable[[int], None] | None = None,
) -> Fit:
    """Fit one law to a table of runs.

    Args:
        runs: the table.
        law: a law or the name of one in the catalogue.
        objective: what is minimised, see `objectives`.
        method: "joint" minimises the objective over all parameters at once, from random starts
            and, where the law's authors have a staged method that the table can carry, from its
            result; "staged" is that method alone.
        weights: weight of each run, or the name of a column; all ones where not given.
        bootstrap: replicates, each refitted from the optimum.
        resample: how replicates are drawn: "pairs" draws runs, "residual" errors, "cluster:COLUMN"
            groups of runs, "noise" fresh noise as large as between the table's seeds,
            "noise:0.002" of that size in log loss.
        starts: random starts of the joint method; `default_starts` of the law where not given.
        begin: published parameters to start from as well, such as those of a fit to nearly the
            same runs; the joint method then goes without the staged one's result.
        seed: of starts and replicates.
        threads: at most this many; all processors where not given. Results do not depend on it.
        centre: what working parameters are relative to; predictions do not depend on it.
        advance: called with the number of finished fits, for a progress bar; in all there are
            `starts + bootstrap`.

    Raises:
        FitError: the table cannot carry the law or the method.
        InputError: an argument has no meaning.
    """
    law = find_law(law) if isinstance(law, str) else law
    objective = find_objective(objective) if isinstance(objective, str) else objective
    starts = default_starts(len(law.parameters)) if starts is None else starts
    _check(method, bootstrap, starts, seed)
    _check_objective(law, objective)
    rows = FittedRows.of(law, runs, weights)
    problem = Problem.of(law, rows, objective, centre)
    candidates = random_starts(problem, starts, seed)
    require_carrying(problem, rows.weights, candidates[:, :_CHECKED_STARTS])
    if method == "staged":
        found = _in_stages(problem, rows, bootstrap)
    else:
        given = [Surface.of_parameters(law, each, problem.centre).working for each in begin]
        found = _jointly(problem, rows, candidates, given, threads, advance)
        problem = replace(problem, hold=found.hold)
    replicates, lost = np.empty((found.working.size, 0)), np.empty(0, dtype=np.int64)
    drawn = bootstrap if method == "joint" else 0
    if drawn:
        predicted = problem.predict(found.working[:, None])[:, 0]
        tables = find_bootstrap(resample, runs, rows, predicted, found.working.size, seed)
        refitted = _refitted(problem, found.working, tables, drawn, threads, advance)
        replicates = refitted.working[:, refitted.converged]
        lost = np.flatnonzero(~refitted.converged)
    return Fit(
        surface=Surface(law, problem.centre, found.working, replicates),
        rows=rows,
        objective=objective,
        objective_value=found.value,
        status=found.status,
        method=method,
        search=found.search,
        identifiability=identifiability(problem, rows.weights, found.working),
        n_bootstrap=drawn,
        source=runs.source,
        fingerprint=runs.fingerprint,
        seed=seed,
        notes=(*runs.notes, *found.notes),
        resample=resample,
        hold=found.hold,
        n_effective=_effective_parameters(problem, found.working, rows.weights),
        lost_draws=tuple(lost.tolist()),
    )


def _effective_parameters(problem: Problem, working: Array, weights: Array) -> float:
    if problem.hold is None:
        return float(working.size)
    with np.errstate(all="ignore"):
        around = local_model(problem, working[:, None], weights[None, :], problem.measured[None, :])
    return effective_parameters(around.hessian[:, :, 0], problem.hold)


def _check(method: str, bootstrap: int, starts: int, seed: int) -> None:
    if method not in METHODS:
        raise InputError(
            "unknown method",
            where="--method",
            found=repr(method),
            expected="one of " + ", ".join(METHODS),
        )
    least_allowed = (("--bootstrap", bootstrap, 0), ("starts", starts, 1), ("--seed", seed, 0))
    for name, count, least in least_allowed:
        if count < least:
            raise InputError("too few", where=name, found=str(count), expected=f"{least} or more")


def _check_objective(law: Law, objective: Objective) -> None:
    if objective.logarithmic and not law.target.positive:
        raise InputError(
            f"{law.target.name} may be negative, and has no logarithm",
            where="--objective",
            found=objective.name,
            expected="squared",
        )


@dataclass(frozen=True)
class _Found:
    """Where a method ended, and how."""

    working: Array
    value: float
    status: Status
    search: Search
    notes: tuple[Note, ...]
    hold: Hold | None = None


def _in_stages(problem: Problem, rows: FittedRows, bootstrap: int) -> _Found:
    """The staged method of the law's authors, which minimises no objective."""
    working = staged_working(problem, rows.inputs, rows.weights)
    predicted = problem.predict(working[:, None])
    value = problem.objective.value(predicted, rows.measured[:, None], rows.weights)
    without = Note(
        "staged-without-bootstrap",
        "the staged method needs an intact ladder of tokens, so it has no bootstrap replicates; "
        "use --method joint for them",
        Severity.WARNING,
    )
    notes = (without,) if bootstrap else ()
    return _Found(working, float(value[0]), Status.CONVERGED, Search(1, 1, 1), notes)


def _jointly(
    problem: Problem,
    rows: FittedRows,
    candidates: Array,
    given: Sequence[Array],
    threads: int | None,
    advance: Callable[[int], None] | None,
) -> _Found:
    """The lowest objective that any start leads to."""
    notes = []
    if given:
        candidates = np.column_stack([*given, candidates])
    elif _stages(problem) is not None:
        try:
            staged = staged_working(problem, rows.inputs, rows.weights)
            candidates = np.column_stack([staged, candidates])
        except FitError as error:
            notes.append(Note("staged-method-not-usable", str(error)))
    searched, kept = problem.sample(_SEARCHED_ROWS)
    tables = GivenTables(rows.weights[kept])
    if states_typical(problem.law):
        searched = _held(searched, candidates, rows.weights[kept], threads)
        problem = replace(problem, hold=searched.hold)
    solution = solve_starts(searched, candidates, tables, threads=threads, advance=advance)
    best = best_of(problem, solution, rows.weights)
    if kept.size < rows.measured.size:
        notes.append(
            Note(
                "searched-on-a-sample",
                f"the optimum was looked for on {kept.size} of {rows.measured.size} runs, and "
                "refined on all",
            )
        )
    return _Found(
        best.working[:, 0],
        float(best.value[0]),
        best.status(0),
        find_search(problem, solution, best, rows.weights, kept),
        tuple(notes),
        problem.hold,
    )


def _held(problem: Problem, candidates: Array, weights: Array, threads: int | None) -> Problem:
    """The problem, held as firmly as the noise that it leaves bears out: both found in turn."""
    tables = GivenTables(weights)
    loss, noise = problem.centre.loss, ASSUMED_NOISE
    for _ in range(_HOLD_ROUNDS):
        level = precision(problem.objective, noise, loss)
        problem = replace(problem, hold=Hold.of(problem.law, level))
        solution = solve_starts(problem, candidates, tables, threads=threads)
        candidates = solution.working[:, np.argsort(solution.value)[:_HOLD_STARTS]]
        predicted = problem.predict(candidates[:, :1])[:, 0]
        noise = noise_around(predicted, problem.measured, weights, candidates.shape[0])
    level = precision(problem.objective, noise, loss)
    return replace(problem, hold=Hold.of(problem.law, level))


def _stages(problem: Problem) -> Callable[[Sequence[Array], Array], dict[str, float]] | None:
    law = problem.law.law
    return law.stages if isinstance(law, Law) else None


def staged_working(problem: Problem, inputs: Sequence[Array], weights: Array) -> Array:
    """Working parameters by the staged method of the law's authors.

    Args:
        problem: law and table.
        inputs: raw values of each input, one array of rows each.
        weights: weight of each row; the method only leaves out rows of weight zero.

    Raises:
        FitError: the table's grid cannot carry the method.
        InputError: the law has no such method.
    """
    law, stages = problem.law.law, _stages(problem)
    if stages is None or not isinstance(law, Law):
        raise InputError(
            f"law {law.name} has no staged method",
            where="--method",
            found="staged",
            expected="joint, or one of the laws " + ", ".join(sorted(STAGED_METHODS)),
        )
    present = weights > 0
    columns = [column[present] for column in inputs]
    parameters = stages(columns, problem.measured[present])
    return Surface.of_parameters(law, parameters, problem.centre).working


def _refitted(
    problem: Problem,
    working: Array,
    tables: Tables,
    count: int,
    threads: int | None,
    advance: Callable[[int], None] | None,
) -> Solution:
    """The law refitted to each table drawn, from the optimum of the own one."""
    begin = np.repeat(working[:, None], count, axis=1)
    return solve(problem, begin, tables, threads=threads, advance=advance)
