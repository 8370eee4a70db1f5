"""What a plan says: a run, its loss and its costs, with intervals and the price of other sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl

from isoloss.arrays import Array
from isoloss.forecasting import Prediction
from isoloss.laws import Surface
from isoloss.notes import Note
from isoloss.planning.costs import Cost
from isoloss.planning.counts import ParameterCounts
from isoloss.planning.path import BudgetPath, FreePath, TargetPath
from isoloss.plotting import Plottable

Path = BudgetPath | FreePath | TargetPath


@dataclass(frozen=True)
class Deviation:
    """What it costs to train a size other than the optimal one.

    Attributes:
        params: the size.
        tokens: tokens left for it, or needed by it where a loss is to be reached.
        loss: its loss.
        loss_increase: relative to the optimum's loss.
        compute_share: compute, or whatever else is spent, with which an optimal split would reach
            the same loss, as a share of what this size takes; the rest is wasted.
    """

    params: float
    tokens: float
    loss: float
    loss_increase: float
    compute_share: float


@dataclass(frozen=True)
class Amount:
    """What a run takes of one cost.

    Attributes:
        name: of the cost.
        unit: what it is counted in.
        amount: so much.
        at_most: the limit on it, None without one.
    """

    name: str
    unit: str
    amount: float
    at_most: float | None = None


@dataclass(frozen=True, eq=False)
class Allocation(Plottable):
    """The best run under limits: of least loss, or cheapest where a loss is to be reached.

    Attributes:
        flops: training FLOPs of the run, which are the budget where that is one of FLOPs.
        params: optimal N.
        tokens: optimal D.
        loss: predicted loss there, or whatever the law predicts.
        lower: lower end of the interval for the loss.
        upper: upper end.
        level: of all intervals.
        intervals: of params, tokens, tokens_per_param and what is spent, over bootstrap
            replicates; empty without replicates.
        near_optimal: smallest and largest N whose loss is within 0.1 % of the optimum, or whose
            cost is within 1 % where a loss is to be reached.
        deviations: price of other sizes.
        closed_form: whether the law gave the optimum by formula.
        surface: the law.
        notes: what to know before relying on the numbers.
        path: the tokens of every size under the same limits.
        inputs: every input of the law at the optimum.
        costs: what the run takes.
        minimised: name of the cost that is least, where a loss is to be reached; empty where the
            loss is least.
        binding: names of the limits that the run stands at.
        interior: whether no limit but one keeps the optimum where it is, so that it is a matter
            of balance between N and D.
        counts: the two counts of N, where they were asked for.
        score: what a chain of laws predicts of the run in the end, where one was asked about.
    """

    flops: float
    params: float
    tokens: float
    loss: float
    lower: float
    upper: float
    level: float
    intervals: dict[str, tuple[float, float]]
    near_optimal: tuple[float, float]
    deviations: tuple[Deviation, ...]
    closed_form: bool
    surface: Surface
    notes: tuple[Note, ...]
    path: Path
    inputs: dict[str, float]
    costs: tuple[Amount, ...] = ()
    minimised: str = ""
    binding: tuple[str, ...] = ()
    interior: bool = True
    counts: dict[str, float] = field(default_factory=dict)
    score: Prediction | None = None

    @property
    def tokens_per_param(self) -> float:
        """D*/N*."""
        return self.tokens / self.params

    @property
    def epochs(self) -> float | None:
        """Passes over the unique tokens, where those are limited."""
        unique = self.path.setting.limits.unique_tokens
        return None if unique is None else self.tokens / unique

    def cost(self, name: str) -> float:
        """The amount of a cost, by its name.

        Raises:
            KeyError: there is no such cost.
        """
        return {each.name: each.amount for each in self.costs}[name]

    def with_costs(self, costs: Sequence[Cost]) -> Allocation:
        """The same with what the run takes of further costs that nothing limits."""
        known = {(each.name, each.unit) for each in self.costs}
        more = tuple(
            Amount(cost.name, cost.unit, float(cost.amount(self.params, self.tokens)))
            for cost in costs
            if (cost.name, cost.unit) not in known
        )
        return replace(self, costs=(*self.costs, *more))

    def tokens_of(self, params: Array) -> Array:
        """Tokens of other sizes under the same limits; NaN where they allow none."""
        N = np.asarray(params, dtype=np.float64)
        tokens = np.asarray(self.path.tokens(N[..., None], slice(0, 1)))
        tokens = np.broadcast_to(tokens, (*N.shape, 1))[..., 0]
        bounds = self.path.setting.bounds
        inside = (bounds.low <= N) & (bounds.high >= N) & self.path.setting.allowed(N)
        return np.where(inside, tokens, np.nan)

    def loss_of(self, params: Array) -> Array:
        """What the law predicts of other sizes under the same limits."""
        N = np.asarray(params, dtype=np.float64)
        return self.surface.predict(**self.path.setting.inputs(N, self.tokens_of(N)))

    def replicate_losses_of(self, params: Array) -> Array:
        """The same of every replicate, on the tokens of the estimate, (sizes, replicates)."""
        N = np.asarray(params, dtype=np.float64)
        return self.surface.predict_replicates(**self.path.setting.inputs(N, self.tokens_of(N)))

    def to_json(self) -> dict[str, Any]:
        """The allocation as one JSON object."""
        target = self.surface.law.target.name
        return {
            "law": self.surface.law.name,
            "flops": self.flops,
            "params": self.params,
            **self.counts,
            "tokens": self.tokens,
            "tokens_per_param": self.tokens_per_param,
            **({} if self.epochs is None else {"epochs": self.epochs}),
            target: self.loss,
            "lower": self.lower,
            "upper": self.upper,
            "level": self.level,
            **({} if self.score is None else {"score": self.score.to_json()}),
            "inputs": dict(self.inputs),
            "costs": [dict(vars(each)) for each in self.costs],
            "minimised": self.minimised or target,
            "binding": list(self.binding),
            "interior": self.interior,
            "intervals": {name: list(pair) for name, pair in self.intervals.items()},
            "near_optimal_params": list(self.near_optimal),
            "deviations": [dict(vars(entry)) for entry in self.deviations],
            "method": "closed form" if self.closed_form else "search",
            "notes": [note.to_json() for note in self.notes],
        }

    def to_frame(self) -> pl.DataFrame:
        """One row a deviation from the optimal size."""
        schema = ["params", "tokens", "loss", "loss_increase", "compute_share"]
        return pl.DataFrame([vars(entry) for entry in self.deviations], schema=schema)


def both_counts(counts: ParameterCounts | None, params: float) -> dict[str, float]:
    """The two counts of a size, where they are known."""
    return counts.both(params) if counts else {}
