"""Draws docs/pictures from the public runs of Farseer and Chinchilla and from the demo's table.

Run by hand: `python docs/make_pictures.py [DATA]`, where DATA is the folder that holds
farseer_grid.csv, farseer_extrapolation.csv and chinchilla_fig4_epoch.csv, by default
../shared/data beside the repository.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import polars as pl
from matplotlib.figure import Figure

from isoloss import (
    Fit,
    Limits,
    allocate,
    backtest,
    batch_trade_off,
    cheapest,
    compare,
    convert_checkpoints,
    demand,
    fit,
    fit_critical_batch,
    fit_curves,
    forecast,
    frontier,
    inference_flops,
    optimizer_runs,
    overtraining,
    read_curves,
    read_runs,
    robustness,
    training_flops,
    undecayed,
)
from isoloss.curves import (
    KAPLAN,
    best_schedule,
    best_shape,
    final_loss_of,
    forecast_run,
    select_curves,
)
from isoloss.curves.multi_power import FADING_LAW
from isoloss.hyperparameters import find_optimum, fit_sweep, read_cells
from isoloss.reporting import (
    allocation_figure,
    comparison_figure,
    demand_figure,
    forecast_figure,
    frontier_figure,
    isoflop_figure,
    overtraining_figure,
    parity_figure,
    robustness_figure,
    save_figure,
    surface_figure,
    target_figure,
)
from isoloss.reporting.batches import critical_batch_figure
from isoloss.reporting.curves import curve_figure
from isoloss.reporting.hyperparameters import landscape_figure
from isoloss.reporting.schedules import schedules_figure
from isoloss.runs import Runs

PICTURES = Path(__file__).parent / "pictures"
DATA = Path(__file__).parents[2] / "shared" / "data"

# The paper fits these sizes and predicts six dearer runs.
FITTED = "not duplicate_row and params > 2e8 and params < 6e9"
PREDICTED = "in_paper_six"
COMPARED = ("farseer", "coupled", "chinchilla")
FARSEER_LOSS = "loss, bits/character"

# The 240 digitised runs that Besiroglu et al. 2024 fit, and the run that the law was made for.
CHINCHILLA_FITTED = "not excluded_by_epoch"
CHINCHILLA = (7e10, 1.4e12)
CHINCHILLA_BUDGET = 5.76e23
CHINCHILLA_LOSS = "loss, nats/token"

# Questions of docs/planning.md, asked of the same 240 runs.
FRONTIER = (1e20, 1e25)
LARGEST_SERVED = 3e10
LOSSES = (2.1, 2.2, 2.4)
SERVED = (1e10, 1e14)
SMALL = 8e9

CURVE_SCHEDULES = ("cosine_24000", "constant_24000", "wsdcon_9")
RUN_STEPS, RUN_PEAK, RUN_WARMUP = 24_000, 3e-4, 2160
RUN_SO_FAR, RUN_TARGET = 0.6, 3.28
# Parameters of the cells of Step Law's sweep that are fitted, at most; the next are predicted.
SWEPT = 4.4e8
BATCHES = (3e4, 1e5, 4e5, 1.5e6, 6e6)

DEMO_LOSS = "loss, nats/token"
RECIPE_POINTS = ((1.2e9, 2.4e10), (7.2e9, 1.44e11))
DEMO_POINTS = ((7.2e9, 1.44e11), (7.2e9, 1e12), (3e10, 6e11))


def make_pictures(data: Path, folder: Path) -> None:
    """Draw every picture of the README and the documentation.

    Args:
        data: folder with the tables.
        folder: where the pictures go.
    """
    folder.mkdir(exist_ok=True)
    grid = read_runs(data / "farseer_grid.csv", where=FITTED)
    dear = read_runs(data / "farseer_extrapolation.csv", where=PREDICTED)
    fits = [fit(grid, law) for law in COMPARED]
    tested = backtest(_together(grid, dear), "dear", laws=("auto", *COMPARED))
    points = list(zip(dear.params.tolist(), dear.tokens.tolist(), strict=True))
    demo = optimizer_runs("adamw")
    chinchilla = read_runs(data / "chinchilla_fig4_epoch.csv", where=CHINCHILLA_FITTED)
    moved = robustness(chinchilla, points=[CHINCHILLA], flops=CHINCHILLA_BUDGET)
    figures = {
        "surface": surface_figure(
            fits[0],
            points=points,
            points_label="predicted, then measured",
            loss_label=FARSEER_LOSS,
        ),
        "extrapolation": parity_figure(tested, loss_label=FARSEER_LOSS),
        "allocation": allocation_figure(fits),
        "comparison": comparison_figure(compare(optimizer_runs("muon"), demo, RECIPE_POINTS)),
        "demo-forecast": forecast_figure(forecast(demo, DEMO_POINTS), loss_label=DEMO_LOSS),
        "robustness": robustness_figure(moved),
    }
    figures |= planning_figures(fit(chinchilla, "chinchilla"))
    figures |= curve_figures(data)
    for name, figure in figures.items():
        save_figure(figure, folder / f"{name}.svg")


def curve_figures(data: Path) -> dict[str, Figure]:
    """The pictures of docs/curves.md and docs/hyperparameters.md.

    Checkpoints are those of the released 25M run at a constant rate, the run under way is that with
    a decay at its end; batch sizes follow Kaplan's constants, in simulated curves with noise. The
    sweep is that of Step Law, its cells up to 4.3e8 parameters fitted.
    """
    released = read_curves(
        data / "multipowerlaw_curves_25m_100m.csv",
        schedules=data / "multipowerlaw_lr_schedules.csv",
        where="recipe = 'mpl_25M'",
    )
    curves = select_curves(released, [f"25M/{name}" for name in CURVE_SCHEDULES])
    fitted = fit_curves(curves, FADING_LAW)
    running = released["25M/wsd_20000_24000"].until(RUN_SO_FAR)
    watched = forecast_run(running, others=curves.curves, target=RUN_TARGET)
    choices = best_shape(fitted, RUN_STEPS, RUN_PEAK, end=RUN_PEAK / 10, warmup=RUN_WARMUP)
    best = best_schedule(
        fitted.parameters,
        RUN_STEPS,
        RUN_PEAK,
        warmup=RUN_WARMUP,
        least=RUN_PEAK / 10,
        law=FADING_LAW,
    )
    cells = read_cells(read_runs(data / "steplaw_dense.csv"))
    sweep = fit_sweep([cell for cell in cells if cell.at["params"] < SWEPT], bootstrap=0)
    larger = [find_optimum(cell) for cell in cells if cell.at["params"] > SWEPT][:3]
    converted = convert_checkpoints(fitted, undecayed([curves["25M/constant_24000"]]))
    return {
        "curve-fit": curve_figure(fitted),
        "curve-watch": curve_figure(watched),
        "curve-schedule": schedules_figure(fitted, choices, final_loss_of(fitted, best.schedule)),
        "curve-convert": curve_figure(converted),
        "curve-batch": curve_figure(batch_trade_off(KAPLAN, 1e9, 2.5)),
        "sweep": landscape_figure(larger, predicted=sweep),
        "critical-batch": critical_batch_figure(fit_critical_batch(_batches())),
    }


def _batches() -> Runs:
    """Simulated curves of one model at several batch sizes."""
    generator = np.random.default_rng(0)
    frames = []
    for batch in BATCHES:
        steps = np.unique(np.round(np.geomspace(300, 3e4, 80)))
        loss = KAPLAN.loss(1e8, steps, batch)
        loss = loss * np.exp(2e-3 * generator.standard_normal(steps.size))
        frame = pl.DataFrame({"step": steps, "loss": loss})
        frames.append(frame.with_columns(run_id=pl.lit(f"{batch:g}"), batch_tokens=pl.lit(batch)))
    return Runs(pl.concat(frames))


def planning_figures(fitted: Fit) -> dict[str, Figure]:
    """The pictures of docs/planning.md, from a fit to Chinchilla's runs."""
    capped = Limits(max_params=LARGEST_SERVED)
    budgets = np.geomspace(*FRONTIER, 16).tolist()
    served = np.geomspace(*SERVED, 25).tolist()
    total = training_flops() + inference_flops(1e13)
    return {
        "plan-band": isoflop_figure(
            allocate(fitted, CHINCHILLA_BUDGET), loss_label=CHINCHILLA_LOSS
        ),
        "plan-frontier": frontier_figure(
            frontier(fitted, budgets, limits=capped), loss_label=CHINCHILLA_LOSS
        ),
        "plan-demand": demand_figure([demand(fitted, loss, served) for loss in LOSSES]),
        "plan-target": target_figure(cheapest(fitted, LOSSES[0], cost=total)),
        "plan-overtraining": overtraining_figure(overtraining(fitted, SMALL, LOSSES[0])),
    }


def _together(grid: Runs, dear: Runs) -> Runs:
    """One table of both, with a column that says which runs are the dear ones."""
    frames = [
        runs.frame.select("params", "tokens", "loss", pl.lit(is_dear).alias("dear"))
        for runs, is_dear in ((grid, False), (dear, True))
    ]
    return read_runs(pl.concat(frames))


if __name__ == "__main__":
    make_pictures(Path(sys.argv[1]) if len(sys.argv) > 1 else DATA, PICTURES)
