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
# Numbers stay well inside floating point, and exponents where SymPy, which works out powers of
# whole numbers digit by digit, has little to do.
_MAX_NUMBER = 1e300
_MAX_LOG_NUMBER = math.log(_MAX_NUMBER)
_MAX_EXPONENT = 100
_MAX_DENOMINATOR = 1000
# Characters of a refused part that a message shows.
_EXCERPT = 60

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

    @classmethod
    def eval(cls, argument: Any) -> Any:
        return sympy.Rational(1, cls.order + 1) if argument == 0 else None

    def _eval_evalf(self, precision: int) -> Any:
        k = self.order
        return (sympy.hyper((k + 1,), (k + 2,), self.args[0]) / (k + 1))._eval_evalf(precision)

    def fdiff(self, argindex: int = 1) -> Any:
        return EXPREL[self.order + 1](self.args[0])

    def _latex(self, printer: Any) -> str:
        return rf"\varphi_{{{self.order}}}\left({printer._print(self.args[0])}\right)"


# A law needs its own value and two derivatives. Each class is a name of this module too, under
# which pickle finds it.
EXPREL: tuple[Any, ...] = tuple(
    type(f"exprel{order}", (_Exprel,), {"order": order}) for order in range(4)
)
exprel0, exprel1, exprel2, exprel3 = EXPREL


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
        if name == "exp":
            self._check_exponential(values[0], node)
        elif values[0].is_number and not float(values[0]) > 0:
            raise self._refuse("no real number", _excerpt(node), "a positive argument")
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
