"""Approach 2 of Hoffmann et al. 2022: parabolas through IsoFLOP curves.

The method is biased, without any noise: exponents come out right, coefficients do not, where the
loss rises more steeply on one side of the optimum than on the other (alpha != beta), or where the
grid of sizes is off centre. `parabola_bias` says by how much, and every result carries a note.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from isoloss.arrays import Array
from isoloss.fitting.bootstrap import pairs_bootstrap
from isoloss.fitting.frontier.budgets import BudgetRuns, group_by_budget
from isoloss.fitting.frontier.isoflop import (
    Budget,
    BudgetOptimum,
    IsoflopFit,
    isoflop_fit,
    replicate_seeds,
)
from isoloss.fitting.frontier.parabola import Parabolas, fit_parabolas
from isoloss.fitting.frontier.power_law import fit_line, require_replicates
from isoloss.notes import Note, Severity
from isoloss.quantities import format_quantity
from isoloss.runs import Runs

# Three sizes determine a parabola and leave nothing to judge it by.
_LEAST_SIZES = 4
# Curvature below twice its standard error may as well be none.
_LEAST_CURVATURE = 2.0
# Below this share of replicates with a minimum the optimum may as well be outside the runs.
_LEAST_INTERIOR = 0.8
# A residual this many times the typical one, and above what seeds do to a loss, has a cause.
_LARGEST_RESIDUAL = 3.0
_RESIDUAL_OF_SEEDS = 5e-3
# A grid that moves this much against the optimum over the budgets bends the exponents.
_LARGEST_DRIFT = 2.0


def fit_isoflop_parabolas(
    runs: Runs,
    *,
    flops: str | None = None,
    tolerance: float = 0.1,
    weighted: bool = False,
    bootstrap: int = 1000,
    seed: int = 0,
) -> IsoflopFit:
    """Fit N* = k C^a and D* = k C^b through the vertices of IsoFLOP parabolas.

    At each budget a least-squares parabola of the loss against ln N gives N*, one against ln D
    gives D*. A budget counts if it has four sizes or more, curvature that stands out from the
    scatter, and a vertex with runs on both sides. Intervals come from drawing runs with
    replacement inside each budget.

    Exponents are right only as long as every grid has the same width and centre around its
    optimum, and coefficients only if besides alpha = beta and the grids are centred: see
    `parabola_bias`.

    Source: Hoffmann et al. 2022, arXiv:2203.15556, section 3.2.

    Args:
        runs: the table.
        flops: column of training FLOPs; where not given, `flops` if the table has it, else 6 N D.
        tolerance: relative step in FLOPs that separates two budgets.
        weighted: let optima count by their inverse variance, from the parabolas' residuals.
        bootstrap: replicates.
        seed: of the replicates.

    Raises:
        FitError: fewer than two budgets have an optimum.
        InputError: an argument or a column has no meaning.
    """
    require_replicates(bootstrap, 0)
    groups = group_by_budget(runs, flops=flops, tolerance=tolerance)
    seeds = replicate_seeds(seed, len(groups))
    optima = [
        _optimum(group, tolerance, bootstrap, own) for group, own in zip(groups, seeds, strict=True)
    ]
    return isoflop_fit(
        runs,
        optima,
        method="parabola",
        weighted=weighted,
        n_bootstrap=bootstrap,
        seed=seed,
        notes=_notes([entry.budget for entry in optima if entry.budget.kept]),
    )


def _optimum(group: BudgetRuns, tolerance: float, bootstrap: int, seed: int) -> BudgetOptimum:
    """The vertex of one budget's parabola, or why it has none."""
    doubt = group.doubt(tolerance, _LEAST_SIZES)
    if doubt:
        return BudgetOptimum.reject(group, doubt)
    ones = np.ones((group.n_runs, 1))
    by_params = fit_parabolas(group.log_params, group.loss, ones)
    by_tokens = fit_parabolas(group.log_tokens, group.loss, ones)
    for name, found, places in (
        ("N", by_params, group.log_params),
        ("D", by_tokens, group.log_tokens),
    ):
        doubt = _doubt(name, found, places)
        if doubt:
            return BudgetOptimum.reject(group, doubt)
    drawn, _ = pairs_bootstrap(np.ones(group.n_runs), seed).block(slice(0, bootstrap))
    counts = drawn.T
    log_params, losses = _vertices(group.log_params, group.loss, counts)
    log_tokens, _ = _vertices(group.log_tokens, group.loss, counts)
    vertex = float(by_params.vertex[0])
    budget = Budget(
        flops=group.flops,
        n_runs=group.n_runs,
        n_sizes=group.n_sizes,
        half_width=group.half_width,
        off_centre=float(np.exp(group.log_centre - vertex)),
        params=float(np.exp(vertex)),
        tokens=float(np.exp(by_tokens.vertex[0])),
        loss=float(by_params.lowest[0]),
        params_error=float(by_params.vertex_error[0]),
        tokens_error=float(by_tokens.vertex_error[0]),
        residual=float(by_params.residual[0] / by_params.lowest[0]),
        interior_share=float(np.mean(np.isfinite(log_params))) if bootstrap else np.nan,
    )
    return BudgetOptimum(budget, log_params, log_tokens, losses)


def _doubt(name: str, found: Parabolas, places: Array) -> str:
    """Why a parabola's vertex is not to be believed; empty where it is."""
    low, high = float(places.min()), float(places.max())
    curvature, error = float(found.curvature[0]), float(found.curvature_error[0])
    if not curvature > 0:
        return f"no minimum: the loss bends down over ln {name}"
    if not found.minimum_within(low, high)[0]:
        least, ends = np.exp(found.vertex[0]), (np.exp(low), np.exp(high))
        span = " to ".join(format_quantity(float(end)) for end in ends)
        return (
            f"the minimum at {name} = {format_quantity(float(least))} is outside the runs, {span}"
        )
    if curvature < _LEAST_CURVATURE * error:
        return (
            f"flat within its scatter: the curvature over ln {name} is {curvature / error:.2g} "
            f"standard errors, {_LEAST_CURVATURE:g} are needed"
        )
    return ""


def _vertices(places: Array, loss: Array, counts: Array) -> tuple[Array, Array]:
    """Vertex and least loss in each replicate; NaN where that is no minimum among the runs."""
    if not counts.shape[1]:
        return np.empty(0), np.empty(0)
    found = fit_parabolas(places, loss, counts)
    inside = found.minimum_within(float(places.min()), float(places.max()))
    return np.where(inside, found.vertex, np.nan), np.where(inside, found.lowest, np.nan)


def _notes(kept: Sequence[Budget]) -> list[Note]:
    if not kept:
        return []
    width = float(np.exp(np.median([np.log(budget.half_width) for budget in kept])))
    offsets = np.log([budget.off_centre for budget in kept])
    centre = float(np.exp(np.median(offsets)))
    notes = [
        Note(
            "parabola-bias",
            "parabolas find the exponents as long as all grids have one width and one centre "
            "around their optimum, but the coefficients are off by a constant factor where the "
            "loss is not symmetric around the optimum (alpha != beta) or the grids are off "
            f"centre; here grids reach a typical factor {width:.2g} to either side of a middle "
            f"at {centre:.2g} N*: parabola_bias gives the error, fitting a law avoids it",
            details={"half_width": width, "off_centre": centre},
        )
    ]
    log_flops = np.log([budget.flops for budget in kept])
    slope = fit_line(log_flops, offsets[:, None], np.ones((len(kept), 1)))[1, 0]
    drift = float(np.exp(abs(slope) * np.ptp(log_flops)))
    if drift > _LARGEST_DRIFT:
        notes.append(
            Note(
                "grid-drifts",
                "between the smallest and the largest budget the middle of the grid moves by a "
                f"factor {drift:.2g} against N*: the error of parabolas changes along with it, and "
                "bends the exponents",
                Severity.WARNING,
                {"drift": drift},
            )
        )
    return notes + _scattered(kept) + _doubtful(kept)


def _scattered(kept: Sequence[Budget]) -> list[Note]:
    residuals = np.array([budget.residual for budget in kept])
    typical = float(np.median(residuals))
    return [
        Note(
            "large-residual",
            f"at {budget.flops:.3g} FLOPs runs lie {budget.residual:.2%} off the parabola, "
            f"against {typical:.2%} at a typical budget: look for runs that failed, or for sizes "
            "too far from the optimum",
            Severity.WARNING,
            {"flops": budget.flops, "residual": budget.residual},
        )
        for budget in kept
        if budget.residual > max(_LARGEST_RESIDUAL * typical, _RESIDUAL_OF_SEEDS)
    ]


def _doubtful(kept: Sequence[Budget]) -> list[Note]:
    budgets = [budget.flops for budget in kept if budget.interior_share < _LEAST_INTERIOR]
    if not budgets:
        return []
    return [
        Note(
            "optimum-doubtful",
            f"fewer than {_LEAST_INTERIOR:.0%} of the bootstrap replicates have a minimum among "
            f"the runs at {', '.join(f'{flops:.3g}' for flops in budgets)} FLOPs: run sizes "
            "beyond the edge that is near",
            Severity.WARNING,
            {"flops": budgets},
        )
    ]
