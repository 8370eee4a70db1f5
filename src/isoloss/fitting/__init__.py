"""Fitting laws to tables of runs."""

from isoloss.fitting.covariance import Covariance, delta_covariance
from isoloss.fitting.explained import ExplainedVariance, explained_variance, r_squared
from isoloss.fitting.fit import METHODS, STAGED_METHODS, fit
from isoloss.fitting.growth import ErrorGrowth
from isoloss.fitting.identifiability import Combination, Identifiability
from isoloss.fitting.newton import MAX_ITERATIONS, PROMISE_TOLERANCE
from isoloss.fitting.objectives import OBJECTIVES, Objective, find_objective
from isoloss.fitting.posterior import posterior
from isoloss.fitting.problem import Status
from isoloss.fitting.profile import Profile, profile, profiles
from isoloss.fitting.result import Fit
from isoloss.fitting.rows import FittedRows
from isoloss.fitting.saving import fit_to_document, load_fit, save_fit
from isoloss.fitting.scale import ErrorScale
from isoloss.fitting.search import Optimum, Search
from isoloss.fitting.spreading import available_threads, cluster
from isoloss.fitting.starts import default_starts
from isoloss.fitting.together import JointFit, fit_together

__all__ = [
    "MAX_ITERATIONS",
    "METHODS",
    "OBJECTIVES",
    "PROMISE_TOLERANCE",
    "STAGED_METHODS",
    "Combination",
    "Covariance",
    "ErrorGrowth",
    "ErrorScale",
    "ExplainedVariance",
    "Fit",
    "FittedRows",
    "Identifiability",
    "JointFit",
    "Objective",
    "Optimum",
    "Profile",
    "Search",
    "Status",
    "available_threads",
    "cluster",
    "default_starts",
    "delta_covariance",
    "explained_variance",
    "find_objective",
    "fit",
    "fit_to_document",
    "fit_together",
    "load_fit",
    "posterior",
    "profile",
    "profiles",
    "r_squared",
    "save_fit",
]
