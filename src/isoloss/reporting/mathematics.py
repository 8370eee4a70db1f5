"""Formulas for pages that cannot load a typesetter."""

from __future__ import annotations

import html

import numpy as np

from isoloss.laws import Law
from isoloss.reporting.html import Html, element
from isoloss.reporting.style import require_matplotlib

# Points of the type in which a formula is drawn; the page scales it to its own.
_SIZE = 20.0
# SVG commands by the number of points of a matplotlib segment's curve.
_COMMANDS = {1: "M", 2: "L", 3: "Q", 4: "C", 79: "Z"}


def formula_html(law: Law) -> Html:
    """A law's formula, drawn; as plain text where it cannot be drawn.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        return _drawn(law.latex(), law.equation)
    except ValueError:
        return element("code", law.equation, class_="formula")


def _drawn(latex: str, plain: str) -> Html:
    """A formula as outlines in the colour of the text around it.

    Raises:
        ValueError: matplotlib's subset of TeX does not know a command.
    """
    require_matplotlib()
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    outlines = TextPath(
        (0, 0), f"${latex}$", size=_SIZE, prop=FontProperties(math_fontfamily="stix")
    )
    box = outlines.get_extents()
    commands = []
    for points, code in outlines.iter_segments(curves=True, simplify=False):
        places = np.asarray(points).reshape(-1, 2) - (box.x0, box.y1)
        numbers = " ".join(f"{x:.2f} {-y:.2f}" for x, y in places) if code != 79 else ""
        commands.append(_COMMANDS[int(code)] + numbers)
    view = f"0 0 {box.width:.2f} {box.height:.2f}"
    return Html(
        f'<svg class="formula" role="img" aria-label="{html.escape(plain)}" '
        f'viewBox="{view}" style="width:{box.width / _SIZE:.2f}em" fill="currentColor">'
        f'<path d="{"".join(commands)}"/></svg>'
    )
