"""`isoloss fit`: one law, its JSON, its file and its tables."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from cli_program import (
    EPOCH,
    SIZES,
    Row,
    document,
    done,
    good_rows,
    isoloss,
    loss_of,
    refusal,
    write_table,
)

from isoloss.fitting import load_fit
from isoloss.laws import DEFAULT_LAW

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


def test_how_sure_the_fit_is_is_said_in_words(table: Path) -> None:
    lines = done("fit", table, "--law", "chinchilla", "--bootstrap", "5").stdout.splitlines()
    assert re.fullmatch(
        r"converged: \d+ of 64 starts ended in the best optimum, where the relative gradient is "
        r"\de-\d\d(; the next one is .* % higher)?",
        lines[10],
    )
    assert re.fullmatch(
        r"5 of 5 replicates converged; condition number \d+, sound \(limit 1e8\)", lines[11]
    )
    fitted = document("fit", table, *CHINCHILLA)
    assert 0 <= fitted["search"]["gradient"] < 1e-6
    without = done("fit", table, *CHINCHILLA).stdout
    assert "replicates" not in without
    told = [each["sentence"] for each in fitted["identifiability"]["combinations"]]
    assert told == [
        line.removeprefix("note: ") for line in without.splitlines() if "hardly" in line
    ]


def test_parameters_that_trade_against_each_other_are_named(tmp_path: Path) -> None:
    noisy = write_table(tmp_path / "runs.csv", good_rows(noise=0.01))
    fitted = document("fit", noisy, *CHINCHILLA)
    found = fitted["identifiability"]["combinations"]
    assert ["A", "alpha"] in [each["parameters"] for each in found]
    for each in found:
        assert set(each) == {"parameters", "low", "high", "loss_change", "sentence"}
        assert f"note: {each['sentence']}" in done("fit", noisy, *CHINCHILLA).stdout.splitlines()


def test_other_optima_are_a_table(tmp_path: Path) -> None:
    """Few runs at one ratio of tokens to parameters suit several laws."""
    rows: list[Row] = [
        [N, 20 * N, (1.8 + 400 / N**0.34 + 900 / N**0.37) * (1 + 0.004 * (-1) ** place)]
        for place, N in enumerate([5e7, 1e8, 2e8, 4e8, 8e8, 1.6e9, 3.2e9, 6.4e9])
    ]
    path = write_table(tmp_path / "runs.csv", rows)
    fitted = document("fit", path, *CHINCHILLA)
    others = fitted["search"]["others"]
    assert others
    lines = done("fit", path, *CHINCHILLA).stdout.splitlines()
    title = lines.index("Other optima that starts ended in")
    assert lines[title + 1].split() == ["higher", "by", "starts", "E", "A", "B", "alpha", "beta"]
    for line, other in zip(lines[title + 3 :], others, strict=False):
        assert line.split()[0] == f"{100 * other['excess']:.3g}"
        assert line.split()[2] == str(other["starts"])


def test_profiles_on_request(table: Path, tmp_path: Path) -> None:
    saved = tmp_path / "fit.json"
    words = ("fit", table, *CHINCHILLA, "--level", "0.8", "--profile")
    fitted = document(*words, "-o", saved)
    assert [each["parameter"] for each in fitted["profiles"]] == list(fitted["parameters"])
    for each in fitted["profiles"]:
        assert set(each) == {"parameter", "lower", "upper", "determined", "level"}
        assert each["level"] == 0.8
        assert each["determined"] is True
        assert each["lower"] < fitted["parameters"][each["parameter"]] < each["upper"]
    assert json.loads(saved.read_text())["profiles"] == fitted["profiles"]
    assert load_fit(saved).parameters == fitted["parameters"]
    assert "profiles" not in document("fit", table, *CHINCHILLA)
    lines = done(*words).stdout.splitlines()
    title = lines.index("Profiles: one parameter held, the others refitted")
    assert [line.split()[0] for line in lines[title + 3 : title + 8]] == list(EPOCH)
    assert re.fullmatch(
        r"E +1\.8\d+ +E lies between 1\.8\d* and 1\.8\d* \(80 %\)", lines[title + 3]
    )


def test_an_open_end_of_a_profile_is_null(tmp_path: Path) -> None:
    """Tokens vary by a fifth: beta is anybody's guess."""
    rows: list[Row] = [
        [params, tokens, loss_of(params, tokens) * error]
        for params in SIZES
        for tokens, error in ((1e10, 1.004), (1.1e10, 0.995), (1.2e10, 1.001))
    ]
    path = write_table(tmp_path / "runs.csv", rows)
    found = document("fit", path, *CHINCHILLA, "--objective", "squared-log", "--profile")
    (beta,) = [each for each in found["profiles"] if each["parameter"] == "beta"]
    assert beta["upper"] is None
    assert beta["determined"] is False


def test_coordinates_of_a_law_are_said_to_be_such(table: Path) -> None:
    words = ("fit", table, "--law", "coupled", "--bootstrap", "0", "--profile")
    lines = done(*words).stdout.splitlines()
    assert (
        "level, share, model_exponent, data_exponent: coordinates in which the law is fitted"
        in lines
    )


def test_a_staged_fit_has_no_profiles(table: Path) -> None:
    assert refusal("fit", table, "--method", "staged", "--profile") == (
        "--profile: a staged fit is no minimum for a profile to rise from: found --method staged; "
        "expected --method joint"
    )


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


def test_the_help_names_the_default_law() -> None:
    """Written out, since the catalogue takes long to import."""
    assert f"(default {DEFAULT_LAW})" in done("fit", "--help").stdout
