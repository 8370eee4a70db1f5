"""Time against compute over batch sizes: what a target loss takes in steps and in tokens.

A loss takes S = S_min (1 + B_crit/B) steps at batch B, hence E = E_min (1 + B/B_crit) tokens: at
the critical batch both are twice their least (Kaplan et al. 2020, arXiv:2001.08361, section 5).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from isoloss.curves.drawing import Drawable
from isoloss.curves.result import DEFAULT_LEVEL, CurveFit
from isoloss.curves.trajectory import Trajectory
from isoloss.curves.trajectory_law import TrajectoryLaw, WorkingTrajectory, constants_of
from isoloss.errors import FitError, InputError

# Batch sizes that are shown, as multiples of the critical one.
SHARES = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 10.0)


@dataclass(frozen=True)
class BatchChoice:
    """What one batch size makes of a target.

    Attributes:
        batch: tokens a step.
        steps: to the target.
        tokens: to the target.
        flops: 6 N tokens; None where the size is not known.
        more_time: steps as a multiple of the least.
        more_compute: tokens as a multiple of the least.
    """

    batch: float
    steps: float
    tokens: float
    flops: float | None
    more_time: float
    more_compute: float

    def to_json(self) -> dict[str, Any]:
        """The choice as one JSON object."""
        return dict(vars(self))


@dataclass(frozen=True)
class BatchTradeOff(Drawable):
    """What a target loss takes, at least and over batch sizes.

    Attributes:
        loss: the target.
        params: size of the model, where it is known.
        least_steps: S_min, at an unlimited batch.
        least_tokens: E_min, at a vanishing one.
        choices: one a batch size.
        intervals: of "least_steps", "least_tokens" and "critical_batch", where they are known.
        level: of the intervals.
    """

    loss: float
    params: float | None
    least_steps: float
    least_tokens: float
    choices: tuple[BatchChoice, ...]
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    level: float = DEFAULT_LEVEL

    @property
    def critical_batch(self) -> float:
        """Batch in tokens at which steps and tokens are twice their least."""
        return self.least_tokens / self.least_steps

    def to_json(self) -> dict[str, Any]:
        """The trade-off as one JSON object."""
        return {
            "loss": self.loss,
            "params": self.params,
            "least_steps": self.least_steps,
            "least_tokens": self.least_tokens,
            "critical_batch": self.critical_batch,
            "intervals": {name: list(ends) for name, ends in self.intervals.items()},
            "level": self.level,
            "choices": [choice.to_json() for choice in self.choices],
        }


def batch_trade_off(
    law: Trajectory | CurveFit,
    params: float,
    loss: float,
    *,
    batches: Sequence[float] = (),
    level: float = DEFAULT_LEVEL,
) -> BatchTradeOff:
    """Time against compute over batch sizes, for one size and target loss.

    Args:
        law: constants, or a fit of the trajectory law, whose replicates then give intervals.
        params: of the model.
        loss: the target.
        batches: sizes in tokens; multiples of the critical one where none are given.
        level: of the intervals.

    Raises:
        FitError: the fit is of another law, or did not converge.
        InputError: the size cannot reach the target, or a number is not positive.
    """
    intervals: dict[str, tuple[float, float]] = {}
    if isinstance(law, CurveFit):
        law.require_converged()
        intervals = _intervals(trajectories_of(law), params, loss, level)
        law = trajectory_of(law)
    for name, value in (("size", params), ("target loss", loss)):
        if not (np.isfinite(value) and value > 0):
            raise InputError(
                "not positive", where=name, found=f"{value:g}", expected="a positive number"
            )
    least = float(law.least_steps(params, loss))
    if not np.isfinite(least):
        raise InputError(
            "the size cannot reach the target",
            where="target loss",
            found=f"{loss:g}",
            expected=f"above the floor {float(law.floor(params)):.4g} of {params:g} parameters",
        )
    critical = float(law.critical_batch(loss))
    choices = batch_choices(least, critical, batches, params)
    return BatchTradeOff(loss, params, least, critical * least, choices, intervals, level)


def batch_choices(
    least_steps: float,
    critical_batch: float,
    batches: Sequence[float] = (),
    params: float | None = None,
) -> tuple[BatchChoice, ...]:
    """Steps and tokens to a loss at each batch size, in rising order of the sizes.

    Args:
        least_steps: S_min of the loss.
        critical_batch: B_crit of the loss, tokens.
        batches: sizes in tokens; multiples of the critical one where none are given.
        params: of the model, for the FLOPs.

    Raises:
        InputError: a batch size is not positive.
    """
    sizes = sorted(batches) or [share * critical_batch for share in SHARES]
    choices = []
    for batch in sizes:
        if not (np.isfinite(batch) and batch > 0):
            raise InputError(
                "unusable batch size", found=f"{batch:g}", expected="a positive number of tokens"
            )
        more_time, more_compute = 1.0 + critical_batch / batch, 1.0 + batch / critical_batch
        tokens = least_steps * critical_batch * more_compute
        flops = None if params is None else 6.0 * params * tokens
        choices.append(
            BatchChoice(batch, least_steps * more_time, tokens, flops, more_time, more_compute)
        )
    return tuple(choices)


def _intervals(
    laws: Sequence[Trajectory], params: float, loss: float, level: float
) -> dict[str, tuple[float, float]]:
    """Percentile intervals over replicates; infinite where too many cannot reach the loss."""
    if not laws:
        return {}
    rows = {
        "least_steps": [float(law.least_steps(params, loss)) for law in laws],
        "least_tokens": [float(law.least_tokens(params, loss)) for law in laws],
        "critical_batch": [float(law.critical_batch(loss)) for law in laws],
    }
    tails = [(1 - level) / 2, (1 + level) / 2]
    ends = {
        name: np.quantile(values, tails, method="inverted_cdf") for name, values in rows.items()
    }
    return {name: (float(low), float(high)) for name, (low, high) in ends.items()}


def trajectory_of(fit: CurveFit) -> Trajectory:
    """The constants that a fit of the law has found.

    Raises:
        FitError: the fit is of another law, or of one without a critical batch.
    """
    found = constants_of(_law_of(fit), fit.parameters)
    if found is None:
        raise FitError(
            f"a fit of {fit.law.name} without a critical batch says nothing of batch sizes: fit "
            "trajectory to curves at several, or give kaplan-steps a critical batch"
        )
    return found


def trajectories_of(fit: CurveFit) -> list[Trajectory]:
    """The constants of every replicate that has a meaning.

    Raises:
        FitError: the fit is of another law.
    """
    law = _law_of(fit)
    published = WorkingTrajectory(law).to_published(fit.replicates, fit.centre)
    usable = np.all(np.isfinite(published) & (published > 0), axis=0)
    rows = [
        dict(zip(law.parameter_names, row, strict=True)) for row in published.T[usable].tolist()
    ]
    return [found for row in rows if (found := constants_of(law, row)) is not None]


def _law_of(fit: CurveFit) -> TrajectoryLaw:
    if not isinstance(fit.law, TrajectoryLaw):
        raise FitError(
            f"a fit of {fit.law.name} says nothing of batch sizes: fit trajectory to curves at "
            "several of them"
        )
    return fit.law
