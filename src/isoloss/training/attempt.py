"""One attempt at one run: the same steps whoever launches it, here or on another machine."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from isoloss.errors import IsolossError
from isoloss.training import guard
from isoloss.training.hardware import describe_hardware
from isoloss.training.results import ResultRule, RunFailedError
from isoloss.training.run_folder import FAILURE, LOCK, OUTPUT, RESULT, RunFolder, tail
from isoloss.training.template import fill_template

# Of a trainer's last words.
_REASON_CHARACTERS = 300
# Of what the launcher knows too.
_MEASURED = {"seconds", "hardware"}
_KILLED = 128 + signal.SIGKILL
# With less than this a trainer cannot write, and often cannot even say so.
_FULL_BYTES = 65_536


@dataclass(frozen=True)
class Job:
    """A run as a launcher has to do it: plain data that any machine can be sent.

    Attributes:
        name: of the run.
        folder: of the run, on a file system that all machines share.
        command: the template of its command.
        fields: what the template may name.
        directory: where the command is done.
        rule: how the result is read.
        environment: variables of its own.
        cpus: processors that it needs.
        gpus: GPUs that it needs.
    """

    name: str
    folder: str
    command: str
    fields: Mapping[str, Any]
    directory: str
    rule: ResultRule = field(default_factory=ResultRule)
    environment: Mapping[str, str] = field(default_factory=dict)
    cpus: int = 1
    gpus: int = 0


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended.

    Attributes:
        reason: why it failed; empty if the run has its result.
        seconds: that the attempt took.
    """

    reason: str = ""
    seconds: float = 0.0

    @property
    def succeeded(self) -> bool:
        """Whether the run has its result."""
        return not self.reason

    def to_json(self) -> dict[str, Any]:
        """The outcome as one JSON object."""
        return asdict(self)


class Attempt:
    """An attempt that runs in the background until it is waited for or stopped.

    Args:
        job: what is to be done.
        environment: variables besides the job's, such as the GPUs that it gets.
    """

    def __init__(self, job: Job, environment: Mapping[str, str] | None = None) -> None:
        self.job = job
        self._folder = RunFolder(Path(job.folder))
        self._begin = time.monotonic()
        self._process: subprocess.Popen[bytes] | None = None
        self._trouble = ""
        if self._folder.result is None:
            try:
                self._start(environment or {})
            except OSError as error:
                self._trouble = f"{error.filename}: {error.strerror or error}"

    def poll(self) -> Outcome | None:
        """How the attempt ended; None while it goes on."""
        if self._process is not None and self._process.poll() is None:
            return None
        return self._outcome()

    def wait(self) -> Outcome:
        """How the attempt ended, after it has."""
        if self._process is not None:
            self._process.wait()
        return self._outcome()

    def release(self) -> None:
        """Have the guard end the command and all that it has started, and do not wait for it."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()

    def stop(self) -> None:
        """End the command and all that it has started; nothing is read."""
        if self._process is not None:
            self.release()
            self._process.wait()
            self._close()

    def _start(self, environment: Mapping[str, str]) -> None:
        path = self._folder.path
        self._folder.remove(RESULT)
        self._folder.remove(FAILURE)
        job = self.job
        # Threads beyond the processors of a run would only stand in each other's way.
        threads = {"OMP_NUM_THREADS": str(job.cpus)}
        words = fill_template(
            job.command, {**job.fields, "folder": job.folder, "python": sys.executable}
        )
        self._process = subprocess.Popen(
            [
                sys.executable,
                guard.__file__,
                str(path / LOCK),
                str(path / OUTPUT),
                str(path / RESULT),
                *words,
            ],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=job.directory,
            env={
                **os.environ,
                **threads,
                **job.rule.environment(job.folder),
                **environment,
                **job.environment,
            },
        )

    def _close(self) -> bytes:
        """Let go of the guard; what it complained about."""
        assert self._process is not None
        complaint = b""
        for stream in (self._process.stdin, self._process.stderr):
            if stream is not None and not stream.closed:
                if stream is self._process.stderr and self._process.poll() is not None:
                    complaint = stream.read()
                stream.close()
        return complaint

    def _outcome(self) -> Outcome:
        reason = self._trouble
        if self._process is not None:
            complaint = self._close().decode("utf-8", "replace").strip()
            reason = self._judge(self._process.returncode, complaint)
        return Outcome(reason, time.monotonic() - self._begin)

    def _judge(self, status: int, complaint: str) -> str:
        """Why the attempt failed, if it did; otherwise its result is written where it belongs."""
        folder = self._folder
        if status != 0:
            stated = (folder.failure or {}).get("reason")
            return str(stated or complaint or _last_words(status, folder.path / OUTPUT))
        try:
            if (result := folder.result) is None or len(result.keys() & _MEASURED) < len(_MEASURED):
                found = result or self.job.rule.read(folder.path, self._fields())
                folder.write(RESULT, self._measured() | found)
        except (RunFailedError, IsolossError) as error:
            return str(error)
        return ""

    def _measured(self) -> dict[str, Any]:
        """What the launcher can tell of a run where its trainer does not."""
        seconds = time.monotonic() - self._begin
        return {
            "seconds": seconds,
            "hardware": describe_hardware(self.job.cpus, self.job.gpus),
        }

    def _fields(self) -> dict[str, Any]:
        return {**self.job.fields, "folder": self.job.folder, "python": sys.executable}


def execute(job: Job) -> Outcome:
    """Do a job from begin to end."""
    return Attempt(job).wait()


def _last_words(status: int, output: Path) -> str:
    """Why a command failed that has not said so in its folder: its status, and its last line."""
    if status < 0 or status > 128:
        number = -status if status < 0 else status - 128
        ended = f"killed by signal {_signal_name(number)}"
        if status == _KILLED:
            ended += " (out of memory, if nobody killed it)"
    elif status == guard.CANNOT_START:
        ended = "not started"
    else:
        ended = f"ended with status {status}"
    if _is_full(output.parent):
        ended += ", on a full disk"
    lines = [line.strip() for line in tail(output).splitlines() if line.strip()]
    said = lines[-1][:_REASON_CHARACTERS] if lines else ""
    return f"{ended}: {said}" if said else ended


def _is_full(folder: Path) -> bool:
    try:
        return shutil.disk_usage(folder).free < _FULL_BYTES
    except OSError:
        return False


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)
