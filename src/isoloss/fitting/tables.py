"""The tables of a batch of problems: what each weighs and what losses it sees, drawn when needed.

All tables of a batch share their rows, so that the law is evaluated at the same points; they
differ in weights and perhaps in the measured losses. A million rows times a thousand replicates
would not fit into memory, so replicates are drawn a block at a time, where they are solved.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from isoloss.arrays import Array


class Tables(Protocol):
    """The tables of a batch of problems."""

    def block(self, problems: slice) -> tuple[Array, Array | None]:
        """Weights of some problems, and their losses where these are not the table's own.

        The same block is always the same; the solver asks for blocks of one size, in order.

        Args:
            problems: first and last of them.

        Returns:
            Two arrays of shape (problems, rows).
        """


@dataclass(frozen=True)
class GivenTables:
    """Tables that are at hand as arrays.

    Attributes:
        weights: weight of each row in each problem, shape (rows, problems), or of each row in all
            of them, shape (rows,).
        measured: loss of each row in each problem, shape (rows, problems); None for the table's
            own losses.
    """

    weights: Array
    measured: Array | None = None

    def block(self, problems: slice) -> tuple[Array, Array | None]:
        """See `Tables`."""
        width = problems.stop - problems.start
        own = self.weights[:, problems] if self.weights.ndim == 2 else self.weights[:, None]
        weights = np.ascontiguousarray(np.broadcast_to(own, (own.shape[0], width)).T)
        if self.measured is None:
            return weights, None
        return weights, np.ascontiguousarray(self.measured[:, problems].T)
