"""Ways to count the parameters of a model from the columns that hold its shape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from isoloss.architecture import TransformerShape
from isoloss.arrays import Array
from isoloss.errors import InputError
from isoloss.runs import Runs

_SHAPE = ("n_layers", "d_model", "d_ff", "n_heads")


@dataclass(frozen=True)
class Count:
    """A way to count parameters from a model's shape: matrices only, no norms and no biases.

    Attributes:
        formula: V is the vocabulary, d the width, w the width of all heads together.
        matrices: between vocabulary and residual stream: 0, 1 (tied) or 2.
        gated: three feed-forward matrices a layer instead of two.
        relative_positions: a fifth attention matrix a layer.
    """

    formula: str
    matrices: int
    gated: bool = False
    relative_positions: bool = False


# The first two are the standard and the best-fit count of Schaeffer et al. 2025; the second meets
# 44 of the 50 sizes that Hoffmann et al. 2022 print in Table A9.
COUNTS: Mapping[str, Count] = {
    "tied": Count("V d + layers (4 d w + 2 d d_ff)", 1),
    "tied, 5 attention matrices": Count(
        "V d + layers (5 d w + 2 d d_ff)", 1, relative_positions=True
    ),
    "untied": Count("2 V d + layers (4 d w + 2 d d_ff)", 2),
    "untied, gated": Count("2 V d + layers (4 d w + 3 d d_ff)", 2, gated=True),
    "layers": Count("layers (4 d w + 2 d d_ff)", 0),
    "layers, gated": Count("layers (4 d w + 3 d d_ff)", 0, gated=True),
}


def has_shapes(runs: Runs) -> bool:
    """Whether a table says the shape of every model, in columns that `count_params` can use."""
    columns = runs.frame.columns
    names = [name for name in (*_SHAPE, "head_dim", "vocabulary_size") if name in columns]
    if not set(_SHAPE) <= set(names) or any(runs.frame[n].dtype != pl.Float64 for n in names):
        return False
    values = [runs.column(name) for name in names]
    if "head_dim" not in columns:
        with np.errstate(divide="ignore", invalid="ignore"):
            values.append(runs.column("d_model") / runs.column("n_heads"))
    with np.errstate(invalid="ignore"):
        return all(bool(np.all((each >= 1) & (each % 1 == 0))) for each in values)


def count_params(runs: Runs, count: Count, vocabulary_size: int | None = None) -> Array:
    """Parameters of each run, counted from its shape.

    Args:
        runs: a table with columns n_layers, d_model, d_ff, n_heads, and head_dim where heads do
            not add up to d_model.
        count: what counts.
        vocabulary_size: rows of the embedding; the column of that name where not given.

    Raises:
        InputError: a column is missing, or holds no whole numbers.
    """
    columns = [runs.positive(name) for name in _SHAPE]
    known = "head_dim" in runs.frame.columns
    columns.append(runs.positive("head_dim") if known else columns[1] / columns[3])
    if count.matrices and vocabulary_size is None:
        columns.append(runs.positive("vocabulary_size"))
    else:
        columns.append(np.full(len(runs), float(vocabulary_size or 1)))
    shapes, place = np.unique(np.stack(columns), axis=1, return_inverse=True)
    counted = np.array([_count(shape, count, runs.source) for shape in shapes.T])
    return counted[place]


def _count(sizes: Array, count: Count, source: str) -> float:
    if not np.all(sizes == np.round(sizes)):
        raise InputError(
            "not the shape of a model",
            where=source,
            found=", ".join(f"{size:g}" for size in sizes),
            expected="whole numbers: n_layers, d_model, d_ff, n_heads, head_dim, vocabulary_size",
        )
    n_layers, d_model, d_ff, n_heads, head_dim, vocabulary_size = (int(size) for size in sizes)
    shape = TransformerShape(
        n_layers=n_layers,
        d_model=d_model,
        d_ff=d_ff,
        n_heads=n_heads,
        head_dim=head_dim,
        vocabulary_size=vocabulary_size,
        gated=count.gated,
        norm_vectors_per_layer=0,
        final_norm_vectors=0,
        relative_position_projection=count.relative_positions,
    )
    return float(shape.params_nonembedding + count.matrices * shape.vocabulary_matrix_params)
