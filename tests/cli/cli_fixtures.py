"""What tests of the program share: a good table and fits of it, made once."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_program import done, good_rows, write_table


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table without any problem, which no test changes."""
    return write_table(tmp_path_factory.mktemp("tables") / "runs.csv", good_rows())


@pytest.fixture(scope="session")
def saved_fit(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Chinchilla fitted to the table, as a file."""
    path = tmp_path_factory.mktemp("fits") / "fit.json"
    done("fit", table, "--law", "chinchilla", "--bootstrap", "40", "-o", path)
    return path
