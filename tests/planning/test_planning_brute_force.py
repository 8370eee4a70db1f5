"""Every plan against brute force: random laws, budgets and limits on dense grids."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from isoloss.arrays import Array
from isoloss.errors import FitError
from isoloss.laws import CATALOGUE, Surface
from isoloss.planning import (
    Limits,
    Spend,
    allocate,
    cheapest,
    inference_flops,
    inference_money,
    training_flops,
    training_money,
)

PROBLEMS = 200
# Further problems, each of a kind that is rare among those. The best size stands where two limits
# meet, and far beyond it, or a grid cell beyond it, the search ends.
CORNERS = (366, 440)
# The best run sees its data just once: a little more does harm, and much more may do good again.
SEEN_ONCE = (223, 244, 335)
# Only one run reaches the loss, at the size limit and the best number of epochs.
LONE_RUN = (286,)
# So many epochs, or so many parameters for the data, that the last of them change nothing.
SATURATED = (228, 270, 368)
# Of the loss, or of the cost where that is least.
WORSE = 1e-6
# A loss that changes by a smaller share does not change.
SAME = 1e-10
SIZES = 20_001
TOKEN_COUNTS = 2_001


@dataclass(frozen=True)
class Problem:
    """A law with a budget, and the same written out by hand.

    Attributes:
        surface: the law.
        limits: of the plan.
        ceiling: most tokens by N; 0 or less where a size is ruled out.
        inputs: the law's other inputs by N and D.
        free: whether fewer tokens may be better.
        kink: tokens from which on more may do harm at once; 0 if there are none.
    """

    surface: Surface
    limits: Limits
    ceiling: Callable[[Array], Array]
    inputs: Callable[[Array, Array], dict[str, Array]]
    free: bool = False
    kink: float = 0.0


def around(random: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(random.uniform(np.log(low), np.log(high))))


def random_surface(random: np.random.Generator, name: str) -> Surface:
    """A law whose terms are of the order of the loss around N = 1e9, D = 2e10."""
    N, D = 1e9, 2e10
    alpha, beta = random.uniform(0.1, 0.6, 2)
    parameters = {
        "E": random.uniform(0.1, 2.5),
        "A": random.uniform(0.1, 1.5) * N**alpha,
        "B": random.uniform(0.1, 1.5) * D**beta,
        "alpha": alpha,
        "beta": beta,
    }
    match name:
        case "coupled":
            parameters["k"] = random.uniform(0.3, 1.5)
        case "chinchilla-nonembedding":
            parameters["omega"] = around(random, 1e4, 1e5)
        case "repeated-data":
            parameters |= {"R_D_star": around(random, 4, 40), "R_N_star": around(random, 2, 20)}
        case "train-to-test":
            parameters |= {"G": random.uniform(0.1, 1.0), "gamma": random.uniform(0.1, 0.6)}
        case "repeated-diffusion":
            scale = around(random, 10, 100)
            parameters |= {
                "p_e": random.uniform(0.8, 1.6),
                "c_p": scale * N**0.5 / D**0.4,
                "m_p": 0.4,
                "k_p": 0.5,
                "gamma": random.uniform(0.4, 0.8),
                "beta": random.uniform(0.1, 0.3),
            }
            parameters["B"] = random.uniform(0.5, 1.5) * D ** parameters["beta"]
        case "farseer":
            own = CATALOGUE["farseer"].published_set("notebook").parameters
            parameters = {k: v * random.uniform(0.99, 1.01) for k, v in own.items()}
    return Surface.of_parameters(CATALOGUE[name], parameters)


LAWS = (
    *("chinchilla", "coupled", "farseer", "chinchilla-nonembedding"),
    *("repeated-data", "train-to-test", "repeated-diffusion"),
)


def random_problem(seed: int) -> Problem:
    random = np.random.default_rng(seed)
    name = LAWS[seed % len(LAWS)]
    surface = random_surface(random, name)
    flops = around(random, 1e19, 1e24)
    caps: list[Callable[[Array], Array]] = [lambda N: flops / (6 * N)]
    spend = [Spend(training_flops(), flops)]
    chosen: dict[str, float] = {}
    if random.random() < 0.3:
        served = around(random, 1e9, 1e13)
        spend[0] = Spend(training_flops() + inference_flops(served), flops)
        caps[0] = lambda N: (flops - 2 * N * served) / (6 * N)
    if random.random() < 0.25:
        dollars = around(random, 1e3, 1e8)
        price = 1e-18
        money = training_money(price, 0.4) + inference_money(
            price,
            prompt_tokens=1e9,
            generated_tokens=3e9,
            prompt_utilisation=0.4,
            generation_utilisation=0.02,
        )
        spend.append(Spend(money, dollars))
        serving = price * 2 * (1e9 / 0.4 + 3e9 / 0.02)
        caps.append(lambda N: (dollars - serving * N) / (price * 6 * N / 0.4))
    if random.random() < 0.3:
        chosen["max_tokens"] = around(random, 1e9, 1e13)
        most = chosen["max_tokens"]
        caps.append(lambda N: np.full(N.shape, most))
    if random.random() < 0.3:
        chosen["max_params"] = around(random, 1e9, 1e11)
        largest = chosen["max_params"]
        caps.append(lambda N: np.where(largest >= N, np.inf, -1.0))
    unique, answer = around(random, 1e9, 1e12), around(random, 1e10, 1e13)
    repeats = name in ("repeated-data", "repeated-diffusion")
    answers = name == "train-to-test"
    if repeats:
        chosen["unique_tokens"] = unique
    if answers:
        chosen["answer_flops"] = answer
        caps.append(lambda N: np.where(answer >= 2 * N, np.inf, -1.0))
    limits = Limits(
        spend=tuple(spend),
        max_tokens=chosen.get("max_tokens"),
        max_params=chosen.get("max_params"),
        unique_tokens=chosen.get("unique_tokens"),
        answer_flops=chosen.get("answer_flops"),
    )

    def given(N: Array, D: Array) -> dict[str, Array]:
        if repeats:
            return {"unique_tokens": np.minimum(D, unique)}
        return {"samples": answer / (2 * N)} if answers else {}

    def ceiling(N: Array) -> Array:
        return np.asarray(np.minimum.reduce([cap(N) for cap in caps]))

    free = name == "repeated-diffusion"
    return Problem(surface, limits, ceiling, given, free, unique if free else 0.0)


def best_by_brute_force(problem: Problem) -> tuple[float, bool]:
    """The least loss on a grid of sizes, and of token counts where fewer may be better.

    Returns:
        The loss, that of the lowest valley where the loss falls again towards the edge of what is
        ever searched; and whether it has no valley.
    """
    N = np.geomspace(1e3, 1e16, 601 if problem.free else SIZES)
    top = problem.ceiling(N)
    inside = (top > 1e-3 * N) & (problem.free | (top < 1e7 * N))
    N, top = N[inside], top[inside]
    D = top[None]
    if problem.free:
        most = np.minimum(top, 1e7 * N)
        D = np.exp(np.linspace(np.log(1e-3 * N), np.log(most), TOKEN_COUNTS))
        D = np.append(D, np.clip(problem.kink, 1e-3 * N, most)[None], axis=0)
    sizes = np.broadcast_to(N, D.shape)
    loss = problem.surface.predict(params=sizes, tokens=D, **problem.inputs(sizes, D)).min(axis=0)
    place = int(np.argmin(loss))
    # Fewer tokens per parameter end the search; where a limit does, the last size is an answer.
    bounded = problem.limits.max_params or problem.limits.answer_flops or top[-1] > 2e-3 * N[-1]
    if 0 < place < N.size - 1 or (place > 0 and bounded):
        return float(loss[place]), False
    beside = np.minimum(loss[:-2], loss[2:])
    valleys = loss[1:-1][loss[1:-1] * (1 + SAME) < beside]
    return float(valleys.min(initial=np.inf)), valleys.size == 0


@pytest.mark.parametrize("seed", [*range(PROBLEMS), *CORNERS, *SEEN_ONCE])
def test_no_run_within_the_limits_is_better(seed: int) -> None:
    problem = random_problem(seed)
    least, at_edge = best_by_brute_force(problem)
    if at_edge:
        with pytest.raises(FitError, match=r"has no optimal size under these limits"):
            allocate(problem.surface, limits=problem.limits)
        return
    found = allocate(problem.surface, limits=problem.limits)
    N, D = np.array(found.params), np.array(found.tokens)
    assert found.tokens <= float(problem.ceiling(N)) * (1 + 1e-9)
    expected = problem.surface.predict(params=N, tokens=D, **problem.inputs(N, D))
    assert found.loss == pytest.approx(float(expected), rel=1e-12)
    assert found.loss <= least * (1 + WORSE)
    if found.interior:
        # A balance of N and D: on either side, along the same limits, the loss is no lower.
        beside = found.loss_of(N * np.array([0.98, 1.02]))
        assert not np.any(beside < found.loss * (1 - 1e-11))
    else:
        assert found.binding


@pytest.mark.parametrize(
    "seed", [*range(0, PROBLEMS, 5), *CORNERS, *SEEN_ONCE, *LONE_RUN, *SATURATED]
)
def test_no_run_of_that_loss_is_cheaper(seed: int) -> None:
    """Reaching the loss that a budget buys takes that budget, or less where limits bind."""
    problem = random_problem(seed)
    if best_by_brute_force(problem)[1]:
        return  # no run is best; the test above sees to it that this is said
    bought = allocate(problem.surface, limits=problem.limits)
    spend = problem.limits.spend[0]
    found = cheapest(problem.surface, bought.loss, cost=spend.cost, limits=problem.limits)
    own = bought.cost(spend.cost.name)
    assert found.cost(spend.cost.name) <= own * (1 + 1e-6)
    assert found.loss == pytest.approx(bought.loss, rel=1e-9)
    assert found.interior or found.binding
    # A little less of either changes the loss, so that none of the budget is wasted.
    N = bought.params * np.array([1 - 1e-6, 1])
    D = bought.tokens * np.array([1, 1 - 1e-6])
    less = problem.surface.predict(params=N, tokens=D, **problem.inputs(N, D))
    if spend.cost.name in bought.binding and np.all(less > bought.loss * (1 + SAME)):
        assert found.cost(spend.cost.name) == pytest.approx(own, rel=1e-6)
