"""The critical batch size from runs of one model at several batch sizes.

To reach a loss with batch B takes S = S_min (1 + B_crit/B) steps, hence E = B S = E_min + S_min B
tokens, a straight line in B, and B_crit = E_min / S_min. Over losses,
B_crit(L) = B_* / L^(1/alpha_B) (Kaplan et al. 2020, arXiv:2001.08361, section 5.1; Su et al.
2024, arXiv:2403.06563).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from isoloss.arrays import Array
from isoloss.curves import BatchTradeOff, batch_choices
from isoloss.errors import FitError, InputError
from isoloss.notes import Note, Severity
from isoloss.runs import Runs

_LEVELS = 8
# A line has two coefficients, and one more run tells whether it is one.
_LEAST_RUNS = 3
# Losses of the first steps say more of the warm-up than of the batch.
_SKIPPED_SHARE = 0.05
# Rounds of reweighting by the fitted line.
_ROUNDS = 20
# Runs whose batches all lie on one side of the critical one do not bracket it.
_BRACKET = 1.5


@dataclass(frozen=True, eq=False)
class LossLevel:
    """What one loss takes at each batch size.

    Attributes:
        loss: the level.
        batch: tokens a step of the runs that reach it.
        steps: after how many steps each reaches it.
        least_steps: S_min, with an unlimited batch.
        least_tokens: E_min, with a vanishing batch.
    """

    loss: float
    batch: Array
    steps: Array
    least_steps: float
    least_tokens: float

    @property
    def critical(self) -> float:
        """B_crit in tokens by this level alone; NaN where the line has no such point."""
        usable = self.least_steps > 0 and self.least_tokens > 0
        return self.least_tokens / self.least_steps if usable else math.nan

    def to_json(self) -> dict[str, Any]:
        """The level as one JSON object."""
        return {
            "loss": self.loss,
            "n_runs": int(self.batch.size),
            "least_steps": self.least_steps,
            "least_tokens": self.least_tokens,
            "critical_batch": self.critical,
        }


@dataclass(frozen=True, eq=False)
class LoggedCurve:
    """The falling curve through the losses of one run.

    Attributes:
        batch: tokens a step.
        log_steps: ln of the steps, shape (points,).
        log_loss: ln of the loss there, falling.
    """

    batch: float
    log_steps: Array
    log_loss: Array

    def log_steps_to(self, log_levels: Array) -> Array:
        """Ln of the steps to each loss; NaN for one that the run does not pass."""
        passed = (log_levels >= self.log_loss[-1]) & (log_levels <= self.log_loss[0])
        steps = np.interp(-log_levels, -self.log_loss, self.log_steps)
        return np.where(passed, steps, np.nan)


@dataclass(frozen=True, eq=False)
class CriticalBatch:
    """B_crit(L) = scale / L^(1/alpha), fitted to all levels at once.

    Attributes:
        scale: B_*, tokens.
        alpha: alpha_B.
        log_covariance: of ln B_* and 1/alpha_B, by leaving out one run at a time.
        n_runs: runs fitted.
        levels: each loss level by itself.
        notes: what to know.
        source: where the curves came from.
        logged: falling curves of the runs.
    """

    scale: float
    alpha: float
    log_covariance: Array
    n_runs: int
    levels: tuple[LossLevel, ...]
    notes: tuple[Note, ...] = ()
    source: str = "frame"
    logged: tuple[LoggedCurve, ...] = ()

    def at(self, loss: npt.ArrayLike) -> Array:
        """B_crit in tokens at each loss."""
        return np.asarray(self.scale * np.asarray(loss, dtype=np.float64) ** (-1 / self.alpha))

    def interval(self, loss: float, level: float = 0.9) -> tuple[float, float]:
        """Interval of B_crit at a loss."""
        direction = np.array([1.0, -math.log(loss)])
        spread = math.sqrt(float(direction @ self.log_covariance @ direction))
        reach = math.exp(self._quantile(level) * spread)
        return float(self.at(loss)) / reach, float(self.at(loss)) * reach

    def scale_interval(self, level: float = 0.9) -> tuple[float, float]:
        """Interval of B_*."""
        return self.interval(1.0, level)

    def alpha_interval(self, level: float = 0.9) -> tuple[float, float]:
        """Interval of alpha_B; infinite where the critical batch may not depend on the loss."""
        reach = self._quantile(level) * math.sqrt(self.log_covariance[1, 1])
        slope = 1 / self.alpha
        high = 1 / (slope - reach) if slope > reach else math.inf
        return 1 / (slope + reach), high

    def steps(self, least_steps: float, loss: float, batch: npt.ArrayLike) -> Array:
        """Steps to a loss at batch sizes in tokens: S_min (1 + B_crit/B)."""
        return np.asarray(least_steps * (1 + self.at(loss) / np.asarray(batch, dtype=np.float64)))

    def trade_off(
        self, loss: float, *, batches: Sequence[float] = (), level: float = 0.9
    ) -> BatchTradeOff:
        """The least steps and tokens to a loss, and what batch sizes make of it.

        S_min is the geometric mean of what the runs that reach the loss say, by B_crit there.

        Args:
            loss: that some run reaches.
            batches: sizes in tokens; multiples of the critical one where none are given.
            level: of the interval of the critical batch.

        Raises:
            FitError: no run reaches the loss.
        """
        steps = np.array([float(run.log_steps_to(np.log([loss]))[0]) for run in self.logged])
        reached = np.isfinite(steps)
        if not reached.any():
            starts, ends = zip(*(np.exp(run.log_loss[[0, -1]]) for run in self.logged), strict=True)
            raise FitError(
                f"{self.source}: no run passes a loss of {loss:g}: expected {min(ends):.4g} to "
                f"{max(starts):.4g}"
            )
        critical = float(self.at(loss))
        batch = np.array([run.batch for run in self.logged])[reached]
        least = float(np.exp(np.mean(steps[reached] - np.log1p(critical / batch))))
        return BatchTradeOff(
            loss,
            None,
            least,
            critical * least,
            batch_choices(least, critical, batches),
            {"critical_batch": self.interval(loss, level)},
            level,
        )

    def _quantile(self, level: float) -> float:
        from scipy.stats import t

        return float(t.ppf((1 + level) / 2, max(self.n_runs - 2, 1)))

    def to_json(self, level: float = 0.9) -> dict[str, Any]:
        """The law and its levels as one JSON object."""
        return {
            "B_star": self.scale,
            "alpha_B": self.alpha,
            "intervals": {
                "B_star": list(self.scale_interval(level)),
                "alpha_B": list(self.alpha_interval(level)),
            },
            "level": level,
            "n_runs": self.n_runs,
            "levels": [
                {
                    **each.to_json(),
                    "fitted_critical_batch": float(self.at(each.loss)),
                    "interval": list(self.interval(each.loss, level)),
                }
                for each in self.levels
            ],
            "notes": [note.to_json() for note in self.notes],
        }


def fit_critical_batch(
    curves: Runs, *, levels: Sequence[float] | None = None, run: str = "run_id"
) -> CriticalBatch:
    """The critical batch size from training curves at several batch sizes.

    The curves have to be of one model and data, with the learning rate tuned for each batch and
    not decayed: at a decayed rate the same loss comes sooner whatever the batch.

    Args:
        curves: one row for each logged loss, with `batch_tokens`, `step` and `loss`.
        levels: losses at which steps are compared; eight that every run passes where not given.
        run: the column that names the run.

    Raises:
        FitError: too few runs pass a loss, or no critical batch fits them.
        InputError: a column is missing or unusable.
    """
    logged = _read_curves(curves, run)
    if levels is None:
        log_levels = _common_levels(logged)
    else:
        log_levels = np.log(np.asarray(levels, dtype=np.float64))
    steps = np.stack([curve.log_steps_to(log_levels) for curve in logged])
    batch = np.log([curve.batch for curve in logged])
    enough = np.isfinite(steps).sum(axis=0) >= _LEAST_RUNS
    if not enough.any():
        raise FitError(
            f"{curves.source}: no loss that {_LEAST_RUNS} runs of different batch pass; they reach "
            f"from {math.exp(max(each.log_loss[0] for each in logged)):.4g} to "
            f"{math.exp(min(each.log_loss[-1] for each in logged)):.4g}: train longer, or give "
            "other --levels"
        )
    steps, log_levels = steps[:, enough], log_levels[enough]
    start = np.array([np.median(batch), 0.0])
    found = _solve(batch, log_levels, steps, start)
    scale, slope = math.exp(found[0]), float(found[1])
    left_out = [
        _solve(np.delete(batch, index), log_levels, np.delete(steps, index, axis=0), found)
        for index in range(batch.size)
        if batch.size > _LEAST_RUNS
    ]
    each = [_level(batch, level, column) for level, column in zip(log_levels, steps.T, strict=True)]
    if not slope > 0:
        raise FitError(
            f"{curves.source}: the critical batch does not grow as the loss falls; the runs do not "
            "reach far enough, or their learning rates are not comparable"
        )
    middle = float(np.exp(np.mean(found[0] - slope * log_levels)))
    return CriticalBatch(
        scale,
        1 / slope,
        _jackknife(np.array(left_out)),
        batch.size,
        tuple(each),
        (*curves.notes, *_remarks(np.exp(batch), middle)),
        curves.source,
        tuple(logged),
    )


def _read_curves(curves: Runs, run: str) -> list[LoggedCurve]:
    from scipy.optimize import isotonic_regression

    batch, step, loss = (curves.positive(name) for name in ("batch_tokens", "step", "loss"))
    member = curves.groups(run) if run in curves.frame.columns else curves.groups("batch_tokens")
    found = []
    for number in np.unique(member):
        own = np.flatnonzero(member == number)
        if np.unique(batch[own]).size > 1:
            raise InputError(
                "a run with several batch sizes",
                where=curves.source,
                found=", ".join(f"{size:.6g}" for size in np.unique(batch[own])[:2]),
                expected=f"one value of batch_tokens for each {run}",
            )
        own = own[np.argsort(step[own], kind="stable")]
        own = own[step[own] > _SKIPPED_SHARE * step[own[-1]]]
        fitted = isotonic_regression(np.log(loss[own]), increasing=False)
        # Of a level stretch its middle stands for all: interpolation needs falling losses.
        heights, first, count = np.unique(-fitted.x, return_index=True, return_counts=True)
        place = np.log(step[own])
        middle = (place[first] + place[first + count - 1]) / 2
        found.append(LoggedCurve(float(batch[own[0]]), middle, -heights))
    if np.unique([curve.batch for curve in found]).size < _LEAST_RUNS:
        raise FitError(
            f"{curves.source}: a critical batch needs runs at {_LEAST_RUNS} batch sizes or more"
        )
    return found


def _common_levels(curves: Sequence[LoggedCurve]) -> Array:
    """Losses that every run passes, or, if there are none, those that most do."""
    starts = np.sort([curve.log_loss[0] for curve in curves])
    ends = np.sort([curve.log_loss[-1] for curve in curves])
    for left_out in range(len(curves) - _LEAST_RUNS + 1):
        high, low = starts[0], ends[len(curves) - 1 - left_out]
        if high > low:
            return np.linspace(low, high, _LEVELS + 2)[1:-1]
    return np.array([float(np.mean(ends))])


def _solve(batch: Array, log_levels: Array, steps: Array, start: Array) -> Array:
    """Ln B_* and 1/alpha_B by least squares on the logs of steps; S_min of each level follows."""
    from scipy.optimize import least_squares

    present = np.isfinite(steps)
    known = np.where(present, steps, 0.0)
    counts = np.maximum(present.sum(axis=0), 1)

    def residuals(parameters: Array) -> Array:
        critical = parameters[0] - parameters[1] * log_levels
        more = np.logaddexp(0.0, critical - batch[:, None])
        left = np.where(present, known - more, 0.0)
        left = np.where(present, left - left.sum(axis=0) / counts, 0.0)
        return np.asarray(left.ravel())

    return np.asarray(least_squares(residuals, start, x_scale=(1.0, 1.0)).x)


def _level(batch: Array, log_level: float, log_steps: Array) -> LossLevel:
    """The straight line of tokens against batch at one loss, by relative least squares."""
    present = np.isfinite(log_steps)
    size, steps = np.exp(batch[present]), np.exp(log_steps[present])
    tokens = size * steps
    scale = size.mean()
    terms = np.column_stack([np.ones(size.size), size / scale])
    weights = 1 / tokens
    for _ in range(_ROUNDS):
        line = np.linalg.lstsq(terms * weights[:, None], tokens * weights, rcond=None)[0]
        weights = 1 / np.maximum(terms @ line, 1e-3 * tokens)
    return LossLevel(math.exp(log_level), size, steps, float(line[1] / scale), float(line[0]))


def _jackknife(left_out: Array) -> Array:
    """Covariance by leaving out one run at a time; infinite where too few runs allow it."""
    if left_out.size == 0:
        return np.diag([math.inf, math.inf])
    away = left_out - left_out.mean(axis=0)
    return np.asarray((len(left_out) - 1) / len(left_out) * away.T @ away)


def _remarks(batch: Array, critical: float) -> list[Note]:
    if batch.min() * _BRACKET < critical < batch.max() / _BRACKET:
        return []
    side = "below" if batch.max() / _BRACKET <= critical else "above"
    return [
        Note(
            "critical-batch-not-bracketed",
            f"all batch sizes lie {side} the critical one: it is extrapolated; run "
            f"{'larger' if side == 'below' else 'smaller'} batches",
            Severity.WARNING,
            {"critical": critical, "smallest": float(batch.min()), "largest": float(batch.max())},
        )
    ]
