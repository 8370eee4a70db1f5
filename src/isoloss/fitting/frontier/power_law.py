"""Power laws of the budget, k C^a, fitted in logs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from isoloss.arrays import Array
from isoloss.errors import InputError

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
