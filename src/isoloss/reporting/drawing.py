"""The figure that belongs to a result."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isoloss.comparing import Comparison, Robustness
from isoloss.fitting import Fit
from isoloss.forecasting import Backtest, Forecast
from isoloss.planning import Allocation, Demand, Frontier, Overtraining
from isoloss.reporting.comparison import comparison_figure
from isoloss.reporting.forecast import forecast_figure
from isoloss.reporting.isoflop import isoflop_figure
from isoloss.reporting.parity import parity_figure
from isoloss.reporting.planning import frontier_figure
from isoloss.reporting.planning_demand import demand_figure
from isoloss.reporting.planning_targets import overtraining_figure
from isoloss.reporting.robustness import robustness_figure
from isoloss.reporting.surface import surface_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(result: object) -> Figure:
    """Draw a fit as its surface, a backtest, forecast, plan, comparison or robustness.

    Raises:
        TypeError: there is no figure for such a result.
        MissingExtraError: matplotlib is not installed.
    """
    match result:
        case Fit():
            return surface_figure(result)
        case Backtest():
            return parity_figure(result)
        case Forecast():
            return forecast_figure(result)
        case Allocation():
            return isoflop_figure(result)
        case Frontier():
            return frontier_figure(result)
        case Demand():
            return demand_figure(result)
        case Overtraining():
            return overtraining_figure(result)
        case Comparison():
            return comparison_figure(result)
        case Robustness():
            return robustness_figure(result)
    raise TypeError(
        f"no figure for {type(result).__name__}: expected Fit, Backtest, Forecast, Allocation, "
        "Frontier, Demand, Overtraining, Comparison or Robustness"
    )
