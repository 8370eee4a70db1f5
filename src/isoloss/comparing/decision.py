"""What is left to do: how many more runs decide, and where the order of two recipes flips."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from isoloss.arrays import Array
from isoloss.comparing.pair_ensemble import Contrast, PairEnsemble, log_ratio_draws, quantile

DECIDED = 0.95
# More pairs than this are no plan.
_MOST_PAIRS = 10_000
_STEPS = 241


def pairs_until_decided(
    ensemble: PairEnsemble,
    contrast: Contrast,
    point: tuple[float, float],
    place: tuple[float, float],
) -> int | None:
    """Further pairs of runs, one of each recipe at one place, until one recipe is 95 % sure.

    Each pair is one more observation of the difference at its place, with the noise of the pairs
    so far; the posterior's variance at the point falls by what such observations tell of it. The
    estimate is taken to stay where it is, and so is the error of the laws' form, which no run at
    that place would lessen.

    Args:
        ensemble: the laws of both recipes.
        contrast: of the recipes at the point.
        point: N and D to decide about.
        place: N and D of the further runs.

    Returns:
        0 where it is decided; None where no number of such runs is enough.
    """
    size, form = float(np.abs(contrast.log_ratio[0])), float(contrast.form[0])
    parameters = float(contrast.parameters[0])

    def decided(pairs: int) -> bool:
        share = _variance_left(ensemble, point, place, pairs)
        deviation = np.hypot(parameters * np.sqrt(share), form)
        return bool(quantile(contrast.freedom + pairs, DECIDED) * deviation <= size)

    if size == 0 or not decided(_MOST_PAIRS):
        return None
    enough, too_few = _MOST_PAIRS, -1
    while enough - too_few > 1:
        middle = (enough + too_few) // 2
        enough, too_few = (middle, too_few) if decided(middle) else (enough, middle)
    return enough


def _variance_left(
    ensemble: PairEnsemble, point: tuple[float, float], place: tuple[float, float], pairs: int
) -> float:
    """Share of the variance at a point that is left after further pairs of runs at a place."""
    before = after = 0.0
    both = np.array([point, place]).T
    counted = [law for law in ensemble.laws if law.weight > 0]
    parts = [(fit, law.weight * share) for law in counted for fit, share in law.fits]
    for fit, weight in parts:
        covariance = np.cov(log_ratio_draws(fit, (both[0], both[1]), (both[0], both[1])))
        own = covariance[0, 0]
        told = 0.0
        if pairs:
            told = covariance[0, 1] ** 2 / (covariance[1, 1] + fit.noise_difference**2 / pairs)
        before += weight * own
        after += weight * max(own - told, 0.0)
    return after / before if before > 0 else 0.0


@dataclass(frozen=True)
class Crossing:
    """Where the order of two recipes flips along a line of equal tokens per parameter.

    Attributes:
        tokens_per_param: D/N.
        params: N at which both are equally good.
        tokens: D there.
        better_beyond: 0 where the first recipe is better for larger N, else 1.
    """

    tokens_per_param: float
    params: float
    tokens: float
    better_beyond: int

    def to_json(self, names: tuple[str, str]) -> dict[str, Any]:
        """The crossing as one JSON object."""
        return {
            "tokens_per_param": self.tokens_per_param,
            "params": self.params,
            "tokens": self.tokens,
            "flops": 6.0 * self.params * self.tokens,
            "better_beyond": names[self.better_beyond],
        }


def crossings(
    ensemble: PairEnsemble, ratios: tuple[float, ...], params: tuple[float, float]
) -> tuple[Crossing, ...]:
    """Where the expected difference is zero, for each of several tokens per parameter.

    Args:
        ensemble: the laws of both recipes.
        ratios: tokens per parameter.
        params: smallest and largest N looked at.
    """
    found = []
    sizes = np.geomspace(*params, _STEPS)
    logs = np.log(sizes)
    for ratio in ratios:
        first, second = ensemble.log_losses(sizes, sizes * ratio)
        gap = first - second
        for step in np.flatnonzero(gap[:-1] * gap[1:] < 0):
            share = gap[step] / (gap[step] - gap[step + 1])
            size = float(np.exp(logs[step] + share * (logs[step + 1] - logs[step])))
            found.append(Crossing(ratio, size, size * ratio, int(gap[step + 1] > 0)))
    return tuple(found)


@dataclass(frozen=True)
class Plane:
    """The signed difference over the plane of N and D, for maps.

    Attributes:
        params: N of each column.
        tokens: D of each row.
        log_ratio: ln(loss of the first / loss of the second), shape (rows, columns).
        probability_a_better: that the first recipe is better, the same shape.
    """

    params: Array
    tokens: Array
    log_ratio: Array
    probability_a_better: Array


def plane(
    ensemble: PairEnsemble, params: tuple[float, float], tokens: tuple[float, float], count: int
) -> Plane:
    """The difference on a grid of `count` by `count` places between the given sizes."""
    columns, rows = np.geomspace(*params, count), np.geomspace(*tokens, count)
    N, D = np.meshgrid(columns, rows)
    contrast = ensemble.contrast(N.ravel(), D.ravel())
    return Plane(
        columns,
        rows,
        contrast.log_ratio.reshape(N.shape),
        contrast.probability_a_better.reshape(N.shape),
    )
