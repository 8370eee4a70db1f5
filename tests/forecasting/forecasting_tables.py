"""Tables and laws that the tests of forecasting share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from isoloss.arrays import Array
from isoloss.laws import CATALOGUE, Law, Surface, law_from_definition
from isoloss.runs import Runs

EPOCH = Surface.published(CATALOGUE["chinchilla"], "epoch-2024")
GADRE = Surface.published(CATALOGUE["overtraining"], "c4")
NOTEBOOK = Surface.published(CATALOGUE["farseer"], "notebook")
# Of single runs, in log loss: what repeated seeds of small models show.
NOISE = 0.003


def table(params: npt.ArrayLike, tokens: npt.ArrayLike, loss: npt.ArrayLike) -> Runs:
    """Runs of the given sizes, which broadcast."""
    columns = np.broadcast_arrays(params, tokens, np.asarray(loss, dtype=np.float64))
    names = ("params", "tokens", "loss")
    return Runs(
        pl.DataFrame({n: column.astype(float) for n, column in zip(names, columns, strict=True)})
    )


def grid(sizes: int = 4, horizons: int = 5) -> tuple[Array, Array]:
    """N and D of a grid: sizes from 1e8 on, each twice the last, and D/N from 10 on likewise."""
    params: Array = 1e8 * np.exp2(np.repeat(np.arange(sizes), horizons))
    tokens: Array = 10 * params * np.exp2(np.tile(np.arange(horizons), sizes))
    return params, tokens


def simulated(
    truth: Surface, seed: int, *, noise: float = NOISE, sizes: int = 4, horizons: int = 5
) -> Runs:
    """A grid of runs that follow a law, each with its own noise in log loss."""
    params, tokens = grid(sizes, horizons)
    errors = noise * np.random.default_rng(seed).standard_normal(params.size)
    return table(params, tokens, truth.predict(params=params, tokens=tokens) * np.exp(errors))


def laws_named(*names: str) -> list[Law]:
    return [CATALOGUE[name] for name in names]


def own_law(
    formula: str, names: str, inputs: Sequence[str] = ("params", "tokens"), name: str = "own"
) -> Law:
    """A law of one's own whose parameters are all positive."""
    parameters = {parameter: {"start": [0.1, 1.0], "lower": 0.0} for parameter in names.split()}
    return law_from_definition(
        {"name": name, "formula": formula, "parameters": parameters, "inputs": list(inputs)}
    )
