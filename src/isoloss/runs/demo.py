"""The tables that ship inside the package: our own sweep, and published runs of two optimisers."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import as_file, files

from isoloss.errors import InputError
from isoloss.runs.reading import read_runs
from isoloss.runs.table import Runs

RECIPES = ("adamw", "muon")
"""The recipes of both tables."""


def demo_runs(recipe: str | None = None) -> Runs:
    """Our own sweep: decoders of 6K to 1M parameters on the sources of Python's standard library.

    Params are without embeddings, loss is in nats per held-out byte; the runs of `seed` 0 are the
    grid, those of others replicates. See docs/own-sweep.md.

    Args:
        recipe: "adamw" or "muon"; by default both, which no one law describes.

    Raises:
        InputError: there is no such recipe.
    """
    return _packaged("standard_library.csv", recipe)


def optimizer_runs(recipe: str | None = None) -> Runs:
    """Published end-of-run losses of AdamW and Muon at four sizes and four horizons.

    Params are without embeddings, loss is C4-EN validation loss in nats/token. Source: Wen et
    al. 2025, arXiv:2509.02046.

    Args:
        recipe: "adamw" or "muon"; by default both, which no one law describes.

    Raises:
        InputError: there is no such recipe.
    """
    return _packaged("optimizers.csv", recipe)


def _packaged(name: str, recipe: str | None) -> Runs:
    if recipe is not None and recipe not in RECIPES:
        raise InputError("no such recipe", found=repr(recipe), expected=" or ".join(RECIPES))
    where = None if recipe is None else f"recipe = '{recipe}'"
    with as_file(files("isoloss") / "data" / name) as path:
        runs = read_runs(path, where=where, check=recipe is not None)
    return replace(runs, source=f"isoloss/data/{name}")
