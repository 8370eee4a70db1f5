"""Which laws a verb is asked for: by name, from a file, or by a formula on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from isoloss.errors import InputError

if TYPE_CHECKING:
    from isoloss.laws import Law


def law_names(texts: Sequence[str] | None) -> list[str]:
    """The names given by --law; several may stand in one word, with commas."""
    return [name for text in texts or () for name in text.split(",") if name]


def find_laws(names: Sequence[str] | None, *, where: str = "--law") -> list[Law]:
    """Laws by name or from TOML files; several names may stand in one word, with commas.

    Args:
        names: what was given.
        where: by which argument, for error messages.

    Raises:
        InputError: a name is unknown or a file cannot be read.
    """
    return [_find_law(name, where) for name in law_names(names)]


@dataclass(frozen=True)
class OwnLaw:
    """What the options of a law of one's own say: texts as given, None where they are not."""

    formula: str | None = None
    bounds: str | None = None
    inputs: str | None = None
    target: str | None = None
    signed: str | None = None
    higher_is_better: bool = False


def wanted_laws(
    names: Sequence[str], own: OwnLaw, *, weighed: bool = False, where: str = "--law"
) -> list[Law]:
    """The law given by --formula, if one is, and the laws named.

    --inputs and --target also say which columns a family of laws is for.

    Args:
        names: of laws.
        own: what the options of a law of one's own say.
        weighed: whether --inputs and --target say which laws `auto` weighs too.
        where: by which argument laws are named, for error messages.

    Raises:
        InputError: the formula, a bound or a name is refused, or an option has nothing to act on.
    """
    from isoloss.laws import FAMILIES, find_family, law_from_formula

    for_columns = own.inputs is not None or own.target is not None
    families = [name for name in names if name in FAMILIES and for_columns]
    idle = {"--bounds": own.bounds, "--signed": own.signed}
    if not families and not weighed:
        idle |= {"--inputs": own.inputs, "--target": own.target}
    if own.formula is None:
        for option, text in idle.items():
            if text is not None:
                raise InputError("no formula for it", where=option, expected="--formula TEXT")
    inputs, target = listed(own.inputs), own.target or "loss"
    laws = [
        find_family(name, inputs, target) if name in families else _find_law(name, where)
        for name in names
    ]
    if own.formula is None:
        return laws
    bounds, signed = _bounds(own.bounds), listed(own.signed)
    formula = law_from_formula(
        own.formula,
        bounds=bounds,
        inputs=inputs,
        target=target,
        signed=signed,
        higher_is_better=own.higher_is_better,
    )
    return [formula, *laws]


def listed(text: str | None) -> list[str]:
    """The names in a text with commas between them."""
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def _bounds(text: str | None) -> dict[str, tuple[float, float]]:
    found: dict[str, tuple[float, float]] = {}
    for part in (text or "").split(","):
        if not part.strip():
            continue
        name, equals, ends = (piece.strip() for piece in part.partition("="))
        low, colon, high = ends.partition(":")
        try:
            pair = float(low or "-inf"), float(high or "inf")
        except ValueError:
            equals = ""
        if not (name and equals and colon) or name in found:
            raise InputError(
                "not a bound",
                where="--bounds",
                found=repr(part.strip()),
                expected="NAME=LOW:HIGH, as alpha=0:2 or b=-1:",
            )
        found[name] = pair
    return found


def _find_law(name: str, where: str) -> Law:
    from isoloss.laws import find_law, read_law

    if name.endswith(".toml"):
        return read_law(name)
    try:
        return find_law(name)
    except InputError as error:
        raise InputError(
            error.what, where=where, found=error.found, expected=error.expected
        ) from None
