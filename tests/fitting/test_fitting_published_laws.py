"""Published fits of other laws, reproduced from the runs that were published with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from isoloss.comparing import measured_gains
from isoloss.fitting import Fit, fit
from isoloss.laws import Input, Law, Target, real
from isoloss.laws.broken import broken_law
from isoloss.laws.downstream import DOWNSTREAM
from isoloss.laws.mixing import mixing_law
from isoloss.runs import Runs, optimizer_runs, read_runs

RECIPES = {"c4": "c4_original", "redpajama": "rpj", "refinedweb": "rw_original"}
# Four sizes at 20 tokens a parameter, and the smallest at 320; the error law adds the 1.4B run.
FIVE_POINTS = (
    "params < 1e9 and (chinchilla_multiplier = 1 or (params < 2e7 and chinchilla_multiplier = 16))"
)
SIX_POINTS = f"({FIVE_POINTS}) or (params > 1e9 and params < 2e9 and chinchilla_multiplier = 1)"


def gadre(folder: Path, corpus: str, tasks: int) -> Runs:
    return read_runs(
        folder / "gadre_overtraining.csv",
        columns={"error": f"err_avg_{tasks}"},
        where=f"recipe = '{RECIPES[corpus]}'",
        required=DOWNSTREAM.columns | {"params": True, "tokens": True},
    )


class TestGadre:
    """Reference item 8: error from loss, by plain least squares on six points."""

    @pytest.mark.parametrize("tasks", [17, 46])
    @pytest.mark.parametrize("corpus", RECIPES)
    def test_the_error_law(self, shared_data: Path, corpus: str, tasks: int) -> None:
        own = fit(
            gadre(shared_data, corpus, tasks).where(SIX_POINTS), DOWNSTREAM, objective="squared"
        )
        assert own.converged
        assert own.n_runs == 6
        published = DOWNSTREAM.published_set(f"{corpus}-{tasks}").parameters
        for name, value in published.items():
            assert own.parameters[name] == pytest.approx(value, abs=5.1e-5)

    @pytest.mark.parametrize(
        ("params", "multiplier", "predicted", "measured", "error"),
        [(1439795200, 32, 0.4925, 0.4752, 3.6365), (6889410560, 1, 0.4719, 0.4716, 0.0464)],
        ids=["1.4B", "6.9B"],
    )
    def test_errors_predicted_from_predicted_losses(
        self,
        shared_data: Path,
        params: int,
        multiplier: int,
        predicted: float,
        measured: float,
        error: float,
    ) -> None:
        runs = gadre(shared_data, "redpajama", 17)
        loss = fit(runs.where(FIVE_POINTS), "overtraining", objective="squared").surface
        own = fit(runs.where(SIX_POINTS), DOWNSTREAM, objective="squared").surface
        target = runs.where(f"params = {params} and chinchilla_multiplier = {multiplier}")
        there = loss.predict(params=target.params, tokens=target.tokens)
        found = float(own.predict(loss=there)[0])
        really = float(target.column("error")[0])
        assert really == pytest.approx(measured, abs=6e-5)
        assert found == pytest.approx(predicted, abs=6e-5)
        assert 100 * abs(found / really - 1) == pytest.approx(error, abs=6e-5)


ADAMW, MUON = optimizer_runs("adamw"), optimizer_runs("muon")


class TestOptimizers:
    """Reference item 25, Wen et al. 2025."""

    @pytest.mark.parametrize(
        ("losses", "published"),
        [
            ((2.902158, 2.832958, 2.784677, 2.748523), (1.019, 1.037, 1.043, 1.095)),
            ((2.897804, 2.829328, 2.782506, 2.748529), (1.058, 1.085, 1.083, 1.094)),
        ],
        ids=["nadamw", "soap"],
    )
    def test_speed_ups_at_1_2b(
        self, losses: tuple[float, ...], published: tuple[float, ...]
    ) -> None:
        size = 1207959552.0
        columns = {
            "params": np.full(4, size),
            "tokens": 20 * size * np.array([1, 2, 4, 8]),
            "loss": np.array(losses),
        }
        found = measured_gains(Runs(pl.DataFrame(columns)), ADAMW, 0.9)
        assert found is not None
        assert found.data_gain == pytest.approx(published, abs=6e-4)

    # The last digits depend on where curve_fit stopped.
    @pytest.mark.parametrize(
        ("runs", "published", "rmse"),
        [
            (ADAMW, (1.76802, 23.213, 294.386, 0.16111, 0.28385), 0.0051),
            (MUON, (1.86421, 35.152, 80.282, 0.19130, 0.22414), 0.0034),
        ],
        ids=["adamw", "muon"],
    )
    def test_two_term_fits_of_all_sixteen_runs(
        self, runs: Runs, published: tuple[float, ...], rmse: float
    ) -> None:
        own = fit(runs, "chinchilla", objective="squared")
        assert own.converged
        assert list(own.parameters.values()) == pytest.approx(published, rel=1e-4)
        assert np.sqrt(np.mean(np.expm1(own.log_residuals) ** 2 * runs.loss**2)) == pytest.approx(
            rmse, abs=6e-5
        )

    def test_the_sign_of_the_gain_flips_at_7_2b(self) -> None:
        losses = [
            float(
                fit(runs, "chinchilla", objective="squared").surface.predict(
                    params=7.2e9, tokens=20 * 7.2e9
                )
            )
            for runs in (ADAMW, MUON)
        ]
        assert losses == pytest.approx([2.567, 2.575], abs=1e-3)
        assert losses[0] < losses[1]


# Losses on four-digit addition by number of examples; Caballero et al. fit the first 14.
EXAMPLES = Input("examples", "D", "training examples", improves=True)
ADDITION = {
    160: 2.13809046,
    192: 2.11813418,
    256: 2.08955508,
    320: 2.06988398,
    384: 2.05404987,
    448: 2.03837089,
    480: 2.02814281,
    512: 2.00496872,
    544: 1.95576149,
    576: 1.86313841,
    608: 1.70891537,
    640: 1.50637664,
    672: 1.29754721,
    736: 0.96559684,
    800: 0.75856477,
    864: 0.64768338,
    928: 0.55695445,
}


class TestBroken:
    """Reference item 27: the released example, 17 points of which 14 are fitted."""

    @staticmethod
    def fitted(breaks: int) -> tuple[Fit, np.ndarray]:
        frame = pl.DataFrame(
            {"examples": list(ADDITION), "loss": list(ADDITION.values())},
            schema_overrides={"examples": pl.Float64},
        )
        runs = Runs(frame)
        law = broken_law(breaks, EXAMPLES)
        own = fit(runs.take(range(14)), law, objective="squared-log")
        rest = runs.take(range(14, 17))
        return own, own.surface.predict(examples=rest.column("examples")) / rest.loss - 1

    def test_one_break_foretells_the_last_three_points(self) -> None:
        own, error = self.fitted(1)
        assert own.converged
        assert own.mean_abs_rel_error < 1e-3
        assert np.all(np.abs(error) < 0.02)
        assert 576 < own.parameters["d1"] < 672

    def test_no_break_does_not(self) -> None:
        _, error = self.fitted(0)
        assert np.all(error > 0.9)


class TestMixing:
    """Reference item 26."""

    def test_continual_training_of_a_70m_model(self) -> None:
        """Published: k -3.7397, b -1.6938, critical share of the Pile .28623.

        They fix c first, where ln(L - c) is straightest, which is at 0.99 of the least loss.
        """
        shares = np.array([1, 2, 3, 4]) / 8
        losses = np.array([2.9261659, 2.8804935, 2.8570724, 2.8387568])
        floor = 0.99 * losses.min()
        shortcut = Law(
            name="shortcut",
            title="the mixing law of one share, less its floor",
            formula="exp(k*pile + b)",
            parameters=(real("k", start=(-5, 0)), real("b", start=(-3, 0))),
            inputs=(Input("pile", "r", "share", positive=False),),
            target=Target("excess", "L - c", "nats/token"),
            source="Ye et al. 2024, arXiv:2403.16952",
        )
        runs = Runs(pl.DataFrame({"pile": shares, "excess": losses - floor}))
        own = fit(runs, shortcut, objective="squared").parameters
        assert own["k"] == pytest.approx(-3.7397, rel=1e-3)
        assert own["b"] == pytest.approx(-1.6938, rel=1e-3)
        critical = (np.log(2.8733676 - floor) - own["b"]) / own["k"]
        assert critical == pytest.approx(0.28623, abs=6e-5)

    @pytest.mark.parametrize("objective", ["huber", "squared-log"])
    def test_five_domains_at_four_sizes(self, shared_data: Path, objective: str) -> None:
        """Least to reach: .81, with the R2 of a size over all domains at once, as they take it."""
        shares = [f"proportion_domain_{index}" for index in range(1, 6)]
        folder = shared_data / "scalebench"
        flat, strict = [], []
        for group in ("70M", "160M", "305M", "410M"):
            predicted, measured = [], []
            for index in range(1, 6):
                law = mixing_law(shares, f"loss_domain_{index}")
                train, test = (
                    read_runs(
                        folder / f"domain_mixture_{part}.csv",
                        required=law.columns,
                        where=f"\"group\" = '{group}'",
                    )
                    for part in ("train", "test")
                )
                own = fit(train, law, objective=objective)
                assert own.converged
                predicted.append(
                    own.surface.predict(**{name: test.column(name) for name in shares})
                )
                measured.append(test.column(law.target.name))
            y, off = np.stack(measured), np.stack(measured) - np.stack(predicted)
            flat.append(1 - np.sum(off**2) / np.sum((y - y.mean()) ** 2))
            strict.append(1 - np.sum(off**2) / np.sum((y - y.mean(axis=1, keepdims=True)) ** 2))
        assert np.mean(np.clip(flat, -1, 1)) > 0.99
        # Around the mean of each domain, which is far harder than around that of all.
        assert np.mean(np.clip(strict, -1, 1)) > 0.85
