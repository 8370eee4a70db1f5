"""`auto`: the weighted forecast of every law that a table can carry."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from forecasting_tables import (
    EPOCH,
    GADRE,
    NOISE,
    laws_named,
    simulated,
    table,
)

from isoloss.errors import FitError, InputError
from isoloss.forecasting import (
    Candidates,
    Forecast,
    combine,
    fit_candidates,
    forecast,
    predict,
    weigh,
)
from isoloss.forecasting.correction import correct
from isoloss.forecasting.pooling import pooled
from isoloss.laws import CANDIDATES, Surface
from isoloss.notes import Severity
from isoloss.runs import Runs, optimizer_runs, read_runs

DEMO = optimizer_runs("adamw")
NEAR, FAR = (2.4e9, 4.8e10), (7e9, 1.4e11)
FEW = ("chinchilla", "overtraining", "compute")


@pytest.fixture(scope="module")
def demo() -> Candidates:
    return fit_candidates(DEMO, bootstrap=40)


@pytest.fixture(scope="module")
def forecasts(demo: Candidates) -> Forecast:
    return combine(demo, [NEAR, FAR])


def test_weights_are_shares_of_the_laws_used(forecasts: Forecast) -> None:
    assert sum(forecasts.weights.values()) == pytest.approx(1.0, abs=1e-9)
    assert all(weight > 0 for weight in forecasts.weights.values())
    assert list(forecasts.weights.values()) == sorted(forecasts.weights.values(), reverse=True)
    assert forecasts.fits.keys() == forecasts.weights.keys() <= forecasts.by_law.keys()


def test_every_candidate_has_a_reason(forecasts: Forecast) -> None:
    assert forecasts.reasons.keys() == {law.name for law in CANDIDATES}
    for name, weight in forecasts.weights.items():
        assert forecasts.reasons[name].startswith(f"weight {weight:.2f}: ")
        assert (
            " % error when predicting the dearer runs from the cheaper" in (forecasts.reasons[name])
        )


def test_the_loss_is_that_of_the_pooled_laws_corrected(
    demo: Candidates, forecasts: Forecast
) -> None:
    correction, _ = correct(demo, weigh(demo, list(forecasts.by_law)))
    added = correction.at(*np.array([NEAR, FAR]).T)
    logs = np.log([forecasts.by_law[name] for name in forecasts.weights])
    centre = pooled(logs, np.array(list(forecasts.weights.values())))
    losses = [prediction.loss for prediction in forecasts.predictions]
    assert losses == pytest.approx(np.exp(centre + added).tolist(), rel=1e-12)


def test_the_interval_covers_the_disagreement_of_the_laws(forecasts: Forecast) -> None:
    for index, prediction in enumerate(forecasts.predictions):
        spread = math.sqrt(
            sum(
                weight * math.log(forecasts.by_law[name][index] / prediction.loss) ** 2
                for name, weight in forecasts.weights.items()
            )
        )
        assert prediction.deviations.extrapolation >= spread * (1 - 1e-9)
        assert prediction.lower < prediction.loss < prediction.upper


def test_one_law_alone_is_predicted_as_by_itself() -> None:
    """Where its backtests speak against a correction, as here."""
    alone = fit_candidates(DEMO, laws_named("overtraining"), bootstrap=40)
    (both,) = combine(alone, [NEAR]).predictions
    (single,) = predict(alone.fits["overtraining"], [NEAR]).predictions
    assert both.loss == pytest.approx(single.loss, rel=1e-12)
    assert both.deviations.parameters == pytest.approx(single.deviations.parameters)
    assert both.upper == pytest.approx(single.upper, rel=1e-3)


def test_laws_left_out_do_not_widen_the_interval() -> None:
    """A law with hardly more runs than parameters has few degrees of freedom; where it has no
    share in the prediction it must have none in the interval.
    """
    runs = simulated(EPOCH, 0, sizes=3, horizons=3).take(range(1, 9))
    alone = fit_candidates(runs, laws_named("overtraining", "compute"), bootstrap=20)
    sparse = fit_candidates(runs, laws_named("chinchilla"), bootstrap=20)
    fitted = sparse.fits["chinchilla"]
    scattered = np.full_like(fitted.surface.replicates, np.nan)
    unbounded = replace(fitted, surface=replace(fitted.surface, replicates=scattered))
    beside = replace(
        alone,
        fits={**alone.fits, "chinchilla": unbounded},
        errors={**alone.errors, **sparse.errors},
    )
    found = combine(beside, [NEAR])
    assert found.reasons["chinchilla"] == (
        "left out: at N=2.4e+09, D=4.8e+10 the data do not determine its loss there"
    )
    assert found.predictions == combine(alone, [NEAR]).predictions


def test_refused_laws_are_named_with_their_reasons(shared_data: Path) -> None:
    """On four small sizes of one corpus Farseer cannot be believed at 6.9B; others can."""
    runs = read_runs(
        shared_data / "gadre_overtraining.csv", where="recipe = 'rpj' and params < 1e9"
    )
    found = forecast(runs, [(6.9e9, 1.38e11)], laws=laws_named("farseer", *FEW), bootstrap=40)
    assert "farseer" not in found.weights
    assert found.reasons["farseer"].startswith(
        "left out: at N=6.9e+09, D=1.38e+11 its loss rises with params on the way"
    )
    (prediction,) = found.predictions
    assert prediction.lower < 2.42499 < prediction.upper
    assert prediction.upper / prediction.lower < 1.4


def test_the_same_table_gives_the_same_forecast(demo: Candidates) -> None:
    laws = laws_named(*FEW)
    one, two = (
        forecast(DEMO, [NEAR], laws=laws, bootstrap=20, threads=threads).to_json()
        for threads in (1, 2)
    )
    assert one == two


def test_the_order_of_rows_does_not_matter() -> None:
    """Values and weights are the same; bootstrap draws go by row, so intervals are alike only as
    far as forty replicates are.
    """
    laws = laws_named(*FEW)
    shuffled = DEMO.take(np.random.default_rng(1).permutation(len(DEMO)))
    one, two = (forecast(runs, [FAR], laws=laws, bootstrap=40) for runs in (DEMO, shuffled))
    assert two.weights == pytest.approx(one.weights, abs=1e-6)
    assert two.predictions[0].loss == pytest.approx(one.predictions[0].loss, rel=1e-8)
    assert two.predictions[0].upper == pytest.approx(one.predictions[0].upper, rel=0.01)


@pytest.mark.parametrize(("column", "unit"), [("loss", 0.3435), ("params", 1e-6), ("tokens", 1e-9)])
def test_units_do_not_matter(column: str, unit: float) -> None:
    """Bits per byte instead of nats per token, millions of parameters, billions of tokens."""
    laws = laws_named(*FEW, "kaplan")
    other = Runs(DEMO.frame.with_columns(pl.col(column) * unit))
    point = (
        (FAR[0] * unit if column == "params" else FAR[0]),
        (FAR[1] * unit if column == "tokens" else FAR[1]),
    )
    here = forecast(DEMO, [FAR], laws=laws, bootstrap=10)
    there = forecast(other, [point], laws=laws, bootstrap=10)
    assert there.weights == pytest.approx(here.weights, abs=1e-4)
    scale = unit if column == "loss" else 1.0
    for name in ("loss", "lower", "upper"):
        expected = scale * getattr(here.predictions[0], name)
        assert getattr(there.predictions[0], name) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("truth", [EPOCH, GADRE])
def test_auto_finds_the_truth_and_knows_how_well(truth: Surface) -> None:
    """Ten tables of twenty runs that follow one law, predicted at 2, 4 and 20 times the
    largest compute, with the true law, a rival and the null law as candidates.

    Over 100 tables the 90 % intervals hold 96 to 100 % of new runs: they allow for a law that is
    none of the candidates, and are wider than knowing the law would make them. With 30 runs less
    than 80 % is no accident. The root-mean-square errors over the 100 tables are 0.4, 0.6 and
    1.1 %.
    """
    points = [(1.6e9, 6.4e10), (3.2e9, 6.4e10), (8e9, 1.6e11)]
    params, tokens = np.array(points).T
    true = truth.predict(params=params, tokens=tokens)
    held, errors, widths = [], [], []
    for seed in range(10):
        runs = simulated(truth, seed)
        found = forecast(runs, points, laws=laws_named(*FEW), bootstrap=30, seed=seed).predictions
        noise = NOISE * np.random.default_rng(1000 + seed).standard_normal(3)
        held.append(
            [p.lower <= new <= p.upper for p, new in zip(found, true * np.exp(noise), strict=True)]
        )
        errors.append(np.log([p.loss for p in found] / true))
        widths.append([math.log(p.upper / p.loss) for p in found])
    assert np.mean(held) >= 0.8
    assert np.all(np.sqrt(np.mean(np.square(errors), axis=0)) < [0.008, 0.012, 0.022])
    assert np.all(np.median(widths, axis=0) < [0.03, 0.05, 0.10])


def test_without_noise_the_true_law_takes_all() -> None:
    found = forecast(simulated(EPOCH, 0, noise=0.0), [FAR], laws=laws_named(*FEW), bootstrap=20)
    assert found.weights == {"chinchilla": 1.0}
    true = float(EPOCH.predict(params=FAR[0], tokens=FAR[1]))
    assert found.predictions[0].loss == pytest.approx(true, rel=1e-6)


LADDER = 1e8 * 2.0 ** np.arange(8)


def on_ladder(params: np.ndarray, tokens: np.ndarray, seed: int = 0) -> Runs:
    errors = 0.002 * np.random.default_rng(seed).standard_normal(params.size)
    return table(params, tokens, EPOCH.predict(params=params, tokens=tokens) * np.exp(errors))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_ladder_of_one_ratio_is_unsure_of_other_ratios(seed: int) -> None:
    """Eight sizes at 20 tokens per parameter cannot tell N from D, and a law of C alone passes
    their backtests best. On the ladder's own ratio it is right; off it, up to 10 % wrong.
    """
    runs = on_ladder(LADDER, 20 * LADDER, seed)
    laws = laws_named("chinchilla", "kaplan", "compute")
    candidates = fit_candidates(runs, laws, bootstrap=20)
    for point in ((2.5e10, 5e11), (1e8, 1.28e11), (2e8, 6e10), (6e9, 6e9)):
        true = float(EPOCH.predict(params=point[0], tokens=point[1]))
        (prediction,) = combine(candidates, [point]).predictions
        assert prediction.lower < true < prediction.upper


def test_runs_of_one_size_say_nothing_of_others() -> None:
    runs = on_ladder(np.full(8, 1e8), 20 * LADDER)
    (own,) = forecast(runs, [(1e8, 5e11)], bootstrap=20).predictions
    assert own.lower < float(EPOCH.predict(params=1e8, tokens=5e11)) < own.upper
    with pytest.raises(FitError) as caught:
        forecast(runs, [FAR], bootstrap=20)
    assert str(caught.value).startswith("no law can be believed at the points asked for: ")
    assert (
        "compute: at N=7e+09, D=1.4e+11 all runs have the same params, and tell nothing of another"
    ) in str(caught.value)


def test_runs_of_one_length_say_nothing_of_others() -> None:
    runs = on_ladder(LADDER, np.full(8, 1e10))
    with pytest.raises(
        FitError, match="all runs have the same tokens, and tell nothing of another"
    ):
        forecast(runs, [FAR], bootstrap=20)


def test_three_runs_are_too_few_for_any_law() -> None:
    runs = on_ladder(LADDER[:3], 20 * LADDER[:3])
    with pytest.raises(FitError) as caught:
        forecast(runs, [FAR])
    assert str(caught.value).startswith("no law can be fitted to frame: ")
    for law in CANDIDATES:
        count = len(law.parameters)
        assert (
            f"law {law.name} has {count} parameters and needs at least {count + 1} runs; "
            "the table has 3"
        ) in str(caught.value)


def test_equal_losses_leave_nothing_to_fit() -> None:
    runs = table(LADDER, 20 * LADDER, 3.0)
    with pytest.raises(FitError, match="all 8 runs have the same loss 3: there is nothing to fit"):
        forecast(runs, [FAR])


def test_four_runs_give_a_wide_guess_that_says_so() -> None:
    found = forecast(on_ladder(LADDER[:4], 20 * LADDER[:4]), [(7e9, 1.4e11)], bootstrap=20)
    assert found.weights == {"compute": 1.0}
    assert found.reasons["compute"] == "weight 1.00: the table is too small for backtests"
    notes = {note.code: note for note in found.notes}
    assert notes["no-backtest"].severity is Severity.WARNING
    assert notes["no-backtest"].message == (
        "the table is too small for backtests: laws count alike, and how errors grow beyond the "
        "data is a guess of 2 % for each factor of 2.7"
    )
    (prediction,) = found.predictions
    assert prediction.upper / prediction.lower > 1.3


def test_six_sizes_of_one_corpus_are_enough_for_the_next(shared_data: Path) -> None:
    """Chinchilla-optimal runs of six sizes: a seventh is forecast from the first five."""
    path = shared_data / "gadre_overtraining.csv"
    runs = read_runs(path, where="recipe = 'rpj' and tokens_per_param = 20")
    assert len(runs) == 6
    (inside,) = forecast(runs, [(6.9e9, 1.38e11)], bootstrap=20).predictions
    assert inside.lower < 2.42499 < inside.upper
    (ahead,) = forecast(runs.where("params < 5e9"), [(6.9e9, 1.38e11)], bootstrap=20).predictions
    assert ahead.lower < 2.42499 < ahead.upper
    assert ahead.upper / ahead.lower > inside.upper / inside.lower


def test_far_forecasts_carry_a_warning(demo: Candidates) -> None:
    largest = demo.region.flops[1]
    at = (7e10, 40 * largest / (6 * 7e10))
    (note,) = [note for note in combine(demo, [at]).notes if note.code == "far"]
    assert note.severity is Severity.WARNING
    assert note.message == (
        "the farthest point takes 40 times the compute of the largest run: backtests on this "
        "table say little about errors that far out"
    )
    assert "far" not in {note.code for note in combine(demo, [NEAR]).notes}


def test_notes_on_the_table_come_along(forecasts: Forecast) -> None:
    first, *others = [note.code for note in forecasts.notes]
    assert first == "filtered"
    # A law that few replicates of so small a table can carry says so.
    assert set(others) <= {"replicates-not-converged"}


def test_json_is_what_other_programs_rely_on(forecasts: Forecast) -> None:
    document = forecasts.to_json()
    assert {"predictions", "weights"} <= document.keys()
    assert document["weights"] == dict(forecasts.weights)
    for entry in document["predictions"]:
        assert {"params", "tokens", "loss", "lower", "upper", "level", "extrapolation"} <= (
            entry.keys()
        )
        assert entry["extrapolation"].keys() == {"params", "tokens", "flops"}
    assert json.loads(json.dumps(document, allow_nan=False)) == document


def test_points_and_levels_are_checked_before_any_fit() -> None:
    with pytest.raises(InputError, match=r"^--at: no point to predict"):
        forecast(DEMO, [])
    with pytest.raises(InputError, match=r"^--at: not a point: found \(7000000000\.0, -1\)"):
        forecast(DEMO, [(7e9, -1)])
    with pytest.raises(InputError, match=r"^--level: not a level: found 90"):
        forecast(DEMO, [FAR], level=90)
