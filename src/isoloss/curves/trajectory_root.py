"""The loss at a finite batch, where it stands on both sides of its law.

L = floor + far (1 + ratio L^-slope)^power: `floor` is left after unlimited steps, `far` is what
steps at an unlimited batch would leave above it, and `ratio` L^-slope the critical batch size over
the own one (Su et al. 2024, arXiv:2403.06563).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from isoloss.arrays import Array
from isoloss.laws.compilation import Derivatives, Evaluator

# Relative to a centre: the loss after unlimited steps, what steps would leave above it at an
# unlimited batch, the log of the critical batch over the own one; then the loss itself.
_NAMES = ("model", "alpha_N", "training", "alpha_S", "log_critical", "slope", "loss")
_LOGS = ("log_params", "log_steps", "log_batch")
# Zero at the loss of the law, in units of the centre's; logs are relative to the centre.
_EQUATION = (
    "loss - model*exp(-alpha_N*log_params) - training*exp(-alpha_S*log_steps)"
    "*(1 + exp(log_critical - log_batch)*loss**(-slope))**alpha_S"
)
# Newton's steps double the digits, and the bracket is halved where they do not.
_MOST_STEPS = 100
_TOLERANCE = 1e-12
# Logs of what is left above the floor are no lower.
_LEAST = 1e-300


def loss_at_batch(floor: Array, far: Array, ratio: Array, slope: Array, power: Array) -> Array:
    """The root L of the law above; arguments broadcast.

    In the log of L - floor the equation is as steep as a straight line of slope 1 at the least, and
    1 + power slope at the most. Its root lies between the log of `far` and that log plus what the
    power makes of the critical batch there.
    """
    log_far = np.log(np.maximum(far, _LEAST))
    shape = np.broadcast_shapes(*map(np.shape, (floor, far, ratio, slope, power)))
    low = np.broadcast_to(log_far, shape)
    with np.errstate(all="ignore"):
        high = low + power * np.log1p(ratio * (floor + np.exp(low)) ** -slope)
        u, last = high, np.full(shape, np.inf)
        settled = np.zeros(shape, dtype=bool)
        for _ in range(_MOST_STEPS):
            above = np.exp(u)
            loss = floor + above
            critical = ratio * loss**-slope
            off = u - log_far - power * np.log1p(critical)
            steepness = 1.0 + power * slope * critical / (1.0 + critical) * above / loss
            low, high = np.where(off < 0, u, low), np.where(off < 0, high, u)
            newton = u - off / steepness
            # Newton's steps may go back and forth where the slope changes: those must shrink.
            kept = (newton >= low) & (newton <= high) & (np.abs(newton - u) <= 0.5 * last)
            moved = np.where(settled, u, np.where(kept, newton, 0.5 * (low + high)))
            last = np.abs(moved - u)
            # What is no number does not become one.
            settled |= ~(last > _TOLERANCE * (1.0 + np.abs(u)))
            u = moved
            if settled.all():
                break
        root: Array = floor + np.exp(u)
    return root


@dataclass(frozen=True, eq=False)
class RootValues:
    """Values and derivatives of the law, as `Evaluator` gives those of a formula.

    Attributes:
        known: whether the log of the critical batch and its slope come with the constants.
    """

    known: bool

    def value(
        self, parameters: Sequence[Any], inputs: Sequence[Any], constants: Sequence[float] = ()
    ) -> Array:
        """Predictions, shaped as parameters and inputs broadcast."""
        loss, root = constants[0], self._root(self._whole(parameters, constants), inputs)
        value: Array = loss * root
        return value

    def gradient(
        self, parameters: Sequence[Any], inputs: Sequence[Any], constants: Sequence[float] = ()
    ) -> tuple[Array, tuple[Array, ...]]:
        """Predictions and their first derivatives by each parameter."""
        whole = self._whole(parameters, constants)
        root = self._root(whole, inputs)
        _, first = _equation().gradient([*whole, root], inputs)
        unit = constants[0]
        return unit * root, tuple(-unit * each / first[-1] for each in first[: len(parameters)])

    def derivatives(
        self, parameters: Sequence[Any], inputs: Sequence[Any], constants: Sequence[float] = ()
    ) -> Derivatives:
        """Predictions with exact first and second derivatives.

        Of G(parameters, L) = 0: L_i = -G_i/G_L, and L_ij = -(G_ij + G_iL L_j + G_jL L_i +
        G_LL L_i L_j)/G_L.
        """
        whole = self._whole(parameters, constants)
        root = self._root(whole, inputs)
        around = _equation().derivatives([*whole, root], inputs)
        unit, last, count = constants[0], len(whole), len(parameters)
        by_loss = around.first[last]
        slopes = [-each / by_loss for each in around.first[:count]]
        second = {}
        for i in range(count):
            for j in range(i, count):
                bend = (
                    around.second.get((i, j), 0.0)
                    + around.second.get((i, last), 0.0) * slopes[j]
                    + around.second.get((j, last), 0.0) * slopes[i]
                    + around.second.get((last, last), 0.0) * slopes[i] * slopes[j]
                )
                second[i, j] = -unit * bend / by_loss
        return Derivatives(unit * root, tuple(unit * each for each in slopes), second)

    def _whole(self, parameters: Sequence[Any], constants: Sequence[float]) -> list[Any]:
        return [*parameters, *constants[1:]] if self.known else list(parameters)

    def _root(self, whole: Sequence[Any], inputs: Sequence[Any]) -> Array:
        model, alpha_N, training, alpha_S, log_critical, slope = whole
        log_params, log_steps, log_batch = inputs
        return loss_at_batch(
            model * np.exp(-alpha_N * log_params),
            training * np.exp(-alpha_S * log_steps),
            np.exp(np.minimum(log_critical - log_batch, 600.0)),
            slope,
            alpha_S,
        )


@functools.cache
def _equation() -> Evaluator:
    import sympy

    from isoloss.laws.formula import parse_formula

    own = {name: sympy.Symbol(name, positive=name != "log_critical" or None) for name in _NAMES}
    logs = {name: sympy.Symbol(name, real=True) for name in _LOGS}
    expression = parse_formula(_EQUATION, {**own, **logs}, where="trajectory law")
    return Evaluator(expression, tuple(own.values()), tuple(logs.values()))
