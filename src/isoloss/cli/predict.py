"""`isoloss predict`: the loss of a run that was not made, by one fitted law."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from isoloss.cli import arguments as args
from isoloss.cli.output import check_output, deliver, remarks, table, warn
from isoloss.quantities import format_quantity

if TYPE_CHECKING:
    from isoloss.forecasting import Forecast


def predict_verb(
    fit: args.FitFile,
    at: args.Points = None,
    level: args.Level = 0.9,
    output: args.Output = None,
    as_json: args.Json = False,
) -> None:
    """Predict runs by one fitted law, with intervals."""
    check_output(output, fit)
    points = args.read_points(at)
    import isoloss

    with args.naming(fit):
        result = isoloss.predict(isoloss.load_fit(fit), points, level=level)
    warn(result.notes)
    deliver(result.to_json(), as_json=as_json, output=output, tables=prediction_tables(result))


def prediction_tables(forecast: Forecast) -> list[Any]:
    """Tables of predictions, of how far beyond the data they lie, and of the laws behind them."""
    rows = []
    for entry in forecast.predictions:
        beyond = entry.extrapolation
        rows.append(
            (
                f"{format_quantity(entry.params)}:{format_quantity(entry.tokens)}",
                f"{entry.loss:.5g}",
                f"{entry.lower:.5g} to {entry.upper:.5g}",
                f"{50 * (entry.upper - entry.lower) / entry.loss:.2f} %",
                *(f"{beyond[name]:.3g}x" for name in ("params", "tokens", "flops")),
            )
        )
    level = f"{100 * forecast.predictions[0].level:g} % interval"
    title = "Predictions; N, D and C as multiples of the largest fitted"
    tables = [table(title, ("N:D", "loss", level, "±", "N", "D", "C"), rows)]
    if forecast.reasons:
        reasons = [(name, why) for name, why in forecast.reasons.items()]
        tables.append(table("Laws", ("law", "why"), reasons, numbers=False))
    return [*tables, *remarks(forecast.notes)]
