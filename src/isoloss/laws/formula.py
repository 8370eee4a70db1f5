"""Formulas as text: a whitelist parser from Python syntax to SymPy, and the functions it knows.

Text is never evaluated. It is parsed with `ast`, every node is checked against a short list, and
a SymPy expression is built from it, from which values, derivatives, LaTeX and JavaScript come.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import sympy

from isoloss.arrays import Array
from isoloss.errors import InputError

MAX_CHARACTERS = 2000
# Python's own parser and the visitor below recurse once a level; real laws stay under 20.
MAX_DEPTH = 60
# Beyond this a power of two numbers has no floating-point value.
_MAX_LOG_NUMBER = 700.0

# Below this the closed form of exprel loses digits to cancellation, above it the series needs
# more than the terms kept here.
_SERIES_RADIUS = 0.5
_SERIES_TERMS = 14


def exprel(order: int, argument: npt.ArrayLike) -> Array:
    """The function ∫₀¹ sᵏ exp(s t) ds for k = `order`, elementwise and accurate through t = 0.

    Order 0 is (exp(t) − 1)/t, and the derivative of order k is order k + 1, so that a Box-Cox
    power (uᵉ − 1)/e = log(u) exprel(0, e log u) is smooth in e through 0.
    """
    t = np.asarray(argument, dtype=np.float64)
    small = np.abs(t) < _SERIES_RADIUS
    series = np.full_like(t, 1.0 / (math.factorial(_SERIES_TERMS) * (order + _SERIES_TERMS + 1)))
    for power in reversed(range(_SERIES_TERMS)):
        series = series * t + 1.0 / (math.factorial(power) * (order + power + 1))
    safe = np.where(small, 1.0, t)
    exponential = np.exp(safe)
    closed = np.expm1(safe) / safe
    for k in range(1, order + 1):
        closed = (exponential - k * closed) / safe
    return np.where(small, series, closed)


class _Exprel(sympy.Function):  # type: ignore[misc]
    """Base of the SymPy functions exprel0, exprel1, ...; each differentiates into the next."""

    nargs = 1
    order: int

    def fdiff(self, argindex: int = 1) -> Any:
        return EXPREL[self.order + 1](self.args[0])

    def _latex(self, printer: Any) -> str:
        return rf"\varphi_{{{self.order}}}\left({printer._print(self.args[0])}\right)"


# A law needs its own value and two derivatives.
EXPREL: tuple[Any, ...] = tuple(
    type(f"exprel{order}", (_Exprel,), {"order": order}) for order in range(4)
)


def _boxcox(base: Any, exponent: Any) -> Any:
    logarithm = sympy.log(base)
    return logarithm * EXPREL[0](exponent * logarithm)


FUNCTIONS: Mapping[str, tuple[int, Callable[..., Any]]] = {
    "exp": (1, sympy.exp),
    "log": (1, sympy.log),
    "sqrt": (1, sympy.sqrt),
    "boxcox": (2, _boxcox),
}

_OPERATORS: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
}


def parse_formula(text: str, symbols: Mapping[str, Any], *, where: str = "formula") -> Any:
    """Turn a formula such as `E + A / params**alpha` into a SymPy expression.

    Allowed are numbers, the names in `symbols`, `+ - * / **`, and the functions exp, log, sqrt
    and boxcox(u, e) = (u**e - 1)/e.

    Args:
        text: the formula in Python syntax.
        symbols: the SymPy symbol of each name that the formula may use.
        where: what the formula belongs to, for error messages.

    Raises:
        InputError: the text is no such formula, or is too long, too deep, or too large a number.
    """
    if len(text) > MAX_CHARACTERS:
        raise InputError(
            "the formula is too long",
            where=where,
            found=f"{len(text)} characters",
            expected=f"at most {MAX_CHARACTERS}",
        )
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise InputError(
            "not a formula",
            where=where,
            found=f"{text[:60]!r} ({error})",
            expected="an expression such as E + A / params**alpha",
        ) from None
    _check_depth(tree, where)
    return _Builder(symbols, where).build(tree.body)


def _check_depth(tree: ast.AST, where: str) -> None:
    level: list[ast.AST] = [tree]
    depth = 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise InputError(
                "the formula is nested too deeply",
                where=where,
                expected=f"at most {MAX_DEPTH} levels",
            )
        level = [child for node in level for child in ast.iter_child_nodes(node)]


class _Builder:
    """Builds the SymPy expression of a checked syntax tree."""

    def __init__(self, symbols: Mapping[str, Any], where: str) -> None:
        self.symbols, self.where = symbols, where

    def build(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=bool()):
                pass
            case ast.Constant(value=int() as number):
                return self._number(sympy.Integer(number))
            case ast.Constant(value=float() as number):
                # 17 digits: fewer would print back as a different double.
                return self._number(sympy.Float(repr(number), 17))
            case ast.Name(id=name):
                if name not in self.symbols:
                    raise self._refuse(
                        "unknown name", name, "one of " + ", ".join(sorted(self.symbols))
                    )
                return self.symbols[name]
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -self.build(operand)
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self.build(operand)
            case ast.BinOp(left=base, op=ast.Pow(), right=exponent):
                return self._power(base, exponent)
            case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _OPERATORS:
                first, second = self.build(left), self.build(right)
                if isinstance(operator, ast.Div) and second == 0:
                    raise self._refuse("division by zero", ast.unparse(node), "")
                return self._number(_OPERATORS[type(operator)](first, second))
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
                return self._call(name, arguments)
            case _:
                pass
        raise self._refuse(
            "not allowed in a formula",
            ast.unparse(node)[:60],
            "numbers, names, + - * / ** and " + ", ".join(FUNCTIONS),
        )

    def _power(self, base: ast.expr, exponent: ast.expr) -> Any:
        inner = exponent
        while isinstance(inner, ast.UnaryOp):
            inner = inner.operand
        if isinstance(inner, ast.BinOp) and isinstance(inner.op, ast.Pow):
            raise self._refuse(
                "a tower of powers", ast.unparse(exponent)[:60], "an exponent that is no power"
            )
        low, high = self.build(base), self.build(exponent)
        if low.is_number and high.is_number:
            size = abs(float(high)) * abs(math.log(abs(float(low)))) if low != 0 else 0.0
            if not size <= _MAX_LOG_NUMBER:
                raise self._refuse("number too large", ast.unparse(base)[:30] + "**...", "")
            if float(low) < 0 or (low == 0 and float(high) < 0):
                raise self._refuse("no real number", f"{low}**{high}", "a positive base")
        return low**high

    def _call(self, name: str, arguments: list[ast.expr]) -> Any:
        if name not in FUNCTIONS:
            raise self._refuse("unknown function", name, "one of " + ", ".join(FUNCTIONS))
        count, function = FUNCTIONS[name]
        if len(arguments) != count:
            raise self._refuse(
                f"{name} takes {count} argument{'s' * (count > 1)}", str(len(arguments)), ""
            )
        values = [self.build(argument) for argument in arguments]
        if name == "exp" and values[0].is_number and float(values[0]) > _MAX_LOG_NUMBER:
            raise self._refuse("number too large", f"exp({values[0]})", "")
        if name != "exp" and values[0].is_number and float(values[0]) <= 0:
            raise self._refuse("no real number", f"{name}({values[0]})", "a positive argument")
        return function(*values)

    def _number(self, value: Any) -> Any:
        if value.is_number and not abs(value) < sympy.Float("1e300"):
            raise self._refuse("number too large", str(value)[:30] + "...", "")
        return value

    def _refuse(self, what: str, found: str, expected: str) -> InputError:
        return InputError(what, where=self.where, found=found, expected=expected)
