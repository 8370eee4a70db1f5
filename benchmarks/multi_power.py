"""Laws of loss curves on the released curves of the multi-power law's authors.

    .venv/bin/python benchmarks/multi_power.py [--only TEXT]

On their 25M and 100M curves: each law fitted to the three curves that they fitted, tried on the six
that they held out, beside their published figures; fits to 24,000-step curves tried on 72,000-step
ones; final losses of optimised schedules under the published coefficients; how the fading of late
cuts does on the size that it was not chosen on; the time of a fit; and every run cut at 30, 50, 70
and 90 % of its steps, with and without other curves of its size, its final loss predicted.

R2, MAE, PredE (mean relative error) and WorstE (largest relative error) are taken curve by curve
and averaged over the six, as in their paper: their coefficients then give their figures. Coverage
is also counted over the points that no fitted curve holds, and over both sizes: within one curve
errors are alike, so that six curves, some of them branches of one run, are few draws.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from isoloss.arrays import Array
from isoloss.curves import (
    Curve,
    Curves,
    MultiPowerLaw,
    backtest_curves,
    best_schedule,
    find_curve_law,
    fit_curves,
    forecast_run,
    read_curves,
    select_curves,
)
from isoloss.curves.multi_power import FADING_LAW, NAMES, to_working
from isoloss.curves.solving import Task
from isoloss.fitting import find_objective

DATA = Path(__file__).parents[2] / "shared" / "data"
SIZES = ("25M", "100M")
LAWS = ("annealing", "multi-power", "multi-power-fading")
# What the authors' own procedure took for one size on two cores, in seconds.
THEIR_SECONDS = 480.0
PUBLISHED = {
    "25M": {"r2": 0.9988, "mae": 0.00376, "PredE": 0.00110, "WorstE": 0.00409},
    "100M": {"r2": 0.9983, "mae": 0.00435, "PredE": 0.00142, "WorstE": 0.00583},
}
OPTIMISED = {"25m": 3.14968, "100m": 2.79414, "400m": 2.53322}
FITTED = ("cosine_24000", "constant_24000", "wsdcon_9")
EQUALLY_LONG = ("cosine_24000", "constant_24000", "wsd_20000_24000", "wsdld_20000_24000")
WARMUP, PEAK = 2160, 3e-4
CUTS = (0.3, 0.5, 0.7, 0.9)

console = Console(width=160)


def curves_of(size: str) -> Curves:
    return read_curves(
        DATA / "multipowerlaw_curves_25m_100m.csv",
        schedules=DATA / "multipowerlaw_lr_schedules.csv",
        where=f"recipe = 'mpl_{size}'",
    )


def parted(size: str, fitted: Sequence[str]) -> tuple[Curves, Curves]:
    """The curves of a size under the named schedules, and the others."""
    whole = curves_of(size)
    ids = [f"{size}/{name}" for name in fitted]
    rest = [curve.run_id for curve in whole.curves if curve.run_id not in ids]
    return select_curves(whole, ids), select_curves(whole, rest)


def grid(title: str, columns: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, justify="left" if column in ("law", "run") else "right")
    return table


def held_out() -> None:
    table = grid(
        "Fitted to the authors' three curves, tried on their six",
        (
            *("size", "law", "R2", "MAE", "PredE", "WorstE", "coverage", "of unseen points"),
            *("seconds", "their MAE / ours"),
        ),
    )
    pooled: dict[str, list[tuple[float, float]]] = {law: [] for law in LAWS}
    for size in SIZES:
        published = PUBLISHED[size]
        table.add_row(size, "published", *(f"{value:.5f}" for value in published.values()))
        fitted, others = parted(size, FITTED)
        for law in LAWS:
            begin = time.perf_counter()
            result = backtest_curves(fitted, others, [law])
            seconds = time.perf_counter() - begin
            scores = result.scores(law)
            (note,) = result.notes
            pooled[law].append((scores["coverage"], note.details["coverage_of_others"][law]))
            table.add_row(
                size,
                law,
                *(f"{scores[key]:.5f}" for key in ("r2", "mae")),
                *(f"{scores[key]:.5f}" for key in ("mean_abs_rel_error", "max_abs_rel_error")),
                *(f"{100 * share:.0f} %" for share in pooled[law][-1]),
                f"{seconds:.1f}",
                f"{published['mae'] / scores['mae']:.2f}",
            )
    for law, shares in pooled.items():
        means = (f"{100 * share:.0f} %" for share in np.mean(shares, axis=0))
        table.add_row("both", law, "", "", "", "", *means)
    console.print(table)


def longer() -> None:
    table = grid(
        "Fitted to the 24,000-step curves: largest error past step 30,000 of 72,000",
        ("size", "law", "constant", "cosine", "coverage"),
    )
    pooled: dict[str, list[float]] = {law: [] for law in LAWS}
    for size in SIZES:
        fitted, others = parted(size, EQUALLY_LONG)
        asked = select_curves(others, [f"{size}/constant_72000", f"{size}/cosine_72000"])
        for law in LAWS:
            result = backtest_curves(fitted, asked, [law])
            errors = []
            for each in result.held_out[law]:
                late = each.curve.steps > 30_000
                errors.append(np.max(np.abs(each.predicted / each.curve.loss - 1)[late]))
            coverage = result.scores(law)["coverage"]
            pooled[law].append(coverage)
            table.add_row(
                size, law, *(f"{100 * error:.2f} %" for error in errors), f"{100 * coverage:.0f} %"
            )
    for law, shares in pooled.items():
        table.add_row("both", law, "", "", f"{100 * float(np.mean(shares)):.0f} %")
    console.print(table)


def fading() -> None:
    powers = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3)
    table = grid("MAE on the six curves by the power of fading", ("size", *map(str, powers)))
    for size in SIZES:
        fitted, others = parted(size, FITTED)
        found = []
        for power in powers:
            result = backtest_curves(fitted, others, [replace(FADING_LAW, fading=power)])
            found.append(result.scores(FADING_LAW.name)["mae"])
        table.add_row(size, *(f"{value:.5f}" for value in found))
    console.print(table)


def objectives() -> None:
    table = grid(
        "Huber objective on the authors' three curves, every point alike, and the time of a fit",
        ("size", "theirs", "ours, held", "ours, free", "seconds", "times faster"),
    )
    law = MultiPowerLaw()
    for size in SIZES:
        fitted, _ = parted(size, FITTED)
        begin = time.perf_counter()
        held = fit_curves(fitted, law)
        seconds = time.perf_counter() - begin
        free = fit_curves(fitted, law, hold=False, weighting="points")
        task = Task.of(law, fitted, find_objective("huber"), "points", centre=held.centre)
        published = next(entry for entry in law.published if entry.name == size.lower())
        theirs = to_working(np.array([published.parameters[name] for name in NAMES]), held.centre)
        own = to_working(np.array([free.parameters[name] for name in NAMES]), held.centre)
        values = [
            float(
                task.problem.objective.value(
                    task.problem.predict(each[:, None])[:, 0], fitted.loss, task.weights
                )
            )
            for each in (theirs, held.working, own)
        ]
        table.add_row(
            size,
            *(f"{value:.3e}" for value in values),
            f"{seconds:.2f}",
            f"{THEIR_SECONDS / seconds:.0f}",
        )
    console.print(table)


def optimised() -> None:
    table = grid(
        "Optimised 24,000-step schedules under the published coefficients: final loss without the "
        "rise of the warm-up",
        ("size", "published", "ours", "last rate", "seconds"),
    )
    for published in MultiPowerLaw().published:
        begin = time.perf_counter()
        best = best_schedule(published.parameters, 24_000, PEAK, warmup=WARMUP)
        seconds = time.perf_counter() - begin
        loss = best.loss + warmup_share(published.parameters, best.schedule.rates)
        table.add_row(
            published.name,
            f"{OPTIMISED[published.name]:.5f}",
            f"{loss:.5f}",
            f"{best.schedule.rates[-1]:.2e}",
            f"{seconds:.1f}",
        )
    console.print(table)


def warmup_share(parameters: Mapping[str, float], rates: Array) -> float:
    """What the rise of the rate in the warm-up takes off the final loss, which they leave out."""
    later = np.cumsum(rates[::-1])[::-1]
    k = np.arange(1, WARMUP)
    pace = parameters["C"] * rates[k] ** -parameters["gamma"]
    settled = 1 - (1 + pace * later[k]) ** -parameters["beta"]
    return float(parameters["B"] * np.sum((rates[k - 1] - rates[k]) * settled))


def refits() -> None:
    table = grid(
        "Annealing law on cosine_24000 and constant_24000 beside the refits of the reference",
        ("size", "L0", "A", "C", "alpha"),
    )
    known = {"25M": (3.2432, 0.5461, 0.398, 0.814), "100M": (2.9071, 0.5929, 0.4687, 0.7586)}
    for size, values in known.items():
        fitted, _ = parted(size, FITTED[:2])
        own = fit_curves(fitted, find_curve_law("annealing")).parameters
        table.add_row(f"{size} reference", *(f"{value:.4f}" for value in values))
        table.add_row(f"{size} ours", *(f"{own[name]:.4f}" for name in ("L0", "A", "C", "alpha")))
    console.print(table)


def under_way() -> None:
    table = grid(
        "Runs cut at parts of their steps: error of the final loss; * outside the band",
        (
            "run",
            *(f"{100 * cut:.0f} % alone" for cut in CUTS),
            *(f"{100 * cut:.0f} % with others" for cut in CUTS),
        ),
    )
    inside: dict[str, list[list[bool]]] = {
        kind: [[] for _ in CUTS] for kind in ("alone", "with others")
    }
    for size in SIZES:
        whole = curves_of(size)
        known = [whole[f"{size}/{name}"] for name in FITTED]
        for curve in whole.curves:
            others = [each for each in known if each.run_id != curve.run_id]
            cells = []
            for kind, given in (("alone", []), ("with others", others)):
                for number, cut in enumerate(CUTS):
                    error, held = cut_error(curve, cut, given)
                    inside[kind][number].append(held)
                    cells.append(f"{100 * error:+.2f} %{'' if held else ' *'}")
            table.add_row(curve.run_id, *cells)
    console.print(table)
    for kind, found in inside.items():
        parts = (f"{sum(held)} at {100 * cut:.0f} %" for cut, held in zip(CUTS, found, strict=True))
        console.print(f"{kind}: the band held, of {len(found[0])} final losses, {', '.join(parts)}")


def cut_error(curve: Curve, cut: float, others: Sequence[Curve]) -> tuple[float, bool]:
    """Relative error of the last measured loss, predicted from a part, and whether a band held."""
    last = int(curve.steps[-1])
    part = curve.take(curve.steps < cut * last)
    rest = replace(part, schedule=curve.schedule.until(last))
    found = forecast_run(rest, others=others, law="multi-power-fading")
    loss, lower, upper = found.final
    measured = float(curve.loss[-1])
    return loss / measured - 1, lower <= measured <= upper


PARTS: dict[str, Callable[[], None]] = {
    "held-out": held_out,
    "longer": longer,
    "fading": fading,
    "objectives": objectives,
    "optimised": optimised,
    "refits": refits,
    "under-way": under_way,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="parts whose name holds this text")
    chosen = parser.parse_args().only
    for name, part in PARTS.items():
        if chosen in name:
            part()


if __name__ == "__main__":
    main()
