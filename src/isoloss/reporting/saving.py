"""Figures as files: SVG that follows the reader's light or dark page, or PNG."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING

from isoloss.errors import InputError
from isoloss.files import write_whole
from isoloss.reporting.style import GRID, INK, MUTED, PAPER, SHADE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = (".svg", ".png")
# Twice the points of a page, for sharp screens.
_DOTS_PER_INCH = 192
# What colours become on a dark page; all others are readable on both.
_DARK = {
    PAPER: "#0d1117",
    INK: "#e6edf3",
    MUTED: "#9198a1",
    GRID: "#2a313a",
    SHADE: "#1a2029",
    # The one law colour too dark for a dark page.
    "#0072b2": "#2b8fd6",
}
_COORDINATES = re.compile(r' (?:d|x|y)="[^"]*"')
_DECIMALS = re.compile(r"(\.\d\d)\d+")


def to_svg(figure: Figure) -> str:
    """The figure as SVG text, the same for the same figure.

    Text is drawn as paths, so that it looks alike everywhere. The picture is light, and dark where
    the reader asks for dark pages.
    """
    from matplotlib import rc_context

    stream = io.StringIO()
    # Without a salt of its own every identifier would be drawn at random.
    with rc_context({"svg.hashsalt": "isoloss", "svg.fonttype": "path"}):
        figure.savefig(stream, format="svg", metadata={"Date": None})
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", text, count=1, flags=re.DOTALL)
    # A hundredth of a point is finer than any screen shows.
    text = _COORDINATES.sub(lambda found: _shorter(found[0]), text)
    return text.replace("<defs>", f"<style>{_dark_style()}</style>\n <defs>", 1)


def _shorter(coordinates: str) -> str:
    return _DECIMALS.sub(r"\1", coordinates).replace("\n", "")


def _dark_style() -> str:
    rules = "".join(
        f'[style*="{role}: {light}"]{{{role}:{dark}!important}}'
        for light, dark in _DARK.items()
        for role in ("fill", "stroke")
    )
    return f"@media screen and (prefers-color-scheme:dark){{{rules}}}"


def save_figure(figure: Figure, path: str | Path) -> None:
    """Write a figure as SVG or PNG, by the ending of the path.

    Raises:
        InputError: the ending is another, or the file cannot be written.
    """
    target = Path(path)
    ending = target.suffix.lower()
    if ending not in FORMATS:
        raise InputError(
            "not a picture format",
            where=str(path),
            found=ending or "no ending",
            expected=" or ".join(FORMATS),
        )
    if ending == ".svg":
        write_whole(target, to_svg(figure))
        return
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=_DOTS_PER_INCH)
    try:
        target.write_bytes(stream.getvalue())
    except OSError as error:
        raise InputError(
            "cannot write the file", where=str(path), found=error.strerror or str(error)
        ) from None
