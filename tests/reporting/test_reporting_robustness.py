"""The tornado of a robustness report, and the checklist of the HTML report."""

from __future__ import annotations

import html
import re

import numpy as np
import pytest

from isoloss.comparing import (
    Robustness,
    change_law,
    drop_sizes,
    reproducibility_checklist,
    robustness,
    scale_params,
)
from isoloss.fitting import Fit
from isoloss.laws import find_law
from isoloss.reporting import build_report, robustness_figure
from isoloss.runs import Runs

pytest_plugins = ("reporting_fixtures",)

CHOSEN = [
    scale_params(0.5),
    scale_params(0.9),
    scale_params(1.1),
    drop_sizes(1, largest=True),
    drop_sizes(99, largest=True),
    change_law(find_law("kaplan")),
    change_law(find_law("compute")),
]


@pytest.fixture(scope="module")
def moved(runs: Runs) -> Robustness:
    return robustness(runs, points=[(7e9, 1.4e11)], bootstrap=10, starts=8, perturbations=CHOSEN)


def test_one_row_a_fit_in_the_order_of_effect(moved: Robustness) -> None:
    loss, ratio = moved.plot().axes
    named = [label.get_text() for label in loss.get_yticklabels()]
    assert named == [row.perturbation for row in moved.ranked() if row.counts]
    assert "drop 99 largest sizes" not in named
    assert loss.get_title(loc="left") == "Loss at 7B : 140B"
    assert ratio.get_title(loc="left") == "D*/N*"


def test_bars_are_the_changes_or_end_at_the_edge(moved: Robustness) -> None:
    loss = robustness_figure(moved).axes[0]
    edge = loss.get_xlim()[1]
    bars = [bar.get_width() for drawn in loss.containers for bar in drawn]
    changes = [row.loss_changes[0] for row in moved.ranked() if row.counts]
    assert bars == pytest.approx(np.clip(changes, -edge, edge).tolist())
    beyond = [change for change in changes if abs(change) > edge]
    assert len(loss.texts) - 1 == len(beyond)


def test_a_law_without_optimum_is_said_to_have_none(moved: Robustness) -> None:
    ratio = moved.plot().axes[1]
    assert [text.get_text() for text in ratio.texts].count("no optimum") == 1


def test_a_report_on_a_law_without_optimum(runs: Runs) -> None:
    found = robustness(
        runs, "compute", points=[(7e9, 1.4e11)], bootstrap=0, starts=4, perturbations=CHOSEN[:1]
    )
    ratio = found.plot().axes[1]
    assert ratio.texts[0].get_text() == "no optimal split at 5.88e21 FLOPs"


def test_every_report_prints_the_checklist(runs: Runs, chinchilla: Fit, bare: Fit) -> None:
    page = build_report(runs, title="t", fits=[chinchilla, bare], loss_unit="nats/token")
    section = page[page.index('id="reproducibility"') : page.index('id="provenance"')]
    text = html.unescape(re.sub(r"<[^>]+>", " ", section))
    for fit in (chinchilla, bare):
        for item in reproducibility_checklist(fit, runs, loss_unit="nats/token"):
            assert item.question in text
            assert item.answer in text
    assert "points of the reproducibility checklist are stated" in text
