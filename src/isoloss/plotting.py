"""The one door from results to pictures.

Results are computed in packages that know nothing of figures; `plot` finds the figure for a
result only when it is called, so that the core never imports a plotting library.
"""

from __future__ import annotations

import importlib
from typing import Any


class Plottable:
    """A result that `isoloss.reporting` can draw."""

    def plot(self) -> Any:
        """Draw the result.

        Returns:
            A matplotlib Figure.

        Raises:
            MissingExtraError: matplotlib is not installed.
        """
        return importlib.import_module("isoloss.reporting").draw(self)
