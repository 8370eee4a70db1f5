"""From two tables of runs to weighed laws: which laws, with what weight, and how sure.

A law's odds are those of a forecast (`forecasting.law_shares`): its standing, the evidence of the
runs, here of both recipes fitted together, and how little it erred in backtests of both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from isoloss.comparing.pair_backtest import pair_backtest
from isoloss.comparing.pair_ensemble import PairEnsemble, PairLaw
from isoloss.comparing.pair_fit import PairFit, PairProblem, fit_pair
from isoloss.comparing.pairing import Pairing
from isoloss.errors import FitError
from isoloss.fitting import Objective, fit
from isoloss.forecasting import Region, departures, law_shares
from isoloss.laws import Law, Surface
from isoloss.runs import Runs

Point = tuple[float, float]
# Of the law fitted to both recipes as one, which is only where the search begins.
_STARTS = 32
# Spread of the log ratio, as a standard deviation, beyond which a law says nothing about it.
_UNBOUNDED = 0.3


@dataclass(frozen=True)
class Settings:
    """What all pairs of a comparison have in common.

    Attributes:
        points: N and D of each.
        laws: candidates.
        objective: what the fit of both recipes as one minimises, where the search begins.
        draws: of each law's parameters.
        level: of all intervals.
        path: see `gain.compute_gain`.
        seed: of starts and draws.
        threads: for the solver.
        advance: called with the name of each law when it has been fitted to a pair.
    """

    points: tuple[Point, ...]
    laws: tuple[Law, ...]
    objective: Objective | str
    draws: int
    level: float
    path: str
    seed: int
    threads: int | None
    advance: Callable[[str], None] | None = None


@dataclass(frozen=True, eq=False)
class WeighedLaws:
    """The laws of two recipes, and how they came to be used.

    Attributes:
        ensemble: the laws.
        problem: that of the law of most weight.
        pairing: which runs are pairs.
        reasons: one line a law of why it counts, or why it was left out.
    """

    ensemble: PairEnsemble
    problem: PairProblem
    pairing: Pairing
    reasons: Mapping[str, str]


@dataclass(frozen=True, eq=False)
class _Fitted:
    """One law fitted to both recipes.

    Attributes:
        middle: the law fitted to both tables as one.
        problem: law and tables.
        widths: the fit at each width of the recipes' difference that counts, with its share.
    """

    middle: Surface
    problem: PairProblem
    widths: Mapping[PairFit, float]

    @property
    def likeliest(self) -> PairFit:
        """The fit at the width that counts most."""
        return max(self.widths, key=lambda each: self.widths[each])


def weigh_laws(
    names: tuple[str, str], tables: tuple[Runs, Runs], settings: Settings
) -> WeighedLaws:
    """Fit every law to both recipes together, and weigh those that can be believed.

    Args:
        names: of the recipes.
        tables: their runs.
        settings: of the comparison.

    Raises:
        FitError: no law can be fitted to both, or none can be believed at the points.
    """
    region = Region.of(
        {
            name: np.concatenate([runs.positive(name) for runs in tables])
            for name in ("params", "tokens")
        }
    )
    pairing = Pairing.of(*tables)
    columns = ("params", "tokens", "loss")
    both = Runs(pl.concat([runs.frame.select(columns) for runs in tables]), "both recipes")
    fits: dict[str, _Fitted] = {}
    reasons: dict[str, str] = {}
    for law in settings.laws:
        try:
            fitted = _fit(law, tables, both, pairing, settings)
        except FitError as error:
            reasons[law.name] = str(error)
        else:
            doubt = _doubt(fitted, region, settings.points)
            if doubt:
                reasons[law.name] = doubt
            else:
                fits[law.name] = fitted
        if settings.advance:
            settings.advance(law.name)
    if not fits:
        listed = "; ".join(dict.fromkeys(reasons.values()))
        raise FitError(f"no law can compare {names[0]} with {names[1]}: {listed}")
    backtest = pair_backtest(
        tables,
        {name: (each.likeliest, each.middle) for name, each in fits.items()},
        seed=settings.seed,
    )
    scores = backtest.scores(list(fits))
    evidence = np.array([each.likeliest.log_evidence for each in fits.values()])
    named = [each.problem.law.law for each in fits.values()]
    shares, plausible = (
        law_shares(named, evidence, len(both), scores, alike=alike).tolist()
        for alike in (False, True)
    )
    weights = dict(sorted(zip(fits, shares, strict=True), key=lambda item: -item[1]))
    errors = dict(zip(fits, scores.tolist(), strict=True))
    weighed = [
        PairLaw(weight, plausibility, tuple(each.widths.items()))
        for each, weight, plausibility in zip(fits.values(), shares, plausible, strict=True)
        if weight > 0 or plausibility > 0
    ]
    ensemble = PairEnsemble(tuple(weighed), backtest.growth(weights), region)
    lines = {name: _reason(weights[name], errors[name], fits[name]) for name in weights}
    return WeighedLaws(
        ensemble,
        fits[next(iter(ensemble.weights))].problem,
        pairing,
        {**lines, **{name: f"left out: {why}" for name, why in reasons.items()}},
    )


def _fit(
    law: Law, tables: tuple[Runs, Runs], both: Runs, pairing: Pairing, settings: Settings
) -> _Fitted:
    """One law fitted to both tables as one, where the search begins, and to each recipe.

    Raises:
        FitError: the runs are too few for it, or it reads more than they tell.
    """
    if not {entry.name for entry in law.inputs} <= {"params", "tokens"}:
        raise FitError("it reads more than N and D")
    fitted = fit(
        both,
        law,
        objective=settings.objective,
        starts=_STARTS,
        seed=settings.seed,
        threads=settings.threads,
    )
    fitted.require_converged()
    problem = PairProblem.of(law, tables, fitted.surface, pairing)
    widths = fit_pair(problem, draws=settings.draws, seed=settings.seed)
    return _Fitted(fitted.surface, problem, widths)


def _doubt(fitted: _Fitted, region: Region, points: Sequence[Point]) -> str:
    """Why a law cannot be believed at a point; empty where it can."""
    likeliest = fitted.likeliest
    alone = PairEnsemble((PairLaw(1.0, 1.0, tuple(fitted.widths.items())),), None, region)
    for params, tokens in points:
        for surface in (likeliest.surface_a, likeliest.surface_b):
            reasons = departures(surface, region, params=params, tokens=tokens)
            if reasons:
                return f"at N={params:g}, D={tokens:g} {'; '.join(dict.fromkeys(reasons))}"
        if not alone.contrast(params, tokens).parameters[0] <= _UNBOUNDED:
            return f"at N={params:g}, D={tokens:g} the runs do not determine the difference"
    return ""


def _reason(weight: float, score: float, fitted: _Fitted) -> str:
    likeliest = fitted.likeliest
    count = likeliest.surface_a.working.size
    tested = ""
    if not np.isnan(score):
        percent = f"{100 * score:.2f} %"
        tested = f"{percent} error when predicting dearer runs of both from the cheaper; "
    return (
        f"weight {weight:.2f}: {tested}the runs determine {likeliest.n_different:.1f} of {count} "
        f"differences between the recipes' parameters, the rest are held at "
        f"{100 * likeliest.width:.2g} % in their effect on the loss"
    )
