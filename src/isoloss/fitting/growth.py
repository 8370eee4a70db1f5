"""How far a law's error outgrows its residuals beyond the data, as backtests have shown."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isoloss.arrays import Array


@dataclass(frozen=True)
class ErrorGrowth:
    """Extrapolation error in log loss, as a standard deviation proportional to the reach.

    The reach of a point is the natural log of how many times beyond the data it lies, in N, D or
    C, whichever is farthest.

    Attributes:
        per_reach: standard deviation of the error for a reach of one (a factor e).
        n_points: held-out runs behind the number.
    """

    per_reach: float
    n_points: int

    def deviation(self, reach: Array) -> Array:
        """Standard deviation of the extrapolation error in log loss."""
        return self.per_reach * reach

    @classmethod
    def of_errors(cls, log_errors: Array, reach: Array, noise: float) -> ErrorGrowth:
        """Growth that explains held-out errors over and above the noise of single runs.

        Args:
            log_errors: ln(predicted / measured) of held-out runs.
            reach: how far beyond the fitted ones each lies.
            noise: standard deviation of single runs around the surface, in log loss.
        """
        beyond = reach > 0
        if not beyond.any():
            return cls(0.0, 0)
        excess = np.mean(log_errors[beyond] ** 2) - noise**2
        variance = max(float(excess), 0.0) / float(np.mean(reach[beyond] ** 2))
        return cls(float(np.sqrt(variance)), int(np.sum(beyond)))
