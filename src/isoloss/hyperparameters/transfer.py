"""Does an optimum stay put as a model grows wider, and what loss will the widest one have.

Under a muP parametrisation the best learning rate of a narrow model should be that of a wide one.
Whether it is, is for runs to say: the optimum of each width, the slope over widths, and the loss
that is lost by taking over the optimum of the narrowest.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from isoloss.errors import FitError, InputError
from isoloss.hyperparameters.cells import LEARNING_RATE, read_cells
from isoloss.hyperparameters.optimum import BAND, Optimum, find_optimum
from isoloss.hyperparameters.regression import slope_interval
from isoloss.notes import Note, Severity
from isoloss.runs import Runs

if TYPE_CHECKING:
    from isoloss.fitting import Fit

# Loss that may be lost by a transferred optimum, as a share.
TOLERATED = 0.003
_LEAST_WIDTHS = 3
# What the runs of a width should have in common, unless it is what is swept.
_ALIKE = ("params", "tokens", "batch_tokens", LEARNING_RATE)
# Values that differ by less are one: tokens are a whole number of batches.
_SAME = 1.01


@dataclass(frozen=True, eq=False)
class Transfer:
    """How the optimum of a hyperparameter moves with width.

    Attributes:
        name: the hyperparameter.
        along: the column that grows, such as the width.
        optima: one for each width, ascending; rejected ones are left out.
        slope: power of the width with which the optimum goes; 0 where it stays put.
        slope_interval: its interval.
        level: probability of the interval.
        tolerated: share of the loss that a transferred optimum may cost.
        costs: share of the loss that the optimum of the narrowest model costs at each width, by
            the bowl there.
        notes: what to know.
    """

    name: str
    along: str
    optima: tuple[Optimum, ...]
    slope: float
    slope_interval: tuple[float, float]
    level: float
    tolerated: float
    costs: tuple[float, ...]
    notes: tuple[Note, ...] = ()

    @property
    def stays_put(self) -> bool:
        """Whether no drift is seen: the interval of the slope holds zero."""
        return self.slope_interval[0] <= 0 <= self.slope_interval[1]

    @property
    def transfers(self) -> bool:
        """Whether the narrowest model's optimum costs no more than is tolerated at any width."""
        return max(self.costs) <= self.tolerated

    @property
    def verdict(self) -> str:
        """The answer in a sentence."""
        reach = self.optima[-1].cell.at[self.along] / self.optima[0].cell.at[self.along]
        drift = reach**self.slope
        cost = (
            f"the optimum of the narrowest model costs {100 * max(self.costs):.2g} % of the loss "
            f"at most"
        )
        if self.stays_put:
            return f"the best {self.name} stays put over {reach:.3g} times the {self.along}; {cost}"
        return (
            f"the best {self.name} moves by a factor of {drift:.2g} over {reach:.3g} times the "
            f"{self.along}; {cost}"
        )

    def to_json(self) -> dict[str, Any]:
        """The result as one JSON object."""
        return {
            "hyperparameter": self.name,
            "along": self.along,
            "slope": self.slope,
            "slope_interval": list(self.slope_interval),
            "level": self.level,
            "stays_put": self.stays_put,
            "transfers": self.transfers,
            "tolerated": self.tolerated,
            "widths": [
                {
                    self.along: each.cell.at[self.along],
                    "optimum": each.values[self.name],
                    "interval": list(each.interval(self.name, self.level)),
                    "loss": each.loss,
                    "cost_of_narrowest": cost,
                }
                for each, cost in zip(self.optima, self.costs, strict=True)
            ],
            "verdict": self.verdict,
            "notes": [note.to_json() for note in self.notes],
        }


def check_transfer(
    runs: Runs,
    *,
    over: str = LEARNING_RATE,
    along: str = "width",
    level: float = 0.9,
    tolerated: float = TOLERATED,
    band: float = BAND,
) -> Transfer:
    """Check whether the optimum of a hyperparameter stays put across widths.

    Args:
        runs: a sweep of the hyperparameter at each of several widths, all else alike.
        over: the hyperparameter's column.
        along: the column that grows.
        level: probability of intervals.
        tolerated: share of the loss that a transferred optimum may cost.
        band: relative loss above the minimum of a width up to which runs count.

    Raises:
        FitError: fewer than three widths have an optimum.
        InputError: a column is missing or unusable.
    """
    if over == along or "loss" in (over, along):
        raise InputError(
            "not a sweep over widths",
            where="--over, --along",
            found=f"{over}, {along}",
            expected="two columns besides loss, as learning_rate and width",
        )
    found = [find_optimum(cell, band=band) for cell in read_cells(runs, [over], [along])]
    optima = [each for each in found if each.bowl is not None]
    if len(optima) < _LEAST_WIDTHS:
        reasons = "; ".join(dict.fromkeys(each.rejected for each in found if each.rejected))
        raise FitError(
            f"{runs.source}: {len(optima)} of {len(found)} values of {along} have an optimum, "
            f"{_LEAST_WIDTHS} are needed ({reasons or 'run more of them'})"
        )
    widths = np.log([each.cell.at[along] for each in optima])
    places = np.array([each.found.place[0] for each in optima])
    variance = np.array([each.found.covariance[0, 0] for each in optima])
    terms = np.column_stack([np.ones_like(widths), widths - widths.mean()])
    slope, interval = slope_interval(terms, places, variance, level)
    first = optima[0].values
    notes = [
        Note(
            "width-rejected",
            f"{along} {each.cell.at[along]:g} is left out: {each.rejected}",
            Severity.WARNING,
        )
        for each in found
        if each.bowl is None
    ]
    notes += _mixed(runs, over, along)
    costs = tuple(each.excess(first) for each in optima)
    return Transfer(
        over, along, tuple(optima), slope, interval, level, tolerated, costs, tuple(notes)
    )


def _mixed(runs: Runs, over: str, along: str) -> list[Note]:
    """A warning where runs of one width differ in more than the hyperparameter."""
    import polars as pl

    member = runs.groups(along)
    mixed = []
    for name in _ALIKE:
        if name in (over, along) or not runs.frame.schema.get(name, pl.String()).is_numeric():
            continue
        values = runs.column(name)
        known = np.isfinite(values) & (values > 0)
        parts = [values[known & (member == number)] for number in np.unique(member)]
        if any(part.size and part.max() > _SAME * part.min() for part in parts):
            mixed.append(name)
    if not mixed:
        return []
    message = (
        f"runs of one {along} also differ in {', '.join(mixed)}: keep one value of each by --where"
    )
    return [Note("mixed-runs", message, Severity.WARNING)]


def fit_width_series(losses: Mapping[float, float], *, threads: int | None = None) -> Fit:
    """NanoLM's law of a muP width series, L = c + a / N^b, at one number of tokens.

    It holds only along a series of one depth with transferred hyperparameters. Predict with
    `isoloss.predict(fit, [{"params": N}])`.

    Source: nanoLM, arXiv:2304.06875, which fits L = a N^b + c by least squares.

    Args:
        losses: the loss of each size, by N; in any unit of N, which that of predictions has to be.
        threads: at most this many; all processors where not given.

    Raises:
        FitError: the sizes cannot carry the law.
        InputError: fewer than four sizes, or a size or loss that is not positive.
    """
    import polars as pl

    from isoloss.fitting import fit
    from isoloss.laws import law_from_formula

    if len(losses) < 4:
        raise InputError("too few sizes", found=str(len(losses)), expected="four or more")
    if not all(math.isfinite(each) and each > 0 for pair in losses.items() for each in pair):
        raise InputError("not a size or loss", expected="positive numbers")
    law = law_from_formula("c + a/params**b", bounds={"b": (0.0, 3.0)})
    table = Runs(
        pl.DataFrame({"params": list(losses), "loss": list(losses.values())}).cast(pl.Float64)
    )
    return fit(table, law, objective="squared", threads=threads)
