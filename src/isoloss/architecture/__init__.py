"""Shapes of decoder language models: their parameters and their training FLOPs per token."""

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
from isoloss.architecture.shapes import TransformerShape

__all__ = [
    "FLOPS_CONVENTIONS",
    "FlopsConvention",
    "TransformerShape",
    "chinchilla_flops",
    "farseer_flops",
    "kaplan_flops",
    "megatron_flops",
    "palm_flops",
    "porian_attention_flops",
    "porian_flops",
    "six_n_nonembedding_flops",
    "six_n_total_flops",
    "training_flops_per_token",
]
