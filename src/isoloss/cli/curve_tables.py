"""What the verbs of `isoloss curve` print for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from isoloss.cli.output import remarks, table
from isoloss.quantities import format_quantity

if TYPE_CHECKING:
    from isoloss.curves import (
        BatchTradeOff,
        Conversion,
        CurveBacktest,
        CurveFit,
        CurvePrediction,
        DecayChoice,
        RunForecast,
    )


def fit_tables(fitted: CurveFit, level: float) -> list[Any]:
    """Parameters, curves, and how sure the fit is."""
    intervals = fitted.intervals(level)
    columns = ["parameter", "value", *([f"{100 * level:g} % interval"] if intervals else [])]
    rows = []
    for name, value in fitted.parameters.items():
        row = [name, f"{value:.6g}"]
        if intervals:
            low, high = intervals[name]
            row.append(f"{low:.4g} to {high:.4g}")
        rows.append(row)
    runs = [
        (name, run["schedule"], str(run["n_points"]), f"{100 * run['mean_abs_rel_error']:.3f} %")
        for name, run in fitted.summary["runs"].items()
    ]
    band, search = fitted.band, fitted.search
    return [
        table(fitted.law.title, columns, rows),
        table("Curves", ("run", "schedule", "points", "mean |error|"), runs),
        f"{fitted.status.value}: {search.reached_best} of {search.starts} starts ended in the best "
        f"optimum; {fitted.objective.name} objective {fitted.objective_value:.6g}",
        f"errors: {100 * band.noise:.3f} % a point, {100 * band.discrepancy:.3f} % on a curve not "
        f"fitted, and {100 * band.growth.per_reach:.3f} % for each factor e in steps beyond",
        *remarks(fitted.notes),
    ]


def prediction_document(fitted: CurveFit, found: Sequence[CurvePrediction]) -> dict[str, Any]:
    """Predictions of several schedules as one JSON object."""
    return {
        "law": fitted.law.name,
        "predictions": [
            {"schedule": each.name, **point, "level": each.level}
            for each in found
            for point in each.to_json()["predictions"]
        ],
    }


def prediction_table(found: Sequence[CurvePrediction], level: float) -> Any:
    """Predictions of several schedules."""
    rows = [
        (each.name, str(step), f"{loss:.4f}", f"{lower:.4f} to {upper:.4f}")
        for each in found
        for step, loss, lower, upper in zip(
            each.steps, each.loss, each.lower, each.upper, strict=True
        )
    ]
    columns = ("schedule", "step", "loss", f"{100 * level:g} % band")
    return table("Predicted loss", columns, rows)


def backtest_tables(result: CurveBacktest) -> list[Any]:
    """Scores of each law, in all and by run."""
    names = ("r2", "mae", "mean_abs_rel_error", "max_abs_rel_error", "coverage")
    rows = []
    for law in result.held_out:
        scores = result.scores(law)
        rows.append((law, *(_score(name, scores[name]) for name in names)))
    columns = (
        "law",
        "R2",
        "mean |error|",
        "relative",
        "largest",
        f"inside {100 * result.level:g} % band",
    )
    title = f"Fitted {result.n_fit} curves, predicted {result.n_held_out}; means over these"
    tables = [table(title, columns, rows)]
    for law, curves in result.held_out.items():
        each = [(entry.curve.run_id, entry.scores()) for entry in curves]
        detailed = [(name, *(_score(key, scores[key]) for key in names)) for name, scores in each]
        tables.append(table(law, ("run", *columns[1:]), detailed))
    if result.refused:
        tables.append(table("Left out", ("law", "why"), result.refused.items(), numbers=False))
    return [*tables, *remarks(result.notes)]


def _score(name: str, value: float) -> str:
    if name in ("r2", "mae"):
        return f"{value:.5f}"
    return f"{100 * value:.0f} %" if name == "coverage" else f"{100 * value:.3f} %"


def watch_tables(result: RunForecast) -> list[Any]:
    """What is expected of a run under way."""
    loss, lower, upper = result.final
    last = result.prediction.steps[-1]
    rows = [(f"at step {result.curve.steps[-1]}", f"{result.curve.loss[-1]:.4f}", "measured")]
    if not result.at_end:
        rows.append((f"at step {last}", f"{loss:.4f}", f"{lower:.4f} to {upper:.4f}"))
    if result.target is not None and result.probability is not None:
        met = f"met with {100 * result.probability:.0f} %"
        if result.at_end:
            met = "met" if result.probability else "not met"
        rows.append(("target", f"{result.target:.4f}", met))
    level = f"{100 * result.prediction.level:g} % band"
    tables = [table(result.curve.run_id, ("", "loss", level), rows)]
    if not result.flags:
        tables.append("no spike, divergence or plateau")
    return tables


def schedule_tables(choices: Sequence[DecayChoice], document: Mapping[str, Any]) -> list[Any]:
    """The best decay of each shape, and the best of all schedules."""
    rows = [
        (
            choice.shape,
            str(choice.best),
            f"{100 * choice.best / choice.loss.schedule.steps:.1f} %",
            f"{choice.loss.loss:.4f}",
            f"{choice.loss.lower:.4f} to {choice.loss.upper:.4f}",
        )
        for choice in choices
    ]
    if "best" in document:
        found = document["best"]
        ends = f"{found['lower']:.4f} to {found['upper']:.4f}"
        rows.append(("free, never rising", "", "", f"{found['loss']:.4f}", ends))
    columns = ("decay", "steps", "of all", "final loss", "band")
    return [table("Best decay of each shape", columns, rows)]


def conversion_tables(found: Conversion) -> list[Any]:
    """Checkpoints, and their losses after a decay."""
    rows = [
        (
            each.run_id,
            str(each.step),
            f"{each.measured:.4f}",
            str(each.decayed.schedule.steps),
            "-" if each.tokens is None else format_quantity(each.tokens),
            f"{each.decayed.loss:.4f}",
            f"{each.decayed.lower:.4f} to {each.decayed.upper:.4f}",
        )
        for each in found.checkpoints
    ]
    columns = ("run", "step", "loss", "steps with decay", "tokens", "loss after it")
    band = f"{100 * found.level:g} % band"
    return [table("Checkpoints after a decay", (*columns, band), rows)]


def trade_off_tables(found: BatchTradeOff) -> list[Any]:
    """What a loss takes at least, and at each batch size."""
    size = "" if found.params is None else f" with {format_quantity(found.params)} parameters"
    least = [
        ("least steps, at an unlimited batch", found.least_steps, "least_steps"),
        ("least tokens, at a small batch", found.least_tokens, "least_tokens"),
        ("critical batch, tokens", found.critical_batch, "critical_batch"),
    ]
    spans = {
        name: " to ".join(format_quantity(end) for end in ends)
        for name, ends in found.intervals.items()
    }
    heads = ["", "", *([f"{100 * found.level:g} % interval"] if spans else [])]
    rows = [
        (text, format_quantity(value), *([spans.get(name, "")] if spans else []))
        for text, value, name in least
    ]
    choices = [
        (
            format_quantity(each.batch),
            format_quantity(each.steps),
            f"{each.more_time:.3g} x",
            format_quantity(each.tokens),
            f"{each.more_compute:.3g} x",
            "-" if each.flops is None else f"{each.flops:.3g}",
        )
        for each in found.choices
    ]
    columns = ("batch, tokens", "steps", "of the least", "tokens", "of the least", "FLOPs")
    return [
        table(f"To a loss of {found.loss:g}{size}", heads, rows),
        table("Time against compute", columns, choices),
    ]
