"""A rule of one's own from a sweep: the optimum of each (N, D) cell, and the law over cells.

    ln lr* = a + b ln N + c ln D,    ln batch* = a + c ln D

Cells count by their precision: by the variance of their optimum plus the scatter of cells about
the law, which is estimated with it (random-effects regression).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from isoloss.arrays import Array
from isoloss.errors import FitError, InputError
from isoloss.hyperparameters.optimum import BAND, Cell, Optimum, find_optimum
from isoloss.hyperparameters.regression import log_law, scatter_of
from isoloss.notes import Note, Severity
from isoloss.quantities import format_quantity
from isoloss.runs import Runs

LEARNING_RATE = "learning_rate"
BATCH_TOKENS = "batch_tokens"
# What the optimum of a batch size depends on, unless told otherwise; all of the cells' columns
# for any other hyperparameter.
_USUAL_INPUTS = {BATCH_TOKENS: ("tokens",), "batch_seqs": ("tokens",)}
# Values of N or D that differ by less are one: tokens are a whole number of batches.
_SAME = 0.01


@dataclass(frozen=True, eq=False)
class CellLaw:
    """How the optimum of one hyperparameter depends on the size of the run.

    ln value = intercept + sum of exponent * ln input.

    Attributes:
        name: the hyperparameter.
        inputs: the columns it depends on.
        coefficients: intercept and exponents.
        scatter: standard deviation of cells about the law, in logs, beyond their own errors.
        replicates: coefficients in bootstrap replicates, shape (coefficients, replicates).
        covered: from where to where each input was fitted, with those that did not vary.
    """

    name: str
    inputs: tuple[str, ...]
    coefficients: Array
    scatter: float
    replicates: Array
    covered: Mapping[str, tuple[float, float]]

    @property
    def exponents(self) -> dict[str, float]:
        """The power of each input."""
        return dict(zip(self.inputs, self.coefficients[1:].tolist(), strict=True))

    @property
    def coefficient(self) -> float:
        """What the powers are multiplied by."""
        return math.exp(self.coefficients[0])

    def at(self, point: Mapping[str, float]) -> float:
        """The predicted optimum."""
        return float(np.exp(self._terms(point) @ self.coefficients))

    def interval(self, point: Mapping[str, float], level: float = 0.9) -> tuple[float, float]:
        """Interval of the optimum there: of the law, and of a cell about it."""
        from scipy.stats import norm

        drawn = self._terms(point) @ self.replicates
        spread = math.hypot(float(np.std(drawn)) if drawn.size > 1 else 0.0, self.scatter)
        factor = math.exp(float(norm.ppf((1 + level) / 2)) * spread)
        return self.at(point) / factor, self.at(point) * factor

    def exponent_intervals(self, level: float = 0.9) -> dict[str, tuple[float, float]]:
        """Interval of each exponent by the replicates; empty without any."""
        if not self.replicates.shape[1]:
            return {}
        tails = np.quantile(self.replicates[1:], [(1 - level) / 2, (1 + level) / 2], axis=1)
        return {
            name: (float(low), float(high))
            for name, (low, high) in zip(self.inputs, tails.T, strict=True)
        }

    def reach(self, point: Mapping[str, float]) -> float:
        """How many times beyond the fitted cells a point lies, 1 within them."""
        reaches = (
            max(point[name] / high, low / point[name]) for name, (low, high) in self.covered.items()
        )
        return max((1.0, *reaches))

    def unmeasured(self, point: Mapping[str, float]) -> tuple[str, ...]:
        """Inputs that did not vary over the cells, and that a point has other values of."""
        return tuple(
            name
            for name, (low, high) in self.covered.items()
            if name not in self.inputs
            and not low / (1 + _SAME) <= point[name] <= high * (1 + _SAME)
        )

    def formula(self) -> str:
        """The law as text."""
        powers = "".join(f" * {name}^{power:.4g}" for name, power in self.exponents.items())
        return f"{self.name} = {self.coefficient:.5g}{powers}"

    def _terms(self, point: Mapping[str, float]) -> Array:
        return np.array([1.0, *(math.log(point[name]) for name in self.inputs)])

    def to_json(self, level: float = 0.9) -> dict[str, Any]:
        """The law as one JSON object."""
        return {
            "coefficient": self.coefficient,
            "exponents": self.exponents,
            "exponent_intervals": {
                name: list(pair) for name, pair in self.exponent_intervals(level).items()
            },
            "scatter": self.scatter,
            "formula": self.formula(),
            "covered": {name: list(pair) for name, pair in self.covered.items()},
        }


@dataclass(frozen=True, eq=False)
class SweepFit:
    """Optimal hyperparameters of a sweep, cell by cell, and the laws over cells.

    Attributes:
        optima: of every cell, rejected ones too, in the order of N and D.
        laws: one for each hyperparameter, by name.
        notes: what to know: cells left out, inputs that did not vary.
    """

    optima: tuple[Optimum, ...]
    laws: Mapping[str, CellLaw]
    notes: tuple[Note, ...] = ()

    def predict(self, point: Mapping[str, float]) -> dict[str, float]:
        """The predicted optimum of each hyperparameter at a point such as {params, tokens}."""
        return {name: law.at(point) for name, law in self.laws.items()}

    def intervals(
        self, point: Mapping[str, float], level: float = 0.9
    ) -> dict[str, tuple[float, float]]:
        """Interval of each predicted optimum."""
        return {name: law.interval(point, level) for name, law in self.laws.items()}

    def prediction_to_json(self, point: Mapping[str, float], level: float = 0.9) -> dict[str, Any]:
        """What the laws say at a point, as one JSON object."""
        return {
            **point,
            **self.predict(point),
            "intervals": {name: list(pair) for name, pair in self.intervals(point, level).items()},
            "level": level,
            "extrapolation": max(law.reach(point) for law in self.laws.values()),
        }

    def to_json(self, *, share: float = 0.003, level: float = 0.9) -> dict[str, Any]:
        """Cells and laws as one JSON object."""
        return {
            "n_cells": len(self.optima),
            "laws": {name: law.to_json(level) for name, law in self.laws.items()},
            "cells": [each.to_json(share=share, level=level) for each in self.optima],
            "level": level,
            "share": share,
            "notes": [note.to_json() for note in self.notes],
        }


@dataclass(frozen=True, eq=False)
class HeldOutCell:
    """A cell that was predicted, judged by its own runs.

    Attributes:
        cell: the cell.
        optimum: its own, for comparison.
        predicted: each hyperparameter by the law.
        excess: loss at the prediction over the least loss of any of the cell's runs, minus one,
            interpolated between runs; NaN where none are around.
    """

    cell: Cell
    optimum: Optimum
    predicted: Mapping[str, float]
    excess: float

    def within(self, share: float) -> bool:
        """Whether the prediction costs at most a share of the loss."""
        return self.excess <= share

    def to_json(self, share: float) -> dict[str, Any]:
        """The cell as one JSON object."""
        return {
            **self.cell.at,
            "predicted": dict(self.predicted),
            "optimum": self.optimum.values if self.optimum.bowl is not None else None,
            "excess": self.excess,
            "within": self.within(share),
        }


def read_cells(
    runs: Runs,
    over: Sequence[str] = (LEARNING_RATE, BATCH_TOKENS),
    by: Sequence[str] = ("params", "tokens"),
) -> tuple[Cell, ...]:
    """The cells of a sweep.

    Args:
        runs: the table; its losses may be missing or infinite where runs diverged.
        over: columns of hyperparameters, positive numbers.
        by: columns of what the runs of a cell share, positive numbers; values that differ by less
            than 1 % are one, as tokens are a whole number of batches.

    Raises:
        InputError: a column is missing or unusable.
    """
    if not over:
        raise InputError("no hyperparameter", where="--over", expected="such as learning_rate")
    logs = np.log(np.stack([runs.positive(name) for name in over], axis=1))
    shared = np.stack([runs.positive(name) for name in by], axis=1)
    groups = np.stack([_grouped(np.log(column)) for column in shared.T], axis=1)
    keys, member = np.unique(groups, axis=0, return_inverse=True)
    member = member.reshape(-1)
    loss = runs.loss
    cells = []
    for number in range(len(keys)):
        own = member == number
        middle = np.median(shared[own], axis=0)
        at = dict(zip(by, middle.tolist(), strict=True))
        cells.append(Cell.of(at, over, logs[own], loss[own]))
    return tuple(cells)


def fit_sweep(
    runs: Runs | Sequence[Cell],
    *,
    over: Sequence[str] = (LEARNING_RATE, BATCH_TOKENS),
    by: Sequence[str] = ("params", "tokens"),
    inputs: Mapping[str, Sequence[str]] | None = None,
    band: float = BAND,
    bootstrap: int = 500,
    seed: int = 0,
) -> SweepFit:
    """Fit the optimal hyperparameters of a sweep as powers of N and D.

    Args:
        runs: the table of the sweep, or its cells.
        over: columns of hyperparameters.
        by: columns that tell cells apart.
        inputs: for a hyperparameter by name, the columns that its law depends on; by default all
            of `by`, and tokens alone for a batch size.
        band: relative loss above a cell's minimum up to which its runs count.
        bootstrap: replicates: cells are drawn, and runs within cells.
        seed: of the replicates.

    Raises:
        FitError: too few cells have an optimum.
        InputError: a column is missing or unusable.
    """
    cells = read_cells(runs, over, by) if isinstance(runs, Runs) else tuple(runs)
    optima = tuple(find_optimum(cell, band=band) for cell in cells)
    kept = [each for each in optima if each.bowl is not None]
    notes = [
        Note(
            "cell-rejected",
            f"the cell {_at_text(each.cell.at)} is left out: {each.rejected}",
            Severity.WARNING,
            dict(each.cell.at),
        )
        for each in optima
        if each.bowl is None
    ]
    if not kept:
        reasons = "; ".join(dict.fromkeys(each.rejected for each in optima))
        raise FitError(f"none of {len(optima)} cells has an optimum: {reasons}")
    generator = np.random.default_rng(seed)
    # All cells are biased to the same side, so they are moved together.
    push = generator.standard_normal(bootstrap)
    places = [
        each.replicates(bootstrap, int(own), push)
        for each, own in zip(kept, generator.integers(2**31, size=len(kept)), strict=True)
    ]
    counts = generator.multinomial(len(kept), np.full(len(kept), 1 / len(kept)), size=bootstrap)
    chosen = {**_USUAL_INPUTS, **(inputs or {})}
    laws = {}
    names = cells[0].names if cells else tuple(over)
    for index, name in enumerate(names):
        asked = tuple(chosen.get(name, by))
        varied = tuple(each for each in asked if _varies(kept, each))
        notes += [
            Note("input-does-not-vary", f"{each} is the same in all cells: no power of it")
            for each in asked
            if each not in varied
        ]
        laws[name] = _cell_law(kept, index, name, varied, asked, places, counts.astype(np.float64))
    return SweepFit(optima, laws, _distinct(notes))


def score_cells(
    fit: SweepFit, held_out: Sequence[Cell], *, band: float = BAND
) -> tuple[HeldOutCell, ...]:
    """Predict cells that were not fitted, and judge each prediction by the cell's own runs."""
    scored = []
    for cell in held_out:
        predicted = fit.predict(cell.at)
        scored.append(
            HeldOutCell(
                cell, find_optimum(cell, band=band), predicted, cell.measured_excess(predicted)
            )
        )
    return tuple(scored)


def _cell_law(
    kept: Sequence[Optimum],
    index: int,
    name: str,
    inputs: tuple[str, ...],
    asked: tuple[str, ...],
    places: Sequence[Array],
    counts: Array,
) -> CellLaw:
    # Without an input the law is the mean of the cells, and one of them is enough.
    needed = len(inputs) + 2 if inputs else 1
    if len(kept) < needed:
        reasons = f"{len(kept)} cells have an optimum, {needed} are needed"
        raise FitError(f"no law of {name} over {', '.join(inputs) or 'cells'}: {reasons}")
    logs = np.log([[each.cell.at[key] for key in inputs] for each in kept]).reshape(len(kept), -1)
    terms = np.column_stack([np.ones(len(kept)), logs])
    optima = np.array([each.found.place[index] for each in kept])
    variance = np.array([each.found.covariance[index, index] for each in kept])
    scatter = scatter_of(terms, optima, variance)
    weights = 1 / (variance + scatter**2)
    drawn = np.stack([place[:, index] for place in places], axis=1)
    own = np.where(np.isfinite(drawn), counts, 0) * weights
    replicates = log_law(terms, np.where(np.isfinite(drawn), drawn, 0.0), own)
    replicates = replicates[np.all(np.isfinite(replicates), axis=1)]
    return CellLaw(
        name,
        inputs,
        log_law(terms, optima[None, :], weights[None, :])[0],
        scatter,
        replicates.T,
        {
            key: (min(each.cell.at[key] for each in kept), max(each.cell.at[key] for each in kept))
            for key in asked
        },
    )


def _grouped(logs: Array) -> Array:
    """Which group each value is in: a new one begins where the next value is over 1 % larger."""
    order = np.argsort(logs, kind="stable")
    steps = np.concatenate([[0], np.cumsum(np.diff(logs[order]) > math.log1p(_SAME))])
    groups = np.empty(logs.size)
    groups[order] = steps
    return groups


def _varies(optima: Sequence[Optimum], name: str) -> bool:
    values = [each.cell.at[name] for each in optima]
    return bool(values) and max(values) > (1 + _SAME) * min(values)


def _distinct(notes: Sequence[Note]) -> tuple[Note, ...]:
    return tuple({note.message: note for note in notes}.values())


def _at_text(at: Mapping[str, float]) -> str:
    return ", ".join(f"{format_quantity(value)} {name}" for name, value in at.items())
