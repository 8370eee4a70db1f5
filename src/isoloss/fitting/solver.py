"""The one solver: damped Newton steps for a batch of weighted fits of one law to one table.

Starts, bootstrap replicates and backtests differ only in where they begin and in how they weigh
the rows, so all are one batch. The Hessian is exact, the law's own curvature included: a robust
objective such as Huber with delta 1e-3 has almost no curvature of its own, and reweighted least
squares would converge only linearly. The damping is scaled by the reweighted Gauss-Newton
diagonal, and bounds hold by leaving parameters that press against them out of the step.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum

import numpy as np

from isoloss.arrays import Array, Indices, Mask
from isoloss.fitting.objectives import Objective
from isoloss.laws.coordinates import Centre, WorkingLaw

MAX_ITERATIONS = 400
# A step that promises less than this share of the objective cannot be told from rounding.
_PROMISE_TOLERANCE = 1e-14
# Stuck fits whose promise is below this are at the optimum for any practical purpose.
_STALL_TOLERANCE = 1e-9
# Root-mean-square residual below which a table is met exactly.
_EXACT_RESIDUAL = 1e-13
_FIRST_DAMPING = 1e-2
_LARGEST_DAMPING = 1e14
# Newton steps count as such, for the convergence test, only when hardly damped.
_LIGHT_DAMPING = 1e-3
# Rows x problems of a block: a few dozen such arrays of doubles should stay in the cache.
_BLOCK_ELEMENTS = 1 << 15
_BLOCK_PROBLEMS = 512


class Status(Enum):
    """How a fit ended; the value says what it means and what to do."""

    CONVERGED = "converged"
    ITERATION_LIMIT = "stopped at the iteration limit: try more starts or another objective"
    STALLED = (
        "stuck away from an optimum: the data probably do not determine the law; "
        "try a law with fewer parameters"
    )
    INVALID_START = "the law has no value at the starting point: start elsewhere"


_STATUSES = tuple(Status)


@dataclass(frozen=True)
class Problem:
    """One law, one table, one objective; rows come as logs relative to the centre.

    Attributes:
        law: the law in its working coordinates.
        log_inputs: one array of rows an input.
        measured: the loss of each row.
        centre: what the logs are relative to.
        objective: what is minimised.
    """

    law: WorkingLaw
    log_inputs: tuple[Array, ...]
    measured: Array
    centre: Centre
    objective: Objective

    @property
    def lower(self) -> Array:
        """Lower bounds of the working parameters."""
        return np.array([parameter.lower for parameter in self.law.parameters])

    @property
    def upper(self) -> Array:
        """Upper bounds of the working parameters."""
        return np.array([parameter.upper for parameter in self.law.parameters])

    def predict(self, working: Array) -> Array:
        """Predictions for each row and problem, working parameters (parameters, problems)."""
        columns = [column[:, None] for column in self.log_inputs]
        value = self.law.evaluator.value(
            list(working[:, None, :]), columns, self.law.constants(self.centre)
        )
        return np.broadcast_to(value, (self.measured.size, working.shape[1]))


@dataclass(frozen=True)
class Solution:
    """Where each problem of a batch ended.

    Attributes:
        working: working parameters, shape (parameters, problems).
        value: the objective, a sum over rows, shape (problems,).
        promise: decrease that another Newton step promises, as a share of the objective.
        iterations: steps taken.
        code: index into `Status`, see `status`.
    """

    working: Array
    value: Array
    promise: Array
    iterations: Indices
    code: Indices

    @property
    def converged(self) -> Mask:
        """Which problems reached an optimum."""
        return np.asarray(self.code == _STATUSES.index(Status.CONVERGED))

    def status(self, problem: int) -> Status:
        """How one problem ended."""
        return _STATUSES[int(self.code[problem])]


def available_threads() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def solve(
    problem: Problem,
    starts: Array,
    weights: Array | None = None,
    *,
    threads: int | None = None,
    advance: Callable[[int], None] | None = None,
) -> Solution:
    """Minimise the objective for every start and weighting.

    Blocks do not depend on the number of threads, so neither do the results.

    Args:
        problem: law, table and objective.
        starts: working parameters to start from, shape (parameters, problems).
        weights: weight of each row in each problem, shape (rows, problems), or one weight a row;
            all ones where not given. A weight of zero leaves a row out.
        threads: blocks solved at the same time; as many as there are processors if not given.
        advance: called with the number of problems of each finished block.
    """
    count = starts.shape[1]
    rows = problem.measured.size
    everywhere = np.ones((rows, 1)) if weights is None else weights.reshape(rows, -1)
    size = max(1, min(_BLOCK_PROBLEMS, _BLOCK_ELEMENTS // rows))
    blocks = [slice(first, min(first + size, count)) for first in range(0, count, size)]

    def solve_block(block: slice) -> Solution:
        width = block.stop - block.start
        own = everywhere[:, block] if everywhere.shape[1] > 1 else everywhere
        own = np.ascontiguousarray(np.broadcast_to(own, (rows, width)))
        solution = _approach(problem, starts[:, block], own)
        if advance:
            advance(width)
        return solution

    threads = threads or available_threads()
    if threads > 1 and len(blocks) > 1:
        with ThreadPoolExecutor(threads) as pool:
            parts = list(pool.map(solve_block, blocks))
    else:
        parts = [solve_block(block) for block in blocks]
    return _join(parts)


def _join(parts: Sequence[Solution]) -> Solution:
    return Solution(
        np.concatenate([part.working for part in parts], axis=1),
        np.concatenate([part.value for part in parts]),
        np.concatenate([part.promise for part in parts]),
        np.concatenate([part.iterations for part in parts]),
        np.concatenate([part.code for part in parts]),
    )


def _approach(problem: Problem, starts: Array, weights: Array) -> Solution:
    working = starts
    for scale in problem.objective.approach:
        smooth = problem.objective.at_scale(scale)
        easier = Problem(problem.law, problem.log_inputs, problem.measured, problem.centre, smooth)
        with np.errstate(all="ignore"):
            working = _Batch(easier, working, weights).run().working
    with np.errstate(all="ignore"):
        return _Batch(problem, working, weights).run()


class _Batch:
    """The state of a block of problems while it is being solved."""

    def __init__(self, problem: Problem, starts: Array, weights: Array) -> None:
        self.problem = problem
        self.columns = [column[:, None] for column in problem.log_inputs]
        self.measured = problem.measured[:, None]
        self.constants = problem.law.constants(problem.centre)
        self.lower, self.upper = problem.lower[:, None], problem.upper[:, None]
        count = starts.shape[1]
        self.result = Solution(
            np.clip(starts, self.lower, self.upper),
            np.full(count, np.inf),
            np.full(count, np.inf),
            np.zeros(count, dtype=np.int64),
            np.full(count, _STATUSES.index(Status.ITERATION_LIMIT)),
        )
        self.active = np.arange(count)
        self.weights = weights
        self.working = self.result.working.copy()
        self.value = self._value(self.working)
        self.damping = np.full(count, _FIRST_DAMPING)
        self._exact = _EXACT_RESIDUAL**2 * np.sum(weights, axis=0)
        self._differentiate(np.arange(count))

    def run(self) -> Solution:
        self._retire(~np.isfinite(self.value), Status.INVALID_START)
        for _ in range(MAX_ITERATIONS):
            if not self.active.size:
                break
            self._iterate()
        self._store(np.arange(self.active.size))
        return self.result

    def _value(self, working: Array) -> Array:
        predicted = self.problem.law.evaluator.value(
            list(working[:, None, :]), self.columns, self.constants
        )
        return self.problem.objective.value(predicted, self.measured, self.weights)

    def _differentiate(self, which: Indices) -> None:
        """Refresh gradient, Hessian and Gauss-Newton diagonal of the given active problems."""
        working = self.working[:, which]
        weights = self.weights if which.size == self.active.size else self.weights[:, which]
        gradient, hessian, diagonal = _quadratic(
            self.problem, working, weights, self.columns, self.measured, self.constants
        )
        if which.size == self.active.size:
            self.gradient, self.hessian, self.diagonal = gradient, hessian, diagonal
        else:
            self.gradient[:, which] = gradient
            self.hessian[:, :, which] = hessian
            self.diagonal[:, which] = diagonal

    def _iterate(self) -> None:
        pressing = ((self.working <= self.lower) & (self.gradient > 0)) | (
            (self.working >= self.upper) & (self.gradient < 0)
        )
        gradient = np.where(pressing, 0.0, self.gradient)
        step, solved = _damped_step(gradient, self.hessian, self.diagonal, self.damping, pressing)
        trial = np.clip(self.working + step, self.lower, self.upper)
        step = trial - self.working
        curvature = np.einsum("jb,jkb,kb->b", step, self.hessian, step)
        promise = -np.einsum("jb,jb->b", gradient, step) - 0.5 * curvature
        value = self._value(trial)
        share = promise / np.maximum(self.value, 1e-300)
        settled = (
            solved & (np.abs(share) <= _PROMISE_TOLERANCE) & (self.damping <= _LIGHT_DAMPING)
        ) | (self.value <= self._exact)
        with np.errstate(all="ignore"):
            gain = (self.value - value) / promise
        better = solved & (value < self.value) & (gain > 1e-4)
        better |= settled & (value <= self.value)

        self.working = np.where(better, trial, self.working)
        self.value = np.where(better, value, self.value)
        factor = np.where(gain > 0.9, 0.05, np.where(gain > 0.5, 0.3, np.where(gain > 0.1, 2, 5)))
        self.damping = self.damping * np.where(better, factor, 8.0)
        # A factorisation that failed says that far more is needed at once.
        self.damping = np.where(solved, self.damping, self.damping * 4)
        self.damping = np.maximum(self.damping, 1e-16)
        self.result.iterations[self.active] += 1
        self.result.promise[self.active] = np.where(
            solved & (self.damping < 1.0), np.abs(share), self.result.promise[self.active]
        )

        stuck = ~settled & (self.damping > _LARGEST_DAMPING)
        close = self.result.promise[self.active] <= _STALL_TOLERANCE
        moved = np.flatnonzero(better & ~settled & ~stuck)
        if moved.size:
            self._differentiate(moved)
        self._retire_many((settled | (stuck & close), Status.CONVERGED), (stuck, Status.STALLED))

    def _store(self, which: Indices) -> None:
        problems = self.active[which]
        self.result.working[:, problems] = self.working[:, which]
        self.result.value[problems] = self.value[which]

    def _retire(self, which: Mask, status: Status) -> None:
        self._retire_many((which, status))

    def _retire_many(self, *endings: tuple[Mask, Status]) -> None:
        ended = np.zeros(self.active.size, dtype=bool)
        for which, status in endings:
            fresh = which & ~ended
            self.result.code[self.active[fresh]] = _STATUSES.index(status)
            ended |= which
        if not ended.any():
            return
        self._store(np.flatnonzero(ended))
        kept = ~ended
        self.active = self.active[kept]
        self.weights = np.ascontiguousarray(self.weights[:, kept])
        self._exact = self._exact[kept]
        self.working, self.value = self.working[:, kept], self.value[kept]
        self.damping = self.damping[kept]
        self.gradient, self.diagonal = self.gradient[:, kept], self.diagonal[:, kept]
        self.hessian = self.hessian[:, :, kept]


def _quadratic(
    problem: Problem,
    working: Array,
    weights: Array,
    columns: Sequence[Array],
    measured: Array,
    constants: Sequence[float],
) -> tuple[Array, Array, Array]:
    """Gradient, exact Hessian and reweighted Gauss-Newton diagonal of the objective.

    Returns:
        Arrays of shape (parameters, problems), (parameters, parameters, problems) and
        (parameters, problems).
    """
    law = problem.law.evaluator.derivatives(list(working[:, None, :]), columns, constants)
    count, problems = working.shape
    predicted = np.broadcast_to(law.value, weights.shape)
    penalty = problem.objective.penalty(
        problem.objective.residual(predicted, measured), problem.objective.scale
    )
    if problem.objective.logarithmic:
        inverse = 1.0 / predicted
        by_value = weights * penalty.slope * inverse
        by_square = weights * (penalty.curvature - penalty.slope) * inverse**2
        reweighted = weights * penalty.weight * inverse**2
    else:
        by_value = weights * penalty.slope
        by_square = weights * penalty.curvature
        reweighted = weights * penalty.weight
    gradient = np.empty((count, problems))
    hessian = np.empty((count, count, problems))
    diagonal = np.empty((count, problems))
    for j in range(count):
        gradient[j] = _over_rows(by_value, law.first[j])
        scaled = by_square * law.first[j]
        diagonal[j] = _over_rows(reweighted * law.first[j], law.first[j])
        for k in range(j, count):
            entry = _over_rows(scaled, law.first[k])
            if (j, k) in law.second:
                entry = entry + _over_rows(by_value, law.second[j, k])
            hessian[j, k] = hessian[k, j] = entry
    return gradient, hessian, diagonal


def _over_rows(weighted: Array, factor: Array) -> Array:
    """Sum over rows of weighted * factor, where the factor may not depend on rows or problems."""
    shape = np.shape(factor)
    if len(shape) < 2 or shape[0] == 1:
        total: Array = weighted.sum(axis=0) * np.reshape(factor, -1)
        return total
    if shape[1] == 1:
        return np.asarray(np.einsum("nb,n->b", weighted, factor[:, 0]))
    return np.asarray(np.einsum("nb,nb->b", weighted, factor))


def _damped_step(
    gradient: Array, hessian: Array, diagonal: Array, damping: Array, pressing: Mask
) -> tuple[Array, Mask]:
    """Solve (H + damping * diag) step = -gradient for every problem; also says where it could.

    Parameters in `pressing` stay where they are. Variables are scaled by the diagonal, and a
    Cholesky factorisation over all problems at once tells where the damped Hessian is not
    positive definite.
    """
    count = gradient.shape[0]
    floor = 1e-12 * np.max(diagonal, axis=0) + 1e-300
    scale = 1.0 / np.sqrt(np.maximum(diagonal, floor))
    matrix = hessian * scale[:, None] * scale[None, :]
    held = pressing[:, None] | pressing[None, :]
    matrix = np.where(held, 0.0, matrix)
    index = np.arange(count)
    matrix[index, index] = np.where(pressing, 1.0, matrix[index, index] + damping)
    solved = np.all(np.isfinite(matrix), axis=(0, 1))
    factor = np.zeros_like(matrix)
    for j in range(count):
        pivot = matrix[j, j] - np.einsum("kb,kb->b", factor[j, :j], factor[j, :j])
        # A pivot lost to rounding is no evidence of positive definiteness.
        solved &= pivot > 1e-14 * np.abs(matrix[j, j])
        root = np.sqrt(np.where(solved, pivot, 1.0))
        factor[j, j] = root
        for i in range(j + 1, count):
            inner = np.einsum("kb,kb->b", factor[i, :j], factor[j, :j])
            factor[i, j] = (matrix[i, j] - inner) / root
    step = -gradient * scale
    for j in range(count):
        step[j] = (step[j] - np.einsum("kb,kb->b", factor[j, :j], step[:j])) / factor[j, j]
    for j in reversed(range(count)):
        inner = np.einsum("kb,kb->b", factor[j + 1 :, j], step[j + 1 :])
        step[j] = (step[j] - inner) / factor[j, j]
    return np.where(solved, step * scale, 0.0), solved
