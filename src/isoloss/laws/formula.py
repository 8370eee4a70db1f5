"""Formulas as text: a whitelist parser from Python syntax to SymPy.

Text is never evaluated. It is parsed with `ast`, every node is checked against a short list, and
a SymPy expression is built from it, from which values, derivatives, LaTeX and JavaScript come.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping
from typing import Any

import sympy

from isoloss.errors import InputError
from isoloss.laws.functions import FUNCTIONS

MAX_CHARACTERS = 2000
# Python's own parser and the visitor below recurse once a level; real laws stay under 20.
MAX_DEPTH = 60
# Numbers stay well inside floating point, and exponents where SymPy, which works out powers of
# whole numbers digit by digit, has little to do.
_MAX_NUMBER = 1e300
_MAX_LOG_NUMBER = math.log(_MAX_NUMBER)
_MAX_EXPONENT = 100
_MAX_DENOMINATOR = 1000
# Characters of a refused part that a message shows.
_EXCERPT = 60


# Where the real values of a function begin.
_ABOVE: Mapping[str, float] = {
    "log": 0,
    "sqrt": 0,
    "boxcox": 0,
    "lgamma": 0,
    "lrise": 0,
    "log1p": -1,
}

_OPERATORS: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
}


def parse_formula(text: str, symbols: Mapping[str, Any], *, where: str = "formula") -> Any:
    """Turn a formula such as `E + A / params**alpha` into a SymPy expression.

    Allowed are numbers, the names in `symbols`, `+ - * / **`, and the functions exp, log, sqrt,
    boxcox(u, e) = (u**e - 1)/e, max and min of two arguments, lgamma(x) = log Γ(x) and
    lrise(x, n) = log(Γ(x + n)/(Γ(x) x^n)) for positive x and n from 0 on,
    expm1(x) = exp(x) - 1 and log1p(x) = log(1 + x).

    Args:
        text: the formula in Python syntax.
        symbols: the SymPy symbol of each name that the formula may use.
        where: what the formula belongs to, for error messages.

    Raises:
        InputError: the text is no such formula, or is too long, too deep, or too large a number.
    """
    return _Builder(symbols, where).build(_tree(text, where))


def names_in(text: str, *, where: str = "formula") -> list[str]:
    """The names that a formula uses, in order of appearance, but not those of functions it calls.

    Raises:
        InputError: the text is no formula, too long or too deep.
    """
    tree = _tree(text, where)
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    names = [
        node for node in ast.walk(tree) if isinstance(node, ast.Name) and id(node) not in called
    ]
    names.sort(key=lambda node: (node.lineno, node.col_offset))
    return list(dict.fromkeys(node.id for node in names))


def _tree(text: str, where: str) -> ast.expr:
    """The syntax tree of a formula whose nodes are not checked yet."""
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
    return tree.body


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
                return self._checked(sympy.Integer(number), node)
            case ast.Constant(value=float() as number):
                # 17 digits: fewer would print back as a different double.
                return self._checked(sympy.Float(repr(number), 17), node)
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
            case ast.BinOp(op=ast.Pow()):
                return self._power(node)
            case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _OPERATORS:
                first, second = self.build(left), self.build(right)
                if isinstance(operator, ast.Div) and second == 0:
                    raise self._refuse("division by zero", _excerpt(node))
                return self._checked(_OPERATORS[type(operator)](first, second), node)
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
                return self._call(name, arguments, node)
            case _:
                pass
        raise self._refuse(
            "not allowed in a formula",
            _excerpt(node),
            "numbers, names, + - * / ** and " + ", ".join(FUNCTIONS),
        )

    def _power(self, node: ast.BinOp) -> Any:
        inner = node.right
        while isinstance(inner, ast.UnaryOp):
            inner = inner.operand
        if isinstance(inner, ast.BinOp) and isinstance(inner.op, ast.Pow):
            raise self._refuse(
                "a tower of powers", _excerpt(node.right), "an exponent that is no power"
            )
        base, exponent = self.build(node.left), self.build(node.right)
        if base == 0 and not (exponent.is_number and float(exponent) >= 0):
            raise self._refuse("no real number", _excerpt(node), "a positive base")
        self._check_exponent(exponent, node)
        if exponent.is_Rational and exponent.q > _MAX_DENOMINATOR:
            exponent = sympy.Float(float(exponent), 17)
        if (
            exponent.is_number
            and base != 0
            and abs(float(exponent) * math.log(_size_of_factor(base))) > _MAX_LOG_NUMBER
        ):
            raise self._too_large(node)
        return self._checked(base**exponent, node)

    def _call(self, name: str, arguments: list[ast.expr], node: ast.Call) -> Any:
        if name not in FUNCTIONS:
            raise self._refuse("unknown function", name, "one of " + ", ".join(FUNCTIONS))
        count, function = FUNCTIONS[name]
        if len(arguments) != count:
            raise self._refuse(
                f"{name} takes {count} argument{'s' * (count > 1)}", str(len(arguments))
            )
        values = [self.build(argument) for argument in arguments]
        if name in ("exp", "expm1"):
            self._check_exponential(values[0], node)
        lowest = _ABOVE.get(name)
        if lowest is not None and values[0].is_number and not float(values[0]) > lowest:
            expected = f"an argument above {lowest}" if lowest else "a positive argument"
            raise self._refuse("no real number", _excerpt(node), expected)
        if name == "boxcox":
            self._check_exponent(values[1], node)
            self._check_exponential(values[1] * sympy.log(values[0]), node)
        return self._checked(function(*values), node)

    def _check_exponent(self, exponent: Any, node: ast.expr) -> None:
        if max(map(_size_of_factor, sympy.Add.make_args(exponent))) > _MAX_EXPONENT:
            raise self._too_large(node, f"an exponent up to {_MAX_EXPONENT}")

    def _check_exponential(self, argument: Any, node: ast.Call) -> None:
        """Refuse exp(argument) that SymPy would turn into a huge number, as exp(9**9*log(2))."""
        for term in sympy.Add.make_args(argument):
            if term.is_number and abs(float(term)) > _MAX_LOG_NUMBER:
                raise self._too_large(node)
            if term.has(sympy.log):
                self._check_exponent(term, node)

    def _checked(self, value: Any, node: ast.expr) -> Any:
        """The value, if it is real and all numbers and exponents in it are of a sane size."""
        # SymPy can tell more about signs, but factors polynomials for minutes to do so.
        powers = value.atoms(sympy.Pow)
        roots = any(
            power.base.is_number and float(power.base) < 0 and not power.exp.is_Integer
            for power in powers
        )
        if roots or value.has(sympy.I, sympy.nan, sympy.zoo):
            raise self._refuse("no real number", _excerpt(node), "a positive argument or base")
        if value.is_Float and float(value) == 0:
            return sympy.Integer(0)
        if value == 0:
            return value
        if not 1 / _MAX_NUMBER < _size_of_factor(value) < _MAX_NUMBER:
            raise self._too_large(node)
        for power in powers:
            self._check_exponent(power.exp, node)
        return value

    def _too_large(self, node: ast.expr, expected: str = "") -> InputError:
        return self._refuse("number too large or too small", _excerpt(node), expected)

    def _refuse(self, what: str, found: str, expected: str = "") -> InputError:
        return InputError(what, where=self.where, found=found, expected=expected)


def _size_of_factor(value: Any) -> float:
    """Magnitude of a number, or of the number that multiplies an expression."""
    number = value if value.is_number else value.as_coeff_Mul()[0]
    return abs(float(number))


def _excerpt(node: ast.AST) -> str:
    text = ast.unparse(node)
    return text if len(text) <= _EXCERPT else text[:_EXCERPT] + "..."
