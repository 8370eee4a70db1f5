"""Schedules: the usual shapes, any array, tables, and how they are written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoloss import curves
from isoloss.curves import (
    DECAYS,
    Schedule,
    constant,
    cosine,
    cyclic,
    given_rates,
    multi_step,
    parse_schedule,
    read_schedules,
    schedule_frame,
    through_points,
    wsd,
)
from isoloss.errors import InputError

STEPS, PEAK, END, WARMUP = 24_000, 3e-4, 3e-5, 2160


@pytest.mark.parametrize(
    ("name", "schedule"),
    [
        ("constant_24000", constant(STEPS, PEAK, warmup=WARMUP)),
        ("cosine_24000", cosine(STEPS, PEAK, end=END, warmup=WARMUP)),
        (
            "wsd_20000_24000",
            wsd(STEPS, PEAK, decay=4000, end=END, shape="exponential", warmup=WARMUP),
        ),
        ("wsdld_20000_24000", wsd(STEPS, PEAK, decay=4000, end=END, warmup=WARMUP)),
        ("wsdcon_9", multi_step(16_000, PEAK, drops={8000: 9e-5}, warmup=WARMUP)),
    ],
)
def test_shapes_are_those_of_released_runs(
    name: str, schedule: Schedule, shared_data: Path
) -> None:
    released = read_schedules(shared_data / "multipowerlaw_lr_schedules.csv")[name]
    assert (released.steps, released.warmup) == (schedule.steps, WARMUP)
    # The table gives every 16th step, which straight lines join.
    np.testing.assert_allclose(schedule.rates, released.rates, rtol=2e-5)


def test_a_warm_up_rises_linearly_to_the_peak() -> None:
    schedule = constant(100, PEAK, warmup=11)
    np.testing.assert_allclose(schedule.rates[:11], PEAK * np.arange(11) / 10)
    assert np.all(schedule.rates[11:] == PEAK)
    assert schedule.plateau == schedule.peak == PEAK


@pytest.mark.parametrize("shape", DECAYS)
@given(share=st.floats(0.01, 1.0), end=st.floats(0.01, 1.0))
def test_decays_fall_from_the_peak_towards_their_end(shape: str, share: float, end: float) -> None:
    decay = max(2, round(1000 * share))
    rates = wsd(1000, PEAK, decay=decay, end=end * PEAK, shape=shape).rates
    assert np.all(rates[: 1000 - decay + 1] == PEAK)
    assert np.all(np.diff(rates) <= 1e-18)
    assert rates[-1] >= end * PEAK * (1 - 1e-12)


def test_cycles_begin_anew_at_the_peak() -> None:
    rates = cyclic(1000, PEAK, period=250, low=END).rates
    np.testing.assert_array_equal(rates[:250], rates[250:500])
    assert rates[250] == PEAK


def test_any_array_is_a_schedule_and_its_first_rise_a_warm_up() -> None:
    assert given_rates("own", [0.0, 0.5, 1.0, 1.0, 0.5]).warmup == 3
    assert given_rates("own", [1.0, 0.5, 0.2]).warmup == 0
    assert given_rates("own", [0.0, 1.0, 1.0], warmup=1).warmup == 1


def test_rates_between_given_steps_lie_on_straight_lines() -> None:
    schedule = through_points("own", [0, 10, 20], [1.0, 1.0, 0.0], warmup=0)
    np.testing.assert_allclose(schedule.rates[10:], np.linspace(1, 0, 11))


def test_schedules_grow_shrink_and_come_back_from_tables() -> None:
    schedule = cosine(500, PEAK, warmup=50)
    assert schedule.until(99).steps == 100
    assert schedule.held(600).rates[-1] == schedule.rates[-1]
    back = read_schedules(schedule_frame(schedule))["cosine"]
    np.testing.assert_allclose(back.rates, schedule.rates)
    assert back.fingerprint == schedule.fingerprint


def test_schedules_are_written_as_text() -> None:
    text = "wsd:steps=24K:peak=3e-4:decay=4000:end=3e-5:shape=linear:warmup=2160"
    same = wsd(STEPS, PEAK, decay=4000, end=END, warmup=WARMUP)
    assert parse_schedule(text).fingerprint == same.fingerprint
    drops = parse_schedule("multi-step:steps=100:peak=1:drops=50@0.1,80@0.01")
    assert drops.rates[[49, 50, 80]].tolist() == [1.0, 0.1, 0.01]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sine:steps=1", "--schedule: unknown shape of schedule: found 'sine'; expected one of "),
        ("cosine:steps=10", "--schedule: a cosine schedule without peak: found "),
        ("cosine:steps=10:peek=1", "--schedule: unknown part of a schedule: found 'peek=1'; "),
        ("cosine:steps=1.5:peak=1", "--schedule: not a number of steps: found '1.5'; "),
        ("wsd:steps=10:peak=1:decay=11", "unusable decay: found 11; expected a whole number, 0 to"),
        (
            "wsd:steps=10:peak=1:decay=5:shape=square",
            "--shape: unknown shape of decay: found 'square'; expected one of exponential, ",
        ),
        (
            "wsd:steps=10:peak=1:decay=5:shape=exponential",
            "exponential decay: unusable end of a decay: found 0; expected above zero to the peak",
        ),
    ],
)
def test_texts_that_are_no_schedule(text: str, message: str) -> None:
    with pytest.raises(InputError) as refused:
        parse_schedule(text)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("rates", "message"),
    [
        ([1.0, -1.0], "schedule own: step 1: unusable learning rate: found -1; expected a finite"),
        ([1.0, np.nan], "schedule own: step 1: unusable learning rate: found nan; expected a fin"),
        ([], "schedule own: not a schedule: found shape (0,); expected one rate a step"),
        ([0.0, 0.0], "schedule own: the learning rate is zero throughout: expected some rate abo"),
    ],
)
def test_arrays_that_are_no_schedule(rates: list[float], message: str) -> None:
    with pytest.raises(InputError) as refused:
        given_rates("own", rates)
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"schedule": ["a", "a"], "step": [0, 0], "learning_rate": [1.0, 2.0]},
            "frame: schedule a: steps out of order: found 0 after 0; expected every step once",
        ),
        (
            {"schedule": ["a", "a"], "step": [0.0, 1.5], "learning_rate": [1.0, 1.0]},
            "frame: schedule a: not a step: found 1.5; expected 0, 1, 2, ...",
        ),
        (
            {"schedule": ["a", None], "step": [0, 1], "learning_rate": [1.0, 1.0]},
            "frame: column schedule: a row without a schedule: expected the name of a schedule",
        ),
    ],
)
def test_tables_that_are_no_schedules(columns: dict[str, list[object]], message: str) -> None:
    with pytest.raises(InputError) as refused:
        read_schedules(pl.DataFrame(columns))
    assert str(refused.value).startswith(message)


def test_schedules_load_nothing_slow() -> None:
    """Names load with their modules: a trainer that asks for a schedule needs no solver."""
    script = "from isoloss.curves import wsd\nimport sys\nprint(*sys.modules)"
    finished = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert {"sympy", "scipy", "polars", "isoloss.fitting"}.isdisjoint(finished.stdout.split())


def test_every_public_name_is_found() -> None:
    for name in curves.__all__:
        assert getattr(curves, name).__class__
    assert sorted(curves.__all__) == dir(curves)
    with pytest.raises(AttributeError, match=r"module 'isoloss\.curves' has no attribute 'cubic'"):
        _ = curves.cubic
