"""`isoloss robustness`: its table, verdict, checklist and JSON."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_program import Outcome, document, done, read_strictly, refusal

pytest_plugins = ("cli_fixtures",)

WORDS = ("--at", "7B:140B", "70B:1.4T", "--flops", "6e21", "--bootstrap", "10")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("robustness") / "robustness.json"


@pytest.fixture(scope="module")
def shown(table: Path, saved: Path) -> Outcome:
    return done("robustness", table, *WORDS, "-o", saved)


def test_the_table_verdict_and_checklist(shown: Outcome) -> None:
    lines = shown.stdout.splitlines()
    assert lines[0] == "chinchilla under perturbations; N* and D*/N* at 6e+21 FLOPs"
    assert lines[1].split() == [
        *("perturbation", "loss", "at", "7B:140B", "change", "loss", "at", "70B:1.4T", "change"),
        *("N*", "D*/N*", "change"),
    ]
    assert lines[3].split()[0] == "unperturbed"
    assert any(line.startswith("drop largest size ") for line in lines)
    assert any(line.startswith("Under ") and line.endswith(".") for line in lines)
    checklist = lines[lines.index("Reproducibility checklist") :]
    assert any(line.startswith("N counts ") and "not stated" in line for line in checklist)
    assert any("damped Newton" in line for line in checklist)


def test_the_file_holds_the_same_as_json(shown: Outcome, saved: Path) -> None:
    told = read_strictly(saved.read_text())
    assert told["flops"] == 6e21
    assert told["verdict"] in shown.stdout
    kinds = {row["kind"] for row in told["perturbations"]}
    assert kinds == {"N", "runs", "objective", "search", "law"}
    first, second = told["unperturbed"]["points"]
    assert (first["params"], second["tokens"]) == (7e9, 1.4e12)


def test_another_law_and_objective(table: Path) -> None:
    words = ("--law", "overtraining", "--objective", "soft-l1", "--bootstrap", "0")
    told = document("robustness", table, "--at", "7B:140B", *words)
    assert told["unperturbed"]["law"] == "overtraining"
    assert told["flops"] == pytest.approx(6 * 7e9 * 1.4e11)
    names = {row["perturbation"] for row in told["perturbations"]}
    assert {"huber", "law chinchilla"} <= names
    assert not {"soft-l1", "law overtraining"} & names


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "--at: no point to predict: expected N:D, such as 70B:1.4T"),
        (
            ("--at", "7B:140B", "--flops", "much"),
            "--flops: not a size: found 'much'; expected a positive number such as 70B, 1.4T or "
            "6e18",
        ),
        (
            ("--at", "7B:140B", "--law", "kaplan,compute"),
            "--law: robustness takes one law: found 2; expected one",
        ),
    ],
)
def test_bad_words(words: tuple[str, ...], message: str, table: Path) -> None:
    assert refusal("robustness", table, *words) == message
