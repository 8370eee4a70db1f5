from __future__ import annotations

import numpy as np
import pytest

from isoloss.errors import InputError
from isoloss.fitting import fit
from isoloss.fitting.covariance import delta_covariance
from isoloss.fitting.posterior import posterior
from isoloss.runs import read_runs

pytest.importorskip("emcee", reason="the extra `bayes` is not installed")
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")


def test_the_posterior_agrees_with_the_delta_method_on_a_well_determined_law(
    shared_data: object,
) -> None:
    runs = read_runs(f"{shared_data}/farseer_grid.csv", where="not duplicate_row and params > 2e8")
    fitted = fit(runs, "chinchilla", objective="squared-log")
    samples = posterior(fitted, draws=400, warm_up=400, seed=1)
    errors = delta_covariance(fitted).standard_errors()
    for name in ("E", "alpha", "beta"):
        values = samples.posterior[name].to_numpy()
        assert values.shape == (20, 400)
        assert np.mean(values) == pytest.approx(fitted.parameters[name], abs=errors[name])
        # The sandwich allows for errors that are not alike; the likelihood assumes they are.
        assert np.std(values) == pytest.approx(errors[name], rel=0.5)
    assert samples.sample_stats["lp"].shape == (20, 400)


def test_the_same_seed_gives_the_same_samples() -> None:
    from isoloss.runs import optimizer_runs

    fitted = fit(optimizer_runs("adamw"), "overtraining")
    first, second = (posterior(fitted, draws=20, warm_up=20, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first.posterior["eta"], second.posterior["eta"])
    with pytest.raises(InputError, match="too few draws or walkers: found 5 draws, 3 walkers"):
        posterior(fitted, draws=5, walkers=3)
