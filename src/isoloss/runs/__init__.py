"""Tables of training runs: read, name columns, validate, filter, split."""

from isoloss.runs.demo import RECIPES, demo_runs, optimizer_runs
from isoloss.runs.naming import USUAL, parse_columns
from isoloss.runs.reading import check_runs, read_runs
from isoloss.runs.table import Runs
from isoloss.runs.validation import Problem, RunsError

__all__ = [
    "RECIPES",
    "USUAL",
    "Problem",
    "Runs",
    "RunsError",
    "check_runs",
    "demo_runs",
    "optimizer_runs",
    "parse_columns",
    "read_runs",
]
