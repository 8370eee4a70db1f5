"""The question behind the options of `allocate`: costs, limits, and what is to be best."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from isoloss.errors import InputError
from isoloss.quantities import parse_quantity

if TYPE_CHECKING:
    from isoloss.fitting import Fit
    from isoloss.forecasting import Chain
    from isoloss.laws import Surface
    from isoloss.planning import (
        Allocation,
        Cost,
        Demand,
        Frontier,
        Limits,
        Overtraining,
        ParameterCounts,
    )
    from isoloss.planning.costs import OfSize

    Law = Fit | Surface | Chain
    Answer = Allocation | Overtraining | Frontier | Demand

_POINTS = 9


def number(text: str | None, option: str) -> float | None:
    """The positive number given by an option, None where it was not given.

    Raises:
        InputError: it is none.
    """
    return None if text is None else parse_quantity(text, where=option)


@dataclass(frozen=True)
class Question:
    """What `allocate` is asked.

    Attributes:
        flops: budget of FLOPs.
        target: loss to reach.
        score: downstream score to reach.
        params: a fixed size.
        frontier: LOW:HIGH, budgets of FLOPs of a frontier.
        demand: LOW:HIGH, tokens to be served.
        cost_of: what training and serving cost, by the tokens served.
        training: training FLOPs; None counts 6 N D.
        served: FLOPs of serving.
        money: costs in money.
        reported: costs that the answer names although nothing limits them.
        limits: what bounds the run.
        given: further inputs of the law.
        counts: the two counts of N.
        level: of the intervals.
    """

    flops: float | None
    target: float | None
    score: float | None
    params: float | None
    frontier: str | None
    demand: str | None
    cost_of: Callable[[float], Cost]
    training: Cost | None
    served: Cost | None
    money: Cost | None
    reported: tuple[Cost, ...]
    limits: Limits
    given: dict[str, float] | None
    counts: ParameterCounts | None
    level: float

    def answer(self, law: Law) -> Answer:
        """The answer under a law.

        Raises:
            FitError: the law has none.
            InputError: options contradict each other.
        """
        from isoloss.forecasting import Chain
        from isoloss.planning import (
            Spend,
            allocate,
            cheapest,
            frontier,
            overtraining,
            training_flops,
        )

        self._check()
        training = self.training or training_flops()
        total = training + self.served if self.served else self.training
        if self.score is not None and not isinstance(law, Chain):
            raise InputError(
                "no law of the score", where="--target-score", expected="--then FIT.json"
            )
        wanted = self.target if self.score is None else self.score
        if wanted is not None:
            limits = self._within(total or training)
            cost = self.money or total or training
            if self.demand is not None:
                return self._over_demands(law, wanted)
            if self.params is not None:
                return overtraining(
                    law,
                    self.params,
                    wanted,
                    cost=cost,
                    limits=limits,
                    given=self.given,
                    counts=self.counts,
                    level=self.level,
                )
            run = cheapest(
                law,
                wanted,
                cost=cost,
                limits=limits,
                given=self.given,
                training=training,
                counts=self.counts,
                level=self.level,
            )
            return run.with_costs(self.reported)
        if isinstance(law, Chain):
            raise InputError("nothing to reach", where="--then", expected="--target-score")
        if self.demand is not None:
            raise InputError("nothing to reach", where="--demand", expected="--target-loss")
        limits = self.limits
        if self.params is not None:
            limits = replace(limits, min_params=self.params, max_params=self.params)
        unlimited = not any(vars(limits).values())
        if self.frontier is not None:
            return frontier(
                law,
                amounts_between(self.frontier, "--frontier", "1e20:1e24"),
                cost=total,
                limits=None if unlimited else limits,
                given=self.given,
                level=self.level,
            )
        flops = self.flops
        if flops is not None and self.served and total:
            limits, flops = replace(limits, spend=(Spend(total, flops), *limits.spend)), None
            unlimited = False
        found = allocate(
            law,
            flops,
            limits=None if unlimited else limits,
            given=self.given,
            training=self.training,
            counts=self.counts,
            level=self.level,
        )
        return found.with_costs(self.reported)

    def _check(self) -> None:
        """Refuse options of which one would be passed over in silence."""
        asked = {
            "--target-loss": self.target,
            "--target-score": self.score,
            "--frontier": self.frontier,
        }
        two = [option for option, value in asked.items() if value is not None][:2]
        if len(two) > 1:
            raise InputError("two questions", where=two[1], found=f"{two[0]} besides")
        target = self.target is not None or self.score is not None
        paid = self.flops is not None or self.frontier is not None or target
        paid = paid or any(each.cost is self.money for each in self.limits.spend)
        if self.served is not None and not paid:
            raise InputError(
                "nothing pays for what is served",
                where="--inference-tokens",
                expected="--flops, --budget, --target-loss or --frontier",
            )
        low, high = self.limits.min_params, self.limits.max_params
        if self.params is None:
            return
        for limit, option in ((low, "--min-params"), (high, "--max-params")):
            if limit is not None and (limit > self.params) == (limit is low):
                raise InputError(
                    "contradictory limits",
                    where="--params",
                    found=f"{self.params:g}, and {option} {limit:g}",
                    expected="one of the two",
                )

    def _over_demands(self, law: Law, target: float) -> Demand:
        """The cheapest run for each number of tokens to be served."""
        from isoloss.forecasting import Chain
        from isoloss.planning import demand

        if isinstance(law, Chain):
            raise InputError("one law at a time", where="--demand", expected="no --then")
        if self.params is not None:
            raise InputError("one size does not move", where="--params", expected="no --demand")
        served = amounts_between(self.demand or "", "--demand", "1e10:1e14")
        return demand(law, target, served, cost=self.cost_of, limits=self.limits, given=self.given)

    def _within(self, cost: Cost) -> Limits:
        """The limits with the budget of FLOPs among them."""
        from isoloss.planning import Spend

        if self.flops is None:
            return self.limits
        return replace(self.limits, spend=(Spend(cost, self.flops), *self.limits.spend))


def amounts_between(text: str, option: str, example: str) -> list[float]:
    """Amounts of an option, evenly spaced in logs from LOW to HIGH.

    Raises:
        InputError: it is not of the form LOW:HIGH.
    """
    import numpy as np

    low, colon, high = text.partition(":")
    ends = [parse_quantity(each, where=option) for each in (low, high if colon else low)]
    if ends[0] >= ends[1]:
        raise InputError(
            "not a range",
            where=option,
            found=repr(text),
            expected=f"LOW:HIGH, such as {example}",
        )
    return [float(each) for each in np.geomspace(ends[0], ends[1], _POINTS)]


def with_memory(
    limits: Limits,
    *,
    memory: float | None,
    serving_memory: float | None,
    serving_precision: str,
    count: OfSize | None,
) -> Limits:
    """Limits with those on memory that the options give.

    Args:
        limits: those without memory.
        memory: bytes for the state of training.
        serving_memory: bytes for the weights that serve.
        serving_precision: of those.
        count: all parameters by N, which memory holds; N itself where not given.
    """
    from isoloss.planning import SizeLimit, serving_bytes, training_state_bytes

    sizes = []
    if memory is not None:
        sizes.append(SizeLimit("max_memory", "bytes", training_state_bytes(count=count), memory))
    if serving_memory is not None:
        own = serving_bytes(weights=serving_precision, count=count)
        sizes.append(SizeLimit("max_serving_memory", "bytes", own, serving_memory))
    return replace(limits, sizes=tuple(sizes))
