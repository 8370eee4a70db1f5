"""The critical batch size from simulated runs, beside a straight line at each loss by itself.

    .venv/bin/python benchmarks/critical_batch.py [SETS]

Draws SETS sets (default 100) of eight loss curves of one model at batches of 3e4 to 6e6 tokens, by
Kaplan's constants, with noise of 0.3 % a point, and fits each. Prints how often the 90 % intervals
of B_*, alpha_B and of the critical batch at a middle and at the lowest loss hold the truth, with
the median error of each; beside it stands the error of the line E = E_min + S_min B through the
runs at that loss alone (McCandlish et al. 2018, arXiv:1812.06162), and the ratio of the two.
"""

from __future__ import annotations

import sys

import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table

from isoloss.curves import KAPLAN
from isoloss.hyperparameters import fit_critical_batch
from isoloss.runs import Runs

PARAMS = 1e8
BATCHES = np.geomspace(3e4, 6e6, 8)
TOKENS, LEAST_STEPS, POINTS = 2.5e9, 8e3, 120
NOISE = 0.003
LEVEL = 0.9
MIDDLE, LOWEST = "B_crit, middle loss", "B_crit, lowest loss"


def simulated(seed: int) -> Runs:
    """Curves at every batch size, logged at evenly spaced steps."""
    generator = np.random.default_rng(seed)
    frames = []
    for batch in BATCHES:
        steps = np.round(np.arange(1, POINTS + 1) * (TOKENS / batch + LEAST_STEPS) / POINTS)
        loss = KAPLAN.loss(PARAMS, steps, batch) * np.exp(NOISE * generator.standard_normal(POINTS))
        frame = pl.DataFrame({"step": steps, "loss": loss})
        frames.append(frame.with_columns(run_id=pl.lit(f"{batch:g}"), batch_tokens=pl.lit(batch)))
    return Runs(pl.concat(frames))


def main() -> None:
    """Simulate, fit, and print the table."""
    sets = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    held: dict[str, list[bool]] = {}
    errors: dict[str, list[float]] = {}
    lines: dict[str, list[float]] = {}

    def note(name: str, truth: float, found: float, interval: tuple[float, float]) -> None:
        held.setdefault(name, []).append(interval[0] <= truth <= interval[1])
        errors.setdefault(name, []).append(abs(found / truth - 1))

    for seed in range(sets):
        fit = fit_critical_batch(simulated(seed))
        note("B_*", KAPLAN.batch_scale, fit.scale, fit.scale_interval(LEVEL))
        note("alpha_B", KAPLAN.batch_power, fit.alpha, fit.alpha_interval(LEVEL))
        for name, level in ((MIDDLE, fit.levels[4]), (LOWEST, fit.levels[0])):
            truth = float(KAPLAN.critical_batch(level.loss))
            note(name, truth, float(fit.at(level.loss)), fit.interval(level.loss, LEVEL))
            lines.setdefault(name, []).append(abs(level.critical / truth - 1))
    table = Table(
        *("", "interval holds", "median error", "line at one loss", "line / ours"),
        title=f"{sets} simulated sets of {BATCHES.size} curves",
    )
    for name, found in held.items():
        own = float(np.median(errors[name]))
        line = float(np.nanmedian(lines[name])) if name in lines else float("nan")
        beside = (f"{100 * line:.2f} %", f"{line / own:.2f}") if name in lines else ("", "")
        table.add_row(name, f"{100 * np.mean(found):.0f} %", f"{100 * own:.2f} %", *beside)
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
