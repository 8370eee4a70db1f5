"""Limits: what they allow, what stands at them, and what is refused with which way out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from isoloss.errors import FitError, InputError
from isoloss.laws import CATALOGUE, Surface
from isoloss.planning import (
    Limits,
    SizeLimit,
    Spend,
    allocate,
    cheapest,
    decoding_seconds,
    find_accelerator,
    inference_flops,
    optimum,
    serving_bytes,
    training_flops,
    training_state_bytes,
    wall_clock,
)

EPOCH = Surface.published(CATALOGUE["chinchilla"], "epoch-2024")
REPEATED = Surface.published(CATALOGUE["repeated-data"], "muennighoff-2023")
C = 1e22
FREE = allocate(EPOCH, C)


def spend(flops: float) -> tuple[Spend, ...]:
    return (Spend(training_flops(), flops),)


def test_a_budget_alone_is_the_closed_form() -> None:
    searched = allocate(EPOCH, limits=Limits(spend=spend(C)))
    assert FREE.closed_form
    assert not searched.closed_form
    assert searched.params == pytest.approx(FREE.params, rel=1e-9)
    assert searched.near_optimal == pytest.approx(FREE.near_optimal, rel=1e-6)
    assert searched.binding == FREE.binding == ("training",)
    assert searched.interior
    for own, other in zip(searched.deviations, FREE.deviations, strict=True):
        assert own.compute_share == pytest.approx(other.compute_share, rel=1e-6)
        assert own.loss_increase == pytest.approx(other.loss_increase, rel=1e-6)


def test_limits_that_do_not_bind_change_nothing() -> None:
    loose = Limits(
        max_params=10 * FREE.params, min_tokens=FREE.tokens / 10, max_tokens=10 * FREE.tokens
    )
    assert allocate(EPOCH, C, limits=loose).params == pytest.approx(FREE.params, rel=1e-9)


@pytest.mark.parametrize(
    ("name", "limits"),
    [
        ("max_params", Limits(max_params=FREE.params / 3)),
        ("min_params", Limits(min_params=FREE.params * 3)),
        ("max_tokens", Limits(max_tokens=FREE.tokens / 3)),
        ("min_tokens", Limits(min_tokens=FREE.tokens * 3)),
        ("max_tokens_per_param", Limits(max_tokens_per_param=FREE.tokens_per_param / 3)),
        ("min_tokens_per_param", Limits(min_tokens_per_param=FREE.tokens_per_param * 3)),
        ("unique_tokens", Limits(unique_tokens=FREE.tokens / 3)),
        ("max_epochs", Limits(unique_tokens=FREE.tokens / 12, max_epochs=4)),
    ],
)
def test_a_limit_that_binds_is_named_and_the_budget_is_still_spent(
    name: str, limits: Limits
) -> None:
    best = allocate(EPOCH, C, limits=limits)
    assert set(best.binding) == {"training", name}
    assert not best.interior
    assert 6 * best.params * best.tokens == pytest.approx(C)
    assert best.loss > FREE.loss
    (note,) = [note for note in best.notes if note.code == "at-limit"]
    assert name in note.message
    assert note.details["binding"] == list(best.binding)


def test_near_optimal_sizes_keep_within_the_limits() -> None:
    best = allocate(EPOCH, C, limits=Limits(max_params=FREE.params / 3))
    assert best.near_optimal[1] == pytest.approx(best.params, rel=1e-9)
    assert best.near_optimal[0] < best.params
    assert all(entry.params < best.params for entry in best.deviations)


def test_unique_tokens_are_an_input_where_the_law_reads_them() -> None:
    best = allocate(REPEATED, C, limits=Limits(unique_tokens=25e9))
    assert best.inputs["unique_tokens"] == 25e9
    assert best.epochs == pytest.approx(best.tokens / 25e9)
    assert best.epochs is not None
    assert best.epochs > 1
    few = allocate(REPEATED, C, limits=Limits(unique_tokens=25e9, max_epochs=4))
    assert few.epochs == pytest.approx(4)
    assert "max_epochs" in few.binding


def test_plenty_of_unique_tokens_give_the_split_of_fresh_data() -> None:
    best = allocate(REPEATED, C, limits=Limits(unique_tokens=1e15))
    own = REPEATED.parameters
    fresh = Surface.of_parameters(
        CATALOGUE["chinchilla"], {name: own[name] for name in ("E", "A", "B", "alpha", "beta")}
    )
    assert best.params == pytest.approx(float(optimum(fresh, C).params[0]), rel=1e-6)


def test_a_cluster_for_thirty_days() -> None:
    h100 = find_accelerator("h100-sxm")
    hours = wall_clock(h100.peak(), 1024, 0.4)
    best = allocate(EPOCH, limits=Limits(spend=(Spend(hours, 720.0),)))
    flops = 989.5e12 * 1024 * 0.4 * 720 * 3600
    assert best.flops == pytest.approx(flops)
    assert best.params == pytest.approx(float(optimum(EPOCH, flops).params[0]), rel=1e-9)
    assert best.cost("wall-clock") == pytest.approx(720)


def test_of_two_budgets_the_tighter_one_binds() -> None:
    hours = wall_clock(1e15, 100, 0.5)
    limits = Limits(spend=(Spend(hours, 1.0), *spend(1e30)))
    best = allocate(EPOCH, limits=limits)
    assert best.binding == ("wall-clock",)
    assert best.interior
    assert best.flops == pytest.approx(1e15 * 100 * 0.5 * 3600)


def test_memory_of_training_and_serving() -> None:
    """Adam in mixed precision holds 16 bytes a parameter (Rajbhandari et al. 2020)."""
    one = np.array(1.0)
    assert float(np.asarray(training_state_bytes()(one))) == 16
    lean = training_state_bytes(master_weights=None, moments="bf16", n_moments=1)
    assert float(np.asarray(lean(one))) == 6
    state = SizeLimit("memory", "bytes", training_state_bytes(), 64 * 80e9)
    best = allocate(EPOCH, 1e26, limits=Limits(sizes=(state,)))
    assert best.params == pytest.approx(64 * 80e9 / 16)
    assert "memory" in best.binding
    # Llama 2 7B: 32 layers, keys and values of 4,096 in two bytes each.
    serving = serving_bytes(kv_bytes_per_token=2 * 32 * 4096 * 2, tokens_in_flight=8 * 4096)
    assert float(np.asarray(serving(np.array(7e9)))) == pytest.approx(14e9 + 8 * 4096 * 524288)


def test_a_latency_limit() -> None:
    h100 = find_accelerator("h100-sxm")
    latency = decoding_seconds(serving_bytes(), h100.bandwidth)
    limit = SizeLimit("latency", "seconds", latency, 0.005)
    best = allocate(EPOCH, 1e24, limits=Limits(sizes=(limit,)))
    assert best.params == pytest.approx(0.005 * 3.35e12 / 2)
    assert "latency" in best.binding


class TestRefusals:
    def refused(self, limits: Limits, flops: float | None = C, law: Surface = EPOCH) -> str:
        with pytest.raises((InputError, FitError)) as caught:
            allocate(law, flops, limits=limits)
        return str(caught.value)

    def test_sizes_that_contradict_each_other(self) -> None:
        assert self.refused(Limits(min_params=1e10, max_params=1e9)) == (
            "params: contradictory limits: found at least 1e+10 by min_params, at most 1e+09 by "
            "max_params; expected min_params of at most 1e+09, or more room for max_params"
        )

    def test_tokens_that_contradict_each_other(self) -> None:
        assert self.refused(Limits(min_tokens=1e12, max_tokens=1e11)) == (
            "max_tokens: contradictory limits: found at most 1e+11 tokens for even one parameter, "
            "at least 1e+12 by min_tokens; expected max_tokens that leaves 1e+12 tokens"
        )

    def test_a_budget_too_small_for_what_is_wanted(self) -> None:
        message = self.refused(Limits(min_params=1e10, min_tokens=1e13), 1e22)
        assert message == (
            "training: the budget is too small: found 1e+22 FLOPs, when training 1e+10 parameters "
            "on 1e+13 tokens by min_tokens takes 6e+23; expected at least 6e+23 FLOPs"
        )
        least = Limits(min_params=1e10, min_tokens=1e13)
        assert allocate(EPOCH, 6e23 * (1 + 1e-9), limits=least).params == pytest.approx(1e10)

    def test_a_budget_that_serving_alone_exceeds(self) -> None:
        cost = training_flops() + inference_flops(1e15)
        limits = Limits(spend=(Spend(cost, 1e22),), min_params=1e9)
        assert self.refused(limits, None) == (
            "training and inference: the budget is too small: found 1e+22 FLOPs, when training "
            "1e+09 parameters on 1e+06 tokens takes 2e+24; expected at least 2e+24 FLOPs"
        )

    def test_no_budget_at_all(self) -> None:
        message = (
            "limits: nothing limits the training: expected a budget of FLOPs, money or hours, "
            "or max_tokens"
        )
        assert self.refused(Limits(), None) == message
        assert self.refused(Limits(unique_tokens=1e9), None, REPEATED) == message

    def test_sizes_that_would_train_on_absurdly_many_tokens(self) -> None:
        assert self.refused(Limits(max_params=1e6), 1e25) == (
            "max_params: every size allowed would train on more tokens than the search looks at: "
            "found at most 1e+06 parameters, 1e+07 or more tokens for each; expected larger "
            "sizes, or max_tokens"
        )

    def test_tokens_alone_leave_the_size_open(self) -> None:
        assert self.refused(Limits(max_tokens=1e12), None) == (
            "law chinchilla has no optimal size under these limits: its loss has no interior "
            "minimum between 0.001 and 1e+07 tokens per parameter. Set min_params or max_params "
            "to bound the sizes"
        )

    def test_memory_that_holds_no_model(self) -> None:
        fixed = SizeLimit("memory", "bytes", lambda params: params + 1e12, 1e9)
        assert self.refused(Limits(sizes=(fixed,))) == (
            "memory: no model keeps within the limit on memory: found at most 1e+09 bytes; "
            "expected at least 1e+12 bytes, which every model takes"
        )

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (
                lambda: Limits(max_params=-1.0),
                "max_params: not a usable limit: found -1; expected a positive number",
            ),
            (
                lambda: Limits(spend=spend(float("nan"))),
                "limit on training: not a usable limit: found nan; expected a positive number",
            ),
            (
                lambda: Limits(max_epochs=4.0),
                "max_epochs: epochs of unknown data: expected unique_tokens beside it",
            ),
        ],
    )
    def test_limits_that_mean_nothing(self, make: object, message: str) -> None:
        assert callable(make)
        with pytest.raises(InputError) as caught:
            make()
        assert str(caught.value) == message

    def test_inputs_that_nobody_gave(self) -> None:
        assert self.refused(Limits(), C, REPEATED) == (
            "law repeated-data reads more than N and D: found no value for unique_tokens; expected "
            "one in given, or a limit that sets it: unique_tokens, answer_flops"
        )

    def test_inputs_that_the_law_does_not_read(self) -> None:
        with pytest.raises(InputError, match=r"does not read what is given: found quality"):
            allocate(EPOCH, C, given={"quality": 1.0})
        law = Surface.of_parameters(
            CATALOGUE["train-to-test"],
            {"E": 1.0, "A": 50, "B": 50, "G": 1, "alpha": 0.3, "beta": 0.3, "gamma": 0.3},
        )
        with pytest.raises(InputError, match=r"^samples: not usable: found 0; expected a positive"):
            allocate(law, C, given={"samples": 0.0})

    def test_laws_without_n(self) -> None:
        law = Surface.published(CATALOGUE["conditional-shape"], "1b")
        with pytest.raises(InputError, match=r"^law conditional-shape does not read N"):
            allocate(law, C)


def test_a_loss_below_the_floor_is_refused_with_the_floor() -> None:
    with pytest.raises(FitError) as caught:
        cheapest(EPOCH, 1.5)
    assert str(caught.value).startswith(
        "no run reaches a loss of 1.5: law chinchilla never falls below 1.8172. The lowest within "
        "the limits is 1.8173 with "
    )
    assert EPOCH.parameters["E"] == pytest.approx(1.8172, rel=1e-12)


def test_a_loss_out_of_reach_of_the_limits_is_refused_with_the_nearest() -> None:
    with pytest.raises(FitError) as caught:
        cheapest(EPOCH, 2.0, limits=Limits(max_params=1e9, max_tokens=1e12))
    nearest = float(EPOCH.predict(params=1e9, tokens=1e12))
    assert str(caught.value) == (
        "no run within the limits reaches a loss of 2: the lowest that law chinchilla gives there "
        f"is {nearest:.5g} with N=1e+09, D=1e+12"
    )


def test_a_loss_too_dear_for_the_budget_is_refused_with_what_it_takes() -> None:
    needed = cheapest(EPOCH, FREE.loss).flops
    assert needed == pytest.approx(C, rel=1e-9)
    with pytest.raises(FitError) as caught:
        cheapest(EPOCH, FREE.loss, limits=Limits(spend=spend(C / 10)))
    less = allocate(EPOCH, C / 10)
    assert str(caught.value) == (
        f"reaching a loss of {FREE.loss:g} takes at least 1e+22 FLOPs (training), and the limit "
        f"is 1e+21. The nearest that it allows is {less.loss:.5g} with N={less.params:.4g}, "
        f"D={less.tokens:.4g}"
    )


@pytest.mark.parametrize(
    ("name", "parameters", "limits", "flops"),
    [
        ("chinchilla", EPOCH.parameters, Limits(max_params=1e12), C),
        ("repeated-data", REPEATED.parameters, Limits(unique_tokens=25e9), C),
        (
            "repeated-diffusion",
            {
                **{"E": 0.5, "A": 1535.23, "alpha": 0.42, "B": 54.21, "beta": 0.13},
                **{"p_e": 1.49, "c_p": 254.35, "m_p": 0.39, "k_p": 0.55, "gamma": 0.40},
            },
            Limits(unique_tokens=8e9),
            None,
        ),
    ],
)
def test_replicates_have_the_runs_of_their_own_parameters(
    name: str, parameters: dict[str, float], limits: Limits, flops: float | None
) -> None:
    law = CATALOGUE[name]
    surface = Surface.of_parameters(law, parameters)
    others = [
        Surface.of_parameters(law, {**parameters, "alpha": alpha}, surface.centre)
        for alpha in np.linspace(0.98, 1.02, 5) * parameters["alpha"]
    ]
    replicates = np.column_stack([other.working for other in others])
    best = allocate(replace(surface, replicates=replicates), flops, limits=limits, level=1 - 1e-9)
    alone = [allocate(other, flops, limits=limits) for other in others]
    for key in ("params", "tokens", "tokens_per_param"):
        values = [getattr(run, key) for run in alone]
        assert best.intervals[key] == pytest.approx((min(values), max(values)), rel=1e-5)
    assert best.interior
