"""Epoch AI's analysis of Chinchilla's Figure 4, by Isoloss and by the procedures of its peers.

    .venv/bin/python benchmarks/fitting_peers.py [RUNS.csv]

The analysis: the best fit of E + A/N^alpha + B/D^beta over a grid of starts, and 4,000 bootstrap
replicates, on 240 runs (Huber, delta 1e-3, on log loss). Each procedure runs in a process of its
own; those that take minutes are timed on a sample of their starts and replicates and scaled up, as
the table says. Printed are wall time, the objective reached, peak memory and the ratio of times.

Peers:
- epoch: the published notebook (github.com/epoch-research/analyzing-chinchilla): L-BFGS-B from
  4,500 starts and BFGS for each replicate from the published optimum, gradients by differences.
- vpnls: variable projection (Czech et al. 2026, arXiv:2603.22339), squared loss: non-negative least
  squares for E, A, B inside a 32 x 32 grid and L-BFGS-B over (alpha, beta); a single fit.
- chinchilla: the package of that name, where it is installed (pip install chinchilla); a single
  fit from its grid of starts.
"""

from __future__ import annotations

import importlib.util
import itertools
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize, nnls
from scipy.special import logsumexp

import isoloss
from isoloss.arrays import Array
from isoloss.fitting import fit

DELTA = 1e-3
REPLICATES = 4000
# The published values (a, b, e, alpha, beta) from which the notebook starts each replicate.
PUBLISHED = (6.0073404, 6.0179186, 0.5267228, 0.33917084, 0.2849083)
GRID = tuple(
    itertools.product(
        range(0, 30, 5),
        range(0, 30, 5),
        (-1, -0.5, 0, 0.5, 1),
        (0, 0.5, 1, 1.5, 2),
        (0, 0.5, 1, 1.5, 2),
    )
)
SAMPLED_STARTS = 60
SAMPLED_REPLICATES = 30


def huber_sum(point: Array, params: Array, tokens: Array, loss: Array) -> float:
    """The objective of Hoffmann et al., approach 3, with logs of A, B and E."""
    a, b, e, alpha, beta = point
    terms = np.stack([a - alpha * np.log(params), b - beta * np.log(tokens), np.full(loss.size, e)])
    residual = np.abs(logsumexp(terms, axis=0) - np.log(loss))
    inside = residual <= DELTA
    return float(np.sum(np.where(inside, 0.5 * residual**2, DELTA * (residual - 0.5 * DELTA))))


def run_isoloss(runs: isoloss.Runs) -> dict[str, Any]:
    """One search and 4,000 replicates; E, A and B are projected, so starts cover (alpha, beta)."""
    fit(runs, "chinchilla", starts=1)
    started = time.perf_counter()
    fitted = fit(runs, "chinchilla", bootstrap=REPLICATES)
    seconds = time.perf_counter() - started
    kept = fitted.surface.replicates.shape[1]
    return {
        "seconds": seconds,
        "objective": fitted.objective_value,
        "work": f"{fitted.search.starts} starts, {kept} of {REPLICATES} replicates converged",
    }


def run_epoch(runs: isoloss.Runs) -> dict[str, Any]:
    """The published procedure, on a sample of its starts and replicates."""
    arguments = (runs.params, runs.tokens, runs.loss)
    generator = np.random.default_rng(0)
    sample = generator.choice(len(GRID), SAMPLED_STARTS, replace=False)
    started = time.perf_counter()
    found = [
        minimize(huber_sum, GRID[index], args=arguments, method="L-BFGS-B").fun for index in sample
    ]
    per_start = (time.perf_counter() - started) / SAMPLED_STARTS
    started = time.perf_counter()
    for _ in range(SAMPLED_REPLICATES):
        drawn = generator.integers(0, len(runs), len(runs))
        own = tuple(column[drawn] for column in arguments)
        minimize(huber_sum, PUBLISHED, args=own, method="BFGS")
    per_replicate = (time.perf_counter() - started) / SAMPLED_REPLICATES
    return {
        "seconds": per_start * len(GRID) + per_replicate * REPLICATES,
        "objective": float(min(found)),
        "work": f"scaled up from {SAMPLED_STARTS} of {len(GRID)} starts and "
        f"{SAMPLED_REPLICATES} of {REPLICATES} replicates",
    }


def run_vpnls(runs: isoloss.Runs) -> dict[str, Any]:
    """Variable projection as published, one fit, squared loss."""
    params, tokens, loss = runs.params, runs.tokens, runs.loss

    def projected(exponents: Array) -> float:
        columns = [np.ones(loss.size), params ** -exponents[0], tokens ** -exponents[1]]
        scale = [np.linalg.norm(column) for column in columns]
        basis = np.column_stack(
            [column / size for column, size in zip(columns, scale, strict=True)]
        )
        return float(nnls(basis, loss)[1] ** 2)

    started = time.perf_counter()
    grid = np.linspace(0.05, 1.0, 32)
    best = min(itertools.product(grid, grid), key=lambda pair: projected(np.array(pair)))
    found = minimize(projected, best, method="L-BFGS-B", bounds=[(0.01, 2)] * 2)
    return {
        "seconds": time.perf_counter() - started,
        "objective": float(found.fun) / 2,
        "work": "one fit of squared loss, no replicates",
    }


def run_isoloss_squared(runs: isoloss.Runs) -> dict[str, Any]:
    """The same single fit of squared loss."""
    fit(runs, "chinchilla", objective="squared", starts=1)
    started = time.perf_counter()
    fitted = fit(runs, "chinchilla", objective="squared")
    return {
        "seconds": time.perf_counter() - started,
        "objective": fitted.objective_value,
        "work": f"one fit of squared loss, {fitted.search.starts} starts",
    }


def run_chinchilla_package(runs: isoloss.Runs) -> dict[str, Any]:
    """The `chinchilla` package with its documented grid of starts, one fit."""
    from chinchilla import Chinchilla

    axes = {
        "E": [1.0, 1.5, 2.0],
        "a": [1, 5, 10],
        "b": [1, 5, 10],
        "alpha": [0.1, 0.5, 0.7],
        "beta": [0.1, 0.5, 0.7],
    }
    with tempfile.TemporaryDirectory() as folder:
        frame = runs.frame.select(N="params", D="tokens", loss="loss")
        frame = frame.with_columns(C=6 * frame["N"] * frame["D"])
        frame.select("C", "N", "D", "loss").write_csv(Path(folder) / "df.csv")
        model = Chinchilla(folder, param_grid=axes)
        started = time.perf_counter()
        model.fit(parallel=False)
        seconds = time.perf_counter() - started
    point = np.array([np.log(model.A), np.log(model.B), np.log(model.E), model.alpha, model.beta])
    return {
        "seconds": seconds,
        "objective": huber_sum(point, runs.params, runs.tokens, runs.loss),
        "work": "one fit from 243 starts, its own objective",
    }


CONTESTANTS: dict[str, Callable[[isoloss.Runs], dict[str, Any]]] = {
    "isoloss": run_isoloss,
    "epoch": run_epoch,
    "isoloss, squared": run_isoloss_squared,
    "vpnls": run_vpnls,
    "chinchilla": run_chinchilla_package,
}


def measure(name: str, path: Path) -> dict[str, Any]:
    """Run one contestant in a process of its own."""
    words = [sys.executable, __file__, str(path), "--only", name]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> None:
    default = Path(__file__).parents[2] / "shared" / "data" / "chinchilla_fig4_epoch.csv"
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else default
    if "--only" in sys.argv:
        name = sys.argv[sys.argv.index("--only") + 1]
        result = CONTESTANTS[name](isoloss.read_runs(path, where="not excluded_by_epoch"))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({**result, "megabytes": peak}))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"Chinchilla on {path.name}, 240 runs", title_justify="left")
    for column in ("procedure", "seconds", "ratio", "objective", "peak MB"):
        table.add_column(column, justify="left" if column == "procedure" else "right")
    table.add_column("work")
    own: dict[str, Any] = {}
    for name in CONTESTANTS:
        if name == "chinchilla" and importlib.util.find_spec("chinchilla") is None:
            continue
        result = measure(name, path)
        own = result if name.startswith("isoloss") else own
        table.add_row(
            name,
            f"{result['seconds']:.3g}",
            f"{result['seconds'] / own['seconds']:.3g}",
            f"{result['objective']:.9g}",
            f"{result['megabytes']:.0f}",
            result["work"],
        )
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
