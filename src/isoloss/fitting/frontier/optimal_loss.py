"""The loss that a budget buys at its best: L*(C) = E + A/C^alpha, along a frontier."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl

from isoloss.arrays import Array
from isoloss.fitting.fit import fit
from isoloss.fitting.frontier.result import FrontierFit
from isoloss.fitting.objectives import Objective
from isoloss.fitting.problem import Problem
from isoloss.fitting.result import Fit
from isoloss.fitting.solver import solve
from isoloss.fitting.tables import GivenTables
from isoloss.laws.compute import COMPUTE
from isoloss.runs import Runs


def fit_optimal_loss(
    frontier: FrontierFit,
    *,
    objective: Objective | str = "huber",
    starts: int | None = None,
    seed: int = 0,
    threads: int | None = None,
) -> Fit:
    """Fit the saturating law L*(C) = E + A/C^alpha to the losses at a frontier's optima.

    The result is a fit of E + A C^-alpha like any other. Its runs are the optima, with N* as
    `params` and C/(6 N*) as `tokens`, so that 6 N D is the budget as the frontier counts it. Its
    replicates are those of the frontier, each fitted to its own minima.

    E is known no better than the loss has come near it: far above, a lower E with a smaller alpha
    does as well. See its interval before using the law beyond the budgets.

    Source: Porian et al. 2024, arXiv:2406.19146.

    Args:
        frontier: the result of an IsoFLOP or an envelope method.
        objective: what is minimised, see `fit`.
        starts: random starts of the fit; as many as `fit` makes where not given.
        seed: of the starts.
        threads: at most this many; all processors where not given.

    Raises:
        FitError: the frontier has fewer than four optima, or the law has no hold on them.
        InputError: an argument has no meaning.
    """
    losses = frontier.losses
    optima = {
        "params": losses.params,
        "tokens": losses.flops / (6 * losses.params),
        "loss": losses.loss,
    }
    table = Runs(pl.DataFrame(optima), f"the optima of {frontier.source}", frontier.notes)
    found = fit(table, COMPUTE, objective=objective, starts=starts, seed=seed, threads=threads)
    return replace(
        found,
        surface=replace(found.surface, replicates=_replicates(found, losses.replicates, threads)),
        n_bootstrap=losses.replicates.shape[1],
        source=frontier.source,
        fingerprint=frontier.fingerprint,
    )


def _replicates(found: Fit, losses: Array, threads: int | None) -> Array:
    """Working parameters of the law in the frontier's replicates, those that converged.

    Args:
        found: the fit to the optima themselves.
        losses: loss at each optimum in each replicate, NaN where it has none.
        threads: at most this many.
    """
    present = np.isfinite(losses)
    enough = present.sum(axis=0) > found.surface.working.size
    present, losses = present[:, enough], losses[:, enough]
    tables = GivenTables(
        weights=present.astype(np.float64),
        measured=np.where(present, losses, found.rows.measured[:, None]),
    )
    problem = Problem.of(found.law, found.rows, found.objective, found.surface.centre)
    begin = np.repeat(found.surface.working[:, None], losses.shape[1], axis=1)
    if not begin.size:
        return begin
    solution = solve(problem, begin, tables, threads=threads)
    return np.asarray(solution.working[:, solution.converged])
