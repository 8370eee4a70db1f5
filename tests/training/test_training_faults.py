"""Whatever happens to a sweep, it goes on and ends with the table of an undisturbed one."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from sweep_cases import planned, run_locally, table_of, undisturbed, write_sweep

from isoloss.errors import InputError
from isoloss.training import Plan, RunFolder, collect_runs, sweep_status

# Unlike the setting of the trainer that misbehaves, which the table names.
OWN = ("mischief", "only")
# Seven times what one run writes, and the plan.
DISK_BYTES = 256 * 1024
DRIVER = """
import sys
from pathlib import Path
from isoloss.training import make_launcher, read_plan, run_sweep

folder = Path(sys.argv[1])
plan = read_plan(folder)
run_sweep(plan, folder, make_launcher("local", plan, folder, 2))
"""


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    return undisturbed(tmp_path_factory.mktemp("undisturbed") / "sweep")


def same(table: pl.DataFrame, expected: pl.DataFrame) -> None:
    assert_frame_equal(table.drop(name for name in OWN if name in table.columns), expected)


def until(holds: Callable[[], object], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "what was waited for does not happen"
        time.sleep(0.01)


def processes(folder: Path) -> list[int]:
    """Those whose command line names a sweep's folder."""
    listed = subprocess.run(
        ["ps", "-e", "-ww", "-o", "pid=,args="], capture_output=True, text=True, check=True
    )
    rows = [line.split(maxsplit=1) for line in listed.stdout.splitlines()]
    return [int(pid) for pid, *words in rows if str(folder) in " ".join(words)]


def starts(plan: Plan, folder: Path, index: int = 0) -> list[int]:
    """From which steps a run was started."""
    text = (plan.folder_of(plan.runs[index], folder) / "started").read_text()
    return [int(line) for line in text.split()]


def test_a_killed_worker_is_started_again_from_its_checkpoint(
    tmp_path: Path, expected: pl.DataFrame
) -> None:
    plan, folder = planned(write_sweep(tmp_path, settings='mischief = "killed once"'))
    reasons: list[str] = []
    outcome = run_locally(plan, folder, advance=lambda _, each: reasons.append(each.reason))
    assert not outcome.failed
    assert outcome.attempts == 12
    assert reasons.count("") == 6
    assert {reason for reason in reasons if reason} == {
        "killed by signal SIGKILL (out of memory, if nobody killed it)"
    }
    first, second = starts(plan, folder)
    assert first == 0
    assert second >= plan.runs[0].steps // 2
    same(table_of(plan, folder), expected)


def test_branches_of_a_killed_trunk_are_those_of_a_whole_one(tmp_path: Path) -> None:
    whole = undisturbed(tmp_path / "whole", schedule="wsd")
    plan, folder = planned(
        write_sweep(tmp_path, schedule="wsd", settings='mischief = "killed once"\nonly = "_trunk_"')
    )
    outcome = run_locally(plan, folder)
    assert (outcome.attempts, outcome.failed) == (len(plan.runs) + 2, {})
    same(table_of(plan, folder), whole)


def test_a_sweep_goes_on_after_its_launcher_was_killed(
    tmp_path: Path, expected: pl.DataFrame
) -> None:
    plan, folder = planned(write_sweep(tmp_path, pause=0.05))
    launcher = subprocess.Popen([sys.executable, "-c", DRIVER, str(folder)])
    try:
        until(lambda: sweep_status(plan, folder).count("done") >= 1)
        until(lambda: sweep_status(plan, folder).count("running") >= 1)
    finally:
        launcher.send_signal(signal.SIGKILL)
        launcher.wait()
    # The runs end with their launcher, so that nobody else writes to their folders.
    until(lambda: not processes(folder))
    status = sweep_status(plan, folder)
    assert 1 <= status.count("done") < 6
    assert status.count("running") == 0
    outcome = run_locally(plan, folder)
    assert outcome.attempts == 6 - status.count("done")
    same(table_of(plan, folder), expected)


def test_a_killed_guard_takes_its_command_along(tmp_path: Path, expected: pl.DataFrame) -> None:
    plan, folder = planned(write_sweep(tmp_path, pause=0.05))
    launcher = subprocess.Popen([sys.executable, "-c", DRIVER, str(folder)])

    def guards() -> list[int]:
        listed = subprocess.run(
            ["ps", "-e", "-ww", "-o", "pid=,args="], capture_output=True, text=True, check=True
        )
        lines = [line for line in listed.stdout.splitlines() if str(folder) in line]
        return [int(line.split()[0]) for line in lines if "guard.py" in line]

    until(guards)
    for pid in guards():
        os.kill(pid, signal.SIGKILL)
    assert launcher.wait(60) == 0
    same(table_of(plan, folder), expected)


@pytest.mark.parametrize(
    ("mischief", "reason"),
    [
        ("fails", "ended with status 1: RuntimeError: the data ran dry"),
        ("nan", "the loss is NaN"),
        ("silent", "no loss in result.json: expected a JSON object that has it"),
        ("says why", "out of memory at step 3"),
        ("too large", "ended with status 1: MemoryError"),
    ],
)
def test_a_run_that_fails_is_tried_again_and_then_reported_while_the_rest_goes_on(
    tmp_path: Path, expected: pl.DataFrame, mischief: str, reason: str
) -> None:
    bad = "default_N5968_D200704_seed0"
    path = write_sweep(tmp_path, settings=f'mischief = "{mischief}"\nonly = "{bad}"')
    plan, folder = planned(path)
    outcome = run_locally(plan, folder, retries=2)
    assert outcome.failed == {bad: reason}
    assert outcome.attempts == 5 + 3
    failure = RunFolder(folder / "runs" / bad).failure
    assert failure == {"reason": reason, "attempts": [reason] * 3}
    status = sweep_status(plan, folder)
    assert (status.count("done"), status.count("failed")) == (5, 1)
    collected = collect_runs(plan, folder)
    assert [note.message for note in collected.notes] == [f"{bad} failed: {reason}"]
    same(table_of(plan, folder), expected.filter(pl.col("run_id") != bad))
    # Whoever has mended the trainer runs the sweep again.
    trainer = tmp_path / "trainer.py"
    trainer.write_text(trainer.read_text().replace('config.get("mischief", "")', '""'))
    again = run_locally(plan, folder)
    assert (again.attempts, again.failed) == (1, {})
    same(table_of(plan, folder), expected)


def test_branches_of_a_failed_trunk_are_given_up(tmp_path: Path) -> None:
    path = write_sweep(
        tmp_path, schedule="wsd", settings='mischief = "fails"\nonly = "N5968_trunk"'
    )
    plan, folder = planned(path)
    outcome = run_locally(plan, folder, retries=0)
    assert len(outcome.failed) == 4
    branch = "default_N5968_D98304_seed0"
    assert outcome.failed[branch].startswith("its trunk default_N5968_trunk_seed0 failed: ended")
    assert outcome.attempts == 5


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with room for a small sweep, and for little else."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, stderr=subprocess.DEVNULL).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def fill(path: Path, free: int) -> None:
    """Write a file that leaves so many bytes of its file system."""
    room = shutil.disk_usage(path.parent).free - free
    path.write_bytes(bytes(room))


def test_a_sweep_goes_on_after_the_disk_was_full(small_disk: Path, expected: pl.DataFrame) -> None:
    plan, folder = planned(write_sweep(small_disk))
    ballast = small_disk / "ballast"
    fill(ballast, free=0)
    with pytest.raises(InputError, match=r"No space left on device"):
        run_locally(plan, folder)
    # Enough for every configuration, but not for what the runs write.
    ballast.unlink()
    fill(ballast, free=DISK_BYTES // 5)
    outcome = run_locally(plan, folder, retries=1)
    assert outcome.failed
    assert sweep_status(plan, folder).count("done") == len(outcome.done) == 6 - len(outcome.failed)
    for reason in outcome.failed.values():
        # What a trainer says of it does not fit into its log either.
        assert "on a full disk" in reason or "No space left on device" in reason
    ballast.unlink()
    assert not run_locally(plan, folder).failed
    same(table_of(plan, folder), expected)


def test_a_disk_that_cannot_be_written_fails_the_run_and_not_the_sweep(
    tmp_path: Path, expected: pl.DataFrame
) -> None:
    plan, folder = planned(write_sweep(tmp_path))
    blocked = plan.folder_of(plan.runs[0], folder)
    blocked.mkdir(parents=True)
    # Where root may write anywhere, a folder in a file's place still stands for a full disk.
    (blocked / "output.log").mkdir()
    (blocked / "output.log.before").mkdir()
    (blocked / "output.log.before" / "held").touch()
    outcome = run_locally(plan, folder, retries=1)
    assert list(outcome.failed) == [plan.runs[0].name]
    assert "output.log" in outcome.failed[plan.runs[0].name]
    (blocked / "output.log").rmdir()
    assert not run_locally(plan, folder).failed
    same(table_of(plan, folder), expected)


def test_a_command_that_cannot_be_started_is_a_failed_run(tmp_path: Path) -> None:
    script = tmp_path / "script.sh"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    plan, folder = planned(write_sweep(tmp_path, command="./script.sh"))
    outcome = run_locally(plan, folder, retries=0)
    assert len(outcome.failed) == 6
    for reason in outcome.failed.values():
        assert reason == "not started: cannot start ./script.sh: No such file or directory"


def test_what_a_command_leaves_behind_ends_with_it(tmp_path: Path) -> None:
    (tmp_path / "leaves.py").write_text(
        "import subprocess, sys, json\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)', sys.argv[1]])\n"
        "print(json.dumps({'loss': 1.0}))\n"
    )
    path = write_sweep(tmp_path, command="{{python}} leaves.py {{folder}}")
    path.write_text(path.read_text() + 'result = "stdout"\n')
    plan, folder = planned(path)
    assert not run_locally(plan, folder).failed
    until(lambda: not processes(folder))


def test_an_interrupted_launcher_ends_its_runs(tmp_path: Path) -> None:
    plan, folder = planned(write_sweep(tmp_path, pause=0.1))

    def stop(name: str, _: object) -> None:
        raise KeyboardInterrupt(name)

    with pytest.raises(KeyboardInterrupt):
        run_locally(plan, folder, advance=stop)
    assert not processes(folder)
    assert not run_locally(plan, folder).failed


def test_a_folder_that_is_not_there_cannot_be_run(tmp_path: Path) -> None:
    plan, _ = planned(write_sweep(tmp_path))
    with pytest.raises(InputError, match=r"gone: cannot write to the folder: found No such file"):
        run_locally(plan, tmp_path / "gone")
