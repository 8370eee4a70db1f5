"""The sections of a report, one function a result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from isoloss.fitting import Fit
from isoloss.forecasting import Backtest, Forecast
from isoloss.laws import Surface
from isoloss.notes import Note
from isoloss.planning import Allocation
from isoloss.reporting.forecast import forecast_figure
from isoloss.reporting.html import (
    Html,
    element,
    facts,
    join,
    note_list,
    paragraph,
    picture,
    table,
)
from isoloss.reporting.isoflop import isoflop_figure
from isoloss.reporting.mathematics import formula_html
from isoloss.reporting.parity import parity_figure
from isoloss.reporting.residuals import residual_figure
from isoloss.reporting.style import percent_text, size_text
from isoloss.reporting.surface import surface_figure
from isoloss.reporting.wording import (
    identifiability_text,
    loss_text,
    number_text,
    parameters_text,
    point_text,
    signed_percent,
    size_range,
    times_text,
)
from isoloss.runs import Runs

_QUANTITIES = {
    "params": "N, parameters",
    "tokens": "D, training tokens",
    "flops": "C = 6ND, training FLOPs",
    "tokens_per_param": "D/N, tokens per parameter",
}


@dataclass(frozen=True)
class Subject:
    """What every section of a report needs to know of the table.

    Attributes:
        loss_label: name of the loss, with its unit if known.
        fingerprint: of the runs.
        notes: on the runs, said once.
    """

    loss_label: str
    fingerprint: str
    notes: tuple[Note, ...]


def runs_section(runs: Runs, loss_label: str) -> Html:
    """What the table holds: counts, ranges, columns, notes."""
    summary = runs.to_json()
    ranges = summary["ranges"]
    rows = [
        [label, size_text(ranges[name]["min"]), size_text(ranges[name]["max"])]
        for name, label in _QUANTITIES.items()
        if ranges.get(name)
    ]
    if ranges.get("loss"):
        extent = ranges["loss"]
        rows.append([loss_label, loss_text(extent["min"]), loss_text(extent["max"])])
    counts = [
        ("runs", str(summary["n_runs"])),
        ("distinct model sizes", str(summary["n_sizes"])),
        ("source", summary["source"]),
        ("fingerprint", str(summary["fingerprint"])),
    ]
    if summary["recipes"]:
        counts.append(("recipes", ", ".join(map(str, summary["recipes"]))))
    return join(
        [
            facts(counts),
            table("What the runs cover", ["quantity", "smallest", "largest"], rows),
            paragraph("Columns: ", ", ".join(summary["columns"]), "."),
            note_list(runs.notes),
        ]
    )


def law_section(fit: Fit, subject: Subject) -> Html:
    """One fitted law: formula, parameters with intervals, how the fit ended, its figures."""
    name = fit.law.name
    parts = [
        element("h3", f"{name}"),
        paragraph(f"{fit.law.title}. Source: {fit.law.source}."),
        formula_html(fit.law),
        facts(_fit_facts(fit)),
        _parameter_table(fit),
    ]
    if fit.fingerprint != subject.fingerprint:
        parts.append(
            paragraph(
                f"This law was fitted to other runs than those above: {fit.source}, "
                f"fingerprint {fit.fingerprint}."
            )
        )
    loose = [Note("ill-determined", each.sentence) for each in fit.identifiability.combinations]
    notes = [*loose, *fit.all_notes()]
    parts += [note_list(notes, subject.notes), *_fit_figures(fit, subject)]
    return join(parts)


def _fit_facts(fit: Fit) -> list[tuple[str, str]]:
    search = fit.search
    pairs = [
        ("runs fitted", str(fit.n_runs)),
        ("mean |error| in sample", percent_text(fit.mean_abs_rel_error, 3)),
        ("noise of a single run", percent_text(fit.noise, 3)),
        ("objective", f"{fit.objective.name}, sum {number_text(fit.objective_value)}"),
        ("method", fit.method),
        ("convergence", fit.status.value),
        (
            "starts",
            f"{search.starts}: {search.converged} converged, "
            f"{search.reached_best} at the best optimum",
        ),
        ("relative gradient there", number_text(search.gradient, 1)),
        ("identifiability", identifiability_text(fit)),
    ]
    if search.next_gap is not None:
        pairs.append(("next best optimum", f"objective {percent_text(search.next_gap)} higher"))
    if fit.growth is not None:
        pairs.append(
            (
                "error beyond the data",
                f"{percent_text(fit.growth.per_reach)} for each factor of 2.7, "
                f"from {fit.growth.n_points} held-out runs",
            )
        )
    kept = fit.surface.replicates.shape[1] if fit.surface.replicates.size else 0
    pairs.append(("bootstrap replicates", f"{kept} of {fit.n_bootstrap} converged"))
    pairs.append(("seed", str(fit.seed)))
    return pairs


def _parameter_table(fit: Fit) -> Html:
    intervals = fit.intervals()
    if not intervals:
        rows = [[name, number_text(value)] for name, value in fit.parameters.items()]
        return table("Parameters (no bootstrap, so no intervals)", ["parameter", "estimate"], rows)
    rows = [
        [name, number_text(value), number_text(intervals[name][0]), number_text(intervals[name][1])]
        for name, value in fit.parameters.items()
    ]
    return table(
        "Parameters with 90 % bootstrap intervals",
        ["parameter", "estimate", "lower", "upper"],
        rows,
    )


def _fit_figures(fit: Fit, subject: Subject) -> list[Html]:
    name, error = fit.law.name, percent_text(fit.mean_abs_rel_error)
    figures = [
        picture(
            parity_figure(fit, loss_label=subject.loss_label),
            f"Predicted against measured loss of {fit.n_runs} fitted runs under {name}; the mean "
            f"absolute error is {error}.",
            f"Fitted runs under {name}: predicted against measured, and the relative error.",
        ),
        picture(
            residual_figure(fit),
            f"Relative residuals of {name} by each input, with the mean at each size.",
            f"Residuals of {name}. A trend in the means is what the law cannot express.",
        ),
    ]
    if {entry.name for entry in fit.law.inputs} == {"params", "tokens"}:
        region = fit.region()
        figures.insert(
            0,
            picture(
                surface_figure(fit, loss_label=subject.loss_label),
                f"Contours of the loss that {name} predicts over parameters and tokens. The "
                f"runs cover {size_range(region['params'])} parameters and "
                f"{size_range(region['tokens'])} tokens.",
                f"Loss surface of {name}. Lines join points of equal loss; outside the dashed "
                "outline the law extrapolates.",
            ),
        )
    return figures


def backtest_section(backtest: Backtest, subject: Subject) -> Html:
    """How each law predicted runs that it was not fitted to."""
    rows = []
    for name, held_out in backtest.held_out.items():
        each = held_out.to_json()
        rows.append(
            [
                name,
                percent_text(each["mean_abs_rel_error"], 3),
                signed_percent(each["mean_rel_error"], 3),
                percent_text(each["max_abs_rel_error"], 3),
                percent_text(each["coverage"], 0),
            ]
        )
    level = percent_text(backtest.level, 0)
    parts = [
        paragraph(
            f"Each law was fitted to {backtest.n_fit} runs and predicted {backtest.n_held_out} "
            "others. Errors are (predicted - measured) / measured. Coverage is the share of "
            f"held-out runs inside their {level} interval."
        ),
        table(
            "Errors on held-out runs",
            ["law", "mean |error|", "mean error", "largest |error|", f"coverage of {level}"],
            rows,
        ),
    ]
    if backtest.refused:
        parts.append(_reasons("Laws that could not be tested", backtest.refused))
    parts.append(note_list(backtest.notes, subject.notes))
    errors = ", ".join(f"{row[0]} {row[1]}" for row in rows)
    parts.append(
        picture(
            parity_figure(backtest, loss_label=subject.loss_label),
            f"Predicted against measured loss of held-out runs by law. Mean absolute error: "
            f"{errors}.",
            "Held-out runs: predicted against measured with intervals, and the relative error on "
            "one scale for all laws. Arrows mark errors beyond it.",
        )
    )
    return join(parts)


def _reasons(caption: str, reasons: Mapping[str, str]) -> Html:
    rows = [
        element("tr", element("th", name, scope="row"), element("td", why, class_="text"))
        for name, why in reasons.items()
    ]
    drawn = element("table", element("caption", caption), element("tbody", *rows))
    return element("div", drawn, class_="scroll", tabindex="0", role="region", aria_label=caption)


def forecast_section(forecast: Forecast, subject: Subject) -> Html:
    """Predictions with intervals, and the weights of the laws with their reasons."""
    level = percent_text(forecast.predictions[0].level, 0)
    rows, parts_of = [], []
    for each in forecast.predictions:
        point, beyond, spread = (
            point_text(each.params, each.tokens),
            each.extrapolation,
            each.deviations,
        )
        rows.append(
            [point, loss_text(each.loss), loss_text(each.lower), loss_text(each.upper)]
            + [times_text(beyond[name]) for name in ("params", "tokens", "flops")]
        )
        parts_of.append(
            [point]
            + [
                percent_text(share)
                for share in (spread.parameters, spread.noise, spread.extrapolation, spread.total)
            ]
        )
    own = [[name, *map(loss_text, losses)] for name, losses in forecast.by_law.items()]
    weights = ", ".join(f"{name} {weight:.2f}" for name, weight in forecast.weights.items())
    points = "; ".join(f"{row[0]}: {row[1]} ({row[2]} to {row[3]})" for row in rows)
    return join(
        [
            table(
                f"Predicted {subject.loss_label}, with the {level} interval for the measured loss "
                "of such a run; beyond: as a multiple of the largest fitted",
                ["N : D", "loss", "lower", "upper", "beyond in N", "in D", "in C"],
                rows,
            ),
            picture(
                forecast_figure(forecast, loss_label=subject.loss_label),
                f"Forecast losses with {level} intervals. {points}.",
                "The forecast with its interval, and what each law says on its own.",
            ),
            table(
                "What the intervals are made of: standard deviations, as shares of the loss",
                ["N : D", "parameters", "noise of a run", "extrapolation", "together"],
                parts_of,
            ),
            table("Prediction of each law on its own", ["law", *(row[0] for row in rows)], own),
            paragraph(f"Weights: {weights}."),
            _reasons("Why each law has its weight", forecast.reasons)
            if forecast.reasons
            else Html(),
            note_list(forecast.notes, subject.notes),
        ]
    )


def allocation_section(allocation: Allocation, subject: Subject) -> Html:
    """One budget: the compute-optimal split and the price of others."""
    name, budget = allocation.surface.law.name, size_text(allocation.flops)
    values = {
        "params": allocation.params,
        "tokens": allocation.tokens,
        "tokens_per_param": allocation.tokens_per_param,
    }
    level = percent_text(allocation.level, 0)
    headers = (
        ["quantity", "optimum", "lower", "upper"]
        if allocation.intervals
        else ["quantity", "optimum"]
    )
    rows = []
    for key, value in values.items():
        pair = allocation.intervals.get(key)
        rows.append([_QUANTITIES[key], size_text(value), *(map(size_text, pair) if pair else ())])
    ends = (allocation.lower, allocation.upper) if allocation.intervals else ()
    rows.append([subject.loss_label, loss_text(allocation.loss), *map(loss_text, ends)])
    deviations = [
        [
            size_text(entry.params),
            size_text(entry.tokens),
            number_text(entry.tokens / entry.params, 3),
            loss_text(entry.loss),
            signed_percent(entry.loss_increase),
            percent_text(1 - entry.compute_share, 1)
            if entry.compute_share == entry.compute_share
            else "unknown",
        ]
        for entry in allocation.deviations
    ]
    near = size_range(allocation.near_optimal)
    return join(
        [
            element("h3", f"{budget} FLOPs under {name}"),
            table(
                f"Compute-optimal split, with {level} intervals"
                if ends
                else "Compute-optimal split",
                headers,
                rows,
            ),
            paragraph(
                f"Any size from {near} parameters costs less than 0.1 % of the loss. The optimum "
                f"comes from {'a closed form' if allocation.closed_form else 'a search'}."
            ),
            table(
                "The price of other sizes at the same compute; waste is the compute that an "
                "optimal split would save for the same loss",
                ["N", "D", "D/N", "loss", "loss increase", "wasted compute"],
                deviations,
            ),
            note_list(allocation.notes, subject.notes),
            picture(
                isoflop_figure(allocation, loss_label=subject.loss_label),
                f"Loss against parameters at {budget} FLOPs under {name}, lowest at "
                f"{size_text(allocation.params)}; within 0.1 % from {near}.",
                f"Loss against model size at {budget} FLOPs under {name}.",
            ),
        ]
    )


def coefficient_section(surfaces: Mapping[str, Surface]) -> Html:
    """Coefficients of every law in the report, at full precision."""
    parts = [
        paragraph(
            "At full precision: some laws lose all accuracy when their coefficients are rounded."
        )
    ]
    for name, surface in surfaces.items():
        parts += [
            element("h3", name),
            element("pre", f"{surface.law.equation}\n{parameters_text(surface.parameters)}"),
        ]
    return join(parts)
