"""Isoloss: from a table of small training runs to an honest forecast of a large one.

    runs = isoloss.read_runs("runs.csv")
    forecast = isoloss.forecast(runs, [(70e9, 1.4e12)])

The functions live in `isoloss.api` and load when they are first used, so that importing the
package, and asking the command line for help, costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from isoloss.api import (
        CATALOGUE,
        Allocation,
        Backtest,
        Comparison,
        Fit,
        Forecast,
        Law,
        Prediction,
        Robustness,
        Runs,
        Surface,
        allocate,
        backtest,
        check_runs,
        compare,
        compare_recipes,
        demo_runs,
        find_law,
        fit,
        forecast,
        load_fit,
        optimal_path,
        predict,
        read_law,
        read_runs,
        robustness,
        save_fit,
        split_recipes,
    )

__all__ = [
    "CATALOGUE",
    "Allocation",
    "Backtest",
    "Comparison",
    "Fit",
    "Forecast",
    "Law",
    "Prediction",
    "Robustness",
    "Runs",
    "Surface",
    "allocate",
    "backtest",
    "check_runs",
    "compare",
    "compare_recipes",
    "demo_runs",
    "find_law",
    "fit",
    "forecast",
    "load_fit",
    "optimal_path",
    "predict",
    "read_law",
    "read_runs",
    "robustness",
    "save_fit",
    "split_recipes",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(importlib.import_module("isoloss.api"), name)
    raise AttributeError(f"module 'isoloss' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
