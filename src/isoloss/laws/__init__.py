"""The catalogue of scaling laws: formulas with named parameters and published numbers."""

from isoloss.laws.catalogue import CATALOGUE, find_law
from isoloss.laws.coordinates import Centre, WorkingLaw, working_law
from isoloss.laws.law import (
    PARAMS,
    TOKENS,
    Coordinates,
    Input,
    Law,
    Parameter,
    Published,
    positive,
    real,
)
from isoloss.laws.surface import Surface
from isoloss.laws.user import law_from_definition, read_law

__all__ = [
    "CATALOGUE",
    "PARAMS",
    "TOKENS",
    "Centre",
    "Coordinates",
    "Input",
    "Law",
    "Parameter",
    "Published",
    "Surface",
    "WorkingLaw",
    "find_law",
    "law_from_definition",
    "positive",
    "read_law",
    "real",
    "working_law",
]
