"""`isoloss compare`: which recipe wins where."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_program import document, done, good_rows, refusal, write_table

import isoloss

QUICK = ("--law", "chinchilla", "--bootstrap", "40")
AT = ("--at", "1.2B:24B", "7.2B:144B")


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Runs of Muon, of AdamW, and of both in one table."""
    folder = tmp_path_factory.mktemp("recipes")
    paths = []
    for recipe in ("muon", "adamw", None):
        path = folder / f"{recipe or 'both'}.csv"
        isoloss.optimizer_runs(recipe).frame.write_csv(path)
        paths.append(path)
    return paths[0], paths[1], paths[2]


def test_the_json_has_the_keys_of_the_design(tables: tuple[Path, Path, Path]) -> None:
    told = document("compare", *tables[:2], *AT, *QUICK)
    assert told["recipes"] == ["muon", "adamw"]
    measured, larger = told["points"]
    for point in (measured, larger):
        assert set(point) >= {
            *("params", "tokens", "loss_a", "loss_b", "difference", "lower", "upper"),
            *("probability_a_better", "compute_gain"),
        }
        assert point["difference"] == pytest.approx(point["loss_a"] - point["loss_b"])
        assert point["lower"] < point["difference"] < point["upper"]
    assert measured["better"] == "muon"
    assert not measured["undecided"]
    assert larger["undecided"]
    assert told["pairs"][0]["indifference"][0]["better_beyond"] in ("muon", "adamw")


def test_one_table_with_a_column_of_recipes(tables: tuple[Path, Path, Path]) -> None:
    apart = document("compare", *tables[:2], *AT, *QUICK)
    together = document("compare", tables[2], "--recipes", "muon,adamw", *AT, *QUICK)
    assert together["points"] == apart["points"]
    turned = document("compare", tables[2], "--by", "recipe", *AT, *QUICK)
    assert turned["recipes"] == ["adamw", "muon"]


def test_tables_are_named_after_their_files(tmp_path: Path) -> None:
    paths = [write_table(tmp_path / f"{name}.csv", good_rows()) for name in ("old", "new")]
    told = document("compare", *paths, "--at", "7B:140B", *QUICK)
    assert told["recipes"] == ["old", "new"]


def test_several_recipes_against_the_first(tmp_path: Path) -> None:
    paths = [write_table(tmp_path / f"{name}.csv", good_rows()) for name in "abc"]
    told = document("compare", *paths, "--at", "7B:140B", *QUICK)
    assert [point["recipe_b"] for point in told["points"]] == ["b", "c"]


def test_the_tables_for_people(tables: tuple[Path, Path, Path]) -> None:
    outcome = done("compare", *tables[:2], *AT, *QUICK)
    for text in (
        "muon against adamw: expected loss\n",
        "What adamw needs to match muon\n",
        "undecided",
        "P(muon better)",
        "Measured size by size, the data gain goes as N^-0.085",
        "note: 16 runs of muon and adamw have the same N and D, and are compared as pairs",
    ):
        assert text in outcome.stdout
    assert outcome.stderr == ""


def test_optimal_splits(tables: tuple[Path, Path, Path]) -> None:
    told = document("compare", *tables[:2], "--path", "optimal", *AT, *QUICK)
    assert told["path"] == "optimal"
    assert told["points"][0]["compute_gain"] > 1


def test_the_result_and_the_figure_as_files(
    tables: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    result, figure = tmp_path / "result.json", tmp_path / "figure.svg"
    done("compare", *tables[:2], *AT, *QUICK, "-o", result, "--figure", figure)
    assert '"probability_a_better"' in result.read_text()
    assert figure.read_text().startswith("<svg")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("{muon}", "--at", "1B:20B"),
            "{muon}: column recipe names no two recipes: found muon; expected two or more, or "
            "another table",
        ),
        (
            ("{unnamed}", "--at", "1B:20B"),
            "{unnamed}: nothing to compare with: found no column recipe; expected a second table, "
            "or --by with the column that names the recipe",
        ),
        (
            ("{both}", "--by", "maker", "--at", "1B:20B"),
            "{both}: no column maker: expected one of params, tokens, loss, recipe, size, horizon",
        ),
        (
            ("{both}", "--recipes", "muon,lion", "--at", "1B:20B"),
            "--recipes: no such recipe: found lion; expected two or more of adamw, muon",
        ),
        (
            ("{both}", "--recipes", "muon", "--at", "1B:20B"),
            "--recipes: nothing to compare with: found muon; expected two or more of adamw, muon",
        ),
        (
            ("{muon}", "{adamw}", "--by", "recipe", "--at", "1B:20B"),
            "--by: only a single table is split into recipes: found 2 tables; expected one table, "
            "or the option left out",
        ),
        (
            ("{muon}", "{muon}", "--at", "1B:20B"),
            "the same table twice: found {muon}, {muon}; expected different tables",
        ),
        (
            ("{muon}", "{adamw}"),
            "--at: no point to predict: expected N:D, such as 70B:1.4T",
        ),
        (
            ("{muon}", "{adamw}", "--at", "1B:20B", "--path", "best"),
            "--path: unknown path: found 'best'; expected ratio or optimal",
        ),
        (
            ("{muon}", "{adamw}", "--at", "1B:20B", "--figure", "map.pdf"),
            "--figure map.pdf: not a picture format: found .pdf; expected .svg or .png",
        ),
        (
            ("{muon}", "{adamw}", "--at", "1B:20B", "--bootstrap", "3"),
            "--bootstrap: no usable number: found '3'; expected a whole number, 20 to 100000",
        ),
    ],
)
def test_refusals(
    words: tuple[str, ...], message: str, tables: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    unnamed = write_table(tmp_path / "unnamed.csv", good_rows())
    names = ("muon", "adamw", "both", "unnamed")
    paths = dict(zip(names, map(str, (*tables, unnamed)), strict=True))
    said = refusal("compare", *(word.format(**paths) for word in words))
    assert said == message.format(**paths)


def test_too_few_runs_name_the_files(tmp_path: Path) -> None:
    paths = [write_table(tmp_path / f"{name}.csv", good_rows()[:2]) for name in "ab"]
    said = refusal("compare", *paths, "--at", "7B:140B", "--law", "chinchilla")
    assert said.startswith(f"{paths[0]}, {paths[1]}: no law can compare a with b: ")
