"""Laws for readers and for pages: LaTeX, JavaScript and JSON."""

from __future__ import annotations

import json
import shutil
import subprocess

import numpy as np
import pytest
import sympy

from isoloss.laws import CATALOGUE, Law, Surface, positive
from isoloss.laws.formula import parse_formula
from isoloss.laws.printing import to_javascript, to_latex

POINTS = [(2e8, 2e9), (1e9, 1e13), (7e10, 1.4e12), (1e12, 3e10), (123456789.0, 987654321.0)]
# Laws without published numbers, and one that uses every function there is, near and far from the
# series of exprel.
OTHER_PARAMETERS = {
    "coupled": {"E": 0.4, "A": 30.0, "B": 90.0, "alpha": 0.5, "beta": 0.6, "k": 0.41},
    "compute": {"E": 1.7, "A": 46.4, "alpha": 0.0898},
}
EVERYTHING = Law(
    "everything",
    "everything",
    "exp(-a)*sqrt(params/tokens) + log(params)/3 + boxcox(params/1e9, b) + b*boxcox(tokens, 0.01)"
    " - 2e-3*(params - tokens)/(params + tokens) + tokens**-0.5",
    (positive("a"), positive("b")),
    "here",
)


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
        shown = CATALOGUE[name].latex()
        assert shown.startswith("L(N, D) = ")
        assert shown.count("{") == shown.count("}")
        assert shown.count(r"\left(") == shown.count(r"\right)")
        for word in ("params", "tokens", "exprel", "**", "*"):
            assert word not in shown

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
        calls = []
        for law, parameters in sets():
            for params, tokens in POINTS:
                inputs = json.dumps({"params": params, "tokens": tokens})
                function = f"(() => {{ {law.javascript()} return law; }})()"
                calls.append(f"({function})({inputs}, {json.dumps(parameters)})")
        program = f"console.log(JSON.stringify([{','.join(calls)}]));"
        done = subprocess.run(
            [node, "-e", program], check=True, capture_output=True, text=True, timeout=60
        )
        N, D = np.array(POINTS).T
        expected = [law.predict(parameters, params=N, tokens=D) for law, parameters in sets()]
        np.testing.assert_allclose(json.loads(done.stdout), np.concatenate(expected), rtol=1e-12)

    def test_is_one_function_of_two_objects(self) -> None:
        source = CATALOGUE["chinchilla"].javascript()
        assert source.startswith("function law({params, tokens}, {E, A, B, alpha, beta}) {\n")
        assert "exprel" not in source
        assert EVERYTHING.javascript().startswith("function exprel(k, t) {")

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
        assert [entry["name"] for entry in document["inputs"]] == ["params", "tokens"]
        for entry in document["published"]:
            surface = Surface.of_parameters(law, entry["parameters"])
            own = Surface.published(law, entry["name"])
            assert surface.predict(params=7e10, tokens=1e12) == own.predict(
                params=7e10, tokens=1e12
            )
