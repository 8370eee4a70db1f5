"""Sources of run tables: delimited text, JSON, Parquet, Polars and pandas frames, all as cells."""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import polars as pl

from isoloss.errors import InputError
from isoloss.runs.cells import Cells, parse_number

_KINDS = {
    **dict.fromkeys((".csv", ".tsv", ".tab", ".psv", ".txt", ".dat"), "delimited text"),
    **dict.fromkeys((".json", ".jsonl", ".ndjson"), "JSON"),
    **dict.fromkeys((".parquet", ".pq"), "Parquet"),
}
_SIGNATURES = {
    b"PAR1": "Parquet",
    b"PK\x03\x04": "an Excel workbook or zip archive",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"\x1f\x8b": "gzip-compressed data",
    b"SQLite format 3": "an SQLite database",
    b"ARROW1": "an Arrow file",
}
_JSON_START = re.compile(rb"(\xef\xbb\xbf)?\s*\[?\s*\{")
_READABLE = "CSV, JSON lines or Parquet"
_SEPARATORS = ",;\t|"


class PandasFrame(Protocol):
    """What is used of a pandas frame, so that pandas itself need not be imported."""

    @property
    def columns(self) -> Any:
        """The column labels."""

    def __getitem__(self, key: Any) -> Any:
        """One column."""

    def to_numpy(self) -> Any:
        """The whole frame as an array."""


@dataclass(frozen=True)
class RawTable:
    """A table as its source holds it, before any cell is converted.

    Attributes:
        cells: column name to cells, in the source's order; all columns have the same length.
        source: the path as given, or "frame".
        lines: the line of the file each row starts in, from 1; None where rows are no lines.
        decimal_comma: whether numbers are written as `2,5`.
    """

    cells: Mapping[str, Cells]
    source: str
    lines: Sequence[int] | None = None
    decimal_comma: bool = False


def read_table(source: str | Path | pl.DataFrame | PandasFrame) -> RawTable:
    """Read a table by the extension of its file, or by its content where that says nothing.

    Raises:
        InputError: nothing there, not readable, of another kind than the name says, without
            names or rows, or with two columns of one name.
    """
    if isinstance(source, pl.DataFrame):
        names = _column_names(source.columns, "frame")
        cells: dict[str, Cells] = dict(zip(names, source.get_columns(), strict=True))
        return _with_rows(RawTable(cells, "frame"))
    if isinstance(source, str | Path):
        return _with_rows(_read_file(Path(source), str(source)))
    if hasattr(source, "columns") and hasattr(source, "to_numpy"):
        labels = list(source.columns)
        names = _column_names([str(label) for label in labels], "frame")
        columns = [_pandas_cells(source[label]) for label in labels]
        return _with_rows(RawTable(dict(zip(names, columns, strict=True)), "frame"))
    raise InputError(
        "not a table of runs",
        found=type(source).__name__,
        expected="a path, a Polars or a pandas frame",
    )


def _pandas_cells(column: Any) -> list[object]:
    # pandas has no other mark for a missing number than NaN, hence missing and not NaN.
    values = zip(column.to_numpy(dtype=object), column.isna().to_numpy(), strict=True)
    return [None if missing else value for value, missing in values]


def _with_rows(table: RawTable) -> RawTable:
    if not any(len(cells) for cells in table.cells.values()):
        raise InputError("no rows", where=table.source, expected="one row for each training run")
    return table


def _read_file(path: Path, source: str) -> RawTable:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputError("no such file", where=source) from None
    except IsADirectoryError:
        raise InputError(
            "is a directory", where=source, expected=f"a file of {_READABLE}"
        ) from None
    except (OSError, ValueError) as error:
        raise InputError("cannot be read", where=source, found=str(error)) from error
    if not data.strip():
        raise InputError("is empty", where=source, expected=f"a table as {_READABLE}")
    kind = _kind(path, data, source)
    if kind == "Parquet":
        return _read_parquet(data, source)
    text = _decode(data, source)
    return _read_json(text, source) if kind == "JSON" else _read_delimited(text, source)


def _kind(path: Path, data: bytes, source: str) -> str:
    """Parquet, JSON or delimited text; the name and the content must agree."""
    named = _KINDS.get(path.suffix.lower())
    content = next((kind for mark, kind in _SIGNATURES.items() if data.startswith(mark)), None)
    if content is None and _JSON_START.match(data):
        content = "JSON"
    if content is not None and content not in _KINDS.values():
        raise InputError(
            "not a table of runs", where=source, found=content, expected=f"{_READABLE}: export it"
        )
    disagree = "Parquet" in (named, content) or (named, content) == ("delimited text", "JSON")
    if named and named != content and disagree:
        raise InputError(
            "not what its name says",
            where=source,
            found=content or "no Parquet content",
            expected=f"{named} in a file named *{path.suffix}; rename it if it is another kind",
        )
    return named or content or "delimited text"


def _decode(data: bytes, source: str) -> str:
    utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if b"\0" in data and not utf16:
        raise InputError("not text", where=source, found="binary data", expected=_READABLE)
    try:
        return data.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(
            "not UTF-8 text",
            where=f"{source}: line {line}",
            found=f"byte 0x{data[error.start]:02x}",
            expected="the table saved as UTF-8",
        ) from error


def _read_delimited(text: str, source: str) -> RawTable:
    separator = max(_SEPARATORS, key=lambda candidate: len(_first_record(text, candidate)))
    header: list[str] = []
    rows: list[list[str]] = []
    lines: list[int] = []
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True
    )
    last_line = 0
    try:
        for record in reader:
            line, last_line = last_line + 1, reader.line_num
            if not any(cell.strip() for cell in record):
                continue
            if not header:
                header = record
                continue
            # Spreadsheets end rows with separators; only cells with something in them are wrong.
            while len(record) > len(header) and not record[-1].strip():
                record.pop()
            if len(record) != len(header):
                raise InputError(
                    "wrong number of cells",
                    where=f"{source}: row {len(rows) + 1} (line {line})",
                    found=f"{len(record)}",
                    expected=f"{len(header)}, as in the header line",
                )
            rows.append(record)
            lines.append(line)
    except csv.Error as error:
        raise InputError(
            "cannot be read", where=f"{source}: line {reader.line_num}", found=str(error)
        ) from error
    if not header:
        raise InputError("is empty", where=source, expected="a header line and one row for a run")
    if all(parse_number(cell) is not None for cell in header):
        raise InputError(
            "no header line",
            where=source,
            found=separator.join(header[:3]),
            expected="column names such as params, tokens, loss",
        )
    columns = list(zip(*rows, strict=True)) or [()] * len(header)
    named = [
        (name, cells)
        for name, cells in zip(header, columns, strict=True)
        if name.strip() or any(cell.strip() for cell in cells)
    ]
    names = _column_names([name for name, _ in named], source)
    return RawTable(
        {name: cells for name, (_, cells) in zip(names, named, strict=True)},
        source,
        lines=lines,
        decimal_comma=separator == ";",
    )


def _first_record(text: str, separator: str) -> list[str]:
    records = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
    try:
        return next((record for record in records if any(record)), [])
    except csv.Error:
        return []


def _read_json(text: str, source: str) -> RawTable:
    lines: list[int] | None = None
    if text.lstrip().startswith("["):
        records = _parse_json(text, source, 1)
    else:
        written = [(n, line) for n, line in enumerate(text.split("\n"), 1) if line.strip()]
        records = [_parse_json(line, source, number) for number, line in written]
        lines = [number for number, _ in written]
    for index, record in enumerate(records):
        if not isinstance(record, dict):
            place = f"line {lines[index]}" if lines else f"record {index + 1}"
            raise InputError(
                "not a record",
                where=f"{source}: {place}",
                found=json.dumps(record)[:60],
                expected='an object such as {"params": 7e9, "tokens": 1.4e12, "loss": 2.0}',
            )
    keys = dict.fromkeys(key for record in records for key in record)
    names = _column_names(list(keys), source)
    cells: dict[str, Cells] = {
        name: [record.get(key) for record in records] for name, key in zip(names, keys, strict=True)
    }
    return RawTable(cells, source, lines=lines)


def _parse_json(text: str, source: str, line: int) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(
            "not JSON",
            where=f"{source}: line {line + error.lineno - 1}",
            found=error.msg,
            expected="one record a line, or one list of records",
        ) from error
    except RecursionError:
        raise InputError("nested too deeply", where=f"{source}: line {line}") from None


def _read_parquet(data: bytes, source: str) -> RawTable:
    try:
        frame = pl.read_parquet(io.BytesIO(data))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise InputError(
            "not readable as Parquet", where=source, found=str(error).partition("\n")[0]
        ) from error
    names = _column_names(frame.columns, source)
    return RawTable(dict(zip(names, frame.get_columns(), strict=True)), source)


def _column_names(names: Sequence[str], source: str) -> list[str]:
    """The names without blanks around them; one without a name is `index` or `column_3`."""
    # pandas writes the index of a frame as a first column without a name.
    stripped = [
        name.strip() or ("index" if place == 0 else f"column_{place + 1}")
        for place, name in enumerate(names)
    ]
    repeated = [name for name, count in Counter(stripped).items() if count > 1]
    if repeated:
        raise InputError(
            "two columns of one name",
            where=source,
            found=", ".join(repeated),
            expected="every column under a name of its own",
        )
    return stripped
