"""The published figures that Isoloss reproduces, measured again on the runs they come from.

    .venv/bin/python benchmarks/published_figures.py [FOLDER]

FOLDER holds farseer_grid.csv, farseer_extrapolation.csv and chinchilla_fig4_epoch.csv (default
../shared/data). Prints one table: what, published or required, here.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

import isoloss
from isoloss.fitting import fit
from isoloss.fitting.problem import Problem
from isoloss.fitting.solver import solve
from isoloss.fitting.tables import GivenTables
from isoloss.laws import Centre, Surface, find_law

FITTED = "not duplicate_row and params > 2e8 and params < 6e9"
SEEDS = range(20)
CENTRES = ((1e8, 1e10), (1e9, 2e10), (1e10, 1e12))
REPLICATES = 4000
# Besiroglu et al. 2024, output of the authors' notebook.
EPOCH_ERRORS = {"E": 0.02566, "A": 124.52, "B": 1293.28, "alpha": 0.0154, "beta": 0.0206}

Row = tuple[str, str, str]


def mean_error(surface: Surface, runs: isoloss.Runs) -> float:
    """Mean absolute relative error of a surface on some runs."""
    predicted = surface.predict(params=runs.params, tokens=runs.tokens)
    return float(np.mean(np.abs(predicted / runs.loss - 1)))


def farseer_rows(folder: Path) -> Iterator[Row]:
    """Farseer's staged fit as published, and the joint fit."""
    runs = isoloss.read_runs(folder / "farseer_grid.csv", where=FITTED)
    six = isoloss.read_runs(folder / "farseer_extrapolation.csv", where="in_paper_six")
    # The paper's figure keeps the duplicate of one of these runs.
    largest = isoloss.read_runs(
        folder / "farseer_grid.csv", where="params > 6.3e9 and tokens > 6e9", check=False
    )
    law = find_law("farseer")
    staged = fit(runs, law, method="staged")
    for name, value in law.published_set("notebook").parameters.items():
        yield f"staged Farseer {name}", f"{value:.10g}", f"{staged.parameters[name]:.10g}"
    yield "staged Farseer, six points", "0.50 %", f"{100 * mean_error(staged.surface, six):.3f} %"
    yield "staged Farseer, 6.4B held out", "5.87e-4", f"{mean_error(staged.surface, largest):.3e}"
    joint = fit(runs, law)
    yield "joint Farseer, in sample", "<= 0.125 %", f"{100 * joint.mean_abs_rel_error:.4f} %"
    yield "joint Farseer, six points", "<= 0.55 %", f"{100 * mean_error(joint.surface, six):.4f} %"
    chinchilla = fit(runs, "chinchilla")
    figure = f"{100 * mean_error(chinchilla.surface, six):.3f} %"
    yield "Chinchilla, six points", "2.5-2.9 %", figure
    places = {
        "params": np.concatenate([runs.params, six.params]),
        "tokens": np.concatenate([runs.tokens, six.tokens]),
    }
    reference = joint.surface.predict(**places)
    others = [fit(runs, law, seed=seed) for seed in SEEDS]
    others += [fit(runs, law, centre=Centre(centre, 0.5)) for centre in CENTRES]
    spread = max(
        float(np.max(np.abs(other.surface.predict(**places) / reference - 1))) for other in others
    )
    what = f"joint Farseer, {len(SEEDS)} seeds and {len(CENTRES)} centres"
    yield what, "<= 1e-6", f"{spread:.1e}"


def chinchilla_rows(folder: Path) -> Iterator[Row]:
    """Epoch AI's refit of Chinchilla's Figure 4."""
    path = folder / "chinchilla_fig4_epoch.csv"
    runs = isoloss.read_runs(path, where="not excluded_by_epoch")
    started = time.perf_counter()
    fitted = fit(runs, "chinchilla", bootstrap=REPLICATES)
    seconds = time.perf_counter() - started
    published = {"E": 1.817235, "A": 477.842, "B": 2143.864, "alpha": 0.347313, "beta": 0.367183}
    yield "Chinchilla, objective", "<= 1.0182741e-3", f"{fitted.objective_value:.10e}"
    for name, value in published.items():
        yield f"Chinchilla {name}", f"{value:g}", f"{fitted.parameters[name]:.6g}"
    converged = fitted.surface.replicates.shape[1]
    yield "replicates converged", f"{REPLICATES}", f"{converged}"
    own = {name: np.std(v) for name, v in fitted.surface.parameter_replicates().items()}
    for name, error in epoch_standard_errors(fitted).items():
        yield f"standard error of {name}, Epoch's draws", f"{EPOCH_ERRORS[name]:g}", f"{error:.5g}"
        yield f"standard error of {name}, our draws", "", f"{own[name]:.5g}"
    yield f"64 starts and {REPLICATES} replicates", "", f"{seconds:.2f} s"


def epoch_standard_errors(fitted: isoloss.Fit) -> dict[str, float]:
    """Standard errors over the very resamples of Epoch's notebook: NumPy's legacy seed 42."""
    legacy = np.random.RandomState(42)
    rows = fitted.n_runs
    draws = [np.bincount(legacy.choice(rows, rows), minlength=rows) for _ in range(REPLICATES)]
    problem = Problem.of(fitted.law, fitted.rows, fitted.objective, fitted.surface.centre)
    starts = np.repeat(fitted.surface.working[:, None], REPLICATES, axis=1)
    solution = solve(problem, starts, GivenTables(np.array(draws, dtype=np.float64).T))
    published = problem.law.to_published(solution.working, problem.centre)
    return dict(zip(fitted.law.parameter_names, np.std(published, axis=1).tolist(), strict=True))


def main() -> None:
    default = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else default
    table = Table(title=f"Published figures, measured on {folder}", title_justify="left")
    table.add_column("figure")
    table.add_column("published or required", justify="right")
    table.add_column("here", justify="right")
    for row in (*farseer_rows(folder), *chinchilla_rows(folder)):
        table.add_row(*row)
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
