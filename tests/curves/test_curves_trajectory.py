"""The its identities under Kaplan's constants, and what a target costs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoloss.curves import KAPLAN, POSITION_LAW, Trajectory, batch_trade_off
from isoloss.errors import InputError
from isoloss.laws import find_law

SIZES = st.floats(6, 12).map(lambda power: 10.0**power)
STEPS = st.floats(2, 6).map(lambda power: 10.0**power)


@pytest.mark.parametrize(("loss", "batch"), [(3, 1.123e6), (2.5, 2.675e6), (2, 7.74e6)])
def test_kaplan_critical_batches(loss: float, batch: float) -> None:
    assert KAPLAN.critical_batch(loss) == pytest.approx(batch, rel=1e-3)


@given(params=SIZES, steps=STEPS)
def test_an_unlimited_batch_is_the_law_of_least_steps(params: float, steps: float) -> None:
    law = find_law("kaplan-steps")
    published = law.published_set("kaplan-2020").parameters
    expected = law.predict(published, params=params, steps=steps)
    assert KAPLAN.loss(params, steps) == pytest.approx(float(expected), rel=1e-12)
    assert KAPLAN.loss(params, steps, 1e30) == pytest.approx(float(expected), rel=1e-12)


def test_a_loss_of_the_paper() -> None:
    assert float(KAPLAN.loss(1e9, 1e5)) == pytest.approx(2.4005, abs=5e-5)


@given(params=SIZES, steps=STEPS)
def test_at_the_critical_batch_steps_and_tokens_double(params: float, steps: float) -> None:
    loss = float(KAPLAN.loss(params, steps))
    batch = float(KAPLAN.critical_batch(loss))
    assert KAPLAN.steps(params, loss, batch) == pytest.approx(2 * steps, rel=1e-9)
    assert KAPLAN.loss(params, 2 * steps, batch) == pytest.approx(loss, rel=1e-12)
    least = float(KAPLAN.least_tokens(params, loss))
    assert KAPLAN.tokens(params, loss, batch) == pytest.approx(2 * least, rel=1e-9)


@given(params=SIZES, steps=STEPS, batch=st.floats(3, 9).map(lambda power: 10.0**power))
def test_tokens_against_batch_are_a_line_whose_slope_is_least_steps(
    params: float, steps: float, batch: float
) -> None:
    loss = float(KAPLAN.loss(params, steps, batch))
    assert KAPLAN.steps(params, loss, batch) == pytest.approx(steps, rel=1e-7)
    ends = KAPLAN.tokens(params, loss, np.array([batch, 3 * batch]))
    slope = float(np.diff(ends)[0] / (2 * batch))
    assert slope == pytest.approx(float(KAPLAN.least_steps(params, loss)), rel=1e-9)


def test_losses_broadcast_over_sizes_steps_and_batches() -> None:
    losses = KAPLAN.loss(np.array([1e8, 1e9])[:, None], np.geomspace(1e3, 1e6, 5), 5e5)
    assert losses.shape == (2, 5)
    assert np.all(np.diff(losses, axis=1) < 0)
    assert np.all(np.diff(losses, axis=0) < 0)


def test_time_is_bought_with_compute() -> None:
    critical = float(KAPLAN.critical_batch(2.5))
    found = batch_trade_off(KAPLAN, 1e9, 2.5, batches=[0.1 * critical, critical, 10 * critical])
    assert found.critical_batch == pytest.approx(critical)
    assert found.intervals == {}
    choices = found.choices
    assert [choice.more_time for choice in choices] == pytest.approx([11.0, 2.0, 1.1])
    assert [choice.more_compute for choice in choices] == pytest.approx([1.1, 2.0, 11.0])
    assert choices[1].flops == pytest.approx(6e9 * choices[1].tokens)
    assert set(choices[0].to_json()) >= {"batch", "steps", "tokens", "flops"}


def test_what_cannot_be_reached() -> None:
    assert KAPLAN.least_steps(1e9, 2.0) == np.inf
    with pytest.raises(
        InputError, match=r"target loss: the size cannot reach the target: found 2; "
    ):
        batch_trade_off(KAPLAN, 1e9, 2.0)
    with pytest.raises(InputError, match="size: not positive: found -1; expected a positive numb"):
        batch_trade_off(KAPLAN, -1, 2.0)
    with pytest.raises(InputError, match="unusable batch size: found 0; expected a positive numb"):
        batch_trade_off(KAPLAN, 1e9, 2.5, batches=[0.0])
    with pytest.raises(InputError, match="step_scale: unusable constant: found -1; expected a pos"):
        Trajectory(1.0, 1.0, -1.0, 1.0, 1.0, 1.0)


def test_the_loss_by_position_is_recovered() -> None:
    import polars as pl

    import isoloss

    positions = np.geomspace(1, 4096, 40)
    loss = POSITION_LAW.predict({"a0": 3.0, "a1": 0.2, "a2": 2.1}, position=positions)
    table = isoloss.read_runs(
        pl.DataFrame({"position": positions, "loss": loss}), required=POSITION_LAW.columns
    )
    fitted = isoloss.fit(table, POSITION_LAW)
    assert fitted.parameters == pytest.approx({"a0": 3.0, "a1": 0.2, "a2": 2.1}, rel=1e-6)
