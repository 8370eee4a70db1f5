"""Rolling backtests: fit the cheapest runs of a table, predict the dearer ones, several times."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from isoloss.arrays import Array, Indices, Mask
from isoloss.errors import FitError
from isoloss.fitting import ErrorGrowth, Fit
from isoloss.fitting.fit import staged_working
from isoloss.fitting.identifiability import require_carrying
from isoloss.fitting.problem import Problem
from isoloss.fitting.solver import solve
from isoloss.fitting.starts import random_starts
from isoloss.fitting.tables import GivenTables
from isoloss.forecasting.reach import Region
from isoloss.laws import PARAMS, TOKENS, Input
from isoloss.runs import Runs

SHARES = (0.4, 0.55, 0.7, 0.85)
_STARTS = 12
# The smallest table of which a share still tells something.
_MIN_FITTED = 4
# Points that lie on average less than this outside a table, in logs, count as inside.
_OUTSIDE = 0.05
# Parts that a table falls into where nothing orders its runs.
_PARTS = 5
# ln(predicted/measured) beyond this is a failure whatever its size; it keeps averages finite.
_LARGEST_ERROR = 1.0


@dataclass(frozen=True)
class Folds:
    """Which runs each fold fits.

    Attributes:
        fitted: shape (rows, folds); the runs not fitted are the ones predicted.
        shares: the share of runs that each fold fits.
        asked: what is predicted from what, for people.
        ordered: whether later folds fit more, and are more like the forecast.
    """

    fitted: Mask
    shares: tuple[float, ...]
    asked: str = "the dearer runs from the cheaper"
    ordered: bool = True


@dataclass(frozen=True)
class RollingErrors:
    """Errors on runs that were not fitted, one entry a held-out run and fold.

    Attributes:
        fold: which fold.
        row: which run of the table.
        log_error: ln(predicted / measured).
        reach: how far beyond the fold's fitted runs, see `Region.reach`.
        failed: folds that the law could not be fitted to, with the reason.
        residuals: of each fold, ln(predicted / measured) of the runs that it fitted, one entry a
            row of the table; NaN on the rest.
    """

    fold: Indices
    row: Indices
    log_error: Array
    reach: Array
    failed: Mapping[int, str]
    residuals: Mapping[int, Array] = field(default_factory=dict)


def folds_by_compute(runs: Runs, shares: tuple[float, ...] = SHARES) -> Folds:
    """Folds that fit the given shares of a table, cheapest runs first.

    Runs of equal compute stay together. A table without N and D is ordered by the one of them, or
    the FLOPs, that it has; without any it has no folds. Folds that would leave nothing to predict,
    too little to fit, or repeat another are left out.
    """
    with np.errstate(all="ignore"):
        return _in_order(np.log(_costs(runs)), shares)


def folds_for(
    runs: Runs,
    points: Mapping[str, Array],
    inputs: Iterable[Input],
    shares: tuple[float, ...] = SHARES,
) -> Folds:
    """Folds that predict runs lying beyond the fitted ones as points lie beyond the table.

    Points of N and D alone, whose compute says how far they lie: see `folds_by_compute`. With other
    columns, runs are put in order along the direction in which the points lie outside the table on
    average, each column counting by how far, in logs. Points inside the table are more like runs
    left out at random: each fifth is then predicted from the other four.

    Args:
        runs: the table.
        points: what is known of each point, one array a column.
        inputs: what these columns are.
        shares: of the runs to fit, those farthest from the points first.
    """
    if points.keys() == {PARAMS.name, TOKENS.name}:
        return folds_by_compute(runs, shares)
    signed = frozenset(entry.name for entry in inputs if not entry.positive)
    columns = {name: runs.numbers(name, name not in signed) for name in points}
    region = Region.of(columns, signed)
    outside = {name: float(np.mean(each)) for name, each in region.excess(**points).items()}
    if max(map(abs, outside.values())) < _OUTSIDE:
        return _fifths(len(runs))
    places = region.places(**columns)
    along = np.sum([far * places[name] for name, far in outside.items()], axis=0)
    asked = "the runs farthest towards the points from the others"
    return _in_order(along / max(map(abs, outside.values())), shares, asked)


def _fifths(count: int) -> Folds:
    """Each fifth of a table, drawn at random, from the other four."""
    fold = np.random.default_rng(0).permutation(count) % _PARTS
    fitted = fold[:, None] != np.arange(_PARTS)
    able = fitted.sum(axis=0) >= _MIN_FITTED
    shares = tuple(fitted.mean(axis=0)[able].tolist())
    return Folds(fitted[:, able], shares, "each fifth of the runs from the others", ordered=False)


def _in_order(place: Array, shares: tuple[float, ...], asked: str = Folds.asked) -> Folds:
    """Folds that fit the given shares of a table, in order of place."""
    kept: list[Mask] = []
    used: list[float] = []
    for share in shares:
        last = np.quantile(place, share)
        # Budgets of one IsoFLOP profile differ by rounding.
        fitted = place <= last + 1e-6
        distinct = not any(np.array_equal(fitted, other) for other in kept)
        if distinct and _MIN_FITTED <= fitted.sum() < place.size:
            kept.append(fitted)
            used.append(float(fitted.mean()))
    columns = np.column_stack(kept) if kept else np.empty((place.size, 0), dtype=bool)
    return Folds(columns, tuple(used), asked)


def _costs(runs: Runs) -> Array:
    """What orders runs by cost; the same for all where nothing does."""
    names = set(runs.frame.columns)
    if {"params", "tokens"} <= names:
        return runs.flops
    known = [name for name in ("flops", "params", "tokens") if name in names]
    return runs.column(known[0]) if known else np.ones(len(runs))


def rolling_errors(
    fit: Fit, runs: Runs, folds: Folds, *, seed: int = 0, threads: int | None = None
) -> RollingErrors:
    """Refit a law to each fold of its own table and predict the rest.

    All folds are one batch of the solver, each from random starts and from the optimum of the
    whole table, which only helps the search: the lowest objective on the fold's own runs wins.

    Args:
        fit: the law fitted to the whole table, with its objective and weights.
        runs: that table.
        folds: what to fit and predict.
        seed: of the starts.
        threads: for the solver.
    """
    problem = fit.problem
    refit = _refit_staged if fit.method == "staged" else _refit_jointly
    refitted, failed = refit(problem, fit, folds, seed, threads)
    parts = []
    residuals = {}
    for fold, working in refitted.items():
        rows = np.flatnonzero(~folds.fitted[:, fold] & (fit.rows.weights > 0))
        with np.errstate(all="ignore"):
            predicted = problem.predict(working[:, None])[rows, 0]
            off = fit.scale.of(predicted) - fit.scale.of(problem.measured[rows])
        off = np.where(np.isfinite(off), off, _LARGEST_ERROR)
        seen = [column[folds.fitted[:, fold]] for column in fit.rows.inputs]
        held_out = [column[rows] for column in fit.rows.inputs]
        names = [entry.name for entry in fit.law.inputs]
        region = Region.of_law(fit.law, seen)
        reach = region.reach(**dict(zip(names, held_out, strict=True)))
        clipped = np.clip(off, -_LARGEST_ERROR, _LARGEST_ERROR)
        parts.append((np.full(rows.size, fold), rows, clipped, reach))
        residuals[fold] = _residuals(problem, working, folds.fitted[:, fold], fit.rows.weights)
    if not parts:
        nothing = np.empty(0, dtype=np.int64)
        return RollingErrors(nothing, nothing, np.empty(0), np.empty(0), failed)
    fold_of, row, error, reached = [np.concatenate(each) for each in zip(*parts, strict=True)]
    return RollingErrors(fold_of, row, error, reached, failed, residuals)


def _residuals(problem: Problem, working: Array, fitted: Mask, weights: Array) -> Array:
    """ln(predicted / measured) of the rows that were fitted, NaN on the rest."""
    with np.errstate(all="ignore"):
        off = np.log(problem.predict(working[:, None])[:, 0] / problem.measured)
    return np.where(fitted & (weights > 0), off, np.nan)


def _refit_jointly(
    problem: Problem, fit: Fit, folds: Folds, seed: int, threads: int | None
) -> tuple[dict[int, Array], dict[int, str]]:
    """Working parameters on each fold that could be fitted, and why the others could not."""
    starts = np.column_stack([random_starts(problem, _STARTS, seed), fit.surface.working])
    failed: dict[int, str] = {}
    able: list[int] = []
    for fold in range(folds.fitted.shape[1]):
        try:
            require_carrying(problem, fit.rows.weights * folds.fitted[:, fold], starts[:, :8])
            able.append(fold)
        except FitError as error:
            failed[fold] = str(error)
    per_fold = starts.shape[1]
    weights = fit.rows.weights[:, None] * folds.fitted[:, able]
    if not able:
        return {}, failed
    solution = solve(
        problem,
        np.tile(starts, (1, len(able))),
        GivenTables(np.repeat(weights, per_fold, axis=1)),
        threads=threads,
    )
    refitted = {}
    for position, fold in enumerate(able):
        own = slice(position * per_fold, (position + 1) * per_fold)
        value = np.where(solution.converged[own], solution.value[own], np.inf)
        if np.isfinite(value).any():
            refitted[fold] = solution.working[:, own][:, int(np.argmin(value))]
        else:
            failed[fold] = f"law {fit.law.name} did not converge on the cheapest runs"
    return refitted, failed


def _refit_staged(
    problem: Problem, fit: Fit, folds: Folds, seed: int, threads: int | None
) -> tuple[dict[int, Array], dict[int, str]]:
    """As `_refit_jointly`, by the staged method of the law's authors."""
    refitted, failed = {}, {}
    for fold in range(folds.fitted.shape[1]):
        weights = fit.rows.weights * folds.fitted[:, fold]
        try:
            refitted[fold] = staged_working(problem, fit.rows.inputs, weights)
        except FitError as error:
            failed[fold] = str(error)
    return refitted, failed


def calibrate(fit: Fit, runs: Runs, *, seed: int = 0, threads: int | None = None) -> Fit:
    """The fit, knowing from rolling backtests how its errors grow beyond the data.

    A table too small for backtests leaves the fit as it is.
    """
    errors = rolling_errors(fit, runs, folds_by_compute(runs), seed=seed, threads=threads)
    return with_errors(fit, errors)


def with_errors(fit: Fit, errors: RollingErrors) -> Fit:
    """The fit, knowing how its errors grew in these backtests; as it is where there were none."""
    if not errors.log_error.size:
        return fit
    return fit.with_growth(ErrorGrowth.of_errors(errors.log_error, errors.reach, fit.noise))
