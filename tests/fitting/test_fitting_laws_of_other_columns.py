"""Laws that read more than N and D: what they simulate is recovered, public fits reproduced."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from isoloss.arrays import Array
from isoloss.errors import FitError
from isoloss.fitting import Fit, fit, fit_together
from isoloss.laws import Law, candidates_for, find_law
from isoloss.laws.chinchilla import CHINCHILLA
from isoloss.laws.diffusion import REPEATED_DIFFUSION
from isoloss.laws.repeated_data import REPEATED_DATA
from isoloss.laws.shape import ASPECT, ASPECT_FREE, CONDITIONAL_SHAPE, CONDITIONAL_SHAPE_ADDED
from isoloss.laws.sparse_pretraining import SPARSE_PRETRAINING
from isoloss.laws.train_to_test import PASS_AT_K_LAW, PASS_AT_K_OF_LOSS, TRAIN_TO_TEST
from isoloss.laws.width import WIDTH_LAW
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
        cells = [
            np.asarray(column, float)
            for column in zip(*itertools.product(*self.levels.values()), strict=True)
        ]
        columns = dict(zip(self.levels, cells, strict=True))
        if "epochs" in columns:
            columns["tokens"] = columns.pop("epochs") * columns["unique_tokens"]
        columns[self.law.target.name] = self.law.predict(
            self.truth, **{entry.name: columns[entry.name] for entry in self.law.inputs}
        )
        return Runs(pl.DataFrame(columns), source="a table")


SHAPES: Levels = {
    "width_ratio": [0.04, 0.06, 0.08, 0.11, 0.16],
    "mlp_attention_ratio": [0.5, 1, 2, 3, 5],
    "base_loss": [2.7, 3.1],
}
ASPECTS: Levels = {
    "params": np.geomspace(8e7, 1e9, 4),
    "tokens": np.geomspace(2e9, 5e10, 4),
    "d_model": [512, 1024],
    "n_layers": [4, 16],
}
ANSWERS: Levels = {
    "params": np.geomspace(1e7, 1e10, 4),
    "tokens": np.geomspace(1e9, 1e12, 4),
    "samples": [1, 4, 16, 64],
}
CASES = [
    Case(
        REPEATED_DATA,
        REPEATED_DATA.published_set("muennighoff-2023").parameters,
        {
            "params": np.geomspace(1e8, 1e10, 5),
            "unique_tokens": [1e9, 5e9, 2.5e10],
            "epochs": [1, 3, 8, 30],
        },
    ),
    Case(
        REPEATED_DIFFUSION,
        {
            **{"E": 2.0, "A": 1535.23, "alpha": 0.42, "B": 54.21, "beta": 0.13},
            **{"p_e": 1.49, "c_p": 254.35, "m_p": 0.39, "k_p": 0.55, "gamma": 0.40},
        },
        {
            "params": np.geomspace(1e7, 1e10, 4),
            "unique_tokens": [1e8, 1e9, 1e10],
            "epochs": [1, 4, 20, 100, 500],
        },
    ),
    Case(
        TRAIN_TO_TEST,
        {"E": 0.3, "A": 60.0, "B": 300.0, "G": 1.2, "alpha": 0.3, "beta": 0.35, "gamma": 0.4},
        ANSWERS,
    ),
    Case(
        PASS_AT_K_OF_LOSS,
        {"theta0": 1.2, "theta1": 3.0, "theta2": 0.9, "theta3": 1.5, "theta4": 0.4},
        {"task_loss": np.linspace(0.5, 2, 8), "samples": [1, 3, 10, 30, 100]},
    ),
    Case(
        PASS_AT_K_LAW,
        {
            **{"A": 180.0, "B": 900.0, "alpha": 0.3, "beta": 0.3},
            **{"theta0": 2.0, "theta2": 0.9, "theta3": 0.5, "theta4": 0.2},
        },
        ANSWERS,
    ),
    Case(CONDITIONAL_SHAPE, CONDITIONAL_SHAPE.published_set("80m-297m").parameters, SHAPES),
    Case(
        CONDITIONAL_SHAPE_ADDED,
        {"a0": 0.1, "a1": 0.05, "a2": 0.004, "b1": 0.015, "b2": 0.016},
        SHAPES,
    ),
    Case(ASPECT, ASPECT.published_set("morph-2025").parameters, ASPECTS),
    Case(ASPECT_FREE, ASPECT_FREE.published_set("morph-2025").parameters, ASPECTS),
    Case(
        SPARSE_PRETRAINING,
        CHINCHILLA.published_set("epoch-2024").parameters,
        {"average_params": np.geomspace(5e7, 5e9, 6), "tokens": np.geomspace(1e9, 1e11, 7)},
    ),
    Case(
        WIDTH_LAW,
        {"E": 2.0, "A": 476.0763, "alpha": 0.9098},
        {"width": np.geomspace(128, 12288, 40)},
    ),
]


@pytest.mark.parametrize("case", CASES, ids=[case.law.name for case in CASES])
def test_what_a_law_simulates_is_recovered(case: Case) -> None:
    runs = case.runs
    assert 40 <= len(runs) <= 64
    own = fit(runs, case.law, starts=32)
    assert own.converged
    assert own.search.reached_best >= 8
    assert own.parameters == pytest.approx(dict(case.truth), rel=1e-5)
    columns = {entry.name: runs.numbers(entry.name, entry.positive) for entry in case.law.inputs}
    target = runs.numbers(case.law.target.name, case.law.target.positive)
    np.testing.assert_allclose(own.surface.predict(**columns), target, rtol=1e-6)
    # A law of other columns joins the forecasts of runs that have them.
    assert case.law in candidates_for(list(columns), case.law.target.name)


@pytest.fixture(scope="module")
def c4_runs(shared_data: Path) -> Runs:
    """Muennighoff et al. 2023 on C4 as it is, without the two runs of unknown N and D."""
    return read_runs(
        shared_data / "datablations_c4.csv",
        where="params > 0 and tokens > 0 and recipe = 'datablations_c4'",
        required=REPEATED_DATA.columns,
    )


class TestRepeatedData:
    def test_few_epochs_are_met_better_than_by_chinchilla(self, c4_runs: Runs) -> None:
        """97 runs of up to four epochs, from starved to overfed models."""
        runs = c4_runs.where("epochs <= 4")
        assert len(runs) == 97
        own = fit(runs, REPEATED_DATA, starts=32)
        assert own.converged
        assert own.mean_abs_rel_error < 0.015
        assert own.mean_abs_rel_error < 0.9 * fit(runs, "chinchilla").mean_abs_rel_error

    def test_a_law_that_may_turn_meets_many_epochs_better(self, c4_runs: Runs) -> None:
        """Up to 9000 epochs, where losses rise: they cannot in the one law, they do in the other.

        The second was made for diffusion models, and fits these autoregressive ones.
        """
        rising = fit(c4_runs, REPEATED_DIFFUSION, starts=32)
        never = fit(c4_runs, REPEATED_DATA, starts=32)
        assert rising.converged
        assert never.converged
        assert rising.objective_value < 0.8 * never.objective_value

    @pytest.mark.parametrize("law", [REPEATED_DATA, REPEATED_DIFFUSION], ids=lambda law: law.name)
    def test_single_epochs_say_nothing_of_repetition(self, c4_runs: Runs, law: Law) -> None:
        with pytest.raises(
            FitError, match=f"^law {law.name} cannot be fitted: .* does not tell apart"
        ):
            fit(c4_runs.where("epochs <= 1"), law)


TOKENS_OF_20_TIMES = {
    **{"80M": 1610612736, "86M": 1610612736, "116M": 2315255808, "126M": 2315255808},
    **{"164M": 3288334336, "178M": 3288334336, "237M": 4731174912},
    **{"313M": 6174015488, "339M": 6174015488, "1B": 28991029248},
}
# Size, N, layers, width, and the loss at 20, 40 and 160 tokens a parameter.
MORPH = """
80M 78914048 8 512 4.9619 4.3655 3.7074
80M 78010560 5 576 5.0119 4.4234 3.7712
80M 79794560 3 640 5.0774 4.4899 3.8428
80M 77999936 13 448 4.9761 4.3530 -
80M 77677440 22 384 4.9908 4.3594 -
86M 85975488 7 576 4.9371 - 3.6964
86M 84874880 4 640 4.9887 - 3.7745
116M 115356800 10 640 4.4789 3.9890 3.4816
116M 111615120 6 720 4.5190 4.0445 3.5451
116M 113056800 4 800 4.5593 4.0931 3.5982
116M 118334480 3 880 4.5975 4.1233 -
116M 114024400 15 560 4.4881 3.9859 -
116M 114793440 24 480 4.5089 - -
126M 124612560 8 720 4.4568 - 3.4816
126M 121148000 5 800 4.5043 - 3.5448
164M 162417408 12 768 4.0960 3.7125 3.3163
164M 158824800 8 864 4.1163 3.7411 3.3522
164M 163197120 6 960 4.1342 3.7630 3.3794
164M 160048416 4 1056 4.1873 3.8249 -
164M 163979136 3 1152 4.2323 3.8662 -
178M 176744160 10 864 4.0763 - 3.3063
178M 174258240 7 960 4.0934 - 3.3430
237M 231695744 14 896 3.7838 3.4827 -
237M 227490480 10 1008 3.7991 3.5047 -
237M 235702880 8 1120 3.7998 3.5099 -
237M 234509968 6 1232 3.8274 3.5437 -
313M 308839424 16 1024 3.5904 3.3370 3.0646
313M 307327104 12 1152 3.5961 3.3469 3.0811
313M 311975680 9 1280 3.6079 3.3610 -
313M 311087744 7 1408 3.6272 3.3885 -
339M 339182208 14 1152 3.5719 - 3.0522
1B 1439795200 24 2048 2.8960 - -
1B 1527073280 16 2560 2.9090 - -
1B 1443304192 12 2816 2.9326 - -
1B 1668885504 12 3072 2.9198 - -
"""


def morph_runs() -> Runs:
    """The 76 runs that Morph's authors give inline in Waterpine/open-lm-morph, law/."""
    rows = []
    for line in MORPH.strip().splitlines():
        size, params, layers, width, *losses = line.split()
        for multiple, loss in zip((20, 40, 160), losses, strict=True):
            if loss != "-":
                rows.append(
                    {
                        "size": size,
                        "params": float(params),
                        "tokens": TOKENS_OF_20_TIMES[size] * multiple / 20,
                        "n_layers": float(layers),
                        "d_model": float(width),
                        "multiple": multiple,
                        "loss": float(loss),
                    }
                )
    return Runs(pl.DataFrame(rows), source="the released runs")


# Chinchilla with one exponent.
NO_SHAPE = Law(
    name="no-shape",
    title="E + A/N^alpha + B/D^alpha",
    formula="E + A/params**alpha + B/tokens**alpha",
    parameters=ASPECT.parameters[:4],
    linear=("E", "A", "B"),
    source="test",
)
SIZES_FITTED = "(size = '80M' or size = '116M' or size = '164M' or size = '237M' or size = '313M')"


def predicted(own: Fit, runs: Runs) -> Array:
    return own.surface.predict(
        **{entry.name: runs.numbers(entry.name, True) for entry in own.law.inputs}
    )


def r_squared(own: Fit, runs: Runs) -> float:
    residual = runs.loss - predicted(own, runs)
    return 1 - float(np.sum(residual**2) / np.sum((runs.loss - runs.loss.mean()) ** 2))


class TestMorph:
    """Reference item 17b. The authors fit by plain least squares on the loss."""

    RUNS = morph_runs()
    AT_20 = RUNS.where(f"{SIZES_FITTED} and multiple = 20")
    FITTED = RUNS.where(f"{SIZES_FITTED} and (multiple = 20 or (multiple = 160 and size = '80M'))")
    LARGE = RUNS.where("size = '1B'")

    # R2 and mean squared error over all 76 runs, and the losses of the four 1B runs.
    @pytest.mark.parametrize(
        ("law", "coefficients", "explained", "square", "losses"),
        [
            (
                NO_SHAPE,
                {"A": 7720.63, "B": 68572.86, "E": 2.13061, "alpha": 0.49467},
                0.98951,
                0.0033,
                [2.8162, 2.8097, 2.8160, 2.8002],
            ),
            (
                ASPECT,
                dict(ASPECT.published_set("morph-2025").parameters),
                0.99824,
                0.00055,
                [2.9161, 2.9352, 2.9595, 2.9533],
            ),
            (
                ASPECT_FREE,
                dict(ASPECT_FREE.published_set("morph-2025").parameters),
                0.99845,
                None,
                None,
            ),
        ],
        ids=["without shape", "with shape", "free exponent"],
    )
    def test_fit_of_27_runs(
        self,
        law: Law,
        coefficients: dict[str, float],
        explained: float,
        square: float | None,
        losses: list[float] | None,
    ) -> None:
        assert (len(self.RUNS), len(self.FITTED), len(self.LARGE)) == (76, 27, 4)
        own = fit(self.FITTED, law, objective="squared")
        assert own.converged
        # Their optimiser stopped within 1e-5 of the optimum.
        assert own.parameters == pytest.approx(coefficients, rel=2e-5)
        assert r_squared(own, self.RUNS) == pytest.approx(explained, abs=6e-6)
        if square:
            residual = self.RUNS.loss - predicted(own, self.RUNS)
            digit = 10.0 ** (math.floor(math.log10(square)) - 1)
            assert float(np.mean(residual**2)) == pytest.approx(square, abs=0.51 * digit)
        if losses:
            np.testing.assert_allclose(predicted(own, self.LARGE), losses, atol=6e-5)

    @pytest.mark.parametrize(
        ("law", "explained", "errors"),
        [(NO_SHAPE, -2.13, None), (ASPECT, 0.63, [0.11, 0.42, 0.13, 0.87])],
        ids=["without shape", "with shape"],
    )
    def test_fit_of_one_ratio_of_tokens_to_parameters(
        self, law: Law, explained: float, errors: list[float] | None
    ) -> None:
        """Where N and D go together theirs has a negative A; ours stops at 0, and is better."""
        signed = tuple(
            replace(entry, lower=-math.inf) if entry.name in "ABE" else entry
            for entry in law.parameters
        )
        theirs = fit(self.AT_20, replace(law, parameters=signed), objective="squared")
        assert theirs.converged
        assert theirs.parameters["A"] < 0
        assert r_squared(theirs, self.RUNS) == pytest.approx(explained, abs=6e-3)
        if errors:
            own_errors = 100 * np.abs(predicted(theirs, self.LARGE) / self.LARGE.loss - 1)
            np.testing.assert_allclose(own_errors, errors, atol=6e-3)
        own = fit(self.AT_20, law, objective="squared")
        assert own.parameters["A"] == 0
        assert r_squared(own, self.RUNS) > 0.7


class TestWidth:
    """Reference item 18: families share A and alpha, and keep an offset each."""

    def test_offsets_of_sixteen_families(self) -> None:
        widths = np.geomspace(256, 8192, 5)
        generator = np.random.default_rng(0)
        offsets = {f"family {index}": generator.uniform(1.5, 3.5) for index in range(16)}
        shared = {"A": 476.0763, "alpha": 0.9098}
        tables = {
            name: Runs(
                pl.DataFrame(
                    {"width": widths, "loss": WIDTH_LAW.predict({"E": E, **shared}, width=widths)}
                ),
                source=name,
            )
            for name, E in offsets.items()
        }
        own = fit_together(tables, WIDTH_LAW, shared=["A", "alpha"], starts=32)
        assert own.converged
        for name, E in offsets.items():
            assert own.surfaces[name].parameters == pytest.approx({"E": E, **shared}, rel=1e-6)

    def test_exponent_that_chinchilla_implies(self) -> None:
        """Sizes grow with width as N ~ m^2.52, and 2.52 * 0.35 = 0.88, not far from 0.91."""
        widths = np.geomspace(256, 16384, 12)
        own = {"E": 1.8, "A": 480.0, "B": 2000.0, "alpha": 0.35, "beta": 0.37}
        loss = find_law("chinchilla").predict(own, params=10 * widths**2.52, tokens=1e300)
        runs = Runs(pl.DataFrame({"width": widths, "loss": loss}), source="a table")
        alpha = fit(runs, WIDTH_LAW, starts=32).parameters["alpha"]
        assert alpha == pytest.approx(0.88, abs=0.005)
        assert alpha == pytest.approx(0.9098, abs=0.06)
