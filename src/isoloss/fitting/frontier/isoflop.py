"""What IsoFLOP methods find: the optimum of each budget, and the power laws through them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import polars as pl

from isoloss.arrays import Array
from isoloss.errors import FitError
from isoloss.fitting.frontier.budgets import BudgetRuns
from isoloss.fitting.frontier.power_law import PowerLaw, fit_power_law, number_or_none
from isoloss.fitting.frontier.result import FrontierFit, OptimalLosses
from isoloss.notes import Note, Severity
from isoloss.quantities import format_quantity
from isoloss.runs import Runs

_LEAST_BUDGETS = 2
# An optimum known better than one part in a million is rounding, and no reason for more weight.
_SMALLEST_ERROR = 1e-6
# Reasons listed in full when too few budgets are left.
_LISTED_REASONS = 3


@dataclass(frozen=True)
class Budget:
    """One budget and its optimum; the numbers of a rejected budget's optimum are NaN.

    Attributes:
        flops: C.
        n_runs: runs that spent it.
        n_sizes: different sizes among them.
        half_width: factor from the middle of the sizes run to either end.
        off_centre: middle of the sizes run over N*.
        params: N*.
        tokens: D*.
        loss: loss there.
        params_error: standard error of ln N*.
        tokens_error: standard error of ln D*.
        residual: root-mean-square residual of the curve, relative to the loss; zero for a curve
            that passes through every run.
        interior_share: share of the bootstrap replicates with a minimum inside the sizes run;
            NaN without replicates.
        rejected: why the budget is left out; empty where it is kept.
    """

    flops: float
    n_runs: int
    n_sizes: int
    half_width: float
    off_centre: float = np.nan
    params: float = np.nan
    tokens: float = np.nan
    loss: float = np.nan
    params_error: float = np.nan
    tokens_error: float = np.nan
    residual: float = np.nan
    interior_share: float = np.nan
    rejected: str = ""

    @property
    def kept(self) -> bool:
        """Whether the power laws go through this budget's optimum."""
        return not self.rejected

    def to_json(self) -> dict[str, Any]:
        """The budget as one JSON object; None where a number is not known."""
        values = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        known = {
            name: number_or_none(value) if isinstance(value, float) else value
            for name, value in values.items()
        }
        return {**known, "kept": self.kept}


@dataclass(frozen=True, eq=False)
class BudgetOptimum:
    """A budget with the replicates of its optimum.

    Attributes:
        budget: the budget.
        log_params: ln N* in each replicate, NaN where it has none.
        log_tokens: ln D* in each replicate, NaN where it has none.
        losses: loss at N* in each replicate, NaN where it has none.
    """

    budget: Budget
    log_params: Array
    log_tokens: Array
    losses: Array

    @classmethod
    def reject(cls, group: BudgetRuns, reason: str) -> BudgetOptimum:
        """A budget that is left out, and why."""
        budget = Budget(group.flops, group.n_runs, group.n_sizes, group.half_width, rejected=reason)
        return cls(budget, np.empty(0), np.empty(0), np.empty(0))


@dataclass(frozen=True, eq=False)
class IsoflopFit(FrontierFit):
    """Compute-optimal sizes by the minima of IsoFLOP curves.

    Attributes:
        method: "parabola" or "akima".
        budgets: every budget of the table, kept or rejected, in ascending order.
    """

    method: str
    budgets: tuple[Budget, ...]

    @property
    def kept(self) -> tuple[Budget, ...]:
        """The budgets that the power laws go through."""
        return tuple(budget for budget in self.budgets if budget.kept)

    def to_frame(self) -> pl.DataFrame:
        """One row a budget."""
        return pl.DataFrame([budget.to_json() for budget in self.budgets])

    def to_json(self) -> dict[str, Any]:
        """The result as one JSON object."""
        return {
            "method": self.method,
            **self.laws_to_json(),
            "budgets": [budget.to_json() for budget in self.budgets],
            **self.provenance_to_json(),
        }


def replicate_seeds(seed: int, budgets: int) -> list[int]:
    """A seed of its own for each budget, so that one more run does not redraw the others."""
    return [int(state) for state in np.random.SeedSequence(seed).generate_state(budgets)]


def isoflop_fit(
    runs: Runs,
    optima: Sequence[BudgetOptimum],
    *,
    method: str,
    weighted: bool,
    n_bootstrap: int,
    seed: int,
    notes: Sequence[Note],
) -> IsoflopFit:
    """Put power laws through the optima of budgets.

    Args:
        runs: the table.
        optima: every budget in ascending order.
        method: how the optima were found.
        weighted: whether optima count by their inverse variance.
        n_bootstrap: replicates drawn.
        seed: of the replicates.
        notes: on the method.

    Raises:
        FitError: fewer than two budgets have an optimum.
    """
    budgets = [entry.budget for entry in optima]
    kept = [entry for entry in optima if entry.budget.kept]
    if len(kept) < _LEAST_BUDGETS:
        raise FitError(_too_few(budgets))
    log_flops = np.log([entry.budget.flops for entry in kept])

    def law(name: str) -> PowerLaw:
        sizes = np.log([getattr(entry.budget, name) for entry in kept])
        errors = np.array([getattr(entry.budget, f"{name}_error") for entry in kept])
        weights = np.maximum(errors, _SMALLEST_ERROR) ** -2.0 if weighted else None
        drawn = np.stack([getattr(entry, f"log_{name}") for entry in kept])
        return fit_power_law(log_flops, sizes, weights, replicate_values=drawn)

    remarks = (*runs.notes, *notes, *_rejections(budgets), *_few([e.budget for e in kept]))
    return IsoflopFit(
        params_law=law("params"),
        tokens_law=law("tokens"),
        losses=OptimalLosses(
            flops=np.array([entry.budget.flops for entry in kept]),
            params=np.array([entry.budget.params for entry in kept]),
            loss=np.array([entry.budget.loss for entry in kept]),
            replicates=np.stack([entry.losses for entry in kept]),
        ),
        method=method,
        budgets=tuple(budgets),
        n_bootstrap=n_bootstrap,
        seed=seed,
        source=runs.source,
        fingerprint=runs.fingerprint,
        notes=remarks,
    )


def _too_few(budgets: Sequence[Budget]) -> str:
    rejected = [budget for budget in budgets if not budget.kept]
    listed = [f"{budget.flops:.3g}: {budget.rejected}" for budget in rejected[:_LISTED_REASONS]]
    more = [f"{len(rejected) - len(listed)} more"] if len(rejected) > len(listed) else []
    reasons = f" ({'; '.join([*listed, *more])})" if listed else ""
    return (
        f"a power law needs an optimum at {_LEAST_BUDGETS} budgets or more; "
        f"{len(budgets) - len(rejected)} of {len(budgets)} have one{reasons}"
    )


def _rejections(budgets: Sequence[Budget]) -> list[Note]:
    return [
        Note(
            "budget-rejected",
            f"the budget of {format_quantity(budget.flops)} FLOPs is left out: {budget.rejected}",
            Severity.WARNING,
            {"flops": budget.flops, "reason": budget.rejected},
        )
        for budget in budgets
        if not budget.kept
    ]


def _few(kept: Sequence[Budget]) -> list[Note]:
    if len(kept) > _LEAST_BUDGETS:
        return []
    return [
        Note(
            "two-budgets",
            "the power laws pass through two budgets: nothing shows whether they hold between "
            "or beyond them",
            Severity.WARNING,
        )
    ]
