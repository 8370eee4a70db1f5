"""The least loss of a sweep by a local quadratic in logs, and how well it is known.

Near its minimum ln L is a bowl in the logs of the hyperparameters,

    ln L(x) = ln L* + (x - x*)' H (x - x*) / 2.

The best run of a grid is a biased and noisy estimate of x* and of L*: it is the luckiest of many,
and it lies on the grid. The bowl is fitted by weighted least squares to all runs near the minimum;
how near is decided by the loss of the bowl itself, since weights by measured loss would favour
lucky runs. Farther out the loss is no parabola (it is steeper towards divergence), so that the
bias of the estimate grows with the band; how far x* moves when the band is doubled is counted
into its covariance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from isoloss.arrays import Array, Mask

# Runs with weight that a coefficient needs: the band is widened until there are as many, or all
# but one of a sweep that has fewer.
_RUNS_A_COEFFICIENT = 3
_WIDENING = math.sqrt(2.0)
# Beyond this a bowl says nothing about its bottom.
_WIDEST = 0.5
# Half the step to the new weights is taken: full steps alternate between two sets of runs.
_STEP = 0.5
_MOST_ROUNDS = 200
_SETTLED = 1e-7
# Residuals count in full up to this many standard deviations (Huber's constant).
_HUBER = 1.345
_TO_DEVIATION = 1.4826
# Curvature below this share of the largest is no curvature: the place is open in that direction.
_FLAT = 1e-6
_SINGULAR = 1e-10


@dataclass(frozen=True, eq=False)
class Bowl:
    """A local quadratic of the log loss.

    Attributes:
        place: x*, logs of the hyperparameters at the least loss, shape (dims,).
        lowest: ln L there.
        curvature: H, shape (dims, dims), positive definite.
        noise_covariance: of x* by the noise of the runs, shape (dims, dims).
        bias: how far x* moves when the band is doubled, shape (dims,).
        weights: of each run, zero outside the band, shape (runs,).
        band: relative loss above the minimum up to which runs count.
        noise: root-mean-square residual of ln L.
    """

    place: Array
    lowest: float
    curvature: Array
    noise_covariance: Array
    bias: Array
    weights: Array
    band: float
    noise: float

    @property
    def covariance(self) -> Array:
        """Of x*, noise and bias together, shape (dims, dims)."""
        return np.asarray(self.noise_covariance + np.outer(self.bias, self.bias))

    def excess(self, place: Array) -> Array:
        """Log loss above the minimum at places, shape (..., dims)."""
        away = np.asarray(place) - self.place
        return np.asarray(np.einsum("...i,ij,...j->...", away, self.curvature, away) / 2)

    def reach(self, share: float) -> Array:
        """How far each hyperparameter may be from its optimum, in logs, the others following.

        Args:
            share: of the loss that may be lost.

        Returns:
            Half the extent of the region along each axis, shape (dims,).
        """
        spread = np.diag(np.linalg.inv(self.curvature))
        return np.asarray(np.sqrt(2 * math.log1p(share) * spread))


def quadratic_terms(x: Array) -> Array:
    """Columns 1, x_i and x_i x_j (half of it on the diagonal), shape (..., coefficients)."""
    dims = x.shape[-1]
    first, second = np.triu_indices(dims)
    products = x[..., first] * x[..., second] * np.where(first == second, 0.5, 1.0)
    return np.concatenate([np.ones((*x.shape[:-1], 1)), x, products], axis=-1)


def bottoms(coefficients: Array, dims: int) -> tuple[Array, Array, Mask]:
    """Where quadratics have their minimum.

    Args:
        coefficients: of `quadratic_terms`, shape (problems, coefficients).
        dims: of the place.

    Returns:
        Place (problems, dims) and curvature (problems, dims, dims), and whether each has a
        minimum; the place of one without is NaN.
    """
    first, second = np.triu_indices(dims)
    curvature = np.empty((coefficients.shape[0], dims, dims))
    curvature[:, first, second] = coefficients[:, 1 + dims :]
    curvature[:, second, first] = coefficients[:, 1 + dims :]
    finite = np.all(np.isfinite(coefficients), axis=1)
    values = np.linalg.eigvalsh(np.where(finite[:, None, None], curvature, np.eye(dims)))
    bowl = finite & (values[:, 0] > _FLAT * np.abs(values[:, -1])) & (values[:, 0] > 0)
    safe = np.where(bowl[:, None, None], curvature, np.eye(dims))
    place = -np.linalg.solve(safe, coefficients[:, 1 : 1 + dims, None])[..., 0]
    return np.where(bowl[:, None], place, np.nan), curvature, bowl


def weighted_coefficients(terms: Array, y: Array, weights: Array) -> Array:
    """Weighted least squares for a batch of weights; NaN where they leave the problem open.

    Args:
        terms: shape (runs, coefficients).
        y: shape (runs,), or (problems, runs) where each problem has its own.
        weights: shape (problems, runs).
    """
    normal = np.einsum("pr,ri,rj->pij", weights, terms, terms, optimize=True)
    right = (weights * y) @ terms
    scale = np.sqrt(np.einsum("pii->pi", normal))
    scale = np.where(scale > 0, scale, 1.0)
    normal = normal / (scale[:, :, None] * scale[:, None, :])
    solvable = np.linalg.eigvalsh(normal)[:, 0] > _SINGULAR
    safe = np.where(solvable[:, None, None], normal, np.eye(terms.shape[1]))
    solved = np.linalg.solve(safe, (right / scale)[..., None])[..., 0] / scale
    return np.where(solvable[:, None], solved, np.nan)


def fit_bowl(x: Array, y: Array, band: float) -> Bowl | str:
    """The bowl through the runs near the minimum of a sweep.

    Args:
        x: logs of the hyperparameters, shape (runs, dims).
        y: ln L of each run.
        band: relative loss above the minimum up to which runs count; widened where too few do.

    Returns:
        The bowl, or why there is none.
    """
    found = _within(x, y, band)
    while isinstance(found, str) and band < _WIDEST:
        band *= _WIDENING
        found = _within(x, y, band)
    if isinstance(found, str):
        return found
    low, high = x.min(axis=0), x.max(axis=0)
    if np.any(found.place <= low) or np.any(found.place >= high):
        return "the least loss lies outside of what was tried"
    wider = _within(x, y, 2 * found.band)
    if isinstance(wider, str):
        return found
    return replace(found, bias=wider.place - found.place)


def replicate_places(bowl: Bowl, x: Array, y: Array, counts: Array) -> Array:
    """Where the minimum lies when runs are drawn again.

    Args:
        bowl: fitted to all of them.
        x: logs of the hyperparameters, shape (runs, dims).
        y: ln L of each run.
        counts: how often each replicate drew each run, shape (replicates, runs).

    Returns:
        Places, shape (replicates, dims); NaN where a replicate has no minimum in what was tried.
    """
    near = bowl.weights > 0
    centre = bowl.place
    terms = quadratic_terms(x[near] - centre)
    weights = counts[:, near] * bowl.weights[near]
    place, _, _ = bottoms(weighted_coefficients(terms, y[near], weights), x.shape[1])
    place = place + centre
    inside = np.all((place > x.min(axis=0)) & (place < x.max(axis=0)), axis=1)
    return np.where(inside[:, None], place, np.nan)


def _within(x: Array, y: Array, band: float) -> Bowl | str:
    """The bowl of the runs whose loss, by the bowl itself, lies in the band."""
    centre, dims = x[np.argmin(y)], x.shape[1]
    terms = quadratic_terms(x - centre)
    needed = min(_RUNS_A_COEFFICIENT * terms.shape[1], max(y.size - 1, terms.shape[1] + 1))
    weights = _taper((y - y.min()) / (2 * band))
    steady = np.ones_like(y)
    for _ in range(_MOST_ROUNDS):
        counted = weights * steady
        if np.count_nonzero(counted > 0) < terms.shape[1]:
            return f"fewer than {needed} runs near the least loss"
        coefficients = weighted_coefficients(terms, y, counted[None, :])
        place, curvature, is_bowl = bottoms(coefficients, dims)
        if not is_bowl[0]:
            return "the loss has no minimum in what was tried"
        fitted = terms @ coefficients[0]
        residual = y - fitted
        lowest = float(coefficients[0, 0] + coefficients[0, 1 : 1 + dims] @ place[0] / 2)
        steady = _steadiness(residual, weights)
        # A run far above the bowl has left its domain, however low the bowl is there.
        far = np.maximum(fitted, y - 2 * band) - lowest
        target = _taper(np.maximum(far, 0.0) / band)
        change = float(np.max(np.abs(target - weights)))
        weights = weights + _STEP * (target - weights)
        if change < _SETTLED:
            break
    weights = np.where(weights > _SETTLED, weights, 0.0)
    counted = weights * steady
    n_near = int(np.count_nonzero(counted > 0))
    if n_near < needed:
        return f"fewer than {needed} runs near the least loss"
    noise = math.sqrt(
        float(counted @ residual**2 / counted.sum()) * n_near / (n_near - len(terms[0]))
    )
    covariance = _place_covariance(terms, counted, residual, place[0], curvature[0])
    return Bowl(
        place[0] + centre, lowest, curvature[0], covariance, np.zeros(dims), counted, band, noise
    )


def _taper(distance: Array) -> Array:
    """Weight that falls smoothly from one at distance zero to zero at one."""
    return np.asarray(np.clip(1 - distance**2, 0, None) ** 2)


def _steadiness(residual: Array, weights: Array) -> Array:
    """Huber's weights; the deviation is by the median of what counts."""
    deviation = _TO_DEVIATION * float(np.median(np.abs(residual[weights > 0])))
    if deviation <= 0:
        return np.ones_like(residual)
    return np.minimum(1.0, _HUBER * deviation / np.maximum(np.abs(residual), 1e-300))


def _place_covariance(
    terms: Array, weights: Array, residual: Array, place: Array, curvature: Array
) -> Array:
    """Covariance of the minimum by the residuals themselves (sandwich), which may be uneven."""
    dims, count = place.size, int(np.count_nonzero(weights > 0))
    bread = np.linalg.inv(terms.T @ (weights[:, None] * terms))
    scores = terms * (weights * residual)[:, None]
    spread = bread @ (scores.T @ scores) @ bread * count / (count - terms.shape[1])
    first, second = np.triu_indices(dims)
    # H x* = -g: a change of g or H moves x* by -H^-1 (dg + dH x*).
    gradient = np.zeros((dims, terms.shape[1]))
    gradient[:, 1 : 1 + dims] = np.eye(dims)
    for column, (row, other) in enumerate(zip(first, second, strict=True)):
        gradient[row, 1 + dims + column] = place[other]
        if row != other:
            gradient[other, 1 + dims + column] = place[row]
    moves = -np.linalg.solve(curvature, gradient)
    return np.asarray(moves @ spread @ moves.T)
