"""How far a forecast and D*/N* move when a fit is made a little otherwise.

Each perturbation changes one thing and fits again. Points and budget stay as they are given: a
perturbation is another belief about the runs, not about the model that is planned.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from isoloss.comparing.checklist import ChecklistItem, reproducibility_checklist
from isoloss.comparing.perturbations import (
    Perturbation,
    Trial,
    objective_text,
    standard_perturbations,
)
from isoloss.comparing.perturbed import PerturbedFit
from isoloss.errors import FitError, InputError
from isoloss.fitting import Fit, Objective, find_objective, fit
from isoloss.forecasting import DEFAULT_LEVEL, departures, region_of_fit
from isoloss.forecasting.prediction import PlanePoint, check_level, points_as_columns
from isoloss.laws import PARAMS, REFERENCE_LAW, TOKENS, Law, find_law
from isoloss.planning import optimum, replicate_optimum
from isoloss.planning.optimum import check_budgets
from isoloss.plotting import Plottable
from isoloss.quantities import format_quantity
from isoloss.runs import Runs

DEFAULT_BOOTSTRAP = 100
# Half the usual starts find the same optima.
DEFAULT_STARTS = 32
# Random starts of a perturbed fit, beside the optima that the unperturbed one has found.
_FOLLOWING_STARTS = 2
_UNPERTURBED = "unperturbed"
_OTHER_LAW = "law"


@dataclass(frozen=True, eq=False)
class Robustness(Plottable):
    """How far a fit's answers move under perturbations.

    Attributes:
        fit: the unperturbed fit, with bootstrap replicates.
        unperturbed: what it says.
        rows: one a perturbation, in the order tried.
        points: (N, D) of each prediction.
        flops: budget of N* and D*, C = 6 N D.
        level: of the bootstrap intervals.
        loss_intervals: percentile interval of the unperturbed fit's loss at each point, over its
            replicates; empty without any.
        tokens_per_param_interval: the same of D*/N*; None without replicates or optimum.
        checklist: what it takes to repeat the unperturbed fit.
    """

    fit: Fit
    unperturbed: PerturbedFit
    rows: tuple[PerturbedFit, ...]
    points: tuple[PlanePoint, ...]
    flops: float
    level: float
    loss_intervals: tuple[tuple[float, float], ...]
    tokens_per_param_interval: tuple[float, float] | None
    checklist: tuple[ChecklistItem, ...]

    def ranked(self) -> tuple[PerturbedFit, ...]:
        """The rows by how far the loss at the first point moves, furthest first.

        Fits that are refused or did not converge come last.
        """

        def effect(row: PerturbedFit) -> tuple[bool, float]:
            change = abs(row.loss_changes[0])
            return not row.counts, -change if np.isfinite(change) else np.inf

        return tuple(sorted(self.rows, key=effect))

    @property
    def verdict(self) -> str:
        """How far the answers move, in a sentence."""
        trusted = [row for row in self.rows if row.counts]
        failed = len(self.rows) - len(trusted)
        same_law = [row for row in trusted if row.kind != _OTHER_LAW]
        if not same_law:
            return f"None of {len(self.rows)} perturbations left a fit that ended at an optimum."
        clauses = [self._loss_clause(same_law), self._optimum_clause(same_law)]
        others = [row for row in trusted if row.kind == _OTHER_LAW]
        if others:
            clauses.append(
                f"other laws say between {_extremes(others, lambda row: row.losses[0], 4)}"
            )
        if failed:
            are = "fit is" if failed == 1 else "fits are"
            clauses.append(f"{failed} {are} left out, refused or not converged")
        return f"Under {len(same_law)} perturbations of {self.fit.law.name} {'; '.join(clauses)}."

    def _loss_clause(self, trusted: Sequence[PerturbedFit]) -> str:
        N, D = self.points[0]
        text = (
            f"the loss at {format_quantity(N)}:{format_quantity(D)}, "
            f"{self.unperturbed.losses[0]:#.4g} unperturbed, lies between "
            f"{_extremes(trusted, lambda row: row.losses[0], 4)}"
        )
        if not self.loss_intervals:
            return text
        lower, upper = self.loss_intervals[0]
        inside = all(lower <= row.losses[0] <= upper for row in trusted)
        where = "inside" if inside else "beyond"
        return (
            f"{text}, {where} its {100 * self.level:g} % bootstrap interval of {lower:#.4g} to "
            f"{upper:#.4g}"
        )

    def _optimum_clause(self, trusted: Sequence[PerturbedFit]) -> str:
        budget = f"D*/N* at {self.flops:.3g} FLOPs"
        known = [row for row in trusted if np.isfinite(row.tokens_per_param)]
        if not known or not np.isfinite(self.unperturbed.tokens_per_param):
            return f"there is no {budget} to compare"
        own = _digits(self.unperturbed.tokens_per_param, 3)
        extremes = _extremes(known, lambda row: row.tokens_per_param, 3)
        return f"{budget}, {own} unperturbed, between {extremes}"

    def to_json(self) -> dict[str, Any]:
        """The report as one JSON object; changes are fractions."""
        ratio = self.tokens_per_param_interval
        return {
            "flops": self.flops,
            "unperturbed": self.unperturbed.to_json(self.points),
            "perturbations": [row.to_json(self.points) for row in self.ranked()],
            "level": self.level,
            "intervals": {
                "loss": [list(pair) for pair in self.loss_intervals],
                "tokens_per_param": list(ratio) if ratio else None,
            },
            "verdict": self.verdict,
            "checklist": [item.to_json() for item in self.checklist],
            "notes": [note.to_json() for note in self.fit.all_notes()],
        }

    def to_frame(self) -> pl.DataFrame:
        """One row a fit, the unperturbed one first; parameters are those of its law."""
        rows = (self.unperturbed, *self.rows)
        columns: dict[str, list[Any]] = {
            name: [getattr(row, name) for row in rows]
            for name in ("perturbation", "kind", "what", "law", "n_runs", "converged", "refused")
        }
        for name in self.fit.law.parameter_names:
            own = [row.parameters.get(name) for row in rows]
            columns[name] = [
                value if row.law == self.fit.law.name else None
                for row, value in zip(rows, own, strict=True)
            ]
        for index, (N, D) in enumerate(self.points):
            point = f"{format_quantity(N)}:{format_quantity(D)}"
            columns[f"loss at {point}"] = [row.losses[index] for row in rows]
            columns[f"rel_change at {point}"] = [row.loss_changes[index] for row in rows]
        columns["params_optimal"] = [row.params for row in rows]
        columns["tokens_optimal"] = [row.tokens for row in rows]
        columns["tokens_per_param"] = [row.tokens_per_param for row in rows]
        columns["tokens_per_param_factor"] = [row.tokens_per_param_factor for row in rows]
        return pl.DataFrame(columns)


def robustness(
    runs: Runs,
    law: Law | str = REFERENCE_LAW,
    *,
    points: Sequence[PlanePoint],
    flops: float | None = None,
    perturbations: Sequence[Perturbation] | None = None,
    objective: Objective | str = "huber",
    method: str = "joint",
    weights: str | None = None,
    bootstrap: int = DEFAULT_BOOTSTRAP,
    starts: int = DEFAULT_STARTS,
    level: float = DEFAULT_LEVEL,
    seed: int = 0,
    threads: int | None = None,
    advance: Callable[[str], None] | None = None,
) -> Robustness:
    """Fit a law again under each of many small changes, and compare what the fits say.

    Args:
        runs: the table.
        law: a law of N and D, or the name of one in the catalogue.
        points: (N, D) of runs to predict; perturbations are ranked by the first.
        flops: budget for which N* and D* are compared; 6 N D of the first point where not given.
        perturbations: what to try; `standard_perturbations` where not given.
        objective: what is minimised.
        method: "joint" or "staged".
        weights: name of a column with the weight of each run.
        bootstrap: replicates of the unperturbed fit, to compare perturbations with.
        starts: random starts of the unperturbed fit, and of those whose law or search is another;
            the others begin where it ended, at its next best optima, and at a few random starts.
        level: of the bootstrap intervals.
        seed: of starts, replicates and noise.
        threads: for the solver.
        advance: called with the name of each perturbation when it has been fitted.

    Raises:
        FitError: the unperturbed fit is refused or does not converge.
        InputError: an argument has no meaning, or a perturbation cannot be applied to the table.
    """
    law = find_law(law) if isinstance(law, str) else law
    if set(law.inputs) != {PARAMS, TOKENS}:
        raise InputError(
            f"law {law.name} is no law of N and D alone",
            where="--law",
            found="inputs " + ", ".join(entry.name for entry in law.inputs),
        )
    points_as_columns(points)
    check_level(level)
    objective = find_objective(objective) if isinstance(objective, str) else objective
    budget = 6.0 * points[0][0] * points[0][1] if flops is None else float(flops)
    check_budgets(budget)
    trial = Trial(runs, law, objective, method, starts, seed, weights)
    base = _fit(trial, (), bootstrap, threads)
    base.require_converged()
    if advance:
        advance(_UNPERTURBED)
    changed = f"{law.name}, {objective_text(objective)}, {method}"
    own = _read(base, _UNPERTURBED, "none", changed, points, budget, None)
    rows = []
    for each in standard_perturbations(trial) if perturbations is None else perturbations:
        rows.append(_perturbed(trial, _optima(base), each, points, budget, own, threads))
        if advance:
            advance(each.name)
    intervals, ratio = _intervals(base, points, budget, level)
    return Robustness(
        base,
        own,
        tuple(rows),
        tuple((float(N), float(D)) for N, D in points),
        budget,
        level,
        intervals,
        ratio,
        reproducibility_checklist(base, runs),
    )


def _optima(base: Fit) -> tuple[Mapping[str, float], ...]:
    """Parameters at the best optimum and the next; none for a fit in stages."""
    if base.method != "joint":
        return ()
    return (base.parameters, *(other.parameters for other in base.search.others))


def _search(trial: Trial) -> tuple[str, str, int, int]:
    """What decides how the optimum is looked for."""
    return trial.law.name, trial.method, trial.starts, trial.seed


def _fit(
    trial: Trial, begin: tuple[Mapping[str, float], ...], bootstrap: int, threads: int | None
) -> Fit:
    """The fit of a trial; with parameters to begin from, few random starts are made beside."""
    return fit(
        trial.runs,
        trial.law,
        objective=trial.objective,
        method=trial.method,
        weights=trial.weights,
        bootstrap=bootstrap,
        starts=min(trial.starts, _FOLLOWING_STARTS) if begin else trial.starts,
        begin=begin,
        seed=trial.seed,
        threads=threads,
    )


def _perturbed(
    trial: Trial,
    optima: tuple[Mapping[str, float], ...],
    perturbation: Perturbation,
    points: Sequence[PlanePoint],
    budget: float,
    own: PerturbedFit,
    threads: int | None,
) -> PerturbedFit:
    kind, name, what = perturbation.kind, perturbation.name, perturbation.sentence
    try:
        changed = perturbation.change(trial)
        begin = optima if _search(changed) == _search(trial) else ()
        fitted = _fit(changed, begin, 0, threads)
        if kind == _OTHER_LAW:
            _require_sane(fitted, points)
    except FitError as error:
        nowhere = (np.nan,) * len(points)
        nothing = (np.nan, np.nan, np.nan)
        return PerturbedFit(
            name, kind, what, trial.law.name, 0, False, {}, nowhere, nowhere, *nothing, str(error)
        )
    return _read(fitted, name, kind, what, points, budget, own)


def _require_sane(fitted: Fit, points: Sequence[PlanePoint]) -> None:
    """Refuse a law that no forecast would believe: nobody would have chosen it.

    Raises:
        FitError: it departs from what a law must do on the way to a point.
    """
    region = region_of_fit(fitted)
    for N, D in points:
        reasons = departures(fitted.surface, region, params=N, tokens=D)
        if reasons:
            raise FitError(
                f"at N={N:g}, D={D:g} {'; '.join(reasons)}: no forecast would believe it"
            )


def _read(
    fitted: Fit,
    name: str,
    kind: str,
    what: str,
    points: Sequence[PlanePoint],
    budget: float,
    own: PerturbedFit | None,
) -> PerturbedFit:
    """What a fit says at the points and the budget, beside the unperturbed one if it is another."""
    params, tokens = np.array(points, dtype=np.float64).T
    # A law bent by a perturbation may overflow or have no value far from the data.
    with np.errstate(all="ignore"):
        losses = fitted.surface.predict(params=params, tokens=tokens)
        best = optimum(fitted.surface, budget)
    N, D = float(best.params[0]), float(best.tokens[0])
    changes = losses / np.array(own.losses) - 1.0 if own else np.zeros(losses.size)
    return PerturbedFit(
        name,
        kind,
        what,
        fitted.law.name,
        fitted.n_runs,
        fitted.converged,
        fitted.parameters,
        tuple(losses.tolist()),
        tuple(changes.tolist()),
        N,
        D,
        D / N / own.tokens_per_param if own else 1.0,
    )


def _intervals(
    base: Fit, points: Sequence[PlanePoint], budget: float, level: float
) -> tuple[tuple[tuple[float, float], ...], tuple[float, float] | None]:
    """Percentile intervals of loss and D*/N* over the replicates of the unperturbed fit."""
    if not base.n_replicates:
        return (), None
    ends = [(1 - level) / 2, (1 + level) / 2]
    params, tokens = np.array(points, dtype=np.float64).T
    with np.errstate(all="ignore"):
        losses = base.surface.predict_replicates(params=params, tokens=tokens)
        best = replicate_optimum(base.surface, budget)
        ratios = best.tokens / best.params
    low, high = np.quantile(losses, ends, axis=1)
    pairs = tuple(zip(low.tolist(), high.tolist(), strict=True))
    if not np.all(np.isfinite(ratios)):
        return pairs, None
    lower, upper = np.quantile(ratios, ends)
    return pairs, (float(lower), float(upper))


def _extremes(
    rows: Sequence[PerturbedFit], value: Callable[[PerturbedFit], float], digits: int
) -> str:
    low, high = min(rows, key=value), max(rows, key=value)
    return (
        f"{_digits(value(low), digits)} ({low.perturbation}) and "
        f"{_digits(value(high), digits)} ({high.perturbation})"
    )


def _digits(value: float, digits: int) -> str:
    """A number to so many digits, zeros included, so that 2 reads 2.000."""
    return f"{value:#.{digits}g}".rstrip(".")
