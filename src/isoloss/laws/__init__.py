"""The catalogue of scaling laws: formulas with named parameters and published numbers."""

from isoloss.laws.broken import broken_law
from isoloss.laws.catalogue import (
    CANDIDATES,
    CATALOGUE,
    DEFAULT_LAW,
    FAMILIES,
    REFERENCE_LAW,
    candidates_for,
    find_family,
    find_law,
)
from isoloss.laws.coordinates import Centre, WorkingLaw, working_law
from isoloss.laws.kaplan_steps import off_optimal_compute
from isoloss.laws.law import (
    LOSS,
    PARAMS,
    TOKENS,
    Coordinates,
    Input,
    Law,
    Parameter,
    Published,
    Target,
    positive,
    real,
)
from isoloss.laws.mixing import mixing_law
from isoloss.laws.null_model import null_model
from isoloss.laws.own_share import own_share_law
from isoloss.laws.power import FLOPS, STEPS, power_law
from isoloss.laws.reconciliation import local_exponent, optimal_flops
from isoloss.laws.surface import Surface
from isoloss.laws.user import law_from_definition, law_from_formula, read_law

__all__ = [
    "CANDIDATES",
    "CATALOGUE",
    "DEFAULT_LAW",
    "FAMILIES",
    "FLOPS",
    "LOSS",
    "PARAMS",
    "REFERENCE_LAW",
    "STEPS",
    "TOKENS",
    "Centre",
    "Coordinates",
    "Input",
    "Law",
    "Parameter",
    "Published",
    "Surface",
    "Target",
    "WorkingLaw",
    "broken_law",
    "candidates_for",
    "find_family",
    "find_law",
    "law_from_definition",
    "law_from_formula",
    "local_exponent",
    "mixing_law",
    "null_model",
    "off_optimal_compute",
    "optimal_flops",
    "own_share_law",
    "positive",
    "power_law",
    "read_law",
    "real",
    "working_law",
]
