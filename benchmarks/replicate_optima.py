"""Every bootstrap replicate of Epoch AI's analysis against the optimum of another optimiser.

    .venv/bin/python benchmarks/replicate_optima.py [REPLICATES] [STARTS]

Each replicate is solved again by SciPy's trust-region method (`trust-exact`) over (ln A, ln B,
ln E, alpha, beta), with derivatives written out by hand, from the published optimum and from ours;
the lower of the two is the reference. Printed are the largest excess of our objective over it, as a
share, and how many random starts end in the one optimum of the table itself.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import minimize

import isoloss
from isoloss.arrays import Array
from isoloss.fitting import fit
from isoloss.fitting.bootstrap import pairs_bootstrap
from isoloss.fitting.problem import Problem
from isoloss.fitting.solver import solve
from isoloss.fitting.tables import GivenTables

DELTA = 1e-3
# The values (ln A, ln B, ln E, alpha, beta) from which Epoch's notebook starts each replicate.
PUBLISHED = np.array([6.0073404, 6.0179186, 0.5267228, 0.33917084, 0.2849083])


@dataclass(frozen=True)
class Reference:
    """The Huber sum of Hoffmann et al., approach 3, with its derivatives.

    Attributes:
        log_params: ln N of each run.
        log_tokens: ln D.
        log_loss: ln L.
        weights: weight of each run.
    """

    log_params: Array
    log_tokens: Array
    log_loss: Array
    weights: Array

    def _residual(self, point: Array) -> tuple[Array, Array, Array]:
        """Residuals of log loss, share of each term in the loss, and the terms' slopes."""
        a, b, e, alpha, beta = point
        terms = np.exp(
            [
                a - alpha * self.log_params,
                b - beta * self.log_tokens,
                np.full(self.log_loss.size, e),
            ]
        )
        loss = terms.sum(axis=0)
        none, one = np.zeros(loss.size), np.ones(loss.size)
        slopes = np.array(
            [
                [one, none, none, -self.log_params, none],
                [none, one, none, none, -self.log_tokens],
                [none, none, one, none, none],
            ]
        )
        return np.log(loss) - self.log_loss, terms / loss, slopes

    def value(self, point: Array) -> float:
        """The objective."""
        size = np.abs(self._residual(point)[0])
        inside = size <= DELTA
        terms = np.where(inside, 0.5 * size**2, DELTA * (size - 0.5 * DELTA))
        return float(self.weights @ terms)

    def gradient(self, point: Array) -> Array:
        """Its gradient, shape (5,)."""
        residual, share, slopes = self._residual(point)
        first = np.einsum("tn,tpn->pn", share, slopes)
        return np.asarray(first @ (self.weights * np.clip(residual, -DELTA, DELTA)))

    def hessian(self, point: Array) -> Array:
        """Its Hessian, shape (5, 5)."""
        residual, share, slopes = self._residual(point)
        first = np.einsum("tn,tpn->pn", share, slopes)
        second = np.einsum("tn,tpn,tqn->pqn", share, slopes, slopes) - first[:, None] * first
        inner = self.weights * (np.abs(residual) <= DELTA)
        outer = self.weights * np.clip(residual, -DELTA, DELTA)
        return np.asarray(np.einsum("pn,qn,n->pq", first, first, inner) + second @ outer)

    def optimum(self, *starts: Array) -> float:
        """The lowest value that the reference optimiser reaches from the starts."""
        return min(
            float(
                minimize(
                    self.value,
                    start,
                    jac=self.gradient,
                    hess=self.hessian,
                    method="trust-exact",
                    options={"gtol": 1e-13, "maxiter": 500},
                ).fun
            )
            for start in starts
        )


def excess_of_replicates(runs: isoloss.Runs, replicates: int, seed: int = 0) -> Array:
    """By what share each replicate's objective exceeds the reference; NaN if not converged."""
    own = fit(runs, "chinchilla")
    problem = Problem.of(own.law, own.rows, own.objective, own.surface.centre)
    begin = np.repeat(own.surface.working[:, None], replicates, axis=1)
    weights, _ = pairs_bootstrap(own.rows.weights, seed).block(slice(0, replicates))
    solution = solve(problem, begin, GivenTables(weights.T))
    published = problem.law.to_published(solution.working, problem.centre)
    names = own.law.parameter_names
    columns = (np.log(runs.params), np.log(runs.tokens), np.log(runs.loss))
    found = np.full(replicates, np.nan)
    for index in np.flatnonzero(solution.converged):
        at = dict(zip(names, published[:, index], strict=True))
        logs = [np.log(at[name]) for name in ("A", "B", "E")]
        ours = np.array([*logs, at["alpha"], at["beta"]])
        reference = Reference(*columns, weights[index]).optimum(PUBLISHED, ours)
        found[index] = solution.value[index] / reference - 1
    return found


def main() -> None:
    replicates = int(sys.argv[1]) if len(sys.argv) > 1 else 4000
    starts = int(sys.argv[2]) if len(sys.argv) > 2 else 300
    data = Path(__file__).parents[2] / "shared" / "data" / "chinchilla_fig4_epoch.csv"
    runs = isoloss.read_runs(data, where="not excluded_by_epoch")
    search = fit(runs, "chinchilla", starts=starts).search
    print(f"{search.reached_best} of {starts} random starts end in the same optimum")
    excess = excess_of_replicates(runs, replicates)
    print(
        f"{np.isfinite(excess).sum()} of {replicates} replicates converged; "
        f"largest excess over the reference {np.nanmax(excess):.2g}, "
        f"largest gain {-np.nanmin(excess):.2g}"
    )


if __name__ == "__main__":
    main()
