"""Small sweeps, and a trainer that needs neither data nor PyTorch but resumes like a real one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from isoloss.training import (
    MEASURED,
    Plan,
    SweepOutcome,
    collect_runs,
    make_launcher,
    make_plan,
    read_sweep,
    run_sweep,
    save_plan,
)

# It writes a checkpoint after each tenth, and its loss depends on every step so far: a run that
# resumed wrongly would end at another loss. The setting `mischief` says what goes wrong.
TRAINER = """
import json, math, os, signal, sys, time
from pathlib import Path

folder, pause = Path(sys.argv[1]), float(sys.argv[2])
config = json.loads((folder / "config.json").read_text())
mischief, kind = config.get("mischief", ""), config["labels"]["kind"]
only = config.get("only", "")
if only and only not in folder.name:
    mischief = ""
checkpoint = folder / "checkpoint.pt"

def whole(path, text):
    part = path.with_suffix(".part")
    part.write_text(text)
    os.replace(part, path)

state = {"step": 0, "sum": 0.0}
if checkpoint.exists():
    state = json.loads(checkpoint.read_text())
elif "start_from" in config:
    state = json.loads(Path(config["start_from"]).read_text())
params, steps = config["labels"]["params"], config["steps"]
with open(folder / "started", "a") as log:
    log.write(f"{state['step']}\\n")
kept = config.get("keep_checkpoints", [])
tenth = max(1, steps // 10)
while state["step"] < steps:
    state["step"] += 1
    state["sum"] += math.sin(state["step"] * config["learning_rate"]) / params
    if state["step"] in kept:
        whole(folder / f"checkpoint-{state['step']}.pt", json.dumps(state))
    if state["step"] % tenth == 0:
        whole(checkpoint, json.dumps(state))
        tokens = state["step"] * config["batch_tokens"]
        line = {"step": state["step"], "tokens": tokens, "loss": 5.0, "seconds": 0.1}
        with open(folder / "metrics.jsonl", "a") as metrics:
            metrics.write(json.dumps(line) + "\\n")
        time.sleep(pause)
        first = not (folder / "mischief").exists()
        if mischief and state["step"] >= steps // 2 and first:
            (folder / "mischief").touch()
            if mischief == "killed once":
                os.kill(os.getpid(), signal.SIGKILL)
        if mischief == "fails" and state["step"] >= steps // 2:
            print("Traceback of some kind")
            sys.exit("RuntimeError: the data ran dry")
        if mischief == "too large":
            bytearray(1 << 60)
        if mischief == "says why":
            whole(folder / "failure.json", json.dumps({"reason": "out of memory at step 3"}))
            sys.exit(1)
tokens = steps * config["batch_tokens"]
loss = 1.5 + 20 * params**-0.3 + 30 * tokens**-0.28 + 1e-3 * state["sum"] + 1e-3 * config["seed"]
if mischief == "nan":
    loss = math.nan
result = {"loss": loss, "bits_per_byte": loss / math.log(2), "data_sha256": "feed", "seconds": 0.2}
if mischief != "silent":
    whole(folder / "result.json", json.dumps(result))
print("an end of some kind")
print(json.dumps({"val_loss": loss}))
"""

SWEEP = """
[family]
vocabulary_size = 256
aspect_ratio = 16
head_dim = 8
d_model_multiple = 8
d_ff_multiple = 8
[params]
from = "6k"
to = "24k"
steps = {sizes}
[tokens]
from = "0.1M"
to = "0.4M"
ratio = 2
[training]
context = 128
batch_tokens = 4096
learning_rate = "0.02*(64/d_model)"
schedule = "{schedule}"
warmup = 0.1
[settings]
{settings}
[trainer]
command = "{command}"
"""


def write_sweep(
    folder: Path,
    *,
    sizes: int = 2,
    schedule: str = "cosine",
    settings: str = "",
    pause: float = 0.0,
    command: str = "{{python}} trainer.py {{folder}} {pause}",
    more: str = "",
) -> Path:
    """The TOML file of a small sweep, beside its trainer; three D at each size."""
    (folder / "trainer.py").write_text(TRAINER)
    path = folder / "sweep.toml"
    filled = command.format(pause=pause)
    text = SWEEP.format(sizes=sizes, schedule=schedule, settings=settings, command=filled)
    path.write_text(more + text)
    return path


def planned(path: Path) -> tuple[Plan, Path]:
    """The plan of a TOML file, saved in a folder beside it."""
    plan, folder = make_plan(read_sweep(path)), path.with_suffix("")
    save_plan(plan, folder)
    return plan, folder


def run_locally(plan: Plan, folder: Path, **options: Any) -> SweepOutcome:
    """The sweep, two runs at a time."""
    launcher = make_launcher("local", plan, folder, 2)
    return run_sweep(plan, folder, launcher, **options)


def table_of(plan: Plan, folder: Path) -> pl.DataFrame:
    """The collected table, without what differs from one sweep to the next."""
    frame = collect_runs(plan, folder).frame
    return frame.drop(name for name in MEASURED if name in frame.columns)


def undisturbed(folder: Path, **options: Any) -> pl.DataFrame:
    """The table of a sweep in which nothing goes wrong."""
    folder.mkdir()
    plan, place = planned(write_sweep(folder, **options))
    assert not run_locally(plan, place).failed
    return table_of(plan, place)
