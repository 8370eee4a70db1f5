"""A formula for readers (LaTeX) and for pages (JavaScript)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sympy
from sympy.printing.jscode import JavascriptCodePrinter
from sympy.printing.latex import LatexPrinter

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


class _JavaScript(JavascriptCodePrinter):  # type: ignore[misc]
    def _print_Function(self, expr: Any) -> str:  # noqa: N802 (SymPy's name for the hook)
        name = expr.func.__name__
        if name.startswith("exprel"):
            return f"exprel({name.removeprefix('exprel')}, {self._print(expr.args[0])})"
        return str(super()._print_Function(expr))


def to_latex(expression: Any, symbols: Mapping[Any, str]) -> str:
    """LaTeX of an expression, with the given spelling of its symbols."""
    return str(LatexPrinter({"symbol_names": dict(symbols)}).doprint(expression))


def to_javascript(expression: Any, inputs: Sequence[str], parameters: Sequence[str]) -> str:
    """A JavaScript function `law(inputs, parameters)` over objects with those keys."""
    body = _JavaScript().doprint(sympy.sympify(expression))
    helper = _EXPREL_SOURCE if "exprel(" in body else ""
    return (
        f"{helper}function law({{{', '.join(inputs)}}}, {{{', '.join(parameters)}}}) {{\n"
        f"  return {body};\n}}\n"
    )
