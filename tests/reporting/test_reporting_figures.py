"""Parity, allocation, IsoFLOP and forecast figures draw what the results hold."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import polars as pl
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from isoloss.errors import InputError
from isoloss.fitting import Fit, fit
from isoloss.forecasting import Backtest, Forecast, HeldOut, forecast
from isoloss.laws import CATALOGUE, Surface
from isoloss.planning import Allocation, allocate, optimum, replicate_optimum
from isoloss.reporting import (
    allocation_figure,
    draw,
    forecast_figure,
    isoflop_figure,
    law_looks,
    parity_figure,
    residual_figure,
)
from isoloss.runs import Runs, read_runs

pytest_plugins = ("reporting_fixtures",)

EPOCH = Surface.published(CATALOGUE["chinchilla"], "epoch-2024")


def legend_texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def dots(axes: Axes, zorder: float) -> np.ndarray:
    """Places of the dots drawn at a level."""
    found = [each for each in axes.collections if each.get_zorder() == zorder]
    return np.asarray(found[0].get_offsets())


def one_point(**changes: Any) -> Backtest:
    """A backtest that held out a single run."""
    values = {"params": 1e9, "tokens": 2e10, "measured": 2.9, "predicted": 2.95} | {
        "lower": 2.8,
        "upper": 3.1,
        **changes,
    }
    columns = {name: np.array([value]) for name, value in values.items()}
    inputs = {name: columns.pop(name) for name in ("params", "tokens")}
    held_out = HeldOut(inputs, **columns)
    return Backtest(12, 1, {"chinchilla": held_out}, {}, 0.9)


def test_parity_has_one_column_a_law_with_the_errors_below(tested: Backtest) -> None:
    figure = parity_figure(tested, loss_label="loss, nats/token")
    assert len(figure.axes) == 2 * len(tested.held_out)
    for (name, runs), parity, error in zip(
        tested.held_out.items(), figure.axes[::2], figure.axes[1::2], strict=True
    ):
        assert parity.get_title(loc="left") == name
        assert np.allclose(dots(parity, 4), np.column_stack([runs.measured, runs.predicted]))
        assert np.allclose(dots(error, 4), np.column_stack([runs.measured, runs.rel_error]))
        assert error.get_xlabel() == "measured loss, nats/token"
        bars = next(each for each in parity.collections if each.get_zorder() == 3)
        ends = np.array([np.asarray(path.vertices)[:, 1] for path in bars.get_paths()])
        assert np.allclose(ends, np.column_stack([runs.lower, runs.upper]))


def test_parity_says_how_well_each_law_did(tested: Backtest) -> None:
    remarks = [axes.texts[0].get_text() for axes in parity_figure(tested).axes[::2]]
    for remark, runs in zip(remarks, tested.held_out.values(), strict=True):
        summary = runs.to_json()
        inside = round(summary["coverage"] * runs.measured.size)
        assert remark == (
            f"|error| {100 * summary['mean_abs_rel_error']:.2f} %, "
            f"{inside}/{runs.measured.size} in interval"
        )


def test_parity_shows_fitted_runs_beside_the_held_out(tested: Backtest, chinchilla: Fit) -> None:
    axes = parity_figure(tested, fitted=[chinchilla]).axes[0]
    drawn = dots(axes, 2)
    assert np.allclose(drawn[:, 0], chinchilla.rows.measured)
    assert np.allclose(np.log(drawn[:, 1] / drawn[:, 0]), chinchilla.log_residuals)


def test_a_law_far_worse_than_the_best_is_marked_at_the_edge() -> None:
    good, bad = one_point(predicted=2.901), one_point(predicted=4.0)
    both = {"good": good.held_out["chinchilla"], "bad": bad.held_out["chinchilla"]}
    figure = parity_figure(Backtest(12, 1, both, {}, 0.9))
    for axes, marked in ((figure.axes[1], 0), (figure.axes[3], 1)):
        arrows = [each for each in axes.collections if each.get_zorder() == 5]
        assert sum(len(np.asarray(each.get_offsets())) for each in arrows) == marked


@pytest.mark.parametrize("predicted", [2.95, 2.9])
def test_parity_of_a_single_held_out_run(predicted: float) -> None:
    axes = parity_figure(one_point(predicted=predicted)).axes[0]
    assert axes.get_xlim()[0] < 2.9 < axes.get_xlim()[1]


def test_parity_of_a_fit_shows_its_runs_and_their_scatter(chinchilla: Fit) -> None:
    figure = parity_figure(chinchilla)
    assert dots(figure.axes[0], 2).shape == (chinchilla.n_runs, 2)
    assert legend_texts(figure) == ["fitted run", "scatter of 90 % of single runs"]


def test_allocation_curves_are_the_optima_of_each_law(chinchilla: Fit, bare: Fit) -> None:
    figure = allocation_figure([chinchilla, bare], (1e19, 1e23))
    ratio, sizes = figure.axes
    for fitted in (chinchilla, bare):
        name = fitted.law.name
        curve = next(each for each in sizes.lines if each.get_label() == name)
        flops, params = (np.asarray(values) for values in curve.get_data())
        assert np.allclose(params, optimum(fitted.surface, flops).params)
        assert curve.get_color() == law_looks([name])[name].colour
        own = next(each for each in ratio.lines if each.get_label() == name)
        assert np.allclose(own.get_ydata(), flops / (6 * params**2))


def test_allocation_bands_are_quantiles_of_the_replicates(chinchilla: Fit) -> None:
    sizes = allocation_figure([chinchilla], (1e19, 1e23), level=0.8).axes[1]
    corners = sizes.collections[0].get_paths()[0].vertices
    low, high = np.quantile(replicate_optimum(chinchilla.surface, 1e23).params, [0.1, 0.9])
    assert np.asarray(corners)[:, 1].max() == pytest.approx(high)
    at_the_end = np.isclose(np.asarray(corners)[:, 0], 1e23)
    assert np.asarray(corners)[at_the_end, 1].min() == pytest.approx(low)


def test_laws_without_an_optimum_are_named_and_left_out(runs: Runs, bare: Fit) -> None:
    null = fit(runs, "compute", bootstrap=5, starts=16)
    figure = allocation_figure([bare, null])
    assert "compute" not in legend_texts(figure)
    assert figure.axes[0].texts[0].get_text() == "no optimal split at any of these budgets: compute"
    assert not allocation_figure([null]).axes[0].lines


def test_surfaces_of_one_law_can_be_compared_by_name(chinchilla: Fit) -> None:
    both = allocation_figure({"ours": chinchilla, "Epoch": EPOCH})
    assert {"ours", "Epoch", "budgets of the runs"} == set(legend_texts(both))
    assert legend_texts(allocation_figure([EPOCH, EPOCH])) == ["chinchilla", "chinchilla 2"]


@pytest.mark.parametrize(
    ("laws", "flops", "level", "message"),
    [
        ([], None, 0.9, "no law to draw: expected one or more fits or surfaces"),
        ([EPOCH], (1e22, 1e21), 0.9, "not a range of budgets: found 1e+22 to 1e+21; expected"),
        ([EPOCH], (0.0, 1e21), 0.9, "not a range of budgets: found 0 to 1e+21; expected"),
        ([EPOCH], None, 1.5, "--level: not a level: found 1.5; expected between 0 and 1"),
    ],
)
def test_allocation_refuses_what_has_no_meaning(
    laws: list[Surface], flops: tuple[float, float] | None, level: float, message: str
) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(message)}"):
        allocation_figure(laws, flops, level=level)


def test_the_isoflop_curve_is_the_loss_along_the_budget(split: Allocation) -> None:
    figure = isoflop_figure(split)
    axes = figure.axes[0]
    curve = next(each for each in axes.lines if each.get_label() == "chinchilla")
    params, loss = (np.asarray(values) for values in curve.get_data())
    assert np.allclose(loss, split.surface.predict(params=params, tokens=split.flops / 6 / params))
    assert np.allclose(dots(axes, 5), [[split.params, split.loss]])
    assert loss.min() >= split.loss * (1 - 1e-12)
    assert legend_texts(figure).count("90 % interval of N*") == 1


def test_the_isoflop_curve_prices_other_sizes(split: Allocation) -> None:
    texts = [text.get_text() for text in isoflop_figure(split).axes[0].texts]
    for entry in split.deviations:
        assert f"+{100 * float(f'{entry.loss_increase:.2g}'):.3g} %" in texts


def test_the_upper_axis_has_tokens_per_parameter(split: Allocation) -> None:
    axes = isoflop_figure(split).axes[0]
    top = axes.child_axes[0]
    places = top.get_xticks()
    labels = [label.get_text() for label in top.get_xticklabels()]
    assert len(labels) >= 3
    for place, label in zip(places, labels, strict=True):
        if label.isdigit():
            assert split.flops / (6 * place**2) == pytest.approx(float(label))


def test_an_allocation_of_published_coefficients_has_no_spread() -> None:
    texts = legend_texts(isoflop_figure(allocate(EPOCH, 5.76e23)))
    assert set(texts) == {"chinchilla", "loss within 0.1 %", "compute-optimal"}


def test_a_forecast_shows_intervals_and_each_law(predicted: Forecast) -> None:
    figure = forecast_figure(predicted, loss_label="loss, nats/token")
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["7B : 140B", "70B : 1.4T"]
    assert axes.get_xlabel() == "predicted loss, nats/token"
    for name, losses in predicted.by_law.items():
        weight = predicted.weights.get(name, 0.0)
        drawn = next(
            each for each in axes.collections if each.get_label() == f"{name}, weight {weight:.2f}"
        )
        assert np.allclose(np.asarray(drawn.get_offsets())[:, 0], losses)
        assert bool(len(drawn.get_facecolor())) == (weight > 0)
    texts = " ".join(text.get_text() for text in axes.texts)
    for entry in predicted.predictions:
        assert f"{entry.loss:.4g}   [{entry.lower:.4g}, {entry.upper:.4g}]" in texts


@pytest.mark.parametrize("name", ["chinchilla", "tested", "predicted", "split"])
def test_every_result_plots_itself(name: str, request: pytest.FixtureRequest) -> None:
    figure = request.getfixturevalue(name).plot()
    assert isinstance(figure, Figure)
    figure.draw_without_rendering()


def test_a_fit_without_replicates_can_be_drawn(bare: Fit) -> None:
    for figure in (draw(bare), parity_figure(bare), residual_figure(bare)):
        figure.draw_without_rendering()
    assert "90 % of the replicates" not in legend_texts(draw(allocate(bare, 1e22)))


def test_what_has_no_figure_is_named(runs: Runs) -> None:
    message = (
        "no figure for Runs: expected Fit, Backtest, Forecast, Allocation, Frontier, Demand, "
        "Overtraining, Comparison or Robustness"
    )
    with pytest.raises(TypeError, match=f"^{message}$"):
        draw(runs)


def test_a_forecast_of_points_of_other_columns_names_them() -> None:
    columns = {"active_params": np.geomspace(2e7, 4e8, 8), "experts": np.tile([1.0, 16.0], 4)}
    law = CATALOGUE["effective-experts"]
    loss = law.predict({"E": 1.6, "A": 60.0, "alpha": 0.24, "k": 0.2}, **columns)
    runs = read_runs(pl.DataFrame({**columns, "loss": loss}), required=law.columns)
    point = {"active_params": 1e9, "experts": 16.0}
    axes = forecast_figure(forecast(runs, [point], laws=[law], bootstrap=0)).axes[0]
    (label,) = [text.get_text() for text in axes.get_yticklabels()]
    assert label == "active_params 1B\nexperts 16"
    assert axes.get_xlabel() == "predicted loss"
    assert not any("C" in text.get_text() for text in axes.texts)
