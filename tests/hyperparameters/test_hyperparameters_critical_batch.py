"""The critical batch size from simulated runs."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from isoloss.errors import FitError, InputError
from isoloss.hyperparameters import fit_critical_batch
from isoloss.runs import Runs

# Kaplan et al. 2020, tables 2 and 3, for a model of 1e8 parameters.
FLOOR = (6.5e13 / 1e8) ** 0.077
SCALE, ALPHA = 2.1e8, 0.21
BATCHES = np.geomspace(3e4, 6e6, 8)


def critical(loss: float) -> float:
    return float(SCALE * loss ** (-1 / ALPHA))


def curves(
    batches: np.ndarray = BATCHES, *, noise: float = 0.0, seed: int = 0, tokens: float = 2.5e9
) -> Runs:
    """Loss against step at each batch, by Kaplan's trajectory."""
    generator = np.random.default_rng(seed)
    grid = np.linspace(6.0, FLOOR + 0.12, 4000)
    rows = []
    for batch in batches:
        least = 2.1e3 / (grid - FLOOR) ** (1 / 0.76)
        steps = least * (1 + SCALE * grid ** (-1 / ALPHA) / batch)
        logged = np.arange(1, 121) * (tokens / batch + 8e3) / 120
        loss = np.interp(logged, steps, grid) * np.exp(noise * generator.standard_normal(120))
        rows.append(
            pl.DataFrame({"step": logged, "loss": loss}).with_columns(
                run_id=pl.lit(f"b{batch:.0f}"), batch_tokens=pl.lit(float(batch))
            )
        )
    return Runs(pl.concat(rows))


def test_without_noise_kaplans_constants_come_back() -> None:
    found = fit_critical_batch(curves())
    assert found.alpha == pytest.approx(ALPHA, rel=0.01)
    assert found.scale == pytest.approx(SCALE, rel=0.06)
    for level in found.levels:
        assert level.critical == pytest.approx(critical(level.loss), rel=0.02)
        assert found.at(level.loss) == pytest.approx(critical(level.loss), rel=0.01)


def test_at_the_critical_batch_steps_and_tokens_are_twice_the_least() -> None:
    found = fit_critical_batch(curves())
    level = found.levels[3]
    batch = float(found.at(level.loss))
    steps = found.steps(level.least_steps, level.loss, batch)
    assert steps == pytest.approx(2 * level.least_steps)
    assert steps * batch == pytest.approx(2 * level.least_tokens, rel=0.02)


def test_the_intervals_hold_the_truth_of_noisy_runs() -> None:
    held = {"scale": 0, "alpha": 0, "batch": 0}
    for seed in range(20):
        found = fit_critical_batch(curves(noise=0.003, seed=seed))
        low, high = found.scale_interval(0.9)
        held["scale"] += low <= SCALE <= high
        low, high = found.alpha_interval(0.9)
        held["alpha"] += low <= ALPHA <= high
        loss = found.levels[4].loss
        low, high = found.interval(loss, 0.9)
        held["batch"] += low <= critical(loss) <= high
    assert min(held.values()) >= 15


def test_a_target_takes_what_kaplan_says() -> None:
    found = fit_critical_batch(curves())
    loss = found.levels[5].loss
    said = found.trade_off(loss, batches=[1e6], level=0.5)
    assert said.least_steps == pytest.approx(2.1e3 / (loss - FLOOR) ** (1 / 0.76), rel=0.02)
    assert said.critical_batch == pytest.approx(critical(loss), rel=0.01)
    assert said.intervals == {"critical_batch": found.interval(loss, 0.5)}
    (choice,) = said.choices
    assert choice.tokens == pytest.approx(1e6 * choice.steps)
    assert choice.flops is None
    with pytest.raises(FitError, match="frame: no run passes a loss of 1: expected 3"):
        found.trade_off(1.0)


def test_levels_may_be_given() -> None:
    found = fit_critical_batch(curves(), levels=[4.0, 3.6, 3.4])
    assert [level.loss for level in found.levels] == pytest.approx([4.0, 3.6, 3.4])
    assert found.to_json()["levels"][0]["n_runs"] == 8


def test_small_batches_alone_are_an_extrapolation() -> None:
    found = fit_critical_batch(curves(np.geomspace(2e3, 2e4, 5), tokens=6e8))
    assert found.notes[-1].message == (
        "all batch sizes lie below the critical one: it is extrapolated; run larger batches"
    )


def test_two_batch_sizes_are_too_few() -> None:
    with pytest.raises(FitError, match="needs runs at 3 batch sizes or more"):
        fit_critical_batch(curves(BATCHES[:2]))


def test_runs_that_share_no_loss_are_refused() -> None:
    with pytest.raises(
        FitError, match=r"no loss that 3 runs of different batch pass; they reach from 5\.8"
    ):
        fit_critical_batch(curves(), levels=[1.0])


def test_a_run_has_one_batch() -> None:
    mixed = curves()
    frame = mixed.frame.with_columns(run_id=pl.lit("one"))
    with pytest.raises(InputError, match="a run with several batch sizes: found 30000"):
        fit_critical_batch(Runs(frame))
