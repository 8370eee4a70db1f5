"""What can be wrong with a table of runs: every problem at once, as data."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import polars as pl

from isoloss.arrays import Array, Indices, Mask
from isoloss.errors import InputError
from isoloss.notes import Note, Severity
from isoloss.runs.naming import CANONICAL, USUAL, closest, normalised

# The entropy of a uniform guess over 2^18 tokens, more than any tokenizer in use has: a table
# whose median loss in nats/token is above it holds runs that learnt nothing, or perplexities.
LOSS_OF_A_GUESS = 12.5
# Loss falls with compute, scores rise. Rank correlation leaves room for noise and for sweeps at
# one size; below four runs, or with all compute within a factor of four, chance decides it.
RISING_CORRELATION = 0.5
RISING_RUNS = 4
RISING_SPAN = 4.0
# Not even a table of toys stops below these counts, while billions and millions always do.
SMALLEST_LARGEST = {"params": 1e4, "tokens": 1e5}
# Of thousands, millions, billions, the unit that brings the median nearest to these is meant.
TYPICAL = {"params": 3e8, "tokens": 3e10}
UNITS = {1: "thousands", 2: "millions", 3: "billions", 4: "trillions"}
# Published tables reach from 0.04 to 60,000 tokens per parameter; their medians stay well inside.
TOKENS_PER_PARAM = (0.1, 1e5)
# Columns that differ between two copies of one run, in lower case and without punctuation.
_IDENTIFIERS = """id run runid runname name index row rowid uuid hash exp expid expname experiment
    experimentid experimentname job jobid wandbid url wandburl link path file filename created
    createdat date timestamp unnamed0 duplicate isduplicate duplicaterow"""
IDENTIFIERS = frozenset(_IDENTIFIERS.split())

_LISTED_IN_FULL = 5
_LISTED_OF_MANY = 3
_LISTED_RECIPES = 8


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a table.

    Attributes:
        code: short stable name of the kind of problem, for programs.
        severity: an error makes the table unusable, a warning does not.
        column: the column concerned.
        rows: the data rows concerned, counted from 1 after the header; empty if it is the whole.
        message: one line for people: where, what was found, what would be right.
        lines: the lines of the file for `rows`, where the table came from lines.
    """

    code: str
    severity: Literal["error", "warning"]
    column: str
    rows: tuple[int, ...]
    message: str
    lines: tuple[int, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The problem as one JSON object."""
        return {
            "code": self.code,
            "severity": self.severity,
            "column": self.column,
            "rows": list(self.rows),
            "lines": list(self.lines),
            "message": self.message,
        }

    def to_note(self) -> Note:
        """The problem as a note to results that were computed all the same."""
        details = {"column": self.column, "rows": list(self.rows), "lines": list(self.lines)}
        return Note(self.code, self.message, Severity.WARNING, details)


class RunsError(InputError):
    """A table of runs cannot be used as it is.

    Attributes:
        problems: everything that is wrong with it.
    """

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(problem.message for problem in problems), where=source)
        self.problems = tuple(problems)


@dataclass(frozen=True)
class Candidate:
    """A table that is named and converted, before anyone has judged it.

    Attributes:
        frame: the table; canonical columns that are there are Float64.
        rows: the data row of each row of the frame, from 1, as the source counts.
        lines: the line of the file of each row, or None.
        unreadable: for each column that has to hold numbers, the data rows whose cell is none,
            with that cell; in the frame it is null.
        ambiguous: canonical names that several columns could bear.
        required: the columns that have to hold numbers, and whether those must be positive.
    """

    frame: pl.DataFrame
    rows: Indices
    lines: Indices | None = None
    unreadable: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    ambiguous: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    required: Mapping[str, bool] = field(default_factory=lambda: USUAL)

    def filter(self, mask: Mask) -> Candidate:
        """The rows for which `mask` is true; they keep their numbers."""
        return Candidate(
            self.frame.filter(pl.Series(mask)),
            self.rows[mask],
            None if self.lines is None else self.lines[mask],
            self.unreadable,
            self.ambiguous,
            self.required,
        )

    def problem(
        self,
        code: str,
        column: str,
        text: str,
        mask: Mask | None = None,
        *,
        severity: Literal["error", "warning"] = "error",
    ) -> Problem:
        """A problem of this table; `{rows}` in the text becomes the rows of the mask."""
        if mask is None:
            return Problem(code, severity, column, (), text)
        rows = tuple(int(row) for row in self.rows[mask])
        lines = () if self.lines is None else tuple(int(line) for line in self.lines[mask])
        text = text.replace("{rows}", _row_list(rows, lines, all_rows=bool(mask.all())), 1)
        return Problem(code, severity, column, rows, text, lines)


def find_problems(table: Candidate) -> tuple[Problem, ...]:
    """Everything that is wrong with a table: errors first, then warnings."""
    problems = [
        *_absent_columns(table),
        *_wrong_cells(table),
        *_mixed_recipes(table),
        *_wrong_quantities(table),
        *_duplicates(table),
    ]
    return tuple(sorted(problems, key=lambda problem: problem.severity != "error"))


def repeated_rows(frame: pl.DataFrame) -> Mask:
    """Mark the rows that equal an earlier one in every column but identifiers.

    Runs of the same size and tokens with another loss, or another value in any column such as the
    seed, are replicates and not marked.
    """
    compared = [name for name in frame.columns if normalised(name) not in IDENTIFIERS]
    numbered = frame.select(compared).with_row_index("first row of its kind")
    first = numbered.unique(subset=compared, keep="first", maintain_order=True)
    repeated = np.ones(frame.height, dtype=bool)
    repeated[first["first row of its kind"].to_numpy()] = False
    return repeated


def _absent_columns(table: Candidate) -> Iterator[Problem]:
    names = table.frame.columns
    for name, candidates in table.ambiguous.items():
        yield table.problem(
            "ambiguous-column",
            name,
            f"{name} may be any of several columns: found {', '.join(candidates)}; "
            f"expected one of them named by --columns {name}={candidates[0]}",
        )
    absent = [name for name in table.required if name not in (*names, *table.ambiguous)]
    if absent:
        # A column that is there under its own name is no candidate for another.
        free = [name for name in names if name not in table.required]
        mapping = ",".join(f"{name}={closest(name, free) or 'NAME'}" for name in absent)
        yield table.problem(
            "missing-column",
            absent[0],
            f"no column {' or '.join(absent)}: found {', '.join(names)}; "
            f"expected a column of that name, or one named by --columns {mapping}",
        )


def _wrong_cells(table: Candidate) -> Iterator[Problem]:
    for column, positive in table.required.items():
        if column not in table.frame.columns:
            continue
        cells = table.unreadable.get(column, {})
        unreadable = np.isin(table.rows, list(cells))
        null = table.frame[column].is_null().to_numpy()
        values = table.frame[column].fill_null(math.nan).to_numpy()
        nan = np.isnan(values) & ~null
        infinite = np.isinf(values)
        not_positive = positive & np.isfinite(values) & (values <= 0)

        there = f"{column} is not null"
        checks = (
            ("not-a-number", unreadable, "is not a number", "a number", there),
            ("missing", null & ~unreadable, "is missing", "a number", there),
            ("nan", nan, "is NaN", "a number", there),
            ("infinite", infinite, "is infinite", "a finite number", f"abs({column}) < 1e30"),
            ("not-positive", not_positive, "is not positive", "more than 0", f"{column} > 0"),
        )
        for code, mask, what, expected, condition in checks:
            if not mask.any():
                continue
            found = ""
            if code == "not-a-number":
                found = _found([repr(cells[int(row)]) for row in table.rows[mask]])
            elif code in ("infinite", "not-positive"):
                found = _found([f"{value:g}" for value in values[mask]])
            yield table.problem(
                code,
                column,
                f"{column} {what} in {{rows}}: {found}expected {expected}, "
                f'or --where "{condition}" to leave them out',
                mask,
            )


def _mixed_recipes(table: Candidate) -> Iterator[Problem]:
    if "recipe" not in table.frame.columns:
        return
    recipes = table.frame["recipe"].drop_nulls().unique(maintain_order=True).to_list()
    if len(recipes) > 1:
        shown = [str(recipe) for recipe in recipes[:_LISTED_RECIPES]]
        more = len(recipes) - len(shown)
        quoted = str(recipes[0]).replace("'", "''")
        first = f"'{quoted}'" if isinstance(recipes[0], str) else quoted.lower()
        yield table.problem(
            "mixed-recipes",
            "recipe",
            f"{len(recipes)} recipes are mixed, but a law holds for one: found "
            f"{', '.join(shown)}{f' and {more} more' if more else ''}; "
            f'expected one of them, as with --where "recipe = {first}"',
        )


def _wrong_quantities(table: Candidate) -> Iterator[Problem]:
    """Numbers that are valid one by one, but are not counts and losses as a whole."""
    if not set(CANONICAL) <= set(table.frame.columns):
        return
    columns = (table.frame[name].fill_null(math.nan).to_numpy() for name in CANONICAL)
    values = np.stack(list(columns))
    params, tokens, loss = values[:, (np.isfinite(values) & (values > 0)).all(axis=0)]
    if not params.size:
        return
    params_unit, tokens_unit = _unit("params", params), _unit("tokens", tokens)
    ratio = float(np.median(tokens / params))
    # Millions of tokens are plausible counts, until params turn out to be in millions as well.
    if params_unit and not tokens_unit and ratio < TOKENS_PER_PARAM[0] * 1000**params_unit:
        tokens_unit = _nearest_unit("tokens", tokens)
    for column, unit, found in (("params", params_unit, params), ("tokens", tokens_unit, tokens)):
        if unit:
            yield table.problem(
                "units",
                column,
                f"{column} looks like {UNITS[unit]}: found {found.min():g} to {found.max():g}; "
                f"expected a count, so multiply it by 1e{3 * unit}",
            )
    if not (params_unit or tokens_unit) and not TOKENS_PER_PARAM[0] <= ratio <= TOKENS_PER_PARAM[1]:
        yield table.problem(
            "tokens-per-param",
            "tokens",
            f"the median run has {ratio:.3g} tokens per parameter: check the units of params and "
            "tokens, both are counts, and that the columns are not swapped",
            severity="warning",
        )
    yield from _loss_kind(table, 6.0 * params * tokens, loss)


def _unit(column: str, values: Array) -> int:
    """The power of a thousand that values are given in; 0 where they may well be counts."""
    return _nearest_unit(column, values) if values.max() < SMALLEST_LARGEST[column] else 0


def _nearest_unit(column: str, values: Array) -> int:
    power = round(math.log(TYPICAL[column] / float(np.median(values)), 1000))
    return min(max(power, min(UNITS)), max(UNITS))


def _loss_kind(table: Candidate, flops: Array, loss: Array) -> Iterator[Problem]:
    rising = (
        loss.size >= RISING_RUNS
        and flops.max() >= RISING_SPAN * flops.min()
        and _rank_correlation(flops, loss) > RISING_CORRELATION
    )
    extent = f"{loss.min():.4g} to {loss.max():.4g}"
    median = float(np.median(loss))
    if rising and (loss.max() <= 1 or (median > LOSS_OF_A_GUESS and loss.max() <= 100)):
        kind = "accuracy" if loss.max() <= 1 else "accuracy in per cent"
        yield table.problem(
            "accuracy",
            "loss",
            f"loss looks like {kind}: found {extent}, rising with compute; "
            "expected a quantity that falls with compute, such as nats per token",
        )
    elif median > LOSS_OF_A_GUESS:
        yield table.problem(
            "perplexity",
            "loss",
            f"loss looks like perplexity: found a median of {median:.4g} ({extent}), worse than "
            f"a uniform guess over any vocabulary ({LOSS_OF_A_GUESS} nats); "
            "expected nats per token, ln(perplexity)",
        )
    elif rising:
        yield table.problem(
            "rising-loss",
            "loss",
            f"loss rises with compute ({extent}): is it a score, or did the large runs diverge?",
            severity="warning",
        )


def _rank_correlation(x: Array, y: Array) -> float:
    frame = pl.DataFrame({"x": x, "y": y})
    return float(frame.select(pl.corr("x", "y", method="spearman")).item())


def _duplicates(table: Candidate) -> Iterator[Problem]:
    if not set(table.required) <= set(table.frame.columns):
        return
    repeated = repeated_rows(table.frame)
    if repeated.any():
        left_out = [name for name in table.frame.columns if normalised(name) in IDENTIFIERS]
        but = f" but {', '.join(left_out)}" if left_out else ""
        verb = "repeats an earlier one" if repeated.sum() == 1 else "repeat earlier ones"
        yield table.problem(
            "duplicates",
            "",
            f"{{rows}} {verb} in every column{but}: only the first of each is kept",
            repeated,
            severity="warning",
        )


def _found(values: Sequence[str]) -> str:
    distinct = list(dict.fromkeys(values))
    dots = ", ..." if len(distinct) > _LISTED_OF_MANY else ""
    return f"found {', '.join(distinct[:_LISTED_OF_MANY])}{dots}; "


def _row_list(rows: Sequence[int], lines: Sequence[int], *, all_rows: bool) -> str:
    """`row 3 (line 4)`, `rows 3, 7, 9 and 12 more (lines 4, 8, 10 ...)`, `all 435 rows`."""
    if all_rows and len(rows) > 1:
        return f"all {len(rows)} rows"
    listed = len(rows) if len(rows) <= _LISTED_IN_FULL else _LISTED_OF_MANY
    shown = ", ".join(str(row) for row in rows[:listed])
    if listed < len(rows):
        shown += f" and {len(rows) - listed} more"
    text = f"row{'s' if len(rows) > 1 else ''} {shown}"
    if lines:
        shown = ", ".join(str(line) for line in lines[:listed])
        dots = " ..." if listed < len(rows) else ""
        text += f" (line{'s' if len(lines) > 1 else ''} {shown}{dots})"
    return text
