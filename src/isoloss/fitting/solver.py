"""The one solver: damped Newton steps for a batch of weighted fits of one law to one table.

Starts, bootstrap replicates and backtests differ only in where they begin and in how they weigh
the rows, so all are one batch. The Hessian is exact, the law's own curvature included: a robust
objective such as Huber with delta 1e-3 has almost no curvature of its own, and reweighted least
squares would converge only linearly. The damping is scaled by the reweighted Gauss-Newton
diagonal, and bounds hold by leaving parameters that press against them out of the step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from isoloss.arrays import Array, Mask
from isoloss.fitting.newton import NewtonBlock
from isoloss.fitting.problem import Problem, Solution
from isoloss.fitting.spreading import spread
from isoloss.fitting.tables import GivenTables, Tables

# Rows x problems of a block: a few dozen such arrays of doubles should stay in the cache.
_BLOCK_ELEMENTS = 1 << 16
_BLOCK_PROBLEMS = 512


def solve(
    problem: Problem,
    starts: Array,
    tables: Tables | None = None,
    *,
    held: Sequence[int] = (),
    threads: int | None = None,
    advance: Callable[[int], None] | None = None,
) -> Solution:
    """Minimise the objective for every start and table.

    Blocks do not depend on who solves them, so neither do the results: see `spread` for threads,
    processes and clusters.

    Args:
        problem: law, table and objective.
        starts: working parameters to start from, shape (parameters, problems).
        tables: weights and losses of each problem; the table itself, all weights one, where not
            given. A weight of zero leaves a row out.
        held: indices of working parameters that stay where they start.
        threads: blocks solved at the same time; as many as there are processors if not given.
        advance: called with the number of problems of each finished block.
    """
    count = starts.shape[1]
    rows = problem.measured.size
    size = max(1, min(_BLOCK_PROBLEMS, _BLOCK_ELEMENTS // rows))
    fixed = np.isin(np.arange(starts.shape[0]), np.asarray(held, dtype=np.int64))
    work = _Work(problem, starts, tables or GivenTables(np.ones(rows)), fixed)
    blocks = [slice(first, min(first + size, count)) for first in range(0, count, size)]
    parts = spread(
        work,
        blocks,
        threads=threads,
        advance=(lambda part: advance(part.value.size)) if advance else None,
    )
    return join(parts)


@dataclass(frozen=True)
class _Work:
    """Solves blocks of a batch, one after the other, here or where it is sent to."""

    problem: Problem
    starts: Array
    tables: Tables
    held: Mask

    def __call__(self, blocks: Sequence[slice]) -> list[Solution]:
        return [self._solve(block) for block in blocks]

    def _solve(self, block: slice) -> Solution:
        weights, measured = self.tables.block(block)
        losses = self.problem.measured[None, :] if measured is None else measured
        objective, working = self.problem.objective, self.starts[:, block]
        with np.errstate(all="ignore"):
            for scale in objective.approach:
                smooth = replace(self.problem, objective=objective.at_scale(scale))
                working = NewtonBlock(smooth, working, weights, losses, self.held).run().working
            return NewtonBlock(self.problem, working, weights, losses, self.held).run()


def join(parts: Sequence[Solution]) -> Solution:
    """Batches after one another as one."""
    return Solution(
        np.concatenate([part.working for part in parts], axis=1),
        np.concatenate([part.value for part in parts]),
        np.concatenate([part.promise for part in parts]),
        np.concatenate([part.iterations for part in parts]),
        np.concatenate([part.code for part in parts]),
    )
