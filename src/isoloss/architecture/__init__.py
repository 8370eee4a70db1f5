"""Shapes of decoder language models: parameters, FLOPs per token, cache; read, and proposed."""

from isoloss.architecture.attention import AttentionShape, LatentAttentionShape
from isoloss.architecture.decoder import DecoderShape, LayerShape
from isoloss.architecture.decoding import (
    CACHE_BITS,
    decode_flops_per_token,
    kv_cache_bytes,
    kv_cache_bytes_per_token,
)
from isoloss.architecture.embedding_counts import (
    embedding_factor,
    nonembedding_params,
    total_params,
)
from isoloss.architecture.experts import ExpertsShape, FeedForwardShape
from isoloss.architecture.family import ExactModel, ModelFamily, rule_like
from isoloss.architecture.flops import (
    FLOPS_CONVENTIONS,
    FlopsConvention,
    chinchilla_flops,
    farseer_flops,
    kaplan_flops,
    megatron_flops,
    palm_flops,
    porian_attention_flops,
    porian_flops,
    six_n_nonembedding_flops,
    six_n_total_flops,
    training_flops_per_token,
)
from isoloss.architecture.huggingface import ConfiguredModel, llama_config, read_config
from isoloss.architecture.model_families import MODEL_FAMILIES
from isoloss.architecture.proposing import (
    ProposedShape,
    ShapeRule,
    propose_shape,
    shape_ladder,
)
from isoloss.architecture.pruning import average_params
from isoloss.architecture.shapes import LLAMA_FIELDS, Shape, TransformerShape, as_decoder

__all__ = [
    "CACHE_BITS",
    "FLOPS_CONVENTIONS",
    "LLAMA_FIELDS",
    "MODEL_FAMILIES",
    "AttentionShape",
    "ConfiguredModel",
    "DecoderShape",
    "ExactModel",
    "ExpertsShape",
    "FeedForwardShape",
    "FlopsConvention",
    "LatentAttentionShape",
    "LayerShape",
    "ModelFamily",
    "ProposedShape",
    "Shape",
    "ShapeRule",
    "TransformerShape",
    "as_decoder",
    "average_params",
    "chinchilla_flops",
    "decode_flops_per_token",
    "embedding_factor",
    "farseer_flops",
    "kaplan_flops",
    "kv_cache_bytes",
    "kv_cache_bytes_per_token",
    "llama_config",
    "megatron_flops",
    "nonembedding_params",
    "palm_flops",
    "porian_attention_flops",
    "porian_flops",
    "propose_shape",
    "read_config",
    "rule_like",
    "shape_ladder",
    "six_n_nonembedding_flops",
    "six_n_total_flops",
    "total_params",
    "training_flops_per_token",
]
