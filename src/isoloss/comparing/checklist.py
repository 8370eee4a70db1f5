"""The reproducibility checklist of (Mis)Fitting, filled in from a fit.

Of 51 papers on scaling laws most left out something that others need to repeat the fit (Li et al.
2025, arXiv:2502.18969). What neither the fit nor its table says stays open, to be filled in by
whoever knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
import polars as pl

from isoloss.arrays import Array
from isoloss.comparing.perturbations import objective_text, size_groups
from isoloss.errors import InputError
from isoloss.fitting import MAX_ITERATIONS, PROMISE_TOLERANCE, Fit
from isoloss.quantities import format_quantity
from isoloss.runs import Runs

GROUPS = ("form", "training", "data", "fitting")

_COUNTS = ("params_total", "params_nonembedding")
_RECIPE = ("recipe", "dataset", "data_set", "corpus")
_HYPERPARAMETERS = (
    "learning_rate",
    "lr",
    "batch_tokens",
    "batch_size",
    "weight_decay",
    "warmup_steps",
    "schedule",
    "optimizer",
)
# Codes of the notes on rows that are not there.
_LEAVING_OUT = ("filtered", "duplicates")
# Texts listed before the rest is only counted.
_LISTED = 4


@dataclass(frozen=True)
class ChecklistItem:
    """One thing that others need to repeat a fit.

    Attributes:
        group: one of `GROUPS`.
        question: what has to be stated.
        answer: the statement; empty where neither fit nor table holds it.
    """

    group: str
    question: str
    answer: str

    @property
    def stated(self) -> bool:
        """Whether there is an answer."""
        return bool(self.answer)

    def to_json(self) -> dict[str, str | None]:
        """The item as one JSON object, an open answer as null."""
        return {"group": self.group, "question": self.question, "answer": self.answer or None}


def reproducibility_checklist(
    fit: Fit, runs: Runs, *, loss_unit: str = ""
) -> tuple[ChecklistItem, ...]:
    """Everything that it takes to repeat a fit, as far as fit and table tell.

    Args:
        fit: the fit.
        runs: the table that it was made from.
        loss_unit: unit of the loss, such as "nats/token".

    Raises:
        InputError: the fit was made from other runs.
    """
    if fit.fingerprint != runs.fingerprint:
        raise InputError(
            "the fit was made from other runs",
            where=runs.source,
            found=f"fingerprint {runs.fingerprint}",
            expected=f"{fit.fingerprint}, of {fit.source}",
        )
    return (*law_items(fit), *data_items(runs, loss_unit=loss_unit), *fitting_items(fit))


def law_items(fit: Fit) -> tuple[ChecklistItem, ...]:
    """What is fitted."""
    law = fit.law
    variables = "; ".join(f"{entry.name} ({entry.unit})" for entry in law.inputs)
    return tuple(
        ChecklistItem("form", question, answer)
        for question, answer in (
            ("law", f"{law.name}: {law.equation}"),
            ("source of the law", law.source),
            ("variables", variables),
            ("fitted parameters", ", ".join(law.parameter_names)),
        )
    )


def data_items(runs: Runs, *, loss_unit: str = "") -> tuple[ChecklistItem, ...]:
    """Which runs there are, how they were made, measured and chosen."""
    training = (
        ("model sizes", _sizes(runs)),
        ("N counts", _count_of_params(runs)),
        ("D, tokens", f"{_span(runs.tokens)}; {_span(runs.tokens / runs.params)} a parameter"),
        ("C, training FLOPs", f"6 N D, {_span(runs.flops)}"),
        ("data set or recipe", _texts(runs, _RECIPE)),
        ("hyper-parameters", _numbers(runs, _HYPERPARAMETERS)),
    )
    data = (
        ("table", f"{runs.source}, fingerprint {runs.fingerprint}"),
        ("rows used", f"{len(runs)}"),
        ("rows left out, and why", _left_out(runs)),
        ("loss", _loss(runs, loss_unit)),
        ("checkpoints", "one row a finished run" if _one_row_a_run(runs) else ""),
    )
    return (
        *(ChecklistItem("training", question, answer) for question, answer in training),
        *(ChecklistItem("data", question, answer) for question, answer in data),
    )


def fitting_items(fit: Fit) -> tuple[ChecklistItem, ...]:
    """How the parameters were found and how far they are to be trusted."""
    search = fit.search
    if fit.method == "staged":
        algorithm = "the staged method of the law's authors, which minimises no objective"
        starts = "none: the stages need no start"
    else:
        algorithm = (
            "damped Newton with exact derivatives, until a step promises less than "
            f"{PROMISE_TOLERANCE:g} of the objective, {MAX_ITERATIONS} iterations at most"
        )
        starts = (
            f"{search.starts} at random; {search.converged} converged, {search.reached_best} at "
            "the best optimum"
        )
    unused = int(np.sum(fit.rows.weights == 0))
    weights = "all one" if np.all(fit.rows.weights == 1) else "given by the table"
    kept = f"{fit.n_replicates} of {fit.n_bootstrap} converged, drawn by {fit.resample}"
    growth = fit.growth
    held = () if fit.hold is None else (("held parameters", "near the law's typical values"),)
    answers = (
        ("objective", f"{objective_text(fit.objective)}: {fit.objective_value:.6g}"),
        ("weights", weights + (f", {unused} of them zero" if unused else "")),
        ("method and tolerance", algorithm),
        ("starts", starts),
        *held,
        ("convergence", fit.status.value),
        ("bootstrap", kept if fit.n_bootstrap else "none"),
        (
            "validation",
            f"{growth.n_points} held-out predictions: error grows {100 * growth.per_reach:.2g} % "
            "for each factor of 2.7 beyond the data"
            if growth
            else f"in sample only: mean |error| {100 * fit.mean_abs_rel_error:.2g} %",
        ),
        ("seed", str(fit.seed)),
        ("software", f"isoloss {version('isoloss')}"),
    )
    return tuple(ChecklistItem("fitting", question, answer) for question, answer in answers)


def open_questions(items: Sequence[ChecklistItem]) -> str:
    """A sentence on how much of a checklist is answered."""
    missing = [item.question for item in items if not item.stated]
    if not missing:
        return f"all {len(items)} points of the reproducibility checklist are stated"
    return (
        f"{len(items) - len(missing)} of {len(items)} points of the reproducibility checklist are "
        f"stated; to be added by hand: {', '.join(missing)}"
    )


def _span(values: Array) -> str:
    return f"{format_quantity(float(values.min()))} to {format_quantity(float(values.max()))}"


def _sizes(runs: Runs) -> str:
    count = int(size_groups(runs.params).max()) + 1
    return f"{count}, {_span(runs.params)}"


def _count_of_params(runs: Runs) -> str:
    """How a table counts N, as far as other columns or the column's own name tell."""
    same = [
        name.removeprefix("params_")
        for name in _COUNTS
        if runs.frame.schema.get(name) == pl.Float64
        and np.array_equal(runs.column(name), runs.params)
    ]
    if same:
        return " and ".join(same) + " parameters, as the table's column says"
    own = [name for name, here in runs.own_names.items() if here == "params"]
    if own and "embedding" in own[0].lower():
        return f"the table's column {own[0]}"
    return ""


def _texts(runs: Runs, names: Sequence[str]) -> str:
    for name in names:
        if name in runs.frame.columns:
            values = runs.frame[name].drop_nulls().unique(maintain_order=True).to_list()
            rest = f" and {len(values) - _LISTED} others" if len(values) > _LISTED else ""
            return ", ".join(map(str, values[:_LISTED])) + rest
    return ""


def _numbers(runs: Runs, names: Sequence[str]) -> str:
    found = []
    for name in names:
        if runs.frame.schema.get(name) == pl.Float64:
            values = runs.column(name)
            values = values[np.isfinite(values)]
            if values.size:
                low, high = f"{values.min():g}", f"{values.max():g}"
                found.append(f"{name} {low}" if low == high else f"{name} {low} to {high}")
        elif text := _texts(runs, [name]):
            found.append(f"{name} {text}")
    return "; ".join(found)


def _left_out(runs: Runs) -> str:
    """What the notes of a table say about rows that are not there."""
    said = [note.message for note in runs.notes if note.code in _LEAVING_OUT]
    return "; ".join(said) or "none by Isoloss"


def _loss(runs: Runs, unit: str) -> str:
    metric = _texts(runs, ("loss_metric", "metric"))
    stated = " in ".join(text for text in (metric, unit) if text)
    return f"{stated}, {runs.loss.min():.4g} to {runs.loss.max():.4g}" if stated else ""


def _one_row_a_run(runs: Runs) -> bool:
    names = [name for name in ("run_id", "run", "name") if name in runs.frame.columns]
    return bool(names) and runs.frame[names[0]].n_unique() == len(runs)
