"""Results on the demo's table, made once."""

from __future__ import annotations

import pytest

from isoloss.api import fit
from isoloss.fitting import Fit
from isoloss.forecasting import Backtest, Forecast, backtest, forecast
from isoloss.laws import CATALOGUE
from isoloss.planning import Allocation, allocate
from isoloss.runs import Runs, optimizer_runs

POINTS = [(7e9, 1.4e11), (7e10, 1.4e12)]
BUDGET = 1e22


@pytest.fixture(scope="session")
def runs() -> Runs:
    return optimizer_runs("adamw")


@pytest.fixture(scope="session")
def chinchilla(runs: Runs) -> Fit:
    return fit(runs, "chinchilla", bootstrap=40, starts=16)


@pytest.fixture(scope="session")
def bare(runs: Runs) -> Fit:
    """A fit without replicates."""
    return fit(runs, "overtraining", bootstrap=0, starts=16)


@pytest.fixture(scope="session")
def tested(runs: Runs) -> Backtest:
    return backtest(
        runs, "size = '1.2B'", laws=["chinchilla", "overtraining", "compute"], bootstrap=20
    )


@pytest.fixture(scope="session")
def predicted(runs: Runs) -> Forecast:
    laws = [CATALOGUE[name] for name in ("chinchilla", "overtraining", "compute")]
    return forecast(runs, POINTS, laws=laws, bootstrap=20)


@pytest.fixture(scope="session")
def split(chinchilla: Fit) -> Allocation:
    return allocate(chinchilla, BUDGET)
