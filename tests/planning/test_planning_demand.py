"""How expected inference moves the cheapest run of a loss."""

from __future__ import annotations

import numpy as np
import pytest

from isoloss.errors import FitError, InputError
from isoloss.laws import CATALOGUE, Surface
from isoloss.planning import (
    Cost,
    cheapest,
    demand,
    inference_money,
    total_flops,
    training_money,
)

EPOCH = Surface.published(CATALOGUE["chinchilla"], "epoch-2024")


def test_the_more_is_served_the_smaller_and_longer_trained() -> None:
    found = demand(EPOCH, 2.2, [1e9, 1e12, 1e14])
    assert np.all(np.diff(found.params) < 0)
    assert np.all(np.diff(found.tokens) > 0)
    assert np.all(np.diff(found.saved) > 0)
    assert found.saved[0] == pytest.approx(0, abs=1e-5)
    assert (found.cost, found.unit) == ("training and inference", "FLOPs")


def test_each_run_is_the_cheapest_of_its_demand() -> None:
    found = demand(EPOCH, 2.2, [1e11, 1e13])
    for row in found.to_frame().to_dicts():
        one = cheapest(EPOCH, 2.2, cost=total_flops(row["served"]))
        assert row["params"] == pytest.approx(one.params)
        assert row["amount"] == pytest.approx(one.cost("training and inference"))
        usual = cheapest(EPOCH, 2.2)
        without = float(total_flops(row["served"]).amount(usual.params, usual.tokens))
        assert row["saved"] == pytest.approx(1 - row["amount"] / without)
    assert found.to_json()["points"][1]["served"] == 1e13


def test_in_money() -> None:
    def money(served: float) -> Cost:
        return training_money(1e-18, 0.4) + inference_money(
            1e-18,
            prompt_tokens=0.0,
            generated_tokens=served,
            prompt_utilisation=0.4,
            generation_utilisation=0.02,
        )

    paid, flops = demand(EPOCH, 2.2, [1e11], cost=money), demand(EPOCH, 2.2, [1e11])
    assert paid.unit == "$"
    # Generation uses a twentieth of the peak that training does, so a token of it weighs more.
    assert paid.params[0] < flops.params[0]


def test_demands_that_cannot_be() -> None:
    with pytest.raises(FitError, match=r"^no run reaches a loss of 1\.5: law chinchilla never "):
        demand(EPOCH, 1.5, [1e10])
    with pytest.raises(InputError, match=r"^served: no demand: expected tokens, such as 1e12$"):
        demand(EPOCH, 2.2, [])
    with pytest.raises(InputError, match=r"^inference tokens: not a number of tokens: found -1; "):
        demand(EPOCH, 2.2, [-1.0])
