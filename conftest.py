"""What every test may ask for, and the examples of README.md and docs as tests.

Python blocks run as they are, and the `$ isoloss ...` lines of console blocks must end well.
"""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from sybil import Example, Sybil
from sybil.parsers.myst import CodeBlockParser, PythonCodeBlockParser

# Shared machines stall now and then; a deadline would turn that into a failure of the code.
settings.register_profile("isoloss", deadline=None, max_examples=30, derandomize=True)
settings.load_profile("isoloss")

# What is printed must not depend on how wide the terminal of the tests is.
os.environ.pop("COLUMNS", None)

PROMPT = "$ isoloss "


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real run tables beside the checkout; the test is skipped where it is absent."""
    folder = Path(__file__).parents[1] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the run tables in ../shared/data are not on this machine")
    return folder


def run_console(example: Example) -> str | None:
    """Run each `$ isoloss ...` line of a block; the shown output is for readers."""
    from isoloss.cli import main

    for line in example.parsed.replace("\\\n", " ").splitlines():
        if not line.startswith(PROMPT):
            continue
        shown = io.StringIO()
        with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(shown):
            try:
                main(shlex.split(line.removeprefix(PROMPT)))
            except SystemExit as ending:
                status = ending.code
        if status != 0:
            return f"{line} ended with {status}: {shown.getvalue()}"
    return None


def enter(namespace: dict[str, Any]) -> None:
    """Each page runs in a folder of its own, beside tables named runs.csv and muon.csv."""
    import isoloss

    namespace["_start"], namespace["_folder"] = Path.cwd(), tempfile.TemporaryDirectory()
    os.chdir(namespace["_folder"].name)
    isoloss.optimizer_runs("adamw").frame.write_csv("runs.csv")
    isoloss.optimizer_runs("muon").frame.write_csv("muon.csv")


def leave(namespace: dict[str, Any]) -> None:
    """Back to where the tests started."""
    os.chdir(namespace["_start"])
    namespace["_folder"].cleanup()


pytest_collect_file = Sybil(
    parsers=[
        PythonCodeBlockParser(),
        CodeBlockParser(language="console", evaluator=run_console),
    ],
    patterns=["README.md", "docs/*.md", "docs/laws/*.md"],
    setup=enter,
    teardown=leave,
).pytest()
