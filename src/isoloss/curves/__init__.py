"""Loss against steps: schedules, laws over them, and what they say of runs to come.

Names load with the module that holds them when they are first used: a schedule needs no solver.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from isoloss.loading import loaded_on_use

if TYPE_CHECKING:
    from isoloss.curves.annealing import AnnealingLaw, annealing_sums
    from isoloss.curves.backtest import CurveBacktest, HeldOutCurve, backtest_curves
    from isoloss.curves.band import CurveBand
    from isoloss.curves.batches import (
        BatchChoice,
        BatchTradeOff,
        batch_choices,
        batch_trade_off,
        trajectory_of,
    )
    from isoloss.curves.catalogue import (
        CURVE_LAWS,
        DEFAULT_CURVE_LAW,
        curve_laws_with,
        find_curve_law,
    )
    from isoloss.curves.conversion import (
        Conversion,
        ConvertedCheckpoint,
        convert_checkpoints,
        undecayed,
    )
    from isoloss.curves.decays import (
        DecayChoice,
        FinalLoss,
        after_decay,
        best_decay,
        best_shape,
        final_loss_of,
    )
    from isoloss.curves.fit import fit_curves, scan_decay_factor
    from isoloss.curves.law import CurveLaw, Points
    from isoloss.curves.metrics import NoLossesYetError, read_metrics
    from isoloss.curves.multi_power import MultiPowerLaw
    from isoloss.curves.optimise import BestSchedule, best_schedule, final_loss
    from isoloss.curves.position import POSITION_LAW
    from isoloss.curves.result import CurveFit, CurvePrediction
    from isoloss.curves.running import Departure, Flag, RunForecast, find_flags, forecast_run
    from isoloss.curves.saving import curve_fit_to_document, load_curve_fit, save_curve_fit
    from isoloss.curves.schedule_files import read_schedules, schedule_frame
    from isoloss.curves.schedules import (
        DECAYS,
        Schedule,
        constant,
        cosine,
        cyclic,
        decay_rates,
        given_rates,
        multi_step,
        through_points,
        wsd,
    )
    from isoloss.curves.shapes import SHAPES, parse_schedule
    from isoloss.curves.table import (
        Curve,
        Curves,
        gather_curves,
        read_curves,
        required_columns,
        select_curves,
        split_curves,
        unknown_rates,
    )
    from isoloss.curves.trajectory import KAPLAN, Trajectory
    from isoloss.curves.trajectory_law import TRAJECTORY_LAW, TrajectoryLaw, least_steps_law
__all__ = [
    "CURVE_LAWS",
    "DECAYS",
    "DEFAULT_CURVE_LAW",
    "KAPLAN",
    "POSITION_LAW",
    "SHAPES",
    "TRAJECTORY_LAW",
    "AnnealingLaw",
    "BatchChoice",
    "BatchTradeOff",
    "BestSchedule",
    "Conversion",
    "ConvertedCheckpoint",
    "Curve",
    "CurveBacktest",
    "CurveBand",
    "CurveFit",
    "CurveLaw",
    "CurvePrediction",
    "Curves",
    "DecayChoice",
    "Departure",
    "FinalLoss",
    "Flag",
    "HeldOutCurve",
    "MultiPowerLaw",
    "NoLossesYetError",
    "Points",
    "RunForecast",
    "Schedule",
    "Trajectory",
    "TrajectoryLaw",
    "after_decay",
    "annealing_sums",
    "backtest_curves",
    "batch_choices",
    "batch_trade_off",
    "best_decay",
    "best_schedule",
    "best_shape",
    "constant",
    "convert_checkpoints",
    "cosine",
    "curve_fit_to_document",
    "curve_laws_with",
    "cyclic",
    "decay_rates",
    "final_loss",
    "final_loss_of",
    "find_curve_law",
    "find_flags",
    "fit_curves",
    "forecast_run",
    "gather_curves",
    "given_rates",
    "least_steps_law",
    "load_curve_fit",
    "multi_step",
    "parse_schedule",
    "read_curves",
    "read_metrics",
    "read_schedules",
    "required_columns",
    "save_curve_fit",
    "scan_decay_factor",
    "schedule_frame",
    "select_curves",
    "split_curves",
    "through_points",
    "trajectory_of",
    "undecayed",
    "unknown_rates",
    "wsd",
]

__getattr__, __dir__ = loaded_on_use(
    __name__,
    {
        "annealing": (
            "AnnealingLaw",
            "annealing_sums",
        ),
        "backtest": (
            "CurveBacktest",
            "HeldOutCurve",
            "backtest_curves",
        ),
        "band": ("CurveBand",),
        "batches": (
            "BatchChoice",
            "BatchTradeOff",
            "batch_choices",
            "batch_trade_off",
            "trajectory_of",
        ),
        "catalogue": (
            "CURVE_LAWS",
            "DEFAULT_CURVE_LAW",
            "curve_laws_with",
            "find_curve_law",
        ),
        "conversion": (
            "Conversion",
            "ConvertedCheckpoint",
            "convert_checkpoints",
            "undecayed",
        ),
        "decays": (
            "DecayChoice",
            "FinalLoss",
            "after_decay",
            "best_decay",
            "best_shape",
            "final_loss_of",
        ),
        "fit": (
            "fit_curves",
            "scan_decay_factor",
        ),
        "law": (
            "CurveLaw",
            "Points",
        ),
        "metrics": ("NoLossesYetError", "read_metrics"),
        "multi_power": ("MultiPowerLaw",),
        "optimise": (
            "BestSchedule",
            "best_schedule",
            "final_loss",
        ),
        "position": ("POSITION_LAW",),
        "result": (
            "CurveFit",
            "CurvePrediction",
        ),
        "running": (
            "Departure",
            "Flag",
            "RunForecast",
            "find_flags",
            "forecast_run",
        ),
        "saving": (
            "curve_fit_to_document",
            "load_curve_fit",
            "save_curve_fit",
        ),
        "schedule_files": (
            "read_schedules",
            "schedule_frame",
        ),
        "schedules": (
            "DECAYS",
            "Schedule",
            "constant",
            "cosine",
            "cyclic",
            "decay_rates",
            "given_rates",
            "multi_step",
            "through_points",
            "wsd",
        ),
        "shapes": (
            "SHAPES",
            "parse_schedule",
        ),
        "table": (
            "Curve",
            "Curves",
            "gather_curves",
            "read_curves",
            "required_columns",
            "select_curves",
            "split_curves",
            "unknown_rates",
        ),
        "trajectory": (
            "KAPLAN",
            "Trajectory",
        ),
        "trajectory_law": (
            "TRAJECTORY_LAW",
            "TrajectoryLaw",
            "least_steps_law",
        ),
    },
)
