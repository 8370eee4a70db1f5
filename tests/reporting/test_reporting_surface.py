"""The surface figure: what it draws is what the fit holds, and no law or table breaks it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from isoloss.errors import InputError
from isoloss.fitting import Fit, fit
from isoloss.forecasting import Region
from isoloss.laws import CATALOGUE, PARAMS, TOKENS, Input, Law, Surface, mixing_law, positive
from isoloss.planning import allocate, optimal_path
from isoloss.reporting import residual_figure, surface_figure
from isoloss.reporting.plane import best_path, outline
from isoloss.reporting.residuals import size_means
from isoloss.runs import Runs, read_runs

pytest_plugins = ("reporting_fixtures",)

EPOCH = Surface.published(CATALOGUE["chinchilla"], "epoch-2024")
WITH_BATCH = Law(
    name="with-batch",
    title="Three inputs",
    formula="E + A/params**alpha + B/tokens**alpha + F/batch**alpha",
    parameters=(
        positive("E"),
        positive("A"),
        positive("B"),
        positive("F"),
        positive("alpha", start=(0.1, 0.6)),
    ),
    inputs=(PARAMS, TOKENS, Input("batch", "S", "tokens a step")),
    linear=("E", "A", "B", "F"),
    source="a test",
)


def legend_texts(figure: Figure) -> list[str]:
    """What the legend of a figure says."""
    return [text.get_text() for text in figure.legends[0].get_texts()]


def line(axes: Axes, label: str) -> Line2D:
    """The line with a label."""
    return next(each for each in axes.lines if each.get_label() == label)


def drawn_runs(axes: Axes) -> tuple[np.ndarray, np.ndarray]:
    """Places and values of the runs, the topmost coloured dots."""
    dots = next(each for each in axes.collections if each.get_zorder() == 5)
    places, values = dots.get_offsets(), dots.get_array()
    assert values is not None
    return np.asarray(places), np.asarray(values)


def test_runs_lie_where_they_were_made_coloured_by_their_loss(chinchilla: Fit) -> None:
    axes = surface_figure(chinchilla).axes[0]
    places, values = drawn_runs(axes)
    assert np.array_equal(places, np.column_stack(chinchilla.rows.inputs))
    assert np.array_equal(values, chinchilla.rows.measured)
    dots = next(each for each in axes.collections if each.get_zorder() == 5)
    bands = next(each for each in axes.collections if each.get_zorder() == 0)
    assert dots.norm is bands.norm


def test_runs_can_be_coloured_by_their_residual(chinchilla: Fit) -> None:
    figure = surface_figure(chinchilla, colour_by="residual")
    _, values = drawn_runs(figure.axes[0])
    assert np.allclose(values, np.expm1(chinchilla.log_residuals))
    assert figure.axes[1].get_ylabel() == "predicted / measured - 1"


def test_axes_are_labelled_and_logarithmic(chinchilla: Fit) -> None:
    figure = surface_figure(chinchilla, loss_label="loss, nats/token")
    axes, scale = figure.axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("N, parameters", "D, training tokens")
    assert scale.get_ylabel() == "loss, nats/token"
    assert axes.get_title(loc="left") == "Loss surface of chinchilla"


def test_the_compute_optimal_path_is_the_planner_s(chinchilla: Fit) -> None:
    drawn = line(surface_figure(chinchilla).axes[0], "compute-optimal")
    params, tokens = (np.asarray(values) for values in drawn.get_data())
    there = np.isfinite(params)
    path = optimal_path(chinchilla.surface, (6 * params * tokens)[there].tolist())
    assert np.allclose(params[there], path["params"].to_numpy())
    region = chinchilla.region()
    assert np.all((6 * params * tokens)[there] <= 6 * region["params"][1] * region["tokens"][1])


def test_the_band_around_the_path_is_that_of_an_allocation() -> None:
    path = best_path(EPOCH, (1e20, 1e24), 3)
    for index, flops in enumerate(path.flops):
        low, high = allocate(EPOCH, float(flops)).near_optimal
        assert path.smallest[index] == pytest.approx(low, rel=0.02)
        assert path.largest[index] == pytest.approx(high, rel=0.02)


def test_points_asked_for_are_inside_and_labelled_with_their_loss(chinchilla: Fit) -> None:
    axes = surface_figure(chinchilla, points=[(7e10, 1.4e12)]).axes[0]
    assert axes.get_xlim()[1] > 7e10
    assert axes.get_ylim()[1] > 1.4e12
    loss = float(chinchilla.surface.predict(params=7e10, tokens=1.4e12))
    assert f"70B : 1.4T\nloss {loss:.4g}" in [text.get_text() for text in axes.texts]


def test_many_points_are_marked_without_labels(chinchilla: Fit) -> None:
    points = [(size, 1e11) for size in (2e9, 3e9, 5e9, 8e9)]
    figure = surface_figure(chinchilla, points=points, points_label="to predict")
    assert "to predict" in legend_texts(figure)
    assert not any("loss" in text.get_text() for text in figure.axes[0].texts)


SURFACES = [law.name for law in CATALOGUE.values() if law.is_surface]


@pytest.mark.parametrize("name", SURFACES)
def test_every_loss_surface_of_the_catalogue_can_be_drawn(name: str, runs: Runs) -> None:
    figure = surface_figure(fit(runs, name, starts=16))
    has_optimum = "compute-optimal" in legend_texts(figure)
    assert has_optimum == (name not in ("compute", "log-compute"))


def test_published_coefficients_are_drawn_without_runs() -> None:
    figure = surface_figure(EPOCH, points=[(70e9, 1.4e12)])
    assert set(legend_texts(figure)) == {
        "equal compute C = 6ND, FLOPs",
        "compute-optimal",
        "loss within 0.1 % of the optimum",
        "asked for",
    }


@pytest.mark.parametrize("condition", ["horizon = 1", "size = '300M'"])
def test_a_table_with_one_horizon_or_one_size_can_be_drawn(condition: str, runs: Runs) -> None:
    fitted = fit(runs.where(condition), "compute", starts=16)
    assert drawn_runs(surface_figure(fitted).axes[0])[0].shape == (4, 2)
    residual_figure(fitted)


def test_a_law_with_other_inputs_has_residuals_but_no_surface(runs: Runs) -> None:
    generator = np.random.default_rng(0)
    batch = generator.uniform(1e5, 1e6, len(runs))
    frame = runs.frame.with_columns(batch=batch, loss=runs.loss + 2 / batch**0.1)
    fitted = fit(read_runs(frame), WITH_BATCH, starts=16)
    assert [axes.get_xlabel() for axes in residual_figure(fitted).axes] == [
        "N, parameters",
        "D, training tokens",
        "S, tokens a step",
    ]
    message = (
        "law with-batch has no surface over N and D: found inputs params, tokens, batch; "
        "expected params and tokens"
    )
    with pytest.raises(InputError, match=f"^{message}$"):
        surface_figure(fitted)


def test_residuals_by_shares_that_may_be_zero_have_a_linear_axis() -> None:
    code = np.concatenate([np.zeros(3), np.linspace(0.1, 1, 9)])
    shares = {"web": 1 - code, "code": code}
    law = mixing_law(["web", "code"], "code_loss")
    noise = np.exp(0.003 * np.random.default_rng(0).standard_normal(code.size))
    loss = law.predict({"c": 1.1, "t1": 0.2, "t2": -1.3}, **shares) * noise
    runs = read_runs(pl.DataFrame({**shares, "code_loss": loss}), required=law.columns)
    figure = residual_figure(fit(runs, law, starts=16))
    for axes in figure.axes:
        assert axes.get_xscale() == "linear"
        low, high = axes.get_xlim()
        assert low < 0 < 1 < high
        line = next(line for line in axes.lines if line.get_marker() == "o")
        places, means = (np.asarray(values) for values in line.get_data())
        assert np.all(np.isfinite(places))
        assert np.all(np.isfinite(means))
    figure.draw_without_rendering()


def test_an_unknown_colouring_is_named(chinchilla: Fit) -> None:
    unknown: Any = "size"
    message = "unknown colouring: found 'size'; expected loss or residual"
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        surface_figure(chinchilla, colour_by=unknown)


@given(st.lists(st.tuples(st.floats(1e7, 1e11), st.floats(1e8, 1e13)), min_size=1, max_size=12))
def test_the_outline_touches_the_runs_and_every_run_is_inside(
    places: Sequence[tuple[float, float]],
) -> None:
    params, tokens = np.array(places).T
    region = Region.of({"params": params, "tokens": tokens})
    corners_n, corners_d = outline(region)
    assert np.all(region.reach(params=corners_n, tokens=corners_d) < 1e-6)
    assert corners_n.min() == pytest.approx(params.min())
    assert corners_d.max() == pytest.approx(tokens.max())


def test_residual_means_are_those_of_the_fit(chinchilla: Fit) -> None:
    figure = residual_figure(chinchilla)
    for axes, name in zip(figure.axes, ("params", "tokens"), strict=True):
        table = chinchilla.residual_table(name)
        sizes, means = line(axes, "mean of runs of one size").get_data()
        assert np.allclose(sizes, [row[name] for row in table])
        assert np.allclose(means, [row["mean_rel_error"] for row in table])


def test_many_sizes_are_averaged_in_bins_of_equal_counts() -> None:
    values = np.geomspace(1e8, 1e10, 120)
    sizes, means = size_means(values, np.linspace(-1, 1, 120))
    assert sizes.size == means.size == 12
    assert np.all(np.diff(sizes) > 0)
    assert np.mean(means) == pytest.approx(0)
