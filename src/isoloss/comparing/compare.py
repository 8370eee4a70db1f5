"""Compare recipes over the plane of N and D."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from isoloss.comparing.comparison import Comparison
from isoloss.comparing.gain import check_path
from isoloss.comparing.pair import compare_pair
from isoloss.comparing.weighing import Point, Settings
from isoloss.errors import InputError
from isoloss.fitting import Objective
from isoloss.forecasting import DEFAULT_LEVEL
from isoloss.forecasting.prediction import check_level, points_as_columns
from isoloss.laws import CANDIDATES, Law
from isoloss.runs import Runs

DEFAULT_DRAWS = 200
# Two runs of one N and D pull on an absolute error alike wherever between them the surface lies.
BETWEEN = "squared-log"
_FEWEST_DRAWS = 20


def compare(
    runs_a: Runs,
    runs_b: Runs,
    points: Sequence[Point],
    *,
    names: tuple[str, str] | None = None,
    laws: Sequence[Law] | None = None,
    path: str = "ratio",
    objective: Objective | str = BETWEEN,
    bootstrap: int = DEFAULT_DRAWS,
    level: float = DEFAULT_LEVEL,
    seed: int = 0,
    threads: int | None = None,
    advance: Callable[[str], None] | None = None,
) -> Comparison:
    """Compare two recipes: differences of expected loss, who is better, what it is worth.

    Args:
        runs_a: runs of the first recipe, A.
        runs_b: runs of the second, B; the loss must be the same quantity in the same unit.
        points: (N, D) at which to compare.
        names: of the recipes; from the tables where not given.
        laws: candidates; the whole catalogue where not given.
        path: how B spends the compute that it needs to match A: "ratio" at the point's tokens per
            parameter, "optimal" with each recipe at its own compute-optimal split.
        objective: what the fit of both recipes as one minimises, where the search begins; least
            squares where not given, see `BETWEEN`.
        bootstrap: draws of each law's parameters.
        level: probability with which each interval should hold.
        seed: of starts and draws.
        threads: for the solver.
        advance: called with the name of each law when it has been fitted to a pair.

    Raises:
        FitError: no law can be fitted to both, or none can be believed at the points.
        InputError: an argument has no meaning.
    """
    first, second = names or _names((runs_a, runs_b))
    if first == second:
        raise InputError("two recipes of one name", found=repr(first), expected="different names")
    return compare_recipes(
        {first: runs_a, second: runs_b},
        points,
        laws=laws,
        path=path,
        objective=objective,
        bootstrap=bootstrap,
        level=level,
        seed=seed,
        threads=threads,
        advance=advance,
    )


def compare_recipes(
    tables: Mapping[str, Runs],
    points: Sequence[Point],
    *,
    laws: Sequence[Law] | None = None,
    path: str = "ratio",
    objective: Objective | str = BETWEEN,
    bootstrap: int = DEFAULT_DRAWS,
    level: float = DEFAULT_LEVEL,
    seed: int = 0,
    threads: int | None = None,
    advance: Callable[[str], None] | None = None,
) -> Comparison:
    """Compare the first recipe with each of the others.

    Args:
        tables: the runs of each recipe, by name.
        points: (N, D) at which to compare.
        laws: candidates; the whole catalogue where not given.
        path: as for `compare`.
        objective: what the fit of both recipes as one minimises, where the search begins; least
            squares where not given, see `BETWEEN`.
        bootstrap: draws of each law's parameters.
        level: probability with which each interval should hold.
        seed: of starts and draws.
        threads: for the solver.
        advance: called with the name of each law when it has been fitted to a pair.

    Raises:
        FitError: no law can be fitted to a pair, or none can be believed at the points.
        InputError: there are fewer than two recipes, or an argument has no meaning.
    """
    points_as_columns(points)
    check_level(level)
    check_path(path)
    if len(tables) < 2:
        raise InputError(
            "nothing to compare with",
            found=f"{len(tables)} recipe" + "s" * (len(tables) != 1),
            expected="two or more",
        )
    settings = Settings(
        tuple((float(N), float(D)) for N, D in points),
        tuple(laws or CANDIDATES),
        objective,
        max(_FEWEST_DRAWS, bootstrap),
        level,
        path,
        seed,
        threads,
        advance,
    )
    first, *others = tables
    pairs = [
        compare_pair((first, other), (tables[first], tables[other]), settings) for other in others
    ]
    notes = [note for runs in tables.values() for note in runs.notes]
    notes += [note for pair in pairs for note in pair.notes]
    return Comparison(tuple(pairs), level, path, tuple(notes))


def split_recipes(runs: Runs, column: str = "recipe") -> dict[str, Runs]:
    """The runs of each recipe of one table, in order of appearance.

    Args:
        runs: the table.
        column: which names the recipe.

    Raises:
        InputError: there is no such column, or it has fewer than two values.
    """
    group = runs.groups(column)
    known = column if column in runs.frame.columns else runs.own_names.get(column, column)
    labels = runs.frame[known]
    tables = {
        str(label): runs.take(group == group[labels.to_list().index(label)])
        for label in labels.drop_nulls().unique(maintain_order=True).to_list()
    }
    if len(tables) < 2:
        raise InputError(
            f"column {column} names no two recipes",
            where=runs.source,
            found=", ".join(tables) or "no value",
            expected="two or more, or another table",
        )
    return tables


def _names(tables: tuple[Runs, Runs]) -> tuple[str, str]:
    own = [runs.recipes[0] if len(runs.recipes) == 1 else "" for runs in tables]
    if all(own) and own[0] != own[1]:
        return str(own[0]), str(own[1])
    return "A", "B"
