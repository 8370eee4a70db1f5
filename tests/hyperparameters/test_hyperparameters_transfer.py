"""Transfer across widths, and nanoLM's series."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

import isoloss
from isoloss.errors import FitError, InputError
from isoloss.hyperparameters import check_transfer, fit_width_series
from isoloss.runs import Runs

# The released data of nanoLM, arXiv:2304.06875: N in millions.
SMALL = {
    8.53: 3.9181,
    21.56: 3.6054,
    39.09: 3.4431,
    61.12: 3.3542,
    87.65: 3.2902,
    118.68: 3.2478,
    154.21: 3.224,
}
LARGE = (194.24, 676.48, 1446.72)


def widths(drift: float, noise: float = 0.0005, n_widths: int = 5) -> Runs:
    generator = np.random.default_rng(0)
    rows = []
    for width in 128.0 * 2 ** np.arange(n_widths):
        for rate in np.geomspace(1e-3, 3e-2, 13):
            away = np.log(rate / (6e-3 * (width / 128) ** drift))
            loss = 2 + 100 / width + 0.06 * away**2 + noise * generator.standard_normal()
            rows.append({"width": width, "learning_rate": rate, "loss": loss})
    return Runs(pl.DataFrame(rows))


def test_an_optimum_that_stays_put() -> None:
    found = check_transfer(widths(0.0))
    assert found.stays_put
    assert found.transfers
    assert found.slope == pytest.approx(0.0, abs=0.05)
    assert found.verdict.startswith("the best learning_rate stays put over 16 times the width")


def test_an_optimum_that_drifts_costs_loss() -> None:
    found = check_transfer(widths(-0.5))
    assert found.slope == pytest.approx(-0.5, abs=0.05)
    assert not found.stays_put
    assert not found.transfers
    assert found.verdict.startswith("the best learning_rate moves by a factor of 0.2")
    # The cost of the narrowest model's rate: 0.06 ln(4)^2 of a loss near 2.06.
    assert found.costs[-1] == pytest.approx(0.06 * np.log(4) ** 2 / 2.05, rel=0.2)


def test_runs_that_differ_in_more_are_warned_of() -> None:
    runs = widths(0.0)
    assert check_transfer(runs).notes == ()
    tokens = pl.Series("tokens", [1e9, 2e9] * runs.frame.height)[: runs.frame.height]
    (note,) = check_transfer(Runs(runs.frame.with_columns(tokens))).notes
    assert note.message == (
        "runs of one width also differ in tokens: keep one value of each by --where"
    )
    with pytest.raises(InputError, match="not a sweep over widths: found learning_rate, loss"):
        check_transfer(runs, along="loss")


def test_two_widths_are_too_few() -> None:
    with pytest.raises(FitError, match="2 of 2 values of width have an optimum, 3 are needed"):
        check_transfer(widths(0.0, n_widths=2))


def test_nanolm_series_and_its_predictions() -> None:
    """Item 14 of the reference: the fit and what it predicts for the large three."""
    fit = fit_width_series(SMALL)
    assert fit.parameters == pytest.approx({"a": 2.46943, "b": 0.42311, "c": 2.9233}, rel=1e-5)
    predicted = isoloss.predict(fit, [{"params": size} for size in LARGE]).predictions
    assert [round(each.loss, 4) for each in predicted] == [3.1890, 3.0800, 3.0369]


def test_a_series_of_three_is_too_short() -> None:
    with pytest.raises(InputError, match="too few sizes: found 3; expected four or more"):
        fit_width_series({1.0: 3.0, 2.0: 2.9, 3.0: 2.8})
    with pytest.raises(InputError, match="not a size or loss: expected positive numbers"):
        fit_width_series({-1.0: 3.0, 2.0: 2.9, 3.0: 2.8, 4.0: 2.7})
