from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from isoloss.errors import FitError, InputError
from isoloss.fitting import fit
from isoloss.fitting.together import JointFit, _joint_law, fit_together
from isoloss.laws import Centre, find_law, working_law
from isoloss.planning import allocate
from isoloss.runs import Runs, optimizer_runs, read_runs

TRUTH = find_law("chinchilla").published_set("epoch-2024").parameters


def recipe(params_factor: float, tokens_factor: float, noise: float = 1e-4) -> Runs:
    """Runs of a recipe in which N and D count for more than in the reference."""
    params = np.repeat(np.geomspace(1e8, 4e9, 6), 6)
    tokens = np.tile(np.geomspace(2e9, 2e11, 6), 6)
    loss = find_law("chinchilla").predict(
        TRUTH, params=params_factor * params, tokens=tokens_factor * tokens
    )
    seed = int(1000 * params_factor * tokens_factor)
    loss = loss * np.exp(noise * np.random.default_rng(seed).standard_normal(loss.size))
    return read_runs(pl.DataFrame({"params": params, "tokens": tokens, "loss": loss}))


@pytest.fixture(scope="module")
def optimizers() -> dict[str, Runs]:
    return {name: optimizer_runs(name) for name in ("adamw", "muon")}


def test_sharing_nothing_is_fitting_apart(optimizers: dict[str, Runs]) -> None:
    joint = fit_together(optimizers, "chinchilla")
    apart = {name: fit(runs, "chinchilla") for name, runs in optimizers.items()}
    assert joint.objective_value == pytest.approx(
        sum(each.objective_value for each in apart.values()), rel=1e-9
    )
    for name, each in apart.items():
        place = {"params": 7e9, "tokens": 1.4e11}
        assert joint.surfaces[name].predict(**place) == pytest.approx(
            each.surface.predict(**place), rel=1e-5
        )


def test_shared_parameters_are_equal_and_cost_objective(optimizers: dict[str, Runs]) -> None:
    apart = fit_together(optimizers, "chinchilla")
    joint = fit_together(optimizers, "chinchilla", ("E", "alpha", "beta"), bootstrap=20)
    adamw, muon = (joint.surfaces[name].parameters for name in ("adamw", "muon"))
    for name in ("E", "alpha", "beta"):
        assert adamw[name] == pytest.approx(muon[name], rel=1e-12)
    assert adamw["B"] != pytest.approx(muon["B"], rel=0.01)
    assert joint.objective_value >= apart.objective_value
    assert joint.surfaces["muon"].replicates.shape == (5, 20)


def test_factors_on_both_inputs_are_own_coefficients_in_other_words(
    optimizers: dict[str, Runs],
) -> None:
    shared = fit_together(optimizers, "chinchilla", ("E", "alpha", "beta"))
    factors = fit_together(optimizers, "chinchilla", efficiency=("params", "tokens"))
    assert factors.objective_value == pytest.approx(shared.objective_value, rel=1e-8)
    muon = shared.surfaces["muon"].parameters
    for name, value in factors.surfaces["muon"].parameters.items():
        assert value == pytest.approx(muon[name], rel=1e-4)


@pytest.fixture(scope="module")
def three() -> JointFit:
    tables = {"plain": recipe(1, 1), "better": recipe(1.3, 2.0), "mixed": recipe(0.9, 1.5)}
    return fit_together(
        tables, "chinchilla", efficiency=("params", "tokens"), bootstrap=60, starts=24
    )


def test_known_efficiencies_are_recovered_with_their_intervals(three: JointFit) -> None:
    assert three.converged
    for name, factors in {
        "better": {"params": 1.3, "tokens": 2.0},
        "mixed": {"params": 0.9, "tokens": 1.5},
    }.items():
        for column, truth in factors.items():
            value, low, high = three.efficiency[name][column]
            assert value == pytest.approx(truth, rel=0.01)
            assert low < value < high
            assert high / low < 1.05


def test_the_surface_of_a_recipe_is_the_law_at_its_effective_sizes(three: JointFit) -> None:
    value = three.surfaces["better"].predict(params=7e9, tokens=1e12)
    truth = find_law("chinchilla").predict(TRUTH, params=1.3 * 7e9, tokens=2.0 * 1e12)
    assert value == pytest.approx(truth, rel=1e-3)
    assert allocate(three.surfaces["better"], 1e22).intervals["params"][0] > 0


def test_a_law_with_coordinates_of_its_own_can_share_too(optimizers: dict[str, Runs]) -> None:
    names = ("E", "k", "model_exponent", "data_exponent")
    joint = fit_together(optimizers, "coupled", names, starts=16)
    adamw, muon = (joint.surfaces[name].parameters for name in ("adamw", "muon"))
    assert adamw["alpha"] == pytest.approx(muon["alpha"], rel=1e-12)


def test_corpora_of_one_ladder_share_their_exponent(shared_data: object) -> None:
    corpora = ("c4_original", "rpj", "rw_original")
    tables = {
        name: read_runs(
            f"{shared_data}/gadre_overtraining.csv", where=f"recipe = '{name}' and params < 1e9"
        )
        for name in corpora
    }
    joint = fit_together(tables, "overtraining", ("eta",), starts=16)
    etas = {surface.parameters["eta"] for surface in joint.surfaces.values()}
    assert joint.n_runs == 31 + 32 + 32
    assert max(etas) - min(etas) < 1e-12
    # Gadre's three separate fits lie between 0.121 and 0.136.
    assert 0.12 < etas.pop() < 0.14


def test_mistakes_are_named(optimizers: dict[str, Runs]) -> None:
    with pytest.raises(InputError, match="one recipe cannot share: found 1; expected two or more"):
        fit_together({"adamw": optimizers["adamw"]}, "chinchilla")
    with pytest.raises(InputError, match="law chinchilla: unknown shared parameter: found gamma"):
        fit_together(optimizers, "chinchilla", ("gamma",))
    with pytest.raises(InputError, match="unknown efficiency of an input: found epochs"):
        fit_together(optimizers, "chinchilla", efficiency=("epochs",))
    with pytest.raises(InputError, match="efficiency factors need a law in which units"):
        fit_together(optimizers, "farseer", efficiency=("tokens",))
    small = {name: runs.take(range(3)) for name, runs in optimizers.items()}
    with pytest.raises(FitError, match="needs at least"):
        fit_together(small, "chinchilla")


def test_parameters_of_a_joint_law_go_by_its_own_names() -> None:
    """Its optima are reported so: they have no published parameters."""
    base = working_law(find_law("coupled"))
    joint, _ = _joint_law(base, ("a", "b"), ("E",), ())
    names = [entry.name for entry in joint.parameters]
    named = joint.named(np.arange(len(names), dtype=float), Centre((1e9, 1e10), 2.0))
    assert list(named) == names
    assert {"E_0", "share_0", "share_1"} <= set(names)
