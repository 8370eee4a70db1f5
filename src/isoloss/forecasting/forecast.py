"""`auto`: the weighted forecast of every law that a table can carry, corrected by its runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from isoloss.arrays import Array
from isoloss.errors import FitError
from isoloss.fitting import Objective
from isoloss.forecasting.correction import Correction, correct
from isoloss.forecasting.ensemble import (
    DEFAULT_BOOTSTRAP,
    Candidates,
    Ensemble,
    fit_candidates,
    weigh,
)
from isoloss.forecasting.intervals import Deviations, extrapolation_deviation
from isoloss.forecasting.pooling import pooled
from isoloss.forecasting.prediction import (
    DEFAULT_LEVEL,
    Forecast,
    Point,
    Prediction,
    check_level,
    deviations_of_law,
    inputs_of_points,
    make_prediction,
    names_of_points,
    one_by_one,
    point_text,
    points_as_columns,
    region_of_fit,
    unsound,
)
from isoloss.forecasting.reach import Region
from isoloss.forecasting.rolling import folds_for
from isoloss.laws import LOSS, PARAMS, TOKENS, Law, candidates_for
from isoloss.notes import Note, Severity
from isoloss.runs import Runs

# Share of a law's replicates that must have converged for its spread to be taken as it is.
_CONVERGED_SHARE = 0.9
# Corrections below this share of the loss are not worth a remark.
_NOTICEABLE = 1e-4
# Beyond this many times the data's compute a forecast is called far.
_FAR = 30.0


def forecast(
    runs: Runs,
    points: Sequence[Point],
    *,
    laws: Sequence[Law] | None = None,
    target: str = LOSS.name,
    objective: Objective | str = "huber",
    bootstrap: int = DEFAULT_BOOTSTRAP,
    level: float = DEFAULT_LEVEL,
    seed: int = 0,
    threads: int | None = None,
    advance: Callable[[str], None] | None = None,
) -> Forecast:
    """Predict runs by every law that the table can carry, weighed by backtests on the table.

    Args:
        runs: the table.
        points: (N, D) of each run to predict, or the value of each column that tells it apart, by
            name, such as `{"params": 7e9, "tokens": 1e12, "unique_tokens": 5e10}`.
        laws: candidates; those of the catalogue for these columns where not given, see
            `candidates_for`.
        target: what to predict, where no laws are given.
        objective: what fits minimise.
        bootstrap: replicates of each law.
        level: probability with which each interval should hold.
        seed: of starts and replicates.
        threads: for the solver.
        advance: called with the name of each law when it is done.

    Raises:
        FitError: no law can be fitted, or none can be believed at the points.
        InputError: a point is unusable, or no law reads what it tells.
    """
    check_level(level)
    if len(points) == 0:
        points_as_columns(points)
    tried = tuple(laws or candidates_for(names_of_points(points), target))
    read = {entry.name: entry for law in tried for entry in law.inputs}
    columns = points_as_columns(points, inputs_of_points(points, tuple(read.values())))
    candidates = fit_candidates(
        runs,
        tried,
        objective=objective,
        folds=folds_for(runs, columns, read.values()),
        bootstrap=bootstrap,
        seed=seed,
        threads=threads,
        advance=advance,
    )
    return combine(candidates, points, level=level)


def combine(
    candidates: Candidates, points: Sequence[Point], *, level: float = DEFAULT_LEVEL
) -> Forecast:
    """The weighted forecast of fitted candidates; laws that cannot be believed are left out.

    What the laws predict is pooled, see `pooling`, and corrected by what the fitted runs'
    departures from that lead to expect at the points, see `correction`.

    Raises:
        FitError: no law can be believed at the points.
    """
    columns = points_as_columns(points, inputs_of_points(points, candidates.inputs))
    signed = frozenset(entry.name for entry in candidates.inputs if not entry.positive)
    region = Region.of({name: candidates.runs.column(name) for name in columns}, signed)
    named = one_by_one(columns)
    own = {
        name: {entry.name: columns[entry.name] for entry in fit.law.inputs}
        for name, fit in candidates.fits.items()
    }
    by_law: dict[str, list[Deviations]] = {}
    left_out = dict(candidates.refused)
    for name, fit in candidates.fits.items():
        seen = region_of_fit(fit)
        by_law[name] = deviations_of_law(fit, seen, own[name])
        for point, deviations in zip(named, by_law[name], strict=True):
            reasons = unsound(fit, seen, point, deviations)
            if reasons and name not in left_out:
                left_out[name] = f"at {point_text(point)} {'; '.join(reasons)}"
    names = [name for name in candidates.fits if name not in left_out]
    if not names:
        listed = "; ".join(f"{name}: {why}" for name, why in left_out.items())
        raise FitError(f"no law can be believed at the points asked for: {listed}")
    ensemble = weigh(candidates, names)
    used = [name for name in names if ensemble.weights[name] > 0]
    shares = np.array([ensemble.weights[name] for name in used])
    values = np.stack([candidates.fits[name].surface.predict(**own[name]) for name in names])
    first = candidates.fits[used[0]]
    logs = first.scale.of(values[[names.index(name) for name in used]])
    centre = pooled(logs, shares)
    correction, growth, added = None, ensemble.growth, np.zeros(len(named))
    if columns.keys() == {PARAMS.name, TOKENS.name} and first.law.target.positive:
        correction, growth = correct(candidates, ensemble)
        added = correction.at(columns["params"], columns["tokens"])
    beyond = extrapolation_deviation(growth, region.reach(**columns), region.aside(**columns))
    noise = float(shares @ [candidates.fits[name].noise for name in used])
    used_fits = [candidates.fits[name] for name in used]
    freedom = float(shares @ [fit.n_runs - len(fit.law.parameters) for fit in used_fits])
    predictions = []
    for index, point in enumerate(named):
        parameters = float(shares @ [by_law[name][index].parameters for name in used])
        disagreement = float(np.sqrt(shares @ (logs[:, index] - centre[index]) ** 2))
        deviations = Deviations(parameters, noise, max(float(beyond[index]), disagreement))
        predictions.append(
            make_prediction(
                point,
                float(centre[index] + added[index]),
                deviations,
                level,
                freedom,
                region,
                first.scale,
                first.law.target.name,
            )
        )
    return Forecast(
        tuple(predictions),
        {name: ensemble.weights[name] for name in sorted(used, key=lambda n: -ensemble.weights[n])},
        {name: candidates.fits[name] for name in used},
        {name: tuple(row.tolist()) for name, row in zip(names, values, strict=True)},
        _reasons(candidates, ensemble, left_out),
        (*_notes(candidates, ensemble, predictions), *_moved(correction, added)),
    )


def _moved(correction: Correction | None, added: Array) -> list[Note]:
    if correction is None:
        return []
    farthest = float(np.max(np.abs(np.expm1(added))))
    if farthest < _NOTICEABLE:
        return []
    return [
        Note(
            "corrected",
            "the fitted runs depart from the laws in a pattern, not at random: predictions are "
            f"moved by up to {100 * farthest:.2g} %, {correction.share:.0%} of what the runs "
            "nearby suggest, as far as backtests bear it out",
            details={"largest": farthest, "share": correction.share},
        )
    ]


def _reasons(
    candidates: Candidates, ensemble: Ensemble, left_out: dict[str, str]
) -> dict[str, str]:
    lines = {}
    for name, weight in sorted(ensemble.weights.items(), key=lambda item: -item[1]):
        score = ensemble.scores[name]
        if np.isnan(score):
            lines[name] = f"weight {weight:.2f}: the table is too small for backtests"
            continue
        failed = len(candidates.errors[name].failed)
        skipped = f", {failed} fold{'s' * (failed > 1)} too small for it" if failed else ""
        residual = candidates.fits[name].mean_abs_rel_error
        lines[name] = (
            f"weight {weight:.2f}: {100 * score:.2f} % error when predicting "
            f"{candidates.folds.asked}{skipped}, "
            f"{100 * residual:.2f} % on the runs it was fitted to"
        )
    return {**lines, **{name: f"left out: {why}" for name, why in left_out.items()}}


def _notes(
    candidates: Candidates, ensemble: Ensemble, predictions: Sequence[Prediction]
) -> list[Note]:
    notes = list(candidates.notes)
    for name, weight in ensemble.weights.items():
        fit = candidates.fits[name]
        kept = fit.n_replicates
        if weight > 0 and kept < _CONVERGED_SHARE * fit.n_bootstrap:
            notes.append(
                Note(
                    "replicates-not-converged",
                    f"{fit.n_bootstrap - kept} of {fit.n_bootstrap} bootstrap replicates of "
                    f"{name} did not converge and are left out of its {weight:.0%} share of the "
                    "interval",
                    Severity.WARNING,
                    {"law": name, "converged": kept, "replicates": fit.n_bootstrap},
                )
            )
    if ensemble.growth is None:
        notes.append(
            Note(
                "no-backtest",
                "the table is too small for backtests: laws count alike, and how errors grow "
                "beyond the data is a guess of 2 % for each factor of 2.7",
                Severity.WARNING,
            )
        )
    farthest = max(prediction.extrapolation.get("flops", 0.0) for prediction in predictions)
    if farthest > _FAR:
        notes.append(
            Note(
                "far",
                f"the farthest point takes {farthest:.3g} times the compute of the largest run: "
                "backtests on this table say little about errors that far out",
                Severity.WARNING,
                {"flops": farthest},
            )
        )
    return notes
