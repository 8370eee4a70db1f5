"""Recipes compared: published optimisers, and recipes that are known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from comparing_tables import EPOCH, chinchilla, runs_of, table

from isoloss.comparing import Comparison, compare, compare_recipes, split_recipes
from isoloss.errors import FitError, InputError
from isoloss.laws import Law, find_law
from isoloss.runs import Runs, optimizer_runs

LAWS = [find_law(name) for name in ("chinchilla", "coupled", "kaplan")]
TWO_TERMS = [find_law("chinchilla")]
MEASURED, LARGER = (1.2e9, 2.4e10), (7.2e9, 1.44e11)
PROMISED = (
    *("params", "tokens", "loss_a", "loss_b", "difference", "lower", "upper"),
    *("probability_a_better", "compute_gain"),
)


@pytest.fixture(scope="module")
def optimisers() -> Comparison:
    return compare(optimizer_runs("muon"), optimizer_runs("adamw"), [MEASURED, LARGER], laws=LAWS)


def recipes(shift: float = 0.01) -> tuple[Runs, Runs]:
    noise = 5e-4 * np.random.default_rng(6).standard_normal((2, 16))
    return runs_of(chinchilla(), noise[0] - shift), runs_of(chinchilla(), noise[1])


def test_muon_is_better_where_it_was_measured(optimisers: Comparison) -> None:
    point = optimisers.points[0]
    assert optimisers.recipes == ("muon", "adamw")
    assert point.better == "muon"
    assert point.lower < point.difference < point.upper < 0
    assert point.probability_a_better > 0.99
    assert point.more_pairs == 0
    low, high = point.compute_gain_interval
    assert 1.05 < low < point.compute_gain < high < 1.3


def test_muon_at_six_times_the_size_is_undecided(optimisers: Comparison) -> None:
    point = optimisers.points[1]
    assert point.undecided
    assert point.better == "undecided"
    assert point.lower < 0 < point.upper
    assert 0.05 < point.probability_a_better < 0.95
    assert point.compute_gain_interval[0] < 1 < point.compute_gain_interval[1]


def test_two_term_fits_are_undecided_at_six_times_the_size() -> None:
    point = compare(
        optimizer_runs("muon"), optimizer_runs("adamw"), [LARGER], laws=TWO_TERMS
    ).points[0]
    assert point.undecided
    assert point.more_pairs != 0


def test_the_gain_of_muon_shrinks_with_compute(optimisers: Comparison) -> None:
    curve = optimisers.pairs[0].curve
    assert np.all(np.diff(curve.compute.value) < 0)
    assert curve.compute.value[0] == pytest.approx(1.4, abs=0.1)


def test_swapped_recipes_say_the_opposite(optimisers: Comparison) -> None:
    swapped = compare(
        optimizer_runs("adamw"), optimizer_runs("muon"), [MEASURED], laws=LAWS
    ).points[0]
    point = optimisers.points[0]
    assert swapped.difference == pytest.approx(-point.difference, rel=0.02)
    assert swapped.lower == pytest.approx(-point.upper, rel=0.1)
    assert swapped.better == point.better
    assert swapped.probability_a_better == pytest.approx(1 - point.probability_a_better, abs=0.01)


def test_the_json_has_the_keys_of_the_design(optimisers: Comparison) -> None:
    document = optimisers.to_json()
    for point in document["points"]:
        assert set(PROMISED) <= set(point)
        assert point["difference"] == pytest.approx(point["loss_a"] - point["loss_b"])
        low, high = point["single_runs"]
        assert low < point["lower"] < point["upper"] < high
    pair = document["pairs"][0]
    assert pair["n_pairs"] == 16
    assert sum(pair["weights"].values()) == pytest.approx(1)
    assert set(pair["reasons"]) == {law.name for law in LAWS}
    assert pair["measured"]["trend"]["upper"] < 0
    assert pair["efficiency"]["tokens"][0] > 1


def test_the_frame_has_one_row_a_point(optimisers: Comparison) -> None:
    frame = optimisers.to_frame()
    assert frame["recipe_a"].to_list() == ["muon", "muon"]
    assert frame["better"].to_list() == ["muon", "undecided"]


def test_the_unit_of_the_loss_does_not_matter() -> None:
    first, second = recipes()
    bits = [table(each.params, each.tokens, each.loss / np.log(2)) for each in (first, second)]
    nats = compare(first, second, [MEASURED], laws=TWO_TERMS).points[0]
    other = compare(bits[0], bits[1], [MEASURED], laws=TWO_TERMS).points[0]
    assert other.difference * np.log(2) == pytest.approx(nats.difference, rel=1e-3)
    assert other.compute_gain == pytest.approx(nats.compute_gain, rel=1e-3)


def test_a_lower_level_decides_sooner() -> None:
    first, second = recipes(0.0)
    point = compare(first, second, [MEASURED], laws=TWO_TERMS, level=0.9).points[0]
    narrow = compare(first, second, [MEASURED], laws=TWO_TERMS, level=0.01).points[0]
    assert point.undecided
    assert not narrow.undecided


def test_few_runs_of_a_new_recipe_are_held_near_the_old_one() -> None:
    old = runs_of(chinchilla(), 3e-4 * np.sin(np.arange(16)))
    new = runs_of(chinchilla(B=EPOCH["B"] * 0.95)).take([0, 6, 15])
    result = compare(new, old, [(1.6e9, 3.2e10)], names=("new", "old"), laws=TWO_TERMS)
    assert result.points[0].probability_a_better > 0.9
    assert result.pairs[0].n_pairs == 3
    pooled = next(note for note in result.notes if note.code == "pooled")
    assert pooled.details["different"] < 4


def test_recipes_without_common_runs_are_compared_too() -> None:
    first, second = recipes()
    result = compare(
        first.take(list(range(0, 16, 2))),
        second.take(list(range(1, 16, 2))),
        [MEASURED],
        laws=TWO_TERMS,
    )
    assert result.points[0].better == "A"
    assert result.pairs[0].n_pairs == 0
    assert "paired" not in {note.code for note in result.notes}


def test_many_recipes_are_compared_with_the_first() -> None:
    first, second = recipes()
    third = runs_of(chinchilla(), 0.02)
    tables = {"new": first, "old": second, "worst": third}
    result = compare_recipes(tables, [MEASURED], laws=TWO_TERMS)
    assert result.recipes == ("new", "old", "worst")
    assert [point.recipe_b for point in result.points] == ["old", "worst"]
    assert all(point.better == "new" for point in result.points)


def test_the_very_same_runs_are_noticed() -> None:
    runs = recipes()[0]
    result = compare(runs, runs, [MEASURED], laws=TWO_TERMS)
    point = result.points[0]
    assert point.difference == 0
    assert point.probability_a_better == 0.5
    assert point.undecided
    assert "same-runs" in {note.code for note in result.notes}


def test_far_points_are_noted() -> None:
    result = compare(*recipes(), [(7e10, 1.4e12)], laws=TWO_TERMS)
    assert "far" in {note.code for note in result.notes}


def test_a_table_with_a_column_of_recipes_is_split() -> None:
    tables = split_recipes(optimizer_runs())
    assert list(tables) == ["adamw", "muon"]
    assert [len(runs) for runs in tables.values()] == [16, 16]


def with_names(*names: str) -> Callable[[], Comparison]:
    first, second = names
    return lambda: compare(*recipes(), [MEASURED], names=(first, second), laws=TWO_TERMS)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (
            with_names("x", "x"),
            "two recipes of one name: found 'x'; expected different names",
        ),
        (
            lambda: compare_recipes({"x": recipes()[0]}, [MEASURED]),
            "nothing to compare with: found 1 recipe; expected two or more",
        ),
        (
            lambda: compare(*recipes(), []),
            "--at: no point to predict: expected N:D, such as 70B:1.4T",
        ),
        (
            lambda: compare(*recipes(), [MEASURED], path="best"),
            "--path: unknown path: found 'best'; expected ratio or optimal",
        ),
        (
            lambda: split_recipes(optimizer_runs("muon")),
            "isoloss/data/optimizers.csv: column recipe names no two recipes: found muon; "
            "expected two or more, or another table",
        ),
    ],
)
def test_what_cannot_be_compared(act: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError) as refused:
        act()
    assert str(refused.value) == message


def test_too_few_runs_for_any_law() -> None:
    few = [runs.take([0, 5]) for runs in recipes()]
    message = (
        "^no law can compare A with B: law chinchilla has 5 parameters and needs at least 6 runs; "
        "the table has 4$"
    )
    with pytest.raises(FitError, match=message):
        compare(few[0], few[1], [MEASURED], laws=TWO_TERMS)


def test_a_law_that_reads_something_else_is_left_out(own_law: Law) -> None:
    result = compare(*recipes(), [MEASURED], laws=[*TWO_TERMS, own_law])
    assert result.pairs[0].reasons["epochs"] == "left out: it reads more than N and D"


@pytest.fixture
def own_law() -> Law:
    from isoloss.laws import law_from_definition

    return law_from_definition(
        {
            "name": "epochs",
            "formula": "E + B / tokens**beta + c * epochs",
            "parameters": {
                name: {"lower": 0.0, "start": [0.1, 1.0]} for name in ("E", "B", "beta", "c")
            },
            "inputs": ["tokens", "epochs"],
        }
    )
