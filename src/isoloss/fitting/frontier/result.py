"""What all frontier methods find: two power laws of the budget, and the losses along them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np

from isoloss.arrays import Array
from isoloss.errors import InputError
from isoloss.fitting.frontier.power_law import PowerLaw, number_or_none
from isoloss.notes import Note

_DEFAULT_LEVEL = 0.9


@dataclass(frozen=True, eq=False)
class Frontier:
    """Compute-optimal sizes against the budget C.

    Attributes:
        params_law: N* = k C^a.
        tokens_law: D* = k C^b, fitted on its own, so that neither leans on C = 6 N D.
    """

    params_law: PowerLaw
    tokens_law: PowerLaw

    @property
    def a(self) -> float:
        """Exponent of N*."""
        return self.params_law.exponent

    @property
    def b(self) -> float:
        """Exponent of D*."""
        return self.tokens_law.exponent

    def optimum(self, flops: float) -> tuple[float, float]:
        """Compute-optimal N and D at a budget.

        Raises:
            InputError: the budget is no positive number.
        """
        _require_budget(flops)
        return float(self.params_law.at(flops)), float(self.tokens_law.at(flops))

    def optimum_intervals(
        self, flops: float, level: float = _DEFAULT_LEVEL
    ) -> dict[str, tuple[float, float]]:
        """Percentile intervals of `params` and `tokens` at a budget; empty without replicates.

        They hold the spread over the replicates only, not the bias of the method.

        Raises:
            InputError: the budget is no positive number, or the level no probability.
        """
        _require_budget(flops)
        laws = {"params": self.params_law, "tokens": self.tokens_law}
        found = {name: _interval(law.replicates_at(flops), level) for name, law in laws.items()}
        return {name: interval for name, interval in found.items() if interval}

    def intervals(self, level: float = _DEFAULT_LEVEL) -> dict[str, tuple[float, float]]:
        """Percentile intervals of the exponents `a` and `b`; empty without replicates.

        Raises:
            InputError: the level is no probability.
        """
        laws = {"a": self.params_law, "b": self.tokens_law}
        found = {name: _interval(law.replicates[1], level) for name, law in laws.items()}
        return {name: interval for name, interval in found.items() if interval}

    def laws_to_json(self) -> dict[str, Any]:
        """Exponents, coefficients and intervals as plain JSON values."""
        return {
            "a": self.a,
            "b": self.b,
            "params_coefficient": self.params_law.coefficient,
            "tokens_coefficient": self.tokens_law.coefficient,
            "a_error": number_or_none(self.params_law.exponent_error),
            "b_error": number_or_none(self.tokens_law.exponent_error),
            "intervals": {name: list(pair) for name, pair in self.intervals().items()},
            "level": _DEFAULT_LEVEL,
        }


@dataclass(frozen=True, eq=False)
class OptimalLosses:
    """The losses at the compute-optimal points that a frontier was fitted to.

    Attributes:
        flops: C of each point.
        params: N* of each point.
        loss: L* of each point, in the table's unit.
        replicates: L* in each bootstrap replicate, shape (points, replicates); NaN where a
            replicate has no optimum.
    """

    flops: Array
    params: Array
    loss: Array
    replicates: Array


@dataclass(frozen=True, eq=False)
class FrontierFit(Frontier):
    """Compute-optimal sizes, and how they were found.

    Attributes:
        losses: the losses at the optima, see `fit_optimal_loss`.
        n_bootstrap: replicates drawn.
        seed: of the replicates.
        source: where the runs came from.
        fingerprint: hash of the runs.
        notes: what to know before relying on the numbers.
    """

    losses: OptimalLosses
    n_bootstrap: int
    seed: int
    source: str
    fingerprint: str
    notes: tuple[Note, ...]

    def provenance_to_json(self) -> dict[str, Any]:
        """Notes, and where the result came from, as plain JSON values."""
        return {
            "notes": [note.to_json() for note in self.notes],
            "provenance": {
                "source": self.source,
                "fingerprint": self.fingerprint,
                "bootstrap": self.n_bootstrap,
                "seed": self.seed,
                "version": version("isoloss"),
            },
        }


def _interval(values: Array, level: float) -> tuple[float, float] | None:
    if not 0 < level < 1:
        raise InputError(
            "not a level", where="level", found=f"{level:g}", expected="a number between 0 and 1"
        )
    if not values.size:
        return None
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _require_budget(flops: float) -> None:
    if not (math.isfinite(flops) and flops > 0):
        raise InputError(
            "not a budget", where="flops", found=f"{flops:g}", expected="a positive number"
        )
