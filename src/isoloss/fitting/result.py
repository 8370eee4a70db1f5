"""What a fit is: a surface, how it was found, and what it must tell."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from importlib.metadata import version
from typing import Any

import numpy as np

from isoloss.arrays import Array, Indices
from isoloss.errors import FitError
from isoloss.fitting.growth import ErrorGrowth
from isoloss.fitting.hold import Hold
from isoloss.fitting.identifiability import Identifiability
from isoloss.fitting.objectives import Objective
from isoloss.fitting.problem import Problem, Status
from isoloss.fitting.rows import FittedRows
from isoloss.fitting.scale import ErrorScale
from isoloss.fitting.search import Search
from isoloss.laws import Law, Surface
from isoloss.notes import Note, Severity
from isoloss.plotting import Plottable

# Share of replicates that may fail to converge before the intervals are in doubt.
_TOLERATED_FAILURES = 0.02
_DEFAULT_LEVEL = 0.9
# Optima whose objective is so little higher, as a share, that the data hardly rule them out.
_RIVAL_EXCESS = 0.01
# Values of an input up to which each has its own residual, and how many groups there are beyond.
_MOST_GROUPS = 200
_GROUPS = 40


@dataclass(frozen=True, eq=False)
class Fit(Plottable):
    """A law fitted to a table of runs.

    Attributes:
        surface: the law with its parameters and bootstrap replicates.
        rows: what was fitted.
        objective: what was minimised.
        objective_value: the sum that was reached.
        status: how the fit ended.
        method: "joint" or "staged".
        search: how the optimum was found.
        identifiability: how well the data determine the parameters.
        n_bootstrap: bootstrap replicates asked for; `surface` holds those that converged.
        source: where the runs came from.
        fingerprint: hash of the runs.
        seed: of starts and replicates.
        notes: remarks made on the way; `all_notes` adds what the fit itself shows.
        growth: how errors grew beyond the data in backtests on this table, once measured.
        resample: how bootstrap replicates were drawn, as `fit` was told.
        hold: penalty that held parameters near typical values, for laws that state some.
        n_effective: parameters that the data had to determine; a held one counts in part.
        lost_draws: which bootstrap draws have no replicate, since theirs did not converge.
    """

    surface: Surface
    rows: FittedRows
    objective: Objective
    objective_value: float
    status: Status
    method: str
    search: Search
    identifiability: Identifiability
    n_bootstrap: int
    source: str
    fingerprint: str
    seed: int
    notes: tuple[Note, ...] = ()
    growth: ErrorGrowth | None = None
    resample: str = "pairs"
    hold: Hold | None = None
    n_effective: float = 0.0
    lost_draws: tuple[int, ...] = ()

    @property
    def law(self) -> Law:
        """The fitted law."""
        return self.surface.law

    @property
    def problem(self) -> Problem:
        """What the solver was given."""
        problem = Problem.of(self.law, self.rows, self.objective, self.surface.centre)
        return replace(problem, hold=self.hold)

    @property
    def parameters(self) -> dict[str, float]:
        """Published parameters by name."""
        return self.surface.parameters

    @property
    def converged(self) -> bool:
        """Whether the fit reached an optimum."""
        return self.status is Status.CONVERGED

    @property
    def n_runs(self) -> int:
        """Runs with a weight above zero."""
        return int(np.sum(self.rows.weights > 0))

    @property
    def n_replicates(self) -> int:
        """Bootstrap replicates that converged, of the `n_bootstrap` asked for."""
        return int(self.surface.replicates.shape[1])

    @property
    def draws(self) -> Indices:
        """Which bootstrap draw each replicate is of, shape (replicates,)."""
        return np.setdiff1d(np.arange(self.n_replicates + len(self.lost_draws)), self.lost_draws)

    @cached_property
    def log_residuals(self) -> Array:
        """ln(predicted / measured) at each fitted row; see `ErrorScale` for signed numbers."""
        names = [entry.name for entry in self.law.inputs]
        predicted = self.surface.predict(**dict(zip(names, self.rows.inputs, strict=True)))
        return self.scale.of(predicted) - self.scale.of(self.rows.measured)

    @property
    def scale(self) -> ErrorScale:
        """What errors of this fit's predictions are measured in."""
        return self.problem.error_scale

    @property
    def mean_abs_rel_error(self) -> float:
        """In-sample mean of the absolute of predicted / measured - 1."""
        present = self.rows.weights > 0
        with np.errstate(over="ignore"):
            return float(np.mean(np.abs(self.scale.error(self.log_residuals[present]))))

    @property
    def noise(self) -> float:
        """Standard deviation of a run around the surface, in log loss.

        The root-mean-square residual over degrees of freedom.
        """
        present = self.rows.weights > 0
        freedom = max(1, self.n_runs - len(self.law.parameters))
        return float(np.sqrt(np.sum(self.log_residuals[present] ** 2) / freedom))

    @property
    def log_evidence(self) -> float:
        """What the fitted runs say for the law, to compare laws fitted to the same runs.

        The log likelihood of Laplace errors around the surface less the price of the parameters
        that the data had to determine, half a log of the number of runs each (Schwarz 1978).
        """
        present = self.rows.weights > 0
        runs, parameters = self.n_runs, self.n_effective or len(self.law.parameters)
        size = float(np.mean(np.abs(self.log_residuals[present])))
        size *= float(np.sqrt(runs / max(1.0, runs - parameters)))
        return -runs * float(np.log(max(size, 1e-15))) - 0.5 * parameters * float(np.log(runs))

    def region(self) -> dict[str, tuple[float, float]]:
        """Smallest and largest fitted value of each input."""
        present = self.rows.weights > 0
        return {
            entry.name: (float(column[present].min()), float(column[present].max()))
            for entry, column in zip(self.law.inputs, self.rows.inputs, strict=True)
        }

    def intervals(self, level: float = _DEFAULT_LEVEL) -> dict[str, tuple[float, float]]:
        """Percentile bootstrap interval of each published parameter; empty without replicates."""
        if not self.surface.replicates.size:
            return {}
        tail = (1 - level) / 2
        result = {}
        for name, values in self.surface.parameter_replicates().items():
            # Coefficients may be infinite where the data do not bound them.
            with np.errstate(invalid="ignore"):
                low, high = np.quantile(values, [tail, 1 - tail])
            result[name] = (float(low), float(high))
        return result

    def all_notes(self) -> tuple[Note, ...]:
        """Remarks made on the way, and what the result itself gives reason to say."""
        notes = list(self.notes)
        if not self.converged:
            notes.append(
                Note("not-converged", f"the fit did not converge: {self.status.value}", _WARNING)
            )
        kept = self.n_replicates
        if self.n_bootstrap and kept < (1 - _TOLERATED_FAILURES) * self.n_bootstrap:
            notes.append(
                Note(
                    "replicates-not-converged",
                    f"{self.n_bootstrap - kept} of {self.n_bootstrap} bootstrap replicates did "
                    "not converge and are left out: intervals are in doubt",
                    _WARNING,
                    {"converged": kept, "replicates": self.n_bootstrap},
                )
            )
        if self.hold is not None:
            notes.append(
                Note(
                    "held",
                    f"the data determine {self.n_effective:.1f} of {len(self.law.parameters)} "
                    "parameters; the rest are held near what is typical",
                )
            )
        if self.identifiability.at_bound:
            names = ", ".join(self.identifiability.at_bound)
            notes.append(
                Note(
                    "at-bound",
                    f"the data push {names} to the edge of what is allowed: a law with fewer "
                    "parameters may serve better",
                    _WARNING,
                )
            )
        rival = self.search.others[0] if self.search.others else None
        if rival and rival.excess < _RIVAL_EXCESS:
            there = ", ".join(f"{name} {value:.4g}" for name, value in rival.parameters.items())
            notes.append(
                Note(
                    "several-optima",
                    f"{self.search.reached_best} of {self.search.converged} starts reached the "
                    f"best optimum; another, only {100 * rival.excess:.2g} % higher, has {there}: "
                    "the data hardly decide between them",
                    _WARNING,
                )
            )
        unbounded = [name for name, value in self.parameters.items() if not math.isfinite(value)]
        if unbounded:
            notes.append(
                Note(
                    "coefficients-not-finite",
                    f"the data do not bound {', '.join(unbounded)}: the coefficient is not a "
                    "finite number, predictions are not affected",
                    _WARNING,
                )
            )
        if self.identifiability.weak:
            names = ", ".join(self.identifiability.weak)
            notes.append(
                Note(
                    "weakly-identified",
                    f"the data hardly tell apart {names}: trust predictions, not these "
                    "coefficients",
                    details={"condition": self.identifiability.condition},
                )
            )
        return tuple(notes)

    def require_converged(self) -> None:
        """Refuse to go on with a fit that is no optimum.

        Raises:
            FitError: the fit did not converge.
        """
        if not self.converged:
            raise FitError(f"the fit of law {self.law.name} did not converge: {self.status.value}")

    def with_growth(self, growth: ErrorGrowth) -> Fit:
        """The same fit, knowing how its errors grow beyond the data."""
        return replace(self, growth=growth)

    def residual_table(self, name: str) -> list[dict[str, float]]:
        """Mean and root-mean-square relative residual at each value of an input.

        Inputs with very many values are taken in groups of equal numbers of runs, each under its
        geometric mean.
        """
        column = self.rows.inputs[[entry.name for entry in self.law.inputs].index(name)]
        present = self.rows.weights > 0
        values, errors = column[present], self.scale.error(self.log_residuals[present])
        distinct, group = np.unique(values, return_inverse=True)
        if distinct.size > _MOST_GROUPS:
            inner = np.linspace(0, 1, _GROUPS + 1)[1:-1]
            group = np.searchsorted(np.quantile(values, inner), values)
        counts = np.bincount(group)
        own = ErrorScale(None if np.all(values > 0) else 1.0)
        with np.errstate(invalid="ignore"):
            middle = own.back(np.bincount(group, weights=own.of(values)) / counts)
            mean = np.bincount(group, weights=errors) / counts
            spread = np.sqrt(np.bincount(group, weights=errors**2) / counts)
        if distinct.size <= _MOST_GROUPS:
            middle = distinct
        return [
            {
                name: float(middle[index]),
                "n_runs": int(counts[index]),
                "mean_rel_error": float(mean[index]),
                "rms_rel_error": float(spread[index]),
            }
            for index in np.flatnonzero(counts)
        ]

    def to_json(self) -> dict[str, Any]:
        """What the fit says, without what is needed to predict from it; see `saving` for that.

        A number that is not finite, such as a coefficient that the data do not bound, is None.
        """
        report = {
            "law": self.law.name,
            "parameters": self.parameters,
            "objective": {"name": self.objective.name, "value": self.objective_value},
            "converged": self.converged,
            "n_runs": self.n_runs,
            "in_sample": {"mean_abs_rel_error": self.mean_abs_rel_error, "noise": self.noise},
            "method": self.method,
            "status": self.status.value,
            "intervals": {name: list(pair) for name, pair in self.intervals().items()},
            "level": _DEFAULT_LEVEL,
            "region": {name: list(pair) for name, pair in self.region().items()},
            "search": asdict(self.search),
            "identifiability": {
                "condition": self.identifiability.condition,
                "weak": list(self.identifiability.weak),
                "at_bound": list(self.identifiability.at_bound),
                "combinations": [each.to_json() for each in self.identifiability.combinations],
            },
            "residuals": {entry.name: self.residual_table(entry.name) for entry in self.law.inputs},
            "bootstrap": {
                "replicates": self.n_bootstrap,
                "converged": self.n_replicates,
                "resample": self.resample,
            },
            "notes": [note.to_json() for note in self.all_notes()],
            "provenance": {
                "source": self.source,
                "fingerprint": self.fingerprint,
                "seed": self.seed,
                "version": version("isoloss"),
            },
        }
        return {key: _finite(value) for key, value in report.items()}


def _finite(value: Any) -> Any:
    """A JSON value with None in place of numbers that JSON does not have."""
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


_WARNING = Severity.WARNING
