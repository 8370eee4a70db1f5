"""Learning rates and batch sizes: published rules, rules of one's own, critical batch, tuning.

Names load with the module that holds them when they are first used: a rule needs no solver.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from isoloss.loading import loaded_on_use

if TYPE_CHECKING:
    from isoloss.hyperparameters.cells import (
        CellLaw,
        HeldOutCell,
        SweepFit,
        fit_sweep,
        read_cells,
        score_cells,
    )
    from isoloss.hyperparameters.command import check_template, run_command
    from isoloss.hyperparameters.critical_batch import CriticalBatch, LossLevel, fit_critical_batch
    from isoloss.hyperparameters.front import FrontRelation, Trial, fit_front, pareto_front
    from isoloss.hyperparameters.optimum import Cell, Optimum, find_optimum
    from isoloss.hyperparameters.recommendation import Recommendation, disagreement, recommend
    from isoloss.hyperparameters.rule import Rule, RuleFormula
    from isoloss.hyperparameters.rules import RULES, find_rule
    from isoloss.hyperparameters.space import Variable, parse_space
    from isoloss.hyperparameters.transfer import Transfer, check_transfer, fit_width_series
    from isoloss.hyperparameters.tuning import Outcome, Suggestion, Tuning

__all__ = [
    "RULES",
    "Cell",
    "CellLaw",
    "CriticalBatch",
    "FrontRelation",
    "HeldOutCell",
    "LossLevel",
    "Optimum",
    "Outcome",
    "Recommendation",
    "Rule",
    "RuleFormula",
    "Suggestion",
    "SweepFit",
    "Transfer",
    "Trial",
    "Tuning",
    "Variable",
    "check_template",
    "check_transfer",
    "disagreement",
    "find_optimum",
    "find_rule",
    "fit_critical_batch",
    "fit_front",
    "fit_sweep",
    "fit_width_series",
    "pareto_front",
    "parse_space",
    "read_cells",
    "recommend",
    "run_command",
    "score_cells",
]

__getattr__, __dir__ = loaded_on_use(
    __name__,
    {
        "cells": (
            "CellLaw",
            "HeldOutCell",
            "SweepFit",
            "fit_sweep",
            "read_cells",
            "score_cells",
        ),
        "command": (
            "check_template",
            "run_command",
        ),
        "critical_batch": (
            "CriticalBatch",
            "LossLevel",
            "fit_critical_batch",
        ),
        "front": (
            "FrontRelation",
            "Trial",
            "fit_front",
            "pareto_front",
        ),
        "optimum": (
            "Cell",
            "Optimum",
            "find_optimum",
        ),
        "recommendation": (
            "Recommendation",
            "disagreement",
            "recommend",
        ),
        "rule": (
            "Rule",
            "RuleFormula",
        ),
        "rules": (
            "RULES",
            "find_rule",
        ),
        "space": (
            "Variable",
            "parse_space",
        ),
        "transfer": (
            "Transfer",
            "check_transfer",
            "fit_width_series",
        ),
        "tuning": (
            "Outcome",
            "Suggestion",
            "Tuning",
        ),
    },
)
