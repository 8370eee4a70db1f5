"""What a law of loss curves is: the loss at any step of any schedule, ready for the solver."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from isoloss.arrays import Array, Indices
from isoloss.curves.schedules import Schedule
from isoloss.errors import InputError
from isoloss.fitting.solvable import SolvableLaw
from isoloss.laws import Centre, Published


@dataclass(frozen=True, eq=False)
class Points:
    """Steps of a run at which a loss was measured, or is asked for.

    Attributes:
        schedule: of the run.
        steps: the steps, each below `schedule.steps`, shape (points,).
        params: size of the model, for laws that read it.
        batch: tokens a step, for laws that read them.
    """

    schedule: Schedule
    steps: Indices
    params: float | None = None
    batch: float | None = None

    def __post_init__(self) -> None:
        beyond = np.flatnonzero((self.steps < 0) | (self.steps >= self.schedule.steps))
        if beyond.size:
            raise InputError(
                "no such step",
                where=f"schedule {self.schedule.name}",
                found=str(self.steps[beyond[0]]),
                expected=f"0 to {self.schedule.steps - 1}, the steps of the schedule",
            )


@dataclass(frozen=True, eq=False)
class Prepared:
    """A law over given points, in its working coordinates.

    Attributes:
        law: what the solver evaluates.
        inputs: one array of points an input, as the law's evaluator reads them.
        centre: what the working coordinates are relative to.
    """

    law: SolvableLaw
    inputs: tuple[Array, ...]
    centre: Centre

    def predict(self, working: Array) -> Array:
        """Loss at every point, shape (points, problems).

        Args:
            working: working parameters, shape (parameters, problems).
        """
        columns = [column[:, None] for column in self.inputs]
        with np.errstate(all="ignore"):
            value = self.law.evaluator.value(
                list(working[:, None, :]), columns, self.law.constants(self.centre)
            )
        return np.broadcast_to(value, (self.inputs[0].size, working.shape[1]))


class CurveLaw(Protocol):
    """A law of the loss against the steps of a schedule."""

    @property
    def name(self) -> str:
        """Name on the command line."""

    @property
    def title(self) -> str:
        """The law in one line."""

    @property
    def source(self) -> str:
        """Paper and equation."""

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """The paper's names of the parameters, in order."""

    @property
    def published(self) -> tuple[Published, ...]:
        """Coefficients from the literature."""

    @property
    def reads_params(self) -> bool:
        """Whether the law reads the size of the model."""

    @property
    def reads_batch(self) -> bool:
        """Whether the law reads the batch size."""

    @property
    def reads_schedule(self) -> bool:
        """Whether the law reads the learning rates."""

    @property
    def weighting(self) -> str:
        """How the points of curves weigh, where a fit is not told otherwise."""

    def options(self) -> dict[str, float | bool]:
        """What else makes the law, as `find_curve_law` takes it."""

    def prepare(
        self,
        points: Sequence[Points],
        *,
        measured: Array | None = None,
        centre: Centre | None = None,
    ) -> Prepared:
        """The law over the points of some runs, one run after the other.

        Args:
            points: of each run.
            measured: losses there; where a centre is not given, it is theirs.
            centre: what working coordinates are relative to.
        """

    def predict(self, parameters: Mapping[str, float], schedule: Schedule, steps: Indices) -> Array:
        """Loss at steps of a schedule under published parameters."""


def require_parameters(law: CurveLaw, given: Mapping[str, float]) -> None:
    """Check that the names given are those of the law's parameters.

    Raises:
        InputError: a parameter is missing or unknown.
    """
    if set(given) != set(law.parameter_names):
        raise InputError(
            "wrong parameters",
            where=f"law {law.name}",
            found=", ".join(sorted(given)) or "none",
            expected=", ".join(law.parameter_names),
        )


def require_params(law: CurveLaw, points: Sequence[Points]) -> Array:
    """Size of the model at every point.

    Raises:
        InputError: a run has none.
    """
    return _of_runs(
        law,
        points,
        [run.params for run in points],
        ("the size of the model", "params"),
        "a column params of positive numbers, or --params",
    )


def require_batch(law: CurveLaw, points: Sequence[Points]) -> Array:
    """Batch size in tokens at every point.

    Raises:
        InputError: a run has none.
    """
    return _of_runs(
        law,
        points,
        [run.batch for run in points],
        ("the batch size", "batch_tokens"),
        "a column batch_tokens of tokens a step, or --batch-tokens",
    )


def _of_runs(
    law: CurveLaw,
    points: Sequence[Points],
    values: Sequence[float | None],
    names: tuple[str, str],
    expected: str,
) -> Array:
    """What each run has one of, at every point; `names` are for people and of the column."""
    told = []
    for run, value in zip(points, values, strict=True):
        if value is None or not (np.isfinite(value) and value > 0):
            raise InputError(
                f"the law reads {names[0]}",
                where=f"law {law.name}",
                found=f"no {names[1]} for a run of {run.schedule.steps} steps",
                expected=expected,
            )
        told.append(np.full(run.steps.size, float(value)))
    return np.concatenate(told)
