"""Models of every size: what a model of N parameters takes, from shapes that can be built."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from isoloss.architecture.attention import AttentionShape
from isoloss.architecture.experts import FeedForwardShape
from isoloss.architecture.proposing import Counted, ShapeRule, propose_shape
from isoloss.architecture.shapes import Shape, TransformerShape, as_decoder
from isoloss.arrays import Array
from isoloss.errors import InputError

OfShape = Callable[[Shape], float]
"""An amount by shape, such as bytes of cache, or training FLOPs for one token."""

# Shapes between which amounts are interpolated: few enough to be quick, and beyond ten layers so
# near to each other that a power of N between them is exact to a thousandth.
_RUNGS = 160
# Deeper than any model; amounts of larger sizes grow in proportion to N.
_DEEPEST = 20_000


@dataclass(frozen=True)
class ModelFamily:
    """Models of every size by one rule of shapes.

    Attributes:
        rule: how the parts follow from N, and whether N counts embeddings.
    """

    rule: ShapeRule

    def by_size(self, amount: OfShape) -> Callable[[Array], Array]:
        """An amount as a function of N: that of shapes with the rule's aspect ratio.

        Between two of them it is a power of N; a shape of another ratio has a little more or less.

        Below the smallest shape and above the largest it is proportional to N.

        Args:
            amount: by shape; a positive number that grows with the model.
        """
        log_params = np.log([self.rule.count(shape) for shape in self._rungs])
        log_amounts = np.log([float(amount(shape)) for shape in self._rungs])

        def of_size(params: Array) -> Array:
            place = np.log(np.asarray(params, dtype=np.float64))
            within = np.clip(place, log_params[0], log_params[-1])
            log_amount: Array = np.interp(within, log_params, log_amounts) + place - within
            return np.exp(log_amount)

        return of_size

    def nearest(self, params: float) -> TransformerShape:
        """The shape that can be built nearest to N.

        Raises:
            InputError: N is smaller than any shape of the rule, or beyond all models.
        """
        return propose_shape(params, self.rule).shape

    def count(self, shape: Shape) -> int:
        """N of a shape, counted as the rule says."""
        return counted_params(shape, self.rule.counted)

    @cached_property
    def _rungs(self) -> list[TransformerShape]:
        """Shapes that keep to the rule's aspect ratio, ever wider and deeper."""
        step = self.rule.d_model_step
        depths = np.unique(np.round(np.geomspace(1, _DEEPEST, _RUNGS))).astype(int)
        shapes: list[TransformerShape] = []
        for n_layers in depths.tolist():
            d_model = step * max(1, round(n_layers * self.rule.aspect_ratio / step))
            shapes.append(self.rule.shape(d_model, n_layers))
        return shapes


@dataclass(frozen=True)
class ExactModel:
    """One model as it is, whatever its shape.

    Attributes:
        shape: the model.
        counted: what N counts: "total", or "nonembedding" without embeddings.
    """

    shape: Shape
    counted: Counted = "total"

    @property
    def params(self) -> int:
        """Its N."""
        return counted_params(self.shape, self.counted)

    def by_size(self, amount: OfShape) -> Callable[[Array], Array]:
        """An amount of this model, the same for every N that is asked about."""
        own = float(amount(self.shape))
        return lambda params: np.full(np.shape(params), own)

    def nearest(self, params: float) -> Shape:
        """The model itself."""
        return self.shape

    def count(self, shape: Shape) -> int:
        """N of a shape, counted as that of the model."""
        return counted_params(shape, self.counted)


def counted_params(shape: Shape, counted: Counted) -> int:
    """N of a shape, with or without embeddings."""
    return shape.params_nonembedding if counted == "nonembedding" else shape.params_total


def rule_like(shape: Shape, counted: Counted = "total") -> ShapeRule:
    """The rule that a Llama-style model follows: its ratios, its heads, its vocabulary.

    Args:
        shape: the model.
        counted: what the N of the rule counts.

    Raises:
        InputError: the model has parts that no rule proposes: layers that differ, experts, latent
            attention, windows, heads that do not fill d_model, or feed-forward blocks without gate.
    """
    decoder = as_decoder(shape)
    layer = decoder.layers[0]
    attention, feedforward = layer.attention, layer.feedforward
    if len(decoder.layers) > 1:
        raise _unlike("layers of more than one kind")
    if not isinstance(attention, AttentionShape):
        raise _unlike("latent attention")
    if not isinstance(feedforward, FeedForwardShape):
        raise _unlike("experts")
    if attention.window is not None:
        raise _unlike("attention in windows")
    if not feedforward.gated:
        raise _unlike("feed-forward blocks without a gate")
    if attention.n_heads * attention.head_dim != decoder.d_model:
        raise _unlike(
            f"{attention.n_heads} heads of {attention.head_dim} for a d_model of {decoder.d_model}"
        )
    return ShapeRule(
        vocabulary_size=decoder.vocabulary_size,
        aspect_ratio=decoder.d_model / decoder.n_layers,
        head_dim=attention.head_dim,
        mlp_ratio=feedforward.d_ff / decoder.d_model,
        group=attention.n_heads // attention.n_kv_heads,
        tied_embeddings=decoder.tied_embeddings,
        d_ff_multiple=math.gcd(feedforward.d_ff, 256),
        counted=counted,
    )


def _unlike(found: str) -> InputError:
    return InputError(
        "no rule gives other sizes of this model",
        where="shape",
        found=found,
        expected="a Llama-style model, or the one model as it is",
    )
