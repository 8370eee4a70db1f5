"""The trajectory law and Kaplan's law of least steps, as laws of curves that the solver can fit.

Su et al. 2024 (arXiv:2403.06563): L = (N_c/N)^alpha_N + (S_c/S)^alpha_S (1 + B_crit(L)/B)^alpha_S
with B_crit(L) = B_star L^(-1/alpha_B), the loss on both sides. Values are its root; the exact
derivatives of the root follow from those of the equation (`trajectory_root`).

With the critical batch known only the law of least steps is left, L(N, S_min) (Kaplan et al. 2020,
arXiv:2001.08361, equation 5.6); steps without a batch size are taken for S_min.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from isoloss.arrays import Array, Indices
from isoloss.curves.law import (
    Points,
    Prepared,
    require_batch,
    require_parameters,
    require_params,
)
from isoloss.curves.schedules import Schedule
from isoloss.curves.trajectory import Trajectory
from isoloss.curves.trajectory_root import RootValues
from isoloss.errors import FitError, InputError
from isoloss.laws import (
    LOSS,
    PARAMS,
    STEPS,
    Centre,
    Input,
    Parameter,
    Published,
    Target,
    positive,
    real,
)
from isoloss.laws.compilation import Derivatives

NAMES = ("N_c", "alpha_N", "S_c", "alpha_S", "B_star", "alpha_B")
_KNOWN = 4
BATCH = Input("batch_tokens", "B", "tokens a step", usual=(1e4, 1e8))
# Relative to the centre: what is left of its loss after unlimited steps, what its steps would
# leave above that at an unlimited batch, and its critical batch over its batch.
_WORKING = (
    positive("model", start=(0.3, 0.95)),
    positive("alpha_N", start=(0.02, 0.3), upper=3.0),
    positive("training", start=(0.02, 0.5)),
    positive("alpha_S", start=(0.2, 1.2), upper=5.0),
    real("log_critical", start=(-2.0, 2.0), lower=-30.0, upper=30.0),
    positive("slope", start=(1.0, 8.0), upper=100.0),
)
# Sizes, and batch sizes, that a fit needs to tell their powers.
_FEWEST = 2


@dataclass(frozen=True)
class TrajectoryLaw:
    """The law, with the critical batch free or known.

    Attributes:
        free_batch: whether the critical batch is fitted.
        batch_scale: known B_star, tokens; 0 where steps are taken for least steps.
        batch_power: known alpha_B.
        published: coefficients from the literature.
    """

    free_batch: bool = True
    batch_scale: float = 0.0
    batch_power: float = 1.0
    published: tuple[Published, ...] = ()
    weighting: str = "log-steps"
    target: Target = LOSS
    reads_params: bool = True
    reads_schedule: bool = False

    def __post_init__(self) -> None:
        if not (np.isfinite(self.batch_scale) and self.batch_scale >= 0 and self.batch_power > 0):
            raise InputError(
                "unusable critical batch",
                where=f"law {self.name}",
                found=f"{self.batch_scale:g} and {self.batch_power:g}",
                expected="a positive number of tokens and a positive power, as 2.1e8 and 0.21",
            )

    @property
    def name(self) -> str:
        """Name on the command line."""
        return "trajectory" if self.free_batch else "kaplan-steps"

    @property
    def title(self) -> str:
        """The law in one line."""
        if self.free_batch:
            return "(N_c/N)^alpha_N + (S_c/S)^alpha_S (1 + B_star/(B L^(1/alpha_B)))^alpha_S"
        steps = (
            f"S_min = S / (1 + {self.batch_scale:g}/(B L^{1 / self.batch_power:.4g}))"
            if self.reads_batch
            else "steps taken for S_min"
        )
        return f"(N_c/N)^alpha_N + (S_c/S_min)^alpha_S, {steps}"

    @property
    def source(self) -> str:
        """Paper and equation."""
        if self.free_batch:
            return "Su et al. 2024, arXiv:2403.06563"
        return "Kaplan et al. 2020, arXiv:2001.08361, equation 5.6"

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """The papers' names of the parameters, in order."""
        return NAMES if self.free_batch else NAMES[:_KNOWN]

    @property
    def reads_batch(self) -> bool:
        """Whether the law reads the batch size."""
        return self.free_batch or self.batch_scale > 0

    @property
    def inputs(self) -> tuple[Input, ...]:
        """What it reads of a run."""
        return (PARAMS, STEPS, BATCH) if self.reads_batch else (PARAMS, STEPS)

    def options(self) -> dict[str, float | bool]:
        """What else makes the law: the critical batch where it is known."""
        known = not self.free_batch and self.batch_scale > 0
        return {"batch_scale": self.batch_scale, "batch_power": self.batch_power} if known else {}

    def prepare(
        self,
        points: Sequence[Points],
        *,
        measured: Array | None = None,
        centre: Centre | None = None,
    ) -> Prepared:
        """See `CurveLaw`; the centre's inputs are sizes, steps and batch sizes.

        Raises:
            FitError: a fit would see one size or batch size only.
            InputError: a run lacks its size or batch size, or a point is at step 0.
        """
        columns = self._columns(points)
        if measured is not None:
            self._require_variety(columns)
        if centre is None:
            centre = Centre.of(columns, np.ones(1) if measured is None else measured)
        logs = [
            np.log(column / middle) for column, middle in zip(columns, centre.inputs, strict=True)
        ]
        if not self.reads_batch:
            logs.append(np.full(logs[0].size, np.inf))
        return Prepared(WorkingTrajectory(self), tuple(logs), centre)

    def _columns(self, points: Sequence[Points]) -> list[Array]:
        steps = np.concatenate([run.steps for run in points]).astype(np.float64)
        if np.any(steps < 1):
            raise InputError(
                "a loss before the first step",
                where=f"law {self.name}",
                found="step 0",
                expected='steps from 1 on: leave it out, as by --where "step > 0"',
            )
        columns = [require_params(self, points), steps]
        return [*columns, require_batch(self, points)] if self.reads_batch else columns

    def _require_variety(self, columns: Sequence[Array]) -> None:
        named = [("sizes", columns[0], "")]
        if self.free_batch:
            known = "; with one batch size fit kaplan-steps with a known critical batch"
            named.append(("batch sizes", columns[2], known))
        for what, column, otherwise in named:
            count = np.unique(column).size
            if count < _FEWEST:
                raise FitError(
                    f"law {self.name} needs curves of {_FEWEST} {what} or more; there "
                    f"is {count}{otherwise}"
                )

    def predict(
        self,
        parameters: Mapping[str, float],
        schedule: Schedule,
        steps: Indices,
        params: float | None = None,
        batch: float | None = None,
    ) -> Array:
        """Loss at steps under published parameters, shape (steps,).

        Raises:
            InputError: a parameter, the size or the batch size is missing, or a step is 0.
        """
        require_parameters(self, parameters)
        points = [Points(schedule, np.asarray(steps), params, batch)]
        columns = self._columns(points)
        own = constants_of(self, parameters)
        if own is None:
            floor = (parameters["N_c"] / columns[0]) ** parameters["alpha_N"]
            left: Array = floor + (parameters["S_c"] / columns[1]) ** parameters["alpha_S"]
            return left
        return own.loss(columns[0], columns[1], columns[2])


@dataclass(frozen=True, eq=False)
class WorkingTrajectory:
    """The law in its working coordinates, as the solver takes it.

    Attributes:
        law: the law.
        linear: none: the loss stands on both sides.
    """

    law: TrajectoryLaw
    linear: tuple[str, ...] = ()

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The working parameters."""
        return _WORKING if self.law.free_batch else _WORKING[:_KNOWN]

    @property
    def evaluator(self) -> RootValues:
        """Its values."""
        return RootValues(not self.law.free_batch)

    def constants(self, centre: Centre) -> tuple[float, ...]:
        """The unit of losses, and the critical batch where it is known."""
        if self.law.free_batch:
            return (centre.loss,)
        slope = 1.0 / self.law.batch_power
        if not self.law.reads_batch:
            return (centre.loss, 0.0, slope)
        critical = self.law.batch_scale * centre.loss**-slope
        return (centre.loss, float(np.log(critical / centre.inputs[2])), slope)

    def derivatives(
        self, working: Array, log_inputs: Sequence[Array], centre: Centre
    ) -> Derivatives:
        """Value and derivatives at working parameters, over logs of inputs that broadcast."""
        return self.evaluator.derivatives(list(working), log_inputs, self.constants(centre))

    def named(self, working: Array, centre: Centre) -> dict[str, float]:
        """Published parameters by name."""
        values = self.to_published(working, centre).tolist()
        return dict(zip(self.law.parameter_names, values, strict=True))

    def to_published(self, working: Array, centre: Centre) -> Array:
        """Published parameters, shaped as `working`: (parameters, ...)."""
        unit, (params, steps, *batch) = centre.loss, centre.inputs
        model, alpha_N, training, alpha_S, *critical = working
        with np.errstate(all="ignore"):
            rows = [
                params * (unit * model) ** (1.0 / alpha_N),
                alpha_N,
                steps * (unit * training) ** (1.0 / alpha_S),
                alpha_S,
            ]
            if critical:
                log_critical, slope = critical
                rows += [batch[0] * np.exp(log_critical) * unit**slope, 1.0 / slope]
        return np.array(rows)

    def published_jacobian(self, working: Array, centre: Centre) -> Array:
        """Derivatives of published by working parameters, shape (published, working)."""
        N_c, alpha_N, S_c, alpha_S, *critical = self.to_published(working, centre)
        unit = centre.loss
        jacobian = np.diag(
            [N_c / (alpha_N * working[0]), 1.0, S_c / (alpha_S * working[2]), 1.0]
            + ([critical[0], -(critical[1] ** 2)] if critical else [])
        )
        jacobian[0, 1] = -N_c * np.log(unit * working[0]) / alpha_N**2
        jacobian[2, 3] = -S_c * np.log(unit * working[2]) / alpha_S**2
        if critical:
            jacobian[4, 5] = critical[0] * np.log(unit)
        return jacobian


def constants_of(law: TrajectoryLaw, parameters: Mapping[str, float]) -> Trajectory | None:
    """The constants that published parameters make with a known critical batch; None without."""
    if not law.reads_batch:
        return None
    known = {"B_star": law.batch_scale, "alpha_B": law.batch_power} | dict(parameters)
    return Trajectory(*(known[name] for name in NAMES))


_KAPLAN = Published(
    "kaplan-2020",
    dict(zip(NAMES, (6.5e13, 0.077, 2.1e3, 0.76, 2.1e8, 0.21), strict=True)),
    source="arXiv:2001.08361, table 3 and equation 5.4",
    data="WebText2, 768 to 1.5e9 parameters",
    loss="nats/token",
    params="nonembedding",
)
TRAJECTORY_LAW = TrajectoryLaw(published=(_KAPLAN,))


def least_steps_law(batch_scale: float = 0.0, batch_power: float = 1.0) -> TrajectoryLaw:
    """Kaplan's L(N, S_min), with a known critical batch where one is given.

    Args:
        batch_scale: critical batch at a loss of 1, tokens; 0 takes steps for least steps.
        batch_power: alpha_B, the loss to the power -1/alpha_B being what it goes with.

    Raises:
        InputError: they are not positive.
    """
    return TrajectoryLaw(free_batch=False, batch_scale=batch_scale, batch_power=batch_power)
