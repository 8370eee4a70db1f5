"""Serving a real shape: memory and time of a generated token, as limits of a plan.

What grows with N alone is in `memory`; here the shape decides: its cache, its active parameters,
its products with the context.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from isoloss.architecture import (
    ExactModel,
    ModelFamily,
    Shape,
    TransformerShape,
    as_decoder,
    decode_flops_per_token,
    kv_cache_bytes,
)
from isoloss.errors import FitError, InputError
from isoloss.planning.limits import SizeLimit
from isoloss.planning.memory import bytes_of
from isoloss.planning.result import Allocation

# Sizes tried below a planned one, each a hundredth smaller, until a shape keeps to its limits.
_SMALLER = 60
_STEP = 0.01
# An amount that exceeds its limit by less is within it.
_ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True)
class Serving:
    """How a model is served.

    Args:
        context: tokens of each sequence, all of them in the cache.
        sequences: how many are served at once.
        weights: precision of the weights.
        cache: precision of the keys and values.

    Raises:
        InputError: a count is not positive, or there is no such precision.
    """

    context: int
    sequences: int = 1
    weights: str = "bf16"
    cache: str = "bf16"

    def __post_init__(self) -> None:
        for name in ("context", "sequences"):
            if getattr(self, name) < 1:
                raise InputError(
                    "not a count", where=name, found=str(getattr(self, name)), expected="1 or more"
                )
        bytes_of(self.weights)

    def bytes(self, shape: Shape) -> float:
        """Bytes of all weights and of the full cache."""
        return bytes_of(self.weights) * as_decoder(shape).params_total + self.cache_bytes(shape)

    def cache_bytes(self, shape: Shape) -> float:
        """Bytes of the keys and values of all sequences, at their full length."""
        return float(kv_cache_bytes(shape, self.context, self.cache, self.sequences))

    def seconds(self, shape: Shape, *, bandwidth: float, peak_flops: float = math.inf) -> float:
        """Least seconds of one step, in which each sequence gets one token, at full length.

        The longer of reading memory once and of computing (Williams et al. 2009, the roofline
        model). Weights are read once for all sequences; of experts no more than those that the
        sequences can meet, each its active ones.

        Args:
            shape: the model.
            bandwidth: bytes a second, of all accelerators that share the model.
            peak_flops: FLOP/s, of all of them.

        Raises:
            InputError: one of the two is no positive number.
        """
        for name, value in (("bandwidth", bandwidth), ("peak FLOP/s", peak_flops)):
            if not value > 0:
                raise InputError(
                    "not a positive number", where=name, found=f"{value:g}", expected="as 3.35e12"
                )
        decoder = as_decoder(shape)
        met = min(decoder.params_total, self.sequences * decoder.params_active)
        read = bytes_of(self.weights) * met + self.cache_bytes(shape)
        computed = self.sequences * decode_flops_per_token(shape, self.context)
        return max(read / bandwidth, computed / peak_flops)


@dataclass(frozen=True)
class ShapeLimit:
    """At most so much of something that the shape of a model decides.

    Attributes:
        name: as people call the limit.
        unit: what it is counted in.
        of: the amount by shape.
        at_most: the most that is allowed.
    """

    name: str
    unit: str
    of: Callable[[Shape], float]
    at_most: float

    def over(self, model: ModelFamily | ExactModel) -> SizeLimit:
        """The same as a limit on N, for the models of a family or for one model."""
        return SizeLimit(self.name, self.unit, model.by_size(self.of), self.at_most)


@dataclass(frozen=True)
class BuiltRun:
    """A run of a model that can be built, nearest to a planned one.

    Attributes:
        shape: the model.
        params: its exact N, counted as the law counts.
        tokens: training tokens within the limits of the plan.
        loss: what the law predicts.
        amounts: what the shape takes of everything that is limited.
    """

    shape: Shape
    params: float
    tokens: float
    loss: float
    amounts: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """The run as one JSON object, without its shape."""
        return {
            "params": self.params,
            "tokens": self.tokens,
            "loss": self.loss,
            "amounts": dict(self.amounts),
        }


def nearest_built(
    run: Allocation, model: ModelFamily | ExactModel, limits: Sequence[ShapeLimit] = ()
) -> BuiltRun:
    """The model nearest to a planned N that can be built and keeps to every limit exactly.

    Args:
        run: the plan, whose limits also decide the tokens.
        model: the family of models, or the one model.
        limits: what the shape itself must keep to.

    Raises:
        FitError: no shape near the planned size keeps to the limits.
        InputError: the planned N is smaller than any shape of the family.
    """
    seen: list[Shape] = []
    for step in range(_SMALLER):
        shape = model.nearest(run.params * math.exp(-_STEP * step))
        if shape in seen:
            continue
        seen.append(shape)
        amounts = {limit.name: float(limit.of(shape)) for limit in limits}
        params = float(model.count(shape))
        tokens = float(run.tokens_of(np.asarray([params]))[0])
        kept = all(amounts[each.name] <= each.at_most * (1 + _ROUNDING) for each in limits)
        if kept and math.isfinite(tokens):
            loss = float(run.loss_of(np.asarray([params]))[0])
            return BuiltRun(shape, params, tokens, loss, amounts)
    smallest = seen[-1]
    size = f"d_model {smallest.d_model}" if isinstance(smallest, TransformerShape) else "it"
    raise FitError(
        f"no shape near N={run.params:.4g} keeps within the limits: the smallest tried, with "
        f"{size}, does not. Ask for more room, or for another rule of shapes"
    )
