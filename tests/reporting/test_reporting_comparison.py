"""The figure of a comparison."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.contour import QuadContourSet
from matplotlib.figure import Figure

from isoloss.comparing import Comparison, compare, compare_recipes
from isoloss.laws import CATALOGUE
from isoloss.reporting import comparison_figure, to_svg
from isoloss.runs import optimizer_runs

POINTS = [(1.2e9, 2.4e10), (7.2e9, 1.44e11)]
LAWS = [CATALOGUE["chinchilla"]]


@pytest.fixture(scope="module")
def compared() -> Comparison:
    return compare(optimizer_runs("muon"), optimizer_runs("adamw"), POINTS, laws=LAWS, bootstrap=50)


@pytest.fixture(scope="module")
def figure(compared: Comparison) -> Figure:
    drawn = compared.plot()
    assert isinstance(drawn, Figure)
    return drawn


def test_a_map_and_the_gain_for_each_pair(figure: Figure) -> None:
    plane, _, gain = figure.axes
    assert plane.get_title(loc="left") == "muon against adamw"
    assert plane.get_xlabel() == "N, parameters"
    assert gain.get_xlabel() == "C = 6ND, training FLOPs"
    assert gain.get_ylabel() == "compute of adamw over that of muon"


def test_runs_and_points_lie_where_they_are(figure: Figure, compared: Comparison) -> None:
    places = [
        np.asarray(each.get_offsets())
        for each in figure.axes[0].collections
        if not isinstance(each, QuadContourSet)
    ]
    runs = optimizer_runs("muon")
    assert any(np.array_equal(each, np.stack([runs.params, runs.tokens], 1)) for each in places)
    assert any(np.array_equal(each, np.array(POINTS)) for each in places)


def test_the_gain_is_the_curve_of_the_comparison(figure: Figure, compared: Comparison) -> None:
    curve = compared.pairs[0].curve
    gain = figure.axes[2]
    drawn = next(line for line in gain.lines if len(np.asarray(line.get_xdata())) > 2)
    assert np.allclose(np.asarray(drawn.get_ydata()), curve.compute.value)
    low, high = gain.get_ylim()
    assert low < 1 < high


def test_the_legend_says_what_is_undecided(figure: Figure) -> None:
    (legend,) = figure.legends
    labels = [text.get_text() for text in legend.get_texts()]
    for label in ("undecided at 90 %", "run of muon", "run of adamw", "asked for"):
        assert label in labels


def test_the_line_where_the_order_flips() -> None:
    far = [*POINTS, (7e10, 1.4e12)]
    result = compare(optimizer_runs("muon"), optimizer_runs("adamw"), far, laws=LAWS, bootstrap=20)
    assert result.pairs[0].crossings
    (legend,) = comparison_figure(result).legends
    assert "equally good" in [text.get_text() for text in legend.get_texts()]


def test_each_of_many_pairs_has_a_row() -> None:
    tables = {"muon": optimizer_runs("muon"), "adamw": optimizer_runs("adamw")}
    tables["$again_"] = optimizer_runs("adamw")
    result = compare_recipes(tables, POINTS, laws=LAWS, bootstrap=20)
    figure = comparison_figure(result)
    assert len(figure.axes) == 6
    assert to_svg(figure).startswith("<svg")


def test_one_recipe_that_is_better_everywhere_has_no_line() -> None:
    runs = optimizer_runs("muon")
    worse = runs.frame.with_columns(loss=runs.frame["loss"] * 1.2)
    result = compare(runs, type(runs)(worse), POINTS, names=("x", "y"), laws=LAWS, bootstrap=20)
    (legend,) = comparison_figure(result).legends
    labels = [text.get_text() for text in legend.get_texts()]
    assert "equally good" not in labels
    assert "undecided at 90 %" not in labels
