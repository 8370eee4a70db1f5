"""Least-squares parabolas in batches, and how far the vertex of one is from the true optimum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isoloss.arrays import Array, Mask
from isoloss.errors import InputError

_COEFFICIENTS = 3
# Determinant of the scaled moments below which fewer than three places hold all the weight.
_SINGULAR = 1e-6
# Coefficients of the quadratic moments: which power of x stands where.
_POWERS = np.array([[0, 1, 2], [1, 2, 3], [2, 3, 4]])


@dataclass(frozen=True, eq=False)
class Parabolas:
    """Parabolas y = lowest + curvature (x - vertex)^2, one a problem.

    Attributes:
        vertex: place of the extremum.
        lowest: value there.
        curvature: above zero for a minimum.
        vertex_error: standard error of the vertex, by the residuals; NaN without any to spare.
        curvature_error: standard error of the curvature, likewise.
        residual: root-mean-square residual.
    """

    vertex: Array
    lowest: Array
    curvature: Array
    vertex_error: Array
    curvature_error: Array
    residual: Array

    def minimum_within(self, low: float, high: float) -> Mask:
        """Where the parabola has a minimum strictly inside an interval."""
        return (self.curvature > 0) & (self.vertex > low) & (self.vertex < high)


def fit_parabolas(x: Array, y: Array, weights: Array) -> Parabolas:
    """Weighted least-squares parabolas for a batch of problems that share their points.

    Args:
        x: shape (points,).
        y: shape (points,).
        weights: shape (points, problems), such as how often a replicate drew each point.

    Returns:
        One parabola a problem, all NaN where fewer than three places hold the weight.
    """
    middle, scale = float(np.mean(x)), float(np.ptp(x)) / 2 or 1.0
    level = float(np.mean(y))
    powers = ((x - middle) / scale)[:, None] ** np.arange(5)
    total = weights.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        moments = (weights.T @ powers) / total[:, None]
        right = (weights.T @ (powers[:, :3] * (y - level)[:, None])) / total[:, None]
    matrices = moments[:, _POWERS]
    solvable = np.linalg.det(np.nan_to_num(matrices)) > _SINGULAR
    inverse = np.linalg.inv(np.where(solvable[:, None, None], matrices, np.eye(3)))
    coefficients = np.where(solvable[:, None], np.einsum("pij,pj->pi", inverse, right), np.nan)
    constant, slope, bend = coefficients.T
    residuals = (y - level)[:, None] - powers[:, :3] @ coefficients.T
    squares = (weights * residuals**2).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        freedom = np.where(total > _COEFFICIENTS, total - _COEFFICIENTS, np.nan)
        covariance = inverse * (squares / freedom / total)[:, None, None]
        place = -slope / (2 * bend)
        gradient = np.stack([np.zeros_like(bend), -0.5 / bend, -place / bend], axis=1)
        variance = np.einsum("pi,pij,pj->p", gradient, covariance, gradient)
        return Parabolas(
            vertex=middle + scale * place,
            lowest=level + constant - slope**2 / (4 * bend),
            curvature=bend / scale**2,
            vertex_error=scale * np.sqrt(variance),
            curvature_error=np.sqrt(covariance[:, 2, 2]) / scale**2,
            residual=np.sqrt(squares / total),
        )


@dataclass(frozen=True)
class ParabolaBias:
    """Relative error of the optimum that a parabola finds on noise-free runs.

    Attributes:
        params: of N*.
        tokens: of D*, which moves the other way at a fixed budget.
    """

    params: float
    tokens: float


def parabola_bias(
    alpha: float, beta: float, half_width: float, *, sizes: int = 15, off_centre: float = 1.0
) -> ParabolaBias:
    """The error of approach 2 when the loss is E + A/N^alpha + B/D^beta, without any noise.

    At a fixed budget the loss around the optimum is E plus a multiple of
    beta exp(-alpha x) + alpha exp(beta x), with x = ln(N / N*). Budget, E, A and B have dropped
    out: grids with the same width and centre are wrong by the same factor at every budget. The
    exponents of N* and D* are then exact, while both coefficients, and with them every
    extrapolation, are off by that factor. It is one where alpha = beta and the grid is centred. A
    centre that drifts with the budget changes the factor from budget to budget, and so bends the
    exponents.

    Source: Czech et al. 2026, arXiv:2603.22339, whose figures are errors of D*.

    Args:
        alpha: exponent of N in the loss.
        beta: exponent of D in the loss.
        half_width: factor from the middle of the grid to either end, such as 8 for a grid
            from N*/8 to 8 N*.
        sizes: points of the grid, evenly spaced in ln N.
        off_centre: middle of the grid over N*.

    Raises:
        InputError: an exponent, width or centre is out of range, or there are too few sizes.
    """
    for name, value, least in (
        ("alpha", alpha, 0.0),
        ("beta", beta, 0.0),
        ("half_width", half_width, 1.0),
        ("off_centre", off_centre, 0.0),
    ):
        if not (np.isfinite(value) and value > least):
            raise InputError(
                "out of range", where=name, found=f"{value:g}", expected=f"above {least:g}"
            )
    if sizes < _COEFFICIENTS:
        raise InputError("too few", where="sizes", found=str(sizes), expected="3 or more")
    reach = np.log(half_width)
    x = np.log(off_centre) + np.linspace(-reach, reach, sizes)
    loss = beta * np.exp(-alpha * x) + alpha * np.exp(beta * x)
    shift = float(fit_parabolas(x, loss, np.ones((sizes, 1))).vertex[0])
    return ParabolaBias(float(np.expm1(shift)), float(np.expm1(-shift)))
