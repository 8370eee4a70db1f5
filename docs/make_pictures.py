"""Draws docs/pictures from the public runs of Farseer and Chinchilla and from the demo's table.

Run by hand: `python docs/make_pictures.py [DATA]`, where DATA is the folder that holds
farseer_grid.csv, farseer_extrapolation.csv and chinchilla_fig4_epoch.csv, by default
../shared/data beside the repository.
"""

from __future__ import annotations

import sys
from pathlib import Path

import polars as pl

from isoloss import backtest, compare, demo_runs, fit, forecast, read_runs, robustness
from isoloss.reporting import (
    allocation_figure,
    comparison_figure,
    forecast_figure,
    parity_figure,
    robustness_figure,
    save_figure,
    surface_figure,
)
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
    tested = backtest(_together(grid, dear), "dear", laws=COMPARED)
    points = list(zip(dear.params.tolist(), dear.tokens.tolist(), strict=True))
    demo = demo_runs("adamw")
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
        "comparison": comparison_figure(compare(demo_runs("muon"), demo, RECIPE_POINTS)),
        "demo-forecast": forecast_figure(forecast(demo, DEMO_POINTS), loss_label=DEMO_LOSS),
        "robustness": robustness_figure(moved),
    }
    for name, figure in figures.items():
        save_figure(figure, folder / f"{name}.svg")


def _together(grid: Runs, dear: Runs) -> Runs:
    """One table of both, with a column that says which runs are the dear ones."""
    frames = [
        runs.frame.select("params", "tokens", "loss", pl.lit(is_dear).alias("dear"))
        for runs, is_dear in ((grid, False), (dear, True))
    ]
    return read_runs(pl.concat(frames))


if __name__ == "__main__":
    make_pictures(Path(sys.argv[1]) if len(sys.argv) > 1 else DATA, PICTURES)
