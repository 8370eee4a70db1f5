"""Fit some curves, predict others, and compare."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from isoloss.arrays import Array, Mask
from isoloss.curves.drawing import Drawable
from isoloss.curves.fit import fit_curves
from isoloss.curves.law import CurveLaw
from isoloss.curves.result import DEFAULT_LEVEL, CurveFit
from isoloss.curves.table import Curve, Curves
from isoloss.errors import FitError
from isoloss.notes import Note

# Rates closer than this share of the peak are the same: files hold rounded numbers.
_SAME_RATE = 1e-6


@dataclass(frozen=True, eq=False)
class HeldOutCurve:
    """A curve that was predicted and not fitted.

    Attributes:
        curve: as measured.
        predicted: expected loss at its points.
        lower: lower end of the band.
        upper: upper end.
    """

    curve: Curve
    predicted: Array
    lower: Array
    upper: Array

    def scores(self) -> dict[str, float]:
        """R2, mean absolute error, mean and largest relative error, and coverage of the band."""
        loss = self.curve.loss
        off = self.predicted - loss
        spread = float(np.sum((loss - loss.mean()) ** 2))
        return {
            "r2": 1.0 - float(np.sum(off**2)) / spread if spread else float("nan"),
            "mae": float(np.mean(np.abs(off))),
            "mean_abs_rel_error": float(np.mean(np.abs(off) / loss)),
            "max_abs_rel_error": float(np.max(np.abs(off) / loss)),
            "coverage": float(np.mean(self.inside)),
        }

    @property
    def inside(self) -> Mask:
        """Which points lie in the band, shape (points,)."""
        return (self.curve.loss >= self.lower) & (self.curve.loss <= self.upper)


@dataclass(frozen=True, eq=False)
class CurveBacktest(Drawable):
    """Laws fitted to some curves and tried on others.

    Attributes:
        n_fit: curves fitted.
        n_held_out: curves predicted.
        held_out: by law, what it made of each.
        fits: by law, what was fitted.
        refused: laws that could not be fitted, and why.
        level: of the bands.
        notes: what the user should know.
    """

    n_fit: int
    n_held_out: int
    held_out: Mapping[str, tuple[HeldOutCurve, ...]]
    fits: Mapping[str, CurveFit]
    refused: Mapping[str, str] = field(default_factory=dict)
    level: float = DEFAULT_LEVEL
    notes: tuple[Note, ...] = ()

    def scores(self, law: str) -> dict[str, float]:
        """Means over the held-out curves of the scores of each."""
        each = [curve.scores() for curve in self.held_out[law]]
        return {name: float(np.mean([scores[name] for scores in each])) for name in each[0]}

    def to_json(self) -> dict[str, Any]:
        """The backtest as one JSON object; scores are means over the held-out curves."""
        return {
            "n_fit": self.n_fit,
            "n_held_out": self.n_held_out,
            "laws": {law: self.scores(law) for law in self.held_out},
            "curves": {
                law: {each.curve.run_id: each.scores() for each in curves}
                for law, curves in self.held_out.items()
            },
            "level": self.level,
            "refused": dict(self.refused),
            "notes": [note.to_json() for note in self.notes],
        }


def backtest_curves(
    fitted: Curves,
    held_out: Curves,
    laws: Sequence[CurveLaw | str] = ("annealing", "multi-power", "multi-power-fading"),
    *,
    level: float = DEFAULT_LEVEL,
    advance: Callable[[str], None] | None = None,
    **options: Any,
) -> CurveBacktest:
    """Fit laws to some curves and predict others.

    Args:
        fitted: what laws are fitted to.
        held_out: what they predict.
        laws: laws or their names.
        level: of the bands.
        advance: called with the name of each law when it is done.
        options: for `fit_curves`.

    Raises:
        FitError: no law can be fitted.
        InputError: a law or an option has no meaning.
    """
    tried: dict[str, tuple[HeldOutCurve, ...]] = {}
    fits: dict[str, CurveFit] = {}
    refused: dict[str, str] = {}
    for law in laws:
        name = law if isinstance(law, str) else law.name
        try:
            fit = fit_curves(fitted, law, **options)
            fit.require_converged()
        except FitError as error:
            refused[name] = str(error)
            continue
        fits[name] = fit
        tried[name] = tuple(held_out_curve(fit, curve, level) for curve in held_out.curves)
        if advance:
            advance(name)
    if not tried:
        raise FitError("; ".join(refused.values()))
    notes = _remarks(fitted, held_out, tried)
    return CurveBacktest(len(fitted), len(held_out), tried, fits, refused, level, notes)


def also_fitted(curve: Curve, fitted: Sequence[Curve]) -> Mask:
    """Which points of a curve are those of a fitted one, before the two runs branched.

    Args:
        curve: a held-out curve.
        fitted: curves that were fitted.

    Returns:
        Shape (points,).
    """
    seen = np.zeros(curve.steps.size, dtype=bool)
    for other in fitted:
        common = min(other.schedule.steps, curve.schedule.steps)
        own, theirs = curve.schedule.rates[:common], other.schedule.rates[:common]
        apart = np.flatnonzero(np.abs(own - theirs) > _SAME_RATE * theirs.max())
        until = int(apart[0]) if apart.size else common
        known = dict(zip(other.steps.tolist(), other.loss.tolist(), strict=True))
        losses = np.array([known.get(step, np.nan) for step in curve.steps.tolist()])
        seen |= (losses == curve.loss) & (curve.steps < until)
    return seen


def _remarks(
    fitted: Curves, held_out: Curves, tried: Mapping[str, Sequence[HeldOutCurve]]
) -> tuple[Note, ...]:
    """A note where held-out curves begin as fitted ones do: their bands are tried too easily."""
    if not fitted.rates_known:
        return ()
    seen = [also_fitted(curve, fitted.curves) for curve in held_out.curves]
    share = float(np.mean(np.concatenate(seen)))
    if not share:
        return ()
    others = {
        law: float(
            np.mean(
                [
                    np.mean(each.inside[~mask])
                    for each, mask in zip(curves, seen, strict=True)
                    if not mask.all()
                ]
            )
        )
        for law, curves in tried.items()
        if not all(mask.all() for mask in seen)
    }
    texts = ", ".join(f"{law} {100 * value:.0f} %" for law, value in others.items())
    message = (
        f"{100 * share:.0f} % of the held-out points are also in fitted curves, from before the "
        f"runs branched; scores count them; coverage of the others: {texts or 'none left'}"
    )
    return (
        Note("points-also-fitted", message, details={"share": share, "coverage_of_others": others}),
    )


def held_out_curve(fit: CurveFit, curve: Curve, level: float = DEFAULT_LEVEL) -> HeldOutCurve:
    """What a fit makes of a curve that it has not seen."""
    predicted = fit.predict_curve(curve, level=level)
    return HeldOutCurve(curve, predicted.loss, predicted.lower, predicted.upper)
