"""A formula for readers (LaTeX) and for pages (JavaScript)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import sympy
from sympy.printing.jscode import JavascriptCodePrinter
from sympy.printing.latex import LatexPrinter

from isoloss.laws.functions import EXPREL, Expm1, Log1p, LogGamma, LogRise, Maximum, Minimum

_EXPREL_SOURCE = """\
function exprel(k, t) {
  if (Math.abs(t) < 0.5) {
    let sum = 0, term = 1;
    for (let j = 0; j < 15; j++) { sum += term / (k + j + 1); term *= t / (j + 1); }
    return sum;
  }
  let value = Math.expm1(t) / t;
  for (let j = 1; j <= k; j++) value = (Math.exp(t) - j * value) / t;
  return value;
}
"""


# Stirling's series, from 10 on, where the terms kept here reach double precision; arguments below
# are raised by the recurrence of the gamma function.
_LGAMMA_SOURCE = """\
function lgamma(x) {
  if (!(x >= 0)) return NaN;
  let product = 1;
  for (; x < 10; x++) product *= x;
  const square = 1 / (x * x);
  let series = 1 / 156;
  for (const term of [-691 / 360360, 1 / 1188, -1 / 1680, 1 / 1260, -1 / 360, 1 / 12])
    series = series * square + term;
  const stirling = (x - 0.5) * (Math.log(x) - 1) + (0.5 * Math.log(2 * Math.PI) - 0.5);
  return stirling + series / x - Math.log(product);
}
"""

# As `log_rise` does it, without derivatives.
_LRISE_SOURCE = """\
function lrise(x, n) {
  if (x === Infinity) return 0;
  if (!(x >= 10)) return lgamma(x + n) - lgamma(x) - n * Math.log(x);
  const stirling = z => {
    let sum = 1 / 156;
    for (const term of [-691 / 360360, 1 / 1188, -1 / 1680, 1 / 1260, -1 / 360, 1 / 12])
      sum = sum / (z * z) + term;
    return sum / z;
  };
  const t = n / x, s = t / (2 + t), rest = stirling(x + n) - stirling(x);
  if (t > 1) return (x + n - 0.5) * Math.log1p(t) - n + rest;
  let tail = 0;
  for (let j = 15; j >= 0; j--) tail = tail * s * s + 2 / (2 * j + 3);
  return (x + n - 0.5) * s * (s * s * tail - t) + (n - 0.5) * t + rest;
}
"""

# Each function that JavaScript lacks, those that another needs last.
_SOURCES = {"exprel": _EXPREL_SOURCE, "lrise": _LRISE_SOURCE, "lgamma": _LGAMMA_SOURCE}
_NATIVE = {
    Maximum.__name__: "Math.max",
    Minimum.__name__: "Math.min",
    Expm1.__name__: "Math.expm1",
    Log1p.__name__: "Math.log1p",
}


class _JavaScript(JavascriptCodePrinter):  # type: ignore[misc]
    def _print_Function(self, expr: Any) -> str:  # noqa: N802 (SymPy's name for the hook)
        name = expr.func.__name__
        if name.startswith("exprel"):
            return f"exprel({name.removeprefix('exprel')}, {self._print(expr.args[0])})"
        if name == LogGamma.__name__:
            return f"lgamma({self._print(expr.args[1])})"
        if name == LogRise.__name__:
            return f"lrise({', '.join(map(self._print, expr.args[2:]))})"
        return str(super()._print_Function(expr))


class _Latex(LatexPrinter):  # type: ignore[misc]
    def _print_Function(self, expr: Any, exp: str | None = None) -> str:  # noqa: N802
        function, arguments = expr.func, expr.args
        if isinstance(expr, EXPREL):
            name = rf"\varphi_{{{expr.order}}}"
        elif function == LogGamma:
            name, arguments = r"\log\Gamma", arguments[1:]
        elif function == LogRise:
            x, count = arguments[2:]
            name, arguments = r"\log", (sympy.gamma(x + count) / sympy.gamma(x) / x**count,)
        elif function == Expm1:
            name, arguments = "", (sympy.exp(arguments[0]) - 1,)
        elif function == Log1p:
            name, arguments = r"\log", (arguments[0] + 1,)
        elif function in (Maximum, Minimum):
            name = r"\max" if function == Maximum else r"\min"
        else:
            return str(super()._print_Function(expr, exp))
        shown = ", ".join(self._print(argument) for argument in arguments)
        return rf"{name}\left({shown}\right)" + (f"^{{{exp}}}" if exp else "")


def to_latex(expression: Any, symbols: Mapping[Any, str]) -> str:
    """LaTeX of an expression, with the given spelling of its symbols."""
    return str(_Latex({"symbol_names": dict(symbols)}).doprint(expression))


def to_javascript(
    expression: Any, inputs: Sequence[str], parameters: Sequence[str], target: str = "loss"
) -> str:
    """A JavaScript function `law(inputs, parameters)` over objects with those keys.

    A comment before it says which column it predicts.
    """
    body = _JavaScript({"user_functions": _NATIVE}).doprint(sympy.sympify(expression))
    needed = ""
    for name, source in _SOURCES.items():
        if f"{name}(" in needed + body:
            needed += source
    # Column names may hold anything, also what would end a comment.
    return (
        f"{needed}// Predicts {json.dumps(target)}.\n"
        f"function law({{{', '.join(inputs)}}}, {{{', '.join(parameters)}}}) {{\n"
        f"  return {body};\n}}\n"
    )
