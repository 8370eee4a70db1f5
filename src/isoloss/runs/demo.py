"""The table of published runs that ships inside the package."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import as_file, files

from isoloss.errors import InputError
from isoloss.runs.reading import read_runs
from isoloss.runs.table import Runs

RECIPES = ("adamw", "muon")


def demo_runs(recipe: str | None = None) -> Runs:
    """End-of-run losses of AdamW and Muon at four sizes and four horizons.

    Params are without embeddings, loss is C4-EN validation loss in nats/token. Source: Wen et
    al. 2025, arXiv:2509.02046.

    Args:
        recipe: "adamw" or "muon"; by default both, which no one law describes.

    Raises:
        InputError: there is no such recipe.
    """
    if recipe is not None and recipe not in RECIPES:
        raise InputError("no such recipe", found=repr(recipe), expected=" or ".join(RECIPES))
    where = None if recipe is None else f"recipe = '{recipe}'"
    with as_file(files("isoloss") / "data" / "optimizers.csv") as path:
        runs = read_runs(path, where=where, check=recipe is not None)
    return replace(runs, source="isoloss/data/optimizers.csv")
