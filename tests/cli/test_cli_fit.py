"""`isoloss fit`: one law, its JSON, its file and its tables."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_program import EPOCH, document, done, good_rows, isoloss, refusal, write_table

from isoloss.fitting import load_fit

pytest_plugins = ("cli_fixtures",)

CHINCHILLA = ("--law", "chinchilla", "--bootstrap", "0")


def test_the_json_has_the_keys_of_the_design(table: Path) -> None:
    fitted = document("fit", table, *CHINCHILLA)
    assert fitted["law"] == "chinchilla"
    assert list(fitted["parameters"]) == ["E", "A", "B", "alpha", "beta"]
    assert fitted["objective"]["name"] == "huber"
    assert 0 < fitted["objective"]["value"] < 1e-4
    assert fitted["converged"] is True
    assert fitted["n_runs"] == 30
    assert 0 < fitted["in_sample"]["mean_abs_rel_error"] < 2e-3


def test_the_truth_is_recovered_without_noise(tmp_path: Path) -> None:
    path = write_table(tmp_path / "runs.csv", good_rows(noise=0.0))
    fitted = document("fit", path, *CHINCHILLA, "--objective", "squared-log")
    assert fitted["parameters"] == pytest.approx(EPOCH, rel=1e-6)


@pytest.mark.parametrize(
    "objective", ["huber", "huber:0.01", "lad", "squared-log", "squared", "soft-l1", "soft-l1:1e-2"]
)
def test_every_objective(objective: str, table: Path) -> None:
    fitted = document("fit", table, *CHINCHILLA, "--objective", objective)
    assert fitted["objective"]["name"] == objective
    assert fitted["converged"] is True
    assert fitted["parameters"]["E"] == pytest.approx(EPOCH["E"], rel=0.05)


def test_farseer_is_the_default(table: Path) -> None:
    fitted = document("fit", table, "--bootstrap", "0")
    assert fitted["law"] == "farseer"
    names = ["a1", "b1", "alpha", "a2", "b2", "beta", "a3", "b3", "gamma"]
    assert list(fitted["parameters"]) == names


def test_intervals_have_the_level_asked_for(table: Path, tmp_path: Path) -> None:
    saved = tmp_path / "fit.json"
    words = ("fit", table, "--law", "chinchilla", "--bootstrap", "40")
    wide = document(*words, "--level", "0.95", "-o", saved)
    narrow = document(*words, "--level", "0.5")
    assert (wide["level"], narrow["level"]) == (0.95, 0.5)
    for name, (low, high) in narrow["intervals"].items():
        assert wide["intervals"][name][0] < low < high < wide["intervals"][name][1]
    assert json.loads(saved.read_text())["intervals"] == wide["intervals"]
    shown = done(*words, "--level", "0.5").stdout
    assert "50 % interval" in shown
    assert "interval" not in done("fit", table, *CHINCHILLA).stdout


def test_weights_leave_runs_out(table: Path, tmp_path: Path) -> None:
    rows = [[*row, 1.0 if place < 20 else 0.0] for place, row in enumerate(good_rows())]
    weighted = write_table(tmp_path / "runs.csv", rows, "params,tokens,loss,w")
    fitted = document("fit", weighted, *CHINCHILLA, "--weights", "w")
    chosen = document("fit", table, *CHINCHILLA, "--where", "params < 1e9")
    assert fitted["n_runs"] == chosen["n_runs"] == 20
    assert fitted["parameters"] == pytest.approx(chosen["parameters"], rel=1e-5)


def test_the_file_restores_the_fit_and_stdout_stays_short(table: Path, tmp_path: Path) -> None:
    saved = tmp_path / "fit.json"
    words = ("fit", table, "--law", "chinchilla", "--bootstrap", "5")
    printed = document(*words, "-o", saved)
    assert printed == document(*words)
    assert "state" not in printed
    restored = load_fit(saved)
    assert restored.parameters == pytest.approx(printed["parameters"], rel=1e-12)
    assert restored.n_runs == 30
    whole = json.loads(saved.read_text())
    assert {name: whole[name] for name in printed} == printed


def test_the_table_for_people(table: Path) -> None:
    outcome = done("fit", table, "--law", "chinchilla", "--bootstrap", "5")
    lines = outcome.stdout.splitlines()
    assert lines[0] == "Chinchilla: E + A/N^alpha + B/D^beta"
    assert lines[1].split() == ["parameter", "value", "90", "%", "interval"]
    assert [line.split()[0] for line in lines[3:8]] == ["E", "A", "B", "alpha", "beta"]
    assert lines[9].startswith("huber objective ")
    assert " on 30 runs; in-sample error 0." in lines[9]
    assert lines[10].startswith("converged: ")
    assert outcome.stderr == ""


def test_one_law_at_a_time(table: Path) -> None:
    for names in (["kaplan", "compute"], ["kaplan,compute"], ["kaplan", "--law", "compute"]):
        assert refusal("fit", table, "--law", *names) == (
            "--law: fit takes one law: found 2; expected one; backtest and forecast compare several"
        )


def test_the_table_may_stand_anywhere(table: Path) -> None:
    last = isoloss("fit", "--law", "compute", table, "--bootstrap", "0")
    first = isoloss("fit", table, "--bootstrap", "0", "--law", "compute")
    assert last == first
    assert first.status == 0
