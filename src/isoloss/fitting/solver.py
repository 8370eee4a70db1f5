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
from dataclasses import replace

import numpy as np

from isoloss.arrays import Array, Mask
from isoloss.fitting.newton import NewtonBlock
from isoloss.fitting.problem import Problem, Solution

# Rows x problems of a block: a few dozen such arrays of doubles should stay in the cache.
_BLOCK_ELEMENTS = 1 << 15
_BLOCK_PROBLEMS = 512


def available_threads() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def solve(
    problem: Problem,
    starts: Array,
    weights: Array | None = None,
    *,
    measured: Array | None = None,
    held: Sequence[int] = (),
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
        measured: loss of each row in each problem, shape (rows, problems); the table's own where
            not given.
        held: indices of working parameters that stay where they start.
        threads: blocks solved at the same time; as many as there are processors if not given.
        advance: called with the number of problems of each finished block.
    """
    count = starts.shape[1]
    rows = problem.measured.size
    everywhere = np.ones((rows, 1)) if weights is None else weights.reshape(rows, -1)
    size = max(1, min(_BLOCK_PROBLEMS, _BLOCK_ELEMENTS // rows))
    fixed = np.isin(np.arange(starts.shape[0]), np.asarray(held, dtype=np.int64))
    blocks = [slice(first, min(first + size, count)) for first in range(0, count, size)]

    def solve_block(block: slice) -> Solution:
        width = block.stop - block.start
        own = everywhere[:, block] if everywhere.shape[1] > 1 else everywhere
        own = np.ascontiguousarray(np.broadcast_to(own, (rows, width)).T)
        losses = problem.measured[:, None] if measured is None else measured[:, block]
        losses = np.ascontiguousarray(losses.T)
        solution = _solve_block(problem, starts[:, block], own, losses, fixed)
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


def _solve_block(
    problem: Problem, starts: Array, weights: Array, measured: Array, held: Mask
) -> Solution:
    objective, working = problem.objective, starts
    with np.errstate(all="ignore"):
        for scale in objective.approach:
            smooth = replace(problem, objective=objective.at_scale(scale))
            working = NewtonBlock(smooth, working, weights, measured, held).run().working
        return NewtonBlock(problem, working, weights, measured, held).run()


def _join(parts: Sequence[Solution]) -> Solution:
    return Solution(
        np.concatenate([part.working for part in parts], axis=1),
        np.concatenate([part.value for part in parts]),
        np.concatenate([part.promise for part in parts]),
        np.concatenate([part.iterations for part in parts]),
        np.concatenate([part.code for part in parts]),
    )
