"""What a fit minimises: a sum over runs of a loss of the residual."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from isoloss.arrays import Array
from isoloss.errors import InputError


@dataclass(frozen=True)
class Penalty:
    """A residual's contribution and what the solver needs to know of it.

    Attributes:
        value: rho(r).
        slope: rho'(r).
        curvature: rho''(r), never negative.
        weight: rho'(r)/r, the weight of reweighted least squares.
    """

    value: Array
    slope: Array
    curvature: Array
    weight: Array


@dataclass(frozen=True)
class Objective:
    """A sum over runs of rho(residual).

    Attributes:
        name: as on the command line.
        logarithmic: residuals are ln(predicted) - ln(measured), else predicted - measured.
        penalty: rho and its derivatives, from residuals and a scale.
        scale: the residual at which a robust penalty turns from quadratic to linear.
        approach: scales solved for in turn before `scale`, each from the last one's optimum; a
            penalty with a kink is reached through smooth ones.
        widens: whether a larger scale makes the penalty easier to minimise.
    """

    name: str
    logarithmic: bool
    penalty: Callable[[Array, float], Penalty]
    scale: float = 1.0
    approach: tuple[float, ...] = ()
    widens: bool = False

    def at_scale(self, scale: float) -> Objective:
        """The same objective with another scale and no approach."""
        return Objective(self.name, self.logarithmic, self.penalty, scale)

    @property
    def eased(self) -> Objective | None:
        """The same objective approached through scales of a hundred and ten times its own.

        None where it has no scale to widen. Far from an optimum a narrow robust penalty has hardly
        any curvature, and many starts never arrive; through wider scales nearly all do.
        """
        if self.approach or not self.widens:
            return None
        return replace(self, approach=(100 * self.scale, 10 * self.scale))

    def residual(self, predicted: Array, measured: Array) -> Array:
        """Residuals of predictions, in the objective's own terms."""
        if self.logarithmic:
            with np.errstate(all="ignore"):
                return np.log(predicted / measured)
        return predicted - measured

    def value(self, predicted: Array, measured: Array, weights: Array) -> Array:
        """Weighted sum over rows (the first axis); infinite where a prediction is no number."""
        with np.errstate(all="ignore"):
            residual = self.residual(predicted, measured)
            terms = self.penalty(residual, self.scale).value
            total = np.einsum("n...,n...->...", np.where(weights > 0, terms, 0.0), weights)
        return np.where(np.isfinite(total), total, np.inf)


def _squared(residual: Array, scale: float) -> Penalty:
    one = np.ones_like(residual)
    return Penalty(0.5 * residual**2, residual, one, one)


def _huber(residual: Array, scale: float) -> Penalty:
    size = np.abs(residual)
    clipped = np.clip(residual, -scale, scale)
    inside = size <= scale
    weight = scale / np.maximum(size, scale)
    return Penalty(clipped * (residual - 0.5 * clipped), clipped, inside.astype(np.float64), weight)


def _soft_l1(residual: Array, scale: float) -> Penalty:
    root = np.sqrt(1.0 + (residual / scale) ** 2)
    # (root - 1) written without cancellation for small residuals.
    return Penalty(residual**2 / (root + 1.0), residual / root, root**-3, 1.0 / root)


def _absolute(residual: Array, scale: float) -> Penalty:
    smooth = _huber(residual, scale)
    return Penalty(
        smooth.value / scale, smooth.slope / scale, smooth.curvature / scale, smooth.weight / scale
    )


# Hoffmann et al. 2022: delta 1e-3 on the log of the loss is nearly least absolute deviation.
_DELTA = 1e-3

OBJECTIVES: dict[str, Objective] = {
    objective.name: objective
    for objective in (
        Objective("huber", True, _huber, _DELTA, widens=True),
        Objective("lad", True, _absolute, 1e-9, approach=(1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8)),
        Objective("squared-log", True, _squared),
        Objective("squared", False, _squared),
        Objective("soft-l1", True, _soft_l1, _DELTA, widens=True),
    )
}


def find_objective(name: str) -> Objective:
    """The objective with that name: huber, lad, squared-log, squared or soft-l1.

    Robust ones take another scale after a colon, as in `huber:0.01`.

    Raises:
        InputError: there is no such objective, or the scale is no positive number.
    """
    base, _, scale = name.partition(":")
    if base not in OBJECTIVES:
        raise InputError(
            "unknown objective",
            where="--objective",
            found=repr(name),
            expected="one of " + ", ".join(OBJECTIVES),
        )
    if not scale:
        return OBJECTIVES[base]
    try:
        value = float(scale)
    except ValueError:
        value = np.nan
    if not 0 < value < np.inf or base not in ("huber", "soft-l1"):
        raise InputError(
            "the objective takes no such scale",
            where="--objective",
            found=repr(name),
            expected="huber or soft-l1 with a positive number, as in huber:0.01",
        )
    return Objective(name, True, OBJECTIVES[base].penalty, value, widens=True)
