"""Compute-optimal sizes as power laws of the budget: N* = k C^a and D* = k C^b, fitted in logs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from isoloss.arrays import Array
from isoloss.errors import InputError

_DEFAULT_LEVEL = 0.9
# A line has two coefficients; what is left over gives its standard errors.
_COEFFICIENTS = 2
# Quantiles one standard deviation to either side of the median of a normal distribution.
_ONE_SIGMA = (0.1587, 0.8413)


@dataclass(frozen=True, eq=False)
class PowerLaw:
    """A quantity as coefficient * C^exponent, C in training FLOPs.

    Attributes:
        coefficient: k, in the quantity's unit at one FLOP.
        exponent: the power.
        exponent_error: standard error of the exponent: half the width of the central 68 % of
            the replicates where there are any, since their tails are heavy; else that of the
            least-squares line; NaN if neither is known.
        replicates: ln(coefficient) and exponent of bootstrap replicates, shape (2, replicates).
    """

    coefficient: float
    exponent: float
    exponent_error: float
    replicates: Array

    def at(self, flops: npt.ArrayLike) -> Array:
        """The quantity at each budget."""
        log_flops = np.log(np.asarray(flops, dtype=np.float64))
        return np.asarray(np.exp(math.log(self.coefficient) + self.exponent * log_flops))

    def replicates_at(self, flops: float) -> Array:
        """The quantity at one budget in every replicate."""
        intercept, slope = self.replicates
        return np.asarray(np.exp(intercept + slope * math.log(flops)))


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


def fit_power_law(
    log_flops: Array,
    log_values: Array,
    weights: Array | None = None,
    *,
    replicate_values: Array | None = None,
    independent: bool = True,
) -> PowerLaw:
    """Fit a power law by weighted least squares in logs.

    Args:
        log_flops: ln C of each point, shape (points,).
        log_values: ln of the quantity, shape (points,).
        weights: inverse variances up to a factor, shape (points,); all ones where not given.
        replicate_values: ln of the quantity in bootstrap replicates, shape (points, replicates);
            NaN leaves a point out of a replicate. A replicate left with fewer than two budgets
            is dropped.
        independent: whether the points' errors are, so that the line has standard errors.
    """
    own = np.ones_like(log_values) if weights is None else weights
    line = fit_line(log_flops, log_values[:, None], own[:, None])[:, 0]
    replicates = np.empty((2, 0))
    if replicate_values is not None and replicate_values.shape[1]:
        lines = fit_line(log_flops, replicate_values, own[:, None])
        replicates = lines[:, np.all(np.isfinite(lines), axis=0)]
    if replicates.shape[1] > 1:
        low, high = np.quantile(replicates[1], _ONE_SIGMA)
        error = float(high - low) / 2
    elif independent:
        error = _slope_error(log_flops, log_values, own, line)
    else:
        error = math.nan
    return PowerLaw(float(np.exp(line[0])), float(line[1]), error, replicates)


def fit_line(x: Array, y: Array, weights: Array) -> Array:
    """Weighted least-squares lines for a batch of problems that share their x.

    Args:
        x: shape (points,).
        y: shape (points, problems); NaN leaves a point out.
        weights: shape (points, problems) or (points, 1).

    Returns:
        Intercept and slope, shape (2, problems); NaN where x does not vary.
    """
    present = np.where(np.isfinite(y), weights, 0.0)
    values = np.where(np.isfinite(y), y, 0.0)
    middle = float(np.mean(x))
    centred = (x - middle)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        total = present.sum(axis=0)
        mean_x = (present * centred).sum(axis=0) / total
        mean_y = (present * values).sum(axis=0) / total
        spread = (present * (centred - mean_x) ** 2).sum(axis=0)
        slope = (present * (centred - mean_x) * (values - mean_y)).sum(axis=0) / spread
        # Rounding leaves a trace of spread where all points of a problem share one x.
        flat = spread <= 1e-12 * total * float(np.max(centred**2))
        slope = np.where(flat, np.nan, slope)
    return np.stack([mean_y - slope * (mean_x + middle), slope])


def require_replicates(count: int, least: int) -> None:
    """Check a number of bootstrap replicates.

    Raises:
        InputError: there are fewer than the least.
    """
    if count < least:
        raise InputError(
            "too few", where="bootstrap", found=str(count), expected=f"{least} or more"
        )


def number_or_none(value: float) -> float | None:
    """The number, or None in place of one that JSON does not have."""
    return value if math.isfinite(value) else None


def _slope_error(x: Array, y: Array, weights: Array, line: Array) -> float:
    """Least-squares standard error of a slope; NaN where two points leave no residual."""
    freedom = x.size - _COEFFICIENTS
    if freedom < 1:
        return math.nan
    mean = np.average(x, weights=weights)
    residual = y - line[0] - line[1] * x
    variance = np.sum(weights * residual**2) / freedom
    return float(np.sqrt(variance / np.sum(weights * (x - mean) ** 2)))


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
