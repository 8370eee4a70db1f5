"""Figures of plans: what they show, read off the drawn lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from isoloss.errors import InputError
from isoloss.fitting import Fit, fit
from isoloss.laws import CATALOGUE, Surface
from isoloss.planning import (
    Limits,
    Spend,
    allocate,
    cheapest,
    demand,
    frontier,
    inference_flops,
    overtraining,
    training_flops,
)
from isoloss.reporting import (
    demand_figure,
    frontier_figure,
    isoflop_figure,
    overtraining_figure,
    target_figure,
)
from isoloss.runs import Runs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EPOCH = Surface.published(CATALOGUE["chinchilla"], "epoch-2024")


@pytest.fixture(scope="module")
def fitted() -> Fit:
    params = 1e8 * 2.0 ** np.repeat(np.arange(4), 5)
    tokens = 40 * params * 2.0 ** np.tile(np.arange(-2, 3), 4)
    noise = 0.003 * np.random.default_rng(1).standard_normal(params.size)
    loss = EPOCH.predict(params=params, tokens=tokens) * np.exp(noise)
    runs = Runs(pl.DataFrame({"params": params, "tokens": tokens, "loss": loss}))
    return fit(runs, "chinchilla", bootstrap=30, starts=8)


def test_a_frontier_shows_losses_choices_and_limits(fitted: Fit) -> None:
    budgets = np.geomspace(1e19, 1e22, 7).tolist()
    found = frontier(fitted, budgets, limits=Limits(max_params=2e9))
    figure = frontier_figure(found, loss_label="loss, nats/token")
    left, right = figure.axes
    np.testing.assert_allclose(
        np.asarray(left.lines[0].get_xydata()), np.array([budgets, found.column("loss")]).T
    )
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert {"90 % of the replicates", "stands at a limit", "D, tokens"} <= set(labels)
    assert left.get_ylabel() == "predicted loss, nats/token"
    assert right.get_xlabel() == "training, FLOPs"
    assert "2B\n833B tokens" in [text.get_text() for text in left.texts]


def test_a_frontier_without_any_optimum_is_refused() -> None:
    null = Surface.of_parameters(CATALOGUE["compute"], {"E": 1.7, "A": 1e3, "alpha": 0.15})
    with pytest.raises(InputError, match=r"^frontier: no optimum at any of the budgets$"):
        frontier_figure(frontier(null, [1e20, 1e21]))


def test_what_a_loss_costs(fitted: Fit) -> None:
    best = cheapest(fitted, 2.6)
    axes = target_figure(best).axes[0]
    curve = np.asarray(axes.lines[0].get_xydata())
    assert np.nanmin(curve[:, 1]) == pytest.approx(best.flops, rel=1e-3)
    assert axes.get_ylabel() == "training, FLOPs"
    with pytest.raises(InputError, match=r"^allocation: no cost is least here: expected one of"):
        target_figure(allocate(EPOCH, 1e21))
    # The one door to figures leads here too.
    assert isoflop_figure(best).axes[0].get_ylabel() == "training, FLOPs"


def test_the_band_of_a_plan_of_other_costs(fitted: Fit) -> None:
    cost = training_flops() + inference_flops(1e12)
    best = allocate(fitted, limits=Limits(spend=(Spend(cost, 1e22),), max_params=5e9))
    axes = isoflop_figure(best).axes[0]
    assert axes.get_title(loc="left") == "1e22 FLOPs under chinchilla"
    curve = np.asarray(axes.lines[0].get_xydata())
    assert np.nanmin(curve[:, 1]) == pytest.approx(best.loss, rel=1e-5)


def test_demand_figures() -> None:
    served = [1e10, 1e12, 1e14]
    found = [demand(EPOCH, loss, served) for loss in (2.2, 2.4)]
    figure = demand_figure(found)
    left, right = figure.axes
    assert left.get_ylabel() == "N, parameters"
    assert right.get_ylabel() == "FLOPs saved, %"
    for axes, name, factor in ((left, "params", 1), (right, "saved", 100)):
        drawn = np.asarray(axes.lines[0].get_xydata())
        np.testing.assert_allclose(drawn[:, 1], factor * found[0].to_frame()[name].to_numpy())
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["loss 2.2", "loss 2.4"]
    # The one door to figures leads here too.
    assert len(found[0].plot().axes) == 2
    with pytest.raises(InputError, match=r"^demands: not demands of one kind: found none; expec"):
        demand_figure([])


def test_overtraining_shows_where_serving_has_paid() -> None:
    result = overtraining(EPOCH, 8e9, 2.1)
    left, right = overtraining_figure(result).axes
    assert left.get_ylabel() == "training, FLOPs"
    fixed, cheap = (np.asarray(line.get_xydata()) for line in right.lines[:2])
    crossing = np.interp(0.0, (cheap - fixed)[:, 1], fixed[:, 0])
    assert crossing == pytest.approx(result.pays_after, rel=0.01)
    assert "pays after 245B tokens" in [text.get_text() for text in right.texts]
    never = overtraining(EPOCH, 3e10, 2.1).plot().axes[1]
    assert "never pays: the size is no smaller than the cheapest" in [
        text.get_text() for text in never.texts
    ]


def crossed_labels(figure: Figure) -> list[str]:
    """Texts that lie on the first line of the first axes."""
    figure.draw_without_rendering()
    axes = figure.axes[0]
    line = axes.transData.transform(np.asarray(axes.lines[0].get_xydata()))
    shares = np.linspace(0, 1, 50)[:, None, None]
    path = (line[:-1] + shares * (line[1:] - line[:-1])).reshape(-1, 2)
    found = []
    for text in axes.texts:
        box = text.get_window_extent()
        inside = (path > [box.x0, box.y0]) & (path < [box.x1, box.y1])
        found += [text.get_text()] if inside.all(axis=1).any() else []
    return found


def test_no_label_lies_on_its_line(fitted: Fit) -> None:
    budgets = np.geomspace(1e19, 1e23, 9).tolist()
    for limits in (None, Limits(max_params=2e9)):
        assert not crossed_labels(frontier_figure(frontier(fitted, budgets, limits=limits)))
    served = np.geomspace(1e10, 1e14, 9).tolist()
    assert not crossed_labels(demand_figure(demand(EPOCH, 2.2, served)))
    assert not crossed_labels(isoflop_figure(allocate(EPOCH, 1e22)))
