"""`isoloss sweep`: plan, run, status and collect from the command line."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from cli_program import document, done, isoloss, refusal

SWEEP = """
[family]
vocabulary_size = 256
aspect_ratio = 16
head_dim = 8
d_model_multiple = 8
d_ff_multiple = 8
[params]
from = "6k"
to = "48k"
steps = 4
[tokens]
from = "0.1M"
to = "0.8M"
ratio = 2
[training]
context = 128
batch_tokens = 4096
learning_rate = 3e-3
[throughput]
flops_per_second = 1e9
price_per_hour = 36
[trainer]
command = "{python} train.py {params} {tokens}"
result = "stdout"
"""
TRAINER = """
import json, sys
params, tokens = map(float, sys.argv[1:])
print(json.dumps({"loss": 1.5 + 20 * params**-0.3 + 30 * tokens**-0.28, "seconds": 0.5}))
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "train.py").write_text(TRAINER)
    path = tmp_path / "tiny.toml"
    path.write_text(SWEEP)
    return path


def test_a_dry_run_prints_every_run_and_writes_nothing(file: Path) -> None:
    shown = done("sweep", "plan", file, "--dry-run").stdout
    plan = document("sweep", "plan", file, "--dry-run")
    assert len(plan["runs"]) == 16
    for text in (*(run["name"] for run in plan["runs"]), "16 runs in the table", "a cost of"):
        assert text in shown
    assert {path.name for path in file.parent.iterdir()} == {"train.py", "tiny.toml"}


def test_the_plan_as_json(file: Path) -> None:
    plan = document("sweep", "plan", file, "-o", file.parent / "out")
    assert (plan["n_runs"], plan["n_rows"], plan["convention"]) == (16, 16, "megatron")
    assert plan["seconds"] == pytest.approx(plan["flops"] / 1e9)
    assert plan["cost"] == pytest.approx(plan["seconds"] / 100)
    run = plan["runs"][0]
    assert run["tokens"] == run["steps"] * run["batch_tokens"]
    saved = json.loads((file.parent / "out" / "plan.json").read_text())
    assert saved["runs"] == plan["runs"]


def test_plan_run_status_collect(file: Path) -> None:
    folder = file.parent / "out"
    done("sweep", "plan", file, "-o", folder)
    assert "16 waiting" in done("sweep", "status", folder).stdout
    outcome = document("sweep", "run", folder, "--workers", "2")
    assert (outcome["done"], outcome["of"], outcome["failed"]) == (16, 16, {})
    status = document("sweep", "status", folder)
    assert (status["done"], status["flops_done"]) == (16, pytest.approx(status["flops"]))
    table = file.parent / "runs.csv"
    assert "16 runs" in done("sweep", "collect", folder, "-o", table).stdout
    checked = document("data", "check", table)
    assert (checked["usable"], checked["n_runs"], checked["n_sizes"]) == (True, 16, 4)
    assert len(document("sweep", "collect", folder)["runs"]) == 16


def test_a_toml_file_is_planned_run_and_proved(file: Path) -> None:
    small = SWEEP.replace("steps = 4", "steps = 3").replace("0.8M", "0.4M")
    file.write_text("held_out = ['100k:2M']\n" + small)
    outcome = done("sweep", "run", file, "--bootstrap", "20", "--workers", "2")
    shown = outcome.stdout
    assert shown.index("Forecast, before they are trained") < shown.index("Forecast against truth")
    again = document("sweep", "run", file)
    assert (again["done"], again["attempts"]) == (10, 0)
    (proof,) = again["held_out"]
    assert proof["extrapolation"] > 4
    assert abs(proof["error"]) < 0.01


def test_failed_runs_are_told_and_the_status_is_one(file: Path) -> None:
    (file.parent / "train.py").write_text("import sys; sys.exit('no luck')")
    outcome = isoloss("sweep", "run", file, "--retries", "0")
    assert outcome.status == 1
    assert "0 of 16 runs done, 16 failed" in outcome.stdout
    # One line for all of them, and not one each.
    (line,) = [line for line in outcome.stderr.splitlines() if line.startswith("warning: ")]
    assert re.fullmatch(
        r"warning: default_\S+, default_\S+, default_\S+ and 13 more failed: "
        r"ended with status 1: no luck",
        line,
    )
    assert "no luck" in done("sweep", "status", file).stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("plan", "missing.toml"), "missing.toml: cannot read the sweep: found No such file"),
        (("run", "missing"), "plan.json: no plan there: expected a folder made by isoloss sweep"),
        (("status", "missing"), "plan.json: no plan there"),
        (("collect", "missing"), "plan.json: no plan there"),
        (("run", "missing", "--workers", "0"), "--workers: no usable number"),
    ],
)
def test_bad_input_is_one_line(
    words: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert message in refusal("sweep", *words)


def test_an_unknown_field_is_refused_before_anything_runs(file: Path) -> None:
    file.write_text(SWEEP.replace("{params}", "{parms}"))
    message = refusal("sweep", "run", file)
    assert "trainer.command: the command names an unknown field: found {parms}" in message
    assert "(closest: params)" in message
    assert not file.with_suffix("").exists()


def test_an_unknown_launcher_is_refused(file: Path) -> None:
    assert "--launcher: unknown launcher: found 'k8s'" in refusal(
        "sweep", "run", file, "--launcher", "k8s"
    )


# By the trainer that comes with Isoloss, on a corpus of its own.
REFERENCE = """
[prepare]
command = "{python} -m isoloss.training.corpus texts --held-out 0.2 -o corpus"
creates = "corpus/tokens.json"
[family]
vocabulary_size = 256
aspect_ratio = 16
head_dim = 8
d_model_multiple = 8
d_ff_multiple = 8
[params]
values = ["6k"]
[tokens]
values = ["8k"]
[training]
context = 64
batch_tokens = 1024
learning_rate = 1e-2
[settings]
data = "corpus"
threads = 1
"""


def write_texts(folder: Path, letters: int) -> None:
    (folder / "texts").mkdir()
    for number in range(20):
        text = f"{number} " + "the loss falls " * letters
        (folder / "texts" / f"{number}.txt").write_text(text[:letters])


def test_the_reference_trainer_trains_what_the_plan_says(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    write_texts(tmp_path, 1000)
    file = tmp_path / "real.toml"
    file.write_text(REFERENCE)
    outcome = done("sweep", "run", file)
    assert "corpus/tokens.json: made" in outcome.stderr
    (run,) = document("sweep", "collect", file.with_suffix(""))["runs"]
    (planned,) = document("sweep", "plan", file, "--dry-run")["runs"]
    assert (run["params"], run["tokens"]) == (planned["params"], planned["tokens"])
    assert run["bits_per_byte"] < 8
    assert run["data_hash"]


@pytest.mark.parametrize(
    ("letters", "old", "new", "message"),
    [
        (0, "", "", "prepare.command: did not create corpus/tokens.json: found .*part is empty"),
        (1000, '"8k"', '"80k"', "the corpus is smaller than the run: found"),
        (1000, "creates =", "creates = 'texts/0.txt' #", "corpus: no token shards"),
        (
            1000,
            "threads = 1",
            "micro_batch_tokens = 100",
            "micro_batch_tokens: no whole sequences: found 100; expected a multiple of",
        ),
        (
            1000,
            "[params]\nvalues = ['6k']",
            "[[shapes]]\nn_layers = 2\nd_model = 32\nd_ff = 64\nn_heads = 3",
            "shapes.n_heads: the heads do not divide d_model evenly: found 3 with d_model 32",
        ),
        (
            1000,
            "threads = 1",
            'device = "cuda"',
            "settings.device: no GPU on this machine: found 'cuda'; expected auto or cpu",
        ),
        (1000, '"6k"', '"600B"', r"more memory is needed than there is: found [\d.]+ GB free"),
        (1000, "threads", "thread", "settings: unknown key: found thread"),
        (1000, "threads", "seed", "settings.seed: the plan itself says this"),
    ],
)
def test_what_the_trainer_could_not_do_is_refused_before_anything_runs(
    letters: int,
    old: str,
    new: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("torch")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    write_texts(tmp_path, letters)
    file = tmp_path / "real.toml"
    text = REFERENCE.replace('["6k"]', "['6k']") if "shapes" in new else REFERENCE
    assert old in text
    file.write_text(text.replace(old, new) if old else text)
    outcome = isoloss("sweep", "run", file)
    assert outcome.status == 2
    assert re.search(message, outcome.stderr.splitlines()[-1])
    assert not file.with_suffix("").exists()
