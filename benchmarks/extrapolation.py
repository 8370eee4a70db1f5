"""How well laws and the weighted forecast extrapolate on public tables.

    .venv/bin/python benchmarks/extrapolation.py [--only TEXT] [--results FILE] [--choose]

For every split of `extrapolation_cases.py`: the mean absolute relative error on the held-out runs
of each law, of `auto`, of equal weights and of the staged method of Farseer, and how often the
90 % interval of `auto` holds the measured loss. At the end geometric means, worst cases and
coverage. FILE keeps what was computed, so that a run broken off goes on where it was.

With `--choose`, the choices behind the forecast (the standings of laws, how fast the evidence grows
with the number of runs, the power of the backtest error, how far a law may stray before it pulls no
harder) are made anew on all origins but one, from equal standings over a wide grid, and tried on
that one; so are the last three alone, beside the standings in force, and the last alone. The
geometric mean over what was left out is what such choices are worth on a table that had no part in
them. Priors of held laws are not chosen anew.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from extrapolation_cases import Case, cases
from rich.console import Console
from rich.table import Table

from isoloss.arrays import Array, Mask
from isoloss.errors import FitError
from isoloss.fitting import Fit, fit
from isoloss.forecasting.correction import correct
from isoloss.forecasting.ensemble import fit_candidates, weigh
from isoloss.forecasting.forecast import combine
from isoloss.forecasting.kriging import Kriging, log_sizes
from isoloss.forecasting.pooling import CLOSE, pooled
from isoloss.laws import CANDIDATES

LEVEL = 0.9
# Errors count as no less in geometric means.
LEAST_ERROR = 1e-4
NAMES = [law.name for law in CANDIDATES]
# Laws as published; held ones are variants that only `auto` uses.
PUBLISHED = [name for name in NAMES if not name.endswith("-held")]
# What `--choose` tries.
EVIDENCE = (0.0, 0.15, 0.3, 0.5, 0.65, 0.8, 1.0, 1.5, 2.0, 3.0)
POWERS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0)
DISTANCES = (0.001, 0.002, 0.005, 0.007, 0.01, 0.015, 0.02, 0.05, 1.0)
STANDINGS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
# Log error that a standing must save for each squared log that it lies from one.
HESITATION = 0.001
SWEEPS = 6
# Weights below this are dropped, as `weigh` does.
NEGLIGIBLE = 0.005


def relative_error(predicted: Array, measured: Array) -> float:
    """Mean absolute relative error; a prediction that is no number counts as wrong by all."""
    with np.errstate(all="ignore"):
        off = np.abs(predicted / measured - 1.0)
    return float(np.mean(np.minimum(np.where(np.isfinite(off), off, 1.0), 1.0)))


def examine(case: Case) -> dict[str, Any]:
    """What every contestant predicts for one split, and what the weights are made of."""
    measured = case.held_out.loss
    points = list(zip(case.held_out.params.tolist(), case.held_out.tokens.tolist(), strict=True))
    candidates = fit_candidates(case.fitted)
    predicted = {name: _predict(each, case) for name, each in candidates.fits.items()}
    auto = combine(candidates, points, level=LEVEL)
    believed = [name for name, each in auto.reasons.items() if not each.startswith("left out")]
    ensemble = weigh(candidates, believed)
    correction, _ = correct(candidates, ensemble)
    fitted, asked = (log_sizes(runs.params, runs.tokens) for runs in (case.fitted, case.held_out))
    intervals = [(entry.lower, entry.loss, entry.upper) for entry in auto.predictions]
    return {
        "origin": case.origin,
        "n_fitted": len(case.fitted),
        "measured": measured.tolist(),
        "predicted": {name: values.tolist() for name, values in predicted.items()},
        "staged": _staged(case),
        "auto": [list(entry) for entry in intervals],
        "weights": dict(auto.weights),
        "scores": dict(ensemble.scores),
        "evidence": {name: each.log_evidence for name, each in candidates.fits.items()},
        "sizes": fitted.tolist(),
        "asked": asked.tolist(),
        "residuals": {name: candidates.fits[name].log_residuals.tolist() for name in believed},
        "share": correction.share,
        "refused": dict(candidates.refused),
        "reasons": dict(auto.reasons),
    }


def _predict(fitted: Fit, case: Case) -> Array:
    inputs = {entry.name: case.held_out.column(entry.name) for entry in fitted.law.inputs}
    return fitted.surface.predict(**inputs)


def _staged(case: Case) -> list[float] | None:
    try:
        staged = _predict(fit(case.fitted, "farseer", method="staged"), case)
    except FitError:
        return None
    return [float(value) for value in staged]


def summarise(result: Mapping[str, Any]) -> dict[str, float]:
    """Errors of one split, by contestant."""
    measured = np.array(result["measured"])
    errors = {
        name: relative_error(np.array(values), measured)
        for name, values in result["predicted"].items()
    }
    logs = np.log(np.stack([result["predicted"][name] for name in PUBLISHED if name in errors]))
    finite = np.where(np.isfinite(logs), logs, np.log(measured) + 1.0)
    errors["equal weights"] = relative_error(np.exp(finite.mean(axis=0)), measured)
    if result["staged"]:
        errors["staged"] = relative_error(np.array(result["staged"]), measured)
    low, middle, high = np.array(result["auto"]).T
    errors["auto"] = relative_error(middle, measured)
    errors["coverage"] = float(np.mean((low <= measured) & (measured <= high)))
    return errors


def show(results: Mapping[str, Mapping[str, Any]], console: Console) -> None:
    """One line a split, then the summary."""
    columns = [*NAMES, "staged", "equal weights", "auto"]
    shown = Table(title="Mean absolute relative error on held-out runs, %")
    shown.add_column("split")
    for name in (*columns, "coverage", "runs"):
        shown.add_column(name, justify="right")
    all_errors = {name: summarise(result) for name, result in results.items()}
    for name, errors in all_errors.items():
        best = min(errors[law] for law in PUBLISHED if law in errors)
        cells = []
        for column in columns:
            text = f"{100 * errors[column]:.2f}" if column in errors else ""
            cells.append(f"[bold]{text}[/]" if errors.get(column) == best else text)
        held = len(results[name]["measured"])
        shown.add_row(name, *cells, f"{100 * errors['coverage']:.0f}", str(held))
    console.print(shown)
    auto = np.array([errors["auto"] for errors in all_errors.values()])
    hindsight = [min(e[law] for law in PUBLISHED if law in e) for e in all_errors.values()]
    chinchilla = np.array([errors["chinchilla"] for errors in all_errors.values()])
    for name in columns:
        present = [errors[name] for errors in all_errors.values() if name in errors]
        if len(present) == len(all_errors):
            console.print(f"geometric mean, {name}: {100 * geometric_mean(present):.3f} %")
    console.print(f"geometric mean, best law in hindsight: {100 * geometric_mean(hindsight):.3f} %")
    ratio = auto / chinchilla
    worst = int(np.argmax(ratio))
    console.print(
        f"auto against chinchilla: worst {ratio[worst]:.2f} ({list(all_errors)[worst]}), "
        f"above 1.1 on {int(np.sum(ratio > 1.1))} of {ratio.size}"
    )
    _show_coverage(results, all_errors, console)


def _show_coverage(
    results: Mapping[str, Mapping[str, Any]],
    all_errors: Mapping[str, Mapping[str, float]],
    console: Console,
) -> None:
    held = np.array([len(result["measured"]) for result in results.values()])
    coverage = np.array([errors["coverage"] for errors in all_errors.values()])
    tables = np.array([name.split(" ")[0] for name in all_errors])
    by_table = {
        table: float(np.average(coverage[tables == table], weights=held[tables == table]))
        for table in dict.fromkeys(tables.tolist())
    }
    lowest = min(by_table, key=lambda table: by_table[table])
    console.print(
        f"coverage of 90 % intervals: pooled {100 * np.average(coverage, weights=held):.1f} %, "
        f"mean over splits {100 * coverage.mean():.1f} %, "
        f"lowest table {lowest} {100 * by_table[lowest]:.0f} %"
    )


def geometric_mean(values: Sequence[float] | Array) -> float:
    """Geometric mean of errors."""
    return float(np.exp(np.mean(np.log(np.maximum(values, LEAST_ERROR)))))


@dataclass(frozen=True)
class Choice:
    """Choices behind the forecast.

    Attributes:
        growth: of the evidence, in independent runs for each root of the number of runs.
        power: of the backtest error.
        close: log loss beyond which a law pulls no harder.
        standings: of each candidate.
    """

    growth: float
    power: float
    close: float
    standings: tuple[float, ...]

    @property
    def hesitation(self) -> float:
        """How far the standings lie from one."""
        return HESITATION * float(np.sum(np.log(self.standings) ** 2))

    def __str__(self) -> str:
        named = zip(NAMES, self.standings, strict=True)
        standings = ", ".join(f"{name} {standing:g}" for name, standing in named)
        return f"growth {self.growth:g}, power {self.power:g}, close {self.close:g}, {standings}"


IN_FORCE = Choice(0.65, 1.0, CLOSE, tuple(law.standing for law in CANDIDATES))
EQUAL = replace(IN_FORCE, standings=(1.0,) * len(NAMES))


class Split:
    """One split, ready to be weighed anew."""

    def __init__(self, result: Mapping[str, Any]) -> None:
        names = list(result["residuals"])
        self.laws = [NAMES.index(name) for name in names]
        self.n_fitted = result["n_fitted"]
        self.evidence = np.array([result["evidence"][name] for name in names])
        self.scores = np.array([result["scores"][name] for name in names], dtype=np.float64)
        self.measured = np.array(result["measured"])
        self.logs = np.log([result["predicted"][name] for name in names])
        self.residuals = np.array([result["residuals"][name] for name in names])
        self.share = result["share"]
        self.kriging = Kriging.of(np.array(result["sizes"]), np.array(result["asked"]))

    def log_error(self, choice: Choice) -> float:
        """Log of the error of the weighted prediction under other choices.

        It is corrected to the share that was taken under those in force.
        """
        odds = np.array(choice.standings)[self.laws]
        share = min(1.0, choice.growth / np.sqrt(self.n_fitted))
        odds = odds * np.exp(share * (self.evidence - self.evidence.max()))
        if np.isfinite(self.scores).all():
            odds = odds / np.maximum(self.scores, 1e-10) ** choice.power
        weights = odds / odds.sum()
        weights = np.where(weights < NEGLIGIBLE, 0.0, weights)
        weights /= weights.sum()
        departures = -pooled(self.residuals, weights, choice.close)
        added = self.share * self.kriging.expected(departures)
        centre = pooled(self.logs, weights, choice.close)
        error = relative_error(np.exp(centre + added), self.measured)
        return float(np.log(max(error, LEAST_ERROR)))


class Chooser:
    """Looks for the choices that serve some splits best, one at a time over the whole grid."""

    def __init__(self, splits: Sequence[Split], start: Choice, places: range) -> None:
        self.splits = splits
        self.start = start
        self.places = places
        self.known: dict[Choice, Array] = {}

    def log_errors(self, choice: Choice) -> Array:
        """Log error of each split."""
        if choice not in self.known:
            self.known[choice] = np.array([split.log_error(choice) for split in self.splits])
        return self.known[choice]

    def best(self, used: Mask) -> Choice:
        """The best choice found for the splits used."""
        best, least = self.start, self._worth(self.start, used)
        for _ in range(SWEEPS):
            before = best
            for place in self.places:
                for changed in _changes(best, place):
                    worth = self._worth(changed, used)
                    if worth < least - 1e-9:
                        best, least = changed, worth
            if best == before:
                break
        return best

    def _worth(self, choice: Choice, used: Mask) -> float:
        return float(self.log_errors(choice)[used].mean()) + choice.hesitation


def _changes(choice: Choice, place: int) -> list[Choice]:
    """A choice with one of its numbers replaced by each of the grid."""
    if place == 0:
        return [replace(choice, growth=growth) for growth in EVIDENCE]
    if place == 1:
        return [replace(choice, power=power) for power in POWERS]
    if place == 2:
        return [replace(choice, close=close) for close in DISTANCES]
    law, given = place - 3, choice.standings
    return [
        replace(choice, standings=(*given[:law], standing, *given[law + 1 :]))
        for standing in STANDINGS
    ]


def choose(results: Mapping[str, Mapping[str, Any]], console: Console) -> None:
    """Leave one origin out at a time: choose on the others, try on it."""
    splits = [Split(result) for result in results.values()]
    origins = np.array([result["origin"].split("-")[0] for result in results.values()])
    console.print(
        f"geometric mean, as in force: "
        f"{_percent(Chooser(splits, IN_FORCE, range(0)).log_errors(IN_FORCE))}"
    )
    for title, chooser in (
        ("distance", Chooser(splits, IN_FORCE, range(2, 3))),
        ("growth, power and distance", Chooser(splits, IN_FORCE, range(3))),
        ("standings and these", Chooser(splits, EQUAL, range(3 + len(NAMES)))),
    ):
        left_out = np.empty(origins.size)
        for origin in dict.fromkeys(origins.tolist()):
            own = origins == origin
            found = chooser.best(~own)
            left_out[own] = chooser.log_errors(found)[own]
            console.print(f"without {origin}: {found}; there {_percent(left_out[own])}")
        found = chooser.best(np.ones(origins.size, dtype=bool))
        console.print(f"on all: {found}")
        console.print(
            f"geometric mean, {title}: chosen on all {_percent(chooser.log_errors(found))}, "
            f"chosen without the origin {_percent(left_out)}"
        )


def _percent(log_errors: Array) -> str:
    return f"{100 * np.exp(log_errors.mean()):.3f} %"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="splits whose name holds this text")
    parser.add_argument("--results", type=Path, help="file to keep results in")
    parser.add_argument("--choose", action="store_true", help="make the choices anew")
    given = parser.parse_args()
    results: dict[str, Any] = {}
    if given.results and given.results.exists():
        results = json.loads(given.results.read_text())
    console = Console(width=200)
    for case in cases():
        if given.only not in case.name or case.name in results:
            continue
        results[case.name] = examine(case)
        own = summarise(results[case.name])
        console.print(f"{case.name}: auto {100 * own['auto']:.2f} %", style="dim")
        if given.results:
            given.results.write_text(json.dumps(results))
    kept = {name: result for name, result in results.items() if given.only in name}
    if given.choose:
        choose(kept, console)
    else:
        show(kept, console)


if __name__ == "__main__":
    main()
