"""`isoloss hyperparameters`: recommend, fit, critical-batch, transfer, tune."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest
from cli_program import document, done, refusal, write_table

RATES = [5e-4 * 1.6**i for i in range(8)]
BATCHES = [6.5e4 * 1.7**i for i in range(7)]


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep with its optimum at lr* = 30 N^-0.7 D^0.2 and batch* = 0.3 D^0.6."""
    rows: list[list[float | str]] = []
    for params in (1e8, 2e8, 4e8):
        for tokens in (2e9, 8e9, 2e10):
            for rate in RATES:
                for batch in BATCHES:
                    x = math.log(rate / (30 * params**-0.7 * tokens**0.2))
                    y = math.log(batch / (0.3 * tokens**0.6))
                    loss = 2.5 * math.exp(0.006 * x * x + 0.01 * y * y)
                    rows.append([params, tokens, rate, batch, loss])
    header = "params,tokens,learning_rate,batch_tokens,loss"
    return write_table(tmp_path_factory.mktemp("sweeps") / "sweep.csv", rows, header)


def test_recommend_prints_every_rule_once_a_point() -> None:
    said = document("hyperparameters", "recommend", "1B:100B", "7B:1.4T", "--loss", "2.5")
    assert len(said["recommendations"]) == 14
    first = said["recommendations"][0]
    assert first["rule"]["name"] == "step-law"
    assert first["learning_rate"] == pytest.approx(1.632e-3, rel=1e-3)
    assert [note["code"] for note in said["notes"]] == ["rules-disagree"] * 4


def test_recommend_for_people() -> None:
    shown = done("hyperparameters", "recommend", "1B:100B", "--rule", "step-law,kaplan").stdout
    assert "1B parameters on 100B tokens" in shown
    assert "Step Law        0.001632          1.108M" in shown
    assert "note: Kaplan: its batch needs the loss to be reached" in shown


def test_recommend_refuses_what_it_does_not_know() -> None:
    assert refusal("hyperparameters", "recommend", "1B").startswith("N:D: not a point")
    message = refusal("hyperparameters", "recommend", "1B:100B", "--rule", "none")
    assert message.startswith("--rule: unknown rule: found 'none'; expected one of step-law")


def test_fit_predicts_held_out_cells(sweep: Path) -> None:
    found = document(
        *("hyperparameters", "fit", sweep, "--hold-out", "params > 3e8", "--bootstrap", "20"),
        *("--at", "1B:100B"),
    )
    assert found["n_cells"] == 6
    assert found["n_fit"] == 6 * 56
    assert found["laws"]["learning_rate"]["exponents"]["params"] == pytest.approx(-0.7, abs=1e-3)
    assert [cell["within"] for cell in found["held_out"]] == [True] * 3
    (predicted,) = found["predictions"]
    assert predicted["batch_tokens"] == pytest.approx(0.3 * 1e11**0.6, rel=1e-3)
    assert predicted["extrapolation"] == pytest.approx(5.0)


def test_fit_for_people_and_its_picture(sweep: Path, tmp_path: Path) -> None:
    picture, saved = tmp_path / "sweep.svg", tmp_path / "fit.json"
    shown = done(
        *("hyperparameters", "fit", sweep, "--hold-out", "params > 3e8", "--bootstrap", "20"),
        *("--figure", picture, "-o", saved),
    ).stdout
    assert "Optimum of each cell" in shown
    assert "3 of 3 predictions cost at most 0.3 % of the loss" in shown
    assert picture.read_text().startswith("<svg")
    assert saved.exists()


def test_fit_refusals(sweep: Path, tmp_path: Path) -> None:
    verb = ("hyperparameters", "fit", sweep)
    assert refusal(*verb, "--depends", "loss=params").startswith("--depends: not a dependence")
    assert refusal(*verb, "--share", "3").startswith("--share: not a share: found '3'")
    assert refusal(*verb, "--figure", tmp_path / "x.pdf").startswith("--figure")
    assert "no column lr" in refusal(*verb, "--over", "lr")
    few = refusal(*verb, "--where", "params < 1.5e8 and tokens < 1e10")
    assert few.endswith("2 cells have an optimum, 3 are needed")


def test_critical_batch_from_curves(tmp_path: Path) -> None:
    rows: list[list[float | str]] = []
    for batch in (3e4, 1e5, 3e5, 1e6, 3e6):
        for loss in [5.5 - 0.05 * i for i in range(45)]:
            least = 2.1e3 / (loss - 2.8) ** (1 / 0.76)
            step = least * (1 + 2.1e8 * loss ** (-1 / 0.21) / batch)
            rows.append([f"run-{batch:.0f}", batch, step, loss])
    curves = write_table(tmp_path / "curves.csv", rows, "run_id,batch_tokens,step,loss")
    found = document("hyperparameters", "critical-batch", curves)
    assert found["alpha_B"] == pytest.approx(0.21, rel=0.02)
    assert found["B_star"] == pytest.approx(2.1e8, rel=0.1)
    shown = done("hyperparameters", "critical-batch", curves, "--levels", "4,3.8,3.6").stdout
    assert "E = E_min + S_min B" in shown
    assert "B_crit(L) = 2." in shown
    picture = tmp_path / "batch.svg"
    words = ("--loss", "3.5", "--batch-tokens", "1M,200K", "--figure", picture)
    said = document("hyperparameters", "critical-batch", curves, *words)["trade_off"]
    critical = 2.1e8 * 3.5 ** (-1 / 0.21)
    assert said["critical_batch"] == pytest.approx(critical, rel=0.02)
    assert said["least_steps"] == pytest.approx(2.1e3 / 0.7 ** (1 / 0.76), rel=0.02)
    assert [choice["batch"] for choice in said["choices"]] == [2e5, 1e6]
    assert picture.read_text().startswith("<svg")
    printed = done("hyperparameters", "critical-batch", curves, "--loss", "3.5").stdout
    assert "To a loss of 3.5" in printed
    message = refusal("hyperparameters", "critical-batch", curves, "--loss", "1.5")
    assert "no run passes a loss of 1.5: expected 3.3 to 5." in message


def test_transfer_across_widths(tmp_path: Path) -> None:
    rows: list[list[float | str]] = [
        [width, rate, 2 + 100 / width + 0.05 * math.log(rate / 4e-3) ** 2]
        for width in (128, 256, 512)
        for rate in [1e-3 * 1.4**i for i in range(10)]
    ]
    table = write_table(tmp_path / "widths.csv", rows, "width,learning_rate,loss")
    found = document("hyperparameters", "transfer", table)
    assert found["transfers"]
    shown = done("hyperparameters", "transfer", table).stdout
    assert "the best learning_rate stays put over 4 times the width" in shown


def test_tune_a_command_and_go_on(tmp_path: Path) -> None:
    program = tmp_path / "train.py"
    program.write_text(
        "import json, math, sys\n"
        "rate, width = float(sys.argv[1]), int(sys.argv[2])\n"
        "cost = width**2\n"
        "loss = 2 + 5 * cost**-0.2 + 0.1 * math.log(rate * width**0.5 / 0.1) ** 2\n"
        "print(json.dumps({'loss': loss, 'cost': cost}))\n"
    )
    words = (
        *("hyperparameters", "tune", "--command", f"{sys.executable} {program} {{lr}} {{width}}"),
        *("--space", "lr=1e-4:1e-1:log", "--space", "width=16:512:log:int"),
        *("--storage", tmp_path / "study.db"),
    )
    first = document(*words, "--trials", "4")
    assert first["n_trials"] == 4
    outcome = done(*words, "--trials", "9", "--at-cost", "1e6", "--json")
    assert "goes on after 4 finished trials" in outcome.stderr
    shown = done(*words, "--trials", "9", "--figure", tmp_path / "front.svg").stdout
    assert "The front: no run of lower cost has a lower loss" in shown
    assert (tmp_path / "front.svg").exists()


def test_tune_refusals(tmp_path: Path) -> None:
    verb = ("hyperparameters", "tune", "--space", "lr=1e-4:1e-1:log")
    assert "does not take the hyperparameters" in refusal(*verb, "--command", "true")
    failing = f"{sys.executable} -c 'raise SystemExit(1)' {{lr}}"
    message = refusal(*verb, "--command", failing, "--trials", "2")
    assert message == "all 2 runs failed: try the command by hand"


def test_the_verbs_are_listed() -> None:
    shown = done("hyperparameters").stdout
    for verb in ("recommend", "fit", "critical-batch", "transfer", "tune"):
        assert verb in shown
