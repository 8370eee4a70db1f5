"""`isoloss demo`: the whole story on our own sweep."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cli_program import Outcome, done, isoloss, refusal

RECIPES = ("adamw", "muon")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "demo.html"


@pytest.fixture(scope="module")
def outcome(page: Path) -> Outcome:
    return isoloss("demo", "-o", page)


def test_the_demo_writes_a_page_and_says_where(outcome: Outcome, page: Path) -> None:
    assert outcome.status == 0
    assert outcome.stdout.endswith(f"Report: {page}\n")
    assert f"isoloss demo -o {page}" in page.read_text()
    assert "nats/byte" in page.read_text()


def test_the_dearest_runs_of_both_recipes_are_predicted(outcome: Outcome) -> None:
    rows = re.findall(
        r"^\S+[KM]:\S+M +(\S+) +(\S+) to (\S+) +(\S+) +([+-]\S+) %$", outcome.stdout, re.MULTILINE
    )
    assert len(rows) == 16
    for predicted, low, high, measured, error in rows:
        assert float(low) < float(predicted) < float(high)
        assert float(error) == pytest.approx(
            100 * (float(predicted) / float(measured) - 1), abs=0.02
        )


def test_every_part_of_the_story_is_told(outcome: Outcome) -> None:
    lines = outcome.stdout.splitlines()
    for recipe in RECIPES:
        title = f"{recipe}: the dearest runs, predicted by auto from the cheaper half"
        assert lines.count(title) == 1
    assert len([line for line in lines if line.startswith("Fitted ")]) == 2
    assert lines.count("Predictions; N, D and C as multiples of the largest fitted") == 1
    assert re.search(r"^muon is better in most of the \d+ cells held out", outcome.stdout, re.M)
    notes = [line for line in lines if line.startswith("note: ")]
    assert len(notes) == len(set(notes))


def test_warnings_go_to_stderr(outcome: Outcome) -> None:
    assert all(line.startswith("warning: ") for line in outcome.stderr.splitlines())


def test_an_unknown_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert refusal("demo", "--recipe", "sgd") == (
        "no such recipe: found 'sgd'; expected adamw or muon"
    )
    assert list(tmp_path.iterdir()) == []


def test_the_page_is_not_started_where_it_cannot_be_written(tmp_path: Path) -> None:
    page = tmp_path / "nowhere" / "demo.html"
    assert refusal("demo", "-o", page) == (
        f"--output {page}: no such folder: found {page.parent}; expected a folder that exists"
    )


def test_the_help_names_the_recipes() -> None:
    assert "--recipe adamw|muon" in done("demo", "-h").stdout
