"""Conditions in SQL over the columns of a table, as `--where` and `--hold-out` take them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

import polars as pl

from isoloss.arrays import Mask
from isoloss.errors import InputError
from isoloss.quantities import parse_quantity
from isoloss.runs.naming import one_of

_TOKEN = re.compile(
    r"""(?P<text>'(?:[^']|'')*')
    | (?P<double>"(?:[^"]|"")*")
    | (?P<name>`[^`]*`|[A-Za-z_]\w*)
    | (?P<size>(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?[kKmMbBgGtT](?!\w))
    | (?P<number>(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    | (?P<equal>==)""",
    re.VERBOSE,
)
_POINTLESS_EXPONENT = re.compile(r"^(\d+)([eE])")
_EXAMPLE = 'an SQL condition such as "params < 1e9" or "recipe = \'c4\' and tokens/params > 20"'


def rows_where(
    frame: pl.DataFrame, condition: str, *, own_names: Mapping[str, str] | None = None
) -> Mask:
    """Tell for each row whether a condition holds.

    The condition is an SQL expression as Polars understands it. Besides SQL, `==` compares, sizes
    such as `7B` are numbers, and double quotes hold text where no column has that name. A
    comparison with a missing or NaN cell does not hold.

    Args:
        frame: the table; its numbers are Float64, so that `6*params*tokens` cannot overflow.
        condition: the condition.
        own_names: further names under which columns may be meant: name to column.

    Returns:
        A boolean array with one entry a row.

    Raises:
        InputError: the condition cannot be read, names a column that is not there, compares what
            cannot be compared, or is no condition.
    """
    aliases = {
        name: column for name, column in (own_names or {}).items() if name not in frame.columns
    }
    table = frame.with_columns(pl.col(pl.Float64).fill_nan(None)).with_columns(
        **{name: pl.col(column) for name, column in aliases.items()}
    )
    # Within parentheses SQL knows no alias; outside, `params < 1 B` would be read as one.
    text = f"({_in_sql(condition, table.columns)}\n)"
    try:
        expression = pl.sql_expr(text)
        unknown = [name for name in expression.meta.root_names() if name not in table.columns]
        if unknown:
            raise _error(
                condition,
                f"no column {unknown[0]}",
                expected=one_of(table.columns, unknown[0]),
            )
        # As a column, a condition without columns such as 1 = 1 is repeated for every row.
        held = table.with_columns(expression.alias("held"))["held"]
    except pl.exceptions.SQLInterfaceError as error:
        raise _error(condition, "not SQL", found=_reason(error), expected=_EXAMPLE) from error
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise _error(condition, "cannot be evaluated", found=_reason(error)) from error
    if held.dtype != pl.Boolean:
        raise _error(
            condition, "not a condition", found=f"values of type {held.dtype}", expected=_EXAMPLE
        )
    holds: Mask = held.fill_null(False).to_numpy()
    return holds


def _in_sql(condition: str, columns: Collection[str]) -> str:
    """The condition in plain SQL: sizes as numbers, `=` for `==`, quotes by what they hold."""

    def rewrite(match: re.Match[str]) -> str:
        token = match[0]
        if match["double"] and token[1:-1].replace('""', '"') not in columns:
            text = token[1:-1].replace('""', '"').replace("'", "''")
            return f"'{text}'"
        if match["size"] or match["number"]:
            number = repr(parse_quantity(token)) if match["size"] else token.replace("_", "")
            # Older Polars knows a float only by its point: 1.0e21, not 1e21.
            return _POINTLESS_EXPONENT.sub(r"\1.0\2", number)
        return "=" if match["equal"] else token

    return _TOKEN.sub(rewrite, condition)


def _error(condition: str, what: str, *, found: str = "", expected: str = "") -> InputError:
    return InputError(what, where=f"condition {condition!r}", found=found, expected=expected)


def _reason(error: BaseException) -> str:
    """The first line of Polars' explanation, unless it only repeats the condition."""
    line = str(error).partition("\n")[0]
    return "" if line.startswith("unable to parse") else line
