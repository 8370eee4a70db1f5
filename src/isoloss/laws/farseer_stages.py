"""Farseer's own fit: differences along D first, then the N-dependence, then the floor.

"Differential piecewise fitting" (Li et al. 2025, arXiv:2506.10972, algorithm 2), in the form that
the authors' code has and that gave the paper's numbers: the loss differences between neighbouring
D on a ladder of ratio sqrt(2) cancel the floor and give the data term size by size; stretched
exponentials through those are chosen by grid search over their exponents; what is left gives the
floor. There is no joint polish.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from isoloss.arrays import Array, Indices, Mask
from isoloss.errors import FitError

# Steps of the D ladder that count as sqrt(2), as D/D_previous - 1 (both ends excluded).
_LADDER_STEP = (0.35, 0.45)
_MIN_PAIRS = 5
# A stretched exponential has three coefficients.
_MIN_SIZES = 4
_EXPONENT_GRID = np.round(np.arange(-5000, 5001) * 1e-4, 4)
_FLOOR_GRID = np.round(np.arange(-500, 501) * 1e-3, 3)
# Grid points evaluated at once, to keep the arrays small.
_CHUNK = 500


@dataclass(frozen=True)
class _Pairs:
    """Neighbouring runs of one size, smaller and larger D, with the drop in loss between them."""

    size: Indices  # index of the size, one a pair
    smaller: Array
    larger: Array
    drop: Array
    loss: Array  # at the larger D
    sizes: Array  # N of each size


def _pairs(params: Array, tokens: Array, loss: Array) -> _Pairs:
    order = np.lexsort((tokens, params))
    params, tokens, loss = params[order], tokens[order], loss[order]
    step = tokens[1:] / tokens[:-1] - 1
    drop = loss[:-1] - loss[1:]
    paired = (params[1:] == params[:-1]) & (step > _LADDER_STEP[0]) & (step < _LADDER_STEP[1])
    paired &= drop > 0
    sizes, index, counts = np.unique(params[1:][paired], return_inverse=True, return_counts=True)
    rich = counts >= _MIN_PAIRS
    kept = np.flatnonzero(paired)[rich[index]]
    if np.sum(rich) < _MIN_SIZES:
        raise FitError(
            f"the staged method needs at least {_MIN_SIZES} sizes with {_MIN_PAIRS} or more "
            f"neighbouring runs whose tokens grow by sqrt(2) and whose loss falls; this table has "
            f"{np.sum(rich)} such sizes of {np.unique(params).size}: use --method joint"
        )
    sizes, index = np.unique(params[1:][kept], return_inverse=True)
    return _Pairs(index, tokens[:-1][kept], tokens[1:][kept], drop[kept], loss[1:][kept], sizes)


def _line(x: Array, y: Array) -> tuple[Array, Array]:
    """Least-squares intercepts and slopes of y on x, over the last axis."""
    deviation = x - x.mean(axis=-1, keepdims=True)
    with np.errstate(all="ignore"):
        slope = (deviation * y).sum(axis=-1) / (deviation**2).sum(axis=-1)
    return y.mean(axis=-1) - slope * x.mean(axis=-1), slope


def _search(
    grid: Array,
    x: Array,
    y: Array,
    error: Callable[[Array, Array, Array], Array],
    allowed: Callable[[Array, Array], Mask] = lambda exponent, slope: np.isfinite(slope),
) -> tuple[float, float, float]:
    """The exponent whose line of y on x**exponent has the least error: intercept, slope, exponent.

    `error` and `allowed` take columns of candidate exponents, intercepts and slopes.
    """
    best = (math.inf, math.nan, math.nan, math.nan)
    for first in range(0, grid.size, _CHUNK):
        exponents = grid[first : first + _CHUNK]
        intercept, slope = _line(x[None, :] ** exponents[:, None], y)
        with np.errstate(all="ignore"):
            errors = error(exponents[:, None], intercept[:, None], slope[:, None])
            usable = allowed(exponents, slope) & np.isfinite(slope) & np.isfinite(errors)
        errors = np.where(usable, errors, math.inf)
        least = int(np.argmin(errors))
        if errors[least] < best[0]:
            best = (
                float(errors[least]),
                float(intercept[least]),
                float(slope[least]),
                float(exponents[least]),
            )
    if not math.isfinite(best[0]):
        raise FitError(
            "the staged method found no exponent that fits the differences in loss: "
            "use --method joint"
        )
    return best[1:]


def staged_farseer(inputs: Sequence[Array], loss: Array) -> dict[str, float]:
    """Farseer's nine coefficients by the authors' staged method.

    Args:
        inputs: N (without embeddings) and D of each run.
        loss: loss of each run.

    Raises:
        FitError: the table has no ladder of D with ratio sqrt(2) at enough sizes.
    """
    params, tokens = inputs
    pairs = _pairs(params, tokens, loss)
    count = pairs.sizes.size
    lines = [
        _line(np.log10(pairs.larger[pairs.size == size]), np.log10(pairs.drop[pairs.size == size]))
        for size in range(count)
    ]
    exponent = np.array([abs(float(slope)) for _, slope in lines])
    coefficient = np.array([10 ** float(intercept) for intercept, _ in lines])
    coefficient /= math.sqrt(2) ** exponent - 1

    def mean_error(exponents: Array, coefficients: Array) -> Array:
        """Mean relative error of the predicted drops; rows are candidates, columns sizes."""
        power = -exponents[..., pairs.size]
        data = coefficients[..., pairs.size]
        drop = data * (pairs.smaller**power - pairs.larger**power)
        error: Array = np.mean(np.abs(pairs.drop - drop) / pairs.drop, axis=-1)
        return error

    def falling(beta: Array, slope: Array) -> Mask:
        return (slope > 0) & (beta < 0)

    N = pairs.sizes

    def curve(line: tuple[float, float, float]) -> Array:
        intercept, slope, power = line
        values: Array = 10 ** (slope * N**power + intercept)
        return values

    log_coefficient, log_exponent = np.log10(coefficient), np.log10(exponent)
    line_B = _search(
        _EXPONENT_GRID,
        N,
        log_coefficient,
        lambda beta, b, a: mean_error(exponent, 10 ** (a * N**beta + b)),
        falling,
    )
    smooth_B = curve(line_B)
    line_A = _search(
        _EXPONENT_GRID,
        N,
        log_exponent,
        lambda alpha, b, a: mean_error(10 ** (a * N**alpha + b), smooth_B),
    )
    smooth_A = curve(line_A)
    line_B = _search(
        _EXPONENT_GRID,
        N,
        log_coefficient,
        lambda beta, b, a: mean_error(smooth_A, 10 ** (a * N**beta + b)),
        falling,
    )
    smooth_B = curve(line_B)

    floor = pairs.loss - smooth_B[pairs.size] * pairs.larger ** -smooth_A[pairs.size]
    if not np.all(floor > 0):
        raise FitError(
            "the staged method's data term exceeds the loss itself at some runs: use --method joint"
        )
    rows = N[pairs.size]
    line_G = _search(
        _FLOOR_GRID,
        rows,
        np.log10(floor),
        lambda gamma, b, a: np.mean(np.abs(10 ** (a * rows**gamma + b) / floor - 1), axis=-1),
    )
    coefficients = {}
    for label, power_name, (intercept, slope, power) in (
        ("1", "alpha", line_A),
        ("2", "beta", line_B),
        ("3", "gamma", line_G),
    ):
        coefficients[f"a{label}"] = slope * math.log(10)
        coefficients[f"b{label}"] = intercept * math.log(10)
        coefficients[power_name] = power
    return coefficients
