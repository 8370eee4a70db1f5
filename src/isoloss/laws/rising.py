"""The log of a rising factorial over a power, to full precision where gamma functions cancel."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from isoloss.arrays import Array

# From here on Stirling's series, with the terms kept below, reaches double precision.
STIRLING_FROM = 10.0
# Coefficients of z^-1, z^-3, ... of log Γ(z) - (z - 1/2) log z + z - log(2π)/2 (Abramowitz and
# Stegun 6.1.41).
STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156)
# Of the series of log(1 + t) - t in t/(2 + t), for t up to 1.
_TERMS = 16


def log_rise(by_x: int, by_count: int, x: npt.ArrayLike, count: npt.ArrayLike) -> Array:
    """Derivatives of log(Γ(x + n) / (Γ(x) x^n)), elementwise, for positive x and n from 0 on.

    The rising factorial x (x + 1) ... (x + n - 1) over x^n. Its log falls off as n (n - 1)/2x,
    where the gamma functions have no digit of it left.

    Args:
        by_x: how often to differentiate by x.
        by_count: and by n; at most two derivatives in all.
        x: where the factorial begins.
        count: its number of factors n, which may be any real number.
    """
    start, factors = np.broadcast_arrays(
        np.asarray(x, dtype=np.float64), np.asarray(count, dtype=np.float64)
    )
    with np.errstate(all="ignore"):
        far = start >= STIRLING_FROM
        by_series = _by_stirling(by_x, by_count, np.where(far, start, STIRLING_FROM), factors)
        # The limit, which arithmetic with infinity misses.
        by_series = np.where(np.isinf(start), 0.0, by_series)
        near = np.where(far, 1.0, start)
        return np.where(far, by_series, _by_gamma(by_x, by_count, near, factors))


def _by_gamma(by_x: int, by_count: int, x: Array, n: Array) -> Array:
    # Slow to import, and most laws do without.
    from scipy import special

    match by_x, by_count:
        case 0, 0:
            return np.asarray(special.gammaln(x + n) - special.gammaln(x) - n * np.log(x))
        case 1, 0:
            return np.asarray(special.digamma(x + n) - special.digamma(x) - n / x)
        case 0, 1:
            return np.asarray(special.digamma(x + n) - np.log(x))
        case 2, 0:
            return np.asarray(special.zeta(2, x + n) - special.zeta(2, x) + n / x**2)
        case 1, 1:
            return np.asarray(special.zeta(2, x + n) - 1 / x)
        case _:
            return np.asarray(special.zeta(2, x + n))


def _by_stirling(by_x: int, by_count: int, x: Array, n: Array) -> Array:
    """Derivatives of (x + n - 1/2) log(1 + n/x) - n + S(x + n) - S(x), S Stirling's series."""
    end, t = x + n, n / x
    match by_x, by_count:
        case 0, 0:
            near = (end - 0.5) * _log1p_less(t) + (n - 0.5) * t
            far = (end - 0.5) * np.log1p(t) - n
            return np.where(t <= 1, near, far) + _series(0, end) - _series(0, x)
        case 1, 0:
            return _log1p_less(t) + n / (2 * x * end) + _series(1, end) - _series(1, x)
        case 0, 1:
            return np.asarray(np.log1p(t) - 0.5 / end + _series(1, end))
        case 2, 0:
            smooth = (n / x) ** 2 / end - n * (x + end) / (2 * (x * end) ** 2)
            return np.asarray(smooth + _series(2, end) - _series(2, x))
        case 1, 1:
            return np.asarray(-n / (x * end) + 0.5 / end**2 + _series(2, end))
        case _:
            return np.asarray(1 / end + 0.5 / end**2 + _series(2, end))


def _series(order: int, z: Array) -> Array:
    """Derivative of Stirling's series."""
    total = np.zeros_like(z)
    for index, coefficient in reversed(tuple(enumerate(STIRLING))):
        power = 2 * index + 1
        total += (
            (-1) ** order
            * coefficient
            * math.perm(power + order - 1, order)
            * z ** -(power + order)
        )
    return total


def _log1p_less(t: Array) -> Array:
    """The function log(1 + t) - t, accurate through t = 0, for t from 0 on."""
    s = t / (2 + t)
    square = s * s
    tail = np.zeros_like(s)
    for index in reversed(range(_TERMS)):
        tail = tail * square + 2 / (2 * index + 3)
    return np.where(t <= 1, s * (square * tail - t), np.log1p(t) - t)
