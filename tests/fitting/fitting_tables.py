"""Tables whose truth is known, and the problems that the solver is judged on."""

from __future__ import annotations

import numpy as np
import polars as pl

from isoloss.arrays import Array
from isoloss.fitting.problem import Problem
from isoloss.laws import CANDIDATES, CATALOGUE, Law, WorkingLaw
from isoloss.runs import Runs

# One plausible truth a law: published numbers where there are any.
TRUTHS: dict[str, dict[str, float]] = {
    "farseer": dict(CATALOGUE["farseer"].published_set("notebook").parameters),
    "farseer-held": dict(CATALOGUE["farseer"].published_set("notebook").parameters),
    "chinchilla": dict(CATALOGUE["chinchilla"].published_set("epoch-2024").parameters),
    "coupled": {"E": 0.4, "A": 60.0, "B": 150.0, "alpha": 0.5, "beta": 0.55, "k": 0.45},
    "coupled-held": {"E": 0.4, "A": 60.0, "B": 150.0, "alpha": 0.5, "beta": 0.55, "k": 0.45},
    "overtraining": dict(CATALOGUE["overtraining"].published_set("c4").parameters),
    "overtraining-held": dict(CATALOGUE["overtraining"].published_set("c4").parameters),
    "kaplan": dict(CATALOGUE["kaplan"].published_set("kaplan-2020").parameters),
    "compute": {"E": 1.7, "A": 1500.0, "alpha": 0.17},
    "chinchilla-nonembedding": dict(
        CATALOGUE["chinchilla-nonembedding"].published_set("epoch-2024").parameters
    ),
    "log-compute": {"a": 8.0, "b": -0.1},
}
# Every loss surface of the catalogue, and those that are worth the time of a fit.
SURFACES = [law.name for law in CATALOGUE.values() if law.is_surface]
FORECASTERS = [law.name for law in CANDIDATES]


# Standard deviation of log loss between runs that differ only by seed, as it usually is.
NOISY = 3e-3


def table(params: Array, tokens: Array, loss: Array, **columns: Array) -> Runs:
    data = {"params": params, "tokens": tokens, "loss": loss, **columns}
    frame = pl.DataFrame({name: np.asarray(column, float) for name, column in data.items()})
    return Runs(frame, source="a table")


def grid(sizes: int = 8, budgets: int = 8) -> tuple[Array, Array]:
    """N and D of a full grid, 1e8 to 6e9 parameters and 2e9 to 3e11 tokens."""
    N, D = np.meshgrid(np.geomspace(1e8, 6e9, sizes), np.geomspace(2e9, 3e11, budgets))
    return N.ravel(), D.ravel()


def simulated(
    law: Law | str, *, noise: float = 0.0, seed: int = 0, sizes: int = 8, budgets: int = 8
) -> Runs:
    """A grid of runs that follow a law, with Gaussian noise on the log of the loss."""
    law = CATALOGUE[law] if isinstance(law, str) else law
    N, D = grid(sizes, budgets)
    errors = noise * np.random.default_rng(seed).standard_normal(N.size)
    loss = law.predict(TRUTHS[law.name], params=N, tokens=D)
    return table(N, D, loss * np.exp(errors))


def formula_of(problem: Problem) -> WorkingLaw:
    """The law of a problem, which has to be a formula."""
    assert isinstance(problem.law, WorkingLaw)
    return problem.law
