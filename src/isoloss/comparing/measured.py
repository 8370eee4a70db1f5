"""Speed-ups read off the runs themselves, size by size, without any law of N.

At each size the reference recipe's losses give L(D) = E + A D^-b; the speed-up of another run with
loss L at D is D_eff / D, where D_eff is how many tokens the reference needs for L (Wen et al. 2025,
arXiv:2509.02046). Three parameters through four losses are nearly an interpolation, so that only
speed-ups near the measured tokens mean anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from isoloss.arrays import Array, Indices
from isoloss.comparing.pair_ensemble import quantile
from isoloss.runs import Runs

# Token counts of one size that a curve needs.
_FEWEST = 4
_FEWEST_SIZES = 3
_SAME = 1e-3
# The exponents tried first, on which the other two parameters are linear.
_EXPONENTS = np.geomspace(0.05, 2.0, 40)


@dataclass(frozen=True)
class Trend:
    """How the measured gain changes with size: gain proportional to N^exponent.

    Attributes:
        exponent: below zero where the gain shrinks with size.
        lower: lower end of its interval.
        upper: upper end.
        level: of the interval.
    """

    exponent: float
    lower: float
    upper: float
    level: float


@dataclass(frozen=True)
class MeasuredGains:
    """Data-equivalent gains of the first recipe's runs over the second's curves.

    Attributes:
        params: N of each run of the first recipe.
        tokens: D.
        data_gain: D_eff / D, NaN where the second recipe's curve never gets to that loss.
        trend: over sizes; None for fewer than three.
    """

    params: Array
    tokens: Array
    data_gain: Array
    trend: Trend | None

    def to_json(self) -> dict[str, Any]:
        """The gains and their trend as one JSON object."""
        columns = (self.params.tolist(), self.tokens.tolist(), self.data_gain.tolist())
        return {
            "gains": [
                {"params": N, "tokens": D, "data_gain": gain if np.isfinite(gain) else None}
                for N, D, gain in zip(*columns, strict=True)
            ],
            "trend": None if self.trend is None else dict(vars(self.trend)),
        }


def measured_gains(runs_a: Runs, runs_b: Runs, level: float) -> MeasuredGains | None:
    """Speed-ups of the first recipe's runs at sizes where the second has a curve over tokens.

    Returns:
        The gains, in order of N and D; None where there is no such size.
    """
    found: list[tuple[float, float, float]] = []
    for size in _sizes(runs_b):
        own_b, own_a = (_of_size(runs, size) for runs in (runs_b, runs_a))
        if np.unique(runs_b.tokens[own_b]).size < _FEWEST or not own_a.size:
            continue
        curve = _power_law(runs_b.tokens[own_b], runs_b.loss[own_b])
        if curve is None:
            continue
        floor, factor, exponent = curve
        for row in own_a[np.argsort(runs_a.tokens[own_a])]:
            tokens, above = runs_a.tokens[row], runs_a.loss[row] - floor
            matching = (factor / above) ** (1.0 / exponent) if above > 0 else np.nan
            found.append((size, tokens, matching / tokens))
    if not found:
        return None
    params, tokens, gains = np.array(found).T
    return MeasuredGains(params, tokens, gains, _trend(params, gains, level))


def _sizes(runs: Runs) -> list[float]:
    """Distinct sizes, smallest first; sizes that differ by rounding are one."""
    sizes: list[float] = []
    for size in np.unique(runs.params).tolist():
        if not sizes or size > sizes[-1] * (1 + _SAME):
            sizes.append(size)
    return sizes


def _of_size(runs: Runs, size: float) -> Indices:
    return np.flatnonzero(np.abs(np.log(runs.params / size)) < _SAME)


def _power_law(tokens: Array, loss: Array) -> tuple[float, float, float] | None:
    """E, A and b of L = E + A D^-b by least squares; None where the losses are no such curve."""
    from scipy.optimize import least_squares

    middle = float(np.exp(np.mean(np.log(tokens))))
    logs = np.log(tokens / middle)

    def off(values: Array) -> Array:
        return np.asarray(values[0] + values[1] * np.exp(-values[2] * logs) - loss)

    starts = []
    for exponent in _EXPONENTS:
        design = np.column_stack([np.ones_like(logs), np.exp(-exponent * logs)])
        coefficients, *_ = np.linalg.lstsq(design, loss, rcond=None)
        rest = loss - design @ coefficients
        starts.append((float(rest @ rest), (*coefficients.tolist(), float(exponent))))
    begin = min(starts)[1]
    if begin[1] <= 0:
        return None
    solution = least_squares(off, begin, xtol=1e-14, ftol=1e-14, gtol=1e-14)
    floor, factor, exponent = solution.x.tolist()
    if not (factor > 0 and exponent > 0):
        return None
    return floor, factor * middle**exponent, exponent


def _trend(params: Array, gains: Array, level: float) -> Trend | None:
    """Slope of the mean log gain of each size over log N, with Student's interval."""
    usable = np.isfinite(gains) & (gains > 0)
    sizes, group = np.unique(params[usable], return_inverse=True)
    if sizes.size < _FEWEST_SIZES:
        return None
    means = np.bincount(group, weights=np.log(gains[usable])) / np.bincount(group)
    place = np.log(sizes) - np.mean(np.log(sizes))
    slope = float(place @ means / (place @ place))
    rest = means - means.mean() - slope * place
    freedom = sizes.size - 2
    error = float(np.sqrt(rest @ rest / freedom / (place @ place)))
    half = quantile(freedom, 0.5 + level / 2) * error
    return Trend(slope, slope - half, slope + half, level)
