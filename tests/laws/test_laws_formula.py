"""Formulas as text: what is understood, what is refused, and that nothing else can happen."""

from __future__ import annotations

import builtins
import math
import re
import unicodedata
from unittest import mock

import numpy as np
import pytest
import sympy
from hypothesis import example, given, settings
from hypothesis import strategies as st

from isoloss.errors import InputError
from isoloss.laws.compilation import Evaluator, exprel
from isoloss.laws.formula import MAX_CHARACTERS, MAX_DEPTH, parse_formula
from isoloss.laws.functions import EXPREL, FUNCTIONS

NAMES = ("params", "tokens", "E", "A", "alpha")
SYMBOLS = {
    **{name: sympy.Symbol(name, positive=True) for name in NAMES},
    "shift": sympy.Symbol("shift", real=True),
}
VALUES = {"params": 2.0, "tokens": 5.0, "E": 1.5, "A": 3.0, "alpha": 0.25, "shift": -0.5}


def value_of(text: str) -> float:
    expression = parse_formula(text, SYMBOLS)
    evaluator = Evaluator(expression, (), tuple(SYMBOLS[name] for name in VALUES))
    return float(evaluator.value((), [np.float64(value) for value in VALUES.values()]))


class TestUnderstood:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("2", 2.0),
            ("1_000", 1000.0),
            ("0x10", 16.0),
            ("1e-3", 1e-3),
            ("-A", -3.0),
            ("+A", 3.0),
            ("--A", 3.0),
            ("E + A", 4.5),
            ("E - A", -1.5),
            ("E*A", 4.5),
            ("A/params", 1.5),
            ("params**alpha", 2**0.25),
            ("params**-alpha", 2**-0.25),
            ("-params**2", -4.0),
            ("(0 - 2)**3", -8.0),
            ("2**(1/2)", math.sqrt(2)),
            ("(2**alpha)**A", 2**0.75),
            ("exp(shift)", math.exp(-0.5)),
            ("log(tokens)", math.log(5)),
            ("sqrt(params)", math.sqrt(2)),
            ("boxcox(tokens, alpha)", (5**0.25 - 1) / 0.25),
            ("boxcox(tokens, 0)", math.log(5)),
            ("boxcox(2, 3)", 7 / 3),
            ("max(params, A)", 3.0),
            ("min(params, A)", 2.0),
            ("max(params, 2.5)", 2.5),
            ("min(-1, shift)", -1.0),
            ("max(2, sqrt(5))", math.sqrt(5)),
            ("min(2, sqrt(5))", 2.0),
            ("max(10**30, tokens) + min(-10**30, shift)", 0.0),
            ("log(10**30) - log1p(10**30)", 0.0),
            ("lgamma(tokens)", math.log(24)),
            ("lgamma(5)", math.log(24)),
            ("lgamma(0.5)", math.log(math.pi) / 2),
            ("lgamma(1.0)", 0.0),
            ("lgamma(1e290)", math.lgamma(1e290)),
            ("lgamma(999999999)", math.lgamma(999999999)),
            ("lrise(tokens, 3)", math.log(5 * 6 * 7 / 5**3)),
            ("lrise(params, A + 0.5)", math.lgamma(5.5) - 3.5 * math.log(2)),
            ("lrise(2, 3)", math.log(3)),
            ("lrise(2, 0.5)", math.lgamma(2.5) - math.log(2) / 2),
            ("lrise(A, 1) + lrise(A, 0)", 0.0),
            ("lrise(1e15, 2)", 1e-15),
            ("expm1(shift)", math.expm1(-0.5)),
            ("expm1(1e-12)", math.expm1(1e-12)),
            ("log1p(shift)", math.log(0.5)),
            ("log1p(-1e-12)", math.log1p(-1e-12)),
            ("A*expm1(0) + log1p(0)", 0.0),
            ("boxcox(2, 3) + 1", 10 / 3),
            ("0*A", 0.0),
            ("0**2", 0.0),
            ("0.0**0.5", 0.0),
            ("A**0", 1.0),
            ("1e-400", 0.0),
            ("  E + A / params**alpha  # Chinchilla without data", 1.5 + 3 / 2**0.25),
        ],
    )
    def test_has_the_value_of_the_same_arithmetic(self, text: str, expected: float) -> None:
        assert value_of(text) == pytest.approx(expected, rel=1e-14, abs=1e-300)

    @given(st.floats(1e-290, 1e290))
    def test_a_number_is_that_number_to_the_last_bit(self, number: float) -> None:
        assert value_of(repr(number)) == number

    @given(st.integers(-(10**18), 10**18))
    def test_whole_numbers_stay_exact(self, number: int) -> None:
        assert parse_formula(str(number), SYMBOLS) == number

    def test_names_may_be_greek(self) -> None:
        alpha = sympy.Symbol("α", positive=True)
        assert parse_formula("2*α", {"α": alpha}) == 2 * alpha

    def test_a_nest_of_parentheses_is_no_depth(self) -> None:
        assert parse_formula("(" * 100 + "E" + ")" * 100, SYMBOLS) == SYMBOLS["E"]


class TestRefused:
    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("gamma", "unknown name: found gamma; expected one of A, E, alpha, params, shift, to"),
            ("exp", "unknown name: found exp"),
            ("__builtins__", "unknown name: found __builtins__"),
            (
                "sin(A)",
                "unknown function: found sin; expected one of exp, log, sqrt, boxcox, max, min, "
                "lgamma, lrise, expm1, log1p",
            ),
            ("E(A)", "unknown function: found E"),
            ("__import__('os')", "unknown function: found __import__"),
            ("eval('1')", "unknown function: found eval"),
            ("exp()", "exp takes 1 argument: found 0"),
            ("log(E, A)", "log takes 1 argument: found 2"),
            ("boxcox(A)", "boxcox takes 2 arguments: found 1"),
            ("max(A)", "max takes 2 arguments: found 1"),
            ("min(E, A, alpha)", "min takes 2 arguments: found 3"),
            ("E.real", "not allowed in a formula: found E.real"),
            ("E.__class__.__mro__", "not allowed in a formula: found E.__class__.__mro__"),
            ("(1).__class__", "not allowed in a formula: found 1 .__class__"),
            ("E.exp(A)", "not allowed in a formula: found E.exp(A)"),
            ("exp(x=A)", "not allowed in a formula: found exp(x=A)"),
            ("exp(*A)", "not allowed in a formula: found *A"),
            ("exp(**A)", "not allowed in a formula: found exp(**A)"),
            ("(lambda: 1)()", "not allowed in a formula: found (lambda: 1)()"),
            ("lambda: E", "not allowed in a formula: found lambda: E"),
            ("[E for E in A]", "not allowed in a formula: found [E for E in A]"),
            ("{E: A}", "not allowed in a formula: found {E: A}"),
            ("{E}", "not allowed in a formula: found {E}"),
            ("[E]", "not allowed in a formula: found [E]"),
            ("E, A", "not allowed in a formula: found (E, A)"),
            ("E[0]", "not allowed in a formula: found E[0]"),
            ("'E'", "not allowed in a formula: found 'E'"),
            ("b'E'", "not allowed in a formula: found b'E'"),
            ("f'{E}'", "not allowed in a formula: found f'{E}'"),
            ("True", "not allowed in a formula: found True"),
            ("None", "not allowed in a formula: found None"),
            ("...", "not allowed in a formula: found ..."),
            ("2j", "not allowed in a formula: found 2j"),
            ("E if A else 1", "not allowed in a formula: found E if A else 1"),
            ("E and A", "not allowed in a formula: found E and A"),
            ("not E", "not allowed in a formula: found not E"),
            ("E < A", "not allowed in a formula: found E < A"),
            ("~E", "not allowed in a formula: found ~E"),
            ("E // A", "not allowed in a formula: found E // A"),
            ("E % A", "not allowed in a formula: found E % A"),
            ("E @ A", "not allowed in a formula: found E @ A"),
            ("E << A", "not allowed in a formula: found E << A"),
            ("(E := 1)", "not allowed in a formula: found (E := 1)"),
            ("await E", "not allowed in a formula: found await E"),
            ("", "not a formula: found '' (invalid syntax"),
            ("E +", "not a formula: found 'E +' (invalid syntax"),
            ("E = 1", "not a formula: found 'E = 1' (invalid syntax"),
            ("E; A", "not a formula: found 'E; A' (invalid syntax"),
            ("import os", "not a formula: found 'import os' (invalid syntax"),
            ("E\n+ A", "not a formula: found 'E\\n+ A' (invalid syntax"),
            ("E\0", "not a formula: found 'E\\x00'"),
            ("\ud800", "not a formula: found '\\ud800'"),
            ("2 A", "not a formula: found '2 A'"),
            ("A^2", "not allowed in a formula: found A ^ 2"),
        ],
    )
    def test_anything_that_is_no_arithmetic(self, text: str, message: str) -> None:
        with pytest.raises(InputError, match="^law mine: " + re.escape(message)):
            parse_formula(text, SYMBOLS, where="law mine")

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("A**A**A", "a tower of powers: found A ** A; expected an exponent that is no power"),
            ("A**-(A**A)", "a tower of powers: found -A ** A"),
            ("9**9**9", "a tower of powers: found 9 ** 9"),
            ("A/0", "division by zero: found A / 0"),
            ("A/(E - E)", "division by zero: found A / (E - E)"),
            ("A/0.0", "division by zero: found A / 0.0"),
            ("0**-1", "no real number: found 0 ** (-1); expected a positive base"),
            ("0**shift", "no real number: found 0 ** shift"),
            ("(0 - 8)**(1/3)", "no real number: found (0 - 8) ** (1 / 3)"),
            ("(0 - 2)**alpha", "no real number: found (0 - 2) ** alpha"),
            ("log(0)", "no real number: found log(0); expected a positive argument"),
            ("log(E - E)", "no real number: found log(E - E)"),
            ("sqrt(0 - 1)", "no real number: found sqrt(0 - 1)"),
            ("sqrt(-params)", "no real number: found sqrt(-params)"),
            ("boxcox(-1, 2)", "no real number: found boxcox(-1, 2)"),
            ("lgamma(0)", "no real number: found lgamma(0); expected a positive argument"),
            ("lgamma(-1.5)", "no real number: found lgamma(-1.5)"),
            ("lrise(0, A)", "no real number: found lrise(0, A); expected a positive argument"),
            ("lrise(A)", "lrise takes 2 arguments: found 1"),
            ("lgamma(3/2)**0.5", "no real number: found lgamma(3 / 2) ** 0.5"),
            ("log1p(-1)", "no real number: found log1p(-1); expected an argument above -1"),
            ("log(min(A, -A)*0 - 1)", "no real number: found log(min(A, -A) * 0 - 1)"),
            ("sqrt(max(-2, -1))", "no real number: found sqrt(max(-2, -1))"),
            ("max(9**9**9, 1)", "a tower of powers: found 9 ** 9"),
            ("lgamma(1e300)", "number too large or too small: found 1e+300"),
            ("lgamma(1e299)", "number too large or too small: found lgamma(1e+299)"),
            ("exp(lgamma(1e5))", "number too large or too small: found exp(lgamma(100000.0))"),
            ("expm1(1000)", "number too large or too small: found expm1(1000)"),
            ("1e400", "number too large or too small: found 1e309"),
            ("1e299*1e299", "number too large or too small: found 1e+299 * 1e+299"),
            ("A*1e299*1e299", "number too large or too small: found A * 1e+299 * 1e+299"),
            ("A/1e299/1e299", "number too large or too small: found A / 1e+299 / 1e+299"),
            ("exp(1000)", "number too large or too small: found exp(1000)"),
            ("exp(-exp(600))**-1", "number too large or too small: found exp(-exp(600))"),
            ("9" * 1000, "number too large or too small: found " + "9" * 60 + "..."),
            ("2**1000", "number too large or too small: found 2 ** 1000; expected an exponent up"),
            ("A**1000", "number too large or too small: found A ** 1000; expected an exponent up"),
        ],
    )
    def test_what_has_no_sane_value(self, text: str, message: str) -> None:
        with pytest.raises(InputError, match="^formula: " + re.escape(message)):
            parse_formula(text, SYMBOLS)

    @pytest.mark.parametrize(
        "text",
        [
            "(10*E)**999999999",
            "((((10*E)**99)**99)**99)**99",
            "exp(E + 999999999*log(10))",
            "exp(999999999*log(10*E))",
            "(2**tokens)**(999999999/tokens)",
            "300**(A - 999999999)",
            "boxcox(10*E, 999999999)",
            "max(2, 3)**999999999",
            "(10*E)**max(2, 999999999)",
            "exp(999999999*max(log(10), 1))",
            "exp(E + 999999999*min(log(10), 3))",
            "exp(lgamma(999999999))",
            "exp(999999999*log1p(9))",
            "expm1(E + 999999999*log(10))",
        ],
    )
    def test_numbers_that_would_take_for_ever_to_write_out(self, text: str) -> None:
        with pytest.raises(InputError, match=r"^formula: number too large or too small: found"):
            parse_formula(text, SYMBOLS)

    def test_a_million_characters(self) -> None:
        with pytest.raises(
            InputError,
            match=f"the formula is too long: found 1000000 characters; expected at most "
            f"{MAX_CHARACTERS}$",
        ):
            parse_formula("E" * 1_000_000, SYMBOLS)

    @pytest.mark.parametrize("text", ["-" * 100 + "E", "+".join(["E"] * 100), "exp(" * 90])
    def test_deep_nesting(self, text: str) -> None:
        closed = text + "E" * text.endswith("(") + ")" * text.count("(")
        with pytest.raises(
            InputError, match=f"nested too deeply: expected at most {MAX_DEPTH} levels$"
        ):
            parse_formula(closed, SYMBOLS)

    def test_more_parentheses_than_python_reads(self) -> None:
        with pytest.raises(InputError, match=r"^formula: not a formula: found '\(\(\("):
            parse_formula("(" * 900 + "E" + ")" * 900, SYMBOLS)


# Characters that formulas are made of come up often, so that junk gets past the first check.
_ALPHABET = st.one_of(
    st.sampled_from([*NAMES, "shift", *FUNCTIONS, "(", ")", "*", "**"]),
    st.sampled_from(["+", "-", "/", ",", ".", "=", ":", "[", "]", "{", "}", "'", '"', "\\", "\n"]),
    st.sampled_from(["0", "1", "9", "1e308", "1e-308", "lambda ", " if ", " else ", " for ", "__"]),
    st.characters(),
)
_NUMBERS = st.sampled_from(["0", "1", "2", "7", "0.5", "1e-3", "1e10", "1e200", "999999999"])

_OF_ONE = sorted(name for name, (count, _) in FUNCTIONS.items() if count == 1)
_OF_TWO = sorted(name for name, (count, _) in FUNCTIONS.items() if count == 2)


def _composed(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    operators = st.sampled_from(["+", "-", "*", "/", "**"])
    return st.one_of(
        st.builds("({}{}{})".format, inner, operators, inner),
        st.builds("-{}".format, inner),
        st.builds("{}({})".format, st.sampled_from(_OF_ONE), inner),
        st.builds("{}({},{})".format, st.sampled_from(_OF_TWO), inner, inner),
    )


_FORMULAS = st.recursive(_NUMBERS | st.sampled_from([*NAMES, "shift"]), _composed, max_leaves=12)
_SHORT = st.recursive(st.sampled_from(["E", "2", "0.5"]), _composed, max_leaves=3)


def _is_foreign(name: str) -> bool:
    # Python reads compatible letters, such as ligatures, as their plain form.
    plain = unicodedata.normalize("NFKC", name)
    return plain.isidentifier() and plain not in SYMBOLS and plain not in FUNCTIONS


_FOREIGN = st.one_of(
    st.from_regex(r"\A[^\W\d]\w{0,8}\Z"),
    st.sampled_from(["__import__", "__builtins__", "eval", "exec", "sympy", "E_", "called"]),
).filter(_is_foreign)
# What no formula may hold; most of it would call `called` if it were run.
_FORBIDDEN = st.one_of(
    _FOREIGN,
    st.builds("{}({})".format, _FOREIGN, _SHORT),
    st.builds("called({})".format, _SHORT),
    st.builds("({})**({})**({})".format, _SHORT, _SHORT, _SHORT),
    st.builds("({})**-(({})**({}))".format, _SHORT, _SHORT, _SHORT),
    st.builds("({}).{}".format, _SHORT, st.sampled_from(["real", "__class__", "subs", "evalf"])),
    st.builds("({}).{}({})".format, _SHORT, st.sampled_from(["subs", "__add__"]), _SHORT),
    st.builds("called().{}".format, _FOREIGN),
    st.builds("{}({}, x={})".format, st.sampled_from(_OF_ONE), _SHORT, _SHORT),
    st.builds("{}(x=called(), y={})".format, st.sampled_from(_OF_TWO), _SHORT),
    st.builds("{}(*{})".format, st.sampled_from([*_OF_ONE, *_OF_TWO]), _SHORT),
    st.builds("{}(**called({}))".format, st.sampled_from([*_OF_ONE, *_OF_TWO]), _SHORT),
    st.builds("(lambda: {})".format, _SHORT),
    st.builds("(lambda E=called(): {})()".format, _SHORT),
    st.builds("[{} for E in called()]".format, _SHORT),
    st.builds("{{E: {} for E in called()}}".format, _SHORT),
    st.builds("max({}, *(called() for E in A))".format, _SHORT),
    st.builds("({})[{}]".format, _SHORT, _SHORT),
    st.builds("E[called():{}]".format, _SHORT),
    st.text(max_size=8).map(repr),
    st.binary(max_size=8).map(repr),
    st.builds("'%s' % called({})".format, _SHORT),
    st.builds("f'{{{}}}'".format, _SHORT),
    st.builds("f'{{called({})}}'".format, _SHORT),
    st.builds("(E := {})".format, _SHORT),
    st.builds("(E := called({}))".format, _SHORT),
)
_AROUND = st.sampled_from(
    [
        "{}",
        "E+{}*A",
        "-({})",
        "({})**2",
        "2**({})",
        "E/({}+1)",
        "exp({})",
        "max(E,{})",
        "min({},2)",
        "lgamma({})",
        "lrise(A,{})",
        "boxcox(E,{})",
        "log1p(A*expm1({}))",
    ]
)


class TestAlwaysRefused:
    @settings(max_examples=400)
    @given(around=_AROUND, forbidden=_FORBIDDEN)
    def test_what_is_no_arithmetic_is_never_run_wherever_it_stands(
        self, around: str, forbidden: str
    ) -> None:
        text = around.format(forbidden)
        called = mock.Mock()
        with (
            mock.patch.object(builtins, "called", called, create=True),
            pytest.raises(InputError, match=r"^law mine: [^\n]+$"),
        ):
            parse_formula(text, SYMBOLS, where="law mine")
        called.assert_not_called()

    @settings(max_examples=20)
    @given(st.text(min_size=1, max_size=20) | _FORMULAS.map("{}+".format) | _FORBIDDEN)
    def test_a_million_characters_are_not_even_read(self, part: str) -> None:
        text = (part * (1_000_000 // len(part) + 1))[:1_000_000]
        with pytest.raises(InputError, match=r"^formula: the formula is too long: found 1000000"):
            parse_formula(text, SYMBOLS)


class TestNothingElseHappens:
    @settings(max_examples=300)
    @given(st.lists(_ALPHABET, max_size=40).map("".join))
    @example("exp(" * 20)
    @example("\N{LATIN SMALL LIGATURE FI}")
    def test_junk_gives_an_expression_or_one_line(self, text: str) -> None:
        self.check(text)

    @settings(max_examples=200)
    @given(st.text(max_size=60))
    def test_any_text_gives_an_expression_or_one_line(self, text: str) -> None:
        self.check(text)

    @settings(max_examples=200)
    @given(_FORMULAS)
    @example("(0.0**0.5)")
    @example("exp(boxcox(2,3))")
    def test_any_arithmetic_gives_a_real_expression_or_one_line(self, text: str) -> None:
        self.check(text)

    @staticmethod
    def check(text: str) -> None:
        try:
            outcome = parse_formula(text, SYMBOLS)
        except InputError as error:
            outcome = error
        if isinstance(outcome, InputError):
            assert str(outcome).startswith("formula: ")
            assert "\n" not in str(outcome)
        else:
            assert isinstance(outcome, sympy.Expr)
            assert outcome.free_symbols <= set(SYMBOLS.values())
            assert not outcome.has(sympy.I, sympy.nan, sympy.oo, sympy.zoo)


class TestExprel:
    """The functions behind boxcox: integrals of s**k exp(s t) over s from 0 to 1."""

    @given(st.integers(0, 3), st.floats(-30, 30))
    @example(0, 0.0)
    @example(3, 0.5)
    @example(3, -0.5)
    @example(2, 0.4999999999)
    @example(2, 1e-300)
    def test_equals_the_hypergeometric_function(self, order: int, t: float) -> None:
        exact = sympy.hyper((order + 1,), (order + 2,), sympy.Float(t, 40)).evalf(30) / (order + 1)
        # The recurrence loses digits just outside the radius of the series.
        assert float(exprel(order, t)) == pytest.approx(float(exact), rel=2e-14)

    @pytest.mark.parametrize("order", range(3))
    def test_the_derivative_is_the_next_one(self, order: int) -> None:
        t = sympy.Symbol("t", real=True)
        assert EXPREL[order](t).diff(t) == EXPREL[order + 1](t)

    def test_is_a_number_where_its_argument_is(self) -> None:
        assert EXPREL[1](0) == sympy.Rational(1, 2)
        assert float(EXPREL[0](2)) == pytest.approx((math.exp(2) - 1) / 2, rel=1e-15)
