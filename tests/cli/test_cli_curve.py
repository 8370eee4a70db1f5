"""`isoloss curve`: fit, predict, backtest, watch, and the best schedule."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from cli_program import document, done, refusal

from isoloss.cli.curve_arguments import DEFAULT_LAW, LAW_NAMES
from isoloss.curves import (
    CURVE_LAWS,
    DEFAULT_CURVE_LAW,
    KAPLAN,
    find_curve_law,
    parse_schedule,
    schedule_frame,
)

TISSUE = {"L0": 2.9, "A": 0.6, "alpha": 0.75, "C": 0.45}
SCHEDULES = {
    "constant": "constant:steps=4000:peak=3e-4:warmup=400",
    "cosine": "cosine:steps=4000:peak=3e-4:end=3e-5:warmup=400",
    "wsd": "wsd:steps=4000:peak=3e-4:decay=1000:end=3e-5:warmup=400",
}
# An option of the annealing law, given to another one.
LATER_DECAY = ("--decay-factor", "0.9", "--law", "multi-power")
SCORES = {"r2", "mae", "mean_abs_rel_error", "max_abs_rel_error", "coverage"}


def losses(name: str) -> tuple[list[int], list[float]]:
    """Losses of a run that follows the annealing law, with a little noise."""
    steps = np.arange(450, 4000, 50)
    loss = find_curve_law("annealing").predict(TISSUE, parse_schedule(SCHEDULES[name]), steps)
    jitter = np.random.default_rng(len(name)).standard_normal(steps.size)
    return steps.tolist(), (loss * np.exp(5e-4 * jitter)).tolist()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tables of curves and of their schedules, and a fit of the former."""
    place = tmp_path_factory.mktemp("curves")
    rows = ["run_id,schedule,step,loss"]
    lines = ["schedule,step,learning_rate"]
    for name, text in SCHEDULES.items():
        rows += [f"run-{name},{name},{s},{x}" for s, x in zip(*losses(name), strict=True)]
        frame = schedule_frame(parse_schedule(text))
        rates = zip(frame["step"], frame["learning_rate"], strict=True)
        lines += [f"{name},{step},{rate}" for step, rate in rates]
    (place / "curves.csv").write_text("\n".join(rows) + "\n")
    (place / "schedules.csv").write_text("\n".join(lines) + "\n")
    words = ("curve", "fit", place / "curves.csv", "--schedules", place / "schedules.csv")
    done(*words, "--law", "annealing", "--bootstrap", "10", "-o", place / "fit.json")
    return place


def tables(folder: Path) -> tuple[Path | str, ...]:
    return (folder / "curves.csv", "--schedules", folder / "schedules.csv")


def test_the_backtest_has_the_keys_of_the_design(folder: Path) -> None:
    split = ("--where", "step > 500", "--hold-out", "schedule = 'wsd'")
    tested = document(
        "curve",
        "backtest",
        *tables(folder),
        *split,
        "--law",
        "annealing,multi-power",
        "--bootstrap",
        "5",
    )
    assert (tested["n_fit"], tested["n_held_out"]) == (2, 1)
    assert list(tested["laws"]) == ["annealing", "multi-power"]
    for scores in tested["laws"].values():
        assert set(scores) == SCORES
    assert tested["laws"]["annealing"]["r2"] > 0.99
    assert tested["laws"]["annealing"]["mae"] < 5e-3
    shown = done("curve", "backtest", *tables(folder), *split, "--law", "annealing").stdout
    assert shown.startswith("Fitted 2 curves, predicted 1; means over these\n")


def test_a_fit_recovers_the_law(folder: Path) -> None:
    fitted = document("curve", "fit", *tables(folder), "--law", "annealing", "--bootstrap", "10")
    assert fitted["parameters"] == pytest.approx(TISSUE, rel=0.05)
    assert (fitted["n_curves"], fitted["converged"]) == (3, True)
    assert set(fitted["intervals"]) == set(TISSUE)
    words = ("curve", "fit", *tables(folder), "--law", "annealing", "--decay-factor", "scan")
    assert document(*words, "--bootstrap", "0")["options"] == {"decay_factor": 0.999}


def test_predictions_of_schedules_as_text_and_as_tables(folder: Path) -> None:
    longer = "cosine:steps=8000:peak=3e-4:end=3e-5:warmup=400"
    words = ("curve", "predict", folder / "fit.json")
    found = document(*words, "--schedule", longer, "--at", "4000,7999")["predictions"]
    assert [entry["step"] for entry in found] == [4000, 7999]
    for entry in found:
        assert entry["lower"] < entry["loss"] < entry["upper"]
        assert (entry["schedule"], entry["level"]) == (longer, 0.9)
    own = document(*words, "--schedules", folder / "schedules.csv")["predictions"]
    assert [entry["schedule"] for entry in own] == list(SCHEDULES)
    assert {entry["step"] for entry in own} == {3999}


def test_watching_a_run(folder: Path, tmp_path: Path) -> None:
    metrics, picture = tmp_path / "run.jsonl", tmp_path / "run.svg"
    steps, loss = losses("cosine")
    lines = [json.dumps({"_step": s, "loss": x}) for s, x in zip(steps, loss, strict=True)]
    metrics.write_text("\n".join(lines[:40]) + "\n" + lines[40][:9])
    words = ("curve", "watch", metrics, "--schedule", SCHEDULES["cosine"], "--law", "annealing")
    others = ("--curves", folder / "curves.csv", "--schedules", folder / "schedules.csv")
    condition = ("--where", "schedule <> 'cosine'")
    said = document(*words, *others, *condition, "--target", "3.5", "--figure", picture)
    assert (said["step"], said["flags"]) == (steps[39], [])
    assert said["final"]["lower"] < loss[-1] < said["final"]["upper"]
    assert 0 <= said["probability"] <= 1
    assert picture.read_text().startswith("<svg")
    loss[30] *= 1.2
    lines = [json.dumps({"step": s, "loss": x}) for s, x in zip(steps, loss, strict=True)]
    metrics.write_text("\n".join(lines[:40]) + "\n")
    outcome = done(*words, "--target", "3.5")
    assert "spike: the loss jumped to" in outcome.stderr


def test_a_run_that_is_over_is_not_waited_for(tmp_path: Path) -> None:
    metrics = tmp_path / "run.csv"
    rows = [f"{s},{x}" for s, x in zip(*losses("cosine"), strict=True)]
    metrics.write_text("step,loss\n" + "\n".join(rows) + f"\n3999,{losses('cosine')[1][-1]}\n")
    words = ("curve", "watch", metrics, "--schedule", SCHEDULES["cosine"], "--law", "annealing")
    assert document(*words, "--every", "0.01")["step"] == 3999


def test_a_run_that_ended_is_measured_and_no_longer_predicted(tmp_path: Path) -> None:
    metrics = tmp_path / "run.csv"
    steps, loss = losses("cosine")
    rows = [f"{s},{x}" for s, x in zip([*steps, 3999], [*loss, 3.1], strict=True)]
    metrics.write_text("step,loss\n" + "\n".join(rows) + "\n")
    words = ("curve", "watch", metrics, "--schedule", SCHEDULES["cosine"], "--law", "annealing")
    said = document(*words, "--target", "3.2")
    assert said["final"] == {"step": 3999, "loss": 3.1, "lower": 3.1, "upper": 3.1}
    assert (said["at_end"], said["probability"]) == (True, 1.0)
    shown = done(*words, "--target", "3.05").stdout
    assert "not met" in shown
    assert shown.count("at step") == 1


def test_a_growing_file_is_followed_from_before_it_is_there(tmp_path: Path) -> None:
    """Each look has one line; a spike is told once; a last log before the last step is the end."""
    metrics = tmp_path / "run.jsonl"
    steps, loss = losses("cosine")
    loss[30] *= 1.2
    lines = [json.dumps({"_step": s, "loss": x}) + "\n" for s, x in zip(steps, loss, strict=True)]

    def write() -> None:
        time.sleep(0.3)
        metrics.write_text("".join(lines[:2]))
        for part in (lines[2:50], lines[50:]):
            time.sleep(1.0)
            with metrics.open("a") as file:
                file.write("".join(part)[:-4])
                file.flush()
                file.write("".join(part)[-4:])

    writer = threading.Thread(target=write)
    writer.start()
    words = ("curve", "watch", metrics, "--schedule", SCHEDULES["cosine"], "--law", "annealing")
    outcome = done(*words, "--every", "0.1", "--json")
    writer.join()
    looks = [json.loads(line) for line in outcome.stdout.splitlines()]
    assert looks[-1]["step"] == steps[-1]
    assert outcome.stderr.count("spike: the loss jumped to") == 1
    assert f"waiting: {metrics}: no such file" in outcome.stderr
    assert "needs at least 5 points; the curves have 2" in outcome.stderr


def test_a_run_whose_loss_is_no_number_has_diverged(tmp_path: Path) -> None:
    metrics = tmp_path / "run.jsonl"
    steps, loss = losses("cosine")
    rows = [{"_step": s, "loss": x} for s, x in zip(steps[:40], loss[:40], strict=True)]
    rows += [{"_step": s, "loss": float("nan")} for s in steps[40:45]]
    metrics.write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ("curve", "watch", metrics, "--schedule", SCHEDULES["cosine"], "--law", "annealing")
    (flag,) = document(*words)["flags"]
    assert (flag["kind"], flag["step"], flag["loss"]) == ("divergence", steps[40], None)
    said = f"divergence: the loss is no number from step {steps[40]} on"
    assert said in done(*words).stderr


def test_without_a_schedule_the_rest_is_not_known(tmp_path: Path) -> None:
    metrics = tmp_path / "run.csv"
    rows = [f"{s},{x},3e-4" for s, x in zip(*losses("constant"), strict=True)]
    metrics.write_text("step,loss,lr\n" + "\n".join(rows) + "\n")
    outcome = done("curve", "watch", metrics, "--law", "annealing")
    assert "warning: without --schedule nothing is known of the learning rates" in outcome.stderr
    assert outcome.stdout.count("at step") == 1


def test_a_figure_of_the_best_schedules(folder: Path, tmp_path: Path) -> None:
    picture, curves = tmp_path / "schedule.svg", tmp_path / "curves.svg"
    words = ("curve", "schedule", folder / "fit.json", "--steps", "4K", "--warmup", "400")
    outcome = done(*words, "--peak", "9e-4", "--figure", picture)
    assert picture.read_text().startswith("<svg")
    assert (
        "the peak learning rate 0.0009 is not that of the fitted curves, 0.0003" in outcome.stderr
    )
    asked = ("--schedules", folder / "schedules.csv", "--figure", curves)
    assert done("curve", "predict", folder / "fit.json", *asked).stderr == ""
    assert curves.read_text().startswith("<svg")


def test_the_best_schedule_for_a_budget(folder: Path, tmp_path: Path) -> None:
    saved = tmp_path / "best.csv"
    words = ("curve", "schedule", folder / "fit.json", "--steps", "8K", "--peak", "3e-4")
    found = document(*words, "--warmup", "400", "--end", "3e-5", "--save", saved)
    assert {entry["shape"] for entry in found["decays"]} == {
        "exponential",
        "linear",
        "1-sqrt",
        "cosine",
    }
    assert saved.read_text().startswith("schedule,step,learning_rate\n")
    assert "Best decay of each shape" in done(*words).stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("backtest", "{curves}"), "--hold-out: nothing to predict: expected a condition such as "),
        (("fit", "{curves}", "--law", "tissue"), "--law: unknown law of curves: found 'tissue'; "),
        (
            ("fit", "{curves}", "--decay-factor", "x", "--law", "annealing"),
            "--decay-factor: not a ",
        ),
        (("predict", "{fit}"), "--schedule: no schedule: expected a shape such as cosine:steps=2"),
        (("predict", "{fit}", "--schedule", "x:y"), "--schedule: unknown shape of schedule: found"),
        (("predict", "{curves}", "--schedule", "constant:steps=9:peak=1"), "not a fit of curves"),
        (("watch", "{curves}", "--figure", "a.pdf"), "--figure a.pdf: not a picture format: found"),
        (("watch", "{curves}", "--every", "0"), "--every: not a time to wait: found 0; expected s"),
        (("watch", "{curves}", "--target", "-1"), "--target: not a size: found '-1'; expected a "),
        (
            ("watch", "{curves}", "--schedules", "{schedules}"),
            "--schedule: which schedule is the run's own: expected one of constant, cosine, wsd",
        ),
        (
            ("watch", "{curves}", "--schedule", "sine", "--schedules", "{schedules}"),
            "no such schedule: found 'sine'; expected one of constant, cosine, wsd",
        ),
        (
            ("fit", "{curves}", "--schedules", "{curves}"),
            "no column learning_rate: expected a table of schedules, with the columns schedule, st",
        ),
        (
            ("fit", "{curves}", "--decay-factor", "scan"),
            "--decay-factor: the law has no decay factor: found law multi-power-fading; expected -",
        ),
        (
            ("backtest", "{curves}", "--hold-out", "step>9", *LATER_DECAY),
            "--decay-factor: the law has no decay factor: found law multi-power; expected --law an",
        ),
        (
            ("schedule", "{fit}", "--steps", "4K", "--peak", "-1"),
            "--peak: not a learning rate: found -1; expected above 0, as 3e-4",
        ),
        (
            ("schedule", "{fit}", "--steps", "4K", "--peak", "3e-4", "--warmup", "5K"),
            "--warmup: a warm-up of the whole run: found 5000 of 4000 steps; expected fewer steps",
        ),
        (
            ("schedule", "{fit}", "--steps", "4K", "--peak", "3e-4", "--end", "1e-3"),
            "--end: not the end of a decay: found 0.001; expected 0 to 0.0003",
        ),
        (
            ("schedule", "{fit}", "--steps", "4K,5K", "--peak", "3e-4"),
            "--steps: not a number of steps: found '4K,5K'; expected one",
        ),
    ],
)
def test_what_is_refused(words: tuple[str, ...], message: str, folder: Path) -> None:
    places = {
        "curves": folder / "curves.csv",
        "schedules": folder / "schedules.csv",
        "fit": folder / "fit.json",
    }
    assert message in refusal("curve", *(word.format(**places) for word in words))


def test_the_verbs_are_listed() -> None:
    shown = done("curve").stdout
    for verb in ("fit", "predict", "backtest", "watch", "schedule", "convert", "batch"):
        assert verb in shown


@pytest.fixture(scope="module")
def batches(folder: Path) -> Path:
    """A table of runs of two sizes at three batch sizes, and a fit of the trajectory law to it."""
    rows = ["run_id,params,batch_tokens,step,loss"]
    for params in (1e7, 1e8):
        for batch in (5e4, 3e5, 2e6):
            steps = np.unique(np.round(np.geomspace(300, 4e4, 40)))
            jitter = np.random.default_rng(int(params / batch)).standard_normal(steps.size)
            losses_there = KAPLAN.loss(params, steps, batch) * np.exp(1e-3 * jitter)
            rows += [
                f"{params:g}/{batch:g},{params},{batch},{step:.0f},{loss}"
                for step, loss in zip(steps, losses_there, strict=True)
            ]
    (folder / "batches.csv").write_text("\n".join(rows) + "\n")
    words = ("curve", "fit", folder / "batches.csv", "--law", "trajectory", "--bootstrap", "10")
    shown = done(*words, "-o", folder / "trajectory.json", "--figure", folder / "fit.svg")
    assert "B_star" in shown.stdout
    assert (folder / "fit.svg").read_text().startswith("<svg")
    return folder


def test_trajectories_at_any_batch_size(batches: Path) -> None:
    words = ("curve", "predict", batches / "trajectory.json", "--params", "1B")
    found = document(*words, "--batch-tokens", "4M", "--at", "10K,100K")["predictions"]
    beyond = done(*words, "--batch-tokens", "20M", "--at", "10K").stderr
    assert "params 1B is 10 times beyond those of the fitted curves, 10M to 100M" in beyond
    assert "batch_tokens 20M is 10 times beyond those of the fitted curves, 50K to 2M" in beyond
    for entry, steps in zip(found, (1e4, 1e5), strict=True):
        assert entry["loss"] == pytest.approx(float(KAPLAN.loss(1e9, steps, 4e6)), rel=0.01)
    tested = document(
        *("curve", "backtest", batches / "batches.csv", "--hold-out", "batch_tokens > 1e6"),
        *("--law", "kaplan-steps", "--critical-batch", "2.1e8:0.21", "--bootstrap", "0"),
    )
    assert tested["laws"]["kaplan-steps"]["mean_abs_rel_error"] < 2e-3


def test_what_a_loss_takes_over_batch_sizes(batches: Path, tmp_path: Path) -> None:
    picture = tmp_path / "batch.svg"
    words = ("curve", "batch", batches / "trajectory.json", "--params", "100M", "--loss", "3")
    said = document(*words, "--batch-tokens", "500K,2M", "--figure", picture)
    assert [choice["batch"] for choice in said["choices"]] == [5e5, 2e6]
    assert said["critical_batch"] == pytest.approx(1.123e6, rel=0.05)
    low, high = said["intervals"]["least_steps"]
    assert low <= said["least_steps"] <= high
    assert picture.read_text().startswith("<svg")
    published = done("curve", "batch", "--params", "1B", "--loss", "2.5")
    assert "warning: Kaplan's published constants" in published.stderr
    assert "Time against compute" in published.stdout


def test_checkpoints_become_runs(folder: Path, tmp_path: Path) -> None:
    saved, picture = tmp_path / "runs.csv", tmp_path / "convert.svg"
    words = ("curve", "convert", folder / "fit.json", *tables(folder))
    condition = ("--where", "schedule = 'constant'")
    sizes = ("--params", "100M", "--batch-tokens", "500K")
    said = document(*words, *condition, *sizes, "--save", saved, "--figure", picture)
    assert len(said["checkpoints"]) == 8
    for entry in said["checkpoints"]:
        assert entry["lower"] < entry["loss"] < entry["checkpoint_loss"]
    assert picture.read_text().startswith("<svg")
    assert document("data", "check", saved)["n_runs"] == 8
    bare = done(*words, *condition)
    assert "a surface fit needs params and tokens: give --params and --batch-tokens" in bare.stderr
    assert bare.stdout.startswith("Checkpoints after a decay\n")


def test_laws_named_in_the_help_are_those_of_the_catalogue() -> None:
    assert set(LAW_NAMES.split(", ")) == set(CURVE_LAWS)
    assert DEFAULT_LAW == DEFAULT_CURVE_LAW


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("predict", "{trajectory}", "--params", "1B"), "--at: no steps: expected steps such as 1"),
        (
            ("predict", "{trajectory}", "--params", "1B", "--at", "9"),
            "the law reads the batch size: found no batch_tokens for a run of 10 steps; expected ",
        ),
        (("predict", "{trajectory}", "--at", "1.5"), "--at: not a step: found '1.5'; expected 0, "),
        (("fit", "{batches}"), "no column learning_rate: found run_id, params, batch_tokens, step"),
        (
            ("fit", "{batches}", "--law", "trajectory", "--critical-batch", "1:1"),
            "--critical-batch: the law has no known critical batch: found law trajectory; expecte",
        ),
        (
            ("fit", "{batches}", "--law", "kaplan-steps", "--critical-batch", "9"),
            "--critical-batch: not a critical batch: found '9'; expected tokens and a power, as 2",
        ),
        (("batch", "{trajectory}", "--loss", "3"), "--params: not given: expected a number, as --"),
        (
            ("batch", "{trajectory}", "--params", "1B", "--loss", "0.5"),
            "target loss: the size cannot reach the target: found 0.5; expected above the floor",
        ),
        (
            ("batch", "{fit}", "--params", "1B", "--loss", "3"),
            "a fit of annealing says nothing of batch sizes: fit trajectory to curves at several",
        ),
    ],
)
def test_what_laws_of_batch_sizes_refuse(
    words: tuple[str, ...], message: str, batches: Path
) -> None:
    places = {
        "batches": batches / "batches.csv",
        "trajectory": batches / "trajectory.json",
        "fit": batches / "fit.json",
    }
    assert message in refusal("curve", *(word.format(**places) for word in words))
