"""Fitting laws to tables of runs."""

from isoloss.fitting.fit import DEFAULT_STARTS, METHODS, fit
from isoloss.fitting.growth import ErrorGrowth
from isoloss.fitting.objectives import OBJECTIVES, Objective, find_objective
from isoloss.fitting.problem import Status
from isoloss.fitting.result import Fit, FittedRows, Search
from isoloss.fitting.saving import fit_to_document, load_fit, save_fit
from isoloss.fitting.solver import available_threads
from isoloss.fitting.staged import STAGED_METHODS, staged_farseer

__all__ = [
    "DEFAULT_STARTS",
    "METHODS",
    "OBJECTIVES",
    "STAGED_METHODS",
    "ErrorGrowth",
    "Fit",
    "FittedRows",
    "Objective",
    "Search",
    "Status",
    "available_threads",
    "find_objective",
    "fit",
    "fit_to_document",
    "load_fit",
    "save_fit",
    "staged_farseer",
]
