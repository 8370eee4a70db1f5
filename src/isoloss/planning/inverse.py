"""The inverse questions: the cheapest run that reaches a loss, and a size trained until it does."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from isoloss.errors import InputError
from isoloss.fitting import Fit
from isoloss.forecasting import DEFAULT_LEVEL, Chain
from isoloss.forecasting.prediction import check_level
from isoloss.laws import Surface
from isoloss.notes import Note
from isoloss.planning.costs import Cost, inference_flops, training_flops
from isoloss.planning.counts import ParameterCounts
from isoloss.planning.limits import Limits
from isoloss.planning.result import Allocation
from isoloss.planning.scores import loss_for_score, score_at
from isoloss.planning.setting import with_replicates
from isoloss.planning.solution import cheapest_run
from isoloss.plotting import Plottable


@dataclass(frozen=True, eq=False)
class Overtraining(Plottable):
    """A fixed size trained until it is as good as the optimal one.

    Attributes:
        fixed: the run of the fixed size.
        optimal: the cheapest run of the same loss.
        extra: what the fixed size costs more, in the unit of the cost.
        extra_share: as a share of the cheapest.
        pays_after: tokens read and written over the model's life after which serving the smaller
            model has saved what training it cost more, in FLOPs; infinite where it never does.
    """

    fixed: Allocation
    optimal: Allocation
    extra: float
    extra_share: float
    pays_after: float

    @property
    def notes(self) -> tuple[Note, ...]:
        """What to know before relying on the numbers of the fixed size."""
        return self.fixed.notes

    def to_json(self) -> dict[str, Any]:
        """The fixed run as one JSON object with the optimal one; `pays_after` null is never."""
        return {
            **self.fixed.to_json(),
            "optimal": self.optimal.to_json(),
            "extra": self.extra,
            "extra_share": self.extra_share,
            "pays_after": self.pays_after if math.isfinite(self.pays_after) else None,
        }


def cheapest(
    law: Fit | Surface | Chain,
    target: float,
    *,
    cost: Cost | None = None,
    limits: Limits | None = None,
    given: Mapping[str, float] | None = None,
    training: Cost | None = None,
    counts: ParameterCounts | None = None,
    level: float = DEFAULT_LEVEL,
) -> Allocation:
    """The cheapest run that reaches a loss, or a downstream score through a chain of laws.

    Args:
        law: a fit, a surface, or a chain whose first law reads N and D and whose later laws read
            what the one before predicts.
        target: the loss, or what the last law of the chain predicts.
        cost: what is to be least, training FLOPs by default.
        limits: what bounds the run.
        given: value of each input that is neither N, D nor set by the limits.
        training: how training FLOPs are counted, 6 N D by default.
        counts: reports N both with and without embeddings.
        level: of the intervals.

    Raises:
        FitError: no run reaches the target within the limits, or a law cannot be believed there.
        InputError: the limits contradict each other, or the target is no number.
    """
    check_level(level)
    if not math.isfinite(target):
        raise InputError(
            "not a target", where="target", found=f"{target:g}", expected="a number, such as 2.1"
        )
    first: Fit | Surface
    others = dict(given or {})
    if isinstance(law, Chain):
        for stage in law.stages:
            stage.require_converged()
        first = law.stages[0]
        targets = loss_for_score(law, target, others)
        # Inputs of later stages alone are no concern of the first.
        own = {entry.name for entry in first.law.inputs} | {"batch_tokens"}
        others = {name: value for name, value in others.items() if name in own}
    else:
        first = law
        if isinstance(law, Fit):
            law.require_converged()
        surface = law.surface if isinstance(law, Fit) else law
        targets = np.full(with_replicates(surface).shape[1], float(target))
    count = training or training_flops()
    run = cheapest_run(
        first, targets, cost or count, limits or Limits(), others, count, counts, level
    )
    if not isinstance(law, Chain):
        return run
    return replace(run, score=score_at(law, {**dict(given or {}), **run.inputs}, level))


def overtraining(
    law: Fit | Surface | Chain,
    params: float,
    target: float | None = None,
    *,
    cost: Cost | None = None,
    limits: Limits | None = None,
    given: Mapping[str, float] | None = None,
    counts: ParameterCounts | None = None,
    level: float = DEFAULT_LEVEL,
) -> Overtraining:
    """How long to train a fixed size for a loss, what that costs more, and when it pays.

    Args:
        law: as of `cheapest`.
        params: the size.
        target: the loss to reach.
        cost: what the cheapest run is cheapest in, training FLOPs by default.
        limits: what bounds both runs.
        given: value of each input that is neither N, D nor set by the limits.
        counts: reports N both with and without embeddings, and serves the total.
        level: of the intervals.

    Raises:
        FitError: the size does not reach the target, or no run does.
        InputError: as of `cheapest`.
    """
    if target is None:
        raise InputError("no loss to reach", where="target", expected="a loss, such as 2.1")
    spent = cost or training_flops()
    bounds = limits or Limits()
    only = replace(bounds, min_params=params, max_params=params)
    fixed, optimal = (
        cheapest(law, target, cost=spent, limits=each, given=given, counts=counts, level=level)
        for each in (only, bounds)
    )
    paid = fixed.cost(spent.name), optimal.cost(spent.name)
    serving = inference_flops(1.0, count=counts.total if counts else None)
    saved = float(serving.amount(optimal.params, 0.0) - serving.amount(fixed.params, 0.0))
    more = fixed.flops - optimal.flops
    pays_after = max(more, 0.0) / saved if saved > 0 else math.inf
    return Overtraining(fixed, optimal, paid[0] - paid[1], paid[0] / paid[1] - 1.0, pays_after)
