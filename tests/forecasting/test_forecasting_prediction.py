"""Predictions by one law: the value, its interval, and when there is none."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from forecasting_tables import EPOCH, GADRE, own_law, simulated, table
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t as student

from isoloss.errors import FitError, InputError
from isoloss.fitting import Fit, Status, fit
from isoloss.forecasting import (
    Deviations,
    Region,
    calibrate,
    departures,
    predict,
    region_of_fit,
)
from isoloss.forecasting.prediction import deviations_of_law, points_as_columns, unsound
from isoloss.laws import find_law
from isoloss.notes import Severity
from isoloss.runs import Runs, read_runs

RUNS = simulated(EPOCH, seed=3)
NEAR, FAR = (8e8, 3.2e10), (8e9, 3.2e11)


def calibrated(runs: Runs, law: str = "chinchilla", bootstrap: int = 60) -> Fit:
    return calibrate(fit(runs, law, bootstrap=bootstrap, starts=8), runs)


@pytest.fixture(scope="module")
def fitted() -> Fit:
    return calibrated(RUNS, bootstrap=400)


def test_the_value_is_the_fitted_surface(fitted: Fit) -> None:
    for prediction in predict(fitted, [NEAR, FAR]).predictions:
        value = fitted.surface.predict(params=prediction.params, tokens=prediction.tokens)
        assert prediction.loss == pytest.approx(float(value), rel=1e-12)


def test_the_interval_is_made_of_parameters_noise_and_extrapolation(fitted: Fit) -> None:
    (prediction,) = predict(fitted, [FAR], level=0.8).predictions
    parts = prediction.deviations
    assert parts.noise == fitted.noise
    assert fitted.growth is not None
    # Ten times the largest size, with its D/N inside that of the runs: C is the farthest.
    largest = float(np.max(RUNS.flops))
    reach = math.log(6 * FAR[0] * FAR[1] / largest)
    assert parts.extrapolation == pytest.approx(fitted.growth.per_reach * reach)
    logs = np.log(fitted.surface.predict_replicates(params=[FAR[0]], tokens=[FAR[1]]))
    assert parts.parameters == pytest.approx(float(np.std(logs)), rel=0.4)
    width = student.ppf(0.9, 20 - 5) * math.sqrt(
        parts.parameters**2 + parts.noise**2 + parts.extrapolation**2
    )
    assert prediction.upper == pytest.approx(prediction.loss * math.exp(width), rel=1e-9)
    assert prediction.lower == pytest.approx(prediction.loss * math.exp(-width), rel=1e-9)


def test_inside_the_data_nothing_is_added_for_extrapolation(fitted: Fit) -> None:
    (prediction,) = predict(fitted, [(4e8, 8e9)]).predictions
    assert prediction.deviations.extrapolation == 0.0
    assert max(prediction.extrapolation.values()) <= 1


@given(st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_intervals_widen_with_the_level(fitted: Fit, one: float, other: float) -> None:
    low, high = sorted((one, other))
    narrow, wide = (predict(fitted, [FAR], level=level).predictions[0] for level in (low, high))
    assert wide.lower <= narrow.lower <= narrow.loss <= narrow.upper <= wide.upper
    assert narrow.loss == wide.loss
    assert narrow.level == low


def test_intervals_widen_away_from_the_data(fitted: Fit) -> None:
    points = [(N, 40 * N) for N in (8e8, 3e9, 1e10, 1e11)]
    widths = [p.upper / p.lower for p in predict(fitted, points).predictions]
    assert widths == sorted(widths)


@pytest.mark.parametrize("law", ["chinchilla", "coupled", "overtraining", "kaplan", "compute"])
def test_predictions_scale_with_the_unit_of_the_loss(law: str) -> None:
    """Nats per token or bits per byte: everything is multiplied by the same number."""
    unit = 1 / (math.log(2) * 4.2)
    other = Runs(RUNS.frame.with_columns(loss=pl.col("loss") * unit))
    for here, there in zip(
        predict(calibrated(RUNS, law), [NEAR, FAR]).predictions,
        predict(calibrated(other, law), [NEAR, FAR]).predictions,
        strict=True,
    ):
        for name in ("loss", "lower", "upper"):
            assert getattr(there, name) == pytest.approx(unit * getattr(here, name), rel=1e-6)


def test_extrapolation_tells_multiples_of_the_largest_run(fitted: Fit) -> None:
    (prediction,) = predict(fitted, [FAR]).predictions
    assert prediction.extrapolation == pytest.approx(
        {
            "params": FAR[0] / 8e8,
            "tokens": FAR[1] / float(np.max(RUNS.tokens)),
            "flops": 6 * FAR[0] * FAR[1] / float(np.max(RUNS.flops)),
        }
    )


def test_runs_of_weight_zero_are_outside_the_region() -> None:
    weights = np.where(RUNS.params > 5e8, 0.0, 1.0)
    part = fit(RUNS, "overtraining", weights=weights, starts=8)
    assert region_of_fit(part) == Region.of_runs(RUNS.take(weights > 0))
    (prediction,) = predict(part, [NEAR]).predictions
    assert prediction.extrapolation["params"] == pytest.approx(2.0)


def test_json_is_what_other_programs_rely_on(fitted: Fit) -> None:
    document = predict(fitted, [NEAR, FAR]).to_json()
    assert {"predictions", "weights"} <= document.keys()
    assert document["weights"] == {"chinchilla": 1.0}
    for entry in document["predictions"]:
        promised = {"params", "tokens", "loss", "lower", "upper", "level", "extrapolation"}
        assert entry.keys() == promised | {"deviations"}
        assert entry["extrapolation"].keys() == {"params", "tokens", "flops"}
    assert json.loads(json.dumps(document, allow_nan=False)) == document


def test_json_is_a_copy(fitted: Fit) -> None:
    forecast = predict(fitted, [NEAR])
    document = forecast.to_json()
    document["predictions"][0]["deviations"]["noise"] = 9.0
    document["predictions"][0]["extrapolation"]["params"] = 9.0
    assert forecast.to_json()["predictions"][0]["deviations"]["noise"] == fitted.noise


def test_a_frame_has_one_row_a_point(fitted: Fit) -> None:
    frame = predict(fitted, [NEAR, FAR]).to_frame()
    assert frame.columns == ["params", "tokens", "loss", "lower", "upper", "level"]
    assert frame["params"].to_list() == [NEAR[0], FAR[0]]


def test_missing_parts_of_the_interval_are_said() -> None:
    bare = predict(fit(RUNS, "chinchilla", starts=8), [FAR])
    notes = {note.code: note for note in bare.notes}
    assert notes["no-replicates"].severity is Severity.WARNING
    assert notes["no-replicates"].message == (
        "the fit has no bootstrap replicates: the interval leaves out the uncertainty of the "
        "parameters; fit again with --bootstrap 200"
    )
    assert notes["no-backtest"].message == (
        "the table is too small for a backtest: how errors grow beyond the data is a guess of 2 % "
        "for each factor of 2.7"
    )
    deviations = bare.predictions[0].deviations
    assert deviations.parameters == 0.0
    assert deviations.extrapolation == pytest.approx(
        0.02 * math.log(6 * FAR[0] * FAR[1] / float(np.max(RUNS.flops)))
    )


def test_a_law_that_reads_no_cost_says_why_there_is_no_backtest() -> None:
    law = find_law("downstream")
    loss = np.linspace(2.2, 3.4, 12)
    error = law.predict(law.published_set("c4-17").parameters, loss=loss)
    runs = Runs(pl.DataFrame({"loss": loss, "error": error}))
    notes = {note.code: note for note in predict(fit(runs, law, starts=8), [{"loss": 2.0}]).notes}
    assert notes["no-backtest"].message == (
        "no backtest: the law reads nothing that tells cheap runs from dear ones: how errors grow "
        "beyond the data is a guess of 2 % for each factor of 2.7"
    )


def test_a_fit_that_did_not_converge_is_refused(fitted: Fit) -> None:
    message = r"^the fit of law chinchilla did not converge: stuck away from an optimum"
    with pytest.raises(FitError, match=message):
        predict(replace(fitted, status=Status.STALLED), [NEAR])


def test_replicates_that_scatter_leave_the_loss_undetermined(fitted: Fit) -> None:
    kept = fitted.surface.replicates.copy()
    kept[:, ::4] = np.nan
    scattered = replace(fitted, surface=replace(fitted.surface, replicates=kept))
    with pytest.raises(FitError) as caught:
        predict(scattered, [NEAR])
    assert str(caught.value) == (
        "law chinchilla cannot be believed at N=8e+08, D=3.2e+10: the data do not determine its "
        "loss there. Use forecast, or a law with fewer parameters"
    )


@pytest.mark.parametrize(
    ("deviation", "refused"), [(0.29, False), (0.32, True), (0.49, True), (math.inf, True)]
)
def test_a_90_percent_interval_beyond_half_the_loss_is_unbounded(
    fitted: Fit, deviation: float, refused: bool
) -> None:
    region = region_of_fit(fitted)
    reasons = unsound(
        fitted,
        region,
        dict(zip(("params", "tokens"), NEAR, strict=True)),
        Deviations(deviation, 0.0, 0.0),
    )
    assert reasons == (["the data do not determine its loss there"] if refused else [])
    assert (
        unsound(
            fitted,
            region,
            dict(zip(("params", "tokens"), NEAR, strict=True)),
            Deviations(0.0, 0.0, deviation),
        )
        == reasons
    )
    # Noise of single runs is no reason to doubt a law.
    assert (
        unsound(
            fitted,
            region,
            dict(zip(("params", "tokens"), NEAR, strict=True)),
            Deviations(0.0, deviation, 0.0),
        )
        == []
    )


def farseer_on_gadre(shared_data: Path, recipe: str) -> Fit:
    path = shared_data / "gadre_overtraining.csv"
    return calibrated(read_runs(path, where=f"recipe = '{recipe}' and params < 1e9"), "farseer")


@pytest.mark.parametrize("recipe", ["c4_original", "rpj"])
def test_farseer_on_one_sparse_ladder_is_refused(shared_data: Path, recipe: str) -> None:
    """Four sizes below 0.5B cannot determine nine coefficients for a 6.9B model."""
    with pytest.raises(FitError) as caught:
        predict(farseer_on_gadre(shared_data, recipe), [(6.9e9, 1.38e11)])
    opening, _, reasons = str(caught.value).partition(": ")
    assert opening == "law farseer cannot be believed at N=6.9e+09, D=1.38e+11"
    assert reasons.startswith("its loss rises with params on the way")
    assert reasons.endswith(". Use forecast, or a law with fewer parameters")


def test_farseer_on_a_sparse_ladder_where_it_falls_is_not_silently_sure(shared_data: Path) -> None:
    """Here the law falls on, so that it may be predicted from, but its replicates scatter."""
    sparse = farseer_on_gadre(shared_data, "rw_original")
    region = region_of_fit(sparse)
    point = {"params": 6.9e9, "tokens": 1.38e11}
    assert departures(sparse.surface, region, **point) == []
    (deviations,) = deviations_of_law(sparse, region, points_as_columns([point]))
    # An interval of -18 to +22 % at the very least; the width varies with the replicates.
    assert deviations.total > 0.12


def test_one_unbelievable_point_is_named() -> None:
    sparse = fit(simulated(GADRE, 0, sizes=2), "compute", starts=8)
    one_size = replace(
        sparse,
        rows=replace(
            sparse.rows, weights=np.where(sparse.rows.inputs[0] == 1e8, sparse.rows.weights, 0.0)
        ),
    )
    assert predict(one_size, [(1e8, 1e9)]).predictions
    with pytest.raises(FitError) as caught:
        predict(one_size, [(1e8, 1e9), (7e9, 1e9)])
    assert str(caught.value).startswith(
        "law compute cannot be believed at N=7e+09, D=1e+09: all runs have the same params, and "
        "tell nothing of another."
    )


def test_a_law_of_other_inputs_wants_each_by_name() -> None:
    law = own_law("E + A/params**alpha", "E A alpha", ("params",))
    runs = table([1e8, 2e8, 4e8, 8e8, 1.6e9], 2e10, [3.5, 3.2, 3.0, 2.85, 2.75])
    fitted = fit(runs, law, starts=8)
    with pytest.raises(InputError, match=r"expected all inputs of the law: params=\.\.\.$"):
        predict(fitted, [NEAR])
    document = predict(fitted, [{"params": 3.2e9}]).to_json()["predictions"][0]
    assert document["params"] == 3.2e9
    assert document["extrapolation"] == {"params": 2.0}
    assert document["lower"] < document["loss"] < 2.75


@pytest.mark.parametrize(
    "point",
    [
        (0.0, 1e9),
        (-1e9, 1e9),
        (math.nan, 1e9),
        (1e9, math.inf),
        (1e9,),
        (1e9, 1e9, 1e9),
        1e9,
        ("7B", "140B"),
        "7B:140B",
        None,
        (1e9, None),
    ],
)
def test_unusable_points_are_refused(fitted: Fit, point: Any) -> None:
    with pytest.raises(InputError) as caught:
        predict(fitted, [NEAR, point])
    assert str(caught.value) == (
        f"--at: not a point: found {point!r}; expected pairs of parameters and tokens, both "
        "positive numbers"
    )


def test_a_lone_point_instead_of_a_list_is_refused(fitted: Fit) -> None:
    lone: Any = (7e9, 1.4e11)
    with pytest.raises(InputError, match=r"^--at: not a point: found 7000000000.0; expected pairs"):
        predict(fitted, lone)


@pytest.mark.parametrize("kind", ["float32", "float64", "int64"])
def test_points_may_come_as_an_array(fitted: Fit, kind: str) -> None:
    points: Any = np.array([(8e8, 3.2e10), (2.0**33, 2.0**38)], dtype=kind)
    document = predict(fitted, points).to_json()
    assert document["predictions"][1]["params"] == 2.0**33
    assert json.loads(json.dumps(document)) == document


def test_no_point_is_an_error(fitted: Fit) -> None:
    message = r"^--at: no point to predict: expected N:D, such as 70B:1\.4T$"
    with pytest.raises(InputError, match=message):
        predict(fitted, [])


@pytest.mark.parametrize("level", [0.0, 1.0, -0.1, 90.0, math.nan])
def test_levels_are_probabilities(fitted: Fit, level: float) -> None:
    with pytest.raises(InputError) as caught:
        predict(fitted, [NEAR], level=level)
    assert str(caught.value) == (
        f"--level: not a level: found {level:g}; expected between 0 and 1, as 0.9"
    )
