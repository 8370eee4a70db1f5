"""The verbs of the command line as functions."""

from __future__ import annotations

from collections.abc import Callable

import numpy.typing as npt

from isoloss.comparing import (
    Comparison,
    Robustness,
    compare,
    compare_recipes,
    robustness,
    split_recipes,
)
from isoloss.curves import (
    Curve,
    CurveBacktest,
    CurveFit,
    Curves,
    RunForecast,
    Schedule,
    after_decay,
    backtest_curves,
    batch_trade_off,
    best_schedule,
    best_shape,
    convert_checkpoints,
    fit_curves,
    forecast_run,
    load_curve_fit,
    parse_schedule,
    read_curves,
    read_metrics,
    save_curve_fit,
    undecayed,
)
from isoloss.fitting import Fit, Objective, load_fit, save_fit
from isoloss.fitting import fit as fit_law
from isoloss.forecasting import (
    Backtest,
    Chain,
    Forecast,
    Prediction,
    backtest,
    backtest_chain,
    calibrate,
    chain,
    fit_chain,
    forecast,
    predict,
    predict_chain,
)
from isoloss.hyperparameters import (
    Tuning,
    check_transfer,
    fit_critical_batch,
    fit_sweep,
    recommend,
)
from isoloss.laws import CATALOGUE, DEFAULT_LAW, Law, Surface, find_law, law_from_formula, read_law
from isoloss.planning import (
    ACCELERATORS,
    Allocation,
    Cost,
    Demand,
    Frontier,
    Limits,
    Overtraining,
    ParameterCounts,
    Serving,
    ShapeLimit,
    SizeLimit,
    Spend,
    allocate,
    best_inputs,
    cheapest,
    decoding_seconds,
    demand,
    find_accelerator,
    fit_throughput,
    frontier,
    inference_flops,
    inference_money,
    nearest_built,
    optimal_path,
    overtraining,
    price_per_flop,
    rank_shapes,
    serving_bytes,
    training_flops,
    training_money,
    training_state_bytes,
    wall_clock,
)
from isoloss.runs import Runs, check_runs, demo_runs, optimizer_runs, read_runs

__all__ = [
    "ACCELERATORS",
    "CATALOGUE",
    "Allocation",
    "Backtest",
    "Chain",
    "Comparison",
    "Cost",
    "Curve",
    "CurveBacktest",
    "CurveFit",
    "Curves",
    "Demand",
    "Fit",
    "Forecast",
    "Frontier",
    "Law",
    "Limits",
    "Overtraining",
    "ParameterCounts",
    "Prediction",
    "Robustness",
    "RunForecast",
    "Runs",
    "Schedule",
    "Serving",
    "ShapeLimit",
    "SizeLimit",
    "Spend",
    "Surface",
    "Tuning",
    "after_decay",
    "allocate",
    "backtest",
    "backtest_chain",
    "backtest_curves",
    "batch_trade_off",
    "best_inputs",
    "best_schedule",
    "best_shape",
    "chain",
    "cheapest",
    "check_runs",
    "check_transfer",
    "compare",
    "compare_recipes",
    "convert_checkpoints",
    "decoding_seconds",
    "demand",
    "demo_runs",
    "find_accelerator",
    "find_law",
    "fit",
    "fit_chain",
    "fit_critical_batch",
    "fit_curves",
    "fit_sweep",
    "fit_throughput",
    "forecast",
    "forecast_run",
    "frontier",
    "inference_flops",
    "inference_money",
    "law_from_formula",
    "load_curve_fit",
    "load_fit",
    "nearest_built",
    "optimal_path",
    "optimizer_runs",
    "overtraining",
    "parse_schedule",
    "predict",
    "predict_chain",
    "price_per_flop",
    "rank_shapes",
    "read_curves",
    "read_law",
    "read_metrics",
    "read_runs",
    "recommend",
    "robustness",
    "save_curve_fit",
    "save_fit",
    "serving_bytes",
    "split_recipes",
    "training_flops",
    "training_money",
    "training_state_bytes",
    "undecayed",
    "wall_clock",
]

DEFAULT_BOOTSTRAP = 200


def fit(
    runs: Runs,
    law: Law | str = DEFAULT_LAW,
    *,
    objective: Objective | str = "huber",
    method: str = "joint",
    weights: npt.ArrayLike | str | None = None,
    bootstrap: int = DEFAULT_BOOTSTRAP,
    resample: str = "pairs",
    starts: int | None = None,
    seed: int = 0,
    threads: int | None = None,
    advance: Callable[[int], None] | None = None,
) -> Fit:
    """Fit one law, with bootstrap replicates and rolling backtests for its intervals.

    Args:
        runs: the table.
        law: a law or the name of one in the catalogue.
        objective: what is minimised: huber (on log loss, delta 1e-3), lad, squared-log, squared
            or soft-l1.
        method: "joint", or "staged" for laws whose authors fit them in stages.
        weights: weight of each run, or the name of a column.
        bootstrap: replicates.
        resample: what replicates vary: "pairs" (runs), "residual" (errors), "cluster:COLUMN"
            (groups of runs), "noise" or "noise:0.002" (the error of each measurement).
        starts: random starts of the joint method; more for laws of many parameters where not given.
        seed: of starts and replicates.
        threads: at most this many; all processors where not given.
        advance: called with the number of finished fits, of `starts + bootstrap` in all.

    Raises:
        FitError: the table cannot carry the law.
        InputError: an argument has no meaning.
    """
    fitted = fit_law(
        runs,
        law,
        objective=objective,
        method=method,
        weights=weights,
        bootstrap=bootstrap,
        resample=resample,
        starts=starts,
        seed=seed,
        threads=threads,
        advance=advance,
    )
    return calibrate(fitted, runs, seed=seed, threads=threads)
