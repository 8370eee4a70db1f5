"""Where expected inference moves the optimum: the cheapest run of a loss for every demand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from isoloss.arrays import Array
from isoloss.errors import InputError
from isoloss.fitting import Fit
from isoloss.laws import Surface
from isoloss.planning.costs import Cost, inference_flops, training_flops
from isoloss.planning.inverse import cheapest
from isoloss.planning.limits import Limits
from isoloss.plotting import Plottable

CostOfDemand = Callable[[float], Cost]
"""Training and serving together, by the tokens that the model will serve."""


@dataclass(frozen=True, eq=False)
class Demand(Plottable):
    """The cheapest run of one loss for each lifetime demand.

    Attributes:
        target: what every run reaches.
        served: tokens read and written over the model's life.
        params: N of the cheapest run.
        tokens: D.
        amount: what training and serving cost.
        saved: share of it saved over the run that is cheapest to train.
        cost: name of what is least.
        unit: what it is counted in.
        surface: the law.
    """

    target: float
    served: Array
    params: Array
    tokens: Array
    amount: Array
    saved: Array
    cost: str
    unit: str
    surface: Surface

    def to_frame(self) -> pl.DataFrame:
        """One row a demand."""
        return pl.DataFrame(
            {
                "served": self.served,
                "params": self.params,
                "tokens": self.tokens,
                "tokens_per_param": self.tokens / self.params,
                "amount": self.amount,
                "saved": self.saved,
            }
        )

    def to_json(self) -> dict[str, Any]:
        """The runs as one JSON object."""
        return {
            "law": self.surface.law.name,
            "target": self.target,
            "cost": self.cost,
            "unit": self.unit,
            "points": self.to_frame().to_dicts(),
        }


def total_flops(served: float) -> Cost:
    """FLOPs of training and of serving, 6 N D + 2 N for each token served."""
    return training_flops() + inference_flops(served)


def demand(
    law: Fit | Surface,
    target: float,
    served: Sequence[float],
    *,
    cost: CostOfDemand = total_flops,
    limits: Limits | None = None,
    given: Mapping[str, float] | None = None,
) -> Demand:
    """How the cheapest run of a loss moves with the tokens that it will serve.

    Sardana et al. 2024, arXiv:2401.00448: the more a model will serve, the smaller it should be,
    and the longer it should train.

    Args:
        law: a fit or a surface.
        target: the loss to reach.
        served: lifetime demands in tokens.
        cost: of training and serving, by the demand; 0 of it is the cost of training alone.
        limits: what bounds every run.
        given: value of each input that is neither N, D nor set by the limits.

    Raises:
        FitError: no run reaches the target.
        InputError: a demand is negative, there is none, or as of `cheapest`.
    """
    if not len(served):
        raise InputError("no demand", where="served", expected="tokens, such as 1e12")
    surface = law.surface if isinstance(law, Fit) else law
    alone = replace(surface, replicates=np.empty((0, 0)))
    usual = cheapest(alone, target, cost=cost(0.0), limits=limits, given=given)
    runs = []
    for tokens in served:
        total = cost(float(tokens))
        run = cheapest(alone, target, cost=total, limits=limits, given=given)
        amount = run.cost(total.name)
        without = float(total.amount(usual.params, usual.tokens))
        runs.append((run.params, run.tokens, amount, 1 - amount / without))
    params, trained, amounts, saved = np.array(runs).T
    return Demand(
        target,
        np.asarray(served, dtype=np.float64),
        params,
        trained,
        amounts,
        saved,
        total.name,
        total.unit,
        surface,
    )
