"""Weights that turn one table into many: resampled runs."""

from __future__ import annotations

import numpy as np

from isoloss.arrays import Array


def pairs_bootstrap(weights: Array, replicates: int, seed: int) -> Array:
    """Weights of tables made by drawing runs with replacement.

    Args:
        weights: weight of each run in the table itself, shape (rows,); runs of weight zero are
            never drawn.
        replicates: how many tables.
        seed: of the draws.

    Returns:
        Weights, shape (rows, replicates); each column draws as many runs as the table has.
    """
    present = weights > 0
    counts = np.zeros((weights.size, replicates))
    generator = np.random.default_rng(seed)
    total = int(np.sum(present))
    drawn = generator.multinomial(total, np.full(total, 1.0 / total), size=replicates)
    counts[present] = drawn.T
    return counts * weights[:, None]
