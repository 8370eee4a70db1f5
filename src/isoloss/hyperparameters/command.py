"""A run as a command: a template that names the hyperparameters, and the JSON that it prints."""

from __future__ import annotations

import json
import math
import shlex
import string
import subprocess
import time
from collections.abc import Mapping, Sequence

from isoloss.errors import InputError
from isoloss.hyperparameters.space import Value, Variable
from isoloss.hyperparameters.tuning import Outcome


def check_template(template: str, variables: Sequence[Variable]) -> None:
    """Check that a command names every hyperparameter and nothing else, such as `{learning_rate}`.

    Raises:
        InputError: it does not.
    """
    where = "--command"
    try:
        named = {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}
        words = shlex.split(template)
    except ValueError as error:
        raise InputError(f"not a command: {error}", where=where, found=repr(template)) from None
    wanted = {variable.name for variable in variables}
    if named != wanted or not words:
        raise InputError(
            "the command does not take the hyperparameters",
            where=where,
            found=", ".join(sorted("{" + name + "}" for name in named)) or "none",
            expected=", ".join(sorted("{" + name + "}" for name in wanted)),
        )


def fill_template(template: str, values: Mapping[str, Value]) -> list[str]:
    """The words of the command with values for names; no shell is involved."""
    written = {name: _written(value) for name, value in values.items()}
    return [word.format(**written) for word in shlex.split(template)]


def run_command(template: str, values: Mapping[str, Value]) -> Outcome:
    """Run a command, and read the loss and cost that it prints.

    The last line of its output that is a JSON object has to hold a number `loss`, and may hold a
    number `cost`; without one the cost is the time that the command took, in seconds. A command
    that fails, or whose loss is no finite number, has failed as a run.

    Raises:
        InputError: the command cannot be started, or ends well without printing a loss.
    """
    words = fill_template(template, values)
    begin = time.perf_counter()
    try:
        done = subprocess.run(words, stdout=subprocess.PIPE, check=False, text=True)
    except OSError as error:
        raise InputError(
            "the command cannot be started",
            where="--command",
            found=f"{words[0]} ({error.strerror or error})",
            expected="a program, as python train.py --lr {learning_rate}",
        ) from None
    seconds = time.perf_counter() - begin
    if done.returncode != 0:
        return Outcome(math.nan, math.nan)
    report = last_report(done.stdout)
    if report is None:
        raise InputError(
            "the command printed no loss",
            where="--command",
            found=repr(done.stdout.strip()[-80:]),
            expected='a line such as {"loss": 2.31, "cost": 1.2e18}',
        )
    return Outcome(*report) if math.isfinite(report[1]) else Outcome(report[0], seconds)


def last_report(output: str) -> tuple[float, float] | None:
    """Loss and cost of the last line that is a JSON object with a loss; NaN for a missing cost."""
    for line in reversed(output.splitlines()):
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict) and isinstance(found.get("loss"), int | float):
            cost = found.get("cost", math.nan)
            return float(found["loss"]), float(cost) if isinstance(cost, int | float) else math.nan
    return None


def _written(value: Value) -> str:
    return repr(value) if isinstance(value, float) else str(value)
