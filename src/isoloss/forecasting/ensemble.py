"""Several laws as one: fitted to the same table, weighed by how they extrapolated on it.

Laws err in different directions, and which one errs least depends on the table. Three things speak
for a law: how often laws of its kind extrapolate well (`Law.standing`), how well it fits the runs
at hand for the parameters it takes (`Fit.log_evidence`), and how little it erred when predicting
the dearer runs from the cheaper. The odds of a law are their product. The evidence of n runs counts
as that of far fewer, in proportion to the square root of n: runs of one sweep share their recipe
and their errors, and a law may fit well and extrapolate badly, but what a large grid says against a
law outweighs any standing in the end. The proportion and the standings were chosen on public
tables; `benchmarks/extrapolation.py --choose` leaves one origin out at a time. `pooling` makes one
prediction of the weighted laws, and `correction` then adds what the fitted runs' departures from it
lead to expect.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from isoloss.arrays import Array, Indices
from isoloss.errors import FitError
from isoloss.fitting import STAGED_METHODS, ErrorGrowth, Fit, Objective, fit
from isoloss.forecasting.pooling import pooled
from isoloss.forecasting.reach import Region
from isoloss.forecasting.rolling import (
    Folds,
    RollingErrors,
    folds_by_compute,
    rolling_errors,
    with_errors,
)
from isoloss.laws import CANDIDATES, Input, Law
from isoloss.notes import Note
from isoloss.runs import Runs

DEFAULT_BOOTSTRAP = 100
# The evidence of n runs counts as that of so many times sqrt(n) independent ones.
_EVIDENCE_GROWTH = 0.65
# How much more each fold counts than the one before, which fits fewer runs: the last, fitted to
# most of the table, is most like the forecast.
_LATER_FOLD = 9.0
# Weights below this share change nothing that could be noticed.
_NEGLIGIBLE = 0.005


@dataclass(frozen=True, eq=False)
class Candidates:
    """Laws fitted to one table, with their backtests on it.

    Attributes:
        fits: fit of each law that the table can carry, by name.
        errors: rolling backtest of each.
        folds: what the backtests fitted.
        refused: why each of the other laws is not there.
        region: what the table covers.
        notes: what to know of the table.
        runs: the table.
        inputs: all that the laws read, those that are not there too.
    """

    fits: Mapping[str, Fit]
    errors: Mapping[str, RollingErrors]
    folds: Folds
    refused: Mapping[str, str]
    region: Region
    notes: tuple[Note, ...]
    runs: Runs
    inputs: tuple[Input, ...]

    def only(self, columns: Collection[str], target: str) -> Candidates:
        """The candidates that read nothing but some columns and predict the target."""
        wanted = {*columns, target}
        fits = {
            name: fit
            for name, fit in self.fits.items()
            if fit.law.target.name == target and fit.law.columns.keys() <= wanted
        }
        inputs = tuple(entry for entry in self.inputs if entry.name in columns)
        return replace(self, fits=fits, inputs=inputs)


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Weights of laws, and how the weighted prediction erred in the backtests.

    Attributes:
        weights: share of each law; they sum to one.
        scores: mean absolute log error of each law in the backtests.
        growth: how the weighted prediction's error grew; None without backtests.
        errors: the weighted prediction's own errors in the backtests.
    """

    weights: Mapping[str, float]
    scores: Mapping[str, float]
    growth: ErrorGrowth | None
    errors: RollingErrors


def fit_candidates(
    runs: Runs,
    laws: Sequence[Law] | None = None,
    *,
    objective: Objective | str = "huber",
    method: str = "joint",
    folds: Folds | None = None,
    bootstrap: int = DEFAULT_BOOTSTRAP,
    seed: int = 0,
    threads: int | None = None,
    advance: Callable[[str], None] | None = None,
) -> Candidates:
    """Fit every law that a table can carry, and backtest each on it.

    Args:
        runs: the table.
        laws: candidates; the whole catalogue where not given.
        objective: what fits minimise.
        method: "joint", or "staged" for laws whose authors fit them in stages.
        folds: what backtests fit and predict; the cheapest runs and the dearer ones if not given.
        bootstrap: replicates of each law.
        seed: of starts and replicates.
        threads: for the solver.
        advance: called with the name of each law when it is done.

    Raises:
        FitError: the table can carry none of them.
    """
    folds = folds or folds_by_compute(runs)
    fits: dict[str, Fit] = {}
    errors: dict[str, RollingErrors] = {}
    refused: dict[str, str] = {}
    tried = tuple(laws or CANDIDATES)
    for law in tried:
        try:
            fitted = fit(
                runs,
                law,
                objective=objective,
                method=method if law.name in STAGED_METHODS else "joint",
                bootstrap=bootstrap,
                seed=seed,
                threads=threads,
            )
            fitted.require_converged()
        except FitError as error:
            refused[law.name] = str(error)
        else:
            rolled = rolling_errors(fitted, runs, folds, seed=seed, threads=threads)
            fits[law.name], errors[law.name] = with_errors(fitted, rolled), rolled
        if advance:
            advance(law.name)
    if not fits:
        reasons = "; ".join(dict.fromkeys(refused.values()))
        raise FitError(f"no law can be fitted to {runs.source}: {reasons}")
    inputs = {entry.name: entry for law in tried for entry in law.inputs}
    region = Region.of_runs(runs)
    return Candidates(
        fits, errors, folds, refused, region, runs.notes, runs, tuple(inputs.values())
    )


def weigh(candidates: Candidates, names: Sequence[str]) -> Ensemble:
    """Weights of the named laws; see the module for what they are made of."""
    table = ErrorTable.of([candidates.errors[name] for name in names])
    fits = [candidates.fits[name] for name in names]
    scores = table.scores(candidates.folds.ordered)
    shares = law_shares(
        [fit.law for fit in fits],
        np.array([fit.log_evidence for fit in fits]),
        max(fit.n_runs for fit in fits),
        scores,
    )
    errors = table.weighted(candidates, names, shares)
    noise = float(shares @ [fit.noise for fit in fits])
    return Ensemble(
        dict(zip(names, shares.tolist(), strict=True)),
        dict(zip(names, scores.tolist(), strict=True)),
        ErrorGrowth.of_errors(errors.log_error, errors.reach, noise) if table.fold.size else None,
        errors,
    )


def fold_emphasis(fold: Indices, ordered: bool = True) -> Array:
    """Weight of each held-out run, summing to one: runs of a fold alike, later folds more.

    Folds that are not ordered count alike.
    """
    emphasis = (_LATER_FOLD if ordered else 1.0) ** fold / np.bincount(fold)[fold]
    return np.asarray(emphasis / emphasis.sum())


def law_shares(
    laws: Sequence[Law], evidence: Array, n_runs: int, scores: Array, *, alike: bool = False
) -> Array:
    """Weight of each law, in proportion to its odds; those that would change nothing get none.

    Args:
        laws: for their standings; laws without any, all of them, start alike.
        evidence: log evidence of each.
        n_runs: runs behind it.
        scores: mean absolute log error of each in the backtests; NaN without any.
        alike: whether laws start alike whatever their standings: what the runs alone say.
    """
    standings = np.array([law.standing for law in laws])
    odds = standings if standings.any() and not alike else np.ones(len(laws))
    share = min(1.0, _EVIDENCE_GROWTH / math.sqrt(n_runs))
    odds = odds * np.exp(share * (evidence - evidence.max()))
    if np.all(np.isfinite(scores)):
        odds = odds / np.maximum(scores, max(float(scores.min()), 1e-10))
    shares = odds / odds.sum()
    shares = np.where(shares < _NEGLIGIBLE, 0.0, shares)
    return np.asarray(shares / shares.sum())


@dataclass(frozen=True, eq=False)
class ErrorTable:
    """Backtests of several laws side by side, one row a held-out run and fold.

    Where a law could not be fitted to a fold it is given the worst error of the others there.

    Attributes:
        fold: which fold.
        row: which run of the table.
        log_errors: ln(predicted / measured), shape (held-out runs, laws).
        reach: how far beyond the fold's fitted runs.
    """

    fold: Indices
    row: Indices
    log_errors: Array
    reach: Array

    @classmethod
    def of(cls, all_errors: Sequence[RollingErrors]) -> ErrorTable:
        """The backtests of several laws, by the same folds."""
        keys = sorted(
            {
                (int(fold), int(row))
                for errors in all_errors
                for fold, row in zip(errors.fold, errors.row, strict=True)
            }
        )
        position = {key: index for index, key in enumerate(keys)}
        matrix = np.full((len(keys), len(all_errors)), np.nan)
        reach = np.zeros(len(keys))
        for column, errors in enumerate(all_errors):
            own = [position[int(f), int(r)] for f, r in zip(errors.fold, errors.row, strict=True)]
            matrix[own, column] = errors.log_error
            reach[own] = errors.reach
        if keys:
            # With its sign: an error of the other sign would cancel in the mean and be rewarded.
            place = np.nanargmax(np.abs(matrix), axis=1)
            worst = np.take_along_axis(matrix, place[:, None], axis=1)
            matrix = np.where(np.isnan(matrix), worst, matrix)
        fold, row = np.array(keys, dtype=np.int64).reshape(-1, 2).T
        return cls(fold, row, matrix, reach)

    def scores(self, ordered: bool = True) -> Array:
        """Mean absolute log error of each law, see `fold_emphasis`; NaN without backtests."""
        if not self.fold.size:
            return np.full(self.log_errors.shape[1], np.nan)
        return np.asarray(fold_emphasis(self.fold, ordered) @ np.abs(self.log_errors))

    def weighted(
        self, candidates: Candidates, names: Sequence[str], shares: Array
    ) -> RollingErrors:
        """Errors and residuals of the weighted prediction."""
        residuals = {}
        for fold in np.unique(self.fold).tolist():
            told = [
                (share, candidates.errors[name].residuals[fold])
                for name, share in zip(names, shares.tolist(), strict=True)
                if share > 0 and fold in candidates.errors[name].residuals
            ]
            if told:
                weights = np.array([share for share, _ in told])
                own = np.stack([each for _, each in told])
                residuals[fold] = pooled(own, weights / weights.sum())
        log_errors = pooled(self.log_errors.T, shares)
        return RollingErrors(self.fold, self.row, log_errors, self.reach, {}, residuals)
