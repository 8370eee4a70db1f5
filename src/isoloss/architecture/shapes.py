"""The shape of a decoder-only transformer and its exact parameter counts, part by part."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from isoloss.architecture.attention import AttentionShape
from isoloss.architecture.checking import check_fields, check_heads
from isoloss.architecture.decoder import DecoderShape, LayerShape
from isoloss.architecture.experts import FeedForwardShape
from isoloss.errors import InputError

_LEAST_VALUES = {
    "n_layers": 1,
    "d_model": 1,
    "d_ff": 1,
    "n_heads": 1,
    "vocabulary_size": 1,
    "head_dim": 1,
    "n_kv_heads": 1,
    "norm_vectors_per_layer": 0,
    "final_norm_vectors": 0,
    "learned_positions": 0,
}
# What tells one Llama-style model from another; the other fields say how such a model is made.
LLAMA_FIELDS = (
    "n_layers",
    "d_model",
    "d_ff",
    "n_heads",
    "vocabulary_size",
    "head_dim",
    "n_kv_heads",
    "tied_embeddings",
)
_CHOICES = ("gated", "tied_embeddings", "biases", "relative_position_projection")


@dataclass(frozen=True, kw_only=True)
class TransformerShape:
    """The shape of a dense decoder-only transformer.

    The defaults describe a Llama-style model: gated feed-forward, two norms of one scale vector
    each per layer and one before the output, rotary positions, no biases, untied embeddings.
    Every count is an exact integer over the whole model unless its name says otherwise.

    Args:
        n_layers: layers, each one attention and one feed-forward block.
        d_model: width of the residual stream.
        d_ff: inner width of the feed-forward block.
        n_heads: query heads.
        vocabulary_size: rows of the embedding matrix, padding included.
        head_dim: width of one head; None stands for d_model / n_heads.
        n_kv_heads: key and value heads; fewer than n_heads is grouped-query attention, 1 is
            multi-query attention, None stands for n_heads.
        gated: True for a gated feed-forward block of three matrices (SwiGLU, GeGLU), False for a
            plain one of two.
        tied_embeddings: True if one matrix serves as input embedding and output projection.
        norm_vectors_per_layer: vectors of d_model parameters that a layer's norms hold: 2 for two
            RMS norms, 4 for two layer norms with scale and shift, 0 where norms are not counted.
        final_norm_vectors: the same for the norm before the output projection.
        learned_positions: rows of a learned position embedding; 0 where there is none.
        biases: True if every matrix of the layers has a bias.
        relative_position_projection: True if each layer holds one more d_model x query_width
            matrix, for relative positions as in Transformer-XL, Gopher and Chinchilla. It meets
            positions, not tokens, so no FLOP convention counts it.

    Raises:
        InputError: a size is no integer or too small, a choice is not True or False, d_model does
            not divide into n_heads heads, or the query heads into the key and value heads.
    """

    n_layers: int
    d_model: int
    d_ff: int
    n_heads: int
    vocabulary_size: int
    head_dim: int | None = None
    n_kv_heads: int | None = None
    gated: bool = True
    tied_embeddings: bool = False
    norm_vectors_per_layer: int = 2
    final_norm_vectors: int = 1
    learned_positions: int = 0
    biases: bool = False
    relative_position_projection: bool = False

    def __post_init__(self) -> None:
        check_fields(self, sizes=_LEAST_VALUES, choices=_CHOICES)
        if self.head_dim is None and self.d_model % self.n_heads:
            raise InputError(
                "the heads do not divide d_model evenly",
                where="TransformerShape.n_heads",
                found=f"{self.n_heads} with d_model {self.d_model}",
                expected="a divisor of d_model, or head_dim given",
            )
        if self.n_kv_heads is not None:
            check_heads(self.n_heads, self.n_kv_heads, "TransformerShape.n_kv_heads")

    @cached_property
    def decoder(self) -> DecoderShape:
        """The same model, layer by layer."""
        attention = AttentionShape(
            n_heads=self.n_heads,
            head_dim=self.query_width // self.n_heads,
            n_kv_heads=self.n_heads if self.n_kv_heads is None else self.n_kv_heads,
            input_biases=self.biases,
            output_bias=self.biases,
            relative_position_projection=self.relative_position_projection,
        )
        layer = LayerShape(
            attention=attention,
            feedforward=FeedForwardShape(d_ff=self.d_ff, gated=self.gated, biases=self.biases),
            norm_vectors=self.norm_vectors_per_layer,
            count=self.n_layers,
        )
        return DecoderShape(
            d_model=self.d_model,
            vocabulary_size=self.vocabulary_size,
            layers=(layer,),
            tied_embeddings=self.tied_embeddings,
            final_norm_vectors=self.final_norm_vectors,
            learned_positions=self.learned_positions,
        )

    @property
    def query_width(self) -> int:
        """Width of all query heads together, n_heads x head_dim; d_attn in Kaplan et al."""
        if self.head_dim is None:
            return self.d_model
        return self.n_heads * self.head_dim

    @property
    def key_value_width(self) -> int:
        """Width of all key heads together, which is also that of all value heads."""
        kv_heads = self.n_heads if self.n_kv_heads is None else self.n_kv_heads
        return self.query_width // self.n_heads * kv_heads

    @property
    def attention_matrix_params(self) -> int:
        """Weights of the query, key, value and output matrices."""
        return self.decoder.attention_matrix_params

    @property
    def feedforward_matrix_params(self) -> int:
        """Weights of the feed-forward matrices: three when gated, else two."""
        return self.decoder.feedforward_matrix_params

    @property
    def layer_matrix_params(self) -> int:
        """Weights that every token is multiplied with inside the layers.

        No norms, no biases and nothing of the vocabulary; with d_attn = query_width and no
        grouping this is N = 2 d_model n_layer (2 d_attn + d_ff) of Kaplan et al. 2020, Table 1.
        """
        return self.decoder.layer_matrix_params

    @property
    def vocabulary_matrix_params(self) -> int:
        """Weights of one matrix between vocabulary and residual stream."""
        return self.decoder.vocabulary_matrix_params

    @property
    def attention_params(self) -> int:
        """Parameters of the attention blocks: matrices, biases, relative-position projection."""
        return self.decoder.attention_params

    @property
    def feedforward_params(self) -> int:
        """Parameters of the feed-forward blocks: matrices and biases."""
        return self.decoder.feedforward_params

    @property
    def norm_params(self) -> int:
        """Parameters of the norms, the final one included."""
        return self.decoder.norm_params

    @property
    def embedding_params(self) -> int:
        """Parameters of input embedding, output projection unless tied, learned positions."""
        return self.decoder.embedding_params

    @property
    def params_nonembedding(self) -> int:
        """N without input embedding, output projection and learned positions."""
        return self.decoder.params_nonembedding

    @property
    def params_total(self) -> int:
        """N with every parameter."""
        return self.decoder.params_total

    @property
    def params_active(self) -> int:
        """N that a token meets, which in a dense model is all of it."""
        return self.decoder.params_active


Shape = TransformerShape | DecoderShape
"""A shape of either kind."""


def as_decoder(shape: Shape) -> DecoderShape:
    """The shape layer by layer."""
    return shape.decoder if isinstance(shape, TransformerShape) else shape
