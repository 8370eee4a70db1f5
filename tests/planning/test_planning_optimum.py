"""The compute-optimal split: closed forms, the search, and where there is none."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from isoloss.errors import FitError, InputError
from isoloss.laws import CATALOGUE, Law, Surface, law_from_definition
from isoloss.planning import optimal_path, optimum, replicate_optimum
from isoloss.planning.optimum import require_optimum

CLOSED = [name for name, law in CATALOGUE.items() if law.optimum]
# The same laws without their formula for the optimum, so that they are searched.
SEARCHED = {name: replace(law, optimum="") for name, law in CATALOGUE.items()}
NOTEBOOK = Surface.published(CATALOGUE["farseer"], "notebook")
EQUATION_15 = Surface.published(CATALOGUE["farseer"], "paper")

budgets = st.floats(17, 26).map(lambda power: 10.0**power)
shares = st.floats(0.05, 2.0)


@st.composite
def parameters_of(draw: st.DrawFn, name: str) -> dict[str, float]:
    """Parameters whose terms are of the order of the loss around N = 1e9, D = 2e10."""
    N, D = 1e9, 2e10
    floor = draw(st.floats(0.1, 3.0))
    model, data = draw(shares), draw(shares)
    if name == "kaplan":
        alpha_N, alpha_D = draw(st.floats(0.03, 0.4)), draw(st.floats(0.05, 0.5))
        return {
            "N_c": N * (1 + model) ** (1 / alpha_N),
            "D_c": D * (1 + data) ** (1 / alpha_D),
            "alpha_N": alpha_N,
            "alpha_D": alpha_D,
        }
    if name.startswith("overtraining"):
        eta = draw(st.floats(0.03, 0.5))
        scale = (6 * N * D) ** eta
        ratio = (D / N) ** eta
        return {"E": floor, "a": model * scale / ratio, "b": data * scale * ratio, "eta": eta}
    alpha, beta = draw(st.floats(0.05, 1.0)), draw(st.floats(0.05, 1.0))
    terms = {
        "E": floor,
        "A": model * N**alpha,
        "B": data * D**beta,
        "alpha": alpha,
        "beta": beta,
    }
    return terms if name == "chinchilla" else {**terms, "k": draw(st.floats(0.2, 2.0))}


def test_every_law_of_n_and_d_with_a_closed_form_is_covered() -> None:
    assert set(CLOSED) == {
        *("chinchilla", "coupled", "coupled-held", "overtraining", "overtraining-held", "kaplan"),
    }


@pytest.mark.parametrize("name", CLOSED)
@given(data=st.data(), flops=budgets)
def test_closed_form_equals_the_search(name: str, data: st.DataObject, flops: float) -> None:
    parameters = data.draw(parameters_of(name))
    closed = optimum(Surface.of_parameters(CATALOGUE[name], parameters), flops)
    # The search looks between 0.001 and 10 million tokens per parameter.
    assume(2e-3 < closed.tokens[0] / closed.params[0] < 5e6)
    searched = optimum(Surface.of_parameters(SEARCHED[name], parameters), flops)
    assert closed.closed_form
    assert not searched.closed_form
    np.testing.assert_allclose(searched.params, closed.params, rtol=1e-9)
    np.testing.assert_allclose(searched.tokens, closed.tokens, rtol=1e-9)


@pytest.mark.parametrize("name", CLOSED)
@given(data=st.data(), flops=budgets)
def test_the_optimum_spends_the_budget_and_beats_its_neighbours(
    name: str, data: st.DataObject, flops: float
) -> None:
    surface = Surface.of_parameters(CATALOGUE[name], data.draw(parameters_of(name)))
    found = optimum(surface, flops)
    np.testing.assert_allclose(6 * found.params * found.tokens, flops, rtol=1e-12)
    best = surface.predict(params=found.params, tokens=found.tokens)
    for factor in (0.9, 1.1):
        other = surface.predict(params=found.params * factor, tokens=found.tokens / factor)
        assert np.all(other > best * (1 - 1e-13))


@given(data=st.data(), flops=budgets)
def test_chinchillas_optimum_balances_its_terms(data: st.DataObject, flops: float) -> None:
    """At the optimum alpha A N^-alpha = beta B D^-beta, and the N term is a share
    beta / (alpha + beta) of the reducible loss.
    """
    parameters = data.draw(parameters_of("chinchilla"))
    E, A, B, alpha, beta = (parameters[name] for name in ("E", "A", "B", "alpha", "beta"))
    found = optimum(Surface.of_parameters(CATALOGUE["chinchilla"], parameters), flops)
    model, tokens = A * found.params[0] ** -alpha, B * found.tokens[0] ** -beta
    assert alpha * model == pytest.approx(beta * tokens, rel=1e-9)
    assert model / (model + tokens) == pytest.approx(beta / (alpha + beta), rel=1e-9)
    G = (alpha * A / (beta * B)) ** (1 / (alpha + beta))
    reducible = (A * G**-alpha + B * G**beta) * (flops / 6) ** (-alpha * beta / (alpha + beta))
    assert E + model + tokens == pytest.approx(E + reducible, rel=1e-9)


@given(
    st.floats(0.1, 3.0), st.floats(0.1, 1e6), st.floats(0.02, 0.6), st.lists(budgets, min_size=1)
)
def test_the_null_law_never_has_an_optimum(
    E: float, A: float, alpha: float, flops: list[float]
) -> None:
    """Its loss is flat along equal compute; rounding makes dents there that are no minima."""
    surface = Surface.of_parameters(CATALOGUE["compute"], {"E": E, "A": A, "alpha": alpha})
    assert np.isnan(optimum(surface, flops).params).all()


def test_no_optimum_is_said_with_the_law_the_budget_and_the_range_searched() -> None:
    surface = Surface.of_parameters(CATALOGUE["compute"], {"E": 1.7, "A": 1e3, "alpha": 0.15})
    with pytest.raises(FitError) as caught:
        require_optimum(surface, 1e21)
    assert str(caught.value) == (
        "law compute has no optimal split of 1e+21 FLOPs: its loss has no interior minimum "
        "between 0.001 and 1e+07 tokens per parameter"
    )


@pytest.mark.parametrize("flops", [1e23, 1e24, 1e25])
def test_farseers_printed_equation_15_has_no_optimum_at_large_budgets(flops: float) -> None:
    assert np.isnan(optimum(EQUATION_15, flops).params).all()
    with pytest.raises(FitError, match=r"^law farseer has no optimal split of"):
        require_optimum(EQUATION_15, flops)


@pytest.mark.parametrize(("surface", "flops"), [(EQUATION_15, 4e22), (NOTEBOOK, 1e21)])
def test_the_interior_minimum_is_chosen_although_the_law_falls_again(
    surface: Surface, flops: float
) -> None:
    """Farseer's form tends to exp(b2) as N grows: at the edge the loss may be lower than at the
    interior minimum, on a token or less per thousand parameters.
    """
    params, tokens = require_optimum(surface, flops)
    best = float(surface.predict(params=params, tokens=tokens))
    sizes = params * np.geomspace(1, 1e6, 500)
    loss = surface.predict(params=sizes, tokens=flops / (6 * sizes))
    summit = int(np.argmax(loss))
    assert 0 < summit < 499
    assert loss[-1] < loss[summit]
    if surface is EQUATION_15:
        assert loss[-1] < best
    assert 1 < tokens / params < 100


def own_law(formula: str, names: str, inputs: tuple[str, ...] = ("params", "tokens")) -> Law:
    parameters = {name: {"start": [0.1, 1.0], "lower": 0.0} for name in names.split()}
    return law_from_definition(
        {"name": "own", "formula": formula, "parameters": parameters, "inputs": list(inputs)}
    )


@pytest.mark.parametrize(("slope", "valley"), [(0.012, 20.0), (0.008, 2000.0)])
def test_the_lowest_of_several_interior_minima_is_chosen(slope: float, valley: float) -> None:
    """Along equal compute ln D grows by half of ln(D/N), so that B = G/2 would level the two."""
    law = own_law(
        "E + A*(log(tokens/params) - log(20))**2*(log(tokens/params) - log(2000))**2"
        " + B*log(tokens/params) - G*log(tokens)",
        "E A B G",
    )
    surface = Surface.of_parameters(law, {"E": 9.0, "A": 1e-3, "B": slope, "G": 0.02})
    params, tokens = require_optimum(surface, 1e21)
    assert tokens / params == pytest.approx(valley, rel=0.1)


def test_a_minimum_where_more_tokens_hurt_is_none() -> None:
    """Where the loss rises with D, fewer tokens would be better still for that size."""
    law = own_law("E + A*params**alpha + B*tokens**alpha", "E A B alpha")
    surface = Surface.of_parameters(law, {"E": 1.0, "A": 1e-3, "B": 1e-3, "alpha": 0.3})
    assert np.isnan(optimum(surface, 1e21).params).all()


def test_laws_of_other_inputs_are_refused_by_name() -> None:
    law = own_law(
        "E + A/params**alpha + B/(tokens*epochs)**alpha",
        "E A B alpha",
        ("params", "tokens", "epochs"),
    )
    surface = Surface.of_parameters(law, {"E": 1.0, "A": 400.0, "B": 400.0, "alpha": 0.3})
    with pytest.raises(InputError, match=r"^law own does not read N and D alone$"):
        optimum(surface, 1e21)


@pytest.mark.parametrize("inputs", [("params", "tokens"), ("tokens", "params")])
def test_the_order_of_inputs_does_not_matter(inputs: tuple[str, ...]) -> None:
    law = own_law("E + A/params**alpha + B/tokens**beta", "E A B alpha beta", inputs)
    epoch = CATALOGUE["chinchilla"].published_set("epoch-2024").parameters
    found = optimum(Surface.of_parameters(law, epoch), [1e20, 5.76e23])
    np.testing.assert_allclose(found.params, [8.535e8, 7.225e10], rtol=1e-4)


@pytest.mark.parametrize("law", [CATALOGUE["chinchilla"], SEARCHED["chinchilla"]])
def test_replicates_have_the_optima_of_their_own_parameters(law: Law) -> None:
    epoch = CATALOGUE["chinchilla"].published_set("epoch-2024").parameters
    alone = Surface.of_parameters(law, epoch)
    others = [
        Surface.of_parameters(law, {**epoch, "alpha": alpha}, alone.centre)
        for alpha in (0.33, 0.3478, 0.36)
    ]
    surface = replace(alone, replicates=np.column_stack([other.working for other in others]))
    found = replicate_optimum(surface, 1e22)
    expected = [require_optimum(other, 1e22)[0] for other in others]
    np.testing.assert_allclose(found.params, expected, rtol=1e-9)
    np.testing.assert_allclose(6 * found.params * found.tokens, 1e22, rtol=1e-12)


def test_the_path_has_gaps_where_there_is_no_optimum() -> None:
    path = optimal_path(EQUATION_15, [1e21, 1e24])
    assert path.columns == ["flops", "params", "tokens", "tokens_per_param", "loss"]
    first, second = path.rows(named=True)
    assert first["tokens_per_param"] == pytest.approx(first["tokens"] / first["params"])
    assert first["loss"] == pytest.approx(0.4751, abs=1e-4)
    assert all(math.isnan(second[name]) for name in ("params", "tokens", "loss"))


@pytest.mark.parametrize("flops", [0.0, -1e21, math.nan, math.inf])
def test_unusable_budgets_are_refused(flops: float) -> None:
    message = rf"^--flops: not a budget: found {flops:g}; expected a positive number$"
    with pytest.raises(InputError, match=message.replace("+", r"\+")):
        require_optimum(NOTEBOOK, flops)
    with pytest.raises(InputError, match=r"^--flops: not a budget"):
        optimal_path(NOTEBOOK, [1e21, flops])
