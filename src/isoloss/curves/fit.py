"""Fit a law of loss curves."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from isoloss.arrays import Array, Indices
from isoloss.curves.annealing import SCANNED_FACTORS, AnnealingLaw
from isoloss.curves.band import measure_band
from isoloss.curves.catalogue import DEFAULT_CURVE_LAW, find_curve_law
from isoloss.curves.law import CurveLaw
from isoloss.curves.result import CurveFit, summarise
from isoloss.curves.solving import Optimum, Task, find_optimum
from isoloss.curves.table import Curve, Curves
from isoloss.errors import InputError
from isoloss.fitting.bootstrap import ClusterBootstrap
from isoloss.fitting.objectives import Objective, find_objective
from isoloss.fitting.search import find_search
from isoloss.fitting.solver import solve
from isoloss.notes import Note, Severity

DEFAULT_STARTS = 8
RESAMPLES = ("curves", "blocks")
# From so many curves on they are what replicates draw.
_MANY_CURVES = 6
# Blocks that a curve is cut into, alike in the log of their steps.
_BLOCKS = 8
_WARNING = Severity.WARNING


def fit_curves(
    curves: Curves,
    law: CurveLaw | str = DEFAULT_CURVE_LAW,
    *,
    objective: Objective | str = "huber",
    weighting: str = "",
    hold: bool = True,
    bootstrap: int = 0,
    resample: str = "",
    starts: int = DEFAULT_STARTS,
    seed: int = 0,
    threads: int | None = None,
    advance: Callable[[int], None] | None = None,
) -> CurveFit:
    """Fit one law to loss curves.

    Args:
        curves: what is fitted; runs of one recipe.
        law: a law, or the name of one of `CURVE_LAWS`.
        objective: what is minimised, see `isoloss.fitting.find_objective`.
        weighting: "log-steps" lets every curve, and every e-fold of its steps, weigh alike,
            "points" every point; the law's own choice where not given.
        hold: hold parameters whose typical values the law states near these, as firmly as the
            residuals, taken for as correlated as they are, leave them open.
        bootstrap: replicates, each refitted from the optimum.
        resample: what replicates draw: "curves", or "blocks" of successive steps of all curves;
            curves where there are six or more.
        starts: random starts.
        seed: of starts and replicates.
        threads: at most this many; all processors where not given.
        advance: called with the number of finished fits; in all about `starts + bootstrap`.

    Raises:
        FitError: there are too few points.
        InputError: an argument has no meaning, or the law reads a size that a run lacks.
    """
    law = find_curve_law(law) if isinstance(law, str) else law
    chosen = find_objective(objective) if isinstance(objective, str) else objective
    if law.reads_schedule and not curves.rates_known:
        raise InputError(
            f"law {law.name} reads learning rates",
            where=curves.source,
            found="curves without",
            expected="a column learning_rate, or schedules",
        )
    if all(curve.steps.size == 1 for curve in curves.curves):
        raise InputError(
            "no curves",
            where=curves.source,
            found=f"one loss in each of {len(curves)} runs",
            expected="a row for every logged step of a run; tell runs apart by the column run_id",
        )
    resample = resample or ("curves" if len(curves) >= _MANY_CURVES else "blocks")
    _check(resample, bootstrap, starts, seed)
    task = Task.of(law, curves, chosen, weighting)
    found = find_optimum(task, starts, seed, hold=hold, threads=threads, advance=advance)
    replicates = np.empty((found.working.size, 0))
    if bootstrap:
        replicates = _replicates(found, resample, bootstrap, seed, threads, advance)
    problem, searched = found.task.problem, found.searched
    predicted = problem.predict(found.best.working)
    return CurveFit(
        law=law,
        centre=problem.centre,
        working=found.working,
        replicates=replicates,
        band=measure_band(found),
        objective=chosen,
        objective_value=float(
            chosen.value(predicted, problem.measured[:, None], found.task.weights)[0]
        ),
        status=found.best.status(0),
        search=find_search(
            searched.problem,
            found.starts,
            found.best,
            searched.weights,
            np.arange(searched.weights.size),
        ),
        weighting=weighting or law.weighting,
        n_bootstrap=bootstrap,
        resample=resample,
        seed=seed,
        curves=curves,
        summary=summarise(
            curves.curves,
            found.task.residuals(found.working),
            reads_schedule=law.reads_schedule,
        ),
        source=curves.source,
        fingerprint=curves.fingerprint,
        notes=(*curves.notes, *_remarks(found, bootstrap, replicates)),
    )


def scan_decay_factor(
    curves: Curves, factors: tuple[float, ...] = SCANNED_FACTORS, *, sizes: bool = False
) -> tuple[CurveFit, dict[float, float]]:
    """The annealing law with the decay factor that the curves prefer.

    Args:
        curves: what is fitted.
        factors: decay factors to try.
        sizes: whether the loss also falls with the size of the model.

    Returns:
        The fit with the lowest objective, and the objective under each factor.

    Raises:
        FitError: there are too few points.
    """
    fits = {
        factor: fit_curves(curves, AnnealingLaw(decay_factor=factor, sizes=sizes))
        for factor in factors
    }
    values = {factor: each.objective_value for factor, each in fits.items()}
    return fits[min(values, key=lambda factor: values[factor])], values


def _check(resample: str, bootstrap: int, starts: int, seed: int) -> None:
    if resample not in RESAMPLES:
        raise InputError(
            "unknown kind of bootstrap",
            where="--resample",
            found=repr(resample),
            expected="one of " + ", ".join(RESAMPLES),
        )
    least_allowed = (("--bootstrap", bootstrap, 0), ("starts", starts, 1), ("--seed", seed, 0))
    for name, count, least in least_allowed:
        if count < least:
            raise InputError("too few", where=name, found=str(count), expected=f"{least} or more")


def _replicates(
    found: Optimum,
    resample: str,
    count: int,
    seed: int,
    threads: int | None,
    advance: Callable[[int], None] | None,
) -> Array:
    """Working parameters of the replicates that converged, shape (parameters, converged)."""
    thin = found.searched
    clusters = (
        thin.curves.numbers if resample == "curves" else step_blocks(thin.curves.curves, _BLOCKS)
    )
    tables = ClusterBootstrap(thin.weights, clusters, seed)
    begin = np.repeat(found.working[:, None], count, axis=1)
    solution = solve(thin.problem, begin, tables, threads=threads, advance=advance)
    return solution.working[:, solution.converged]


def step_blocks(curves: tuple[Curve, ...], blocks: int) -> Indices:
    """Number of the block of successive steps that each point is in, all curves counted on."""
    parts = []
    for number, curve in enumerate(curves):
        logs = np.log(np.maximum(curve.steps, 1.0))
        share = (logs - logs[0]) / max(float(logs[-1] - logs[0]), 1e-12)
        own = np.minimum((share * blocks).astype(np.int64), blocks - 1)
        parts.append(number * blocks + own)
    numbers: Indices = np.unique(np.concatenate(parts), return_inverse=True)[1].astype(np.int64)
    return numbers


def _remarks(found: Optimum, bootstrap: int, replicates: Array) -> list[Note]:
    notes = []
    if not bool(found.best.converged[0]):
        message = f"the fit did not converge: {found.best.status(0).value}"
        notes.append(Note("not-converged", message, _WARNING))
    if bootstrap and replicates.shape[1] < 0.98 * bootstrap:
        lost = bootstrap - replicates.shape[1]
        notes.append(
            Note(
                "replicates-not-converged",
                f"{lost} of {bootstrap} bootstrap replicates did not converge and are left out: "
                "intervals are in doubt",
                _WARNING,
                {"converged": int(replicates.shape[1]), "replicates": bootstrap},
            )
        )
    lasting = [float(curve.schedule.rates[curve.steps[-1]]) for curve in found.task.curves.curves]
    peaks = [curve.schedule.peak for curve in found.task.curves.curves]
    if found.task.law.reads_schedule and all(
        last > 0.9 * peak for last, peak in zip(lasting, peaks, strict=True)
    ):
        notes.append(
            Note(
                "no-decay-seen",
                "no curve shows a decay of the learning rate, so what one would bring is not "
                "measured: add a curve that decays",
                _WARNING,
            )
        )
    return notes
