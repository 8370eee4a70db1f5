"""Epoch AI's analysis of Chinchilla's Figure 4, by Isoloss and by the procedures of its peers.

    .venv/bin/python benchmarks/fitting_peers.py [RUNS.csv] [--chinchilla PYTHON]
        [--simple-scaling-laws PYTHON]

Fitted is E + A/N^alpha + B/D^beta on 240 runs: the whole analysis (best fit over a grid of starts
and 4,000 bootstrap replicates, Huber with delta 1e-3 on log loss), one fit of it, one fit of
squared loss, and that with 1,000 replicates. Each procedure runs in a process of its own; those
that take minutes are timed on a sample of their starts and replicates and scaled up, as the table
says. Printed are wall time without imports, its ratio to that of Isoloss in the same job, the
objective reached (computed alike for all) and peak memory. The peers stand in `peers.py`; PYTHON
is an interpreter that has the package, this one where not given. Isoloss uses every processor.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from peers import (
    EPOCH_REPLICATES,
    PACKAGES,
    Outcome,
    Table,
    find_packages,
    objective_sum,
    peak_megabytes,
    run_peer,
)

import isoloss
from isoloss.fitting import fit

LAW = "chinchilla"
DRAWS = 1000
KEPT = "not excluded_by_epoch"
DEFAULT = Path(__file__).parents[2] / "shared" / "data" / "chinchilla_fig4_epoch.csv"


@dataclass(frozen=True)
class Job:
    """What is to be done.

    Attributes:
        title: in words.
        objective: name of the objective.
        replicates: bootstrap replicates that Isoloss fits.
        peers: options of each peer that does it, by the peer's name.
    """

    title: str
    objective: str
    replicates: int
    peers: dict[str, dict[str, Any]]


JOBS = (
    Job("analysis", "huber", EPOCH_REPLICATES, {"epoch": {"starts": 60, "replicates": 30}}),
    Job("one fit", "huber", 0, {"chinchilla": {}}),
    Job("one fit", "squared", 0, {"vpnls": {}, "simple-scaling-laws": {"warm": True}}),
    Job("replicates", "squared", DRAWS, {"simple-scaling-laws": {"warm": True, "draws": DRAWS}}),
)


def run_isoloss(job: Job, path: Path) -> Outcome:
    """Isoloss in this process; E, A and B are projected, so its starts cover (alpha, beta)."""
    runs = isoloss.read_runs(path, where=KEPT)
    fit(runs, LAW, objective=job.objective, starts=1)
    started = time.perf_counter()
    fitted = fit(runs, LAW, objective=job.objective, bootstrap=job.replicates)
    seconds = time.perf_counter() - started
    work = f"one fit, {fitted.search.starts} starts"
    if job.replicates:
        work += f", {fitted.n_replicates} of {job.replicates} replicates converged"
    return Outcome((fitted.parameters,), seconds, work, peak_megabytes())


def measure_isoloss(job: Job, path: Path) -> Outcome:
    """Isoloss in a process of its own."""
    words = [sys.executable, __file__, str(path), "--only", str(JOBS.index(job))]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    answer = json.loads(done.stdout.splitlines()[-1])
    return Outcome(**{**answer, "ends": tuple(answer["ends"])})


def outcomes(
    job: Job, path: Path, table: Table, packages: dict[str, str]
) -> Iterator[tuple[str, Outcome]]:
    """What each contestant made of one job, Isoloss first."""
    yield "isoloss", measure_isoloss(job, path)
    for name, options in job.peers.items():
        if name not in PACKAGES:
            yield name, run_peer(name, table, **options)
        elif name in packages:
            yield name, run_peer(name, table, python=packages[name], **options)


def best_objective(outcome: Outcome, objective: str, table: Table) -> float:
    """The least objective among the ends of a contestant."""
    return min(
        objective_sum(
            objective,
            end["E"]
            + end["A"] / table.params ** end["alpha"]
            + end["B"] / table.tokens ** end["beta"],
            table.loss,
        )
        for end in outcome.ends
    )


def print_table(path: Path, packages: dict[str, str]) -> None:
    from rich.console import Console
    from rich.table import Table as Printed

    runs = isoloss.read_runs(path, where=KEPT)
    table = Table(runs.params, runs.tokens, runs.loss)
    printed = Printed(title=f"Chinchilla on {path.name}, {len(runs)} runs", title_justify="left")
    for column in ("job", "loss", "procedure"):
        printed.add_column(column)
    for column in ("seconds", "ratio", "objective", "peak MB"):
        printed.add_column(column, justify="right")
    printed.add_column("work")
    for job in JOBS:
        own = 0.0
        for name, outcome in outcomes(job, path, table, packages):
            own = own or outcome.seconds
            printed.add_row(
                job.title,
                job.objective,
                name,
                f"{outcome.seconds:.3g}",
                f"{outcome.seconds / own:.3g}",
                f"{best_objective(outcome, job.objective, table):.9g}",
                f"{outcome.megabytes:.0f}",
                outcome.work,
            )
        printed.add_section()
    Console(width=160).print(printed)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("runs", nargs="?", type=Path, default=DEFAULT)
    for name in PACKAGES:
        parser.add_argument(f"--{name}", dest=name, default=sys.executable, metavar="PYTHON")
    parser.add_argument("--only", type=int, help=argparse.SUPPRESS)
    words = vars(parser.parse_args())
    if words["only"] is not None:
        print(json.dumps(asdict(run_isoloss(JOBS[words["only"]], words["runs"]))))
        return
    print_table(words["runs"], find_packages({name: words[name] for name in PACKAGES}))


if __name__ == "__main__":
    main()
