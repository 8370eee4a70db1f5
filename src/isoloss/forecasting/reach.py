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


@dataclass(frozen=True)
class Region:
    """The part of the (N, D) plane that runs cover: smallest and largest N, D and C = 6 N D."""

    params: tuple[float, float]
    tokens: tuple[float, float]
    flops: tuple[float, float]

    @classmethod
    def of(cls, params: Array, tokens: Array) -> Region:
        """The region of some runs."""
        flops = 6.0 * params * tokens
        return cls(*((float(each.min()), float(each.max())) for each in (params, tokens, flops)))

    @classmethod
    def of_runs(cls, runs: Runs) -> Region:
        """The region of a table."""
        return cls.of(runs.params, runs.tokens)

    def multiples(self, params: float, tokens: float) -> dict[str, float]:
        """A point's N, D and C as multiples of the largest of the runs; above 1 is beyond them."""
        return {
            "params": params / self.params[1],
            "tokens": tokens / self.tokens[1],
            "flops": 6.0 * params * tokens / self.flops[1],
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


def departures(surface: Surface, region: Region, params: float, tokens: float) -> list[str]:
    """Why a law cannot be believed at a point; empty where it can.

    Looks along the straight line, in logs, from the nearest covered point to the point asked for:
    the loss must be a positive number there and must not rise with N or D.
    """
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
