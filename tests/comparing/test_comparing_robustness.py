"""The robustness report: one thing changed at a time, compared with the unperturbed fit."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import polars as pl
import pytest

import isoloss
from isoloss.comparing import (
    Perturbation,
    Robustness,
    Trial,
    change_law,
    change_search,
    drop_sizes,
    robustness,
    scale_params,
    shift_params,
)
from isoloss.errors import FitError, InputError
from isoloss.laws import Law, find_law, law_from_definition, positive
from isoloss.laws.law import Input
from isoloss.runs import Runs, optimizer_runs, read_runs

POINTS = [(7e9, 1.4e11), (7e10, 1.4e12)]
TRUTH = {"E": 1.8, "A": 480.0, "B": 2000.0, "alpha": 0.35, "beta": 0.36}


def exact_runs() -> Runs:
    """Runs that lie on a law to the last digit."""
    params = np.repeat(np.geomspace(5e7, 3e9, 6), 5)
    tokens = params * np.tile([5.0, 10.0, 20.0, 40.0, 80.0], 6)
    E, A, B, alpha, beta = TRUTH.values()
    loss = E + A / params**alpha + B / tokens**beta
    return read_runs(pl.DataFrame({"params": params, "tokens": tokens, "loss": loss}))


@pytest.fixture(scope="module")
def demo() -> Robustness:
    return isoloss.robustness(optimizer_runs("adamw"), points=POINTS, bootstrap=20, starts=8)


def test_everything_is_compared_with_the_unperturbed_fit(demo: Robustness) -> None:
    own = demo.unperturbed
    assert own.loss_changes == (0.0, 0.0)
    assert own.tokens_per_param_factor == 1.0
    for row in demo.rows:
        if row.refused:
            continue
        expected = np.array(row.losses) / np.array(own.losses) - 1
        assert row.loss_changes == pytest.approx(expected)
        if np.isfinite(row.params):
            assert row.params * row.tokens * 6 == pytest.approx(demo.flops)
            factor = row.tokens_per_param / own.tokens_per_param
            assert row.tokens_per_param_factor == pytest.approx(factor)


def test_the_budget_is_that_of_the_first_point(demo: Robustness) -> None:
    assert demo.flops == pytest.approx(6 * 7e9 * 1.4e11)


def test_rows_are_ranked_by_the_loss_at_the_first_point(demo: Robustness) -> None:
    trusted = [abs(row.loss_changes[0]) for row in demo.ranked() if row.counts]
    assert trusted == sorted(trusted, reverse=True)
    assert sorted(row.perturbation for row in demo.ranked()) == sorted(
        row.perturbation for row in demo.rows
    )


def test_other_starts_and_seeds_change_nothing(demo: Robustness) -> None:
    searches = [row for row in demo.rows if row.kind == "search" and row.perturbation[:2] != "1 "]
    assert searches
    for row in searches:
        assert row.losses == pytest.approx(demo.unperturbed.losses, rel=1e-6)


def test_intervals_hold_the_unperturbed_answer(demo: Robustness) -> None:
    for (low, high), loss in zip(demo.loss_intervals, demo.unperturbed.losses, strict=True):
        assert low < loss < high
    assert demo.tokens_per_param_interval is not None
    low, high = demo.tokens_per_param_interval
    assert low < high


def test_the_verdict_names_the_furthest(demo: Robustness) -> None:
    same = [row for row in demo.rows if row.counts and row.kind != "law"]
    low, high = (end(same, key=lambda row: row.losses[0]) for end in (min, max))
    lead = f"Under {len(same)} perturbations of chinchilla the loss at 7B:140B, "
    assert demo.verdict.startswith(lead)
    text = f"lies between {low.losses[0]:#.4g} ({low.perturbation}) and {high.losses[0]:#.4g} "
    assert text in demo.verdict
    assert "D*/N* at 5.88e+21 FLOPs" in demo.verdict
    assert demo.verdict.endswith(").")


def test_perturbed_fits_end_where_a_search_of_their_own_would(demo: Robustness) -> None:
    """They begin at the unperturbed optima, with few random starts beside."""
    runs = optimizer_runs("adamw")
    left = {"drop largest size": runs.params < runs.params.max(), "N x 2": np.full(16, True)}
    for row in demo.rows:
        if row.perturbation in left:
            own = runs.take(left[row.perturbation])
            scaled = own.params * (2.0 if row.kind == "N" else 1.0)
            table = read_runs(own.frame.with_columns(pl.Series("params", scaled)))
            searched = isoloss.fit(table, "chinchilla", starts=64)
            losses = [float(searched.surface.predict(params=N, tokens=D)) for N, D in POINTS]
            assert row.losses == pytest.approx(losses, rel=1e-6)


def test_a_law_that_no_forecast_would_believe_is_refused() -> None:
    """Runs whose loss rises with N, and a law that follows them."""
    rising = law_from_definition(
        {
            "name": "rising",
            "formula": "E + B / tokens**beta + S * log(params)",
            "parameters": {
                "E": {"lower": 0.0, "start": [0.1, 1.0]},
                "B": {"lower": 0.0},
                "beta": {"lower": 0.0, "start": [0.2, 0.5]},
                "S": {"start": [0.0, 0.1]},
            },
        }
    )
    exact = exact_runs()
    loss = 1.5 + 2000.0 / exact.tokens**0.36 + 0.01 * np.log(exact.params)
    found = robustness(
        read_runs(exact.frame.with_columns(pl.Series("loss", loss)), check=False),
        points=[(7e9, 1.4e11)],
        bootstrap=0,
        starts=8,
        perturbations=[change_law(rising), scale_params(2.0)],
    )
    assert found.rows[0].refused == (
        "at N=7e+09, D=1.4e+11 its loss rises with params on the way: no forecast would believe it"
    )
    assert not found.rows[1].refused
    assert "rising" not in found.verdict


def test_an_exact_law_is_found_again_whatever_runs_are_left_out() -> None:
    runs = exact_runs()
    found = robustness(
        runs,
        points=POINTS,
        objective="squared-log",
        bootstrap=0,
        starts=8,
        perturbations=[drop_sizes(1, largest=True), change_search(4, 3), scale_params(2.0)],
    )
    kept, searched, scaled = found.rows
    assert (kept.n_runs, searched.n_runs) == (25, 30)
    for row in (kept, searched):
        assert dict(row.parameters) == pytest.approx(TRUTH, rel=1e-5)
        assert row.loss_changes == pytest.approx((0, 0), abs=1e-7)
    # In twice the N, the law at a point is that of half the N before.
    E, A, B, alpha, beta = TRUTH.values()
    N, D = POINTS[0]
    assert scaled.losses[0] == pytest.approx(E + A / (N / 2) ** alpha + B / D**beta, rel=1e-7)
    assert scaled.tokens_per_param_factor == pytest.approx(2 ** (-2 * alpha / (alpha + beta)))
    assert found.loss_intervals == ()
    assert found.tokens_per_param_interval is None
    assert "bootstrap" not in found.verdict


def test_a_refused_fit_is_a_row_with_its_reason() -> None:
    found = robustness(
        exact_runs(),
        points=POINTS,
        bootstrap=0,
        starts=4,
        perturbations=[drop_sizes(6, largest=True), scale_params(1.1)],
    )
    row = found.rows[0]
    assert row.refused == "no run of frame is left"
    assert not row.counts
    assert found.ranked()[-1] is row
    assert found.to_json()["perturbations"][-1]["refused"] == row.refused
    assert "1 fit is left out, refused or not converged." in found.verdict


def test_without_any_fit_the_verdict_says_so() -> None:
    refused = [drop_sizes(6, largest=True)]
    found = robustness(exact_runs(), points=POINTS, bootstrap=0, starts=4, perturbations=refused)
    assert found.verdict == "None of 1 perturbations left a fit that ended at an optimum."


def test_a_law_without_optimum_has_none() -> None:
    laws = [change_law(find_law("compute"))]
    found = robustness(exact_runs(), points=POINTS, bootstrap=0, starts=8, perturbations=laws)
    optimum = found.to_json()["perturbations"][0]["optimum"]
    assert optimum == dict.fromkeys(("params", "tokens", "tokens_per_param", "factor"))


def test_the_json_is_plain(demo: Robustness) -> None:
    document = json.loads(json.dumps(demo.to_json(), allow_nan=False))
    assert document["flops"] == demo.flops
    assert document["unperturbed"]["perturbation"] == "unperturbed"
    first = document["perturbations"][0]
    assert set(first) == {
        *("perturbation", "kind", "what", "law", "n_runs", "converged", "refused"),
        *("parameters", "points", "optimum"),
    }
    assert [point["params"] for point in first["points"]] == [7e9, 7e10]
    assert document["verdict"] == demo.verdict
    assert len(document["checklist"]) == len(demo.checklist)


def test_the_table_has_one_row_a_fit(demo: Robustness) -> None:
    frame = demo.to_frame()
    assert frame.height == len(demo.rows) + 1
    assert frame["perturbation"][0] == "unperturbed"
    assert frame["loss at 7B:140B"][0] == demo.unperturbed.losses[0]
    assert frame["alpha"][0] == demo.fit.parameters["alpha"]
    others = frame.filter(pl.col("law") != "chinchilla")
    assert others.height > 0
    assert others["alpha"].null_count() == others.height


def test_progress_counts_every_fit() -> None:
    seen: list[str] = []
    perturbations = [scale_params(2.0), scale_params(3.0)]
    robustness(
        exact_runs(),
        points=POINTS,
        bootstrap=0,
        starts=4,
        perturbations=perturbations,
        advance=seen.append,
    )
    assert seen == ["unperturbed", "N x 2", "N x 3"]


def test_a_perturbation_of_ones_own() -> None:
    def halve(trial: Trial) -> Trial:
        return trial.keep(np.arange(len(trial.runs)) % 2 == 0)

    own = Perturbation("runs", "every other run", "every other run is left out", halve)
    found = robustness(exact_runs(), points=POINTS, bootstrap=0, starts=4, perturbations=[own])
    assert found.rows[0].n_runs == 15


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"points": []}, "--at: no point to predict: expected N:D, such as 70B:1.4T"),
        ({"flops": -1.0}, "--flops: not a budget: found -1; expected a positive number"),
        ({"level": 2.0}, "--level: not a level: found 2; expected between 0 and 1, as 0.9"),
        (
            {"perturbations": [shift_params(-1e9)]},
            "frame: an offset that leaves no parameters: found -1e+09; "
            "expected above -5e+07, minus the smallest N",
        ),
    ],
)
def test_arguments_without_meaning(arguments: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"points": POINTS, "bootstrap": 0, "starts": 4, **arguments}
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        robustness(exact_runs(), **given)


def test_laws_of_other_columns_are_refused() -> None:
    law = Law(
        name="vocabulary",
        title="V",
        formula="E + A/vocabulary**alpha",
        parameters=(positive("E"), positive("A"), positive("alpha")),
        inputs=(Input("vocabulary", "V", "entries"),),
        source="test",
    )
    message = "--law: law vocabulary is no law of N and D alone: found inputs vocabulary"
    with pytest.raises(InputError, match=f"^{message}$"):
        robustness(exact_runs(), law, points=POINTS)


def test_a_table_that_carries_no_law_is_refused() -> None:
    with pytest.raises(FitError, match="chinchilla"):
        robustness(exact_runs().take([0, 1, 2]), points=POINTS)
