"""What a fit of loss curves is: the law with its parameters, and what it predicts, with bands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt

from isoloss.arrays import Array, Indices
from isoloss.curves.band import CurveBand
from isoloss.curves.drawing import Drawable
from isoloss.curves.law import CurveLaw, Points
from isoloss.curves.schedules import Schedule
from isoloss.curves.table import Curve, Curves
from isoloss.errors import FitError
from isoloss.fitting.objectives import Objective
from isoloss.fitting.problem import Status
from isoloss.fitting.search import Search
from isoloss.fitting.solvable import SolvableLaw
from isoloss.laws import Centre
from isoloss.notes import Note, Severity
from isoloss.quantities import format_quantity

DEFAULT_LEVEL = 0.9
# Steps beyond those fitted, as a multiple, from which a forecast carries a warning.
_FAR = 4.0
# The same for peak learning rates beyond those fitted: curves of one peak say nothing of others.
_OTHER_PEAK = 1.25


@dataclass(frozen=True, eq=False)
class CurvePrediction(Drawable):
    """A predicted curve.

    Attributes:
        name: of the schedule.
        steps: shape (points,).
        loss: expected there.
        lower: lower end of the band that single measured points should lie in.
        upper: its upper end.
        deviation: standard deviation of the log loss, which the band is made of.
        level: probability that the band should hold a point.
        notes: what the user should know.
    """

    name: str
    steps: Indices
    loss: Array
    lower: Array
    upper: Array
    deviation: Array
    level: float
    notes: tuple[Note, ...] = ()

    def probability_below(self, target: float) -> Array:
        """Probability that the loss measured at each step is at or below a target."""
        from scipy.special import ndtr

        chance: Array = ndtr(np.log(target / self.loss) / np.maximum(self.deviation, 1e-12))
        return chance

    def to_json(self) -> dict[str, Any]:
        """The curve as one JSON object."""
        return {
            "schedule": self.name,
            "level": self.level,
            "predictions": [
                {"step": int(step), "loss": loss, "lower": lower, "upper": upper}
                for step, loss, lower, upper in zip(
                    self.steps.tolist(),
                    self.loss.tolist(),
                    self.lower.tolist(),
                    self.upper.tolist(),
                    strict=True,
                )
            ],
            "notes": [note.to_json() for note in self.notes],
        }


@dataclass(frozen=True, eq=False)
class CurveFit(Drawable):
    """A law of curves fitted to some.

    Attributes:
        law: the law.
        centre: what its working parameters are relative to.
        working: working parameters, shape (parameters,).
        replicates: those of bootstrap replicates that converged, shape (parameters, replicates).
        band: sizes of its errors.
        objective: what was minimised.
        objective_value: the weighted sum that was reached, without the hold.
        status: how the fit ended.
        search: how the optimum was found.
        weighting: how points were weighed.
        n_bootstrap: replicates asked for.
        resample: what replicates varied.
        seed: of starts and replicates.
        curves: what was fitted; none in a fit that was read from a file.
        summary: run ids, points and errors of the fit.
        source: where the curves came from.
        fingerprint: hash of them.
        notes: what the user should know.
    """

    law: CurveLaw
    centre: Centre
    working: Array
    replicates: Array
    band: CurveBand
    objective: Objective
    objective_value: float
    status: Status
    search: Search
    weighting: str
    n_bootstrap: int
    resample: str
    seed: int
    curves: Curves
    summary: Mapping[str, Any]
    source: str = "frame"
    fingerprint: str = ""
    notes: tuple[Note, ...] = ()

    @property
    def converged(self) -> bool:
        """Whether the fit reached an optimum."""
        return self.status is Status.CONVERGED

    @property
    def parameters(self) -> dict[str, float]:
        """Published parameters by name."""
        return self._law.named(self.working, self.centre)

    @property
    def _law(self) -> SolvableLaw:
        # The law of the working coordinates needs some points; any schedule has a first step.
        one = Schedule("one step", np.ones(2))
        points = Points(one, np.array([1]), 1.0, 1.0)
        return self.law.prepare([points], centre=self.centre).law

    def intervals(self, level: float = DEFAULT_LEVEL) -> dict[str, tuple[float, float]]:
        """Percentile bootstrap interval of each published parameter; empty without replicates."""
        if not self.replicates.size:
            return {}
        law, tail = self._law, (1 - level) / 2
        published = law.to_published(self.replicates, self.centre)
        names = self.law.parameter_names
        ends = np.quantile(published, [tail, 1 - tail], axis=1)
        return {
            name: (float(low), float(high)) for name, low, high in zip(names, *ends, strict=True)
        }

    def require_converged(self) -> None:
        """Refuse to go on with a fit that is no optimum.

        Raises:
            FitError: the fit did not converge.
        """
        if not self.converged:
            raise FitError(f"the fit of law {self.law.name} did not converge: {self.status.value}")

    def predict(
        self,
        schedule: Schedule,
        steps: npt.ArrayLike | None = None,
        *,
        params: float | None = None,
        batch: float | None = None,
        level: float = DEFAULT_LEVEL,
    ) -> CurvePrediction:
        """The curve of a run under a schedule, with a band for single measured points.

        Args:
            schedule: the learning rates.
            steps: where the loss is asked for; some two hundred of all where not given.
            params: size of the model, for laws that read it.
            batch: tokens a step, for laws that read them.
            level: probability that the band should hold a measured point.

        Raises:
            InputError: the schedule has no such step, or the size is missing.
        """
        asked = default_steps(schedule) if steps is None else np.asarray(steps, dtype=np.int64)
        prepared = self.law.prepare([Points(schedule, asked, params, batch)], centre=self.centre)
        loss = prepared.predict(self.working[:, None])[:, 0]
        if self.replicates.size:
            spread = np.std(np.log(prepared.predict(self.replicates)), axis=1)
        else:
            spread = np.zeros(loss.size)
        deviation = self.band.deviation(prepared, self.working, np.asarray(asked, np.float64))
        deviation = np.maximum(deviation, np.sqrt(spread**2 + self.band.noise**2))
        half = two_sided(level) * deviation
        return CurvePrediction(
            schedule.name,
            asked,
            loss,
            loss * np.exp(-half),
            loss * np.exp(half),
            deviation,
            level,
            self._warnings(schedule, asked, params=params, batch=batch),
        )

    def _warnings(
        self, schedule: Schedule, steps: Indices, *, params: float | None, batch: float | None
    ) -> tuple[Note, ...]:
        if not steps.size:
            return ()
        notes = []
        beyond = float(steps.max()) / max(self.band.last_step, 1.0)
        if beyond > _FAR:
            message = f"{beyond:.4g} times as many steps as any fitted curve has: trust it less"
            notes.append(Note("far-beyond", message, Severity.WARNING, {"times": beyond}))
        for name, value, read in (
            ("params", params, self.law.reads_params),
            ("batch_tokens", batch, self.law.reads_batch),
        ):
            known = self._fitted(name)
            if value is None or not known or not read:
                continue
            times = max(value / max(known), min(known) / value)
            if times > _FAR:
                message = (
                    f"{name} {format_quantity(value)} is {times:.3g} times beyond those of the "
                    f"fitted curves, {format_quantity(min(known))} to "
                    f"{format_quantity(max(known))}: trust it less"
                )
                notes.append(Note("far-beyond", message, Severity.WARNING, {"times": times}))
        fitted = self._fitted("peak_rate") if self.law.reads_schedule else []
        peak = float(schedule.rates[: int(steps.max()) + 1].max())
        if fitted and not min(fitted) / _OTHER_PEAK <= peak <= max(fitted) * _OTHER_PEAK:
            span = " to ".join(f"{rate:.3g}" for rate in sorted({min(fitted), max(fitted)}))
            message = (
                f"the peak learning rate {peak:.3g} is not that of the fitted curves, {span}: "
                "they do not show how the loss depends on it"
            )
            notes.append(Note("other-peak", message, Severity.WARNING, {"peak": peak}))
        return tuple(notes)

    def _fitted(self, name: str) -> list[float]:
        """What the fitted runs had of something; fits of older versions may not tell."""
        return [run[name] for run in self.summary["runs"].values() if run.get(name)]

    def predict_curve(self, curve: Curve, *, level: float = DEFAULT_LEVEL) -> CurvePrediction:
        """What the law says at the measured points of a curve."""
        return self.predict(
            curve.schedule, curve.steps, params=curve.params, batch=curve.batch, level=level
        )

    def to_json(self) -> dict[str, Any]:
        """What the fit says."""
        return {
            "law": self.law.name,
            "options": self.law.options(),
            "parameters": self.parameters,
            "objective": {"name": self.objective.name, "value": self.objective_value},
            "converged": self.converged,
            "status": self.status.value,
            **self.summary,
            "intervals": {name: list(pair) for name, pair in self.intervals().items()},
            "level": DEFAULT_LEVEL,
            "weighting": self.weighting,
            "band": {
                "noise": self.band.noise,
                "discrepancy": self.band.discrepancy,
                "growth_per_reach": self.band.growth.per_reach,
                "curves_left_out": self.band.n_curves,
                "last_step": self.band.last_step,
            },
            "search": {
                "starts": self.search.starts,
                "converged": self.search.converged,
                "reached_best": self.search.reached_best,
                "gradient": self.search.gradient,
            },
            "bootstrap": {
                "replicates": self.n_bootstrap,
                "converged": int(self.replicates.shape[1]),
                "resample": self.resample,
            },
            "notes": [note.to_json() for note in self.notes],
            "provenance": {
                "source": self.source,
                "fingerprint": self.fingerprint,
                "seed": self.seed,
                "version": version("isoloss"),
            },
        }


def two_sided(level: float) -> float:
    """Standard deviations to either side of the mean that hold a Gaussian with a probability."""
    from scipy.special import ndtri

    return float(ndtri(0.5 + 0.5 * level))


def default_steps(schedule: Schedule, most: int = 200) -> Indices:
    """Steps after the warm-up that show a curve, the last one with them."""
    first = min(max(schedule.warmup, schedule.steps // 100, 1), schedule.steps - 1)
    return np.unique(np.round(np.linspace(first, schedule.steps - 1, most)).astype(np.int64))


def summarise(
    curves: Sequence[Curve], residuals: Array, *, reads_schedule: bool = True
) -> dict[str, Any]:
    """What was fitted, and how well: counts and errors within the sample, in all and by run."""
    errors = np.abs(np.expm1(residuals))
    ends = np.cumsum([curve.steps.size for curve in curves])[:-1]
    return {
        "n_curves": len(curves),
        "n_points": int(errors.size),
        "in_sample": {"mean_abs_rel_error": float(np.mean(errors))},
        "runs": {
            curve.run_id: {
                "schedule": curve.schedule.name,
                "n_points": int(curve.steps.size),
                "mean_abs_rel_error": float(np.mean(part)),
                "last_step": int(curve.steps[-1]),
                "peak_rate": float(curve.schedule.rates.max()) if reads_schedule else None,
                "params": curve.params,
                "batch_tokens": curve.batch,
            }
            for curve, part in zip(curves, np.split(errors, ends), strict=True)
        },
    }
