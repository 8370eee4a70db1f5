"""The catalogue: every law is whole, and found by its name."""

from __future__ import annotations

import math

import numpy as np
import pytest

from isoloss.errors import InputError
from isoloss.laws import (
    CANDIDATES,
    CATALOGUE,
    candidates_for,
    find_family,
    find_law,
    working_law,
)

REPEATED = ("repeated-data", "repeated-diffusion")


@pytest.mark.parametrize("name", CATALOGUE)
class TestEveryLaw:
    def test_is_found_by_its_name(self, name: str) -> None:
        assert find_law(name) is CATALOGUE[name]
        assert find_law(name).name == name

    def test_says_where_it_comes_from(self, name: str) -> None:
        law = CATALOGUE[name]
        assert law.title
        assert law.source
        assert law.params in ("total", "nonembedding")
        for entry in law.inputs:
            assert entry.symbol
            assert entry.unit
            assert not entry.positive or 0 < entry.usual[0] < entry.usual[1]
        assert law.target.symbol
        assert law.target.unit
        assert law.standing >= 0

    def test_uses_every_parameter_and_input_in_its_formula(self, name: str) -> None:
        law = CATALOGUE[name]
        assert law.expression.free_symbols == set(law.symbols.values())

    def test_starts_inside_its_domain(self, name: str) -> None:
        for entry in working_law(CATALOGUE[name]).parameters:
            low, high = entry.start
            assert entry.lower <= low < high <= entry.upper

    def test_is_linear_where_it_says_so(self, name: str) -> None:
        law = working_law(CATALOGUE[name])
        symbols = {str(symbol): symbol for symbol in law.evaluator.parameters}
        linear = {symbols[each] for each in law.linear}
        for symbol in linear:
            assert not law.evaluator.expression.diff(symbol).free_symbols & linear

    def test_names_each_published_set_once_with_all_its_numbers(self, name: str) -> None:
        law = CATALOGUE[name]
        names = [entry.name for entry in law.published]
        assert len(set(names)) == len(names)
        for entry in law.published:
            assert set(entry.parameters) == set(law.parameter_names)
            assert entry.source
            assert entry.data
            assert entry.loss
            assert entry.params in ("total", "nonembedding")

    def test_refuses_a_set_that_is_not_there(self, name: str) -> None:
        names = ", ".join(entry.name for entry in CATALOGUE[name].published) or "none"
        with pytest.raises(
            InputError,
            match=f"^law {name}: unknown coefficient set: found nowhere; expected one of {names}$",
        ):
            CATALOGUE[name].published_set("nowhere")

    def test_refuses_wrong_parameters_and_inputs(self, name: str) -> None:
        law = CATALOGUE[name]
        parameters = dict.fromkeys(law.parameter_names, 0.5)
        wanted = ", ".join(law.parameter_names)
        inputs = ", ".join(entry.name for entry in law.inputs)
        with pytest.raises(
            InputError, match=f"^law {name}: wrong parameters: found none; expected {wanted}$"
        ):
            law.predict({}, **dict.fromkeys(inputs.split(", "), 1e9))
        with pytest.raises(
            InputError, match=f"^law {name}: wrong inputs: found colour; expected {inputs}$"
        ):
            law.predict(parameters, colour=1e9)

    def test_predicts_a_number_with_its_published_numbers(self, name: str) -> None:
        law = CATALOGUE[name]
        for entry in law.published:
            middle = {each.name: math.sqrt(math.prod(each.usual)) for each in law.inputs}
            value = float(law.predict(entry.parameters, **middle))
            assert math.isfinite(value)
            assert value > 0 or not law.target.positive


class TestCandidates:
    def test_are_the_loss_surfaces_of_the_catalogue_that_have_a_standing(self) -> None:
        assert set(CANDIDATES) == {
            law for law in CATALOGUE.values() if law.is_surface and law.standing > 0
        }
        assert [law.name for law in CANDIDATES] == list(CATALOGUE)[: len(CANDIDATES)]

    def test_are_nine(self) -> None:
        assert [law.name for law in CANDIDATES] == [
            *("farseer", "chinchilla", "coupled", "overtraining", "kaplan", "compute"),
            *("farseer-held", "coupled-held", "overtraining-held"),
        ]


class TestCandidatesFor:
    def test_n_and_d_are_the_candidates(self) -> None:
        assert candidates_for(["params", "tokens"]) == CANDIDATES
        assert candidates_for(["tokens", "params"], "loss") == CANDIDATES

    @pytest.mark.parametrize(
        ("columns", "target", "names"),
        [
            ("active_params experts", "loss", "routed effective-experts coupled-experts"),
            ("params streams", "loss", "parallel-scaling parallel-power"),
            ("loss", "error", "downstream emergent"),
            ("params tokens samples", "pass_at_k", "pass-at-k"),
            ("params steps", "loss", "kaplan-steps"),
            ("params", "loss", "power-params"),
            ("flops", "loss", "power-flops broken-1 broken-2 broken-3"),
        ],
    )
    def test_other_columns_are_the_laws_that_read_them(
        self, columns: str, target: str, names: str
    ) -> None:
        found = candidates_for(columns.split(), target)
        assert [law.name for law in found] == names.split()

    def test_laws_that_ignore_a_column_are_among_them(self) -> None:
        """Chinchilla says that repetition costs nothing: the backtests are to tell."""
        names = [law.name for law in candidates_for(["params", "tokens", "unique_tokens"])]
        assert names == [*(law.name for law in CANDIDATES), *REPEATED]

    def test_columns_of_ones_own_are_shares_of_a_mixture(self) -> None:
        found = candidates_for(["web", "code"], "code_loss")
        assert [law.name for law in found] == ["mixing", "own-share-web", "own-share-code"]
        assert all(law.target.name == "code_loss" for law in found)
        assert all([each.name for each in law.inputs] == ["web", "code"] for law in found)

    def test_one_column_of_ones_own_is_a_power_law_with_breaks_or_without(self) -> None:
        found = candidates_for(["width_in_blocks"])
        assert [law.name for law in found] == ["broken-0", "broken-1", "broken-2", "broken-3"]

    @pytest.mark.parametrize(
        ("columns", "target", "message"),
        [
            (["params", "tokens", "colour"], "loss", "loss from colour beside params, tokens"),
            (["params", "samples"], "loss", "loss from samples beside params"),
            (["experts", "colour"], "loss", "loss from experts, colour"),
            (["params", "tokens"], "score", "score from params, tokens"),
            ([], "loss", "loss from nothing"),
        ],
    )
    def test_a_column_that_no_law_reads_is_named(
        self, columns: list[str], target: str, message: str
    ) -> None:
        with pytest.raises(
            InputError,
            match=f"^no law predicts {message}: expected the inputs of laws, as isoloss laws shows",
        ):
            candidates_for(columns, target)


class TestFamilies:
    @pytest.mark.parametrize(
        ("name", "inputs"), [("mixing", ["code", "web"]), ("broken-1", ["width"])]
    )
    def test_make_a_law_of_the_columns_asked_for(self, name: str, inputs: list[str]) -> None:
        law = find_family(name, inputs, "code_loss")
        assert [entry.name for entry in law.inputs] == inputs
        assert law.target.name == "code_loss"
        assert law.expression.free_symbols == set(law.symbols.values())

    @pytest.mark.parametrize("name", ["broken-1", "broken-2", "broken-3"])
    def test_of_broken_laws_are_of_the_catalogue_s_formula(self, name: str) -> None:
        own = find_family(name, ["flops"], "loss")
        assert own.formula == CATALOGUE[name].formula

    @pytest.mark.parametrize(
        ("name", "inputs", "message"),
        [
            ("zipf", ["a"], "--law: not a family of laws for any columns: found zipf; expected on"),
            ("mixing", [], "mixing law: no mixture of domains: found none; expected one or more c"),
            ("mixing", ["a", "a"], "mixing law: no mixture of domains: found a, a; expected one"),
            ("broken-1", ["a", "b"], "--inputs: a broken power law reads one column: found a, b"),
            ("broken-2", [], "--inputs: a broken power law reads one column: found none"),
        ],
    )
    def test_refuse_what_they_cannot_be_made_of(
        self, name: str, inputs: list[str], message: str
    ) -> None:
        with pytest.raises(InputError, match=f"^{message}"):
            find_family(name, inputs, "loss")

    def test_that_have_no_law_without_columns_say_so(self) -> None:
        with pytest.raises(
            InputError,
            match=r"^--law: law mixing needs the columns it is for: expected --inputs NAME,\.\.\. ",
        ):
            find_law("mixing")


WITH_OPTIMUM = {
    "chinchilla": [1.8, 480.0, 2085.0, 0.35, 0.37],
    "coupled": [0.4, 30.0, 90.0, 0.5, 0.6, 0.41],
    "overtraining": [1.5, 141.28, 189.52, 0.1212],
    "kaplan": [6.4e13, 1.8e13, 0.076, 0.103],
}


class TestOptimum:
    """The closed form of the compute-optimal N, where a law has one, is the least loss."""

    @pytest.mark.parametrize("name", WITH_OPTIMUM)
    @pytest.mark.parametrize("flops", [1e19, 1e22, 1e25])
    def test_is_where_the_loss_is_least(self, name: str, flops: float) -> None:
        law = find_law(name)
        parameters = dict(zip(law.parameter_names, WITH_OPTIMUM[name], strict=True))
        optimal = law.optimal_params(parameters, flops)
        assert optimal is not None
        logs = np.linspace(-0.01, 0.01, 2001)
        N = optimal * np.exp(logs)
        loss = law.predict(parameters, params=N, tokens=flops / (6 * N))
        assert abs(logs[np.argmin(loss)]) < 1e-3

    def test_is_none_where_compute_alone_counts(self) -> None:
        law = find_law("compute")
        assert law.optimal_params({"E": 1.0, "A": 1.0, "alpha": 0.1}, 1e20) is None

    # Reference item 2: N*, D*/N*, L* at three budgets under three coefficient sets.
    @pytest.mark.parametrize(
        ("published", "flops", "params", "tokens_per_param", "loss"),
        [
            ("hoffmann-printed", 1e20, 6.449e8, 40.08, 2.5998),
            ("hoffmann-printed", 1e21, 1.824e9, 50.08, 2.3289),
            ("hoffmann-printed", 5.76e23, 3.219e10, 92.65, 1.9307),
            ("hoffmann-tex", 1e20, 7.749e8, 27.76, 2.5534),
            ("hoffmann-tex", 1e21, 2.217e9, 33.91, 2.2955),
            ("hoffmann-tex", 5.76e23, 4.036e10, 58.93, 1.9184),
            ("epoch-2024", 1e20, 8.535e8, 22.88, 2.5534),
            ("epoch-2024", 1e21, 2.778e9, 21.59, 2.3055),
            ("epoch-2024", 5.76e23, 7.225e10, 18.39, 1.9744),
        ],
    )
    def test_of_chinchilla_gives_the_published_allocations(
        self, published: str, flops: float, params: float, tokens_per_param: float, loss: float
    ) -> None:
        law = find_law("chinchilla")
        parameters = law.published_set(published).parameters
        N = law.optimal_params(parameters, flops)
        assert N is not None
        D = flops / (6 * N)
        assert float(N) == pytest.approx(params, rel=1e-3)
        assert float(D / N) == pytest.approx(tokens_per_param, rel=1e-3)
        assert float(law.predict(parameters, params=N, tokens=D)) == pytest.approx(loss, abs=6e-5)


class TestUnknownNames:
    def test_list_what_there_is(self) -> None:
        names = ", ".join(CATALOGUE)
        with pytest.raises(
            InputError,
            match=f"^--law: unknown law: found 'zipf'; expected one of {names}, or a TOML file$",
        ):
            find_law("zipf")

    def test_suggest_what_was_meant(self) -> None:
        with pytest.raises(
            InputError, match=r"found 'chinchila' \(did you mean chinchilla\?\); expected one of"
        ):
            find_law("chinchila")
