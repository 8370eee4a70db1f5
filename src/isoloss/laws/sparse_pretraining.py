"""Sparse pre-training: Chinchilla over the mean number of active parameters."""

from __future__ import annotations

from dataclasses import replace

from isoloss.laws.chinchilla import CHINCHILLA
from isoloss.laws.law import TOKENS, Input

AVERAGE_PARAMS = Input(
    "average_params", r"\bar N", "active parameters, mean over training tokens", improves=True
)

SPARSE_PRETRAINING = replace(
    CHINCHILLA,
    name="sparse-pretraining",
    title="Pruned while training: E + A/N_avg^alpha + B/D^beta",
    formula="E + A/average_params**alpha + B/tokens**beta",
    inputs=(AVERAGE_PARAMS, TOKENS),
    optimum="",
    source="Jin et al. 2025 (The Journey Matters), arXiv:2501.12486",
    remark="Training costs about 6 N_avg D; the model that remains is smaller. No coefficients "
    "are readable.",
    published=(),
)
