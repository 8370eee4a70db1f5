"""Recipes whose laws are known, and tables of their runs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from isoloss.arrays import Array
from isoloss.comparing import PairEnsemble, PairFit, PairLaw
from isoloss.forecasting import Region
from isoloss.laws import Surface, find_law
from isoloss.runs import Runs

EPOCH = {"E": 1.8172, "A": 482.01, "B": 2085.43, "alpha": 0.3478, "beta": 0.3658}


def chinchilla(**changes: float) -> Surface:
    return Surface.of_parameters(find_law("chinchilla"), EPOCH | changes)


def grid(sizes: int = 4, horizons: int = 4) -> tuple[Array, Array]:
    """N and D of a grid: sizes from 1e8 on, each twice the last, and D/N from 10 on likewise."""
    params: Array = 1e8 * np.exp2(np.repeat(np.arange(sizes), horizons))
    tokens: Array = 10 * params * np.exp2(np.tile(np.arange(horizons), sizes))
    return params, tokens


def table(params: npt.ArrayLike, tokens: npt.ArrayLike, loss: npt.ArrayLike) -> Runs:
    columns = {"params": params, "tokens": tokens, "loss": loss}
    return Runs(pl.DataFrame({name: np.asarray(each, float) for name, each in columns.items()}))


def runs_of(
    surface: Surface, error: npt.ArrayLike = 0.0, *, sizes: int = 4, horizons: int = 4
) -> Runs:
    """A grid of runs that follow a surface, off by the given log errors."""
    params, tokens = grid(sizes, horizons)
    loss = surface.predict(params=params, tokens=tokens)
    return table(params, tokens, loss * np.exp(np.asarray(error)))


def exactly(surface: Surface) -> Surface:
    """A surface without doubt: all draws are the surface itself."""
    return Surface(
        surface.law, surface.centre, surface.working, np.repeat(surface.working[:, None], 4, axis=1)
    )


def known(first: Surface, second: Surface) -> PairEnsemble:
    """One law for each recipe, without doubt."""
    fit = PairFit(exactly(first), exactly(second), 0.01, 0.0, 0.0, 1e-3, 20.0, 5.0)
    region = Region.of(dict(zip(("params", "tokens"), grid(), strict=True)))
    return PairEnsemble((PairLaw(1.0, 1.0, ((fit, 1.0),)),), None, region)
