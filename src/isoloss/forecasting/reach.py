"""How far beyond a table a point lies, and whether a law is still sane there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from isoloss.arrays import Array
from isoloss.laws import Law, Surface
from isoloss.runs import Runs

# Places looked at on the way from the data to a point.
_STEPS = 24
# A prediction that worsens by less than this share per factor e is flat.
_FLAT = 1e-9
# Sizes closer than this factor count as one.
_SAME = 1.05


@dataclass(frozen=True)
class Region:
    """What runs cover: from where to where each column reaches.

    Attributes:
        ranges: smallest and largest value of each column; where N and D are there, of C = 6 N D
            (`flops`) and D/N (`tokens_per_param`) too.
        signed: columns that may hold any number; how far they go is counted in their own range.
    """

    ranges: Mapping[str, tuple[float, float]]
    signed: frozenset[str] = frozenset()

    @classmethod
    def of(cls, columns: Mapping[str, Array], signed: frozenset[str] = frozenset()) -> Region:
        """The region of runs, given by their columns."""
        every = _with_derived(columns)
        ranges = {name: (float(each.min()), float(each.max())) for name, each in every.items()}
        return cls(ranges, signed)

    @classmethod
    def of_law(cls, law: Law, inputs: Sequence[Array]) -> Region:
        """The region of what a law has read: one array of rows an input, in the law's order."""
        names = [entry.name for entry in law.inputs]
        signed = frozenset(entry.name for entry in law.inputs if not entry.positive)
        return cls.of(dict(zip(names, inputs, strict=True)), signed)

    @classmethod
    def of_runs(cls, runs: Runs) -> Region:
        """The region of a table in N and D, as far as it has them."""
        present = [name for name in ("params", "tokens") if name in runs.frame.columns]
        return cls.of({name: runs.column(name) for name in present})

    @property
    def params(self) -> tuple[float, float]:
        """From where to where N reaches."""
        return self.ranges["params"]

    @property
    def tokens(self) -> tuple[float, float]:
        """From where to where D reaches."""
        return self.ranges["tokens"]

    @property
    def flops(self) -> tuple[float, float]:
        """From where to where C = 6 N D reaches."""
        return self.ranges["flops"]

    @property
    def tokens_per_param(self) -> tuple[float, float]:
        """From where to where D/N reaches."""
        return self.ranges["tokens_per_param"]

    def multiples(self, **point: float) -> dict[str, float]:
        """A point's sizes as multiples of the largest of the runs; above 1 is beyond them."""
        every = _with_derived({name: np.float64(value) for name, value in point.items()})
        names = [name for name in self._sizes() if name not in self.signed]
        return {name: float(every[name] / self.ranges[name][1]) for name in names}

    def reach(self, **columns: npt.ArrayLike) -> Array:
        """Natural log of how many times outside the data points lie, 0 inside.

        The largest excess over any end of the range of a column, or of C where N and D are there.
        """
        outside = [np.abs(each) for each in self.excess(**columns).values()]
        farthest: Array = np.maximum.reduce(np.broadcast_arrays(*outside))
        return farthest

    def excess(self, **columns: npt.ArrayLike) -> dict[str, Array]:
        """How far outside the range of each column points lie: above it positive, inside it 0.

        The natural log of how many times, for columns of any sign in their own range; of C too
        where N and D are there.
        """
        found = {}
        for name, place in self.places(**columns).items():
            low, high = self._place(name, np.array(self.ranges[name]))
            found[name] = np.maximum(place - high, 0.0) + np.minimum(place - low, 0.0)
        return found

    def places(self, **columns: npt.ArrayLike) -> dict[str, Array]:
        """Where points lie in each column, in logs or in units of its range, and in C likewise."""
        every = _with_derived(columns)
        return {name: self._place(name, every[name]) for name in self._sizes()}

    def _place(self, name: str, values: Array) -> Array:
        if name not in self.signed:
            return np.log(values)
        low, high = self.ranges[name]
        return values / max(high - low, float(np.finfo(np.float64).tiny))

    def aside(self, **columns: npt.ArrayLike) -> Array:
        """Natural log of how many times outside the runs' range of D/N points lie, 0 inside."""
        every = _with_derived(columns)
        if "tokens_per_param" not in self.ranges:
            return np.zeros(np.broadcast_shapes(*(np.shape(each) for each in every.values())))
        ratio = every["tokens_per_param"]
        return np.abs(np.log(ratio / np.clip(ratio, *self.tokens_per_param)))

    def _sizes(self) -> list[str]:
        return [name for name in self.ranges if name != "tokens_per_param"]


def _with_derived(columns: Mapping[str, npt.ArrayLike]) -> dict[str, Array]:
    """The columns, with C = 6 N D and D/N where N and D are among them."""
    every = {name: np.asarray(each, dtype=np.float64) for name, each in columns.items()}
    if {"params", "tokens"} <= every.keys():
        N, D = every["params"], every["tokens"]
        every["flops"], every["tokens_per_param"] = 6.0 * N * D, D / N
    return every


def departures(surface: Surface, region: Region, **point: float) -> list[str]:
    """Why a law cannot be believed at a point; empty where it can.

    Looks along the straight line, in logs, from the nearest covered point to the point asked for:
    what is predicted must be a number there, positive where it has to be, and must not become worse
    with an input of which more never hurts. Runs of one size, or of one length, are no evidence for
    another, whatever the law makes of them.
    """
    law = surface.law
    path, unseen = {}, []
    for entry in law.inputs:
        value, (low, high) = point[entry.name], region.ranges[entry.name]
        near, shares = float(np.clip(value, low, high)), np.linspace(0.0, 1.0, _STEPS)
        if entry.positive:
            path[entry.name] = near * (value / near) ** shares
            same = high < _SAME * low and not low / _SAME <= value <= high * _SAME
        else:
            path[entry.name] = near + (value - near) * shares
            same = low == high != value
        if same:
            unseen.append(entry.name)
    if unseen:
        return [f"all runs have the same {name}, and tell nothing of another" for name in unseen]
    target = law.target
    predicted = surface.predict(**path)
    if not np.all(np.isfinite(predicted) & ((predicted > 0) | (not target.positive))):
        kind = "positive number" if target.positive else "number"
        return [f"its {target.name} is no {kind} on the way"]
    slopes = surface.slopes(**path)
    sign, verb = (-1.0, "falls") if target.higher_is_better else (1.0, "rises")
    return [
        f"its {target.name} {verb} with {entry.name} on the way"
        for entry in law.inputs
        if entry.improves and np.any(sign * slopes[entry.name] > _FLAT * np.abs(predicted))
    ]
