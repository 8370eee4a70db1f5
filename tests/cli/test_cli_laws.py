"""`isoloss laws`: the catalogue, and what its published coefficients predict."""

from __future__ import annotations

import pytest
from cli_program import document, done, refusal

from isoloss.laws import CATALOGUE


def test_the_catalogue() -> None:
    listed = document("laws")["laws"]
    assert [law["name"] for law in listed] == list(CATALOGUE)
    lines = done("laws").stdout.splitlines()
    assert lines[1].split() == ["name", "what", "it", "is", "source"]
    for name in CATALOGUE:
        assert sum(line.split()[:1] == [name] for line in lines) == 1


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_law_in_full(name: str) -> None:
    law = document("laws", name)
    assert (law["name"], law["formula"]) == (name, CATALOGUE[name].formula)
    assert law["parameters"] == list(CATALOGUE[name].parameter_names)
    shown = done("laws", name).stdout
    # Formulas are never broken, so that they can be copied.
    assert f"\nformula  {law['formula']}\n" in shown
    assert f"\nLaTeX    {law['latex']}\n" in shown
    for entry in CATALOGUE[name].published:
        assert f"{name}:{entry.name} (" in shown
        assert all(repr(value) in shown for value in entry.parameters.values())
        assert entry.warning in shown


def test_published_coefficients_predict() -> None:
    law = document("laws", "chinchilla", "--at", "70B:1.4T", "7B:140B")
    sets = {entry["name"]: entry["predictions"] for entry in law["published"]}
    # 1.69337368 + 406.40102 / 70e9**0.33917084 + 410.72283 / 1.4e12**0.2849083, by hand.
    assert [point["params"] for point in sets["hoffmann-tex"]] == [70e9, 7e9]
    assert sets["hoffmann-tex"][0]["loss"] == pytest.approx(1.92085, abs=1e-5)
    shown = done("laws", "chinchilla", "--at", "70B:1.4T").stdout
    assert "L(70B, 1.4T)" in shown
    assert "1.92085" in shown


def test_published_coefficients_predict_whatever_the_law_does() -> None:
    law = document("laws", "downstream", "--at", "loss=2.5198")
    sets = {entry["name"]: entry["predictions"] for entry in law["published"]}
    # 0.8570 - 2.2065*exp(-0.7146*2.5198), by hand.
    assert sets["redpajama-17"] == [{"loss": 2.5198, "error": pytest.approx(0.4925, abs=1e-4)}]
    shown = done("laws", "downstream", "--at", "loss=2.5198").stdout
    assert "error(2.52)" in shown
    assert "predicts error (share of wrong answers)" in shown


def test_points_name_every_input_of_the_law() -> None:
    assert refusal("laws", "downstream", "--at", "7B:1T").startswith("--at: not a point: found (7")
    assert refusal("laws", "downstream", "--at", "los=2").endswith(
        "expected all inputs of the law: loss=..."
    )


def test_an_unknown_law() -> None:
    assert refusal("laws", "gauss") == (
        f"NAME: unknown law: found 'gauss'; expected one of {', '.join(CATALOGUE)}, or a TOML file"
    )


def test_points_need_coefficients() -> None:
    assert refusal("laws", "--at", "70B:1.4T") == (
        "--at: no law to predict with: expected isoloss laws NAME"
    )
    assert refusal("laws", "coupled", "--at", "70B:1.4T") == (
        "law coupled: no published coefficients to predict with: "
        "expected isoloss fit, then isoloss predict"
    )


def test_a_law_made_for_any_columns_shows_what_it_is_of_these() -> None:
    law = document("laws", "mixing", "--inputs", "web,code", "--target", "code_loss")
    assert law["formula"] == "c + exp(t1*web + t2*code)"
    assert law["target"]["name"] == "code_loss"
    assert refusal("laws", "mixing") == (
        "NAME: law mixing needs the columns it is for: expected --inputs NAME,... and --target NAME"
    )


def test_a_law_of_ones_own_is_exported_like_any_other() -> None:
    law = document("laws", "--formula", "E + A/params**a")
    assert law["latex"] == "L(N) = A N^{- a} + E"
    assert "return A*Math.pow(params, -a) + E;" in law["javascript"]
    assert refusal("laws", "chinchilla", "--formula", "E + A/params**a") == (
        "--formula: two laws: found chinchilla too; expected a name or a formula"
    )
    assert refusal("laws", "chinchilla", "--signed", "web") == (
        "--signed: no formula for it: expected --formula TEXT"
    )
