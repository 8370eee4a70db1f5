"""Do 90 % bootstrap intervals hold the truth 90 % of the time? Simulated studies with known truth.

    .venv/bin/python benchmarks/coverage.py [TABLES] [REPLICATES] [FOLDER]

For each truth (published Chinchilla and Farseer coefficients), grid of runs (Farseer's and that of
Chinchilla's Figure 4) and noise (0.1 % and 0.5 % of the loss), TABLES simulated tables are fitted,
each with REPLICATES pairs replicates. Printed is how often the intervals hold the true loss, on
average over places inside the grid, and the true D*/N* at a budget inside it.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

import isoloss
from isoloss.arrays import Array
from isoloss.fitting.bootstrap import pairs_bootstrap
from isoloss.fitting.objectives import find_objective
from isoloss.fitting.problem import Problem
from isoloss.fitting.rows import FittedRows
from isoloss.fitting.solver import solve
from isoloss.fitting.tables import GivenTables
from isoloss.laws import Surface, find_law
from isoloss.planning import optimum, replicate_optimum

LEVEL = 0.9
TAILS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
TRUTHS = (("chinchilla", "epoch-2024"), ("farseer", "notebook"))
GRIDS = {
    "farseer_grid": "not duplicate_row and params > 2e8",
    "chinchilla_fig4_epoch": "not excluded_by_epoch and tokens > 2 * params",
}
NOISES = (0.001, 0.005)


def coverage(
    truth: Surface, runs: isoloss.Runs, noise: float, tables: int, replicates: int
) -> tuple[float, float, float]:
    """Shares of intervals that hold the true loss and D*/N*, and of replicates that converged."""
    params, tokens = runs.params, runs.tokens
    exact = truth.predict(params=params, tokens=tokens)
    generator = np.random.default_rng(0)
    drawn = noise * generator.standard_normal((exact.size, tables))
    measured = exact[:, None] * np.exp(drawn)
    rows = FittedRows((params, tokens), exact, np.ones(exact.size))
    problem = Problem.of(truth.law, rows, find_objective("squared-log"), truth.centre)
    begin = np.repeat(truth.working[:, None], tables, axis=1)
    fitted = solve(problem, begin, GivenTables(rows.weights, measured))
    places = {"params": params[::7], "tokens": tokens[::7]}
    true_loss = truth.predict(**places)
    budget = float(np.exp(np.mean(np.log(runs.flops))))
    true_ratio = float((optimum(truth, budget).tokens / optimum(truth, budget).params)[0])
    loss_held: list[float] = []
    ratio_held: list[bool] = []
    converged = 0
    for table in range(tables):
        drawn, _ = pairs_bootstrap(rows.weights, table).block(slice(0, replicates))
        own = np.repeat(measured[:, [table]], replicates, axis=1)
        start = np.repeat(fitted.working[:, [table]], replicates, axis=1)
        solution = solve(problem, start, GivenTables(drawn.T, own))
        converged += int(solution.converged.sum())
        surface = Surface(
            truth.law,
            problem.centre,
            fitted.working[:, table],
            solution.working[:, solution.converged],
        )
        loss_held.append(float(np.mean(_held(surface.predict_replicates(**places), true_loss))))
        found = replicate_optimum(surface, budget)
        ratio = (found.tokens / found.params)[None, np.isfinite(found.params)]
        ratio_held.append(bool(_held(ratio, np.array([true_ratio]))[0]))
    share = converged / (tables * replicates)
    return float(np.mean(loss_held)), float(np.mean(ratio_held)), share


def _held(replicates: Array, truth: Array) -> Array:
    low, high = np.quantile(replicates, TAILS, axis=1)
    return np.asarray((low <= truth) & (truth <= high), dtype=np.float64)


def main() -> None:
    words = sys.argv[1:]
    tables = int(words[0]) if words else 500
    replicates = int(words[1]) if len(words) > 1 else 200
    default = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(words[2]) if len(words) > 2 else default
    title = f"Coverage of {100 * LEVEL:g} % intervals, {tables} tables, {replicates} replicates"
    shown = Table(title=title, title_justify="left")
    for column in ("truth", "grid", "noise", "loss", "D*/N*", "converged", "seconds"):
        shown.add_column(column)
    for name, coefficients in TRUTHS:
        for grid, where in GRIDS.items():
            runs = isoloss.read_runs(folder / f"{grid}.csv", where=where)
            for noise in NOISES:
                started = time.perf_counter()
                truth = Surface.published(find_law(name), coefficients)
                loss, ratio, share = coverage(truth, runs, noise, tables, replicates)
                shown.add_row(
                    name,
                    grid,
                    f"{100 * noise:g} %",
                    f"{100 * loss:.1f} %",
                    f"{100 * ratio:.1f} %",
                    f"{100 * share:.2f} %",
                    f"{time.perf_counter() - started:.0f}",
                )
                print(name, grid, noise, loss, ratio, share, file=sys.stderr, flush=True)
    Console(width=110).print(shown)


if __name__ == "__main__":
    main()
