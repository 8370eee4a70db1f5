"""Fitting laws to tables of runs."""

from isoloss.fitting.covariance import Covariance, delta_covariance
from isoloss.fitting.fit import DEFAULT_STARTS, METHODS, fit
from isoloss.fitting.growth import ErrorGrowth
from isoloss.fitting.objectives import OBJECTIVES, Objective, find_objective
from isoloss.fitting.posterior import posterior
from isoloss.fitting.problem import Status
from isoloss.fitting.profile import Profile, profile
from isoloss.fitting.result import Fit
from isoloss.fitting.rows import FittedRows
from isoloss.fitting.saving import fit_to_document, load_fit, save_fit
from isoloss.fitting.search import Optimum, Search
from isoloss.fitting.spreading import available_threads, cluster
from isoloss.fitting.staged import STAGED_METHODS, staged_farseer
from isoloss.fitting.together import JointFit, fit_together

__all__ = [
    "DEFAULT_STARTS",
    "METHODS",
    "OBJECTIVES",
    "STAGED_METHODS",
    "Covariance",
    "ErrorGrowth",
    "Fit",
    "FittedRows",
    "JointFit",
    "Objective",
    "Optimum",
    "Profile",
    "Search",
    "Status",
    "available_threads",
    "cluster",
    "delta_covariance",
    "find_objective",
    "fit",
    "fit_to_document",
    "fit_together",
    "load_fit",
    "posterior",
    "profile",
    "save_fit",
    "staged_farseer",
]
