"""Which runs share a budget: training FLOPs, and the groups of runs that spent the same."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isoloss.arrays import Array, Indices, Mask
from isoloss.errors import InputError
from isoloss.runs import Runs

# Sizes this close, in logs, are one size: digitised tables repeat a model with a wobble.
_SAME_SIZE = 0.01
# Runs of one budget may differ by the tolerance twice over: to either side of the nominal one.
_SIDES = 2


@dataclass(frozen=True, eq=False)
class BudgetRuns:
    """Runs of one budget, in ascending order of N.

    Attributes:
        flops: C, the median over the runs.
        spread: largest over smallest FLOPs of the runs.
        log_params: ln N of each run.
        log_tokens: ln D of each run.
        loss: loss of each run.
    """

    flops: float
    spread: float
    log_params: Array
    log_tokens: Array
    loss: Array

    @property
    def n_runs(self) -> int:
        """How many runs."""
        return self.loss.size

    @property
    def n_sizes(self) -> int:
        """How many different sizes."""
        return int(np.sum(_begins_size(self.log_params)))

    @property
    def half_width(self) -> float:
        """The factor from the middle of the grid of sizes to either end."""
        return float(np.exp(0.5 * np.ptp(self.log_params)))

    @property
    def log_centre(self) -> float:
        """The middle, in ln N, between the smallest and the largest size."""
        return float(0.5 * (self.log_params[0] + self.log_params[-1]))

    def doubt(self, tolerance: float, least_sizes: int) -> str:
        """Why the runs make no IsoFLOP curve; empty where they do."""
        if self.spread > (1 + tolerance) ** _SIDES:
            return f"its runs' FLOPs differ by up to a factor {self.spread:.3g}: no one budget"
        if self.n_sizes < least_sizes:
            return f"{self.n_sizes} different sizes, {least_sizes} are needed"
        return ""


def best_of_each_size(log_sizes: Array, loss: Array) -> Indices:
    """The run of least loss of each size, in ascending order of size.

    Args:
        log_sizes: ln N or ln D of each run; values closer than a wobble are one size.
        loss: loss of each run.
    """
    order = np.argsort(log_sizes, kind="stable")
    size = np.cumsum(_begins_size(log_sizes[order]))
    by_loss = np.lexsort((loss[order], size))
    first = np.flatnonzero(np.diff(size, prepend=0))
    return np.asarray(order[by_loss[first]])


def _begins_size(ascending: Array) -> Mask:
    return np.diff(ascending, prepend=-np.inf) > _SAME_SIZE


def training_flops(runs: Runs, column: str | None = None) -> Array:
    """Training FLOPs of each run.

    Args:
        runs: the table.
        column: the column that holds them; where not given, `flops` if the table has it, else
            6 N D.

    Raises:
        InputError: there is no such column, or it holds something else than positive numbers.
    """
    if column is None and "flops" not in runs.frame.columns:
        return runs.flops
    return runs.positive(column or "flops")


def group_by_budget(
    runs: Runs, *, flops: str | None = None, tolerance: float = 0.1
) -> tuple[BudgetRuns, ...]:
    """Groups of runs with the same training FLOPs, in ascending order.

    A new budget begins wherever the next larger run spent more than `tolerance` more than the
    one before it: that finds nominal budgets in a column as well as those hidden in 6 N D.

    Args:
        runs: the table.
        flops: column of training FLOPs, see `training_flops`.
        tolerance: relative step in FLOPs that separates two budgets.

    Raises:
        InputError: the FLOPs are no positive numbers, or the tolerance is not positive.
    """
    if not tolerance > 0:
        raise InputError(
            "not a tolerance", where="tolerance", found=f"{tolerance:g}", expected="above 0"
        )
    spent = training_flops(runs, flops)
    log_params = np.log(runs.positive("params"))
    log_tokens = np.log(runs.positive("tokens"))
    loss = runs.positive("loss")
    order = np.argsort(spent, kind="stable")
    ends = np.flatnonzero(np.diff(np.log(spent[order])) > np.log1p(tolerance)) + 1

    def group(members: Indices) -> BudgetRuns:
        # A full ordering, so that the order of rows in the table has no say in a bootstrap.
        ranked = members[np.lexsort((loss[members], log_tokens[members], log_params[members]))]
        return BudgetRuns(
            float(np.median(spent[ranked])),
            float(np.max(spent[ranked]) / np.min(spent[ranked])),
            log_params[ranked],
            log_tokens[ranked],
            loss[ranked],
        )

    return tuple(group(members) for members in np.split(order, ends))
