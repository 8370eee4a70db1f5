"""Loss against steps at any batch size, and what a target costs in steps and tokens.

Kaplan et al. 2020 (arXiv:2001.08361): L = (N_c/N)^alpha_N + (S_c/S_min)^alpha_S, where S steps at
batch size B do the work of S_min = S / (1 + B_crit/B) steps at an unlimited one, and
B_crit = B_star L^(-1/alpha_B). At a given B the loss stands on both sides (Su et al. 2024,
arXiv:2403.06563): see `trajectory_root`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from isoloss.arrays import Array
from isoloss.curves.trajectory_root import loss_at_batch
from isoloss.errors import InputError


@dataclass(frozen=True)
class Trajectory:
    """Constants of the law; batch sizes in tokens, losses in the constants' own unit.

    Attributes:
        size_scale: N_c, parameters.
        size_power: alpha_N.
        step_scale: S_c, steps.
        step_power: alpha_S.
        batch_scale: B_star, critical batch size in tokens at a loss of 1.
        batch_power: alpha_B.
    """

    size_scale: float
    size_power: float
    step_scale: float
    step_power: float
    batch_scale: float
    batch_power: float

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not (np.isfinite(value) and value > 0):
                raise InputError(
                    "unusable constant",
                    where=f"trajectory: {name}",
                    found=f"{value:g}",
                    expected="a positive number",
                )

    def floor(self, params: npt.ArrayLike) -> Array:
        """Least loss of a size, with unlimited steps."""
        floor: Array = (self.size_scale / np.asarray(params, dtype=np.float64)) ** self.size_power
        return floor

    def critical_batch(self, loss: npt.ArrayLike) -> Array:
        """Batch size in tokens at which both steps and tokens are twice the least possible."""
        size: Array = self.batch_scale * np.asarray(loss, dtype=np.float64) ** (
            -1.0 / self.batch_power
        )
        return size

    def loss(
        self, params: npt.ArrayLike, steps: npt.ArrayLike, batch: npt.ArrayLike = np.inf
    ) -> Array:
        """Loss of sizes after steps at batch sizes in tokens; arguments broadcast."""
        own, size = np.asarray(steps, dtype=np.float64), np.asarray(batch, dtype=np.float64)
        return loss_at_batch(
            self.floor(params),
            np.asarray((self.step_scale / own) ** self.step_power),
            np.asarray(self.batch_scale / size),
            np.asarray(1.0 / self.batch_power),
            np.asarray(self.step_power),
        )

    def least_steps(self, params: npt.ArrayLike, loss: npt.ArrayLike) -> Array:
        """Steps to a loss at an unlimited batch; infinite where the size cannot reach it."""
        reducible = np.asarray(loss, dtype=np.float64) - self.floor(params)
        with np.errstate(all="ignore"):
            steps = self.step_scale * np.maximum(reducible, 0.0) ** (-1.0 / self.step_power)
        return np.where(reducible > 0, steps, np.inf)

    def steps(self, params: npt.ArrayLike, loss: npt.ArrayLike, batch: npt.ArrayLike) -> Array:
        """Steps to a loss at a batch size in tokens; infinite where the size cannot reach it."""
        size = np.asarray(batch, dtype=np.float64)
        steps: Array = self.least_steps(params, loss) * (1.0 + self.critical_batch(loss) / size)
        return steps

    def tokens(self, params: npt.ArrayLike, loss: npt.ArrayLike, batch: npt.ArrayLike) -> Array:
        """Tokens to a loss at a batch size in tokens: E = E_min + S_min B."""
        tokens: Array = self.steps(params, loss, batch) * np.asarray(batch, dtype=np.float64)
        return tokens

    def least_tokens(self, params: npt.ArrayLike, loss: npt.ArrayLike) -> Array:
        """Tokens to a loss at a vanishing batch, B_crit S_min."""
        tokens: Array = self.critical_batch(loss) * self.least_steps(params, loss)
        return tokens


# Kaplan et al. 2020, table 3 and equation 5.4; batch sizes in tokens, N without embeddings.
KAPLAN = Trajectory(
    size_scale=6.5e13,
    size_power=0.077,
    step_scale=2.1e3,
    step_power=0.76,
    batch_scale=2.1e8,
    batch_power=0.21,
)
