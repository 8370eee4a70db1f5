"""Running the program inside the tests' own process, and tables to run it on."""

from __future__ import annotations

import contextlib
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isoloss.cli.main import main

Row = list[float | str]

# Besiroglu et al. 2024, arXiv:2404.10102: the law that the tables here follow.
EPOCH = {"E": 1.8172, "A": 482.01, "B": 2085.43, "alpha": 0.3478, "beta": 0.3658}

SIZES = (5e7, 1.1e8, 2.6e8, 5.9e8, 1.3e9, 3e9)
RATIOS = (5, 10, 20, 40, 80)


@dataclass(frozen=True)
class Outcome:
    """How a run of the program ended and what it printed."""

    status: int
    stdout: str
    stderr: str


def isoloss(*words: str | Path) -> Outcome:
    """Run the program."""
    stdout, stderr = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
        try:
            main([str(word) for word in words])
        except SystemExit as ending:
            status = ending.code
    assert isinstance(status, int)
    return Outcome(status, stdout.getvalue(), stderr.getvalue())


def done(*words: str | Path) -> Outcome:
    """Run the program, which has to succeed."""
    outcome = isoloss(*words)
    assert outcome.status == 0, outcome.stderr
    return outcome


def document(*words: str | Path) -> Any:
    """Run the program with --json and read the one object that it prints."""
    outcome = done(*words, "--json")
    assert outcome.stdout.startswith("{")
    return read_strictly(outcome.stdout)


def read_strictly(text: str) -> Any:
    """Read one JSON value; NaN and Infinity, which JSON does not have, are refused."""

    def refuse(token: str) -> float:
        raise AssertionError(f"{token} is no JSON")

    return json.loads(text, parse_constant=refuse)


def refusal(*words: str | Path) -> str:
    """Run the program, which has to refuse its input; what its one line says after the name."""
    outcome = isoloss(*words)
    assert outcome.status == 2, outcome
    assert outcome.stdout == ""
    return only_line(outcome.stderr)


def only_line(stderr: str) -> str:
    """What one line of refusal says, which is all that stderr holds."""
    assert stderr.startswith("isoloss: ")
    assert stderr.endswith("\n")
    assert stderr.count("\n") == 1
    return stderr.removeprefix("isoloss: ").removesuffix("\n")


def loss_of(params: float, tokens: float) -> float:
    """Loss under the law of `EPOCH`."""
    E, A, B, alpha, beta = EPOCH.values()
    return E + A * math.exp(-alpha * math.log(params)) + B * math.exp(-beta * math.log(tokens))


def good_rows(noise: float = 2e-3) -> list[Row]:
    """Thirty runs, six sizes at five ratios of tokens to parameters, with a little noise."""
    rows: list[Row] = []
    for params in SIZES:
        for ratio in RATIOS:
            tokens = params * ratio
            # The golden angle spreads the deviations evenly, without any random numbers.
            deviation = math.sin(2.39996 * len(rows))
            rows.append([params, tokens, loss_of(params, tokens) * math.exp(noise * deviation)])
    return rows


def write_table(
    path: Path,
    rows: Sequence[Sequence[float | str]],
    header: str = "params,tokens,loss",
    separator: str = ",",
) -> Path:
    """Write a table of delimited text."""
    lines = [separator.join(str(cell) for cell in row) for row in rows]
    path.write_text("\n".join([header.replace(",", separator), *lines]) + "\n")
    return path
