"""`isoloss forecast`: every law that a table can carry, weighed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from cli_program import document, done, loss_of, refusal

from isoloss.laws import CANDIDATES, find_law

pytest_plugins = ("cli_fixtures",)

QUICK = ("--law", "chinchilla", "compute", "--bootstrap", "10")


def test_the_json_has_the_keys_of_the_design(table: Path) -> None:
    ahead = document("forecast", table, "--at", "7B:140B", "30B:600B", *QUICK)
    assert sum(ahead["weights"].values()) == pytest.approx(1)
    assert set(ahead["weights"]) <= {"chinchilla", "compute"}
    near, far = ahead["predictions"]
    for point in (near, far):
        assert set(point) >= {"params", "tokens", "loss", "lower", "upper", "level"}
        assert set(point["extrapolation"]) == {"params", "tokens", "flops"}
        assert point["lower"] < point["loss"] < point["upper"]
        assert point["loss"] == pytest.approx(loss_of(point["params"], point["tokens"]), rel=0.02)
    assert far["upper"] / far["lower"] > near["upper"] / near["lower"]


def test_the_candidates_are_the_default(table: Path) -> None:
    words = ("forecast", table, "--at", "7B:140B", "--bootstrap", "0")
    ahead = document(*words)
    assert set(ahead["reasons"]) == {law.name for law in CANDIDATES}
    assert document(*words, "--law", "auto") == ahead


def test_the_table_says_why_each_law_counts(table: Path) -> None:
    outcome = done("forecast", table, "--at", "7B:140B", *QUICK)
    assert "Predictions; N, D and C as multiples of the largest fitted\n" in outcome.stdout
    for name in ("chinchilla", "compute"):
        assert f"\n{name} " in outcome.stdout
    unwrapped = " ".join(outcome.stdout.split())
    assert "% error when predicting the dearer runs from the cheaper" in unwrapped
    assert outcome.stderr == ""


def test_a_point_far_out_is_a_warning_on_stderr(table: Path) -> None:
    words = ("forecast", table, "--at", "70B:1.4T", *QUICK)
    outcome = done(*words, "--json")
    assert outcome.stderr == (
        "warning: the farthest point takes 136 times the compute of the largest run: "
        "backtests on this table say little about errors that far out\n"
    )
    assert outcome.stdout.startswith("{")


def test_a_law_of_the_users_beside_the_catalogue(table: Path, tmp_path: Path) -> None:
    law = tmp_path / "law.toml"
    law.write_text(
        'name = "tokens-alone"\nformula = "E + B / tokens**beta"\ninputs = ["tokens"]\n'
        "[parameters.E]\nlower = 0\n[parameters.B]\nlower = 0\n"
        "[parameters.beta]\nlower = 0\nstart = [0.05, 1.0]\n"
    )
    ahead = document("forecast", table, "--at", "7B:140B", "--law", law, "--bootstrap", "0")
    assert ahead["weights"] == {"tokens-alone": 1.0}


def experts(tmp_path: Path) -> Path:
    sizes = np.meshgrid(np.geomspace(2e7, 4e8, 4), [1.0, 4.0, 16.0, 64.0])
    columns = dict(zip(("active_params", "experts"), map(np.ravel, sizes), strict=True))
    truth = {"E": 1.6, "A": 60.0, "alpha": 0.24, "delta": 0.25, "gamma": 0.008}
    noise = np.exp(0.002 * np.random.default_rng(0).standard_normal(16))
    loss = find_law("coupled-experts").predict(truth, **columns) * noise
    path = tmp_path / "experts.csv"
    pl.DataFrame({**columns, "loss": loss}).write_csv(path)
    return path


def test_other_columns_are_predicted_by_the_laws_that_read_them(tmp_path: Path) -> None:
    words = ("forecast", experts(tmp_path), "--at", "active_params=1.3B:experts=16")
    ahead = document(*words, "--bootstrap", "0")
    assert set(ahead["reasons"]) == {"routed", "effective-experts", "coupled-experts"}
    (point,) = ahead["predictions"]
    assert (point["active_params"], point["experts"]) == (1.3e9, 16)
    assert point["lower"] < point["loss"] < point["upper"]
    own = ("--formula", "E + A/(active_params*experts**k)**a", "--law", "coupled-experts")
    both = document(*words, "--bootstrap", "0", *own)
    assert set(both["reasons"]) == {"formula", "coupled-experts"}


def test_columns_that_no_law_reads_are_one_line(tmp_path: Path) -> None:
    said = refusal("forecast", experts(tmp_path), "--at", "experts=8:colour=1")
    assert said.startswith("no law predicts loss from experts, colour: expected the inputs of laws")


def test_backtests_weigh_the_laws_of_the_inputs_they_are_told(tmp_path: Path) -> None:
    words = ("backtest", experts(tmp_path), "--hold-out", "active_params > 3e8", "--bootstrap", "0")
    tested = document(*words, "--inputs", "active_params,experts")
    assert set(tested["laws"]) == {"auto", "routed", "effective-experts", "coupled-experts"}
    alone = document(*words, "--inputs", "active_params,experts", "--law", "auto")
    assert alone["laws"]["auto"] == tested["laws"]["auto"]
    assert tested["laws"]["auto"]["mean_abs_rel_error"] < 0.02
