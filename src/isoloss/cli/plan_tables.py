"""What `allocate` prints for people: a run, a fixed size beside the cheapest, a frontier."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any

from isoloss.cli.output import remarks, table
from isoloss.quantities import format_quantity

if TYPE_CHECKING:
    from isoloss.planning import Allocation, Demand, Frontier, Overtraining


def plan_tables(result: Allocation | Overtraining | Frontier | Demand) -> list[Any]:
    """The tables of any answer."""
    from isoloss.planning import Demand, Frontier, Overtraining

    if isinstance(result, Demand):
        return demand_tables(result)

    if isinstance(result, Frontier):
        return frontier_tables(result)
    if isinstance(result, Overtraining):
        return overtraining_tables(result)
    return allocation_tables(result)


def frontier_tables(result: Frontier) -> list[Any]:
    """The best run for each budget."""
    rows = [
        (
            f"{point.amount:.3g}",
            format_quantity(point.params),
            format_quantity(point.tokens),
            f"{point.tokens_per_param:.3g}",
            f"{point.loss:.5g}",
            f"{point.lower:.5g} to {point.upper:.5g}" if isfinite(point.lower) else "",
            f"{format_quantity(point.near_smallest)} to {format_quantity(point.near_largest)}",
        )
        for point in result.points
    ]
    target = result.surface.law.target.name
    interval = f"{100 * result.level:g} % interval"
    columns = (result.unit, "N", "D", "D/N", target, interval, "N within 0.1 %")
    known = [index for index in range(len(columns)) if any(row[index] for row in rows)]
    title = f"Least {target} for {result.cost} by {result.surface.law.name}"
    shown = [[row[index] for index in known] for row in rows]
    return [table(title, [columns[index] for index in known], shown)]


def demand_tables(result: Demand) -> list[Any]:
    """The cheapest run for each number of tokens to be served."""
    rows = [
        (
            format_quantity(row["served"]),
            format_quantity(row["params"]),
            format_quantity(row["tokens"]),
            f"{row['tokens_per_param']:.3g}",
            f"{row['amount']:.4g}",
            f"{100 * row['saved']:.1f} %",
        )
        for row in result.to_frame().to_dicts()
    ]
    target = result.surface.law.target.name
    title = f"Cheapest run to a {target} of {result.target:.5g} by {result.surface.law.name}"
    columns = ("served", "N", "D", "D/N", f"{result.cost}, {result.unit}", "saved")
    return [
        table(title, columns, rows),
        "Saved: over the run that is cheapest to train",
    ]


def overtraining_tables(result: Overtraining) -> list[Any]:
    """The fixed size beside the cheapest, and when it pays."""
    fixed, optimal = result.fixed, result.optimal
    rows = [
        (
            name,
            format_quantity(run.params, 4),
            format_quantity(run.tokens, 4),
            f"{run.tokens_per_param:.4g}",
            *(f"{each.amount:.4g}" for each in run.costs),
        )
        for name, run in (("this size", fixed), ("cheapest", optimal))
    ]
    costs = [f"{each.name}, {each.unit}" for each in fixed.costs]
    after = (
        f"pays once the model serves {format_quantity(result.pays_after)} tokens"
        if isfinite(result.pays_after)
        else "never pays: it is no smaller than the cheapest"
    )
    extra = f"{100 * result.extra_share:.1f} % more of {fixed.minimised}"
    title = f"{fixed.surface.law.name} to a loss of {fixed.loss:.5g}"
    return [
        table(title, ("", "N", "D", "D/N", *costs), rows),
        f"The fixed size takes {extra}, and {after}",
        *remarks(fixed.notes),
    ]


def allocation_tables(result: Allocation) -> list[Any]:
    """The optimum with its intervals, and what other sizes cost."""
    target = result.surface.law.target.name
    rows = [
        ("params", format_quantity(result.params, 4), _interval(result, "params")),
        *(
            (name, format_quantity(value, 4), "")
            for name, value in result.counts.items()
            if value != result.params
        ),
        ("tokens", format_quantity(result.tokens, 4), _interval(result, "tokens")),
        (
            "tokens_per_param",
            f"{result.tokens_per_param:.4g}",
            _interval(result, "tokens_per_param"),
        ),
        *(
            (name, format_quantity(value, 4), "")
            for name, value in result.inputs.items()
            if name not in ("params", "tokens")
        ),
        (target, f"{result.loss:.5g}", _interval(result, "loss")),
    ]
    if result.epochs is not None:
        rows.append(("epochs", f"{result.epochs:.4g}", ""))
    if result.score is not None:
        score = result.score
        rows.append((score.target, f"{score.value:.5g}", f"{score.lower:.5g} to {score.upper:.5g}"))
    if len(result.costs) > 1 or result.minimised:
        rows += [
            (f"{each.name}, {each.unit}", f"{each.amount:.4g}", _interval(result, each.name))
            for each in result.costs
        ]
    # Published coefficients come without any interval, other fits perhaps with that of the loss.
    known = 3 if any(interval for *_, interval in rows) else 2
    columns = ("", "optimum", f"{100 * result.level:g} % interval")
    low, high = result.near_optimal
    within = (
        f"1 % of the least {result.minimised}" if result.minimised else f"0.1 % of {_least(result)}"
    )
    shown = [
        table(_title(result), columns[:known], [row[:known] for row in rows]),
        f"Within {within}: N from {format_quantity(low)} to {format_quantity(high)}",
    ]
    if result.deviations:
        shown.append(_deviation_table(result))
    return [*shown, *remarks(result.notes)]


def _title(result: Allocation) -> str:
    law, target = result.surface.law.name, result.surface.law.target.name
    if result.minimised:
        return f"Cheapest run to a {target} of {result.loss:.5g} by {law}"
    limited = [each for each in result.costs if each.at_most is not None]
    if len(limited) == 1 and limited[0].name == "training" and result.interior:
        return f"Optimal split of {limited[0].at_most:.4g} FLOPs by {law}"
    spent = " and ".join(f"{each.at_most:.4g} {each.unit}" for each in limited)
    return f"Best run for {spent} by {law}" if spent else f"Best run by {law}"


def _least(result: Allocation) -> str:
    target = result.surface.law.target
    return f"the {'highest' if target.higher_is_better else 'least'} {target.name}"


def _deviation_table(result: Allocation) -> Any:
    target = result.surface.law.target.name
    rows: list[tuple[str, ...]] = [
        (
            f"{entry.params / result.params:.3g} N*",
            format_quantity(entry.params),
            format_quantity(entry.tokens),
            f"{entry.loss:.5g}",
            f"+{100 * entry.loss_increase:.2f} %",
            _wasted(entry.compute_share),
        )
        for entry in result.deviations
    ]
    if result.minimised:
        names = ("size", "N", "D", target, f"{result.minimised} wasted")
        shorter = [(*row[:4], row[5]) for row in rows]
        return table(f"Other sizes for the same {target}", names, shorter)
    budgets = {each.name for each in result.costs if each.at_most is not None}
    spent = "compute" if budgets <= {"training"} else "budget"
    columns = ("size", "N", "D", target, f"{target} increase", f"{spent} wasted")
    return table(f"Other sizes at the same {spent}", columns, rows)


def _interval(result: Allocation, name: str) -> str:
    if name == "loss":
        known = result.lower < result.upper
        return f"{result.lower:.5g} to {result.upper:.5g}" if known else ""
    if name not in result.intervals:
        return ""
    low, high = result.intervals[name]
    if name in ("params", "tokens"):
        return f"{format_quantity(low)} to {format_quantity(high)}"
    return f"{low:.3g} to {high:.3g}"


def _wasted(compute_share: float) -> str:
    # No budget at all may reach the loss of a size far from the optimum.
    return f"{max(0.0, 100 * (1 - compute_share)):.0f} %" if isfinite(compute_share) else "unknown"
