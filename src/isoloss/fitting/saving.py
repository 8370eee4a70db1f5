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
from isoloss.fitting.identifiability import Identifiability
from isoloss.fitting.objectives import find_objective
from isoloss.fitting.result import Fit, FittedRows, Search
from isoloss.fitting.solver import Status
from isoloss.laws import CATALOGUE, Centre, Law, Surface, find_law, law_from_definition, working_law
from isoloss.laws.user import definition_of
from isoloss.notes import Note, Severity

_FORMAT = 1


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
            "rows": {
                "inputs": [column.tolist() for column in fit.rows.inputs],
                "loss": fit.rows.loss.tolist(),
                "weights": fit.rows.weights.tolist(),
            },
            "objective": _objective_text(fit),
            "growth": vars(growth) if growth else None,
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
    except ValueError:
        raise InputError(
            "not a fit", where=where, expected="a JSON file written by isoloss fit -o"
        ) from None
    try:
        return _restore(document, where)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            "not a fit, or a damaged one",
            where=where,
            found=f"{type(error).__name__} {error}",
            expected="a JSON file written by isoloss fit -o",
        ) from None


def _objective_text(fit: Fit) -> str:
    robust = fit.objective.name in ("huber", "soft-l1")
    return f"{fit.objective.name}:{fit.objective.scale!r}" if robust else fit.objective.name


def _law(stored: Any, where: str) -> Law:
    return find_law(stored) if isinstance(stored, str) else law_from_definition(stored, where=where)


def _restore(document: Mapping[str, Any], where: str) -> Fit:
    state = document["state"]
    if state["format"] != _FORMAT:
        raise InputError(
            "the fit was written by another version",
            where=where,
            found=f"format {state['format']}",
            expected=f"format {_FORMAT}: fit again",
        )
    law = _law(state["law"], where)
    rows = FittedRows(
        tuple(_finite(column) for column in state["rows"]["inputs"]),
        _finite(state["rows"]["loss"]),
        _finite(state["rows"]["weights"]),
    )
    working = _finite(state["working"])
    count = len(working_law(law).parameters)
    if working.shape != (count,) or len(rows.inputs) != len(law.inputs):
        raise ValueError("wrong number of parameters or inputs")
    replicates = _finite(state["replicates"]).reshape(-1, count).T
    centre = Centre(tuple(map(float, state["centre"]["inputs"])), float(state["centre"]["loss"]))
    known, provenance = document["identifiability"], document["provenance"]
    return Fit(
        surface=Surface(law, centre, working, replicates),
        rows=rows,
        objective=find_objective(state["objective"]),
        objective_value=float(document["objective"]["value"]),
        status=Status(document["status"]),
        method=str(document["method"]),
        search=Search(**document["search"]),
        identifiability=Identifiability(
            float(known["condition"]), tuple(known["weak"]), tuple(known["at_bound"])
        ),
        n_bootstrap=int(document["bootstrap"]["replicates"]),
        source=str(provenance["source"]),
        fingerprint=str(provenance["fingerprint"]),
        seed=int(provenance["seed"]),
        notes=tuple(
            Note(note["code"], note["message"], Severity(note["severity"]), note["details"])
            for note in state["notes"]
        ),
        growth=ErrorGrowth(**state["growth"]) if state["growth"] else None,
    )


def _finite(values: Any) -> Array:
    array = np.asarray(values, dtype=np.float64)
    if array.size and not math.isfinite(float(np.sum(array))):
        raise ValueError("a stored number is not finite")
    return array
