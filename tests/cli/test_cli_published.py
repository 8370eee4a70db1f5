"""Published results, reached by the command line alone, from the tables in ../shared/data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cli_program import document

pytest_plugins = ("cli_fixtures",)

# Li et al. 2025, arXiv:2506.10972: the coefficients of the authors' notebook, for the runs of
# 20 sizes between 2e8 and 6e9.
NOTEBOOK = {
    "a1": -1.665630816,
    "b1": 3.133347198805445,
    "alpha": 0.0459,
    "a2": 230.73437075885855,
    "b2": -1.544209554,
    "beta": -0.1729,
    "a3": -0.062465473,
    "b3": 0.1284880679442551,
    "gamma": 0.13,
}
TWENTY_SIZES = "not duplicate_row and params > 2e8 and params < 6e9"

# The six runs beyond that grid whose errors the paper averages: N, D and loss.
PAPER_SIX = (
    (2.273495040e9, 4.305e11, 0.460058),
    (3.816352512e9, 4.532e11, 0.446075),
    (6.369572352e9, 3.044e11, 0.440658),
    (2.512e10, 1.256e11, 0.438146),
    (5.354047488e9, 2.153e11, 0.449381),
    (5.354047488e9, 4.305e11, 0.439064),
)


@pytest.fixture(scope="module")
def farseer_file(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    saved = tmp_path_factory.mktemp("farseer") / "fit.json"
    document(
        *("fit", shared_data / "farseer_grid.csv", "--where", TWENTY_SIZES),
        *("--law", "farseer", "--method", "staged", "--bootstrap", "0", "-o", saved),
    )
    return saved


@pytest.fixture(scope="module")
def chinchilla_file(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    saved = tmp_path_factory.mktemp("chinchilla") / "fit.json"
    document(
        *("fit", shared_data / "chinchilla_fig4_epoch.csv", "--where", "not excluded_by_epoch"),
        *("--law", "chinchilla", "--bootstrap", "50", "-o", saved),
    )
    return saved


def content(path: Path) -> Any:
    return json.loads(path.read_text())


def test_the_staged_fit_gives_the_notebooks_coefficients(farseer_file: Path) -> None:
    fitted = content(farseer_file)
    assert fitted["method"] == "staged"
    # The notebook's file was written with some parameters cut after nine digits.
    assert fitted["parameters"] == pytest.approx(NOTEBOOK, rel=5e-6)


def test_a_saved_staged_fit_predicts_the_papers_six_runs(farseer_file: Path) -> None:
    points = [f"{params!r}:{tokens!r}" for params, tokens, _ in PAPER_SIX]
    ahead = document("predict", farseer_file, "--at", *points)["predictions"]
    errors = [
        abs(point["loss"] / measured - 1)
        for point, (*_, measured) in zip(ahead, PAPER_SIX, strict=True)
    ]
    # Section 5 of the paper: 0.47 % at 25.1B, 0.26 to 0.72 % at the others, 0.50 % on average.
    assert errors[3] == pytest.approx(0.00473, abs=5e-5)
    assert min(errors) == pytest.approx(0.0026, abs=1e-4)
    assert max(errors) == pytest.approx(0.0072, abs=1e-4)
    assert sum(errors) / 6 == pytest.approx(0.00501, abs=2e-5)


def test_chinchilla_is_fitted_to_its_optimum(chinchilla_file: Path) -> None:
    fitted = content(chinchilla_file)
    assert fitted["n_runs"] == 240
    assert fitted["converged"] is True
    assert fitted["objective"]["value"] <= 1.0182741e-3
    # Besiroglu et al. 2024, arXiv:2404.10102: these values and their standard errors.
    known = {
        "E": (1.8172, 0.03),
        "A": (482.01, 124.58),
        "B": (2085.43, 1293.23),
        "alpha": (0.3478, 0.02),
        "beta": (0.3658, 0.02),
    }
    for name, (value, error) in known.items():
        assert fitted["parameters"][name] == pytest.approx(value, abs=0.2 * error)
        low, high = fitted["intervals"][name]
        assert low < value < high


def test_predictions_from_a_saved_chinchilla_fit(chinchilla_file: Path) -> None:
    parameters = content(chinchilla_file)["parameters"]
    (point,) = document("predict", chinchilla_file, "--at", "70B:1.4T")["predictions"]
    E, A, B, alpha, beta = (parameters[name] for name in ("E", "A", "B", "alpha", "beta"))
    assert point["loss"] == pytest.approx(E + A / 70e9**alpha + B / 1.4e12**beta, rel=1e-9)
    # The epoch-2024 coefficients give 1.974 for Chinchilla itself.
    assert point["loss"] == pytest.approx(1.974, abs=0.005)
    assert point["lower"] < 1.974 < point["upper"]


@pytest.mark.parametrize(
    ("coefficients", "params"),
    # Closed form of Hoffmann et al. 2022, equation 4, at their budget of 5.76e23 FLOPs.
    [("epoch-2024", 72.25e9), ("hoffmann-tex", 40.3e9), ("hoffmann-printed", 32.0e9)],
)
def test_allocations_by_published_coefficients(coefficients: str, params: float) -> None:
    split = document("allocate", f"chinchilla:{coefficients}", "--flops", "5.76e23")
    assert split["params"] == pytest.approx(params, rel=0.01)
    assert 6 * split["params"] * split["tokens"] == pytest.approx(5.76e23)
    assert split["lower"] == split["loss"] == split["upper"]


def test_the_real_tables_are_judged(shared_data: Path) -> None:
    grid = document("data", "check", shared_data / "farseer_grid.csv")
    assert (grid["usable"], grid["n_runs"], grid["n_sizes"]) == (True, 400, 25)
    (problem,) = grid["problems"]
    assert problem["code"] == "duplicates"
    assert len(problem["rows"]) == 4
