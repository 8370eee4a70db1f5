"""What is printed and written: whole numbers, whole files, one JSON object, nothing else."""

from __future__ import annotations

import io
import json
import math
import os
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_program import document, done, isoloss, read_strictly, refusal
from hypothesis import given
from hypothesis import strategies as st

from isoloss.cli.output import plain, show, table, to_text, verbatim, warn
from isoloss.errors import InputError
from isoloss.notes import Note, Severity

pytest_plugins = ("cli_fixtures",)

COMPUTE = ("--law", "compute", "--bootstrap", "0")

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.dictionaries(st.text(), values))
def test_any_document_is_strict_json(content: dict[str, Any]) -> None:
    text = to_text(content)
    assert text.isascii()
    assert read_strictly(text) == plain(content)


def test_numbers_without_a_value_are_null() -> None:
    content = {"a": (math.nan, math.inf, 1.5), "b": {"c": np.float64("-inf")}, "d": np.float64(2)}
    assert json.loads(to_text(content)) == {"a": [None, None, 1.5], "b": {"c": None}, "d": 2.0}


# Rendering.


def shown(renderables: list[Any], capsys: pytest.CaptureFixture[str]) -> list[str]:
    show(renderables)
    return capsys.readouterr().out.splitlines()


def test_tables_are_set_off_by_blank_lines(capsys: pytest.CaptureFixture[str]) -> None:
    one = table("One", ("name", "value"), [("a", "1")])
    lines = shown(["before", one, "between", "them", one, one, "after"], capsys)
    empty = [place for place, line in enumerate(lines) if not line]
    assert len(empty) == 5
    assert lines[0] == "before"
    assert lines[-1] == "after"
    assert lines[empty[0] + 1] == "One"
    assert all(line == line.rstrip() for line in lines)


@pytest.mark.parametrize("columns", ["10", "40", "80", "200"])
def test_no_terminal_is_too_narrow_for_a_whole_number(
    columns: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    cells = ["70B:1.4T", "1.97432718", "1.911 to 2.0397", "3.26 %", "0.0278x"]
    grid = table("A title of several words", ("N:D", "loss", "90 % interval", "±", "C"), [cells])
    row = next(line for line in shown([grid], capsys) if line.startswith("70B"))
    assert row.split("  ") == "   ".join(cells).split("  ")


def test_sentences_in_tables_break_between_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    why = "left out: its loss rises with params on the way to the point asked for"
    lines = shown([table("Laws", ("law", "why"), [("overtraining", why)], numbers=False)], capsys)
    body = lines[3:]
    assert len(body) > 1
    assert all(len(line) <= 40 for line in body)
    assert " ".join(" ".join(body).split()) == f"overtraining {why}"


def test_lines_stay_whole_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    long = "word " * 60 + "end"
    assert shown([long, verbatim(long)], capsys) == [long, long]


@pytest.mark.parametrize("text", ["[red]runs[/red].csv", "[/b]", ":x: 70B:1.4T:", "a\\[b]"])
def test_texts_are_no_markup(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    grid = table(text, (text,), [(text,)], numbers=False)
    lines = shown([text, grid], capsys)
    assert [line for line in lines if line and "─" not in line] == [text] * 4


def test_names_cannot_steer_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wipe = "\x1b[2Jhidden"
    lines = shown([wipe, table(wipe, ("name",), [(wipe,)])], capsys)
    assert [line for line in lines if "hidden" in line] == ["\\x1b[2Jhidden"] * 3
    assert "\x1b" not in "".join(lines)
    said = refusal("fit", tmp_path / f"{wipe}.csv")
    assert said == f"{tmp_path}/\\x1b[2Jhidden.csv: no such file"


def test_a_file_with_a_strange_name_is_named_as_it_is(tmp_path: Path, table: Path) -> None:
    strange = tmp_path / "[bold]my runs[1] :x: é.csv"
    strange.write_bytes(table.read_bytes())
    assert done("data", "check", strange).stdout.startswith(f"{strange}: 30 runs, 6 sizes\n")
    assert document("data", "check", strange)["source"] == str(strange)
    missing = tmp_path / "line\nbreak [red].csv"
    assert refusal("fit", missing).endswith("line break [red].csv: no such file")


def test_characters_that_stdout_lacks_become_question_marks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(written, encoding="latin-1"))
    show(["±1 %, α 0.35"])
    assert written.getvalue() == b"\xb11 %, ? 0.35\n"


def test_each_warning_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    far = Note("far", "the point is\nfar out", Severity.WARNING)
    row = Note("duplicates", "row 3 repeats", Severity.WARNING, {"rows": [3]})
    warn([far, Note("hint", "no warning"), far, row], source="runs.csv")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "warning: the point is far out\nwarning: runs.csv: row 3 repeats\n"


# Files.


def test_the_file_holds_what_json_prints(table: Path, saved_fit: Path, tmp_path: Path) -> None:
    output = tmp_path / "result.json"
    for words in (
        ("data", "check", table),
        ("laws",),
        ("laws", "chinchilla", "--at", "7B:140B"),
        ("predict", saved_fit, "--at", "7B:140B"),
        ("allocate", saved_fit, "--flops", "1e21"),
        ("backtest", table, "--hold-out", "params > 1e9", *COMPUTE),
        ("forecast", table, "--at", "7B:140B", *COMPUTE),
    ):
        printed = done(*words, "--json", "-o", output)
        assert printed.stderr == ""
        assert output.read_text() == printed.stdout


def test_a_file_is_as_readable_as_any_other(saved_fit: Path, tmp_path: Path) -> None:
    output = tmp_path / "result.json"
    done("predict", saved_fit, "--at", "7B:140B", "-o", output)
    beside = tmp_path / "beside"
    beside.touch()
    assert stat.S_IMODE(output.stat().st_mode) == stat.S_IMODE(beside.stat().st_mode)
    assert sorted(os.listdir(tmp_path)) == ["beside", "result.json"]


def writing_verbs(table: Path, saved_fit: Path) -> list[tuple[str | Path, ...]]:
    return [
        ("data", "check", table),
        ("laws",),
        ("laws", "kaplan"),
        ("fit", table, *COMPUTE),
        ("predict", saved_fit, "--at", "7B:140B"),
        ("allocate", saved_fit, "--flops", "1e21"),
        ("backtest", table, *COMPUTE),
        ("forecast", table, "--at", "7B:140B", *COMPUTE),
        ("report", table),
    ]


def test_files_that_cannot_be_written_are_refused_first(
    table: Path, saved_fit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    read_only = tmp_path / "read-only"
    read_only.mkdir()
    writable = os.access
    monkeypatch.setattr(
        "os.access", lambda path, mode: Path(path) != read_only and writable(path, mode)
    )
    refused = {
        folder: "is a directory: expected the name of a file",
        tmp_path / "nowhere" / "fit.json": "no such folder: found {parent}; "
        "expected a folder that exists",
        table / "fit.json": "no such folder: found {parent}; expected a folder that exists",
        read_only / "fit.json": "the folder is read-only: found {parent}; "
        "expected one that you may write to",
    }
    for words in writing_verbs(table, saved_fit):
        for output, message in refused.items():
            said = refusal(*words, "-o", output)
            assert said == f"--output {output}: {message.format(parent=output.parent)}"
    assert sorted(os.listdir(tmp_path)) == ["folder", "read-only"]
    assert os.listdir(folder) == []


def test_no_verb_replaces_what_it_reads(
    table: Path, saved_fit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, fitted = tmp_path / "runs.csv", tmp_path / "fit.json"
    runs.write_bytes(table.read_bytes())
    fitted.write_bytes(saved_fit.read_bytes())
    monkeypatch.chdir(tmp_path)
    for words in writing_verbs(runs, fitted):
        if words[0] == "laws":
            continue
        name = Path(next(word for word in words if isinstance(word, Path))).name
        said = refusal(*words, "-o", name)
        assert (
            said
            == f"--output {name}: is the file that is read: expected another name for the result"
        )
    assert runs.read_bytes() == table.read_bytes()
    assert fitted.read_bytes() == saved_fit.read_bytes()


def test_an_older_result_survives_a_failure(
    saved_fit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "result.json"
    output.write_text("older")
    words = ("predict", saved_fit, "--at", "7B:140B", "-o", output)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", fail)
    assert refusal(*words) == f"{output}: cannot write the file: found No space left on device"
    assert output.read_text() == "older"
    assert os.listdir(tmp_path) == ["result.json"]
    monkeypatch.undo()
    done(*words)
    assert set(json.loads(output.read_text())) >= {"predictions", "weights"}


def test_nothing_is_written_when_the_input_is_bad(table: Path, tmp_path: Path) -> None:
    output = tmp_path / "result.json"
    refusal("fit", table, "--law", "farseer", "--method", "staged", "-o", output)
    refusal("backtest", table, "--hold-out", "params < 0", "-o", output)
    refusal("forecast", table, "--at", "x", "-o", output)
    assert not output.exists()


def test_what_is_wrong_with_a_table_is_a_result_that_is_written(
    table: Path, tmp_path: Path
) -> None:
    bad, output = tmp_path / "bad.csv", tmp_path / "result.json"
    bad.write_text(table.read_text() + "1e9,1e10,-1\n")
    outcome = isoloss("data", "check", bad, "--json", "-o", output)
    assert outcome.status == 2
    assert output.read_text() == outcome.stdout
    assert read_strictly(outcome.stdout)["usable"] is False


def test_input_errors_have_one_line() -> None:
    assert "\n" not in str(InputError("two\nlines", where="here\nthere"))
