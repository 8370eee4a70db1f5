"""Reading: every format gives the same runs, and every unreadable source says why."""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoloss.errors import InputError
from isoloss.runs import read_runs

ROWS = [(1e8, 2e9, 3.5), (1e9, 2e10, 2.9), (7e9, 1.4e11, 2.3)]
HEADER = "params,tokens,loss\n"
TEXT = HEADER + "".join(f"{n!r},{d!r},{loss!r}\n" for n, d, loss in ROWS)
RECORDS = [dict(zip(("params", "tokens", "loss"), row, strict=True)) for row in ROWS]


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_delimited_text(tmp_path: Path, separator: str, encoding: str, end: str) -> None:
    text = TEXT.replace(",", separator).replace("\n", end)
    runs = read_runs(written(tmp_path, "runs.csv", text.encode(encoding)))
    assert runs.frame.columns == ["params", "tokens", "loss"]
    assert runs.frame.rows() == ROWS
    assert runs.source == str(tmp_path / "runs.csv")
    assert not runs.notes


@pytest.mark.parametrize(
    "name", ["runs.csv", "runs.tsv", "runs.txt", "runs.dat", "runs", "runs.table", "RUNS.CSV"]
)
def test_text_of_any_name_is_sniffed(tmp_path: Path, name: str) -> None:
    assert read_runs(written(tmp_path, name, TEXT)).frame.rows() == ROWS


@pytest.mark.parametrize("name", ["runs.jsonl", "runs.ndjson", "runs.json", "runs"])
def test_json_lines_and_lists_of_records(tmp_path: Path, name: str) -> None:
    lines = "\n".join(json.dumps(record) for record in RECORDS)
    assert read_runs(written(tmp_path, name, lines)).frame.rows() == ROWS
    records = json.dumps(RECORDS, indent=2)
    assert read_runs(written(tmp_path, name, records)).frame.rows() == ROWS


@pytest.mark.parametrize("name", ["runs.parquet", "runs.pq", "runs"])
def test_parquet(tmp_path: Path, name: str) -> None:
    pl.DataFrame(RECORDS).write_parquet(tmp_path / name)
    assert read_runs(tmp_path / name).frame.rows() == ROWS


def test_frames() -> None:
    for frame in (pl.DataFrame(RECORDS), pd.DataFrame(RECORDS)):
        runs = read_runs(frame)
        assert runs.frame.rows() == ROWS
        assert runs.source == "frame"


def test_a_path_may_be_text(tmp_path: Path) -> None:
    assert len(read_runs(str(written(tmp_path, "runs.csv", TEXT)))) == 3


def test_the_number_columns_of_a_frame_become_float64() -> None:
    frame = pl.DataFrame(
        {
            "seed": [1, None],
            "params": [10**8, 10**9],
            "loss": pl.Series([3.5, 2.5], dtype=pl.Float32),
            "tokens": pl.Series([2 * 10**9, 2 * 10**10], dtype=pl.UInt64),
            "best": [True, None],
            "recipe": ["c4", "c4"],
        }
    )
    runs = read_runs(frame)
    assert dict(runs.frame.schema) == {
        "params": pl.Float64,
        "tokens": pl.Float64,
        "loss": pl.Float64,
        "seed": pl.Float64,
        "best": pl.Boolean,
        "recipe": pl.String,
    }


def test_pandas_marks_missing_cells_in_many_ways() -> None:
    frame = pd.DataFrame(
        {
            "params": pd.array([10**8, 10**9, 10**10], dtype="Int64"),
            "tokens": [2e9, 2e10, 2e11],
            "loss": ["3.5", "2.9", "2.3"],
            "seed": pd.array([1, None, 3], dtype="Int64"),
            "score": [0.5, np.nan, 0.7],
            "recipe": pd.Categorical(["c4", None, "c4"]),
            "label": pd.array(["x", pd.NA, "z"], dtype="string"),
            "best": pd.array([True, None, False], dtype="boolean"),
            "started": pd.to_datetime(["2025-06-01", None, "2025-06-02"]),
        }
    )
    runs = read_runs(frame)
    assert runs.loss.tolist() == [3.5, 2.9, 2.3]
    assert runs.frame.row(1)[3:] == (None,) * 6
    assert runs.frame.row(2)[3:8] == (3.0, 0.7, "c4", "z", False)


def test_neither_pandas_nor_pyarrow_is_imported(tmp_path: Path) -> None:
    pl.DataFrame(RECORDS).write_parquet(tmp_path / "runs.parquet")
    code = (
        "import sys, isoloss.runs as runs; runs.read_runs('runs.parquet').to_json(); "
        "print([name for name in ('pandas', 'pyarrow', 'scipy', 'sympy') if name in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_numbers_as_people_write_them(tmp_path: Path) -> None:
    text = "params;tokens;loss\n1_000_000_000;2,5e10; 2,5 \n+1E9;30000000000;2.25\n70M;1.4B;3\n"
    runs = read_runs(written(tmp_path, "runs.csv", text))
    assert runs.frame.rows() == [(1e9, 2.5e10, 2.5), (1e9, 3e10, 2.25), (7e7, 1.4e9, 3.0)]


def test_blank_lines_and_trailing_separators_are_no_cells(tmp_path: Path) -> None:
    text = "\nparams,tokens,loss,,\n\n1e8,2e9,3.5,,\n,,,,\n1e9,2e10,2.9,,,,\n\n"
    runs = read_runs(written(tmp_path, "runs.csv", text))
    assert runs.frame.columns == ["params", "tokens", "loss"]
    assert runs.frame.rows() == ROWS[:2]


def test_the_unnamed_index_of_pandas_gets_a_name(tmp_path: Path) -> None:
    text = str(pd.DataFrame(RECORDS).to_csv())
    assert text.startswith(",params")
    runs = read_runs(written(tmp_path, "runs.csv", text))
    assert runs.frame.columns == ["params", "tokens", "loss", "index"]


def test_columns_are_mapped_recognised_and_computed(tmp_path: Path) -> None:
    text = "Model Size,Training FLOP,val_loss,train_loss\n1e9,6e19,2.5,2.6\n2e9,2.4e20,2.4,2.5\n"
    runs = read_runs(written(tmp_path, "runs.csv", text), columns={"loss": "val_loss"})
    assert runs.tokens.tolist() == [1e10, 2e10]
    assert runs.loss.tolist() == [2.5, 2.4]
    assert [note.message for note in runs.notes] == [
        "column Model Size is taken as params",
        "column Training FLOP is taken as flops",
        "no column tokens: computed as flops / (6 params)",
    ]
    assert runs.frame.columns == ["params", "tokens", "loss", "flops", "train_loss"]


def test_a_condition_filters_before_anything_is_judged(tmp_path: Path) -> None:
    path = written(tmp_path, "runs.csv", TEXT + ",,1\n1e9,2e9,diverged\n1e9,4e9,-1\n")
    runs = read_runs(path, where="params is not null and loss > 0")
    assert runs.frame.rows() == ROWS
    (note,) = runs.notes
    assert note.message == "3 of 6 rows meet 'params is not null and loss > 0'"


def test_a_condition_understands_the_tables_own_names(tmp_path: Path) -> None:
    path = written(tmp_path, "runs.csv", TEXT.replace("loss", "val_loss").replace("params", "N"))
    runs = read_runs(path, where="val_loss < 3 and N < 2e9 and params > 1")
    assert runs.frame.rows() == ROWS[1:2]
    assert runs.where("val_loss > 0").loss.tolist() == [2.9]


def test_integers_of_a_file_cannot_overflow_in_a_condition(tmp_path: Path) -> None:
    text = HEADER + "10000000000,10000000000000,1.9\n100000000,2000000000,3.5\n"
    runs = read_runs(written(tmp_path, "runs.csv", text), where="6*params*tokens > 1e21")
    assert runs.params.tolist() == [1e10]


TEXTS = st.text("ab ,;|\t\"'\n.é", max_size=6).map(lambda text: f"r{text}".strip())
FRAMES = st.lists(
    st.fixed_dictionaries(
        {
            "params": st.floats(1e4, 1e13),
            "tokens": st.floats(1e5, 1e15),
            "loss": st.floats(0.01, 12),
            "recipe": TEXTS,
            "score": st.none() | st.floats(allow_nan=False),
            "best": st.sampled_from([True, False]),
        }
    ),
    min_size=1,
    max_size=8,
)
NUMBERS = st.sampled_from(
    [repr, "{:.17E}".format, "  {!r} ".format, "{:+}".format, "{:_.20f}".format]
)


@given(
    FRAMES,
    st.sampled_from(",;\t|"),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    st.sampled_from(["\n", "\r\n"]),
    NUMBERS,
    st.booleans(),
)
def test_a_frame_survives_delimited_text(
    tmp_path_factory: pytest.TempPathFactory,
    records: list[dict[str, Any]],
    separator: str,
    encoding: str,
    end: str,
    number: Any,
    decimal_comma: bool,
) -> None:
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, delimiter=separator, lineterminator=end)
    names = list(records[0])
    writer.writerow(names)

    def cell(value: object) -> str:
        if not isinstance(value, float):
            return "" if value is None else str(value)
        # Shortest notations keep every digit; a fixed number of decimals does not below 1e-3.
        text = str(number(value)) if 1e-3 < abs(value) < 1e15 else repr(value)
        return text.replace(".", ",") if decimal_comma and separator == ";" else text

    writer.writerows([[cell(record[name]) for name in names] for record in records])
    path = tmp_path_factory.mktemp("csv") / "runs.csv"
    path.write_bytes(stream.getvalue().encode(encoding))
    assert read_runs(path, check=False).frame.to_dicts() == records


@given(FRAMES)
def test_a_frame_survives_json_lines_and_parquet(
    tmp_path_factory: pytest.TempPathFactory, records: list[dict[str, Any]]
) -> None:
    folder = tmp_path_factory.mktemp("files")
    frame = read_runs(pl.DataFrame(records), check=False).frame
    assert frame.to_dicts() == records
    frame.write_ndjson(folder / "runs.jsonl")
    frame.write_parquet(folder / "runs.parquet")
    (folder / "runs.json").write_text(json.dumps(records))
    for name in ("runs.parquet", "runs.json"):
        assert read_runs(folder / name, check=False).frame.equals(frame)
    finite = [
        {**r, "score": 0.0 if r["score"] in (np.inf, -np.inf) else r["score"]} for r in records
    ]
    written(folder, "finite.jsonl", "\n".join(json.dumps(record) for record in finite))
    assert read_runs(folder / "finite.jsonl", check=False).frame.to_dicts() == finite


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.csv", "", "is empty: expected a table as CSV, JSON lines or Parquet"),
        ("blank.csv", " \n\n", "is empty: expected a table as CSV, JSON lines or Parquet"),
        ("bom.csv", codecs.BOM_UTF8, "is empty: expected a header line and one row for a run"),
        ("empty.parquet", "", "is empty: expected a table as CSV, JSON lines or Parquet"),
        ("header.csv", HEADER, "no rows: expected one row for each training run"),
        ("empty.json", "[]", "no rows: expected one row for each training run"),
        (
            "twice.csv",
            "params,loss, loss,tokens\n1,2,3,4\n",
            "two columns of one name: found loss; expected every column under a name of its own",
        ),
        (
            "noheader.csv",
            "1e8,2e9,3.5\n1e9,2e10,2.9\n",
            "no header line: found 1e8,2e9,3.5; expected column names such as params, tokens, loss",
        ),
        (
            "short.csv",
            TEXT + "1e9,2e",
            "row 4 (line 5): wrong number of cells: found 2; expected 3, as in the header line",
        ),
        (
            "long.csv",
            HEADER + "\n1e9,2e9,3,1\n",
            "row 1 (line 3): wrong number of cells: found 4; expected 3, as in the header line",
        ),
        (
            "quote.csv",
            HEADER + '1e9,2e9,"3\n',
            "line 2: cannot be read: found unexpected end of data",
        ),
        (
            "latin.csv",
            b"params,tokens,loss,recipe\n1e9,2e9,3,caf\xe9\n",
            "line 2: not UTF-8 text: found byte 0xe9; expected the table saved as UTF-8",
        ),
        (
            "binary.csv",
            b"\x00\x01\x02",
            "not text: found binary data; expected CSV, JSON lines or Parquet",
        ),
        (
            "runs.xlsx",
            b"PK\x03\x04...",
            "not a table of runs: found an Excel workbook or zip archive; "
            "expected CSV, JSON lines or Parquet: export it",
        ),
        (
            "runs.csv.gz",
            b"\x1f\x8b...",
            "not a table of runs: found gzip-compressed data; "
            "expected CSV, JSON lines or Parquet: export it",
        ),
        (
            "text.parquet",
            TEXT,
            "not what its name says: found no Parquet content; "
            "expected Parquet in a file named *.parquet; rename it if it is another kind",
        ),
        (
            "parquet.csv",
            b"PAR1...",
            "not what its name says: found Parquet; "
            "expected delimited text in a file named *.csv; rename it if it is another kind",
        ),
        (
            "json.csv",
            json.dumps(RECORDS),
            "not what its name says: found JSON; "
            "expected delimited text in a file named *.csv; rename it if it is another kind",
        ),
        ("broken.parquet", b"PAR1 and no more PAR1", "not readable as Parquet: found "),
        (
            "text.jsonl",
            TEXT,
            "line 1: not JSON: found Expecting value; "
            "expected one record a line, or one list of records",
        ),
        (
            "broken.jsonl",
            '{"params": 1}\n\n{"params": 1,\n',
            "line 3: not JSON: found Expecting property name enclosed in double quotes; expected",
        ),
        (
            "broken.json",
            '[{"params": 1},\n {"params": }]',
            "line 2: not JSON: found Expecting value",
        ),
        (
            "numbers.jsonl",
            '{"params": 1}\n7\n',
            'line 2: not a record: found 7; expected an object such as {"params": 7e9, '
            '"tokens": 1.4e12, "loss": 2.0}',
        ),
        ("numbers.json", '[{"params": 1}, [7]]', "record 2: not a record: found [7]; expected"),
        ("deep.json", "[" * 100_000, "line 1: nested too deeply"),
    ],
)
def test_an_unreadable_file_says_why_in_one_line(
    tmp_path: Path, name: str, content: str | bytes, message: str
) -> None:
    path = written(tmp_path, name, content)
    with pytest.raises(InputError, match=f"^{re.escape(f'{path}: {message}')}") as error:
        read_runs(path)
    assert "\n" not in str(error.value)


def test_a_path_that_holds_no_file(tmp_path: Path) -> None:
    missing = tmp_path / "nothing.csv"
    with pytest.raises(InputError, match=f"^{re.escape(str(missing))}: no such file$"):
        read_runs(missing)
    folder = f"^{re.escape(str(tmp_path))}: is a directory: expected a file of CSV, JSON lines or"
    with pytest.raises(InputError, match=folder):
        read_runs(tmp_path)
    with pytest.raises(InputError, match="cannot be read: found embedded null"):
        read_runs("runs\0.csv")


def test_what_is_no_source_at_all() -> None:
    source: Any = 3
    message = "not a table of runs: found int; expected a path, a Polars or a pandas frame"
    with pytest.raises(InputError, match=f"^{message}$"):
        read_runs(source)


def test_pandas_frames_with_two_columns_of_one_name() -> None:
    frame = pd.DataFrame([[1.0, 2.0]], columns=["loss", "loss"])
    with pytest.raises(InputError, match="frame: two columns of one name: found loss; expected"):
        read_runs(frame)


def test_a_condition_that_leaves_nothing(tmp_path: Path) -> None:
    path = written(tmp_path, "runs.csv", TEXT)
    message = (
        f"{path}: condition 'loss > 9': no row is left: found none of 3 rows for which it holds"
    )
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        read_runs(path, where="loss > 9")


def test_without_checks_a_table_is_returned_as_it_stands(tmp_path: Path) -> None:
    path = written(tmp_path, "runs.csv", TEXT + "1e8,2e9,3.5\n1e9,2e9,oops\n")
    runs = read_runs(path, check=False)
    assert len(runs) == 5
    assert np.isnan(runs.loss[4])
    assert [note.code for note in runs.notes] == ["not-a-number", "duplicates"]
    assert {note.severity for note in runs.notes} == {"warning"}
