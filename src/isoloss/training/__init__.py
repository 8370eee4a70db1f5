"""Making runs: sweeps planned, launched anywhere, watched and collected; the reference trainer."""

from isoloss.training.attempt import Job, Outcome, execute
from isoloss.training.collect import (
    MEASURED,
    Collected,
    check_table_name,
    collect_runs,
    write_table,
)
from isoloss.training.held_out import HeldOutRun, forecast_held_out, with_measured
from isoloss.training.ladder import Ladder
from isoloss.training.launchers import THIS_MACHINE, make_launcher
from isoloss.training.launching import Launcher, SweepOutcome, run_sweep
from isoloss.training.plan import Plan, PlannedRun, read_plan, save_plan
from isoloss.training.planner import make_plan
from isoloss.training.preflight import (
    check_command,
    check_configurations,
    check_machine,
    prepare,
)
from isoloss.training.preparing import Preparation
from isoloss.training.results import ResultRule
from isoloss.training.run_folder import RunFolder
from isoloss.training.status import RunStatus, SweepStatus, sweep_status
from isoloss.training.sweep import Budget, Recipe, Replicates, Speed, Sweep, Trainer
from isoloss.training.sweep_file import read_sweep

__all__ = [
    "MEASURED",
    "THIS_MACHINE",
    "Budget",
    "Collected",
    "HeldOutRun",
    "Job",
    "Ladder",
    "Launcher",
    "Outcome",
    "Plan",
    "PlannedRun",
    "Preparation",
    "Recipe",
    "Replicates",
    "ResultRule",
    "RunFolder",
    "RunStatus",
    "Speed",
    "Sweep",
    "SweepOutcome",
    "SweepStatus",
    "Trainer",
    "check_command",
    "check_configurations",
    "check_machine",
    "check_table_name",
    "collect_runs",
    "execute",
    "forecast_held_out",
    "make_launcher",
    "make_plan",
    "prepare",
    "read_plan",
    "read_sweep",
    "run_sweep",
    "save_plan",
    "sweep_status",
    "with_measured",
    "write_table",
]
