"""The IsoFLOP method of Porian et al. 2024: interpolated curves under a model of the noise.

The released code compares ln L, not L, with the losses between which its noise grows, so that
every loss of a language model gets the smallest noise. Here noise grows with the loss, as was
intended; the two agree for losses up to the lower threshold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isoloss.arrays import Array
from isoloss.errors import InputError
from isoloss.fitting.bootstrap import porian_log_noise
from isoloss.fitting.frontier.budgets import BudgetRuns, best_of_each_size, group_by_budget
from isoloss.fitting.frontier.isoflop import (
    Budget,
    BudgetOptimum,
    IsoflopFit,
    isoflop_fit,
    replicate_seeds,
)
from isoloss.fitting.frontier.power_law import require_replicates
from isoloss.notes import Note
from isoloss.runs import Runs

_LEAST_SIZES = 3
# Points of the interpolated curve for each interval between two sizes.
_GRID_PER_INTERVAL = 25
# Copies with a minimum away from the edges that a budget needs to count.
_LEAST_INTERIOR = 0.5
# Sizes are this coarse: no optimum is known better than a third of their distance.
_SMALLEST_ERROR = 0.33


def fit_isoflop_akima(
    runs: Runs,
    *,
    flops: str | None = None,
    tolerance: float = 0.1,
    noise: str | float = "refinedweb",
    bootstrap: int = 1000,
    seed: int = 0,
) -> IsoflopFit:
    """Fit N* = k C^a and D* = k C^b through the minima of interpolated IsoFLOP curves.

    At each budget the best run of each size is kept, and Akima's spline of ln L over ln N is
    searched on a geometric grid of 25 points an interval. The same is done for copies of the
    losses with Gaussian noise in ln L, minima at either end discarded. N* is the median over the
    copies; its standard error is their spread in logs, a third of the distance of two sizes at
    least, divided by the share of copies with an interior minimum, which has to be a half. D* is
    found alike over ln D. The power laws weigh budgets by the inverse variance.

    Source: Porian et al. 2024, arXiv:2406.19146, and its code, with the noise as intended there.

    Args:
        runs: the table.
        flops: column of training FLOPs; where not given, `flops` if the table has it, else 6 N D.
        tolerance: relative step in FLOPs that separates two budgets.
        noise: standard deviation of ln L from seed to seed; or the corpus whose noise model
            to use, "refinedweb" or "openwebtext2", for losses in nats/token.
        bootstrap: noisy copies.
        seed: of the noise.

    Raises:
        FitError: fewer than two budgets have an optimum.
        InputError: an argument or a column has no meaning.
    """
    require_replicates(bootstrap, 2)
    groups = group_by_budget(runs, flops=flops, tolerance=tolerance)
    seeds = replicate_seeds(seed, len(groups))
    optima = [
        _optimum(group, tolerance, _log_noise(group.loss, noise), bootstrap, own)
        for group, own in zip(groups, seeds, strict=True)
    ]
    return isoflop_fit(
        runs,
        optima,
        method="akima",
        weighted=True,
        n_bootstrap=bootstrap,
        seed=seed,
        notes=[_note(noise)],
    )


@dataclass(frozen=True, eq=False)
class _Minima:
    """Minima of one curve over ln N or ln D: of the losses as measured, and of noisy copies.

    Attributes:
        place: where the measured curve is least; NaN at either end.
        copies: where each copy is least; NaN at either end.
        losses: the least loss of each copy, NaN where that is at either end.
        step: typical distance of two sizes.
    """

    place: float
    copies: Array
    losses: Array
    step: float

    @property
    def interior_share(self) -> float:
        return float(np.mean(np.isfinite(self.copies)))

    @property
    def median(self) -> float:
        return float(np.nanmedian(self.copies))

    @property
    def error(self) -> float:
        spread = max(float(np.nanstd(self.copies)), _SMALLEST_ERROR * self.step)
        return spread / self.interior_share

    def doubt(self, name: str) -> str:
        """Why the minimum does not count; empty where it does."""
        if np.isnan(self.place):
            return f"the least loss over ln {name} is at the edge of the runs"
        if self.interior_share < _LEAST_INTERIOR:
            return (
                f"{self.interior_share:.0%} of the noisy copies have a minimum over ln {name} "
                f"inside the runs, {_LEAST_INTERIOR:.0%} are needed"
            )
        return ""


def _optimum(
    group: BudgetRuns, tolerance: float, log_noise: Array, bootstrap: int, seed: int
) -> BudgetOptimum:
    """The minimum of one budget's curve, or why it has none."""
    doubt = group.doubt(tolerance, _LEAST_SIZES)
    if doubt:
        return BudgetOptimum.reject(group, doubt)
    normal = np.random.default_rng(seed).standard_normal((group.n_runs, bootstrap))
    copies = group.loss[:, None] * np.exp(log_noise[:, None] * normal)
    by_params = _minima(group.log_params, group.loss, copies)
    by_tokens = _minima(group.log_tokens, group.loss, copies)
    doubt = by_params.doubt("N") or by_tokens.doubt("D")
    if doubt:
        return BudgetOptimum.reject(group, doubt)
    budget = Budget(
        flops=group.flops,
        n_runs=group.n_runs,
        n_sizes=group.n_sizes,
        half_width=group.half_width,
        off_centre=float(np.exp(group.log_centre - by_params.median)),
        params=float(np.exp(by_params.median)),
        tokens=float(np.exp(by_tokens.median)),
        loss=float(np.nanmedian(by_params.losses)),
        params_error=by_params.error,
        tokens_error=by_tokens.error,
        residual=0.0,
        interior_share=by_params.interior_share,
    )
    return BudgetOptimum(budget, by_params.copies, by_tokens.copies, by_params.losses)


def _minima(log_sizes: Array, loss: Array, copies: Array) -> _Minima:
    """Search the interpolated curves of the best runs of each size."""
    from scipy.interpolate import Akima1DInterpolator

    best = best_of_each_size(log_sizes, loss)
    places, intervals = log_sizes[best], best.size - 1
    grid = np.linspace(places[0], places[-1], intervals * _GRID_PER_INTERVAL)
    losses = np.column_stack([loss, copies])[best]
    curves = Akima1DInterpolator(places, np.log(losses))(grid)
    least = np.argmin(curves, axis=0)
    inside = (least > 0) & (least < grid.size - 1)
    found = np.where(inside, grid[least], np.nan)
    values = np.where(inside, np.exp(np.min(curves, axis=0)), np.nan)
    return _Minima(
        place=float(found[0]),
        copies=found[1:],
        losses=values[1:],
        step=_GRID_PER_INTERVAL * float(grid[1] - grid[0]),
    )


def _log_noise(loss: Array, noise: str | float) -> Array:
    """Standard deviation of ln L of each run."""
    if isinstance(noise, str):
        return porian_log_noise(loss, noise)
    if not (np.isfinite(noise) and noise > 0):
        raise InputError(
            "no noise",
            where="noise",
            found=f"{noise:g}",
            expected="the standard deviation of ln L, above 0",
        )
    return np.full(loss.shape, float(noise))


def _note(noise: str | float) -> Note:
    size = (
        f"the noise of {noise} as its authors meant it, not as their code has it"
        if isinstance(noise, str)
        else f"a noise of {noise:g} in ln L"
    )
    return Note(
        "akima-noise",
        "interpolated curves do not have the bias of parabolas, but follow the noise of single "
        f"runs and are no finer than the sizes run; errors suppose {size}",
        details={"noise": noise},
    )
