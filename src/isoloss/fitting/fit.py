"""Fit a law to a table of runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from isoloss.arrays import Array, Indices
from isoloss.errors import FitError, InputError
from isoloss.fitting.bootstrap import (
    Resamples,
    cluster_bootstrap,
    noise_bootstrap,
    pairs_bootstrap,
    residual_bootstrap,
    seed_log_noise,
)
from isoloss.fitting.identifiability import identifiability, require_carrying
from isoloss.fitting.local_model import local_model
from isoloss.fitting.objectives import Objective, find_objective
from isoloss.fitting.problem import Problem, Solution, Status
from isoloss.fitting.result import Fit, FittedRows, Search
from isoloss.fitting.solver import solve
from isoloss.fitting.staged import STAGED_METHODS
from isoloss.fitting.starts import random_starts
from isoloss.laws import Centre, Law, Surface, find_law, working_law
from isoloss.notes import Note, Severity
from isoloss.runs import Runs

METHODS = ("joint", "staged")
DEFAULT_STARTS = 64
# Starting points at which a table's ability to carry a law is checked.
_CHECKED_STARTS = 8
# Rows on which the optimum is looked for in larger tables, before it is refined on all of them.
_SEARCHED_ROWS = 20_000
# Starts whose objective agrees this well ended in the same optimum.
_SAME_OPTIMUM = 1e-7
# Rounds of further iterations for a best start that ran into the iteration limit.
_CONTINUATIONS = 10


def fit(
    runs: Runs,
    law: Law | str = "farseer",
    *,
    objective: Objective | str = "huber",
    method: str = "joint",
    weights: npt.ArrayLike | str | None = None,
    bootstrap: int = 0,
    resample: str = "pairs",
    starts: int = DEFAULT_STARTS,
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
        starts: random starts of the joint method.
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
    rows = FittedRows(input_columns(law, runs), runs.loss, _weights(runs, weights))
    problem = make_problem(law, rows, objective, centre)
    candidates = random_starts(problem, starts, seed)
    require_carrying(problem, rows.weights, candidates[:, :_CHECKED_STARTS])
    notes = list(runs.notes)
    if method == "staged":
        working = staged_working(problem, rows.inputs, rows.weights)
        value = objective.value(problem.predict(working[:, None]), rows.loss[:, None], rows.weights)
        search = Search(1, 1, 1)
        replicates = np.empty((working.size, 0))
        status, objective_value, drawn = Status.CONVERGED, float(value[0]), 0
        if bootstrap:
            notes.append(
                Note(
                    "staged-without-bootstrap",
                    "the staged method needs an intact ladder of tokens, so it has no bootstrap "
                    "replicates; use --method joint for them",
                    Severity.WARNING,
                )
            )
    else:
        if law.name in STAGED_METHODS:
            try:
                candidates = np.column_stack(
                    [staged_working(problem, rows.inputs, rows.weights), candidates]
                )
            except FitError as error:
                notes.append(Note("staged-method-not-usable", str(error)))
        searched, kept = problem.sample(_SEARCHED_ROWS)
        solution = solve(searched, candidates, rows.weights[kept], threads=threads, advance=advance)
        best = best_of(problem, solution, rows.weights)
        if kept.size < rows.loss.size:
            notes.append(
                Note(
                    "searched-on-a-sample",
                    f"the optimum was looked for on {kept.size} of {rows.loss.size} runs, and "
                    "refined on all",
                )
            )
        working, objective_value = best.working[:, 0], float(best.value[0])
        status, drawn = best.status(0), bootstrap
        search = find_search(problem, solution, best, rows.weights, kept)
        replicates = np.empty((working.size, 0))
        if bootstrap:
            resamples = _resamples(runs, problem, rows, working, resample, bootstrap, seed)
            replicates = _replicates(problem, working, resamples, threads, advance)
    return Fit(
        surface=Surface(law, problem.centre, working, replicates),
        rows=rows,
        objective=objective,
        objective_value=objective_value,
        status=status,
        method=method,
        search=search,
        identifiability=identifiability(problem, rows.weights, working),
        n_bootstrap=drawn,
        source=runs.source,
        fingerprint=runs.fingerprint,
        seed=seed,
        notes=tuple(notes),
    )


def make_problem(
    law: Law, rows: FittedRows, objective: Objective, centre: Centre | None = None
) -> Problem:
    """What the solver needs to fit a law to rows."""
    working = working_law(law)
    middle = centre or Centre.of(rows.inputs, rows.loss)
    logs = tuple(working.log_inputs(rows.inputs, middle))
    return Problem(working, logs, rows.loss, middle, objective)


def _require_positive(name: str, column: Array, source: str) -> None:
    unusable = np.flatnonzero(~(np.isfinite(column) & (column > 0)))
    if unusable.size:
        raise InputError(
            f"column {name} has values that no law can use",
            where=source,
            found=f"{column[unusable[0]]:g} in row {unusable[0] + 1}",
            expected="positive numbers: leave such rows out, as by --where",
        )


def input_columns(law: Law, runs: Runs) -> tuple[Array, ...]:
    """The columns of a table that a law reads, in its order.

    Raises:
        InputError: one is missing, or it or the loss is not positive everywhere.
    """
    names = [entry.name for entry in law.inputs]
    inputs = tuple(runs.column(name) for name in names)
    for name, column in (*zip(names, inputs, strict=True), ("loss", runs.loss)):
        _require_positive(name, column, runs.source)
    return inputs


def _weights(runs: Runs, weights: npt.ArrayLike | str | None) -> Array:
    if weights is None:
        return np.ones(len(runs))
    where = f"column {weights!r}" if isinstance(weights, str) else "weights"
    values = runs.column(weights) if isinstance(weights, str) else weights
    array = np.asarray(values, dtype=np.float64)
    if array.shape != (len(runs),):
        raise InputError(
            "wrong number of weights",
            where=where,
            found=f"shape {array.shape}",
            expected=f"one a run, ({len(runs)},)",
        )
    unusable = np.flatnonzero(~(np.isfinite(array) & (array >= 0)))
    if unusable.size:
        raise InputError(
            f"unusable weight of run {unusable[0] + 1}",
            where=where,
            found=f"{array[unusable[0]]:g}",
            expected="a finite number, not negative",
        )
    if not np.any(array > 0):
        raise InputError("every weight is zero", where=where, expected="some weights above zero")
    return array


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
    law = problem.law.law
    if law.name not in STAGED_METHODS:
        raise InputError(
            f"law {law.name} has no staged method",
            where="--method",
            found="staged",
            expected="joint, or one of the laws " + ", ".join(STAGED_METHODS),
        )
    present = weights > 0
    columns = [column[present] for column in inputs]
    parameters = STAGED_METHODS[law.name](columns, problem.measured[present])
    return Surface.of_parameters(law, parameters, problem.centre).working


def best_of(problem: Problem, solution: Solution, weights: Array) -> Solution:
    """The start that ended lowest, taken on to convergence, as a batch of one."""
    working = solution.working[:, [int(np.argmin(solution.value))]]
    best = solve(problem, working, weights)
    for _ in range(_CONTINUATIONS):
        if best.status(0) is not Status.ITERATION_LIMIT:
            break
        best = solve(problem, best.working, weights)
    return best


def find_search(
    problem: Problem, solution: Solution, best: Solution, weights: Array, searched: Indices
) -> Search:
    """How sure the optimum is: which starts found it, what lies next, how flat it is there.

    Args:
        problem: law and table.
        solution: where each start ended, on the rows in `searched`.
        best: the best of them, refined on all rows.
        weights: weight of each row.
        searched: the rows that the starts were fitted to.
    """
    settled = solution.value[solution.converged]
    everywhere = searched.size == weights.size
    lowest = float(best.value[0]) if everywhere else float(np.min(solution.value))
    exact = problem.rounding * float(np.sum(weights[searched]))
    same = settled <= max(lowest * (1 + _SAME_OPTIMUM), exact)
    others = settled[~same]
    free = (best.working > problem.lower[:, None]) & (best.working < problem.upper[:, None])
    with np.errstate(all="ignore"):
        model = local_model(problem, best.working, weights[None, :], problem.measured[None, :])
        size = max(float(best.value[0]), exact)
        steepness = np.abs(model.gradient) / np.sqrt(model.diagonal * size)
    steepness = np.where(free & np.isfinite(steepness), steepness, 0.0)
    return Search(
        solution.value.size,
        settled.size,
        int(np.sum(same)),
        float(others.min() / max(lowest, exact) - 1) if others.size else None,
        float(np.max(steepness)),
    )


def _resamples(
    runs: Runs,
    problem: Problem,
    rows: FittedRows,
    working: Array,
    resample: str,
    count: int,
    seed: int,
) -> Resamples:
    """The tables to refit, by the kind of bootstrap asked for."""
    kind, _, detail = resample.partition(":")
    if kind == "pairs" and not detail:
        return pairs_bootstrap(rows.weights, count, seed)
    if kind == "residual" and not detail:
        predicted = problem.predict(working[:, None])[:, 0]
        residuals = np.log(predicted / rows.loss)
        return residual_bootstrap(rows.weights, predicted, residuals, working.size, count, seed)
    if kind == "cluster" and detail:
        return cluster_bootstrap(rows.weights, runs.groups(detail), count, seed)
    if kind == "noise":
        return noise_bootstrap(rows.weights, rows.loss, _log_noise(rows, detail), count, seed)
    raise InputError(
        "unknown kind of bootstrap",
        where="--resample",
        found=repr(resample),
        expected="pairs, residual, cluster:COLUMN, noise or noise:SIZE",
    )


def _log_noise(rows: FittedRows, detail: str) -> float:
    if not detail:
        noise, freedom = seed_log_noise(rows.inputs, rows.loss)
        if freedom == 0:
            raise InputError(
                "no run is repeated, so the noise between seeds is unknown",
                where="--resample",
                found="noise",
                expected="its size in log loss, as in noise:0.002",
            )
        return noise
    try:
        noise = float(detail)
    except ValueError:
        noise = np.nan
    if not 0 < noise < 1:
        raise InputError(
            "not a noise level",
            where="--resample",
            found=repr(detail),
            expected="a standard deviation of log loss between 0 and 1, as in noise:0.002",
        )
    return noise


def _replicates(
    problem: Problem,
    working: Array,
    resamples: Resamples,
    threads: int | None,
    advance: Callable[[int], None] | None,
) -> Array:
    """Working parameters of the replicates that converged, shape (parameters, converged)."""
    begin = np.repeat(working[:, None], resamples.weights.shape[1], axis=1)
    solution = solve(
        problem,
        begin,
        resamples.weights,
        measured=resamples.measured,
        threads=threads,
        advance=advance,
    )
    return solution.working[:, solution.converged]
