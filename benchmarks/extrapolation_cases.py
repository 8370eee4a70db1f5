"""Honest splits of the public tables: what is fitted is smaller than what is predicted.

Left out are tables in which the loss depends on more than N and D (repeated data, a sweep of
learning rates) and tables of fewer than twelve runs. Tables of one origin describe the same models,
and count as one when one table at a time is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from public_tables import FOLDER, PublicTable

import isoloss
from isoloss.arrays import Array, Mask

# Share of the runs that splits by quantile fit.
_SHARES = {"C40": 0.4, "C70": 0.7}


@dataclass(frozen=True)
class Case:
    """One split of one table.

    Attributes:
        table: name of the table.
        split: name of the split.
        origin: who made the runs.
        fitted: the runs to fit.
        held_out: the runs to predict.
    """

    table: str
    split: str
    origin: str
    fitted: isoloss.Runs
    held_out: isoloss.Runs

    @property
    def name(self) -> str:
        """Name for people."""
        return f"{self.table} {self.split}"


def _tables() -> Iterator[tuple[str, str, PublicTable]]:
    """Name, origin and table."""
    farseer = "not duplicate_row"
    sizes = "params > 2e8 and not duplicate_row"
    yield "farseer", "farseer", PublicTable("farseer_grid.csv", where=sizes)
    yield "farseer-400", "farseer", PublicTable("farseer_grid.csv", where=farseer)
    for name, loss in (("farseer-zh", "bpc_raw_zh"), ("farseer-train", "train_loss_smooth")):
        yield name, "farseer", PublicTable("farseer_grid.csv", "", farseer, {"loss": loss})
    keep = "not excluded_by_epoch"
    yield "epoch", "chinchilla", PublicTable("chinchilla_fig4_epoch.csv", where=keep)
    for name in ("epochai_chinchilla", "ml_scalefit"):
        where = "not source_outlier"
        yield f"isoflop-{name[:2]}", "chinchilla", PublicTable(f"isoflop_{name}.csv", "", where)
    for name in ("raw", "exp"):
        where = f"recipe = 'llama_3__{name}_loss' and not source_outlier"
        yield f"llama3-{name}", "llama3", PublicTable("isoflop_llama_3.csv", "", where)
    yield "steplaw", "steplaw", PublicTable("steplaw_dense_surface.csv")
    where = "recipe = 'datablations_c4' and epochs <= 1"
    yield "datablations", "datablations", PublicTable("datablations_c4.csv", "", where)
    for recipe in ("c4_original", "rpj", "rw_original"):
        for loss in ("c4_val", "openlm", "paloma_falcon-refinedweb"):
            yield (
                f"gadre-{recipe.split('_')[0]}-{loss.removeprefix('paloma_')[:6]}",
                f"gadre-{recipe}",
                PublicTable(
                    "gadre_overtraining.csv", "", f"recipe = '{recipe}'", {"loss": f"loss_{loss}"}
                ),
            )


def _at_most(values: Array, limit: float) -> Mask:
    # Budgets of one IsoFLOP profile differ by rounding.
    return np.asarray(values <= limit * (1 + 1e-6))


def _splits(origin: str, runs: isoloss.Runs) -> dict[str, Mask]:
    """Runs to fit, by the name of the split."""
    params, tokens, flops = runs.params, runs.tokens, runs.flops
    found = {
        name: _at_most(flops, float(np.quantile(flops, share))) for name, share in _SHARES.items()
    }
    if origin == "farseer":
        return {**found, "N<=2e9": params <= 2e9, "D<3e10": tokens < 3e10}
    if origin.startswith("gadre"):
        return {"C70": found["C70"], "N<1e9": params < 1e9}
    if origin == "steplaw":
        return {"C70": found["C70"], "N<=4.3e8": params <= 4.35e8}
    found["N60"] = _at_most(params, float(np.quantile(params, 0.6)))
    found["D60"] = _at_most(tokens, float(np.quantile(tokens, 0.6)))
    if origin == "chinchilla":
        found["C<=2e20"] = _at_most(flops, 2.1e20)
        found["N<=2.5e9"] = params <= 2.5e9
    return found


def cases() -> Iterator[Case]:
    """Every split of every table, and the split of Farseer's paper."""
    for name, origin, table in _tables():
        runs = table.read(FOLDER)
        if name == "farseer":
            paper = PublicTable("farseer_extrapolation.csv", where="in_paper_six").read(FOLDER)
            yield Case(name, "paper's six", origin, runs.where("params < 6e9"), paper)
        seen: list[Mask] = []
        for split, fitted in _splits(origin, runs).items():
            again = any(np.array_equal(fitted, other) for other in seen)
            if again or not 8 <= fitted.sum() < len(runs):
                continue
            seen.append(fitted)
            yield Case(name, split, origin, runs.take(fitted), runs.take(~fitted))
