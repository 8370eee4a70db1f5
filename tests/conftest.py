"""What every test may ask for."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

# Shared machines stall now and then; a deadline would turn that into a failure of the code.
settings.register_profile("isoloss", deadline=None, max_examples=30, derandomize=True)
settings.load_profile("isoloss")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real run tables beside the checkout; the test is skipped where it is absent."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the run tables in ../shared/data are not on this machine")
    return folder
