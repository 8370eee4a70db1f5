"""How many breaks a broken power law should have: what predicts the largest runs best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from isoloss.arrays import Array, Mask
from isoloss.errors import FitError, InputError
from isoloss.fitting import Fit, Objective, fit
from isoloss.laws import LOSS, Input, Law, Target
from isoloss.laws.broken import broken_law
from isoloss.laws.power import FLOPS
from isoloss.runs import Runs

# Shares of the sizes that are fitted; the next larger ones are predicted.
SHARES = (0.5, 0.6, 0.7, 0.8, 0.9)
# The smallest table of which a share still tells something.
_FEWEST = 4
# Errors below this are rounding, and do not speak for another break.
_ROUNDING = 1e-9
# Share by which another break has to lower the error.
_MARGIN = 0.1


@dataclass(frozen=True, eq=False)
class ChosenBreaks:
    """A broken power law whose number of breaks was chosen by backtests.

    Attributes:
        breaks: the number chosen.
        fit: the law with that many, fitted to all runs.
        errors: of each number tried, the mean size of ln(predicted / measured) on what each fold
            held out.
        refused: why each other number was not tried.
    """

    breaks: int
    fit: Fit
    errors: dict[int, Array]
    refused: dict[int, str]


def choose_breaks(
    runs: Runs,
    variable: Input = FLOPS,
    target: Target = LOSS,
    *,
    candidates: Sequence[int] = (0, 1, 2, 3),
    shares: Sequence[float] = SHARES,
    objective: Objective | str = "squared-log",
    starts: int | None = None,
    seed: int = 0,
    threads: int | None = None,
) -> ChosenBreaks:
    """Fit broken power laws to the smaller runs, and take what predicts the larger ones best.

    Each break costs three parameters, so another one has to lower the error by a tenth in most
    folds; folds that end before a break cannot foretell it, and are outvoted.

    Args:
        runs: the table.
        variable: the input of the law, by which runs are ordered.
        target: what is predicted.
        candidates: numbers of breaks to try.
        shares: of the distinct values of the input that each fold fits, smallest first.
        objective: what fits minimise; least squares in logs has fewer optima than robust ones.
        starts: random starts of each fit.
        seed: of the starts.
        threads: for the solver.

    Raises:
        FitError: no number of breaks could be fitted to every fold.
        InputError: there are too few runs to hold some out.
    """
    values = runs.numbers(variable.name, positive=True)
    folds = _folds(values, shares)
    if not folds or not candidates:
        raise InputError(
            "nothing to choose between",
            where=runs.source,
            found=f"{np.unique(values).size} values of {variable.name}, "
            f"{len(candidates)} numbers of breaks",
            expected=f"{_FEWEST + 1} values or more, and a number of breaks",
        )

    def converged(table: Runs, law: Law) -> Fit:
        own = fit(table, law, objective=objective, starts=starts, seed=seed, threads=threads)
        own.require_converged()
        return own

    errors: dict[int, Array] = {}
    refused: dict[int, str] = {}
    whole: dict[int, Fit] = {}
    for breaks in sorted(set(candidates)):
        law = broken_law(breaks, variable, target)
        try:
            fitted = [converged(runs.take(fold), law) for fold in folds]
            whole[breaks] = converged(runs, law)
        except FitError as error:
            refused[breaks] = str(error)
            continue
        errors[breaks] = np.array(
            [_error(each, runs.take(~fold)) for each, fold in zip(fitted, folds, strict=True)]
        )
    if not errors:
        raise FitError("no number of breaks could be fitted: " + "; ".join(refused.values()))
    best = _fewest(errors)
    return ChosenBreaks(best, whole[best], errors, refused)


def _folds(values: Array, shares: Sequence[float]) -> list[Mask]:
    """Which runs each fold fits; those of equal input stay together."""
    distinct = np.unique(values)
    counts = sorted({int(np.ceil(share * distinct.size)) for share in shares})
    return [values <= distinct[count - 1] for count in counts if _FEWEST <= count < distinct.size]


def _error(fitted: Fit, held_out: Runs) -> float:
    """Mean |ln(predicted / measured)|, or its like for a target of any sign."""
    law, scale = fitted.law, fitted.scale
    inputs = {entry.name: held_out.column(entry.name) for entry in law.inputs}
    predicted = scale.of(fitted.surface.predict(**inputs))
    error = np.abs(predicted - scale.of(held_out.column(law.target.name)))
    return float(np.mean(np.where(np.isfinite(error), error, np.inf)))


def _fewest(errors: dict[int, Array]) -> int:
    """The fewest breaks that no larger number beats by the margin in most folds."""
    best, *more = sorted(errors)
    for breaks in more:
        ratio = (errors[breaks] + _ROUNDING) / (errors[best] + _ROUNDING)
        if np.median(ratio) < 1 - _MARGIN:
            best = breaks
    return best
