"""A fit as a file: nothing is lost on the way, and a damaged file is refused in one line."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from fitting_tables import SURFACES, simulated, table
from hypothesis import given, settings
from hypothesis import strategies as st

from isoloss.errors import InputError
from isoloss.fitting import (
    OBJECTIVES,
    ErrorGrowth,
    Fit,
    Status,
    find_objective,
    fit,
    fit_to_document,
    load_fit,
    save_fit,
)
from isoloss.laws import (
    CATALOGUE,
    Input,
    Target,
    broken_law,
    law_from_definition,
    mixing_law,
)
from isoloss.notes import Note, Severity
from isoloss.runs import Runs

NOISE = 3e-3
POINTS = {"params": np.geomspace(1e7, 1e12, 11), "tokens": np.geomspace(1e13, 1e9, 11)}


def one_fit(law: str = "chinchilla", **options: Any) -> Fit:
    return fit(simulated(law, noise=NOISE, sizes=5, budgets=5), law, starts=8, **options)


def assert_same(one: Fit, other: Fit) -> None:
    assert fit_to_document(other) == fit_to_document(one)
    for name in ("working", "replicates"):
        np.testing.assert_array_equal(getattr(other.surface, name), getattr(one.surface, name))
    np.testing.assert_array_equal(other.surface.predict(**POINTS), one.surface.predict(**POINTS))
    assert other.surface.centre == one.surface.centre
    assert other.objective == one.objective
    for name in ("objective_value", "status", "method", "search", "identifiability", "n_bootstrap"):
        assert getattr(other, name) == getattr(one, name)
    for name in ("source", "fingerprint", "seed", "notes", "growth", "lost_draws"):
        assert getattr(other, name) == getattr(one, name)


class TestRoundTrip:
    @pytest.mark.parametrize("law", SURFACES)
    def test_keeps_every_bit_of_every_law(self, tmp_path: Path, law: str) -> None:
        own = one_fit(law, bootstrap=5)
        save_fit(own, tmp_path / "fit.json")
        again = load_fit(tmp_path / "fit.json")
        assert again.law is own.law
        assert_same(own, again)

    @pytest.mark.parametrize("objective", [*OBJECTIVES, "huber:0.0123", "soft-l1:1e-05"])
    def test_keeps_the_objective(self, tmp_path: Path, objective: str) -> None:
        own = one_fit(objective=objective)
        save_fit(own, tmp_path / "fit.json")
        again = load_fit(tmp_path / "fit.json")
        assert again.objective == find_objective(objective)
        assert_same(own, again)

    def test_keeps_what_has_been_learnt_since(self, tmp_path: Path) -> None:
        own = dataclasses.replace(
            one_fit(),
            growth=ErrorGrowth(0.0123456789, 17),
            notes=(Note("a-code", "a sentence", Severity.WARNING, {"rows": [1, 2]}),),
            seed=5,
            lost_draws=(0, 1),
            n_bootstrap=2,
        )
        save_fit(own, tmp_path / "fit.json")
        assert_same(own, load_fit(tmp_path / "fit.json"))

    def test_keeps_weights(self, tmp_path: Path) -> None:
        weights = np.r_[np.zeros(3), np.linspace(0.5, 2.0, 22)]
        own = one_fit(weights=weights)
        save_fit(own, tmp_path / "fit.json")
        again = load_fit(tmp_path / "fit.json")
        np.testing.assert_array_equal(again.rows.weights, weights)
        assert again.n_runs == 22

    def test_keeps_a_law_of_ones_own(self, tmp_path: Path) -> None:
        law = law_from_definition(
            {
                "name": "own",
                "title": "One's own",
                "formula": "E + A*exp(-boxcox(params/1e8, a)) + B/tokens**beta",
                "linear": ["E", "A", "B"],
                "parameters": {
                    "E": {"lower": 0},
                    "A": {"lower": 0},
                    "B": {"lower": 0},
                    "a": {"start": [-0.5, 0.5]},
                    "beta": {"lower": 0, "upper": 3, "start": [0.1, 0.6]},
                },
            }
        )
        own = fit(simulated("chinchilla", noise=NOISE), law, starts=16, bootstrap=3)
        save_fit(own, tmp_path / "fit.json")
        again = load_fit(tmp_path / "fit.json")
        assert again.law.name == "own"
        assert again.law.parameters == law.parameters
        assert_same(own, again)

    def test_keeps_a_law_of_ones_own_with_coordinates(self, tmp_path: Path) -> None:
        law = dataclasses.replace(CATALOGUE["kaplan"], name="mine")
        own = fit(simulated("kaplan", noise=NOISE, sizes=5, budgets=5), law, starts=8, bootstrap=3)
        save_fit(own, tmp_path / "fit.json")
        again = load_fit(tmp_path / "fit.json")
        assert again.law.coordinates == law.coordinates
        assert_same(own, again)

    def test_keeps_a_law_of_shares(self, tmp_path: Path) -> None:
        """Shares may be zero, and one domain's loss is the target."""
        law = mixing_law(["code", "web"], "code_loss")
        code = np.linspace(0.0, 1.0, 12)
        loss = law.predict({"c": 1.5, "t1": -1.8, "t2": 0.4}, code=code, web=1 - code)
        errors = np.exp(NOISE * np.random.default_rng(0).standard_normal(12))
        columns = {"code": code, "web": 1 - code, "code_loss": loss * errors}
        own = fit(Runs(pl.DataFrame(columns), source="a table"), law, starts=8, bootstrap=3)
        self.check_points(own, tmp_path / "fit.json", code=[0.0, 0.3], web=[1.0, 0.7])

    def test_keeps_a_law_with_a_break(self, tmp_path: Path) -> None:
        width = Input("width", "m", "width of the residual stream")
        law = broken_law(1, width, Target("score", "s", "points"))
        truth = {"a": 0.5, "b": 5.0, "c0": 0.1, "c1": 0.3, "d1": 1e3, "f1": 0.3}
        sizes = np.geomspace(64, 2e4, 24)
        errors = np.exp(NOISE * np.random.default_rng(0).standard_normal(24))
        columns = {"width": sizes, "score": law.predict(truth, width=sizes) * errors}
        own = fit(Runs(pl.DataFrame(columns), source="a table"), law, starts=24, bootstrap=3)
        self.check_points(own, tmp_path / "fit.json", width=[100.0, 1e3, 1e5])

    @staticmethod
    def check_points(own: Fit, path: Path, **points: list[float]) -> None:
        save_fit(own, path)
        again = load_fit(path)
        assert fit_to_document(again) == fit_to_document(own)
        assert again.law.columns == own.law.columns
        assert again.law.coordinates == own.law.coordinates
        for one, other in (
            (own.surface.predict(**points), again.surface.predict(**points)),
            (own.surface.predict_replicates(**points), again.surface.predict_replicates(**points)),
            (own.surface.replicates, again.surface.replicates),
        ):
            np.testing.assert_array_equal(one, other)
        assert again.parameters == own.parameters

    def test_a_fit_that_did_not_converge_stays_one(self, tmp_path: Path) -> None:
        own = dataclasses.replace(one_fit(), status=Status.STALLED, objective_value=math.inf)
        save_fit(own, tmp_path / "fit.json")
        again = load_fit(tmp_path / "fit.json")
        assert again.status is Status.STALLED
        assert again.objective_value == math.inf
        assert not again.converged

    def test_is_json_without_numbers_that_json_lacks(self, tmp_path: Path) -> None:
        """Losses that do not fall with N leave Kaplan's N_c without bound."""
        runs = simulated("chinchilla", sizes=5, budgets=5)
        flat = table(runs.params, runs.tokens, 1.5 + 400 / runs.tokens**0.34)
        own = fit(flat, "kaplan", starts=16, bootstrap=5)
        assert not math.isfinite(own.parameters["N_c"])
        save_fit(own, tmp_path / "fit.json")
        document = json.loads((tmp_path / "fit.json").read_text())
        assert document["parameters"]["N_c"] is None
        (note,) = [note for note in document["notes"] if note["code"] == "coefficients-not-finite"]
        assert "the data do not bound N_c" in note["message"]
        assert_same(own, load_fit(tmp_path / "fit.json"))


class TestDocument:
    def test_says_what_other_programs_rely_on(self) -> None:
        own = one_fit(bootstrap=20)
        document = json.loads(json.dumps(fit_to_document(own), allow_nan=False))
        assert document["law"] == "chinchilla"
        assert document["parameters"] == own.parameters
        assert document["objective"] == {"name": "huber", "value": own.objective_value}
        assert document["converged"] is True
        assert document["n_runs"] == 25
        assert document["in_sample"]["mean_abs_rel_error"] == own.mean_abs_rel_error
        assert set(document["intervals"]) == set(own.parameters)
        assert document["bootstrap"] == {"replicates": 20, "converged": 20, "resample": "pairs"}
        assert document["provenance"]["fingerprint"] == own.fingerprint

    def test_a_folder_that_is_not_there_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "none" / "fit.json"
        with pytest.raises(
            InputError, match=f"^{re.escape(str(path))}: cannot write the file: fou"
        ):
            save_fit(one_fit(), path)


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    own = dataclasses.replace(one_fit(bootstrap=3), growth=ErrorGrowth(0.1, 3))
    return dict(json.loads(json.dumps(fit_to_document(own))))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fits")


def assert_refused(path: Path, text: str, message: str) -> None:
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=f"^{re.escape(str(path))}: {message}"):
        load_fit(path)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths to everything inside a JSON value."""
    entries: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        entries = list(value.items())
    elif isinstance(value, list):
        entries = list(enumerate(value))[:2]
    inner = [place for key, entry in entries for place in places(entry, (*path, key))]
    return [path, *inner] if path else inner


JUNK = st.sampled_from(
    [None, True, -1, 0, 1e308, "", "x", [], {}, [None], ["x"], [[1.0]], {"x": 1}, 10**400, 1.5]
)


class TestDamagedFiles:
    @pytest.mark.parametrize(
        "text", ["", "{", "fit", "\x00", '{"state": NaN', "[" * 100_000, '{"a": 1} trailing']
    )
    def test_that_are_no_json(self, folder: Path, text: str) -> None:
        assert_refused(folder / "fit.json", text, "not a fit: expected a JSON file written by iso")

    def test_that_are_no_text(self, folder: Path) -> None:
        path = folder / "binary.json"
        path.write_bytes(b"\xff\xfe\xfd")
        with pytest.raises(InputError, match=f"^{re.escape(str(path))}: not a fit: expected a JSO"):
            load_fit(path)

    def test_that_are_not_there(self, folder: Path) -> None:
        path = folder / "none.json"
        with pytest.raises(
            InputError, match=f"^{re.escape(str(path))}: cannot read the fit: found No such file"
        ):
            load_fit(path)

    @pytest.mark.parametrize("text", ["[]", "3", "null", '"text"', "{}", '{"state": 3}'])
    def test_that_hold_something_else(self, folder: Path, text: str) -> None:
        assert_refused(folder / "fit.json", text, "not a fit, or a damaged one: found ")

    @pytest.mark.parametrize(
        ("place", "value", "found"),
        [
            (("state", "format"), 99, "written by another version: found format 99; expected for"),
            (("state", "law"), "zipf", "--law: unknown law: found 'zipf'"),
            (("state", "law"), {"name": "x"}, "law: the law has no 'formula'"),
            (("state", "objective"), "mse", "--objective: unknown objective: found 'mse'"),
            (("state", "working"), [1.0], "ValueError wrong number of parameters or inputs"),
            (("state", "working"), [1, 2, 3, 4, "x"], "ValueError could not convert string"),
            (("state", "replicates"), [[1.0, 2.0]], "ValueError cannot reshape array"),
            (("state", "lost_draws"), [-1], "ValueError draws that do not match the replicates"),
            (("state", "lost_draws"), [0, 1], "ValueError draws that do not match the replicates"),
            (("state", "rows", "measured"), [1.0, 2.0], "ValueError rows that do not match"),
            (("state", "rows", "inputs"), [], "ValueError wrong number of parameters or inputs"),
            (("state", "rows", "measured", 0), -1.0, "ValueError a stored number is not positive"),
            (
                ("state", "rows", "measured", 0),
                math.inf,
                "ValueError a stored number is not finite",
            ),
            (("state", "centre", "loss"), 0.0, "ValueError a stored number is not positive"),
            (("status",), "fine", "ValueError 'fine' is not a valid Status"),
            (("search", "starts"), "many", "ValueError invalid literal for int"),
            (("identifiability", "weak"), "E", "TypeError not a list of names"),
            (("provenance", "seed"), math.inf, "OverflowError cannot convert float infinity"),
            (("objective", "value"), "low", "ValueError could not convert string to float"),
        ],
    )
    def test_with_one_wrong_entry(
        self, folder: Path, document: dict[str, Any], place: tuple[Any, ...], value: Any, found: str
    ) -> None:
        damaged = replaced(document, place, value)
        assert_refused(
            folder / "fit.json",
            json.dumps(damaged),
            "not a fit, or a damaged one: found " + re.escape(found),
        )

    @settings(max_examples=300)
    @given(data=st.data())
    def test_with_any_entry_changed_are_refused_or_predict(
        self, folder: Path, document: dict[str, Any], data: st.DataObject
    ) -> None:
        place = data.draw(st.sampled_from(places(document)))
        value = data.draw(JUNK)
        self.check(folder, json.dumps(replaced(document, place, value)))

    @settings(max_examples=100)
    @given(data=st.data())
    def test_with_any_entry_missing_are_refused_or_predict(
        self, folder: Path, document: dict[str, Any], data: st.DataObject
    ) -> None:
        place = data.draw(st.sampled_from(places(document)))
        damaged = copy.deepcopy(document)
        holder: Any = damaged
        for key in place[:-1]:
            holder = holder[key]
        del holder[place[-1]]
        self.check(folder, json.dumps(damaged))

    @settings(max_examples=100)
    @given(st.data())
    def test_cut_off_anywhere_are_refused(
        self, folder: Path, document: dict[str, Any], data: st.DataObject
    ) -> None:
        text = json.dumps(document)
        end = data.draw(st.integers(0, len(text) - 1))
        assert_refused(folder / "fit.json", text[:end], "not a fit: expected a JSON file")

    @staticmethod
    def check(folder: Path, text: str) -> None:
        """One line that names the file, or a fit that works as one."""
        path = folder / "fit.json"
        path.write_text(text, encoding="utf-8")
        try:
            outcome: Fit | InputError = load_fit(path)
        except InputError as error:
            outcome = error
        if isinstance(outcome, InputError):
            assert str(outcome).startswith(f"{path}: ")
            assert "\n" not in str(outcome)
        else:
            assert outcome.surface.predict(**POINTS).shape == (11,)
            assert np.isfinite(outcome.mean_abs_rel_error)
            json.dumps(fit_to_document(outcome), allow_nan=False)


def replaced(document: dict[str, Any], place: tuple[Any, ...], value: Any) -> dict[str, Any]:
    damaged = copy.deepcopy(document)
    holder: Any = damaged
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = value
    return damaged
