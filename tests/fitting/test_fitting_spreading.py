from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from isoloss.errors import InputError
from isoloss.fitting import cluster
from isoloss.fitting.spreading import spread

# Bootstrap replicates and rolling backtests of a table, as one digest of their bits. Processes of
# a backend import the main module, so it is a file with a guard.
SCRIPT = """
import hashlib, sys
from contextlib import nullcontext

from isoloss.fitting import cluster, fit
from isoloss.forecasting.rolling import folds_by_compute, rolling_errors
from isoloss.runs import optimizer_runs

if __name__ == "__main__":
    runs = optimizer_runs("adamw")
    name, threads = sys.argv[1], int(sys.argv[2])
    with cluster(name) if name != "threads" else nullcontext():
        farseer = fit(runs, "farseer", bootstrap=700, threads=threads)
        chinchilla = fit(runs, "chinchilla", bootstrap=1500, resample="noise:0.002", seed=3)
        errors = rolling_errors(farseer, runs, folds_by_compute(runs), threads=threads)
    digest = hashlib.sha256()
    for array in (
        farseer.surface.replicates, chinchilla.surface.replicates, errors.log_error, errors.reach
    ):
        digest.update(array.tobytes())
    print("bits", digest.hexdigest())
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("spreading") / "bits.py"
    path.write_text(SCRIPT)
    return path


def bits(script: Path, name: str, threads: int) -> str:
    words = [sys.executable, str(script), name, str(threads)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return [line for line in done.stdout.splitlines() if line.startswith("bits ")][-1]


@pytest.fixture(scope="module")
def single_thread(script: Path) -> str:
    return bits(script, "threads", 1)


@pytest.mark.parametrize("name", ["threads", "loky", "ray", "dask"])
def test_whoever_does_the_fits_the_bits_are_the_same(
    script: Path, single_thread: str, name: str
) -> None:
    assert bits(script, name, 2) == single_thread


def test_results_come_in_order_and_are_told_as_they_finish() -> None:
    told: list[int] = []
    squares = spread(
        lambda part: [task**2 for task in part], range(9), threads=3, advance=told.append
    )
    assert squares == [task**2 for task in range(9)]
    assert sorted(told) == squares


@pytest.mark.parametrize("name", ["slurm", "loky:here", ""])
def test_an_unknown_cluster_is_refused(name: str) -> None:
    expected = f"--cluster: unknown cluster: found '{name}'; expected loky, ray, ray:ADDRESS, dask"
    with pytest.raises(InputError, match=expected), cluster(name):
        pass
