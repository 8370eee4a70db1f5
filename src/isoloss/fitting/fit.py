"""Fit a law to a table of runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from isoloss.arrays import Array
from isoloss.errors import FitError, InputError
from isoloss.fitting.bootstrap import pairs_bootstrap
from isoloss.fitting.identifiability import identifiability, require_carrying
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
        bootstrap: replicates, drawn as pairs, each refitted from the optimum.
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
    for name, count, least in (("--bootstrap", bootstrap, 0), ("starts", starts, 1)):
        if count < least:
            raise InputError("too few", where=name, found=str(count), expected=f"{least} or more")
    names = [entry.name for entry in law.inputs]
    inputs = tuple(runs.column(name) for name in names)
    for name, column in (*zip(names, inputs, strict=True), ("loss", runs.loss)):
        _require_positive(name, column, runs.source)
    rows = FittedRows(inputs, runs.loss, _weights(runs, weights))
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
        solution = solve(problem, candidates, rows.weights, threads=threads, advance=advance)
        best = _best(problem, solution, rows.weights)
        working, objective_value = best.working[:, 0], float(best.value[0])
        status, drawn = best.status(0), bootstrap
        near = solution.value <= objective_value * (1 + _SAME_OPTIMUM) + 1e-300
        search = Search(
            candidates.shape[1],
            int(np.sum(solution.converged)),
            int(np.sum(near & solution.converged)),
        )
        replicates = _replicates(problem, working, rows.weights, bootstrap, seed, threads, advance)
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


def _weights(runs: Runs, weights: npt.ArrayLike | str | None) -> Array:
    if weights is None:
        return np.ones(len(runs))
    where = f"column {weights!r}" if isinstance(weights, str) else "weights"
    values = runs.column(weights) if isinstance(weights, str) else weights
    array = np.asarray(values, dtype=np.float64)
    if array.shape != (len(runs),) or not np.all(np.isfinite(array)) or np.any(array < 0):
        raise InputError(
            "unusable weights",
            where=where,
            found=f"shape {array.shape}",
            expected=f"{len(runs)} finite numbers, none negative",
        )
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


def _best(problem: Problem, solution: Solution, weights: Array) -> Solution:
    """The start that ended lowest, taken on to convergence, as a batch of one."""
    working = solution.working[:, [int(np.argmin(solution.value))]]
    best = solve(problem, working, weights)
    for _ in range(_CONTINUATIONS):
        if best.status(0) is not Status.ITERATION_LIMIT:
            break
        best = solve(problem, best.working, weights)
    return best


def _replicates(
    problem: Problem,
    working: Array,
    weights: Array,
    count: int,
    seed: int,
    threads: int | None,
    advance: Callable[[int], None] | None,
) -> Array:
    """Working parameters of the replicates that converged, shape (parameters, converged)."""
    if not count:
        return np.empty((working.size, 0))
    resampled = pairs_bootstrap(weights, count, seed)
    begin = np.repeat(working[:, None], count, axis=1)
    solution = solve(problem, begin, resampled, threads=threads, advance=advance)
    return solution.working[:, solution.converged]
