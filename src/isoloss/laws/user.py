"""Laws of one's own, from a TOML file.

    name = "two-powers"
    formula = "E + A / params**alpha + B / tokens**beta"
    linear = ["E", "A", "B"]

    [parameters.E]
    lower = 0
    [parameters.alpha]
    lower = 0
    start = [0.05, 1.0]

Every parameter of the formula has a table under `parameters` with optional `lower`, `upper`,
`start` (two numbers), `unit` and `typical` (value and spread of a prior, in working coordinates).
Optional at the top are `title`, `source`, `linear`, `optimum`, `inputs` (default params and
tokens), `target` (the column it predicts, default loss), `signed` (those of the inputs and the
target that may be zero or negative), `improves` (inputs of which more never hurts, default params
and tokens) and `higher_is_better` (true where the target is a score). A table `coordinates` may
say where the law is fitted, see `isoloss.laws.Coordinates`.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from isoloss.errors import InputError
from isoloss.laws.catalogue import CATALOGUE
from isoloss.laws.checking import check_law
from isoloss.laws.formula import names_in
from isoloss.laws.law import (
    LOSS,
    PARAMS,
    TOKENS,
    Coordinates,
    Input,
    Law,
    Parameter,
    Target,
    column_symbol,
)

_TEXT = ("name", "formula", "title", "source", "optimum", "params")
_COLUMN_KEYS = {"inputs", "target", "signed", "improves", "higher_is_better"}
_KEYS = {*_TEXT, *_COLUMN_KEYS, "parameters", "linear", "coordinates"}
_COORDINATE_KEYS = {"parameters", "formula", "published", "working", "linear"}
_PARAMETER_KEYS = {"lower", "upper", "start", "unit", "typical"}
_KNOWN_INPUTS = {entry.name: entry for entry in (PARAMS, TOKENS)}
_COUNTS = ("total", "nonembedding")
# Characters of a formula that a message shows.
_SHOWN = 60


def read_law(path: str | Path) -> Law:
    """Read a law from a TOML file.

    Raises:
        InputError: the file cannot be read, is no TOML, or describes no usable law.
    """
    where = str(path)
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "text that is not UTF-8"
        raise InputError("cannot read the law", where=where, found=reason) from None
    try:
        definition = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError("not a TOML file", where=where, found=str(error)) from None
    law = law_from_definition(definition, where=where)
    if law.name in CATALOGUE:
        raise InputError(
            "a law of the catalogue has this name", where=where, found=law.name, expected="another"
        )
    return law


def law_from_definition(definition: Mapping[str, Any], *, where: str = "law") -> Law:
    """The law that a mapping with the keys of the TOML file describes.

    Raises:
        InputError: a key is missing, unknown or of the wrong kind, or the formula is refused.
    """
    _check_keys(definition, _KEYS, where)
    for key in ("name", "formula", "parameters"):
        if key not in definition:
            raise InputError(f"the law has no {key!r}", where=where, expected=f"{key} = ...")
    for key in _TEXT:
        if not isinstance(definition.get(key, ""), str):
            raise InputError(f"{key} is not a text", where=where, found=repr(definition[key]))
    if not definition["name"].strip():
        raise InputError("the law's name is empty", where=where)
    if definition.get("params", "total") not in _COUNTS:
        raise InputError(
            "unknown count of params",
            where=where,
            found=repr(definition["params"]),
            expected="one of " + ", ".join(_COUNTS),
        )
    tables = definition["parameters"]
    inputs, target = _columns(definition, where)
    if not isinstance(tables, Mapping) or not tables:
        raise InputError(
            "the law has no parameters", where=where, expected="a table [parameters.NAME] each"
        )
    law = Law(
        name=definition["name"],
        title=definition.get("title", definition["name"]),
        formula=definition["formula"],
        parameters=tuple(_parameter(name, table, where) for name, table in tables.items()),
        source=definition.get("source", where),
        inputs=inputs,
        target=target,
        linear=tuple(_names(definition, "linear", [], where)),
        coordinates=_coordinates(definition.get("coordinates"), where),
        optimum=definition.get("optimum", ""),
        params=definition.get("params", "total"),
    )
    check_law(law, where)
    return law


def _columns(definition: Mapping[str, Any], where: str) -> tuple[tuple[Input, ...], Target]:
    """The columns that a law reads, and the one that it predicts."""
    signed = _names(definition, "signed", [], where)
    names = _names(definition, "inputs", list(_KNOWN_INPUTS), where)
    target = definition.get("target", LOSS.name)
    if not isinstance(target, str) or not target.isidentifier():
        raise InputError("target names no column", where=where, found=repr(target))
    improving = _names(definition, "improves", [n for n in names if n in _KNOWN_INPUTS], where)
    for key, given, known in (
        ("signed", signed, {*names, target}),
        ("improves", improving, set(names)),
    ):
        strangers = sorted(set(given) - known)
        if strangers:
            raise InputError(
                f"{key} names no column of the law",
                where=where,
                found=", ".join(strangers),
                expected="one of " + ", ".join(sorted(known)),
            )
    higher = definition.get("higher_is_better", False)
    if not isinstance(higher, bool):
        raise InputError("higher_is_better is not true or false", where=where, found=repr(higher))
    inputs = []
    for name in names:
        known_input = _KNOWN_INPUTS.get(name, Input(name, column_symbol(name), ""))
        positive, improves = name not in signed, name in improving
        inputs.append(replace(known_input, positive=positive, improves=improves))
    base = LOSS if target == LOSS.name else Target(target, column_symbol(target), "")
    predicted = replace(base, positive=target not in signed, higher_is_better=higher)
    return tuple(inputs), predicted


def law_from_formula(
    formula: str,
    *,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    inputs: Sequence[str] = (),
    target: str = LOSS.name,
    signed: Sequence[str] = (),
    higher_is_better: bool = False,
    name: str = "formula",
) -> Law:
    """The law that a formula alone describes, such as `E + A/params**a`.

    Names that are no inputs are parameters, positive unless `bounds` says otherwise. Which of them
    the law is linear in is found out.

    Args:
        formula: in Python syntax, see `parse_formula`.
        bounds: lowest and highest value of a parameter, by name.
        inputs: columns that it reads beside params and tokens.
        target: the column that it predicts.
        signed: those of the inputs and the target that may be zero or negative.
        higher_is_better: whether the target is a score.
        name: what to call it.

    Raises:
        InputError: the formula is refused, or a bound is of no parameter.
    """
    where, bounds = f"formula {formula[:_SHOWN]!r}", bounds or {}
    names = names_in(formula, where=where)
    read = [known for known in ("params", "tokens") if known in names] + list(inputs)
    parameters = [each for each in names if each not in read]
    if not read:
        raise InputError(
            "the formula reads no column",
            where=where,
            found="parameters alone: " + (", ".join(parameters) or "none"),
            expected="params or tokens in it, or columns named by --inputs",
        )
    strangers = sorted(set(bounds) - set(parameters))
    if strangers:
        raise InputError(
            "bounds of what is no parameter",
            where=where,
            found=", ".join(strangers),
            expected="one of " + (", ".join(parameters) or "none"),
        )
    tables = {}
    for each in parameters:
        lower, upper = bounds.get(each, (0.0, math.inf))
        tables[each] = {"lower": lower, "upper": upper}
    definition = {
        "name": name,
        "formula": formula,
        "parameters": tables,
        "inputs": read,
        "target": target,
        "signed": list(signed),
        "higher_is_better": higher_is_better,
    }
    linear = _linear_parameters(law_from_definition(definition, where=where))
    return law_from_definition({**definition, "linear": linear}, where=where)


def _linear_parameters(law: Law) -> list[str]:
    """Parameters, as many as there are from the first, in which the law is linear together."""
    found: list[str] = []
    for name in law.parameter_names:
        slope = law.expression.diff(law.symbols[name])
        if not slope.free_symbols & {law.symbols[other] for other in (*found, name)}:
            found.append(name)
    return found


def definition_of(law: Law) -> dict[str, Any]:
    """The definition of a law, as `law_from_definition` reads it."""
    definition = {
        **{key: getattr(law, key) for key in _TEXT},
        "parameters": _parameter_tables(law.parameters),
        "linear": list(law.linear),
        "inputs": [entry.name for entry in law.inputs],
        "target": law.target.name,
        "signed": [name for name, positive in law.columns.items() if not positive],
        "improves": [entry.name for entry in law.inputs if entry.improves],
        "higher_is_better": law.target.higher_is_better,
    }
    if law.coordinates is not None:
        definition["coordinates"] = {
            "parameters": _parameter_tables(law.coordinates.parameters),
            "formula": law.coordinates.formula,
            "published": dict(law.coordinates.published),
            "working": dict(law.coordinates.working),
            "linear": list(law.coordinates.linear),
        }
    return definition


def _parameter_tables(parameters: Sequence[Parameter]) -> dict[str, dict[str, Any]]:
    tables: dict[str, dict[str, Any]] = {}
    for entry in parameters:
        table: dict[str, Any] = {"start": list(entry.start), "unit": entry.unit}
        if entry.lower > float("-inf"):
            table["lower"] = entry.lower
        if entry.upper < float("inf"):
            table["upper"] = entry.upper
        if entry.typical:
            table["typical"] = list(entry.typical)
        tables[entry.name] = table
    return tables


def _coordinates(table: Any, where: str) -> Coordinates | None:
    if table is None:
        return None
    place = f"{where}, coordinates"
    if not isinstance(table, Mapping):
        raise InputError("not a table", where=place, found=repr(table), expected="[coordinates]")
    _check_keys(table, _COORDINATE_KEYS, place)
    missing = sorted(_COORDINATE_KEYS - {"linear"} - set(table))
    if missing:
        raise InputError("the coordinates lack", where=place, found=", ".join(missing))
    for key in ("parameters", "published", "working"):
        if not isinstance(table[key], Mapping):
            raise InputError(f"{key} is not a table", where=place, found=repr(table[key]))
    formulas = [table["formula"], *table["published"].values(), *table["working"].values()]
    if not all(isinstance(text, str) for text in formulas):
        raise InputError("a formula that is no text", where=place)
    return Coordinates(
        parameters=tuple(
            _parameter(name, each, place) for name, each in table["parameters"].items()
        ),
        formula=table["formula"],
        published=dict(table["published"]),
        working=dict(table["working"]),
        linear=tuple(_names(table, "linear", [], place)),
    )


def _check_keys(table: Mapping[str, Any], allowed: set[str], where: str) -> None:
    unknown = sorted(set(table) - allowed)
    if unknown:
        raise InputError(
            "unknown key",
            where=where,
            found=", ".join(unknown),
            expected="one of " + ", ".join(sorted(allowed)),
        )


def _names(definition: Mapping[str, Any], key: str, default: list[str], where: str) -> list[str]:
    value = definition.get(key, default)
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise InputError(f"{key} is not a list of names", where=where, found=repr(value))
    return value


def _parameter(name: str, table: Any, where: str) -> Parameter:
    place = f"{where}, parameter {name}"
    if not name.isidentifier():
        raise InputError("not a name", where=place, found=repr(name), expected="letters and digits")
    if not isinstance(table, Mapping):
        raise InputError(
            "not a table", where=place, found=repr(table), expected=f"[parameters.{name}]"
        )
    _check_keys(table, _PARAMETER_KEYS, place)
    lower = _number(table.get("lower", float("-inf")), "lower", place)
    upper = _number(table.get("upper", float("inf")), "upper", place)
    if not lower < upper:
        raise InputError(
            "bounds in the wrong order", where=place, found=f"lower {lower:g}, upper {upper:g}"
        )
    pair = table.get("start", _default_start(lower, upper))
    if not isinstance(pair, list | tuple) or len(pair) != 2:
        raise InputError("start is no range", where=place, found=repr(pair), expected="[low, high]")
    low, high = (_number(value, "start", place) for value in pair)
    if not (lower <= low <= high <= upper and math.isfinite(high - low)):
        raise InputError(
            "start is no finite range inside the bounds",
            where=place,
            found=f"[{low:g}, {high:g}]",
            expected="start = [low, high]",
        )
    unit = table.get("unit", "")
    if not isinstance(unit, str):
        raise InputError("unit is not a formula", where=place, found=repr(unit))
    return Parameter(name, lower, upper, (low, high), unit, _typical(table, place))


def _typical(table: Mapping[str, Any], where: str) -> tuple[float, float] | None:
    if "typical" not in table:
        return None
    pair = table["typical"]
    if not isinstance(pair, list | tuple) or len(pair) != 2:
        raise InputError(
            "typical is no pair", where=where, found=repr(pair), expected="[value, spread]"
        )
    value, spread = (_number(entry, "typical", where) for entry in pair)
    if not (math.isfinite(value) and 0 < spread < math.inf):
        raise InputError(
            "typical has no finite value and positive spread",
            where=where,
            found=f"[{value:g}, {spread:g}]",
            expected="typical = [value, spread]",
        )
    return value, spread


def _default_start(lower: float, upper: float) -> tuple[float, float]:
    low, high = max(lower, -1.0 if lower < 0 else 0.05), min(upper, 1.0)
    if low <= high:
        return low, high
    return (lower, lower) if math.isfinite(lower) else (upper, upper)


def _number(value: Any, key: str, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        raise InputError(f"{key} is not a number", where=where, found=repr(value))
    return float(value)
