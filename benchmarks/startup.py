"""How long Isoloss takes to start, beside importing the libraries that it computes with.

    .venv/bin/python benchmarks/startup.py [RUNS]

Starts each command RUNS times (default 15) as a new process, in turn, so that a slow moment of the
machine hits all of them alike. Prints one table: command, median wall time, and its ratio to the
peer, which is the import of NumPy, SciPy's optimisers and Polars.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

PEER = 'python -c "import numpy, scipy.optimize, polars"'
COMMANDS: dict[str, list[str]] = {
    'python -c "pass"': [sys.executable, "-c", "pass"],
    'python -c "import isoloss"': [sys.executable, "-c", "import isoloss"],
    "isoloss --help": [str(Path(sys.executable).parent / "isoloss"), "--help"],
    PEER: [sys.executable, "-c", "import numpy, scipy.optimize, polars"],
}


def wall_time(command: list[str]) -> float:
    """Seconds that one run of a command takes."""
    begin = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begin


def main() -> None:
    """Measure and print the table."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    # The first start of each reads its files from disk, which is not what is measured.
    for command in COMMANDS.values():
        wall_time(command)
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(runs):
        for name, command in COMMANDS.items():
            seconds[name].append(wall_time(command))
    median = {name: statistics.median(measured) for name, measured in seconds.items()}
    table = Table("command", "median of", "wall time", "ratio to peer", title="Start-up")
    for name, value in median.items():
        table.add_row(name, str(runs), f"{1000 * value:.0f} ms", f"{value / median[PEER]:.2f}")
    Console(highlight=False, markup=False, emoji=False).print(table)


if __name__ == "__main__":
    main()
