"""The learning-rate annealing law: a power of the summed rate, less what annealing has released.

L(s) = L0 + A S1^-alpha - C S2, S1 the sum of the rates until step s, and S2 the sum of a momentum
of their decreases, m_i = lambda m_(i-1) + (eta_(i-1) - eta_i) (Tissue et al. 2024,
arXiv:2408.11029). Steps of the warm-up count as if at the rate that it leads to.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from isoloss.arrays import Array, Indices
from isoloss.curves.law import Points, Prepared, require_parameters, require_params
from isoloss.curves.schedules import Schedule
from isoloss.errors import InputError
from isoloss.laws import PARAMS, Centre, Input, Law, Published, positive, real, working_law

# Tissue et al.: .99 to .999 are in use.
DECAY_FACTOR = 0.999
# Decay factors that a scan tries.
SCANNED_FACTORS = (0.98, 0.99, 0.995, 0.998, 0.999, 0.9995)

RATE_SUM = Input("rate_sum", "S_1", "learning rate x steps", usual=(1e-2, 1e3))
ANNEALING = Input("annealing", "S_2", "learning rate x steps", positive=False, usual=(0, 10))

_SHAPE = (
    positive("L0"),
    positive("A"),
    positive("alpha", start=(0.1, 1.5), upper=5.0),
    real("C", start=(0.0, 1.0)),
)
_SOURCE = "Tissue et al. 2024, arXiv:2408.11029, equation 1"
_SUMS = Law(
    name="annealing",
    standing=0,
    title="L0 + A S1^-alpha - C S2",
    formula="L0 + A*rate_sum**(-alpha) - C*annealing",
    parameters=_SHAPE,
    linear=("L0", "A", "C"),
    inputs=(RATE_SUM, ANNEALING),
    source=_SOURCE,
)
_SUMS_AND_SIZE = Law(
    name="annealing-sizes",
    standing=0,
    title="L0 + A S1^-alpha - C S2 + B N^-beta",
    formula="L0 + A*rate_sum**(-alpha) - C*annealing + B*params**(-beta)",
    parameters=(*_SHAPE, positive("B"), positive("beta", start=(0.05, 0.8), upper=3.0)),
    linear=("L0", "A", "C", "B"),
    inputs=(RATE_SUM, ANNEALING, PARAMS),
    source=_SOURCE,
)


@dataclass(frozen=True)
class AnnealingLaw:
    """Tissue's law.

    Attributes:
        decay_factor: lambda, how much of the momentum of the decreases is left after a step.
        sizes: whether the loss also falls with the size of the model, as + B N^-beta.
    """

    decay_factor: float = DECAY_FACTOR
    sizes: bool = False
    published: tuple[Published, ...] = field(default=())

    def __post_init__(self) -> None:
        if not 0 <= self.decay_factor < 1:
            raise InputError(
                "unusable decay factor",
                where="law annealing",
                found=f"{self.decay_factor:g}",
                expected="0 or more and below 1, as 0.999",
            )

    @property
    def formula(self) -> Law:
        """The law over the two sums."""
        return _SUMS_AND_SIZE if self.sizes else _SUMS

    @property
    def name(self) -> str:
        """Name on the command line."""
        return self.formula.name

    @property
    def title(self) -> str:
        """The law in one line."""
        return f"{self.formula.title}, lambda {self.decay_factor:g}"

    @property
    def source(self) -> str:
        """Paper and equation."""
        return _SOURCE

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """The paper's names of the parameters, in order."""
        return self.formula.parameter_names

    @property
    def reads_params(self) -> bool:
        """Whether the law reads the size of the model."""
        return self.sizes

    @property
    def reads_batch(self) -> bool:
        """Whether the law reads the batch size: never."""
        return False

    @property
    def reads_schedule(self) -> bool:
        """Whether the law reads the learning rates: all that it reads."""
        return True

    @property
    def weighting(self) -> str:
        """How its points weigh: alike, as in the paper."""
        return "points"

    def options(self) -> dict[str, float | bool]:
        """What else makes the law."""
        return {"decay_factor": self.decay_factor}

    def prepare(
        self,
        points: Sequence[Points],
        *,
        measured: Array | None = None,
        centre: Centre | None = None,
    ) -> Prepared:
        """See `CurveLaw`."""
        columns = self._columns(points)
        if centre is None:
            centre = Centre.of(columns, np.ones(1) if measured is None else measured)
        law = working_law(self.formula)
        return Prepared(law, tuple(law.centred_inputs(columns, centre)), centre)

    def _columns(self, points: Sequence[Points]) -> list[Array]:
        sums = [_sums(run.schedule, run.steps, self.decay_factor) for run in points]
        columns = [np.concatenate(each) for each in zip(*sums, strict=True)]
        if self.sizes:
            columns.append(require_params(self, points))
        return columns

    def predict(
        self,
        parameters: Mapping[str, float],
        schedule: Schedule,
        steps: Indices,
        params: float | None = None,
    ) -> Array:
        """Loss at steps of a schedule under published parameters, shape (steps,).

        Raises:
            InputError: a parameter or the size is missing, or the schedule has no such step.
        """
        require_parameters(self, parameters)
        columns = self._columns([Points(schedule, steps, params)])
        names = [entry.name for entry in self.formula.inputs]
        return self.formula.predict(parameters, **dict(zip(names, columns, strict=True)))


def _sums(schedule: Schedule, steps: Indices, decay_factor: float) -> tuple[Array, Array]:
    total, annealing = annealing_sums(schedule, decay_factor)
    return total[steps], annealing[steps]


@functools.lru_cache(maxsize=256)
def annealing_sums(schedule: Schedule, decay_factor: float = DECAY_FACTOR) -> tuple[Array, Array]:
    """S1 and S2 of Tissue's law at every step, shape (steps,) each.

    Args:
        schedule: the rates.
        decay_factor: lambda, what is left of the momentum after a step.
    """
    # Slow to import, and only curves need it.
    from scipy.signal import lfilter

    rates = schedule.rates.copy()
    rates[: schedule.warmup] = schedule.plateau
    decrease = -np.diff(rates, prepend=rates[0])
    momentum = lfilter([1.0], [1.0, -decay_factor], decrease)
    return np.cumsum(rates), np.cumsum(momentum)
