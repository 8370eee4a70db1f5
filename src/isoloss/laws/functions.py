"""The functions that formulas know, as SymPy functions that differentiate into one another.

Their values are in `compilation`, and their spelling for readers and pages in `printing`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import sympy
from sympy.codegen import cfunctions
from sympy.core.logic import fuzzy_and, fuzzy_or


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


# A law needs its own value and two derivatives. Each class is a name of this module too, under
# which pickle finds it.
EXPREL: tuple[Any, ...] = tuple(
    type(f"exprel{order}", (_Exprel,), {"order": order}) for order in range(4)
)
exprel0, exprel1, exprel2, exprel3 = EXPREL


class _Real(sympy.Function):  # type: ignore[misc]
    """Base of the functions below, which have real arguments."""

    is_real = True


class Larger(_Real):
    """Larger(a, b, c, d) is c where a >= b, and d elsewhere."""

    nargs = 4

    @classmethod
    def eval(cls, first: Any, second: Any, then: Any, otherwise: Any) -> Any:
        """The branch, or None where it is not known which."""
        if then == otherwise:
            return then
        if first.is_comparable and second.is_comparable:
            return then if float(first) >= float(second) else otherwise
        return None

    def _eval_derivative(self, symbol: Any) -> Any:
        first, second, then, otherwise = self.args
        return Larger(first, second, then.diff(symbol), otherwise.diff(symbol))


# SymPy's own Max and Min become numpy.amax and numpy.amin, which do not broadcast.
class Maximum(_Real):
    """The larger of two arguments; its slope where they are equal is that of the first."""

    nargs = 2

    @classmethod
    def eval(cls, first: Any, second: Any) -> Any:
        """The argument, or None where it is not known which."""
        return Larger.eval(first, second, first, second)

    def _eval_derivative(self, symbol: Any) -> Any:
        first, second = self.args
        return Larger(first, second, first.diff(symbol), second.diff(symbol))

    def _eval_is_positive(self) -> Any:
        return fuzzy_or(argument.is_positive for argument in self.args)

    def _eval_is_negative(self) -> Any:
        return fuzzy_and(argument.is_negative for argument in self.args)


class Minimum(_Real):
    """The smaller of two arguments; its slope where they are equal is that of the first."""

    nargs = 2

    @classmethod
    def eval(cls, first: Any, second: Any) -> Any:
        """The argument, or None where it is not known which."""
        return Larger.eval(second, first, first, second)

    def _eval_derivative(self, symbol: Any) -> Any:
        first, second = self.args
        return Larger(second, first, first.diff(symbol), second.diff(symbol))

    def _eval_is_positive(self) -> Any:
        return fuzzy_and(argument.is_positive for argument in self.args)

    def _eval_is_negative(self) -> Any:
        return fuzzy_or(argument.is_negative for argument in self.args)


class LogGamma(_Real):
    """LogGamma(k, x) is derivative number k of log Γ(x), for positive x.

    SymPy's own loggamma and polygamma write out the factorials and harmonic numbers of integers.
    """

    nargs = 2

    @classmethod
    def eval(cls, order: Any, argument: Any) -> Any:
        """The zeros of log Γ, or else None."""
        zero = order == 0 and argument.is_Number and float(argument) in (1.0, 2.0)
        return sympy.Integer(0) if zero else None

    def _eval_evalf(self, precision: int) -> Any:
        order, x = self.args
        if order == 0:
            return sympy.loggamma(x, evaluate=False)._eval_evalf(precision)
        return sympy.polygamma(order - 1, x, evaluate=False)._eval_evalf(precision)

    def _eval_derivative(self, symbol: Any) -> Any:
        order, x = self.args
        return LogGamma(order + 1, x) * x.diff(symbol)


class LogRise(_Real):
    """LogRise(i, j, x, n) is log(Γ(x + n)/(Γ(x) x^n)), i times by x and j times by n.

    For positive x, and n from 0 on.
    """

    nargs = 4

    @classmethod
    def eval(cls, by_x: Any, by_count: Any, x: Any, count: Any) -> Any:
        """The zeros at no factor and at one, or else None."""
        zero = by_count == 0 and count.is_Number and float(count) in (0.0, 1.0)
        return sympy.Integer(0) if zero else None

    def _eval_evalf(self, precision: int) -> Any:
        by_x, by_count, x, count = self.args
        first, second = sympy.symbols("first second", positive=True)
        whole = sympy.loggamma(first + second) - sympy.loggamma(first) - second * sympy.log(first)
        slope = sympy.diff(whole, (first, by_x), (second, by_count))
        return slope.subs({first: x, second: count})._eval_evalf(precision)

    def _eval_derivative(self, symbol: Any) -> Any:
        by_x, by_count, x, count = self.args
        along_x = LogRise(by_x + 1, by_count, x, count) * x.diff(symbol)
        return along_x + LogRise(by_x, by_count + 1, x, count) * count.diff(symbol)


class _SignOfArgument(_Real):
    nargs = 1
    exact: Any

    @classmethod
    def eval(cls, argument: Any) -> Any:
        return sympy.Integer(0) if argument == 0 else None

    def _eval_evalf(self, precision: int) -> Any:
        return self.exact(self.args[0], evaluate=False)._eval_evalf(precision)

    def _eval_is_positive(self) -> Any:
        return self.args[0].is_positive

    def _eval_is_negative(self) -> Any:
        return self.args[0].is_negative


class Expm1(_SignOfArgument):
    """The function exp(x) - 1, accurate through x = 0."""

    exact = cfunctions.expm1

    def _eval_derivative(self, symbol: Any) -> Any:
        return sympy.exp(self.args[0]) * self.args[0].diff(symbol)


class Log1p(_SignOfArgument):
    """The function log(1 + x), accurate through x = 0."""

    exact = cfunctions.log1p

    def _eval_derivative(self, symbol: Any) -> Any:
        return self.args[0].diff(symbol) / (1 + self.args[0])


def _boxcox(base: Any, exponent: Any) -> Any:
    logarithm = sympy.log(base)
    return logarithm * EXPREL[0](exponent * logarithm)


FUNCTIONS: Mapping[str, tuple[int, Callable[..., Any]]] = {
    "exp": (1, sympy.exp),
    "log": (1, sympy.log),
    "sqrt": (1, sympy.sqrt),
    "boxcox": (2, _boxcox),
    "max": (2, Maximum),
    "min": (2, Minimum),
    "lgamma": (1, lambda argument: LogGamma(0, argument)),
    "lrise": (2, lambda x, count: LogRise(0, 0, x, count)),
    "expm1": (1, Expm1),
    "log1p": (1, Log1p),
}
