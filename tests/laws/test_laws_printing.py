"""Laws for readers and for pages: LaTeX, JavaScript and JSON."""

from __future__ import annotations

import json
import shutil
import subprocess

import numpy as np
import pytest
import sympy

from isoloss.laws import CATALOGUE, Law, Surface, positive
from isoloss.laws.compilation import log_gamma
from isoloss.laws.formula import parse_formula
from isoloss.laws.printing import to_javascript, to_latex

POINTS = 5
VOCABULARY_LOSS = "unigram_normalized_loss"
# Laws without published numbers, and one that uses every function there is, near and far from the
# series of exprel.
OTHER_PARAMETERS = {
    "coupled": {"E": 0.4, "A": 30.0, "B": 90.0, "alpha": 0.5, "beta": 0.6, "k": 0.41},
    "compute": {"E": 1.7, "A": 46.4, "alpha": 0.0898},
    "log-compute": {"a": 5.0, "b": -0.06},
    "emergent": {"epsilon": 0.75, "k": 0.4, "tau": 2.5},
    "pass-at-k-of-loss": {
        **{"theta0": 1.2, "theta1": 4.0, "theta2": 0.9, "theta3": 1.0, "theta4": -0.3},
    },
}
EVERYTHING = Law(
    "everything",
    "everything",
    "exp(-a)*sqrt(params/tokens) + log(params)/3 + boxcox(params/1e9, b) + b*boxcox(tokens, 0.01)"
    " - 2e-3*(params - tokens)/(params + tokens) + tokens**-0.5"
    " + max(params, tokens)/min(params, 1e10) + a*max(b, 0.5)*min(1e-3*a, b)"
    " + expm1(-1e3*a/params) + log1p(b/tokens) + expm1(b)*log1p(a)"
    " + lgamma(params) - lgamma(tokens)/7 + lgamma(a) + lgamma(b + 1.5) + lgamma(a + 12)"
    " + lrise(a, b) + lrise(params, a + 2) + lrise(20 + b, 7) + lrise(12 + a, params/1e5)",
    (positive("a"), positive("b")),
    "here",
)


def points(law: Law) -> dict[str, np.ndarray]:
    """Sizes of every input, from one end of where it usually is to the other, in any order."""
    random = np.random.default_rng(0)
    return {
        entry.name: random.permutation(np.geomspace(*entry.usual, POINTS)) for entry in law.inputs
    }


def sets() -> list[tuple[Law, dict[str, float]]]:
    published = [
        (law, dict(entry.parameters)) for law in CATALOGUE.values() for entry in law.published
    ]
    others = [(CATALOGUE[name], parameters) for name, parameters in OTHER_PARAMETERS.items()]
    return [
        *published,
        *others,
        (EVERYTHING, {"a": 0.3, "b": 0.02}),
        (EVERYTHING, {"a": 0.3, "b": 0.9}),
    ]


class TestLatex:
    @pytest.mark.parametrize(
        ("name", "terms"),
        [
            ("chinchilla", [r"A N^{- \alpha}", r"B D^{- \beta}", "E"]),
            ("coupled", [r"\left(A N^{- \alpha} + B D^{- \beta}\right)^{k}", "E"]),
            ("compute", [r"A \left(6 N D\right)^{- \alpha}", "E"]),
            (
                "farseer",
                [
                    r"e^{a_{3} N^{\gamma} + b_{3}}",
                    r"D^{- e^{a_{1} N^{\alpha} + b_{1}}} e^{a_{2} N^{\beta} + b_{2}}",
                ],
            ),
            (
                "kaplan",
                [
                    r"\frac{D_{c}}{D}",
                    r"\left(\frac{N_{c}}{N}\right)^{\frac{\alpha_{N}}{\alpha_{D}}}",
                    r"\right)^{\alpha_{D}}",
                ],
            ),
        ],
    )
    def test_has_the_terms_as_the_paper_writes_them(self, name: str, terms: list[str]) -> None:
        shown = CATALOGUE[name].latex()
        for term in terms:
            assert term in shown

    @pytest.mark.parametrize("name", CATALOGUE)
    def test_is_balanced_and_free_of_program_names(self, name: str) -> None:
        law = CATALOGUE[name]
        shown = law.latex()
        arguments = ", ".join(entry.symbol for entry in law.inputs)
        assert shown.startswith(f"{law.target.symbol}({arguments}) = ")
        assert shown.count("{") == shown.count("}")
        assert shown.count(r"\left(") == shown.count(r"\right)")
        names = [entry.name for entry in law.inputs if len(entry.name) > 1]
        functions = ("exprel", "Larger", "Maximum", "Minimum", "LogGamma", "LogRise", "expm1")
        for word in (*names, *functions, "**", "*"):
            assert word not in shown

    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("max(u, e)", r"\max\left(u, e\right)"),
            ("min(u, 2)/e", r"\frac{\min\left(u, 2\right)}{e}"),
            ("lgamma(u)", r"\log\Gamma\left(u\right)"),
            (
                "lrise(u, e)",
                r"\log\left(\frac{u^{- e} \Gamma\left(e + u\right)}{\Gamma\left(u\right)}\right)",
            ),
            ("e*expm1(-u)", r"e \left(-1 + e^{- u}\right)"),
            ("log1p(u*e)", r"\log\left(e u + 1\right)"),
            ("max(u, e)**2", r"\max\left(u, e\right)^{2}"),
            ("max(u, e)**e", r"\max\left(u, e\right)^{e}"),
            ("lgamma(u)**2", r"\log\Gamma\left(u\right)^{2}"),
            ("1/log1p(u)", r"\frac{1}{\log\left(u + 1\right)}"),
            ("sqrt(expm1(u))", r"\sqrt{\left(e^{u} - 1\right)}"),
            ("expm1(u)**e", r"\left(e^{u} - 1\right)^{e}"),
            (
                "boxcox(u, e)**2",
                r"\log{\left(u \right)}^{2} \varphi_{0}\left(e \log{\left(u \right)}\right)^{2}",
            ),
        ],
    )
    def test_writes_functions_as_mathematics_does(self, text: str, shown: str) -> None:
        symbols = {name: sympy.Symbol(name, positive=True) for name in ("u", "e")}
        assert to_latex(parse_formula(text, symbols), {}) == shown

    def test_names_the_function_behind_boxcox(self) -> None:
        symbols = {name: sympy.Symbol(name, positive=True) for name in ("u", "e")}
        latex = to_latex(parse_formula("boxcox(u, e)", symbols), {})
        assert r"\varphi_{0}\left(e \log{\left(u \right)}\right)" in latex


@pytest.fixture(scope="module")
def node() -> str:
    found = shutil.which("node")
    if found is None:
        pytest.skip("node, which runs JavaScript, is not on this machine")
    return found


class TestJavaScript:
    def test_gives_the_numbers_of_numpy_for_every_law(self, node: str) -> None:
        calls, expected = [], []
        for law, parameters in sets():
            columns = points(law)
            expected.append(law.predict(parameters, **columns))
            function = f"(() => {{ {law.javascript()} return law; }})()"
            for row in zip(*(column.tolist() for column in columns.values()), strict=True):
                inputs = json.dumps(dict(zip(columns, row, strict=True)))
                calls.append(f"({function})({inputs}, {json.dumps(parameters)})")
        program = f"console.log(JSON.stringify([{','.join(calls)}]));"
        done = subprocess.run(
            [node, "-e", program], check=True, capture_output=True, text=True, timeout=60
        )
        # A share is what is left of 1.
        np.testing.assert_allclose(
            json.loads(done.stdout), np.concatenate(expected), rtol=1e-12, atol=1e-13
        )

    def test_lgamma_is_that_of_scipy_to_a_few_units_in_the_last_place(self, node: str) -> None:
        x = sympy.Symbol("x", positive=True)
        source = to_javascript(parse_formula("lgamma(x)", {"x": x}), ["x"], [])
        points = np.concatenate(
            [np.geomspace(1e-300, 1e300, 200), np.linspace(0.01, 25, 500), [1.0, 2.0, 10.0]]
        )
        program = (
            f"{source} console.log(JSON.stringify({{points: {points.tolist()}"
            ".map(x => law({x}, {})), ends: [-1, 0, Infinity, NaN].map(x => `${law({x}, {})}`)}));"
        )
        done = subprocess.run(
            [node, "-e", program], check=True, capture_output=True, text=True, timeout=60
        )
        found = json.loads(done.stdout)
        np.testing.assert_allclose(found["points"], log_gamma(0, points), rtol=2e-15, atol=1e-14)
        assert found["ends"] == ["NaN", "Infinity", "Infinity", "NaN"]

    def test_is_one_function_of_two_objects(self) -> None:
        source = CATALOGUE["chinchilla"].javascript()
        head = "function law({params, tokens}, {E, A, B, alpha, beta}) {\n"
        assert source.startswith(f'// Predicts "loss".\n{head}')
        assert "exprel" not in source
        assert "lgamma" not in source
        assert EVERYTHING.javascript().startswith("function exprel(k, t) {")

    @pytest.mark.parametrize(
        ("name", "target"),
        [("pass-at-k", "pass_at_k"), ("downstream", "error"), ("vocabulary", VOCABULARY_LOSS)],
    )
    def test_says_what_it_predicts(self, name: str, target: str) -> None:
        law = CATALOGUE[name]
        assert f'// Predicts "{target}".\nfunction law({{' in law.javascript()
        assert law.equation == f"{target} = {law.formula}"
        assert law.latex().startswith(f"{law.target.symbol}(")

    def test_a_target_of_any_name_stays_in_its_comment(self) -> None:
        """Column names come from tables: a line break in one must not end the comment."""
        source = to_javascript(sympy.Integer(1), [], [], "loss\n\u2028alert(1)")
        assert (
            source
            == '// Predicts "loss\\n\\u2028alert(1)".\nfunction law({}, {}) {\n  return 1;\n}\n'
        )

    def test_keeps_every_digit_of_a_number(self) -> None:
        symbol = sympy.Symbol("E", positive=True)
        number = 0.1234567890123456789
        source = to_javascript(parse_formula(f"E*{number!r}", {"E": symbol}), [], ["E"])
        assert float(source.split("return ")[1].split("*")[0]) == number


class TestJson:
    @pytest.mark.parametrize("name", CATALOGUE)
    def test_holds_what_a_program_needs_to_evaluate_the_law(self, name: str) -> None:
        law = CATALOGUE[name]
        document = json.loads(json.dumps(law.to_json(), allow_nan=False))
        assert document["name"] == name
        assert document["parameters"] == list(law.parameter_names)
        assert document["latex"] == law.latex()
        assert document["javascript"] == law.javascript()
        assert document["inputs"] == [
            {**vars(entry), "usual": list(entry.usual)} for entry in law.inputs
        ]
        assert document["target"] == vars(law.target)
        columns = points(law)
        for entry in document["published"]:
            surface = Surface.of_parameters(law, entry["parameters"])
            own = Surface.published(law, entry["name"])
            np.testing.assert_array_equal(surface.predict(**columns), own.predict(**columns))

    def test_names_the_keys_of_inputs_and_target(self) -> None:
        document = CATALOGUE["downstream"].to_json()
        keys = {"name", "symbol", "unit", "positive"}
        assert [set(entry) for entry in document["inputs"]] == [keys | {"improves", "usual"}]
        assert set(document["target"]) == keys | {"higher_is_better"}
