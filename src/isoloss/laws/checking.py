"""Whether a law that someone has written down is one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any

import numpy as np

from isoloss.arrays import Array
from isoloss.errors import InputError
from isoloss.laws.coordinates import Centre, WorkingLaw, working_law
from isoloss.laws.functions import FUNCTIONS
from isoloss.laws.law import Coordinates, Input, Law

# Names that formulas, or the functions made from them in Python and JavaScript, use themselves.
_WORDS = """
law exprel Math NaN Infinity undefined arguments eval
case catch const debugger default delete do enum export extends false function implements instanceof
interface let new null package private protected public static super switch this throw true typeof
var void
"""
_RESERVED = frozenset([*_WORDS.split(), *FUNCTIONS])
# The budget, in formulas of the optimum: no name of a parameter.
_BUDGET = "flops"
# Rounding of two ways to compute the same, with room for ill-conditioned maps.
_SAME = 1e-6


def check_law(law: Law, where: str) -> None:
    """Check that formula, names and coordinates of a law fit together.

    Raises:
        InputError: a formula or a name is refused, or the coordinates are not those of the law.
    """
    if not law.inputs:
        raise InputError("the law has no inputs", where=where, expected='inputs = ["params", ...]')
    names = [*law.parameter_names, *(entry.name for entry in law.inputs)]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise InputError(
            "a name is both a parameter and an input", where=where, found=", ".join(repeated)
        )
    reserved = _RESERVED.union(*({f"{entry.name}0", f"log_{entry.name}"} for entry in law.inputs))
    reserved |= {law.target.name, f"{law.target.name}0"}
    _check_names(names, reserved, where)
    _check_names(law.parameter_names, {_BUDGET}, where)
    unused = [name for name in names if law.symbols[name] not in law.expression.free_symbols]
    if unused:
        raise InputError("the formula does not use", where=where, found=", ".join(unused))
    symbols = {name: law.symbols[name] for name in law.parameter_names}
    _check_linear(law.linear, law.expression, symbols, where)
    if law.coordinates is not None:
        inputs = {entry.name for entry in law.inputs}
        _check_coordinates(law, law.coordinates, reserved | inputs, f"{where}, coordinates")
    working_law(law)
    # Parsed when first used; a mistake in it should come to light now.
    law.optimal_params(dict.fromkeys(law.parameter_names, 1.0), 1e20)


def _check_names(names: Sequence[str], reserved: Set[str], where: str) -> None:
    taken = sorted(reserved & set(names))
    if taken:
        raise InputError("a reserved name", where=where, found=", ".join(taken), expected="another")


def _check_linear(
    linear: Sequence[str], expression: Any, symbols: Mapping[str, Any], where: str
) -> None:
    for name in linear:
        if name not in symbols:
            raise InputError("linear names no parameter", where=where, found=name)
    for name in linear:
        if expression.diff(symbols[name]).free_symbols & {symbols[other] for other in linear}:
            raise InputError("the formula is not linear in", where=where, found=name)


def _check_coordinates(law: Law, own: Coordinates, reserved: Set[str], where: str) -> None:
    names = [entry.name for entry in own.parameters]
    _check_names(names, reserved, where)
    for key, wanted in (("published", law.parameter_names), ("working", names)):
        found = getattr(own, key)
        if set(found) != set(wanted):
            raise InputError(
                f"{key} is not one formula for each parameter",
                where=where,
                found=", ".join(found) or "none",
                expected=", ".join(wanted),
            )
    working = working_law(law)
    symbols = dict(zip(names, working.evaluator.parameters, strict=True))
    _check_linear(own.linear, working.evaluator.expression, symbols, where)
    _check_agreement(law, working, where)


def _check_agreement(law: Law, own: WorkingLaw, where: str) -> None:
    """Check formula and maps against each other in the middle of the ranges of starts.

    Where no number comes out, as for parameters beyond each other's reach, nothing is said.
    """
    centre = Centre(tuple(_beside(entry, 0.5) for entry in law.inputs), 2.0)
    values = np.array([np.mean(entry.start) for entry in own.parameters])
    published = own.to_published(values, centre)
    inputs = {entry.name: _beside(entry, 0.6) for entry in law.inputs}
    parameters = dict(zip(law.parameter_names, published, strict=True))
    pairs = {
        "formula": (
            own.predict(values, list(inputs.values()), centre),
            law.predict(parameters, **inputs),
        ),
        "working": (own.to_working(published, centre), values),
    }
    for key, (one, other) in pairs.items():
        if _differ(one, other):
            raise InputError(
                f"{key} does not agree with published",
                where=where,
                found=f"{np.ravel(one).tolist()} against {np.ravel(other).tolist()}",
                expected="the law itself in other parameters",
            )


def _beside(entry: Input, share: float) -> float:
    """A place that far between the ends of an input's usual range, in logs if it is positive."""
    low, high = entry.usual
    return float(low * (high / low) ** share) if entry.positive else share


def _differ(one: Array, other: Array) -> bool:
    finite = bool(np.all(np.isfinite(one)) and np.all(np.isfinite(other)))
    return finite and not np.allclose(one, other, rtol=_SAME, atol=_SAME)
