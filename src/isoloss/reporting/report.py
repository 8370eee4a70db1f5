"""One self-contained HTML page that tells what was fitted, how well, and what follows."""

from __future__ import annotations

import html
from collections.abc import Sequence
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from string import Template

from isoloss.files import write_whole
from isoloss.fitting import Fit
from isoloss.forecasting import Backtest, Forecast, region_of_fit
from isoloss.laws import PARAMS, TOKENS, Surface
from isoloss.notes import Note
from isoloss.planning import Allocation
from isoloss.reporting.allocation import allocation_figure
from isoloss.reporting.checklist import checklist_section
from isoloss.reporting.html import Html, element, facts, join, note_list, paragraph, picture
from isoloss.reporting.sections import (
    Subject,
    allocation_section,
    backtest_section,
    coefficient_section,
    forecast_section,
    law_section,
    runs_section,
)
from isoloss.reporting.style import percent_text, require_matplotlib, size_text
from isoloss.reporting.wording import point_text, prediction_text, size_range
from isoloss.runs import Runs

# Budgets shown beyond the largest one allocated.
_BEYOND = 3.0


def build_report(
    runs: Runs,
    *,
    title: str,
    fits: Sequence[Fit] = (),
    backtest: Backtest | None = None,
    forecast: Forecast | None = None,
    allocations: Sequence[Allocation] = (),
    commands: Sequence[str] = (),
    loss_unit: str = "",
    notes: Sequence[Note] = (),
) -> str:
    """Write results as one HTML page that needs no network and no other file.

    Args:
        runs: the table.
        title: of the page.
        fits: laws fitted to the table.
        backtest: how laws predicted held-out runs.
        forecast: predictions of runs not made yet.
        allocations: splits of budgets.
        commands: the exact commands that made the results, in order.
        loss_unit: unit of the table's loss, such as "nats/token"; not stated where not given.
        notes: what to say at the top, such as what could not be done and why.

    Returns:
        The page; `write_report` writes it to a file.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    require_matplotlib()
    loss_label = f"loss, {loss_unit}" if loss_unit else "loss"
    subject = Subject(loss_label, runs.fingerprint, runs.notes)
    unit = loss_unit or "the unit of the table"
    contents: dict[str, Html] = {
        "At a glance": join(
            [_glance(runs, fits, backtest, forecast, allocations), note_list(notes)]
        ),
        "Runs": runs_section(runs, loss_label),
    }
    if backtest is not None:
        contents["Backtest"] = backtest_section(backtest, subject)
    if forecast is not None:
        contents["Forecast"] = forecast_section(forecast, subject)
    planar = [fit for fit in fits if set(fit.law.inputs) == {PARAMS, TOKENS}]
    if allocations or planar:
        contents["Allocation"] = join(
            [
                *(allocation_section(each, subject) for each in allocations),
                *_allocation_overview(planar, allocations),
            ]
        )
    if fits:
        contents["Laws"] = join(law_section(fit, subject) for fit in fits)
    surfaces = _surfaces(fits, forecast, allocations)
    if surfaces:
        contents["Coefficients"] = coefficient_section(surfaces)
    contents["Reproducibility"] = checklist_section(runs, fits, loss_unit=loss_unit)
    contents["Provenance"] = _provenance(runs, fits, commands)
    page = Template(_resource("report.html"))
    return page.substitute(
        version=html.escape(version("isoloss")),
        title=html.escape(title),
        style=_resource("report.css"),
        lead=html.escape(
            f"{len(runs)} training runs from {runs.source}. Loss in {unit}; N, D and C are "
            "parameters, training tokens and training FLOPs; errors are relative, in per cent."
        ),
        contents=join(
            element("li", element("a", name, href=f"#{_anchor(name)}")) for name in contents
        ),
        sections=join(
            element("section", element("h2", name, id=_anchor(name)), body)
            for name, body in contents.items()
        ),
        footer=html.escape(f"Made by Isoloss {version('isoloss')}."),
    )


def write_report(path: str | Path, page: str) -> None:
    """Write a report so that no reader ever sees a part of it.

    Raises:
        InputError: the folder does not exist or cannot be written.
    """
    write_whole(path, page)


def _resource(name: str) -> str:
    return (files("isoloss.reporting") / name).read_text(encoding="utf-8")


def _anchor(name: str) -> str:
    return name.lower().replace(" ", "-")


def _glance(
    runs: Runs,
    fits: Sequence[Fit],
    backtest: Backtest | None,
    forecast: Forecast | None,
    allocations: Sequence[Allocation],
) -> Html:
    """The answers in a few lines; the sections below say how far to trust them."""
    lines: list[tuple[str, str]] = []
    if forecast is not None:
        lines += [
            (f"Forecast at {point_text(each.params, each.tokens)}", prediction_text(each))
            for each in forecast.predictions
        ]
    if backtest is not None:
        errors = {
            name: each.to_json()["mean_abs_rel_error"] for name, each in backtest.held_out.items()
        }
        ranked = sorted(errors, key=lambda name: errors[name])
        lines.append(
            (
                f"Mean |error| on {backtest.n_held_out} held-out runs",
                ", ".join(f"{name} {percent_text(errors[name])}" for name in ranked),
            )
        )
    lines += [
        (
            f"Best split of {size_text(each.flops)} FLOPs under {each.surface.law.name}",
            f"{size_text(each.params)} parameters, {size_text(each.tokens)} tokens",
        )
        for each in allocations
    ]
    if fits:
        ranked_fits = sorted(fits, key=lambda fit: fit.mean_abs_rel_error)
        lines.append(
            (
                "Mean |error| in sample",
                ", ".join(
                    f"{fit.law.name} {percent_text(fit.mean_abs_rel_error)}" for fit in ranked_fits
                ),
            )
        )
    lines.append(
        (
            "Runs",
            f"{len(runs)}; N {size_range((runs.params.min(), runs.params.max()))}, "
            f"D {size_range((runs.tokens.min(), runs.tokens.max()))}",
        )
    )
    return element("div", facts(lines), class_="glance")


def _allocation_overview(fits: Sequence[Fit], allocations: Sequence[Allocation]) -> list[Html]:
    if not fits:
        return []
    budgets = [allocation.flops for allocation in allocations]
    regions = [region_of_fit(fit).flops for fit in fits]
    covered = (min(low for low, _ in regions), max(high for _, high in regions))
    reach = (
        (min(covered[0], *budgets), max(covered[1], *(_BEYOND * each for each in budgets)))
        if budgets
        else None
    )
    names = ", ".join(fit.law.name for fit in fits)
    return [
        element("h3", "Allocation against compute"),
        picture(
            allocation_figure(fits, reach),
            f"Compute-optimal tokens per parameter, and parameters, against compute under {names}.",
            "Compute-optimal tokens per parameter (left) and parameters (right) by law. Laws that "
            "agree on the loss of the runs can disagree on how to split a budget beyond them.",
        ),
    ]


def _surfaces(
    fits: Sequence[Fit], forecast: Forecast | None, allocations: Sequence[Allocation]
) -> dict[str, Surface]:
    """Every surface behind the report, once, by the name of its law and where it was used."""
    used = [("", fit.surface) for fit in fits]
    if forecast is not None:
        used += [(", of the forecast", fit.surface) for fit in forecast.fits.values()]
    used += [
        (f", of the split of {size_text(each.flops)} FLOPs", each.surface) for each in allocations
    ]
    named: dict[str, Surface] = {}
    for where, surface in used:
        if all(not _same(surface, known) for known in named.values()):
            named[surface.law.name + where] = surface
    return named


def _same(one: Surface, other: Surface) -> bool:
    return one.law is other.law and one.parameters == other.parameters


def _provenance(runs: Runs, fits: Sequence[Fit], commands: Sequence[str]) -> Html:
    seeds = dict.fromkeys(str(fit.seed) for fit in fits)
    known = [
        ("Isoloss", version("isoloss")),
        ("table", runs.source),
        ("fingerprint of the runs", runs.fingerprint),
    ]
    if seeds:
        known.append(("seed", ", ".join(seeds)))
    parts = [facts(known)]
    if commands:
        parts += [
            paragraph("These commands made the results:"),
            element("pre", element("code", "\n".join(commands))),
        ]
    return join(parts)
