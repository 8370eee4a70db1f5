"""Our own sweep: forecasts of its dearest runs against what they really gave, for both recipes.

    .venv/bin/python benchmarks/own_sweep.py [TABLE.csv]

The table is the one inside the package, or another with the columns recipe, params, tokens, loss,
flops and seed. Runs of the first seed are fitted and predicted; the other seeds give the noise.
Printed are, for each split and recipe, mean absolute relative errors of `auto` and of single laws
with the share of `auto`'s 90 % intervals that held; and, with the same runs fitted, which recipe
is said to be better where it was not seen, and which one was.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table

import isoloss
from isoloss.forecasting import AUTO
from isoloss.runs import Runs, read_runs

RECIPES = ("adamw", "muon")
LAWS = ("farseer", "farseer-held", "coupled", "overtraining", "chinchilla")
FIRST_SEED = "seed = 0"


def splits(runs: Runs) -> Iterator[tuple[str, str]]:
    """Name and condition of what is held out: by compute, by size, by tokens."""
    for share in (0.5, 0.7):
        limit = float(np.quantile(runs.flops, share))
        yield f"cheapest {100 * share:.0f} % by C", f"flops > {limit}"
    sizes, horizons = np.unique(runs.params), np.unique(runs.tokens)
    yield "all but the three largest N", f"params > {sizes[-4]}"
    yield "all but the two largest D", f"tokens > {horizons[-3]}"


def errors(tables: dict[str, Runs]) -> Table:
    """Errors of every split, recipe and law, in per cent."""
    table = Table(title="mean |error| of the held-out runs, %", title_justify="left")
    for name in ("fitted to", "recipe", "runs", "C times", AUTO, "held", *LAWS):
        table.add_column(name, justify="left" if name in ("fitted to", "recipe") else "right")
    conditions = list(splits(tables[RECIPES[0]]))
    for title, condition in conditions:
        for recipe, runs in tables.items():
            fitted, held_out = runs.split(condition)
            tested = isoloss.backtest(runs, condition, laws=(AUTO, *LAWS))
            shown = {name: each.to_json() for name, each in tested.held_out.items()}
            cells = [
                f"{100 * shown[law]['mean_abs_rel_error']:.2f}" if law in shown else "-"
                for law in LAWS
            ]
            table.add_row(
                title,
                recipe,
                f"{len(fitted)} : {len(held_out)}",
                f"{held_out.flops.max() / fitted.flops.max():.0f}",
                f"{100 * shown[AUTO]['mean_abs_rel_error']:.2f}",
                f"{100 * shown[AUTO]['coverage']:.0f} %",
                *cells,
            )
    return table


def noise(runs: Runs) -> Table:
    """Standard deviation over seeds of the log loss, by size, in per cent."""
    table = Table(title="noise of seeds, standard deviation in %", title_justify="left")
    for name in ("recipe", "N", "cells", "noise"):
        table.add_column(name, justify="right")
    cells = (
        runs.frame.group_by("recipe", "params", "tokens")
        .agg(pl.col("loss").log().var().alias("variance"), pl.len().alias("seeds"))
        .filter(pl.col("seeds") > 1)
        .group_by("recipe", "params")
        .agg(pl.col("variance").mean().sqrt().alias("noise"), pl.len().alias("cells"))
        .sort("recipe", "params")
    )
    for row in cells.iter_rows(named=True):
        table.add_row(
            row["recipe"], f"{row['params']:.0f}", f"{row['cells']}", f"{100 * row['noise']:.2f}"
        )
    return table


def order(tables: dict[str, Runs]) -> Table:
    """Whether the better recipe of the held-out cells was named from the cheaper runs."""
    table = Table(title="which recipe is better, held-out cells", title_justify="left")
    for name in ("fitted to", "cells", "said rightly", "undecided", "said wrongly", "gain said"):
        table.add_column(name, justify="left" if name == "fitted to" else "right")
    first, second = (tables[name] for name in RECIPES)
    for title, condition in splits(first):
        (fitted, held_out), (other, rest) = first.split(condition), second.split(condition)
        truth = held_out.frame.join(
            rest.frame, on=["params", "tokens"], how="inner", suffix="_other"
        )
        points = list(zip(truth["params"].to_list(), truth["tokens"].to_list(), strict=True))
        compared = isoloss.compare(fitted, other, points, names=RECIPES).points
        better = np.where(truth["loss"] < truth["loss_other"], *RECIPES)
        said = np.array([point.better for point in compared])
        undecided = np.array([point.undecided for point in compared])
        gains = [point.compute_gain for point in compared]
        table.add_row(
            title,
            str(len(points)),
            str(int(np.sum(said == better))),
            str(int(np.sum(undecided))),
            str(int(np.sum(~undecided & (said != better)))),
            f"{min(gains):.2f} to {max(gains):.2f}",
        )
    return table


def main() -> None:
    runs = read_runs(sys.argv[1], check=False) if len(sys.argv) > 1 else isoloss.demo_runs()
    tables = {name: runs.where(f"recipe = '{name}' and {FIRST_SEED}") for name in RECIPES}
    console = Console(width=160)
    console.print(noise(runs))
    console.print(errors(tables))
    console.print(order(tables))


if __name__ == "__main__":
    main()
