"""Runs of two recipes as pairs: what they share in noise cancels in their difference.

Runs of the same N and D, often with the same seed and order of data, err together: noise that both
see, and the misfit of a law at that place, are in their sum but not in their difference. So each
pair gives two observations, a sum and a difference, each with a deviation of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isoloss.arrays import Array, Indices
from isoloss.runs import Runs

# Sizes closer than this in log are the same: tables round them differently.
_SAME = 1e-3
SINGLE, SUM, DIFFERENCE = 0, 1, 2


@dataclass(frozen=True)
class Pairing:
    """Which runs of two tables are made at the same N and D.

    Attributes:
        pairs: rows of the two tables, shape (pairs, 2).
        alone_a: rows of the first table without a partner.
        alone_b: rows of the second.
    """

    pairs: Indices
    alone_a: Indices
    alone_b: Indices

    @classmethod
    def of(cls, runs_a: Runs, runs_b: Runs) -> Pairing:
        """Pair runs of equal N and D, one to one in the order of the tables."""
        waiting: dict[tuple[int, int], list[int]] = {}
        for row, key in enumerate(_keys(runs_b)):
            waiting.setdefault(key, []).append(row)
        pairs = [
            (row, waiting[key].pop(0)) for row, key in enumerate(_keys(runs_a)) if waiting.get(key)
        ]
        rows = np.array(pairs, dtype=np.int64).reshape(-1, 2)
        return cls(
            rows,
            np.setdiff1d(np.arange(len(runs_a)), rows[:, 0]),
            np.setdiff1d(np.arange(len(runs_b)), rows[:, 1]),
        )

    @property
    def kinds(self) -> Indices:
        """What each observation is: SINGLE, SUM or DIFFERENCE."""
        alone = self.alone_a.size + self.alone_b.size
        counts = (alone, len(self.pairs), len(self.pairs))
        return np.repeat([SINGLE, SUM, DIFFERENCE], counts)

    def observations(self, of_a: Array, of_b: Array) -> Array:
        """Turn values of the runs into those of the observations.

        Sums and differences are divided by the root of two, so that independent noise leaves all
        observations alike.

        Args:
            of_a: one row a run of the first table, shape (runs, ...).
            of_b: the same of the second.
        """
        first, second = of_a[self.pairs[:, 0]], of_b[self.pairs[:, 1]]
        return np.concatenate(
            [
                of_a[self.alone_a],
                of_b[self.alone_b],
                (first + second) / np.sqrt(2.0),
                (first - second) / np.sqrt(2.0),
            ]
        )


def _keys(runs: Runs) -> list[tuple[int, int]]:
    logs = np.round(np.log(np.stack([runs.params, runs.tokens])) / _SAME).astype(np.int64)
    return list(map(tuple, logs.T.tolist()))


def neighbours(runs_a: Runs, runs_b: Runs, farthest: float) -> Indices:
    """For each run of the first table the nearest of the second, where it is near enough.

    Args:
        runs_a: the first table.
        runs_b: the second.
        farthest: the largest distance, in log N and in log D.

    Returns:
        Rows of the two tables, shape (found, 2).
    """
    places_a, places_b = (
        np.log(np.stack([runs.params, runs.tokens], axis=1)) for runs in (runs_a, runs_b)
    )
    apart = np.abs(places_a[:, None, :] - places_b[None, :, :]).max(axis=2)
    nearest = apart.argmin(axis=1)
    rows = np.flatnonzero(apart.min(axis=1) <= farthest)
    return np.stack([rows, nearest[rows]], axis=1)
