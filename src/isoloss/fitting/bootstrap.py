"""Tables that might have been: resampled runs, residuals, clusters, or measurement noise.

Which one is right depends on what would vary if the study were made again. Pairs: other runs of
the same kind. Residual: the same N and D with other errors. Cluster: other sizes, recipes or
curves, whose runs err together. Noise: the same runs with other seeds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from isoloss.arrays import Array, Indices
from isoloss.errors import InputError

# Porian et al. 2024 (arXiv:2406.19146): standard deviation of the loss at a low and at a high
# loss, log-interpolated between; their code compares these thresholds with log L instead.
PORIAN_NOISE: Mapping[str, tuple[tuple[float, float], tuple[float, float]]] = {
    "refinedweb": ((3.0, 0.002), (7.0, 0.05)),
    "openwebtext2": ((3.0, 0.01), (6.0, 0.1)),
}


@dataclass(frozen=True)
class Resamples:
    """Tables to refit, as weights and losses of the original rows.

    Attributes:
        weights: shape (rows, replicates).
        measured: loss of each row in each replicate, the same shape; None for the table's own.
    """

    weights: Array
    measured: Array | None = None


def pairs_bootstrap(weights: Array, replicates: int, seed: int) -> Resamples:
    """Tables made by drawing runs with replacement.

    Args:
        weights: weight of each run in the table itself, shape (rows,); runs of weight zero are
            never drawn.
        replicates: how many tables; each draws as many runs as the table has.
        seed: of the draws.
    """
    present = np.flatnonzero(weights > 0)
    counts = np.zeros((weights.size, replicates))
    generator = np.random.default_rng(seed)
    even = np.full(present.size, 1.0 / present.size)
    counts[present] = generator.multinomial(present.size, even, size=replicates).T
    return Resamples(counts * weights[:, None])


def cluster_bootstrap(weights: Array, clusters: Indices, replicates: int, seed: int) -> Resamples:
    """Tables made by drawing whole clusters of runs with replacement.

    Args:
        weights: weight of each run.
        clusters: number of the cluster that each run is in.
        replicates: how many tables; each draws as many clusters as the table has.
        seed: of the draws.

    Raises:
        InputError: there are fewer than three clusters.
    """
    present = weights > 0
    member = np.unique(clusters, return_inverse=True)[1]
    alive = np.unique(member[present])
    if alive.size < 3:
        raise InputError(
            "too few clusters to draw from", found=f"{alive.size}", expected="three or more"
        )
    counts = np.zeros((int(member.max()) + 1, replicates))
    generator = np.random.default_rng(seed)
    even = np.full(alive.size, 1.0 / alive.size)
    counts[alive] = generator.multinomial(alive.size, even, size=replicates).T
    return Resamples(counts[member] * weights[:, None])


def residual_bootstrap(
    weights: Array,
    predicted: Array,
    log_residuals: Array,
    parameters: int,
    replicates: int,
    seed: int,
) -> Resamples:
    """Tables of the same inputs, with losses off the fitted surface by resampled residuals.

    Residuals are centred, and inflated by sqrt(n / (n - parameters)) since a fit takes up a part
    of them.

    Args:
        weights: weight of each run.
        predicted: fitted loss of each run.
        log_residuals: ln(predicted / measured) of each run.
        parameters: number of fitted parameters.
        replicates: how many tables.
        seed: of the draws.
    """
    present = np.flatnonzero(weights > 0)
    own = log_residuals[present] - np.average(log_residuals[present], weights=weights[present])
    own = own * np.sqrt(present.size / max(1, present.size - parameters))
    drawn = np.random.default_rng(seed).choice(own, size=(weights.size, replicates))
    return Resamples(
        np.repeat(weights[:, None], replicates, axis=1), predicted[:, None] * np.exp(-drawn)
    )


def noise_bootstrap(
    weights: Array, loss: Array, log_noise: Array | float, replicates: int, seed: int
) -> Resamples:
    """Tables of the same runs with fresh Gaussian noise on the log of the measured loss.

    Args:
        weights: weight of each run.
        loss: measured loss of each run.
        log_noise: standard deviation of the log loss, one value or one a run.
        replicates: how many tables.
        seed: of the noise.
    """
    drawn = np.random.default_rng(seed).standard_normal((loss.size, replicates))
    noise = np.broadcast_to(np.asarray(log_noise, dtype=np.float64), loss.shape)
    return Resamples(
        np.repeat(weights[:, None], replicates, axis=1),
        loss[:, None] * np.exp(drawn * noise[:, None]),
    )


def porian_log_noise(loss: Array, corpus: str) -> Array:
    """Standard deviation of the log loss of each run in the noise model of Porian et al.

    Args:
        loss: measured loss in nats/token.
        corpus: "refinedweb" or "openwebtext2".

    Raises:
        InputError: the model has no such corpus.
    """
    if corpus not in PORIAN_NOISE:
        raise InputError(
            "unknown corpus", found=repr(corpus), expected="one of " + ", ".join(PORIAN_NOISE)
        )
    (low, least), (high, most) = PORIAN_NOISE[corpus]
    log_size = np.interp(np.log(loss), np.log([low, high]), np.log([least, most]))
    return np.asarray(np.exp(log_size) / loss)


def seed_log_noise(inputs: tuple[Array, ...], loss: Array) -> tuple[float, int]:
    """Standard deviation of the log loss between runs that differ only by seed.

    Pooled over groups of rows with equal inputs.

    Returns:
        The deviation (NaN where no row is repeated) and its degrees of freedom.
    """
    _, group = np.unique(np.stack(inputs), axis=1, return_inverse=True)
    logs = np.log(loss)
    counts = np.bincount(group)
    means = np.bincount(group, weights=logs) / counts
    freedom = int(np.sum(counts - 1))
    if freedom == 0:
        return float("nan"), 0
    return float(np.sqrt(np.sum((logs - means[group]) ** 2) / freedom)), freedom
