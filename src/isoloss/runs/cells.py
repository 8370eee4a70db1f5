"""Cells as people write them, turned into typed columns: numbers, truth values, text, missing."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import polars as pl

from isoloss.errors import InputError
from isoloss.quantities import parse_quantity

Cells = pl.Series | Sequence[object]
"""One column before conversion: a typed Polars series, or cells of any kind."""

_Value = TypeVar("_Value", float, bool)

# In a column of text `none` in lower case is often a value of its own ("no outlier found"), so
# only these spellings count as missing there; among numbers any case does.
_MISSING = frozenset({"", "NA", "N/A", "#N/A", "null", "NULL", "None"})
_MISSING_AMONG_NUMBERS = frozenset(spelling.lower() for spelling in _MISSING)

# One group alone is ambiguous: 2,345 is a loss in half of Europe and two thousand elsewhere.
_GROUPED_THOUSANDS = re.compile(r"[+-]?\d{1,3}(?:,\d{3}){2,}(?:\.\d*)?")


def parse_number(text: str, *, decimal_comma: bool = False) -> float | None:
    """Read a number such as `1.0e9`, `1_000_000`, ` 12 `, `+1E9`, `1,000,000` or `nan`.

    Args:
        text: the cell.
        decimal_comma: read one comma as the decimal sign, as in `2,5`.

    Returns:
        The number, or None where the text is none. `inf` and `nan` are numbers in any spelling.
    """
    text = text.strip()
    if _GROUPED_THOUSANDS.fullmatch(text):
        text = text.replace(",", "")
    elif decimal_comma and "." not in text:
        text = text.replace(",", ".", 1)
    try:
        return float(text)
    except ValueError:
        return None


def typed_column(name: str, cells: Cells, *, decimal_comma: bool = False) -> pl.Series:
    """Turn one column into Float64, Boolean or String, by what all its cells can be read as.

    A column with no value at all becomes Float64.
    """
    if isinstance(cells, pl.Series):
        if cells.dtype.is_numeric() or cells.dtype == pl.Null:
            return cells.cast(pl.Float64).alias(name)
        if cells.dtype == pl.Boolean:
            return cells.alias(name)
        cells = cells.to_list()
    truths = _read_all(cells, _as_boolean)
    if truths is not None and any(truth is not None for truth in truths):
        return pl.Series(name, truths, dtype=pl.Boolean)
    numbers = _read_all(cells, lambda cell: _as_number(cell, decimal_comma))
    if numbers is not None:
        return pl.Series(name, numbers, dtype=pl.Float64)
    return pl.Series(name, [_as_text(cell) for cell in cells], dtype=pl.String)


def number_column(
    name: str, cells: Cells, *, decimal_comma: bool = False, sizes: bool = False
) -> tuple[pl.Series, dict[int, str]]:
    """Turn a column that has to hold numbers into Float64.

    Args:
        name: the column's name.
        cells: the cells.
        decimal_comma: read one comma as the decimal sign.
        sizes: also accept sizes such as `70B`.

    Returns:
        The column, null where a cell is missing or no number, and the cells that are no number:
        index (from 0) to text.
    """
    if isinstance(cells, pl.Series):
        if cells.dtype.is_numeric():
            return cells.cast(pl.Float64).alias(name), {}
        cells = cells.to_list()
    numbers: list[float | None] = []
    unreadable: dict[int, str] = {}
    for index, cell in enumerate(cells):
        number = None
        if not _is_missing(cell, _MISSING_AMONG_NUMBERS):
            number = _as_number(cell, decimal_comma)
            if number is None and sizes and isinstance(cell, str):
                number = _as_size(cell)
            if number is None:
                unreadable[index] = str(cell).strip()
        numbers.append(number)
    return pl.Series(name, numbers, dtype=pl.Float64), unreadable


def _read_all(
    cells: Sequence[object], read: Callable[[object], _Value | None]
) -> list[_Value | None] | None:
    """All cells as `read` understands them, missing ones as None; None if one is no such value."""
    values: list[_Value | None] = []
    for cell in cells:
        if _is_missing(cell, _MISSING_AMONG_NUMBERS):
            values.append(None)
            continue
        value = read(cell)
        if value is None:
            return None
        values.append(value)
    return values


def _is_missing(cell: object, spellings: frozenset[str]) -> bool:
    if cell is None:
        return True
    if not isinstance(cell, str):
        return False
    text = cell.strip()
    return (text.lower() if spellings is _MISSING_AMONG_NUMBERS else text) in spellings


def _as_boolean(cell: object) -> bool | None:
    if isinstance(cell, bool | np.bool_):
        return bool(cell)
    if isinstance(cell, str):
        return {"true": True, "false": False}.get(cell.strip().lower())
    return None


def _as_number(cell: object, decimal_comma: bool) -> float | None:
    if isinstance(cell, str):
        return parse_number(cell, decimal_comma=decimal_comma)
    if isinstance(cell, bool | np.bool_) or not isinstance(cell, int | float | np.number):
        return None
    try:
        return float(cell)
    except OverflowError:  # an integer beyond 1.8e308
        return math.inf if cell > 0 else -math.inf


def _as_size(text: str) -> float | None:
    try:
        return parse_quantity(text)
    except InputError:
        return None


def _as_text(cell: object) -> str | None:
    if _is_missing(cell, _MISSING):
        return None
    if isinstance(cell, str):
        return cell.strip()
    if isinstance(cell, dict | list | bool):
        return json.dumps(cell, default=str)
    return str(cell)
