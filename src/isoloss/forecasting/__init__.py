"""Backtests, the ensemble of laws, and forecasts with intervals."""

from isoloss.forecasting.backtest import AUTO, Backtest, HeldOut, backtest
from isoloss.forecasting.breaks import ChosenBreaks, choose_breaks
from isoloss.forecasting.chain import (
    Chain,
    backtest_chain,
    chain,
    fit_chain,
    predict_chain,
)
from isoloss.forecasting.ensemble import (
    Candidates,
    Ensemble,
    ErrorTable,
    fit_candidates,
    law_shares,
    weigh,
)
from isoloss.forecasting.forecast import combine, forecast
from isoloss.forecasting.intervals import Deviations
from isoloss.forecasting.pooling import CLOSE, pooled
from isoloss.forecasting.prediction import (
    DEFAULT_LEVEL,
    Forecast,
    Point,
    Prediction,
    names_of_points,
    points_as_columns,
    predict,
    region_of_fit,
)
from isoloss.forecasting.reach import Region, departures
from isoloss.forecasting.rolling import (
    SHARES,
    RollingErrors,
    calibrate,
    folds_by_compute,
    folds_for,
)

__all__ = [
    "AUTO",
    "CLOSE",
    "DEFAULT_LEVEL",
    "SHARES",
    "Backtest",
    "Candidates",
    "Chain",
    "ChosenBreaks",
    "Deviations",
    "Ensemble",
    "ErrorTable",
    "Forecast",
    "HeldOut",
    "Point",
    "Prediction",
    "Region",
    "RollingErrors",
    "backtest",
    "backtest_chain",
    "calibrate",
    "chain",
    "choose_breaks",
    "combine",
    "departures",
    "fit_candidates",
    "fit_chain",
    "folds_by_compute",
    "folds_for",
    "forecast",
    "law_shares",
    "names_of_points",
    "points_as_columns",
    "pooled",
    "predict",
    "predict_chain",
    "region_of_fit",
    "weigh",
]
