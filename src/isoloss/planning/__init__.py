"""Splitting budgets."""

from isoloss.planning.allocation import (
    DEVIATIONS,
    Allocation,
    Deviation,
    allocate,
    deviate,
    optimal_path,
)
from isoloss.planning.optimum import Optimum, near_optimal_band, optimum, replicate_optimum

__all__ = [
    "DEVIATIONS",
    "Allocation",
    "Deviation",
    "Optimum",
    "allocate",
    "deviate",
    "near_optimal_band",
    "optimal_path",
    "optimum",
    "replicate_optimum",
]
