"""Finding the optimum: which of the starts ended where, and how sure the best one is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from isoloss.arrays import Array, Indices
from isoloss.fitting.local_model import local_model
from isoloss.fitting.problem import Problem, Solution, Status
from isoloss.fitting.solver import join, solve
from isoloss.fitting.tables import GivenTables, Tables

# Starts whose objective agrees this well ended in the same optimum.
_SAME_OPTIMUM = 1e-7
# Optima that are named.
_NAMED_OPTIMA = 4
# Rounds of further iterations for a best start that ran into the iteration limit.
_CONTINUATIONS = 10


@dataclass(frozen=True)
class Optimum:
    """One of the optima that starts ended in.

    Attributes:
        starts: how many of them.
        excess: how much higher its objective is than the best one's, as a share of that.
        parameters: parameters there by name: the published ones, of a joint fit its own.
    """

    starts: int
    excess: float
    parameters: dict[str, float]


@dataclass(frozen=True)
class Search:
    """How the optimum was found.

    Attributes:
        starts: fits started.
        converged: starts that reached an optimum.
        reached_best: starts that reached the best one.
        next_gap: how much higher, as a share, the objective is at the next best optimum; None
            where all starts that converged ended in the same one.
        gradient: largest slope of the objective at the optimum, with each parameter in units of
            its own conditional standard error and the objective in units of itself.
        others: the next best optima, best first.
    """

    starts: int
    converged: int
    reached_best: int
    next_gap: float | None = None
    gradient: float = 0.0
    others: tuple[Optimum, ...] = ()


def solve_starts(
    problem: Problem,
    candidates: Array,
    tables: Tables,
    *,
    threads: int | None = None,
    advance: Callable[[int], None] | None = None,
) -> Solution:
    """Where each start ends: half of them go straight, half through wider scales of the objective.

    On small tables few go straight to an optimum, and some optima are found in one way only.

    Args:
        problem: law, table and objective.
        candidates: working parameters to start from, shape (parameters, starts).
        tables: weights and losses, the same for all starts.
        threads: for the solver.
        advance: called with the number of finished starts.
    """
    eased = problem.objective.eased
    straight = candidates if eased is None else candidates[:, 0::2]
    parts = [solve(problem, straight, tables, threads=threads, advance=advance)]
    if eased is not None and candidates.shape[1] > 1:
        wide = replace(problem, objective=eased)
        parts.append(solve(wide, candidates[:, 1::2], tables, threads=threads, advance=advance))
    return join(parts)


def best_of(problem: Problem, solution: Solution, weights: Array) -> Solution:
    """The start that ended lowest, taken on to convergence, as a batch of one."""
    working = solution.working[:, [int(np.argmin(solution.value))]]
    best = solve(problem, working, GivenTables(weights))
    for _ in range(_CONTINUATIONS):
        if best.status(0) is not Status.ITERATION_LIMIT:
            break
        best = solve(problem, best.working, GivenTables(weights))
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
    ended = solution.working[:, solution.converged]
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
        _other_optima(problem, ended[:, ~same], others, max(lowest, exact)),
    )


def _other_optima(
    problem: Problem, working: Array, value: Array, lowest: float
) -> tuple[Optimum, ...]:
    """The optima that are not the best one, best first.

    Args:
        problem: law and table.
        working: where starts ended, shape (parameters, starts).
        value: their objectives.
        lowest: the best objective.
    """
    order = np.argsort(value)
    apart = np.diff(value[order]) > _SAME_OPTIMUM * value[order[:-1]]
    groups = np.split(order, np.flatnonzero(apart) + 1) if value.size else []
    return tuple(
        Optimum(
            group.size,
            float(value[group[0]] / lowest - 1),
            problem.law.named(working[:, group[0]], problem.centre),
        )
        for group in groups[:_NAMED_OPTIMA]
    )
