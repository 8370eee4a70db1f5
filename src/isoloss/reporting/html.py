"""HTML from Python values: everything that is not HTML already is escaped."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from isoloss.notes import Note, Severity
from isoloss.reporting.saving import to_svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Html(str):
    """Text that is HTML already; any other text is escaped where it meets HTML."""

    __slots__ = ()


def element(tag: str, *children: str, **attributes: str) -> Html:
    """One element with its children; a trailing underscore of an attribute's name is dropped."""
    given = "".join(
        f' {name.rstrip("_")}="{html.escape(value)}"' for name, value in attributes.items()
    )
    return Html(f"<{tag}{given}>{join(children)}</{tag}>")


def join(children: Iterable[str]) -> Html:
    """Pieces of text and HTML, one after the other, as HTML."""
    return Html("".join(each if isinstance(each, Html) else html.escape(each) for each in children))


def paragraph(*children: str) -> Html:
    """A paragraph."""
    return element("p", *children)


def table(caption: str, headers: Sequence[str], rows: Sequence[Sequence[str]]) -> Html:
    """A table whose first column names the rows; it scrolls where the page is too narrow."""
    head = element("tr", *(element("th", header, scope="col") for header in headers))
    body = [
        element(
            "tr", element("th", row[0], scope="row"), *(element("td", cell) for cell in row[1:])
        )
        for row in rows
    ]
    drawn = element(
        "table", element("caption", caption), element("thead", head), element("tbody", *body)
    )
    return element("div", drawn, class_="scroll", tabindex="0", role="region", aria_label=caption)


def facts(pairs: Iterable[tuple[str, str]]) -> Html:
    """Names with their values, as a description list."""
    return element(
        "dl", *(element("div", element("dt", name), element("dd", value)) for name, value in pairs)
    )


def note_list(notes: Iterable[Note], known: Iterable[Note] = ()) -> Html:
    """Notes as a list, warnings first and marked, each message once; empty without notes.

    Args:
        notes: what to say.
        known: what the page has said before.
    """
    said = {note.message for note in known}
    unique = {note.message: note for note in notes if note.message not in said}.values()
    ordered = sorted(unique, key=lambda note: note.severity is not Severity.WARNING)
    if not ordered:
        return Html()
    return element("ul", *(_note(note) for note in ordered), class_="notes")


def _note(note: Note) -> Html:
    warning = note.severity is Severity.WARNING
    label = element("strong", "Warning: " if warning else "Note: ")
    return element("li", label, note.message, class_=note.severity.value)


def picture(figure: Figure, alternative: str, caption: str) -> Html:
    """A figure inside the page, with a text for those who cannot see it and a caption."""
    data = base64.b64encode(to_svg(figure).encode()).decode()
    width = round(96 * figure.get_figwidth())
    image = Html(
        f'<img src="data:image/svg+xml;base64,{data}" width="{width}" '
        f'alt="{html.escape(alternative)}">'
    )
    scrolled = element(
        "div", image, class_="scroll", tabindex="0", role="region", aria_label=caption
    )
    return element("figure", scrolled, element("figcaption", caption))
