"""`isoloss report`: one page, whole or not there at all."""

from __future__ import annotations

import contextlib
import html
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from cli_program import (
    Outcome,
    document,
    good_rows,
    isoloss,
    loss_of,
    read_strictly,
    refusal,
    write_table,
)

pytest_plugins = ("cli_fixtures",)

WORDS = (
    *("report", "runs.csv", "--hold-out", "params > 1e9", "--at", "7B:140B", "--flops", "1e22"),
    *("--law", "chinchilla", "compute", "--bootstrap", "5", "--json"),
)


@dataclass(frozen=True)
class Made:
    """A folder after a report on its table, which has one row twice."""

    folder: Path
    outcome: Outcome


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("report")
    rows = good_rows()
    write_table(folder / "runs.csv", [*rows, rows[0]])
    with contextlib.chdir(folder):
        return Made(folder, isoloss(*WORDS))


def test_the_default_page_lies_here(made: Made) -> None:
    assert made.outcome.status == 0
    assert sorted(path.name for path in made.folder.iterdir()) == ["report.html", "runs.csv"]


def test_the_page_repeats_its_own_command(made: Made) -> None:
    page = (made.folder / "report.html").read_text()
    assert page.lstrip().lower().startswith("<!doctype html>")
    assert html.escape(shlex.join(["isoloss", *WORDS])) in page
    for name in ("chinchilla", "compute", "7B:140B"):
        assert name in page


def test_the_json_holds_everything_on_the_page(made: Made) -> None:
    told = read_strictly(made.outcome.stdout)
    assert told["report"] == "report.html"
    assert {fit["law"] for fit in told["fits"]} == {"chinchilla", "compute"}
    assert told["backtest"]["n_held_out"] == 10
    assert {split["flops"] for split in told["allocations"]} == {1e22}
    (point,) = told["forecast"]["predictions"]
    assert point["lower"] < point["loss"] < point["upper"]


def test_warnings_about_the_table_are_told(made: Made) -> None:
    assert made.outcome.stderr.startswith(
        "warning: runs.csv: row 31 (line 32) repeats an earlier one in every column: "
    )


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("params < 0", "no split: found 0 of 30 runs of {table} held out; "),
        ("params >", "not SQL: expected an SQL condition such as "),
    ],
)
def test_bad_conditions(condition: str, message: str, table: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    said = refusal("report", table, "--hold-out", condition, "-o", page)
    assert said.startswith(f"condition {condition!r}: {message.format(table=table)}")
    assert not page.exists()


def test_tables_that_carry_no_law_leave_no_page(tmp_path: Path) -> None:
    path, page = write_table(tmp_path / "runs.csv", good_rows()[:3]), tmp_path / "page.html"
    assert refusal("report", path, "-o", page).startswith(f"no law can be fitted to {path}: ")
    assert not page.exists()


@pytest.mark.parametrize("verb", ["report", "demo"])
def test_without_matplotlib_it_says_what_to_install(
    verb: str, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.chdir(tmp_path)
    words = (verb, table) if verb == "report" else (verb,)
    assert refusal(*words) == (
        "figures need matplotlib: install it with pip install 'isoloss[plot]'"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_table_of_one_budget_has_a_page_without_backtest(tmp_path: Path) -> None:
    sizes = [1e8 * 1.3**step for step in range(12)]
    tokens = [1e20 / (6 * size) for size in sizes]
    rows = [[N, D, loss_of(N, D)] for N, D in zip(sizes, tokens, strict=True)]
    path, page = write_table(tmp_path / "runs.csv", rows), tmp_path / "page.html"
    told = document("report", path, "--law", "chinchilla", "--bootstrap", "0", "-o", page)
    assert told["backtest"] is None
    assert page.exists()


def test_a_law_without_an_optimum_has_a_page_without_forecast(table: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    words = ("report", table, "--hold-out", "params > 1e9", "--law", "compute")
    told = document(*words, "--bootstrap", "0", "-o", page)
    assert (told["forecast"], told["allocations"]) == (None, [])
    assert told["backtest"]["n_held_out"] == 10
