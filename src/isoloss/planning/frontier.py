"""The frontier: the least loss for every amount of a cost, with the choices along it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from isoloss.arrays import Array
from isoloss.errors import InputError
from isoloss.fitting import Fit
from isoloss.forecasting import DEFAULT_LEVEL
from isoloss.forecasting.prediction import check_level
from isoloss.laws import PARAMS, TOKENS, Surface
from isoloss.planning.costs import Cost, training_flops
from isoloss.planning.limits import Limits, Spend
from isoloss.planning.optimum import (
    NEAR_OPTIMAL,
    band_around,
    check_budgets,
    near_optimal_band,
    optimum,
    replicate_optimum,
)
from isoloss.planning.path import longest_path
from isoloss.planning.refusals import nothing_allowed
from isoloss.planning.search import INSIDE, NEAR, REPLICATE_GRID
from isoloss.planning.setting import setting_of
from isoloss.planning.solution import worth
from isoloss.planning.solving import solve
from isoloss.plotting import Plottable

# Replicates without a run that are still tolerated before a budget has no interval.
_TOLERATED = 0.5


@dataclass(frozen=True)
class FrontierPoint:
    """The best run for one amount; NaN where the law has none, intervals NaN without replicates.

    Attributes:
        amount: what may be spent.
        params: N.
        tokens: D.
        loss: what the law predicts.
        lower: lower end of its interval over replicates, each at its own optimum.
        upper: upper end.
        params_lower: lower end of the interval of N.
        params_upper: upper end.
        near_smallest: smallest N whose loss is within 0.1 % of the least.
        near_largest: largest such N.
        interior: whether the balance of N and D decides, and no further limit.
    """

    amount: float
    params: float
    tokens: float
    loss: float
    lower: float
    upper: float
    params_lower: float
    params_upper: float
    near_smallest: float
    near_largest: float
    interior: bool

    @property
    def tokens_per_param(self) -> float:
        """D/N."""
        return self.tokens / self.params


@dataclass(frozen=True, eq=False)
class Frontier(Plottable):
    """Least loss against cost.

    Attributes:
        points: one an amount.
        cost: name of what is spent.
        unit: what it is counted in.
        level: of the intervals.
        surface: the law.
    """

    points: tuple[FrontierPoint, ...]
    cost: str
    unit: str
    level: float
    surface: Surface

    def to_json(self) -> dict[str, Any]:
        """The frontier as one JSON object; what is unknown is null."""
        rows = [
            {name: None if value != value else value for name, value in row.items()}
            for row in self.to_frame().to_dicts()
        ]
        return {
            "law": self.surface.law.name,
            "target": self.surface.law.target.name,
            "cost": self.cost,
            "unit": self.unit,
            "level": self.level,
            "points": rows,
        }

    def to_frame(self) -> pl.DataFrame:
        """One row an amount."""
        frame = pl.DataFrame([vars(point) for point in self.points])
        ratio = (pl.col("tokens") / pl.col("params")).alias("tokens_per_param")
        return frame.select(
            "amount", "params", "tokens", ratio, pl.exclude("amount", "params", "tokens")
        )

    def column(self, name: str) -> Array:
        """One column of the table."""
        return self.to_frame()[name].to_numpy()


def frontier(
    law: Fit | Surface,
    budgets: Sequence[float],
    *,
    cost: Cost | None = None,
    limits: Limits | None = None,
    given: Mapping[str, float] | None = None,
    level: float = DEFAULT_LEVEL,
) -> Frontier:
    """The least loss for each of several budgets.

    Args:
        law: a fit, or a surface (then without intervals).
        budgets: amounts of the cost.
        cost: what is spent, training FLOPs by default.
        limits: what else bounds each run.
        given: value of each input of the law that is neither N, D nor set by the limits.
        level: of the intervals, which are quantiles over replicates.

    Raises:
        InputError: a budget is no positive number, or no budget allows any run.
    """
    check_level(level)
    check_budgets(budgets)
    amounts = np.unique(np.asarray(budgets, dtype=np.float64))
    if not amounts.size:
        raise InputError("no budget", where="budgets", expected="one or more amounts")
    if isinstance(law, Fit):
        law.require_converged()
    surface = law.surface if isinstance(law, Fit) else law
    spent = cost or training_flops()
    plain = cost is None and limits is None and given is None
    if plain and set(surface.law.inputs) == {PARAMS, TOKENS}:
        points = [_split(surface, float(amount), level) for amount in amounts]
    else:
        points = []
        for amount in amounts:
            bounds = limits or Limits()
            spend = (Spend(spent, float(amount)), *bounds.spend)
            within = replace(bounds, spend=spend)
            points.append(_best(surface, float(amount), within, given, level))
        if not any(np.isfinite(point.params) for point in points):
            dearest = setting_of(surface, within, given, working=surface.working[:, None])
            raise nothing_allowed(dearest)
    return Frontier(tuple(points), spent.name, spent.unit, level, surface)


def _split(surface: Surface, flops: float, level: float) -> FrontierPoint:
    """The point of a plain budget C = 6 N D."""
    found = optimum(surface, flops)
    params, tokens = float(found.params[0]), float(found.tokens[0])
    loss = float(surface.predict(params=params, tokens=tokens))
    low, high = near_optimal_band(surface, flops, params)
    sizes: Array = np.empty(0)
    losses: Array = np.empty(0)
    if surface.replicates.size:
        drawn = replicate_optimum(surface, flops)
        sizes = drawn.params
        setting = setting_of(surface, Limits(), working=surface.replicates)
        losses = setting.predict(drawn.params, drawn.tokens)
    ends = _quantiles(losses, level), _quantiles(sizes, level)
    return FrontierPoint(
        flops, params, tokens, loss, *ends[0], *ends[1], float(low[0]), float(high[0]), True
    )


def _best(
    surface: Surface,
    amount: float,
    limits: Limits,
    given: Mapping[str, float] | None,
    level: float,
) -> FrontierPoint:
    setting = setting_of(surface, limits, given, working=surface.working[:, None])
    path = longest_path(setting)
    found = solve(path)
    params, tokens = float(found.params[0]), float(found.tokens[0])
    if not np.isfinite(params):
        return FrontierPoint(amount, *(9 * (np.nan,)), False)
    loss = float(setting.predict(np.array([params]), np.array([tokens]))[0])
    low, high = band_around(lambda sizes: worth(path, sizes), np.array([params]), NEAR_OPTIMAL)
    ends = _quantiles(np.empty(0), level), _quantiles(np.empty(0), level)
    if surface.replicates.size:
        others = setting_of(surface, limits, given, working=surface.replicates)
        drawn = solve(longest_path(others), REPLICATE_GRID, NEAR)
        losses = others.predict(drawn.params, drawn.tokens)
        ends = _quantiles(losses, level), _quantiles(drawn.params, level)
    bound = setting.binding(params, tokens)
    interior = bool(found.end[0] == INSIDE) and len(bound) <= 1
    return FrontierPoint(
        amount, params, tokens, loss, *ends[0], *ends[1], float(low[0]), float(high[0]), interior
    )


def _quantiles(values: Array, level: float) -> tuple[float, float]:
    """The ends of an interval, NaN where too few replicates have a value."""
    good = values[np.isfinite(values)]
    if not values.size or good.size < _TOLERATED * values.size:
        return np.nan, np.nan
    low, high = np.quantile(good, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
