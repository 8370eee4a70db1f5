"""The peers: each coded as published, or called from its own package.

    PYTHON benchmarks/peers.py NAME [OPTIONS] < TABLE

TABLE is a JSON object with the columns params, tokens and loss; OPTIONS a JSON object with the
peer's options. Printed is one JSON object: where each start ended, time, peak memory. Of Isoloss
nothing is used here, so that any Python with NumPy, SciPy and the peer's package runs this file,
and its time and memory are the peer's own.

- epoch: the published notebook (github.com/epoch-research/analyzing-chinchilla): L-BFGS-B from
  4,500 starts and BFGS for each replicate from the published optimum, gradients by differences.
- vpnls: variable projection (Czech et al. 2026, arXiv:2603.22339), squared loss: non-negative least
  squares for E, A and B inside a 32 x 32 grid over (alpha, beta), then L-BFGS-B.
- chinchilla: the package of that name: BFGS from a grid of starts. It averages over runs, and with
  the Huber loss at delta 1e-3 its BFGS then stops early; here its loss function is scaled up by
  runs / delta, which moves no optimum and lets it arrive.
- simple-scaling-laws: the package of that name, squared loss (Python 3.12 or newer).
"""

from __future__ import annotations

import importlib
import itertools
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize, nnls
from scipy.special import logsumexp

Array = npt.NDArray[np.float64]

DELTA = 1e-3
EPOCH_REPLICATES = 4000
# The published values (a, b, e, alpha, beta) from which the notebook starts each replicate.
EPOCH_PUBLISHED = (6.0073404, 6.0179186, 0.5267228, 0.33917084, 0.2849083)
EPOCH_GRID = tuple(
    itertools.product(
        range(0, 30, 5),
        range(0, 30, 5),
        (-1, -0.5, 0, 0.5, 1),
        (0, 0.5, 1, 1.5, 2),
        (0, 0.5, 1, 1.5, 2),
    )
)
VPNLS_GRID = np.linspace(0.01, 0.99, 32)
CHINCHILLA_GRID: dict[str, list[float]] = {
    "E": [1.0, 1.5, 2.0],
    "a": [1, 5, 10],
    "b": [1, 5, 10],
    "alpha": [0.1, 0.5, 0.7],
    "beta": [0.1, 0.5, 0.7],
}
# The package that each peer needs besides NumPy and SciPy.
PACKAGES = {"chinchilla": "chinchilla", "simple-scaling-laws": "simple_scaling_laws"}


@dataclass(frozen=True)
class Table:
    """Columns of a table of runs."""

    params: Array
    tokens: Array
    loss: Array


@dataclass(frozen=True)
class Outcome:
    """What a peer did.

    Attributes:
        ends: parameters where each of its starts ended, by the names of the papers.
        seconds: wall time, without imports.
        work: what was done in that time.
        megabytes: peak memory of the process.
    """

    ends: tuple[dict[str, float], ...]
    seconds: float
    work: str
    megabytes: float = 0.0


def objective_sum(name: str, predicted: Array, measured: Array) -> float:
    """The judge of every fit: half the squared errors, or Huber's loss of the errors of the log.

    Infinite where a prediction has no value.
    """
    with np.errstate(all="ignore"):
        if name == "squared":
            terms = 0.5 * (predicted - measured) ** 2
        else:
            error = np.abs(np.log(predicted) - np.log(measured))
            terms = np.where(error <= DELTA, 0.5 * error**2, DELTA * (error - 0.5 * DELTA))
        total = float(np.sum(terms))
    return total if np.isfinite(total) else np.inf


def peak_megabytes() -> float:
    """Peak resident memory of this program; `ru_maxrss` would include its parent's at the fork."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def epoch_objective(point: Array, params: Array, tokens: Array, loss: Array) -> float:
    """Huber's loss of the error in log loss, over (a, b, e, alpha, beta) with logs of A, B, E."""
    a, b, e, alpha, beta = point
    terms = np.stack([a - alpha * np.log(params), b - beta * np.log(tokens), np.full(loss.size, e)])
    residual = np.abs(logsumexp(terms, axis=0) - np.log(loss))
    inside = residual <= DELTA
    return float(np.sum(np.where(inside, 0.5 * residual**2, DELTA * (residual - 0.5 * DELTA))))


def epoch(table: Table, *, starts: int = 60, replicates: int = 30) -> Outcome:
    """A random sample of the notebook's starts and replicates, its time scaled up to all."""
    arguments = (table.params, table.tokens, table.loss)
    generator = np.random.default_rng(0)
    sample = generator.choice(len(EPOCH_GRID), starts, replace=False)
    started = time.perf_counter()
    points = [
        minimize(epoch_objective, EPOCH_GRID[index], args=arguments, method="L-BFGS-B").x
        for index in sample
    ]
    seconds = (time.perf_counter() - started) / starts * len(EPOCH_GRID)
    started = time.perf_counter()
    for _ in range(replicates):
        drawn = generator.integers(0, table.loss.size, table.loss.size)
        own = tuple(column[drawn] for column in arguments)
        minimize(epoch_objective, EPOCH_PUBLISHED, args=own, method="BFGS")
    if replicates:
        seconds += (time.perf_counter() - started) / replicates * EPOCH_REPLICATES
    with np.errstate(over="ignore"):
        ends = tuple(
            {
                "E": float(np.exp(e)),
                "A": float(np.exp(a)),
                "B": float(np.exp(b)),
                "alpha": float(alpha),
                "beta": float(beta),
            }
            for a, b, e, alpha, beta in points
        )
    work = f"scaled up from {starts} of {len(EPOCH_GRID)} starts"
    if replicates:
        work += f" and {replicates} of {EPOCH_REPLICATES} replicates"
    return Outcome(ends, seconds, work)


def vpnls(table: Table) -> Outcome:
    """Variable projection: one fit of squared loss."""
    log_params, log_tokens, loss = np.log(table.params), np.log(table.tokens), table.loss

    def projected(exponents: Array) -> tuple[float, Array, Array]:
        """Sum of squares, its gradient by the exponents (envelope theorem), and E, A, B."""
        columns = (
            np.ones(loss.size),
            np.exp(-exponents[0] * log_params),
            np.exp(-exponents[1] * log_tokens),
        )
        basis = np.column_stack(columns)
        size = np.linalg.norm(basis, axis=0)
        linear = nnls(basis / size, loss)[0] / size
        residual = loss - basis @ linear
        gradient = [
            2 * linear[1] * (residual @ (log_params * columns[1])),
            2 * linear[2] * (residual @ (log_tokens * columns[2])),
        ]
        return float(residual @ residual), np.array(gradient), linear

    started = time.perf_counter()
    pairs = [np.array(pair) for pair in itertools.product(VPNLS_GRID, VPNLS_GRID)]
    best = min(pairs, key=lambda pair: projected(pair)[0])
    found = minimize(
        lambda exponents: projected(exponents)[:2],
        best,
        jac=True,
        method="L-BFGS-B",
        bounds=[(VPNLS_GRID[0], VPNLS_GRID[-1])] * 2,
        options={"ftol": 1e-15, "gtol": 1e-15, "maxiter": 10_000},
    )
    seconds = time.perf_counter() - started
    names = ("E", "A", "B", "alpha", "beta")
    values = (*projected(found.x)[2], *found.x)
    end = {name: float(value) for name, value in zip(names, values, strict=True)}
    return Outcome((end,), seconds, f"one fit, a grid of {len(pairs)} and L-BFGS-B")


def chinchilla_package(table: Table) -> Outcome:
    """The package's fit from a grid of 243 starts with the Huber loss."""
    package: Any = importlib.import_module("chinchilla")
    scale = table.loss.size / DELTA

    def scaled_huber(measured: Any, predicted: Any) -> Any:
        error = np.abs(np.log(predicted) - np.log(measured))
        terms = np.where(error <= DELTA, 0.5 * error**2, DELTA * (error - 0.5 * DELTA))
        return scale * terms

    names = ("C", "N", "D", "loss")
    columns = (6 * table.params * table.tokens, table.params, table.tokens, table.loss)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "df.csv"
        np.savetxt(
            path, np.column_stack(columns), "%.17g", ",", header=",".join(names), comments=""
        )
        model = package.Chinchilla(
            folder, param_grid=CHINCHILLA_GRID, loss_fn=scaled_huber, log_level=40
        )
        started = time.perf_counter()
        model.fit(parallel=False)
        seconds = time.perf_counter() - started
    end = {name: float(getattr(model, name)) for name in ("E", "A", "B", "alpha", "beta")}
    starts = math.prod(len(values) for values in CHINCHILLA_GRID.values())
    return Outcome((end,), seconds, f"one fit, {starts} starts")


def simple_scaling_laws(
    table: Table, *, law: str = "separable-power", draws: int = 1, warm: bool = False
) -> Outcome:
    """The package's fit of squared loss, with bootstrap draws (it takes one at least)."""
    package: Any = importlib.import_module("simple_scaling_laws")
    frames: Any = importlib.import_module("polars")
    target = "test_loss__loss"
    frame = frames.DataFrame(
        {
            "training_run_id": [str(row) for row in range(table.loss.size)],
            "test_set_id": ["all"] * table.loss.size,
            "model_size__params": table.params,
            "dataset_size__tokens": table.tokens,
            target: table.loss,
        }
    )
    if warm:
        package.fit(frame, law=law, n_draws=1, seed=0)
    started = time.perf_counter()
    model = package.fit(frame, law=law, n_draws=draws, seed=0)
    seconds = time.perf_counter() - started
    scales = model.manifest["predictors"]
    reference = np.array([scales[name]["reference"] for name in model.law.predictors])
    raw = model.law.raw_scale_params(model.fits[target].params, reference)
    if law == "skaling-joint-power":
        # The package's E + A (N^-alpha + R D^-beta)^k, as E + (A/N^alpha + B/D^beta)^k.
        ratio = raw.pop("R")
        raw["A"] = raw["A"] ** (1 / raw["k"]) if raw["k"] else np.inf
        raw["B"] = ratio * raw["A"]
    end = {name: float(value) for name, value in raw.items()}
    return Outcome((end,), seconds, "one fit" if draws == 1 else f"one fit and {draws} draws")


PEERS: dict[str, Callable[..., Outcome]] = {
    "epoch": epoch,
    "vpnls": vpnls,
    "chinchilla": chinchilla_package,
    "simple-scaling-laws": simple_scaling_laws,
}


def run_peer(name: str, table: Table, *, python: str = sys.executable, **options: Any) -> Outcome:
    """Run one peer in a process of its own.

    Raises:
        RuntimeError: it failed; the text is the last line of what it said.
    """
    columns = {column: values.tolist() for column, values in vars(table).items()}
    words = [python, __file__, name, json.dumps(options)]
    done = subprocess.run(words, input=json.dumps(columns), capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["no reason given"])[-1])
    answer = json.loads(done.stdout.splitlines()[-1])
    return Outcome(**{**answer, "ends": tuple(answer["ends"])})


def find_packages(interpreters: dict[str, str]) -> dict[str, str]:
    """Of the interpreters given for the peers that are packages, those that have them.

    What is missing is named on standard output.
    """
    found = {}
    for name, python in interpreters.items():
        words = [python, "-c", f"import {PACKAGES[name]}"]
        try:
            present = subprocess.run(words, capture_output=True).returncode == 0
        except OSError:
            present = False
        if present:
            found[name] = python
        else:
            print(f"{name} left out: {python} cannot import it; name another with --{name} PYTHON")
    return found


def main() -> None:
    name, options = sys.argv[1], json.loads(sys.argv[2]) if len(sys.argv) > 2 else {}
    columns = json.load(sys.stdin)
    table = Table(**{column: np.array(values, dtype=float) for column, values in columns.items()})
    outcome = PEERS[name](table, **options)
    print(json.dumps({**asdict(outcome), "megabytes": peak_megabytes()}))


if __name__ == "__main__":
    main()
