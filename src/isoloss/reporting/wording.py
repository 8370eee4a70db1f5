"""How numbers and laws are worded in a report."""

from __future__ import annotations

import re
from collections.abc import Mapping

from isoloss.fitting import Fit
from isoloss.forecasting import Prediction
from isoloss.reporting.style import percent_text, size_text


def loss_text(value: float) -> str:
    """A loss to five digits, so that columns line up."""
    return f"{value:#.5g}".rstrip(".")


def number_text(value: float, digits: int = 6) -> str:
    """Any number to some digits, powers of ten written as in `6e18` and `1e-7`."""
    return re.sub(r"e(-?)\+?0*", r"e\1", f"{value:.{digits}g}")


def range_text(low: str, high: str) -> str:
    """From one end to the other."""
    return f"{low} to {high}"


def size_range(pair: tuple[float, float]) -> str:
    """A range of sizes."""
    return range_text(size_text(pair[0]), size_text(pair[1]))


def signed_percent(share: float, digits: int = 2) -> str:
    """A signed share in per cent."""
    return f"{100 * share:+.{digits}f} %".replace("-", "−")


def times_text(multiple: float) -> str:
    """How many times beyond, such as `3.2×`."""
    return f"{size_text(multiple)}×"


def point_text(params: float, tokens: float) -> str:
    """A point of parameters and tokens, `70B : 1.4T`."""
    return f"{size_text(params)} : {size_text(tokens)}"


def prediction_text(prediction: Prediction) -> str:
    """A prediction with its interval in a line."""
    return (
        f"{loss_text(prediction.loss)}, {percent_text(prediction.level, 0)} interval "
        f"{range_text(loss_text(prediction.lower), loss_text(prediction.upper))}"
    )


def parameters_text(parameters: Mapping[str, float]) -> str:
    """Coefficients at full precision, one a line, ready to be pasted."""
    return "\n".join(f"{name} = {value!r}" for name, value in parameters.items())


def identifiability_text(fit: Fit) -> str:
    """How well the data determine a fit's parameters, in a line."""
    known = fit.identifiability
    parts = [f"condition number {number_text(known.condition, 2)}"]
    if known.weak:
        parts.append(f"hardly told apart: {', '.join(known.weak)}")
    if known.at_bound:
        parts.append(f"at the edge of the allowed: {', '.join(known.at_bound)}")
    return "; ".join(parts)
