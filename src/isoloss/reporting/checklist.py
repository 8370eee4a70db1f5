"""The reproducibility checklist of a report, open points marked."""

from __future__ import annotations

from collections.abc import Sequence

from isoloss.comparing import (
    ChecklistItem,
    data_items,
    fitting_items,
    law_items,
    open_questions,
)
from isoloss.fitting import Fit
from isoloss.reporting.html import Html, element, join, paragraph
from isoloss.runs import Runs

_OPEN = "not stated: add it by hand"


def checklist_section(runs: Runs, fits: Sequence[Fit], *, loss_unit: str = "") -> Html:
    """What it takes to repeat the fits of a report, once for the runs and once a law.

    Args:
        runs: the table.
        fits: laws fitted to it.
        loss_unit: unit of the loss, where it is known.
    """
    shared = data_items(runs, loss_unit=loss_unit)
    own = [(fit.law.name, (*law_items(fit), *fitting_items(fit))) for fit in fits]
    everything = [*shared, *(item for _, items in own for item in items)]
    missing = open_questions(everything)
    return join(
        [
            paragraph(f"{missing[:1].upper()}{missing[1:]}."),
            _table("Training and data", shared),
            *(
                join([element("h3", name), _table(f"Form and fitting of {name}", items)])
                for name, items in own
            ),
        ]
    )


def _table(caption: str, items: Sequence[ChecklistItem]) -> Html:
    rows = [
        element(
            "tr",
            element("th", item.question, scope="row"),
            element("td", item.answer or element("em", _OPEN), class_="text"),
        )
        for item in items
    ]
    drawn = element("table", element("caption", caption), element("tbody", *rows))
    return element("div", drawn, class_="scroll", tabindex="0", role="region", aria_label=caption)
