"""Laws of experts, vocabularies, streams, upcycling and sweeps are recovered from exact runs."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from isoloss.arrays import Array
from isoloss.errors import FitError, InputError
from isoloss.fitting import fit
from isoloss.laws import Law, candidates_for
from isoloss.laws.experts import COUPLED_EXPERTS, EFFECTIVE_EXPERTS, JOINT_EXPERTS, ROUTED
from isoloss.laws.learning_rate_surface import (
    LEARNING_RATE_SURFACE,
    TILTED_LEARNING_RATE_SURFACE,
)
from isoloss.laws.own_share import own_share_law
from isoloss.laws.parallel_scaling import PARALLEL_POWER, PARALLEL_SCALING
from isoloss.laws.upcycling import (
    UPCYCLED,
    UPCYCLED_COUPLED,
    UPCYCLED_DATA,
    UPCYCLED_DENSE,
    UPCYCLED_SIZE,
)
from isoloss.laws.vocabulary import VOCABULARY, VOCABULARY_DILUTING, VOCABULARY_OF_TEXT
from isoloss.runs import Runs, read_runs

Levels = Mapping[str, Sequence[float] | Array]


@dataclass(frozen=True)
class Case:
    """A law, plausible coefficients, and the levels of a full grid of its columns."""

    law: Law
    truth: Mapping[str, float]
    levels: Levels

    @property
    def runs(self) -> Runs:
        """The runs of the grid, met exactly; active parameters as multiples of dense ones."""
        cells = [
            np.asarray(column, float)
            for column in zip(*itertools.product(*self.levels.values()), strict=True)
        ]
        columns = dict(zip(self.levels, cells, strict=True))
        if "dense_params" in columns:
            columns["active_params"] = columns["active_params"] * columns["dense_params"]
        columns[self.law.target.name] = self.law.predict(
            self.truth, **{entry.name: columns[entry.name] for entry in self.law.inputs}
        )
        return Runs(pl.DataFrame(columns), source="a table")


ROUTES: Levels = {
    "active_params": np.geomspace(1.5e7, 1.3e9, 6),
    "experts": [1, 2, 8, 32, 128, 512],
}
PARALLEL: Levels = {"params": np.geomspace(5e8, 5e9, 6), "streams": [1, 2, 4, 8]}
TEXTS: Levels = {
    "non_vocabulary_params": np.geomspace(3e7, 1e9, 5),
    "vocabulary_size": np.geomspace(4e3, 1e5, 5),
    "characters": np.geomspace(2e8, 2e10, 5),
}
TWO_STAGES: Levels = {
    "dense_params": [1.5e7, 4.4e7, 9.8e7, 2.3e8],
    "active_params": [1, 1.75, 3.25],
    "sparsity": [2, 4, 8, 16],
    "dense_tokens": [2.3e9, 4.6e9],
    "tokens": [1.2e9, 2.3e9, 4.6e9],
}
SWEEP: Levels = {
    "params": [6e7, 2e8, 5e8, 1e9],
    "tokens": [2e9, 8e9, 2e10, 1e11],
    "learning_rate": np.geomspace(3e-4, 1e-2, 4),
    "batch_tokens": np.geomspace(6e4, 4e6, 4),
}
SURFACE = {
    **{"E": 1.6, "A": 60.0, "B": 400.0, "alpha": 0.25, "beta": 0.3},
    **{"c": 1.8, "gamma": 0.7, "delta": 0.3, "d": 1.2, "epsilon": 0.57, "p": 0.01, "q": 0.008},
}
TEXT = {
    **{"E": 5.9, "A1": 7.0, "A2": 18.0, "B": 2600.0},
    **{"alpha1": 0.15, "alpha2": 0.5, "beta": 0.39},
}
SATURATION = {"E_start": 2.0, "E_max": 320.0}
COUPLED = {"A": 6e7, "B": 2.1e12, "alpha": 0.62, "beta": 0.15, "delta": 0.1, "kappa": 0.24}

CASES = [
    Case(ROUTED, {"a": -0.082, "b": -0.108, "c": 0.004, "d": 2.5, **SATURATION}, ROUTES),
    Case(EFFECTIVE_EXPERTS, {"E": 1.6, "A": 43.0, "alpha": 0.2, "k": 0.4}, ROUTES),
    Case(
        COUPLED_EXPERTS,
        {"E": 1.5, "A": 35.0, "alpha": 0.18, "delta": 0.13, "gamma": 0.0035},
        ROUTES,
    ),
    Case(
        JOINT_EXPERTS,
        {
            **{"C": 1.4, "A": 40.0, "B": 90.0, "alpha": -0.2, "beta": -0.2},
            **{"delta": -0.2, "gamma": 0.006, "omega": 0.1, "zeta": -0.004},
            **SATURATION,
        },
        {**ROUTES, "tokens": np.geomspace(2e9, 2e11, 5)},
    ),
    Case(PARALLEL_SCALING, {"E": 1.3, "A": 50.0, "alpha": 0.2, "k": 0.35}, PARALLEL),
    Case(PARALLEL_POWER, {"E": 1.3, "A": 50.0, "alpha": 0.2, "k": 0.28}, PARALLEL),
    Case(
        VOCABULARY,
        TEXT,
        {
            "non_vocabulary_params": np.geomspace(3e7, 1e9, 5),
            "vocabulary_params": np.geomspace(2e6, 2e8, 5),
            "tokens": np.geomspace(1e8, 1e10, 5),
        },
    ),
    Case(VOCABULARY_OF_TEXT, TEXT, TEXTS),
    Case(VOCABULARY_DILUTING, {**TEXT, "kappa": 0.11}, TEXTS),
    Case(
        UPCYCLED_DATA,
        {"E": 1.8, "A": 2e5, "alpha1": 0.45, "alpha2": 0.5, "alpha3": 0.018},
        {"dense_tokens": np.geomspace(1e9, 1e11, 6), "tokens": np.geomspace(1e9, 1e11, 6)},
    ),
    Case(
        UPCYCLED_SIZE,
        {"E": 2.4, "A": 170.0, "alpha": 0.33, "beta": 0.02},
        {"active_params": np.geomspace(1.5e7, 8e8, 6), "sparsity": [2, 4, 8, 16]},
    ),
    Case(
        UPCYCLED,
        {"E": 1.5, "A": 63.0, "B": 30.0, "alpha": 0.25, "beta": 0.14},
        {name: TWO_STAGES[name] for name in ("dense_tokens", "tokens")}
        | {"active_params": np.geomspace(1.5e7, 8e8, 6)},
    ),
    Case(UPCYCLED_COUPLED, COUPLED, TWO_STAGES),
    Case(UPCYCLED_DENSE, {**COUPLED, "epsilon": -0.24}, TWO_STAGES),
    Case(LEARNING_RATE_SURFACE, SURFACE, SWEEP),
    Case(TILTED_LEARNING_RATE_SURFACE, {**SURFACE, "r": 0.003}, SWEEP),
]


@pytest.mark.parametrize("case", CASES, ids=[case.law.name for case in CASES])
def test_what_a_law_simulates_is_recovered(case: Case) -> None:
    runs = case.runs
    objective = "huber" if case.law.target.positive else "squared"
    own = fit(runs, case.law, objective=objective, starts=16)
    assert own.converged
    columns = {entry.name: runs.numbers(entry.name, entry.positive) for entry in case.law.inputs}
    target = runs.numbers(case.law.target.name, case.law.target.positive)
    np.testing.assert_allclose(own.surface.predict(**columns), target, rtol=1e-6)
    assert own.parameters == pytest.approx(dict(case.truth), rel=1e-3)
    # A law of other columns joins the forecasts of runs that have them.
    assert case.law in candidates_for(list(columns), case.law.target.name)


@pytest.mark.parametrize("complete", [True, False])
def test_own_share_is_recovered(complete: bool) -> None:
    generator = np.random.default_rng(0)
    shares = generator.dirichlet([0.6, 0.6, 0.6, 0.6], 40)
    shares[:8, 0] = 0.0
    if complete:
        shares /= shares.sum(axis=1, keepdims=True)
    else:
        shares *= generator.uniform(0.5, 1.0, (40, 1))
    columns = {f"share{index}": share for index, share in enumerate(shares.T)}
    law = own_share_law(list(columns), "share0", "code_loss", complete=complete)
    truth = {"k": 1.4, "epsilon": 0.02, "alpha": 0.12, "t2": 0.08, "t3": -0.05}
    truth |= {} if complete else {"t4": 0.03}
    exact = law.predict(truth, **columns)
    own = fit(Runs(pl.DataFrame({**columns, "code_loss": exact})), law, starts=16)
    assert own.converged
    np.testing.assert_allclose(own.surface.predict(**columns), exact, rtol=1e-6)
    assert own.parameters == pytest.approx(truth, rel=1e-3)


def test_a_signed_loss_has_no_logarithm() -> None:
    runs = next(case.runs for case in CASES if case.law is VOCABULARY)
    with pytest.raises(
        InputError, match=r"^--objective: unigram_normalized_loss may be negative, and has no"
    ):
        fit(runs, VOCABULARY, objective="huber")


def test_one_stage_of_one_length_does_not_tell_data_apart() -> None:
    runs = next(case.runs for case in CASES if case.law is UPCYCLED_DATA)
    with pytest.raises(
        FitError, match=r"^law upcycled-data cannot be fitted: .* does not tell apart"
    ):
        fit(runs.where("dense_tokens < 1.1e9"), UPCYCLED_DATA)


def r_squared(predicted: Array, measured: Array) -> float:
    return float(
        1 - np.sum((predicted - measured) ** 2) / np.sum((measured - measured.mean()) ** 2)
    )


class TestScaleBench:
    """Public tables of arXiv:2604.22753; benchmarks/scalebench.py has all of them."""

    def read(self, folder: Path, name: str, law: Law, columns: Mapping[str, str]) -> list[Runs]:
        return [
            read_runs(
                pl.read_csv(folder / "scalebench" / f"{name}_{part}.csv").rename(columns),
                required=law.columns,
            )
            for part in ("train", "test")
        ]

    def explained(self, law: Law, train: Runs, test: Runs, objective: str = "huber") -> float:
        own = fit(train, law, objective=objective, starts=16)
        assert own.converged
        columns = {entry.name: test.numbers(entry.name, entry.positive) for entry in law.inputs}
        target = test.numbers(law.target.name, law.target.positive)
        return r_squared(own.surface.predict(**columns), target)

    @pytest.mark.parametrize("group", ["stack", "pile"])
    def test_eight_streams_from_up_to_four(self, shared_data: Path, group: str) -> None:
        train, test = (
            runs.where(f"\"group\" = '{group}'")
            for runs in self.read(
                shared_data,
                "parallel",
                PARALLEL_SCALING,
                {"num_params": "params", "parallel_size": "streams"},
            )
        )
        assert (len(train), len(test)) == (18, 6)
        by_logarithm = self.explained(PARALLEL_SCALING, train, test)
        assert by_logarithm > 0.99
        assert by_logarithm > self.explained(PARALLEL_POWER, train, test)

    def test_a_larger_vocabulary_dilutes_the_data(self, shared_data: Path) -> None:
        train, test = self.read(
            shared_data,
            "vocab",
            VOCABULARY_OF_TEXT,
            {
                "non_vocab_parameters": "non_vocabulary_params",
                "vocab_size": "vocabulary_size",
                "num_characters": "characters",
            },
        )
        apart = self.explained(VOCABULARY_OF_TEXT, train, test, "squared")
        diluting = self.explained(VOCABULARY_DILUTING, train, test, "squared")
        assert apart > 0.93
        assert 1 - diluting < 0.5 * (1 - apart)

    def test_largest_of_routed_models(self, shared_data: Path) -> None:
        columns = {
            "dense_parameter_count": "active_params",
            "num_experts": "experts",
            "loss_validation": "loss",
        }
        train, test = self.read(shared_data, "moe", ROUTED, columns)
        without_floor = self.explained(ROUTED, train, test)
        assert self.explained(COUPLED_EXPERTS, train, test) > 0.81 > without_floor
        assert self.explained(EFFECTIVE_EXPERTS, train, test) > 0.81
