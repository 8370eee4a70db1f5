"""A fit as a file: JSON that holds all it takes to predict, and what it says for people."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from isoloss.arrays import Array
from isoloss.errors import InputError
from isoloss.files import write_whole
from isoloss.fitting.growth import ErrorGrowth
from isoloss.fitting.hold import Hold
from isoloss.fitting.identifiability import Combination, Identifiability
from isoloss.fitting.objectives import OBJECTIVES, Objective, find_objective
from isoloss.fitting.problem import Status
from isoloss.fitting.result import Fit
from isoloss.fitting.rows import FittedRows
from isoloss.fitting.search import Optimum, Search
from isoloss.laws import CATALOGUE, Centre, Law, Surface, find_law, law_from_definition, working_law
from isoloss.laws.user import definition_of
from isoloss.notes import Note, Severity

_FORMAT = 2


def fit_to_document(fit: Fit) -> dict[str, Any]:
    """The JSON document of a fit: its report, and under "state" everything to restore it."""
    law = fit.law
    known = CATALOGUE.get(law.name) is law
    growth = fit.growth
    return {
        **fit.to_json(),
        "state": {
            "format": _FORMAT,
            "law": law.name if known else definition_of(law),
            "centre": {"inputs": list(fit.surface.centre.inputs), "loss": fit.surface.centre.loss},
            "working": fit.surface.working.tolist(),
            "replicates": fit.surface.replicates.T.tolist(),
            "lost_draws": list(fit.lost_draws),
            "rows": {
                "inputs": [column.tolist() for column in fit.rows.inputs],
                "measured": fit.rows.measured.tolist(),
                "weights": fit.rows.weights.tolist(),
            },
            "objective": _objective_text(fit.objective),
            "growth": vars(growth) if growth else None,
            "hold": _hold_to_json(fit.hold),
            "n_effective": fit.n_effective,
            "notes": [note.to_json() for note in fit.notes],
        },
    }


def save_fit(fit: Fit, path: str | Path) -> None:
    """Write a fit to a JSON file."""
    write_whole(path, json.dumps(fit_to_document(fit), indent=1, allow_nan=False) + "\n")


def load_fit(path: str | Path) -> Fit:
    """Read a fit that `save_fit` has written.

    Raises:
        InputError: the file cannot be read or holds no fit.
    """
    where = str(path)
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError("cannot read the fit", where=where, found=error.strerror or "") from None
    except (ValueError, RecursionError):
        raise InputError(
            "not a fit", where=where, expected="a JSON file written by isoloss fit -o"
        ) from None
    try:
        fit = _restore(document)
        with np.errstate(all="ignore"):
            if not np.isfinite(fit.mean_abs_rel_error):
                raise ValueError("rows that are nowhere near the law")
        return fit
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, InputError) as error:
        kind = "" if isinstance(error, InputError) else f"{type(error).__name__} "
        raise InputError(
            "not a fit, or a damaged one",
            where=where,
            found=f"{kind}{error}",
            expected="a JSON file written by isoloss fit -o",
        ) from None


def _objective_text(objective: Objective) -> str:
    if OBJECTIVES.get(objective.name) == objective or ":" in objective.name:
        return objective.name
    return f"{objective.name}:{objective.scale!r}"


def _law(stored: Any) -> Law:
    return find_law(stored) if isinstance(stored, str) else law_from_definition(stored)


def _restore(document: Mapping[str, Any]) -> Fit:
    state = document["state"]
    if state["format"] != _FORMAT:
        raise InputError(
            "written by another version",
            found=f"format {state['format']}",
            expected=f"format {_FORMAT}: fit again",
        )
    law = _law(state["law"])
    if len(state["rows"]["inputs"]) != len(law.inputs):
        raise ValueError("wrong number of parameters or inputs")
    rows = FittedRows(
        tuple(
            _positive(column) if entry.positive else _numbers(column)
            for entry, column in zip(law.inputs, state["rows"]["inputs"], strict=True)
        ),
        (_positive if law.target.positive else _numbers)(state["rows"]["measured"]),
        _numbers(state["rows"]["weights"]),
    )
    lengths = {column.shape for column in (*rows.inputs, rows.measured, rows.weights)}
    if len(lengths) != 1 or rows.measured.ndim != 1 or not np.any(rows.weights > 0):
        raise ValueError("rows that do not match")
    working = _numbers(state["working"])
    parameters = working_law(law).parameters
    count = len(parameters)
    middle = _positive([*state["centre"]["inputs"], state["centre"]["loss"]])
    if working.shape != (count,) or not len(rows.inputs) == middle.size - 1 == len(law.inputs):
        raise ValueError("wrong number of parameters or inputs")
    if any(
        not each.lower <= value <= each.upper
        for each, value in zip(parameters, working, strict=True)
    ):
        raise ValueError("parameters outside the law's domain")
    replicates = _numbers(state["replicates"]).reshape(-1, count).T
    centre = Centre(tuple(middle[:-1].tolist()), float(middle[-1]))
    n_bootstrap = _count(document["bootstrap"]["replicates"])
    known, provenance, growth = document["identifiability"], document["provenance"], state["growth"]
    search = document["search"]
    return Fit(
        surface=Surface(law, centre, working, replicates),
        rows=rows,
        objective=find_objective(state["objective"]),
        objective_value=_infinite_if_none(document["objective"]["value"]),
        status=Status(document["status"]),
        method=str(document["method"]),
        search=Search(
            int(search["starts"]),
            int(search["converged"]),
            int(search["reached_best"]),
            None if search["next_gap"] is None else float(search["next_gap"]),
            _infinite_if_none(search["gradient"]),
            tuple(_optimum(entry) for entry in search.get("others", ())),
        ),
        identifiability=Identifiability(
            float(known["condition"]),
            _names(known["weak"]),
            _names(known["at_bound"]),
            tuple(_combination(entry) for entry in known.get("combinations", ())),
        ),
        n_bootstrap=n_bootstrap,
        source=str(provenance["source"]),
        fingerprint=str(provenance["fingerprint"]),
        seed=int(provenance["seed"]),
        notes=tuple(
            Note(
                str(note["code"]),
                str(note["message"]),
                Severity(note["severity"]),
                dict(note["details"]),
            )
            for note in state["notes"]
        ),
        growth=growth and ErrorGrowth(float(growth["per_reach"]), int(growth["n_points"])),
        resample=str(document["bootstrap"].get("resample", "pairs")),
        hold=_hold(state.get("hold")),
        n_effective=float(state.get("n_effective", 0.0)),
        lost_draws=_lost(state.get("lost_draws", ()), replicates.shape[1], n_bootstrap),
    )


def _count(value: Any) -> int:
    count = int(value)
    if not 0 <= count < 2**63:
        raise ValueError("no usable number of replicates")
    return count


def _lost(values: Any, kept: int, drawn: int) -> tuple[int, ...]:
    """Draws without a replicate; empty in files that do not say which they were."""
    lost = tuple(sorted(map(int, values)))
    if lost and (
        len(set(lost)) < len(lost)
        or len(lost) + kept != drawn
        or not 0 <= lost[0] <= lost[-1] < drawn
    ):
        raise ValueError("draws that do not match the replicates")
    return lost


def _infinite_if_none(value: Any) -> float:
    return math.inf if value is None else float(value)


def _hold_to_json(hold: Hold | None) -> dict[str, list[float]] | None:
    if hold is None:
        return None
    return {"typical": hold.typical.tolist(), "strength": hold.strength.tolist()}


def _hold(entry: Any) -> Hold | None:
    if entry is None:
        return None
    typical, strength = (np.array(entry[name], dtype=float) for name in ("typical", "strength"))
    return Hold(typical, strength)


def _optimum(entry: Any) -> Optimum:
    values = {str(name): float(value) for name, value in entry["parameters"].items()}
    return Optimum(int(entry["starts"]), float(entry["excess"]), values)


def _combination(entry: Any) -> Combination:
    names = _names(entry["parameters"])
    low, high = (
        {str(name): float(value) for name, value in entry[side].items()} for side in ("low", "high")
    )
    if not names or not low.keys() == high.keys() >= set(names):
        raise ValueError("a combination without its parameters")
    return Combination(names, low, high, float(entry["loss_change"]))


def _names(values: Any) -> tuple[str, ...]:
    if not isinstance(values, list):
        raise TypeError("not a list of names")
    return tuple(map(str, values))


def _numbers(values: Any) -> Array:
    array = np.asarray(values, dtype=np.float64)
    if not np.all(np.isfinite(array)):
        raise ValueError("a stored number is not finite")
    return array


def _positive(values: Any) -> Array:
    array = _numbers(values)
    if not np.all(array > 0):
        raise ValueError("a stored number is not positive")
    return array
