"""`isoloss data check`: what a table holds, and everything that is wrong with it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cli_program import (
    document,
    done,
    good_rows,
    isoloss,
    only_line,
    read_strictly,
    refusal,
    write_table,
)

pytest_plugins = ("cli_fixtures",)


def test_a_good_table(table: Path) -> None:
    checked = document("data", "check", table)
    assert checked["usable"] is True
    assert checked["problems"] == []
    assert (checked["n_runs"], checked["n_sizes"]) == (30, 6)
    assert checked["columns"] == ["params", "tokens", "loss"]
    assert checked["ranges"]["params"] == {"min": 5e7, "max": 3e9}
    assert checked["ranges"]["tokens_per_param"] == pytest.approx({"min": 5, "max": 80})
    lines = done("data", "check", table).stdout.splitlines()
    assert lines[0] == f"{table}: 30 runs, 6 sizes"
    assert lines[3].split() == ["params", "50M", "3B"]
    assert lines[-1] == "Nothing is wrong with it."


def test_everything_that_is_wrong_is_listed_with_its_rows(tmp_path: Path) -> None:
    rows = good_rows()
    rows[2][2], rows[6][0], rows[9][0] = "diverged", -1.0, 0.0
    path = write_table(tmp_path / "runs.csv", [*rows, rows[20]])
    outcome = isoloss("data", "check", path, "--json")
    assert outcome.status == 2
    checked = read_strictly(outcome.stdout)
    assert checked["usable"] is False
    found = [(each["code"], each["severity"], each["column"]) for each in checked["problems"]]
    assert found == [
        ("not-positive", "error", "params"),
        ("not-a-number", "error", "loss"),
        ("duplicates", "warning", ""),
    ]
    assert [each["rows"] for each in checked["problems"]] == [[7, 10], [3], [31]]
    assert [each["lines"] for each in checked["problems"]] == [[8, 11], [4], [32]]
    errors = [each["message"] for each in checked["problems"] if each["severity"] == "error"]
    assert only_line(outcome.stderr) == f"{path}: {'; '.join(errors)}"


def test_the_tables_for_people_come_before_the_refusal(tmp_path: Path) -> None:
    rows = good_rows()
    rows[2][2] = -1.0
    path = write_table(tmp_path / "runs.csv", rows)
    outcome = isoloss("data", "check", path)
    assert outcome.status == 2
    assert "\nProblems\n" in outcome.stdout
    assert "\nerror  " in outcome.stdout
    assert only_line(outcome.stderr).startswith(f"{path}: loss is not positive in row 3 (line 4): ")


def test_a_table_without_the_columns_is_still_described(tmp_path: Path) -> None:
    path = write_table(tmp_path / "runs.csv", good_rows(), "size,seen,cross_entropy")
    outcome = isoloss("data", "check", path, "--json")
    assert outcome.status == 2
    checked = read_strictly(outcome.stdout)
    assert checked["columns"] == ["size", "seen", "cross_entropy"]
    assert [each["code"] for each in checked["problems"]] == ["missing-column"]


def test_names_with_line_breaks_stay_on_one_line(tmp_path: Path) -> None:
    rows = [[*row, '"two\nlines"' if place % 2 else "c4"] for place, row in enumerate(good_rows())]
    path = write_table(tmp_path / "runs.csv", rows, "params,tokens,loss,recipe")
    outcome = isoloss("data", "check", path)
    assert outcome.status == 2
    assert "found c4, two lines; " in only_line(outcome.stderr)


def test_one_run_is_not_several(tmp_path: Path) -> None:
    path = write_table(tmp_path / "runs.csv", [[1e8, 2e9, 3.5]])
    assert done("data", "check", path).stdout.startswith(f"{path}: 1 run, 1 size\n")


def test_ratios_are_written_out(tmp_path: Path) -> None:
    path = write_table(tmp_path / "runs.csv", [[1e8, 2.57e11, 2.5], [1e8, 2e9, 3.5]])
    shown = done("data", "check", path).stdout
    assert re.search(r"^tokens_per_param +20 +2570$", shown, re.MULTILINE)


def test_conditions_apply_before_the_check(tmp_path: Path) -> None:
    rows = good_rows()
    rows[2][2] = -1.0
    path = write_table(tmp_path / "runs.csv", rows)
    checked = document("data", "check", path, "--where", "loss > 0")
    assert (checked["usable"], checked["n_runs"]) == (True, 29)


def test_what_cannot_be_read_has_no_document(tmp_path: Path) -> None:
    missing = tmp_path / "nowhere.csv"
    assert refusal("data", "check", missing, "--json") == f"{missing}: no such file"
