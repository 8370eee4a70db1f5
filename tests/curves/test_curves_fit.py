"""Fitting curves: recovery, weights, replicates, bands, files, and curves that were held out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from isoloss.curves import (
    DEFAULT_CURVE_LAW,
    AnnealingLaw,
    Curve,
    CurveFit,
    Curves,
    MultiPowerLaw,
    Schedule,
    backtest_curves,
    constant,
    cosine,
    find_curve_law,
    fit_curves,
    load_curve_fit,
    multi_step,
    read_curves,
    save_curve_fit,
    scan_decay_factor,
    select_curves,
    split_curves,
    wsd,
)
from isoloss.curves.backtest import also_fitted
from isoloss.curves.fit import step_blocks
from isoloss.curves.solving import point_weights, point_worth
from isoloss.errors import FitError, InputError
from isoloss.runs import read_runs

STEPS, PEAK, WARMUP = 6000, 3e-4, 500
PUBLISHED = dict(MultiPowerLaw().published[1].parameters)
TISSUE = {"L0": 2.9, "A": 0.6, "alpha": 0.75, "C": 0.45}
SCHEDULES = (
    constant(STEPS, PEAK, warmup=WARMUP),
    cosine(STEPS, PEAK, end=3e-5, warmup=WARMUP),
    multi_step(STEPS, PEAK, drops={3000: 9e-5}, warmup=WARMUP),
    wsd(STEPS, PEAK, decay=1500, end=3e-5, warmup=WARMUP),
)


def made(schedule: Schedule, law: str = "multi-power", noise: float = 0.0, seed: int = 0) -> Curve:
    """A curve that follows a law, with a little noise."""
    steps = np.arange(WARMUP + 50, schedule.steps, 100)
    parameters = TISSUE if law == "annealing" else PUBLISHED
    loss = find_curve_law(law).predict(parameters, schedule, steps)
    jitter = np.random.default_rng(seed).standard_normal(steps.size)
    return Curve(schedule.name, schedule, steps, loss * np.exp(noise * jitter))


def some(law: str = "multi-power", noise: float = 0.0) -> Curves:
    curves = [made(schedule, law, noise, seed) for seed, schedule in enumerate(SCHEDULES)]
    return Curves(tuple(curves))


@pytest.fixture(scope="module")
def noisy_fit() -> CurveFit:
    return fit_curves(some(noise=1e-3), "multi-power", bootstrap=20, threads=1)


@pytest.mark.parametrize("resample", ["curves", "blocks"])
def test_the_annealing_law_is_recovered(resample: str) -> None:
    fit = fit_curves(some("annealing", 3e-4), "annealing", bootstrap=50, resample=resample)
    assert fit.converged
    assert fit.parameters == pytest.approx(TISSUE, rel=0.03)
    for low, high in fit.intervals().values():
        assert low < high


def test_the_multi_power_law_is_recovered_without_noise() -> None:
    fit = fit_curves(some(), "multi-power", hold=False, weighting="points")
    assert fit.parameters == pytest.approx(PUBLISHED, rel=1e-3)
    assert fit.objective_value < 1e-12


def test_the_decay_factor_is_found() -> None:
    law = find_curve_law("annealing", decay_factor=0.995)
    curves = [
        replace(curve, loss=law.predict(TISSUE, curve.schedule, curve.steps))
        for curve in some("annealing").curves
    ]
    fit, values = scan_decay_factor(Curves(tuple(curves)), (0.99, 0.995, 0.999))
    assert fit.law.options() == {"decay_factor": 0.995}
    assert min(values, key=lambda factor: values[factor]) == 0.995


def test_sizes_share_one_law() -> None:
    law = AnnealingLaw(sizes=True)
    parameters = {**TISSUE, "L0": 2.0, "B": 60.0, "beta": 0.25}
    curves = []
    for size in (2.5e7, 1e8, 4e8):
        for curve in some("annealing").curves[:2]:
            named = replace(curve, run_id=f"{size:g}/{curve.run_id}", params=size)
            loss = law.predict(parameters, curve.schedule, curve.steps, size)
            curves.append(replace(named, loss=loss))
    fit = fit_curves(Curves(tuple(curves)), law)
    assert fit.parameters == pytest.approx(parameters, rel=1e-3)
    larger = fit.predict(SCHEDULES[1], [STEPS - 1], params=8e8)
    expected = law.predict(parameters, SCHEDULES[1], np.array([STEPS - 1]), 8e8)
    assert larger.loss == pytest.approx(expected, rel=1e-4)


def test_every_curve_and_e_fold_weighs_alike() -> None:
    curves = some().curves
    dense = (curves[0].take(np.arange(0, curves[0].steps.size, 5)), curves[1])
    weights = point_weights(dense, "log-steps")
    first = weights[: dense[0].steps.size]
    assert first.sum() == pytest.approx(weights.sum() / 2)
    late = dense[0].steps >= 1000
    np.testing.assert_allclose((first * dense[0].steps)[late], (first * dense[0].steps)[late][0])
    assert np.all(point_weights(dense, "points") == 1.0)


def test_alike_residuals_are_worth_less() -> None:
    curves = (made(constant(200_000, PEAK, warmup=WARMUP)),)
    generator = np.random.default_rng(0)
    alone = generator.standard_normal(curves[0].steps.size)
    assert point_worth(curves, alone) > 0.8
    # Of a moving average over ten points one in ten is worth a point.
    alike = np.convolve(alone, np.ones(10) / 10, mode="same")
    assert 0.05 < point_worth(curves, alike) < 0.2


def test_blocks_are_stretches_of_one_curve() -> None:
    curves = some().curves[:2]
    blocks = step_blocks(curves, 8)
    assert blocks.size == sum(curve.steps.size for curve in curves)
    assert np.all(np.diff(blocks) >= 0)
    assert set(blocks[: curves[0].steps.size]) & set(blocks[curves[0].steps.size :]) == set()


def test_a_saved_fit_predicts_the_same(noisy_fit: CurveFit, tmp_path: Path) -> None:
    path = tmp_path / "fit.json"
    save_curve_fit(noisy_fit, path)
    back = load_curve_fit(path)
    longer = cosine(3 * STEPS, PEAK, warmup=WARMUP)
    own, same = (each.predict(longer) for each in (noisy_fit, back))
    for name in ("steps", "loss", "lower", "upper"):
        np.testing.assert_array_equal(getattr(own, name), getattr(same, name))
    assert back.to_json() == noisy_fit.to_json()


def test_what_a_fit_says(noisy_fit: CurveFit) -> None:
    said = noisy_fit.to_json()
    assert said["law"] == "multi-power"
    assert list(said["parameters"]) == ["L0", "A", "alpha", "B", "C", "beta", "gamma"]
    assert (said["n_curves"], said["n_points"]) == (4, noisy_fit.curves.loss.size)
    assert said["converged"] is True
    assert said["bootstrap"]["resample"] == "blocks"
    assert noisy_fit.band.noise == pytest.approx(1e-3, rel=0.2)


def test_bands_widen_beyond_the_steps_of_the_fit(noisy_fit: CurveFit) -> None:
    longer = constant(10 * STEPS, PEAK, warmup=WARMUP)
    band = noisy_fit.predict(longer)
    width = (band.upper - band.lower) / band.loss
    assert width[-1] > 1.5 * width[0]
    assert [note.code for note in band.notes] == ["far-beyond"]
    wide, narrow = (noisy_fit.predict(longer, level=level) for level in (0.99, 0.5))
    assert np.all(wide.upper > narrow.upper)


def test_bands_hold_unseen_curves_as_often_as_they_say() -> None:
    generator = np.random.default_rng(1)
    held = []
    for _ in range(6):
        seeds = generator.integers(1 << 30, size=4)
        curves = [
            made(schedule, "annealing", 2e-3, int(seed))
            for schedule, seed in zip(SCHEDULES, seeds, strict=True)
        ]
        result = backtest_curves(Curves(tuple(curves[:3])), Curves((curves[3],)), ["annealing"])
        held.append(result.scores("annealing")["coverage"])
    assert 0.8 <= np.mean(held) <= 0.97


@pytest.mark.parametrize("size", ["25M", "100M"])
def test_held_out_curves_of_the_authors(size: str, shared_data: Path) -> None:
    """Luo et al.: MAE .00376 and .00435, WorstE .00409 and .00583."""
    runs = read_runs(
        shared_data / "multipowerlaw_curves_25m_100m.csv",
        where=f"recipe = 'mpl_{size}'",
        required={"step": False, "loss": True},
    )
    fitted, held_out = split_curves(
        runs, "source_role = 'test'", shared_data / "multipowerlaw_lr_schedules.csv"
    )
    result = backtest_curves(fitted, held_out, ["multi-power", "multi-power-fading"])
    assert (result.n_fit, result.n_held_out) == (3, 6)
    r2, mae, mean, worst = {
        "25M": (0.9988, 0.00376, 0.00110, 0.00409),
        "100M": (0.9983, 0.00435, 0.00142, 0.00583),
    }[size]
    for law in result.held_out:
        scores = result.scores(law)
        assert scores["r2"] > r2 - 1e-4
        assert scores["mae"] < mae
        assert scores["mean_abs_rel_error"] < mean + 5e-6
        assert scores["max_abs_rel_error"] < worst
        assert scores["coverage"] > 0.8
    assert result.scores("multi-power-fading")["r2"] > r2


@pytest.mark.parametrize("size", ["25M", "100M"])
def test_curves_three_times_as_long(size: str, shared_data: Path) -> None:
    curves = read_curves(
        shared_data / "multipowerlaw_curves_25m_100m.csv",
        schedules=shared_data / "multipowerlaw_lr_schedules.csv",
        where=f"recipe = 'mpl_{size}'",
    )
    fitted = ("cosine_24000", "constant_24000", "wsd_20000_24000", "wsdld_20000_24000")
    asked = ("constant_72000", "cosine_72000")
    result = backtest_curves(
        select_curves(curves, [f"{size}/{name}" for name in fitted]),
        select_curves(curves, [f"{size}/{name}" for name in asked]),
        [DEFAULT_CURVE_LAW],
    )
    for each in result.held_out[DEFAULT_CURVE_LAW]:
        late = each.curve.steps > 30_000
        assert np.max(np.abs(each.predicted / each.curve.loss - 1)[late]) < 0.005


def test_points_from_before_runs_branched_are_named() -> None:
    steady, decayed = made(SCHEDULES[0], noise=1e-3), made(SCHEDULES[3], noise=1e-3)
    common = steady.steps < STEPS - 1500
    branch = replace(decayed, loss=np.where(common, steady.loss, decayed.loss))
    assert also_fitted(branch, [steady]).tolist() == common.tolist()
    others = (made(SCHEDULES[1], noise=1e-3, seed=5), made(SCHEDULES[2], noise=1e-3, seed=6))
    result = backtest_curves(Curves((steady, *others)), Curves((branch,)), ["annealing"])
    (note,) = result.to_json()["notes"]
    assert note["details"]["share"] == pytest.approx(float(np.mean(common)))
    (held,) = result.held_out["annealing"]
    expected = float(np.mean(held.inside[~common]))
    assert note["details"]["coverage_of_others"]["annealing"] == pytest.approx(expected)
    assert note["message"].startswith("73 % of the held-out points are also in fitted curves, from")


def test_a_band_of_replicates_is_never_narrower() -> None:
    fitted, asked = Curves(some("annealing", 3e-3).curves[:3]), Curves((made(SCHEDULES[3]),))
    plain, drawn = (
        backtest_curves(fitted, asked, ["annealing"], bootstrap=count, resample="blocks")
        for count in (0, 30)
    )
    (bare,), (wide,) = plain.held_out["annealing"], drawn.held_out["annealing"]
    assert drawn.fits["annealing"].replicates.shape[1] == 30
    np.testing.assert_array_equal(bare.predicted, wide.predicted)
    assert np.all(wide.upper >= bare.upper)


def test_a_table_of_final_losses_is_no_table_of_curves() -> None:
    ends = tuple(curve.take(curve.steps == curve.steps[-1]) for curve in some().curves)
    with pytest.raises(InputError, match="frame: no curves: found one loss in each of 4 runs; exp"):
        fit_curves(Curves(ends))


def test_fits_that_cannot_be() -> None:
    few = Curves((made(SCHEDULES[0]).take(np.arange(7)),))
    with pytest.raises(FitError, match="has 7 parameters and needs at least 8 points; the curves"):
        fit_curves(few, "multi-power")
    with pytest.raises(FitError, match="has 7 parameters and needs at least 8 points; the curves"):
        backtest_curves(few, few, ["multi-power"])
    with pytest.raises(InputError, match="--weighting: unknown weighting: found 'steps'; expected"):
        fit_curves(few, "annealing", weighting="steps")
    with pytest.raises(InputError, match="--resample: unknown kind of bootstrap: found 'pairs'; e"):
        fit_curves(few, "annealing", resample="pairs")
    with pytest.raises(InputError, match="--bootstrap: too few: found -1; expected 0 or more"):
        fit_curves(few, "annealing", bootstrap=-1)


def test_a_fit_without_a_decay_says_so() -> None:
    fit = fit_curves(Curves((made(SCHEDULES[0], noise=1e-3),)))
    assert "no-decay-seen" in [note.code for note in fit.notes]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not a fit of curves: expected a JSON file written by isoloss curve fit -o"),
        ("{}", "not a fit of curves, or a damaged one: found KeyError 'state'; expected a JSON "),
    ],
)
def test_files_that_hold_no_fit(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "fit.json"
    path.write_text(text)
    with pytest.raises(InputError) as refused:
        load_curve_fit(path)
    assert str(refused.value).startswith(f"{path}: {message}")
    with pytest.raises(InputError, match="cannot read the fit: found No such file or directory"):
        load_curve_fit(tmp_path / "none.json")


def table(curve: Curve) -> pl.DataFrame:
    rates = curve.schedule.rates[curve.steps]
    return pl.DataFrame(
        {
            "run_id": [curve.run_id] * curve.steps.size,
            "step": curve.steps,
            "learning_rate": rates,
            "loss": curve.loss,
        }
    )


def test_rates_that_are_logged_are_joined_by_straight_lines() -> None:
    curve = made(SCHEDULES[1])
    (read,) = read_curves(table(curve)).curves
    assert read.steps.tolist() == curve.steps.tolist()
    after = slice(curve.steps[0], curve.steps[-1] + 1)
    np.testing.assert_allclose(read.schedule.rates[after], curve.schedule.rates[after], rtol=5e-3)
    codes = [note.code for note in read_curves(table(curve)).notes]
    assert "rates-before-first-step" in codes


def test_a_condition_may_divide_a_curve() -> None:
    frame = pl.concat([table(made(schedule)) for schedule in SCHEDULES[:2]])
    runs = read_runs(frame, required={"step": False, "loss": True, "learning_rate": False})
    early, late = split_curves(runs, "step > 4000")
    assert (len(early), len(late)) == (2, 2)
    assert early.curves[0].steps[-1] <= 4000 < late.curves[0].steps[0]
    assert early.curves[0].schedule.steps == late.curves[0].schedule.steps


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"step": [5.5]}, "run constant: not a step: found 5.5; expected 0, 1, 2, ..."),
        ({"schedule": ["other"]}, "run constant: unknown schedule: found 'other'; expected one of"),
        ({"step": [9999]}, "a step beyond its schedule: found step 9999; expected 0 to 5999, the"),
    ],
)
def test_tables_that_do_not_fit_their_schedules(
    change: dict[str, list[object]], message: str
) -> None:
    row = {"run_id": ["constant"], "step": [100.0], "loss": [3.0], "schedule": ["constant"]}
    with pytest.raises(InputError) as refused:
        read_curves(pl.DataFrame({**row, **change}), schedules={"constant": SCHEDULES[0]})
    assert message in str(refused.value)


def test_a_step_must_not_come_twice() -> None:
    frame = pl.DataFrame(
        {"run_id": ["a", "a"], "step": [5, 5], "loss": [3.0, 3.1], "learning_rate": [1.0, 1.0]}
    )
    with pytest.raises(InputError, match="run a: a step twice: found step 5; expected one loss a"):
        read_curves(frame)


def test_runs_are_found_by_name() -> None:
    curves = some()
    assert curves["cosine"].run_id == "cosine"
    with pytest.raises(InputError, match="no such run: found 'sine'; expected one of constant, co"):
        curves["sine"]
