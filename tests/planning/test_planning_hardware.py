"""Accelerators from data sheets, and speeds from measured rows."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from isoloss.errors import FitError, InputError
from isoloss.laws import CATALOGUE, Surface
from isoloss.planning import (
    ACCELERATORS,
    Limits,
    Spend,
    allocate,
    best_inputs,
    find_accelerator,
    fit_throughput,
    optimum,
    rank_shapes,
    serving_bytes,
    training_state_bytes,
)

EPOCH = Surface.published(CATALOGUE["chinchilla"], "epoch-2024")


@pytest.mark.parametrize(
    ("name", "bf16", "memory", "bandwidth"),
    [
        ("a100-40gb", 312e12, 40e9, 1.555e12),
        ("a100-80gb", 312e12, 80e9, 2.039e12),
        ("h100-sxm", 989.5e12, 80e9, 3.35e12),
        ("h200-sxm", 989.5e12, 141e9, 4.8e12),
        ("b200", 2.25e15, 180e9, 8e12),
        ("tpu-v5e", 197e12, 16e9, 819e9),
        ("tpu-v5p", 459e12, 95e9, 2.765e12),
        ("tpu-v6e", 918e12, 32e9, 1.638e12),
        ("mi300x", 1307.4e12, 192e9, 5.3e12),
    ],
)
def test_data_sheets(name: str, bf16: float, memory: float, bandwidth: float) -> None:
    found = find_accelerator(name.upper())
    assert found.peak() == pytest.approx(bf16)
    assert (found.memory, found.bandwidth) == pytest.approx((memory, bandwidth))
    assert found.source


def test_every_accelerator_is_covered_and_none_is_slower_at_less_precision() -> None:
    assert len(ACCELERATORS) == 9
    for found in ACCELERATORS.values():
        speeds = [
            found.peak_flops[each] for each in ("tf32", "bf16", "fp8") if each in found.peak_flops
        ]
        assert speeds == sorted(speeds)


def test_unknown_hardware_is_refused() -> None:
    with pytest.raises(
        InputError, match=r"^accelerator: unknown accelerator: found 'h1000'; expec"
    ):
        find_accelerator("h1000")
    with pytest.raises(InputError) as caught:
        find_accelerator("tpu-v5e").peak("fp8")
    assert str(caught.value) == (
        "tpu-v5e: no peak at this precision: found 'fp8'; expected one of bf16, int8"
    )
    with pytest.raises(InputError, match=r"^precision: unknown precision: found 'int3'; expected"):
        serving_bytes(weights="int3")
    with pytest.raises(
        InputError, match=r"^n_moments: not a number of moments: found -1; expected"
    ):
        training_state_bytes(n_moments=-1)
    with pytest.raises(InputError, match=r"^tokens_in_flight: not a number of tokens: found -1"):
        serving_bytes(tokens_in_flight=-1.0)


def rows(
    noise: float = 0.0, fixed: float = 2e-9, per_param: float = 3e-17, step: float = 1e-3
) -> pl.DataFrame:
    random = np.random.default_rng(0)
    params = np.repeat([1e8, 5e8, 2e9, 8e9], 3)
    batch = np.tile([2.0**17, 2.0**19, 2.0**21], 4)
    seconds = fixed + per_param * params + step / batch
    seconds = seconds * np.exp(noise * random.standard_normal(params.size))
    return pl.DataFrame({"params": params, "batch": batch, "tokens_per_second": 1 / seconds})


def test_known_times_are_found_again() -> None:
    found = fit_throughput(rows(), ("1", "params", "1/batch"))
    np.testing.assert_allclose(found.coefficients, [2e-9, 3e-17, 1e-3], rtol=1e-6)
    assert found.columns == ("batch", "params")
    assert found.mean_abs_rel_error < 1e-9
    assert float(found.tokens_per_second(params=7e9, batch=2.0**20)) == pytest.approx(
        1 / (2e-9 + 3e-17 * 7e9 + 1e-3 / 2**20)
    )
    assert found.to_json()["seconds_per_token"]["params"] == pytest.approx(3e-17)


def test_times_are_never_negative() -> None:
    noisy = fit_throughput(rows(0.05, fixed=0.0), ("1", "params", "1/batch"))
    assert min(noisy.coefficients) >= 0
    assert noisy.coefficients[1] == pytest.approx(3e-17, rel=0.1)
    assert 0.01 < noisy.mean_abs_rel_error < 0.1


def test_a_speed_proportional_to_one_over_n_gives_the_split_of_equal_compute() -> None:
    """Inbar and Sernau 2024, arXiv:2406.18922, against Hoffmann et al. 2022."""
    measured = fit_throughput(rows(fixed=0.0, step=0.0), ("params",))
    hours = 1e22 / 6 * 3e-17 / 3600
    best = allocate(EPOCH, limits=Limits(spend=(Spend(measured.hours(), hours),)))
    assert best.params == pytest.approx(float(optimum(EPOCH, 1e22).params[0]), rel=1e-7)
    assert best.binding == ("wall-clock",)


def test_time_that_every_token_takes_favours_larger_models() -> None:
    """Where small models are slow for their FLOPs, hours are better spent on larger ones."""
    measured = fit_throughput(rows(), ("1", "params", "1/batch"))
    cost = measured.hours({"batch": 2.0**19})
    best = allocate(EPOCH, limits=Limits(spend=(Spend(cost, 100.0),)))
    assert best.params > float(optimum(EPOCH, best.flops).params[0])
    shaped = measured.hours(shape=lambda params: {"batch": np.full(np.shape(params), 2.0**19)})
    assert float(shaped.amount(1e9, 1e10)) == pytest.approx(float(cost.amount(1e9, 1e10)))


def test_speeds_that_say_too_little_are_refused() -> None:
    with pytest.raises(FitError) as caught:
        fit_throughput(rows().head(1), ("1", "params"))
    assert str(caught.value) == (
        "1 rows cannot tell the terms 1, params apart: measure more shapes, or use fewer terms"
    )
    with pytest.raises(InputError, match=r"^throughput: no such column: found params, batch, tok"):
        fit_throughput(rows(), ("width",))
    bad = rows().with_columns(tokens_per_second=pl.lit(-1.0))
    with pytest.raises(InputError, match=r"column tokens_per_second, row 1: not a positive number"):
        fit_throughput(bad)
    with pytest.raises(InputError, match=r"found no value for batch; expected batch, params$"):
        fit_throughput(rows(), ("params", "1/batch")).seconds_per_token(params=1e9)


class TestShapes:
    LAW = Surface.published(CATALOGUE["aspect-free"], "morph-2025")

    def candidates(self) -> pl.DataFrame:
        """Morph's comparison: 12 layers of 3,072 against 24 of 2,048, with their latencies."""
        return pl.DataFrame(
            {
                "params": [1e9, 1e9, 1e9],
                "tokens": [2e10, 2e10, 2e10],
                "d_model": [3072.0, 2048.0, 1024.0],
                "n_layers": [12.0, 24.0, 96.0],
                "latency": [1.96, 3.61, 12.0],
            }
        )

    def test_candidates_are_ranked_by_loss(self) -> None:
        ranked = rank_shapes(self.LAW, self.candidates())
        assert ranked["n_layers"].to_list() == [96, 24, 12]
        assert ranked["predicted_loss"].is_sorted()

    def test_a_latency_limit_leaves_the_wide_and_shallow(self) -> None:
        ranked = rank_shapes(self.LAW, self.candidates(), at_most={"latency": 2.0})
        assert ranked["d_model"].to_list() == [3072]

    def test_no_candidate_within_the_limit(self) -> None:
        with pytest.raises(FitError) as caught:
            rank_shapes(self.LAW, self.candidates(), at_most={"latency": 1.0})
        assert str(caught.value) == (
            "no candidate shape keeps within the limits: latency of at most 1, when the least is "
            "1.96"
        )
        with pytest.raises(InputError, match=r"^candidates: no such column: .* expected speed$"):
            rank_shapes(self.LAW, self.candidates(), at_least={"speed": 1.0})

    def test_a_range_that_ends_before_the_best(self) -> None:
        law = Surface.published(CATALOGUE["conditional-shape"], "1b")
        given = {"base_loss": 2.8, "mlp_attention_ratio": 1.2}
        best = best_inputs(law, {"width_ratio": (0.1, 0.5)}, given)
        assert best.inputs["width_ratio"] == pytest.approx(0.1)
        assert best.at_limit == ("width_ratio",)
        assert best.to_json()["at_limit"] == ["width_ratio"]

    def test_inputs_must_be_complete_and_ranges_real(self) -> None:
        law = Surface.published(CATALOGUE["conditional-shape"], "1b")
        with pytest.raises(
            InputError, match=r"^wrong inputs of law conditional-shape: found width"
        ):
            best_inputs(law, {"width_ratio": (0.1, 0.5)})
        given = {"base_loss": 2.8, "mlp_attention_ratio": 1.2}
        with pytest.raises(InputError, match=r"^width_ratio: not a range: found 0.5 to 0.1; expec"):
            best_inputs(law, {"width_ratio": (0.5, 0.1)}, given)
