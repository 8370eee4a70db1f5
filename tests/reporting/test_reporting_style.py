"""The house style: one look a law, axes in sizes, no global state, a clear error."""

from __future__ import annotations

import re
import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoloss.errors import MissingExtraError
from isoloss.fitting import Fit
from isoloss.forecasting import AUTO
from isoloss.laws import CANDIDATES, CATALOGUE
from isoloss.reporting import law_looks, surface_figure
from isoloss.reporting.style import (
    error_text,
    finish,
    new_figure,
    size_scale,
    size_text,
    tick_fractions,
)

pytest_plugins = ("reporting_fixtures",)

KNOWN = [*(law.name for law in CANDIDATES), AUTO]
OTHERS = [name for name in CATALOGUE if name not in KNOWN]


def test_laws_of_a_forecast_and_their_weighted_mean_all_look_different() -> None:
    looks = law_looks(KNOWN)
    assert len({look.colour for look in looks.values()}) == len(KNOWN)
    assert len({look.marker for look in looks.values()}) == len(KNOWN)


@pytest.mark.parametrize("name", [*KNOWN, *OTHERS, "mine"])
def test_a_law_looks_the_same_in_the_company_of_a_forecast(name: str) -> None:
    assert law_looks([name])[name] == law_looks([*KNOWN, name])[name]


@pytest.mark.parametrize("name", KNOWN)
def test_a_law_of_a_forecast_looks_the_same_in_any_company(name: str) -> None:
    assert law_looks([name])[name] == law_looks([*OTHERS, *KNOWN])[name]


@given(st.lists(st.text(min_size=1), unique=True, min_size=1, max_size=5))
def test_laws_of_users_differ_from_each_other_and_from_a_forecast_s(names: list[str]) -> None:
    looks = law_looks([*KNOWN, *names])
    assert len(set(looks.values())) == len(looks)


@pytest.mark.parametrize(
    ("value", "text"),
    [(7e10, "70B"), (1.4e12, "1.4T"), (6e18, "6e18"), (5.76e23, "5.76e23"), (20.0, "20")],
)
def test_sizes_are_written_as_people_write_them(value: float, text: str) -> None:
    assert size_text(value) == text


def test_errors_are_signed_per_cent() -> None:
    assert [error_text(share) for share in (0.005, -0.0125, 0.0)] == ["+0.5 %", "−1.25 %", "0"]


@given(st.floats(1e5, 1e15), st.floats(1.6, 1e6))
def test_an_axis_of_sizes_has_some_ticks_but_not_too_many(low: float, ratio: float) -> None:
    fractions = tick_fractions(low, low * ratio)
    ticks = np.outer(10.0 ** np.arange(0, 24), fractions)
    assert 2 <= np.sum((ticks >= low) & (ticks <= low * ratio)) <= 12


def test_ticks_of_an_axis_are_sizes() -> None:
    axes = new_figure(4, 3).add_subplot()
    size_scale(axes, "x", (1e8, 1e12), "N")
    labels = [axes.xaxis.get_major_formatter()(tick, 0) for tick in axes.xaxis.get_majorticklocs()]
    assert {"100M", "1B", "10B", "100B", "1T"} <= set(labels)
    assert axes.get_xlim() == (1e8, 1e12)


@pytest.mark.parametrize(("length", "columns"), [(4, 4), (18, 3), (24, 2), (60, 1)])
def test_a_legend_has_the_columns_that_fit(length: int, columns: int) -> None:
    figure = new_figure(7, 4)
    axes = figure.subplots()
    for number in range(9):
        axes.plot([0, 1], [0, number], label=f"{number}".rjust(length, "n"))
    (legend,) = finish(figure).legends
    figure.draw_without_rendering()
    box = legend.get_window_extent()
    assert columns == 1 or (box.x0 >= 0 and box.x1 <= figure.bbox.width)
    lines = {round(text.get_window_extent().y0) for text in legend.get_texts()}
    assert len(lines) == -(-9 // columns)


def test_drawing_changes_no_setting_of_matplotlib(chinchilla: Fit) -> None:
    before = dict(mpl.rcParams)
    surface_figure(chinchilla)
    assert dict(mpl.rcParams) == before


def test_without_matplotlib_the_error_says_what_to_install(
    chinchilla: Fit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isoloss.reporting.style.find_spec", lambda name: None)
    message = "figures need matplotlib: install it with pip install 'isoloss[plot]'"
    with pytest.raises(MissingExtraError, match=f"^{re.escape(message)}$"):
        chinchilla.plot()


def test_the_package_loads_without_matplotlib() -> None:
    code = "import sys, isoloss.reporting; sys.exit('matplotlib' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
