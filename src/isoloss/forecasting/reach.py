"""How far beyond a table a point lies, and whether a law is still sane there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from isoloss.arrays import Array
from isoloss.laws import Surface
from isoloss.runs import Runs

# Places looked at on the way from the data to a point.
_STEPS = 24
# A loss that rises by less than this share per factor e is flat, not rising.
_FLAT = 1e-9
# Sizes closer than this factor count as one.
_SAME = 1.05


@dataclass(frozen=True)
class Region:
    """The part of the (N, D) plane that runs cover: from where to where in N, D, C = 6 N D, D/N."""

    params: tuple[float, float]
    tokens: tuple[float, float]
    flops: tuple[float, float]
    tokens_per_param: tuple[float, float] = (0.0, np.inf)

    @classmethod
    def of(cls, params: Array, tokens: Array) -> Region:
        """The region of some runs."""
        columns = (params, tokens, 6.0 * params * tokens, tokens / params)
        return cls(*((float(each.min()), float(each.max())) for each in columns))

    @classmethod
    def of_runs(cls, runs: Runs) -> Region:
        """The region of a table."""
        return cls.of(runs.params, runs.tokens)

    def multiples(self, params: float, tokens: float) -> dict[str, float]:
        """A point's N, D and C as multiples of the largest of the runs; above 1 is beyond them."""
        return {
            "params": float(params / self.params[1]),
            "tokens": float(tokens / self.tokens[1]),
            "flops": float(6.0 * params * tokens / self.flops[1]),
        }

    def reach(self, params: npt.ArrayLike, tokens: npt.ArrayLike) -> Array:
        """Natural log of how many times outside the data points lie, 0 inside.

        The largest excess over any end of the ranges of N, D and C.
        """
        N, D = np.asarray(params, dtype=np.float64), np.asarray(tokens, dtype=np.float64)
        excess = [np.zeros(np.broadcast(N, D).shape)]
        for values, (low, high) in (
            (N, self.params),
            (D, self.tokens),
            (6.0 * N * D, self.flops),
        ):
            excess += [np.log(values / high), np.log(low / values)]
        farthest: Array = np.maximum.reduce(excess)
        return farthest

    def aside(self, params: npt.ArrayLike, tokens: npt.ArrayLike) -> Array:
        """Natural log of how many times outside the runs' range of D/N points lie, 0 inside."""
        ratio = np.asarray(tokens, dtype=np.float64) / np.asarray(params, dtype=np.float64)
        low, high = self.tokens_per_param
        return np.abs(np.log(ratio / np.clip(ratio, low, high)))


def departures(surface: Surface, region: Region, params: float, tokens: float) -> list[str]:
    """Why a law cannot be believed at a point; empty where it can.

    Looks along the straight line, in logs, from the nearest covered point to the point asked for:
    the loss must be a positive number there and must not rise with N or D. Runs of one size, or of
    one length, are no evidence for another, whatever the law makes of them.
    """
    unseen = [
        name
        for name, value, (low, high) in (
            ("params", params, region.params),
            ("tokens", tokens, region.tokens),
        )
        if high < _SAME * low and not low / _SAME <= value <= high * _SAME
    ]
    if unseen:
        return [f"all runs have the same {name}, and tell nothing of another" for name in unseen]
    near = (np.clip(params, *region.params), np.clip(tokens, *region.tokens))
    shares = np.linspace(0.0, 1.0, _STEPS)
    path = {
        "params": near[0] * (params / near[0]) ** shares,
        "tokens": near[1] * (tokens / near[1]) ** shares,
    }
    inputs = {entry.name: path[entry.name] for entry in surface.law.inputs}
    loss = surface.predict(**inputs)
    if not np.all(np.isfinite(loss) & (loss > 0)):
        return ["its loss is no positive number on the way"]
    slopes = surface.slopes(**inputs)
    return [
        f"its loss rises with {name} on the way"
        for name, slope in slopes.items()
        if np.any(slope > _FLAT * loss)
    ]
