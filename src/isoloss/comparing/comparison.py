"""What a comparison of recipes tells, as frozen results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from isoloss.comparing.decision import Crossing
from isoloss.comparing.efficiency import Efficiency
from isoloss.comparing.gain import GainCurve, finite
from isoloss.comparing.measured import MeasuredGains
from isoloss.comparing.pair_ensemble import PairEnsemble
from isoloss.notes import Note
from isoloss.plotting import Plottable
from isoloss.runs import Runs

UNDECIDED = "undecided"


@dataclass(frozen=True)
class ComparedPoint:
    """Two recipes at one N and D; expected losses, in the unit of the tables.

    Attributes:
        recipe_a: name of the first recipe.
        recipe_b: name of the second.
        params: N.
        tokens: D.
        loss_a: expected loss of the first recipe.
        loss_b: expected loss of the second.
        difference: loss_a - loss_b; below zero the first recipe is better.
        lower: lower end of the interval for the difference.
        upper: upper end.
        single_runs: interval for the difference of one run of each, which has their noise too.
        level: probability with which the interval should hold.
        probability_a_better: that the first recipe's expected loss is the lower one.
        better: name of the better recipe, or "undecided" where the interval holds zero.
        compute_gain: how many times more compute the second recipe needs to reach loss_a; NaN
            where no finite amount does.
        compute_gain_interval: its ends; infinite where the second recipe may never get there.
        data_gain: how many times more tokens it needs at the same N; NaN as above.
        data_gain_interval: its ends.
        more_pairs: further pairs of runs, one of each recipe, until one is 95 % sure to be
            better; 0 where it is, None where no number of such runs is enough.
        extrapolation: N, D and C as multiples of the largest of both recipes' runs.
        deviations: standard deviations of the log ratio of losses: from the parameters, from the
            laws' form, and from the noise of a pair of single runs.
    """

    recipe_a: str
    recipe_b: str
    params: float
    tokens: float
    loss_a: float
    loss_b: float
    difference: float
    lower: float
    upper: float
    single_runs: tuple[float, float]
    level: float
    probability_a_better: float
    better: str
    compute_gain: float
    compute_gain_interval: tuple[float, float]
    data_gain: float
    data_gain_interval: tuple[float, float]
    more_pairs: int | None
    extrapolation: Mapping[str, float]
    deviations: Mapping[str, float]

    @property
    def undecided(self) -> bool:
        """Whether the interval of the difference holds zero."""
        return self.better == UNDECIDED

    def to_json(self) -> dict[str, Any]:
        """The point as one JSON object; gains that are not finite are None."""
        return {
            **vars(self),
            "undecided": self.undecided,
            "single_runs": list(self.single_runs),
            "compute_gain": finite(self.compute_gain),
            "compute_gain_interval": [finite(end) for end in self.compute_gain_interval],
            "data_gain": finite(self.data_gain),
            "data_gain_interval": [finite(end) for end in self.data_gain_interval],
            "extrapolation": dict(self.extrapolation),
            "deviations": dict(self.deviations),
        }


@dataclass(frozen=True, eq=False)
class Pair:
    """Everything about two recipes.

    Attributes:
        recipes: their names.
        points: the comparison at each point.
        weights: share of each law.
        reasons: one line a law of why it counts, or why it was left out.
        curve: gains against compute.
        measured: gains read off the runs without a law of N; None where no size allows it.
        crossings: where the order flips.
        efficiency: factors by which the first recipe makes N and D worth more than in the second,
            by the law of most weight; None where the runs do not determine them.
        place: N and D of the further runs that `more_pairs` counts.
        n_pairs: runs that both recipes have made at the same N and D.
        ensemble: the laws of both recipes.
        tables: their runs.
        notes: what to know before relying on the numbers.
    """

    recipes: tuple[str, str]
    points: tuple[ComparedPoint, ...]
    weights: Mapping[str, float]
    reasons: Mapping[str, str]
    curve: GainCurve
    measured: MeasuredGains | None
    crossings: tuple[Crossing, ...]
    efficiency: Efficiency | None
    place: tuple[float, float]
    n_pairs: int
    ensemble: PairEnsemble
    tables: tuple[Runs, Runs]
    notes: tuple[Note, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """All but the points as one JSON object."""
        return {
            "recipe_a": self.recipes[0],
            "recipe_b": self.recipes[1],
            "n_runs": [len(runs) for runs in self.tables],
            "n_pairs": self.n_pairs,
            "weights": dict(self.weights),
            "reasons": dict(self.reasons),
            "gain_curve": self.curve.to_json(),
            "measured": None if self.measured is None else self.measured.to_json(),
            "indifference": [each.to_json(self.recipes) for each in self.crossings],
            "efficiency": None if self.efficiency is None else self.efficiency.to_json(),
            "more_pairs_at": {"params": self.place[0], "tokens": self.place[1]},
        }


@dataclass(frozen=True, eq=False)
class Comparison(Plottable):
    """A recipe against one or more others.

    Attributes:
        pairs: the first recipe against each of the others.
        level: of all intervals.
        path: how the second recipe spends more compute, see `gain`.
        notes: what to know before relying on the numbers.
    """

    pairs: tuple[Pair, ...]
    level: float
    path: str
    notes: tuple[Note, ...] = field(default=())

    @property
    def recipes(self) -> tuple[str, ...]:
        """Names of all recipes, the first one first."""
        return (self.pairs[0].recipes[0], *(pair.recipes[1] for pair in self.pairs))

    @property
    def points(self) -> tuple[ComparedPoint, ...]:
        """Every pair at every point."""
        return tuple(point for pair in self.pairs for point in pair.points)

    def to_json(self) -> dict[str, Any]:
        """The comparison as one JSON object."""
        return {
            "points": [point.to_json() for point in self.points],
            "recipes": list(self.recipes),
            "level": self.level,
            "path": self.path,
            "pairs": [pair.to_json() for pair in self.pairs],
            "notes": [note.to_json() for note in self.notes],
        }

    def to_frame(self) -> pl.DataFrame:
        """One row a pair and point."""
        columns = (
            *("recipe_a", "recipe_b", "params", "tokens", "loss_a", "loss_b", "difference"),
            *("lower", "upper", "probability_a_better", "better", "compute_gain", "data_gain"),
            "more_pairs",
        )
        return pl.DataFrame(
            {name: [getattr(point, name) for point in self.points] for name in columns}
        )
