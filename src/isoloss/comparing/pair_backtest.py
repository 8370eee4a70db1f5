"""Rolling backtests of two recipes: how laws err, and how errors of the difference grow.

Both recipes are fitted together to the cheapest runs, and dearer ones predicted that both have
made, or made nearly alike. The errors of their losses say which law to believe, as in a forecast;
those of their difference how sure it is, for what a law gets wrong about both alike cancels there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from isoloss.arrays import Array, Indices
from isoloss.comparing.pair_ensemble import log_losses, log_ratio
from isoloss.comparing.pair_fit import PairFit, PairProblem, fit_pair
from isoloss.comparing.pairing import neighbours
from isoloss.errors import FitError
from isoloss.fitting import ErrorGrowth
from isoloss.forecasting import SHARES, ErrorTable, Region, RollingErrors, pooled
from isoloss.laws import Surface
from isoloss.runs import Runs

# Runs count as made alike up to this distance in log N and log D.
_NEAR = 0.35
_FEWEST_RUNS = 2
_DRAWS = 100
_N_D = ("params", "tokens")


@dataclass(frozen=True, eq=False)
class PairFold:
    """Dearer runs of both recipes, predicted by laws fitted to the cheaper ones.

    Attributes:
        number: of the fold; later ones fit more.
        row: which run of the first table.
        reach: how far beyond the fitted runs, see `Region.reach`.
        losses: of each law, ln(predicted / measured) of each recipe's runs, shape (2, runs).
        variances: of each law, what mean square of the difference of these two its fit and the
            noise of runs expect.
        failed: why each of the other laws has none.
    """

    number: int
    row: Indices
    reach: Array
    losses: Mapping[str, Array]
    variances: Mapping[str, Array]
    failed: Mapping[str, str]


@dataclass(frozen=True)
class PairBacktest:
    """All folds of two tables.

    Attributes:
        folds: those in which a law could be fitted and dearer runs predicted.
    """

    folds: tuple[PairFold, ...]

    def scores(self, names: list[str]) -> Array:
        """Mean absolute error of each law, as a forecast's laws are scored; NaN without folds."""
        return ErrorTable.of([self._errors(name) for name in names]).scores()

    def _errors(self, name: str) -> RollingErrors:
        """One law's errors of both recipes' losses, in the form of backtests of one table."""
        own = [fold for fold in self.folds if name in fold.losses]
        failed = {fold.number: fold.failed[name] for fold in self.folds if name in fold.failed}
        nothing = np.empty(0, dtype=np.int64)
        return RollingErrors(
            np.concatenate([nothing, *(np.full(2 * fold.row.size, fold.number) for fold in own)]),
            np.concatenate([nothing, *(np.r_[2 * fold.row, 2 * fold.row + 1] for fold in own)]),
            np.concatenate([np.empty(0), *(fold.losses[name].ravel() for fold in own)]),
            np.concatenate([np.empty(0), *(np.tile(fold.reach, 2) for fold in own)]),
            failed,
        )

    def growth(self, weights: Mapping[str, float]) -> ErrorGrowth | None:
        """Growth of the error of the weighted difference, over what its deviation says.

        Folds are one observation each, since errors within a fold hang together: only what exceeds
        the expected mean square by more than its own standard deviation counts as growth.

        Args:
            weights: share of each law.

        Returns:
            The growth; None where no fold could be made.
        """
        observed, expected, reach = [], [], []
        for fold in self.folds:
            names = [name for name in fold.losses if weights.get(name, 0.0) > 0]
            if not names:
                continue
            shares = np.array([weights[name] for name in names])
            shares /= shares.sum()
            differences = [fold.losses[name][0] - fold.losses[name][1] for name in names]
            error = pooled(np.stack(differences), shares)
            observed.append(np.mean(error**2))
            expected.append(np.mean(shares @ np.stack([fold.variances[name] for name in names])))
            reach.append(fold.reach)
        if not observed:
            return None
        far = np.concatenate(reach)
        chance = 1.0 + np.sqrt(2.0 / len(observed))
        excess = max(0.0, float(np.mean(observed) - chance * np.mean(expected)))
        return ErrorGrowth(float(np.sqrt(excess / np.mean(far**2))), far.size)


def pair_backtest(
    tables: tuple[Runs, Runs], laws: Mapping[str, tuple[PairFit, Surface]], *, seed: int = 0
) -> PairBacktest:
    """Fit laws to the cheapest runs of two tables, and predict dearer ones of both.

    Args:
        tables: the two recipes' runs.
        laws: of each law, by name: its fit at the width that counts most, and the law fitted to
            both tables as one.
        seed: of draws.
    """
    folds = (_fold(tables, laws, number, share, seed) for number, share in enumerate(SHARES))
    return PairBacktest(tuple(fold for fold in folds if fold is not None and fold.losses))


def _fold(
    tables: tuple[Runs, Runs],
    laws: Mapping[str, tuple[PairFit, Surface]],
    number: int,
    share: float,
    seed: int,
) -> PairFold | None:
    """The fold that fits a share of all runs; None where it leaves too little on either side."""
    limit = float(np.quantile(np.concatenate([runs.flops for runs in tables]), share)) * (1 + 1e-6)
    cheap = (tables[0].take(tables[0].flops <= limit), tables[1].take(tables[1].flops <= limit))
    dear = (tables[0].take(tables[0].flops > limit), tables[1].take(tables[1].flops > limit))
    if min(map(len, cheap)) < _FEWEST_RUNS or min(map(len, dear)) == 0:
        return None
    matched = neighbours(*dear, _NEAR)
    region = Region.of(
        {name: np.concatenate([runs.column(name) for runs in cheap]) for name in _N_D}
    )
    first = dear[0].take(matched[:, 0])
    reach = region.reach(params=first.params, tokens=first.tokens)
    matched, reach = matched[reach > 0], reach[reach > 0]
    if not reach.size:
        return None
    pairs = [runs.take(rows) for runs, rows in zip(dear, matched.T, strict=True)]
    places = [(runs.params, runs.tokens) for runs in pairs]
    measured = np.log([runs.loss for runs in pairs])
    losses, variances, failed = {}, {}, {}
    for name, (whole, middle) in laws.items():
        try:
            problem = PairProblem.of(whole.law, cheap, middle)
            fitted = next(iter(fit_pair(problem, (whole.width,), draws=_DRAWS, seed=seed)))
        except FitError as error:
            failed[name] = str(error)
            continue
        variance = log_ratio(fitted, places[0], places[1])[1]
        off = log_losses(fitted, places[0], places[1]) - measured
        if np.all(np.isfinite(off) & np.isfinite(variance)):
            losses[name] = off
            variances[name] = variance + whole.noise_difference**2
        else:
            failed[name] = "the cheaper runs do not determine the difference"
    row = np.flatnonzero(tables[0].flops > limit)[matched[:, 0]]
    return PairFold(number, row, reach, losses, variances, failed)
