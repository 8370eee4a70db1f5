"""What people's tables look like: all of these hold the same runs and give the same fit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest
from cli_program import Row, document, done, good_rows, write_table

pytest_plugins = ("cli_fixtures",)

FIT = ("--law", "chinchilla", "--bootstrap", "0")


def pandas_csv(folder: Path, rows: list[Row]) -> Path:
    path = folder / "runs.csv"
    pd.DataFrame(rows, columns=["params", "tokens", "loss"]).to_csv(path)
    return path


def european_csv(folder: Path, rows: list[Row]) -> Path:
    written = [[str(cell).replace(".", ",") for cell in row] for row in rows]
    return write_table(folder / "runs.csv", written, separator=";")


def excel_csv(folder: Path, rows: list[Row]) -> Path:
    path = write_table(folder / "runs.csv", rows)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    return path


def grouped_csv(folder: Path, rows: list[Row]) -> Path:
    written = [[f"{int(float(N)):_}", f"{int(float(D)):_}", loss] for N, D, loss in rows]
    return write_table(folder / "runs.csv", written)


def tab_separated(folder: Path, rows: list[Row]) -> Path:
    return write_table(folder / "runs.tsv", rows, separator="\t")


def json_lines(folder: Path, rows: list[Row]) -> Path:
    path = folder / "runs.jsonl"
    lines = [json.dumps({"params": N, "tokens": D, "loss": loss}) for N, D, loss in rows]
    path.write_text("\n".join(lines))
    return path


def json_list(folder: Path, rows: list[Row]) -> Path:
    path = folder / "runs.json"
    path.write_text(json.dumps([{"params": N, "tokens": D, "loss": loss} for N, D, loss in rows]))
    return path


def parquet(folder: Path, rows: list[Row]) -> Path:
    path = folder / "runs.parquet"
    pl.DataFrame(rows, schema=["params", "tokens", "loss"], orient="row").write_parquet(path)
    return path


def spelled_out_names(folder: Path, rows: list[Row]) -> Path:
    written = [[N, 6.0 * float(N) * float(D), loss] for N, D, loss in rows]
    return write_table(folder / "runs.csv", written, "Model Size,Training FLOP,loss")


def short_names(folder: Path, rows: list[Row]) -> Path:
    return write_table(folder / "runs.csv", rows, "N,D,val_loss")


FORMATS: dict[str, Callable[[Path, list[Row]], Path]] = {
    "pandas CSV with its index": pandas_csv,
    "semicolons and decimal commas": european_csv,
    "byte order mark and CRLF": excel_csv,
    "digits in groups": grouped_csv,
    "tabs": tab_separated,
    "JSON lines": json_lines,
    "a JSON list": json_list,
    "Parquet": parquet,
    "Model Size and Training FLOP": spelled_out_names,
    "N, D and val_loss": short_names,
}


@pytest.fixture(scope="module")
def plain_fit(table: Path) -> Any:
    return document("fit", table, *FIT)


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_gives_the_same_fit(kind: str, plain_fit: Any, tmp_path: Path) -> None:
    fitted = document("fit", FORMATS[kind](tmp_path, good_rows()), *FIT)
    assert fitted["n_runs"] == 30
    assert fitted["parameters"] == pytest.approx(plain_fit["parameters"], rel=1e-6)


def test_recognised_columns_are_told(tmp_path: Path) -> None:
    shown = done("data", "check", spelled_out_names(tmp_path, good_rows())).stdout
    assert "note: column Model Size is taken as params" in shown
    assert "note: column Training FLOP is taken as flops" in shown
    assert "note: no column tokens: computed as flops / (6 params)" in shown


def test_columns_are_mapped_by_hand(plain_fit: Any, tmp_path: Path) -> None:
    rows = [[9.0, *row] for row in good_rows()]
    path = write_table(tmp_path / "runs.csv", rows, "loss,size (non-emb),seen,CE")
    mapping = "params=size (non-emb),tokens=seen,loss=CE"
    fitted = document("fit", path, *FIT, "--columns", mapping)
    assert fitted["parameters"] == plain_fit["parameters"]


@pytest.mark.parametrize(
    ("true", "false"), [("True", "False"), ("true", "false"), ("TRUE", "FALSE")]
)
def test_truth_values_select_runs(true: str, false: str, tmp_path: Path) -> None:
    rows = [[*row, false if float(row[0]) < 1e9 else true] for row in good_rows()]
    path = write_table(tmp_path / "runs.csv", rows, "params,tokens,loss,diverged")
    checked = document("data", "check", path, "--where", "not diverged")
    assert checked["n_runs"] == 20
    assert checked["ranges"]["params"] == {"min": 5e7, "max": 5.9e8}


@pytest.mark.parametrize(
    ("condition", "kept"),
    [
        ("params < 1e9", 20),
        ("params < 1B", 20),
        ("tokens/params >= 20 and params <> 3e9", 15),
        # As 64-bit integers this product would overflow.
        ("6*params*tokens > 1e21", 3),
        ("recipe == 'c4'", 30),
        ('recipe = "c4"', 30),
    ],
)
def test_conditions_are_sql_over_the_columns(condition: str, kept: int, tmp_path: Path) -> None:
    rows = [[int(float(N)), int(float(D)), loss, "c4"] for N, D, loss in good_rows()]
    path = write_table(tmp_path / "runs.csv", rows, "params,tokens,loss,recipe")
    assert document("data", "check", path, "--where", condition)["n_runs"] == kept


def test_conditions_know_the_tables_own_names(tmp_path: Path) -> None:
    path = short_names(tmp_path, good_rows())
    assert document("data", "check", path, "--where", "N < 1e9 and D > 0")["n_runs"] == 20


def test_rows_left_out_by_the_condition_may_be_bad(tmp_path: Path) -> None:
    rows = good_rows()
    rows[4][2] = "diverged"
    path = write_table(tmp_path / "runs.csv", rows)
    fitted = document("fit", path, *FIT, "--where", "loss is not null")
    assert fitted["n_runs"] == 29
