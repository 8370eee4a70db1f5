"""Sweeps done by each launcher end with the same table."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from sweep_cases import planned, run_locally, table_of, undisturbed, write_sweep

from isoloss.errors import InputError
from isoloss.training import Launcher, make_launcher, run_sweep, sweep_status


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    return undisturbed(tmp_path_factory.mktemp("undisturbed") / "sweep", sizes=4)


def test_a_sweep_on_this_machine(tmp_path: Path, expected: pl.DataFrame) -> None:
    plan, folder = planned(write_sweep(tmp_path, sizes=4))
    reported: list[str] = []
    outcome = run_locally(plan, folder, advance=lambda name, _: reported.append(name))
    assert outcome.done == tuple(run.name for run in plan.runs)
    assert sorted(reported) == sorted(outcome.done)
    assert outcome.attempts == 12
    assert_frame_equal(table_of(plan, folder), expected)
    assert run_locally(plan, folder).attempts == 0


def test_branches_start_when_their_trunk_is_done(tmp_path: Path) -> None:
    plan, folder = planned(write_sweep(tmp_path, schedule="wsd"))
    order: list[str] = []
    outcome = run_locally(plan, folder, advance=lambda name, _: order.append(name))
    assert not outcome.failed
    for run in plan.runs:
        if run.trunk is not None:
            assert order.index(run.trunk) < order.index(run.name)
            started = (plan.folder_of(run, folder) / "started").read_text()
            assert int(started) == run.start_step
    table = table_of(plan, folder)
    assert table.height == 6
    assert table["trunk"].null_count() == 0


@pytest.mark.parametrize(
    ("result", "loss", "mischief"),
    [
        ("stdout", "val_loss", "silent"),
        ("result.json", "loss", ""),
        ("{folder}/metrics.jsonl", "loss", "silent"),
    ],
)
def test_results_are_read_from_wherever_the_trainer_leaves_them(
    tmp_path: Path, expected: pl.DataFrame, result: str, loss: str, mischief: str
) -> None:
    path = write_sweep(tmp_path, settings=f'mischief = "{mischief}"')
    path.write_text(path.read_text() + f'result = "{result}"\nloss = "{loss}"\n')
    plan, folder = planned(path)
    assert not run_locally(plan, folder).failed
    losses = table_of(plan, folder)["loss"].to_list()
    if result.endswith("jsonl"):
        assert losses == [5.0] * 6
    else:
        first = expected.filter(pl.col("params") == expected["params"].min())
        assert losses[:3] == first["loss"].to_list()


def test_a_template_fills_the_words_of_a_command(tmp_path: Path) -> None:
    command = (
        "{{python}} show.py --lr {{learning_rate}} --keep {{keep_checkpoints}} '{{d_model}} x'"
    )
    (tmp_path / "show.py").write_text(
        "import sys, json; print(json.dumps({'loss': 1, 'w': sys.argv[1:]}))"
    )
    path = write_sweep(tmp_path, command=command)
    path.write_text(path.read_text() + 'result = "stdout"\n')
    plan, folder = planned(path)
    run_locally(plan, folder)
    said = (plan.folder_of(plan.runs[0], folder) / "output.log").read_text()
    assert '"--lr", "0.08", "--keep", "", "16 x"' in said


def test_submitit_without_a_cluster(tmp_path: Path, expected: pl.DataFrame) -> None:
    pytest.importorskip("submitit")
    plan, folder = planned(write_sweep(tmp_path))
    launcher = make_launcher("slurm:local", plan, folder, 2)
    assert not run_sweep(plan, folder, launcher).failed
    smallest = table_of(plan, folder).filter(pl.col("params") == expected["params"].min())
    assert_frame_equal(smallest, expected.filter(pl.col("params") == expected["params"].min()))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("dask", r"--launcher: unknown launcher: found 'dask'; expected local, ray,"),
        ("slurm", r"--launcher slurm: no Slurm on this machine"),
        ("local:4", r"--launcher: unknown launcher"),
    ],
)
def test_launchers_that_cannot_be_had(tmp_path: Path, name: str, message: str) -> None:
    pytest.importorskip("submitit")
    plan, folder = planned(write_sweep(tmp_path))
    with pytest.raises(InputError, match=message):
        make_launcher(name, plan, folder)


@pytest.mark.parametrize(
    ("needs", "message"),
    [
        ("gpus = 1", r"trainer.gpus: not enough GPUs on this machine: found none"),
        ("cpus = 4096", r"trainer.cpus: not enough processors on this machine: found \d+"),
    ],
)
def test_what_the_machine_does_not_have_is_refused_before_anything_runs(
    tmp_path: Path, needs: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    path = write_sweep(tmp_path)
    path.write_text(path.read_text() + needs + "\n")
    plan, folder = planned(path)
    with pytest.raises(InputError, match=message):
        run_sweep(plan, folder, make_launcher("local", plan, folder))
    assert not (folder / "runs").exists()


def test_gpus_are_shared_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    (tmp_path / "show.py").write_text(
        "import os, json; print(json.dumps({'loss': 1, 'gpu': os.environ['CUDA_VISIBLE_DEVICES']}))"
    )
    path = write_sweep(tmp_path, command="{{python}} show.py")
    path.write_text(path.read_text() + 'result = "stdout"\ngpus = 1\n')
    plan, folder = planned(path)
    launcher = make_launcher("local", plan, folder)
    assert launcher.slots == 2
    run_sweep(plan, folder, launcher)
    assert set(table_of(plan, folder)["gpu"].to_list()) <= {3, 5, "3", "5"}


def test_only_one_launcher_works_in_a_folder(tmp_path: Path) -> None:
    plan, folder = planned(write_sweep(tmp_path))

    class Nosy:
        """A launcher during whose first job somebody else begins."""

        def __init__(self, inner: Launcher) -> None:
            self.slots, self.check, self.close = inner.slots, inner.check, inner.close
            self.wait, self._inner = inner.wait, inner

        def submit(self, job: object) -> None:
            with pytest.raises(InputError, match=r"another launcher is at work there"):
                run_locally(plan, folder)
            self._inner.submit(job)  # type: ignore[arg-type]

    outcome = run_sweep(
        plan, folder, Nosy(make_launcher("local", plan, folder, 2)), runs=plan.runs[:1]
    )
    assert len(outcome.done) == 1


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@dataclass(frozen=True)
class Cluster:
    """A Ray cluster of two nodes on loopback, each of them a `ray start` of its own."""

    address: str
    environment: dict[str, str]
    second: subprocess.Popen[bytes]


def start_node(environment: dict[str, str], *words: str) -> subprocess.Popen[bytes]:
    ray = str(Path(sys.executable).parent / "ray")
    usual = ["--block", "--num-cpus", "1", "--node-ip-address", "127.0.0.1"]
    usual += ["--disable-usage-stats", "--object-store-memory", "80000000"]
    return subprocess.Popen(
        [ray, "start", *words, *usual],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


@pytest.fixture
def two_nodes() -> Iterator[Cluster]:
    pytest.importorskip("ray")
    # A token of its own keeps others off the cluster while it lasts.
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    environment = {**os.environ, **token}
    port = free_port()
    # Paths of sockets must be short.
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as place:
        words = ["--head", "--port", str(port), "--temp-dir", place, "--include-dashboard", "false"]
        nodes = [start_node(environment, *words)]
        try:
            wait_for_port(port)
            nodes.append(start_node(environment, "--address", f"127.0.0.1:{port}"))
            yield Cluster(f"127.0.0.1:{port}", environment, nodes[1])
        finally:
            for node in nodes:
                switch_off(node)


def wait_for_port(port: int, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1.0).close()
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"nobody listens at {port}")


def switch_off(process: subprocess.Popen[bytes]) -> None:
    """End a process and all that came of it at once, as when a machine is switched off."""
    for each in [process.pid, *descendants(process.pid)]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(each, signal.SIGKILL)
    process.wait()


def descendants(ancestor: int, having: str = "") -> list[int]:
    """The processes that came of one, and have a text in their command line."""
    listed = subprocess.run(
        ["ps", "-e", "-ww", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True
    )
    rows = [line.split(maxsplit=2) for line in listed.stdout.splitlines()]
    found, words = [ancestor], {}
    for parent in found:
        for pid, its_parent, *command in rows:
            if int(its_parent) == parent:
                found.append(int(pid))
                words[int(pid)] = " ".join(command)
    return [pid for pid in found[1:] if having in words[pid]]


def stopped_short(ancestor: int) -> bool:
    """Stop the runs of a node where they are, so that none of them ends before the node does."""
    guards = descendants(ancestor, "guard.py")
    for pid in guards:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
    # One that had just ended is no longer there to be stopped.
    states = subprocess.run(
        ["ps", "-o", "stat=", "-p", ",".join(map(str, [ancestor, *guards]))],
        capture_output=True,
        text=True,
        check=True,
    )
    return any(line.startswith("T") for line in states.stdout.splitlines())


def until(holds: Callable[[], object], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "the sweep does not get on"
        time.sleep(0.05)


# It begins when both nodes are there.
DRIVER = """
import sys, time
from pathlib import Path
import ray
from isoloss.training import make_launcher, read_plan, run_sweep

folder = Path(sys.argv[1])
plan = read_plan(folder)
launcher = make_launcher(sys.argv[2], plan, folder)
while len(ray.nodes()) < 2:
    time.sleep(0.1)
outcome = run_sweep(plan, folder, launcher, retries=3)
print("attempts", outcome.attempts)
sys.exit(f"failed: {outcome.failed}" if outcome.failed else 0)
"""


def test_a_node_of_a_ray_cluster_is_lost_half_way(
    tmp_path: Path, expected: pl.DataFrame, two_nodes: Cluster
) -> None:
    plan, folder = planned(write_sweep(tmp_path, sizes=4, pause=0.05))
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(folder), f"ray:{two_nodes.address}"],
        env=two_nodes.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        until(lambda: sweep_status(plan, folder).count("done") >= 2)
        until(lambda: stopped_short(two_nodes.second.pid))
        switch_off(two_nodes.second)
        said, _ = driver.communicate(timeout=90)
    finally:
        driver.kill()
        driver.wait()
    assert driver.returncode == 0, said.decode()
    # The run that the lost node was at was begun a second time.
    assert int(said.decode().split("attempts ")[1]) > 12
    assert_frame_equal(table_of(plan, folder), expected)
