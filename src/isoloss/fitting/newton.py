"""Damped Newton steps for a block of problems until each has ended."""

from __future__ import annotations

import numpy as np

from isoloss.arrays import Array, Mask
from isoloss.fitting.local_model import LocalModel, local_model
from isoloss.fitting.problem import STATUSES, Problem, Solution, Status

MAX_ITERATIONS = 200
# A step that promises less than this share of the objective cannot be told from rounding.
PROMISE_TOLERANCE = 1e-14
# Fits that cannot go on and could gain no more than this share are at the optimum for any
# practical purpose.
_STALL_TOLERANCE = 1e-9
# Curvature below this, in units of the Gauss-Newton diagonal, is rounding.
_FLAT = 1e-12
_FIRST_DAMPING = 1e-2
_LARGEST_DAMPING = 1e14
_SMALLEST_DAMPING = 1e-16
# Newton steps count as such, for the convergence test, only when hardly damped. Damping hides
# directions with less curvature than its own; the certificate looks at those.
_LIGHT_DAMPING = 1e-3
_LIGHTER = 1e-2
# Share of the promised decrease that a step must bring.
_LEAST_GAIN = 1e-4
# Factorisations tried in one iteration, each with four times the damping of the last: they cost
# far less than an evaluation of the law.
_FACTORISATIONS = 10
# Share of the way to a bound that one step may go, and the distance from which it may arrive.
_APPROACH = 0.9
_AT_BOUND = 1e-6


class NewtonBlock:
    """The state of a block of problems while it is being solved.

    Args:
        problem: law, table and objective.
        starts: working parameters to start from, shape (parameters, problems).
        weights: weight of each row in each problem, shape (problems, rows).
        measured: loss of each row, shape (problems, rows) or (1, rows).
        held: parameters that stay at their starts, shape (parameters,).
    """

    def __init__(
        self, problem: Problem, starts: Array, weights: Array, measured: Array, held: Mask
    ) -> None:
        self.problem, self.held = problem, held[:, None]
        self.lower, self.upper = problem.lower[:, None], problem.upper[:, None]
        count = starts.shape[1]
        self.working = np.clip(starts, self.lower, self.upper)
        self.result = Solution(
            self.working.copy(),
            np.full(count, np.inf),
            np.full(count, np.inf),
            np.zeros(count, dtype=np.int64),
            np.full(count, STATUSES.index(Status.ITERATION_LIMIT)),
        )
        self.active = np.arange(count)
        self.weights, self.measured = weights, measured
        self.model = local_model(problem, self.working, weights, measured)
        self.damping = np.full(count, _FIRST_DAMPING)
        self.exact = problem.rounding * np.sum(weights, axis=1)

    def run(self) -> Solution:
        """Iterate until every problem has ended."""
        self._retire((~np.isfinite(self.model.value), Status.INVALID_START))
        for _ in range(MAX_ITERATIONS):
            if not self.active.size:
                break
            self._iterate()
        self._store(np.ones(self.active.size, dtype=bool))
        return self.result

    def _iterate(self) -> None:
        model = self.model
        pressing = self._pressing(self.working, model)
        gradient = np.where(pressing, 0.0, model.gradient)
        step, solved = self._step(gradient, pressing)
        trial = self._inside(self.working + step)
        step = trial - self.working
        curvature = np.einsum("jb,jkb,kb->b", step, model.hessian, step)
        promise = -np.einsum("jb,jb->b", gradient, step) - 0.5 * curvature
        share = np.abs(promise) / np.maximum(model.value, 1e-300)
        settled = solved & (share <= PROMISE_TOLERANCE) & (self.damping <= _LIGHT_DAMPING)
        doubtful = settled & ~self._certified(settled, self.working, model)
        settled = (settled & ~doubtful) | (model.value <= self.exact)
        there = local_model(self.problem, trial, self.weights, self.measured)
        gain = (model.value - there.value) / promise
        lower = there.value < model.value
        better = solved & lower & (gain > _LEAST_GAIN)
        last = settled & (there.value <= model.value)
        better |= last & self._certified(last, trial, there)
        self.working = np.where(better, trial, self.working)
        self.model = there.where(better, model)
        factor = np.where(gain > 0.9, 0.05, np.where(gain > 0.5, 0.3, np.where(gain > 0.1, 2, 5)))
        factor = np.where(doubtful, _LIGHTER, np.where(better, factor, 8.0))
        self.damping = np.maximum(self.damping * factor, _SMALLEST_DAMPING)
        self.result.iterations[self.active] += 1
        self.result.promise[self.active] = np.where(
            solved & (self.damping < 1.0), share, self.result.promise[self.active]
        )
        stuck = ~settled & (self.damping > _LARGEST_DAMPING)
        close = stuck & self._certified(stuck, self.working, self.model)
        self._retire((settled | close, Status.CONVERGED), (stuck, Status.STALLED))

    def _pressing(self, working: Array, model: LocalModel) -> Mask:
        """Parameters that stay: held ones, and those on a bound with the descent beyond it."""
        low = (working <= self.lower) & (model.gradient > 0)
        high = (working >= self.upper) & (model.gradient < 0)
        return low | high | self.held

    def _certified(self, which: Mask, working: Array, model: LocalModel) -> Mask:
        """Which of the problems have nowhere to go, in any direction, however flat.

        Args:
            which: problems to look at.
            working: where they are, shape (parameters, problems).
            model: the objective around there.
        """
        certified = np.zeros(self.active.size, dtype=bool)
        chosen = np.flatnonzero(which)
        if not chosen.size:
            return certified
        pressing = self._pressing(working, model)[:, chosen]
        model = model.take(chosen)
        matrix, scale = scaled_hessian(model, pressing)
        usable = np.all(np.isfinite(matrix), axis=(0, 1))
        curvature, directions = np.linalg.eigh(np.where(usable, matrix, 0.0).transpose(2, 0, 1))
        gradient = np.where(pressing, 0.0, model.gradient)
        slope = np.einsum("bjk,jb->bk", directions, gradient * scale)
        gain = np.sum(0.5 * slope**2 / np.maximum(curvature, _FLAT), axis=1)
        certified[chosen] = (
            usable
            & (curvature[:, 0] > -_STALL_TOLERANCE)
            & (gain <= _STALL_TOLERANCE * model.value)
        )
        return certified

    def _step(self, gradient: Array, pressing: Mask) -> tuple[Array, Mask]:
        """Damped Newton steps; damping grows until the damped Hessian is positive definite."""
        step, solved = damped_step(self.model, gradient, self.damping, pressing)
        for _ in range(_FACTORISATIONS):
            failed = np.flatnonzero(~solved)
            if not failed.size:
                break
            self.damping[failed] = np.maximum(4.0 * self.damping[failed], _LIGHT_DAMPING)
            step[:, failed], solved[failed] = damped_step(
                self.model.take(failed),
                gradient[:, failed],
                self.damping[failed],
                pressing[:, failed],
            )
        return step, solved

    def _inside(self, trial: Array) -> Array:
        """The trial, kept within bounds and from jumping onto one: laws often end there."""
        below, above = self.working - self.lower, self.upper - self.working
        low = np.where(below > _AT_BOUND, self.working - _APPROACH * below, self.lower)
        high = np.where(above > _AT_BOUND, self.working + _APPROACH * above, self.upper)
        return np.clip(trial, low, high)

    def _store(self, ended: Mask) -> None:
        problems = self.active[ended]
        self.result.working[:, problems] = self.working[:, ended]
        self.result.value[problems] = self.model.value[ended]

    def _retire(self, *endings: tuple[Mask, Status]) -> None:
        ended = np.zeros(self.active.size, dtype=bool)
        for which, status in endings:
            self.result.code[self.active[which & ~ended]] = STATUSES.index(status)
            ended |= which
        if not ended.any():
            return
        self._store(ended)
        kept = ~ended
        self.active, self.damping, self.exact = (
            self.active[kept],
            self.damping[kept],
            self.exact[kept],
        )
        self.weights, self.working = self.weights[kept], self.working[:, kept]
        if self.measured.shape[0] > 1:
            self.measured = self.measured[kept]
        self.model = self.model.take(kept)


def scaled_hessian(model: LocalModel, pressing: Mask) -> tuple[Array, Array]:
    """Hessian in units of the Gauss-Newton diagonal, and the size of each parameter's unit.

    Parameters in `pressing` have rows and columns of the unit matrix.
    """
    floor = 1e-12 * np.max(model.diagonal, axis=0) + 1e-300
    scale = 1.0 / np.sqrt(np.maximum(model.diagonal, floor))
    matrix = model.hessian * scale[:, None] * scale[None, :]
    if pressing.any():
        matrix[pressing[:, None] | pressing[None, :]] = 0.0
        index = np.arange(scale.shape[0])
        matrix[index, index] = np.where(pressing, 1.0, matrix[index, index])
    return matrix, scale


def damped_step(
    model: LocalModel, gradient: Array, damping: Array, pressing: Mask
) -> tuple[Array, Mask]:
    """Solve (H + damping * diag) step = -gradient for every problem; also says where it could.

    Parameters in `pressing` stay where they are. Variables are scaled by the diagonal; all
    problems are eliminated at once, without pivoting, and a pivot that is not positive tells where
    the damped Hessian is not positive definite.
    """
    count = gradient.shape[0]
    matrix, scale = scaled_hessian(model, pressing)
    system = np.concatenate([matrix, (-gradient * scale)[:, None]], axis=1)
    index = np.arange(count)
    system[index, index] += np.where(pressing, 0.0, damping)
    solved = np.all(np.isfinite(system), axis=(0, 1))
    system[:, :, ~solved] = 0.0
    # A pivot lost to rounding is no evidence of positive definiteness.
    least = 1e-14 * np.abs(system[index, index])
    for j in range(count):
        solved &= system[j, j] > least[j]
        row = system[j, j + 1 :]
        row /= np.where(solved, system[j, j], np.inf)
        system[j + 1 :, j + 1 :] -= system[j + 1 :, j, None] * row
    step = system[:, count]
    for j in reversed(range(count - 1)):
        step[j] -= np.einsum("kb,kb->b", system[j, j + 1 : count], step[j + 1 :])
    return np.where(solved, step * scale, 0.0), solved
