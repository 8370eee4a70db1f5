"""Figures and the HTML report; needs matplotlib, which is imported when a figure is drawn."""

from isoloss.reporting.allocation import allocation_figure
from isoloss.reporting.comparison import comparison_figure
from isoloss.reporting.drawing import draw
from isoloss.reporting.forecast import forecast_figure
from isoloss.reporting.isoflop import isoflop_figure
from isoloss.reporting.parity import parity_figure
from isoloss.reporting.planning import frontier_figure
from isoloss.reporting.planning_demand import demand_figure
from isoloss.reporting.planning_targets import overtraining_figure, target_figure
from isoloss.reporting.report import build_report, write_report
from isoloss.reporting.residuals import residual_figure
from isoloss.reporting.robustness import robustness_figure
from isoloss.reporting.saving import save_figure, to_svg
from isoloss.reporting.style import law_looks
from isoloss.reporting.surface import surface_figure

__all__ = [
    "allocation_figure",
    "build_report",
    "comparison_figure",
    "demand_figure",
    "draw",
    "forecast_figure",
    "frontier_figure",
    "isoflop_figure",
    "law_looks",
    "overtraining_figure",
    "parity_figure",
    "residual_figure",
    "robustness_figure",
    "save_figure",
    "surface_figure",
    "target_figure",
    "to_svg",
    "write_report",
]
