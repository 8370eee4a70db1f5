"""What `isoloss hyperparameters` prints for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any

from isoloss.cli.output import remarks, table, verbatim
from isoloss.quantities import format_quantity

if TYPE_CHECKING:
    from isoloss.hyperparameters import (
        CriticalBatch,
        FrontRelation,
        HeldOutCell,
        Recommendation,
        Rule,
        SweepFit,
        Transfer,
        Trial,
        Variable,
    )

# Batches are also shown in sequences of this many tokens.
_SEQUENCE = 2048


def rule_tables(answers: Sequence[Sequence[Recommendation]]) -> list[Any]:
    """Recommendations for each point, and what the rules are made of."""
    shown: list[Any] = [_recommendations(each) for each in answers]
    shown.append(
        table(
            "What the rules are made of, and their traps",
            ("rule", "N counts", "source, domain, warnings"),
            [row for entry in answers[0] for row in _traps(entry.rule)],
            numbers=False,
        )
    )
    return [*shown, *(line for each in answers for entry in each for line in remarks(entry.notes))]


def _traps(rule: Rule) -> list[tuple[str, str, str]]:
    first = (rule.title, rule.params, f"{rule.source}: {rule.domain}")
    return [first, *(("", "", warning) for warning in rule.warnings)]


def transfer_tables(found: Transfer) -> list[Any]:
    """The optimum of each width, and whether it stays put."""
    over, along, level = found.name, found.along, found.level
    rows = [
        (
            f"{each.cell.at[along]:g}",
            f"{each.values[over]:.4g}",
            _span(each.interval(over, level)),
            f"{each.loss:.5g}",
            f"{100 * cost:.3f} %",
        )
        for each, cost in zip(found.optima, found.costs, strict=True)
    ]
    low, high = found.slope_interval
    heads = (along, over, f"{100 * level:g} % interval", "loss", "cost of the narrowest's")
    return [
        table(f"Best {over} by {along}", heads, rows),
        f"power of {along}: {found.slope:.3g}, {100 * level:g} % interval {low:.3g} to {high:.3g}",
        found.verdict,
    ]


def _recommendations(answers: Sequence[Recommendation]) -> Any:
    first = answers[0]
    return table(
        f"{format_quantity(first.params)} parameters on {format_quantity(first.tokens)} tokens",
        ("rule", "learning rate", "batch, tokens", f"sequences of {_SEQUENCE}"),
        [
            (
                each.rule.title,
                f"{each.learning_rate:.4g}" if isfinite(each.learning_rate) else "-",
                format_quantity(each.batch_tokens, 4) if isfinite(each.batch_tokens) else "-",
                f"{each.batch_tokens / _SEQUENCE:.0f}" if isfinite(each.batch_tokens) else "-",
            )
            for each in answers
        ],
    )


def sweep_tables(
    found: SweepFit,
    asked: Sequence[dict[str, float]],
    held_out: Sequence[HeldOutCell],
    share: float,
    level: float,
) -> list[Any]:
    """Optima of cells, the laws over them, and what they predict."""
    names = list(found.laws)
    kept = [each for each in found.optima if each.bowl is not None]
    rows = [
        (
            _cell_text(each.cell.at),
            *(
                text
                for name in names
                for text in (_value(name, each.values[name]), _spread(each.errors[name]))
            ),
            f"{each.loss:.4f}",
            f"{each.cell.loss.min():.4f}",
            f"{each.found.weights.astype(bool).sum()}/{each.cell.loss.size}",
        )
        for each in kept
    ]
    heads = [text for name in names for text in (name, "+-")]
    shown: list[Any] = [
        table("Optimum of each cell", ("N : D", *heads, "loss", "best run", "runs near it"), rows)
    ]
    shown += [verbatim(law.formula()) for law in found.laws.values()]
    for law in found.laws.values():
        powers = ", ".join(
            f"{name} {low:.3g} to {high:.3g}"
            for name, (low, high) in law.exponent_intervals(level).items()
        )
        known = f"powers at {100 * level:g} %: {powers or 'unknown'}; " if law.inputs else ""
        scatter = f"cells scatter by {_spread(law.scatter)} beyond their errors"
        shown.append(f"{law.name}: {known}{scatter}")
    if asked:
        shown.append(
            table(
                "Predicted optimum",
                (
                    "N : D",
                    *[t for name in names for t in (name, f"{100 * level:g} % interval")],
                    "beyond the cells",
                ),
                [
                    (
                        _cell_text(point),
                        *(
                            text
                            for name, law in found.laws.items()
                            for text in (
                                _value(name, law.at(point)),
                                _span(law.interval(point, level)),
                            )
                        ),
                        _reach(max(law.reach(point) for law in found.laws.values())),
                    )
                    for point in asked
                ],
            )
        )
    if held_out:
        within = sum(each.within(share) for each in held_out)
        shown += [
            table(
                "Held-out cells, judged by their own runs",
                ("N : D", *names, "costs"),
                [
                    (
                        _cell_text(each.cell.at),
                        *(_value(name, each.predicted[name]) for name in names),
                        f"{100 * each.excess:.3f} %",
                    )
                    for each in held_out
                ],
            ),
            f"{within} of {len(held_out)} predictions cost at most {100 * share:g} % of the loss",
        ]
    return [*shown, *remarks(found.notes)]


def critical_batch_tables(found: CriticalBatch, level: float) -> list[Any]:
    """What each loss takes, and the law of the critical batch."""
    low, high = found.scale_interval(level)
    small, large = found.alpha_interval(level)
    rows = [
        (
            f"{each.loss:.4f}",
            str(each.batch.size),
            format_quantity(each.least_steps),
            format_quantity(each.least_tokens),
            format_quantity(each.critical) if isfinite(each.critical) else "-",
            format_quantity(float(found.at(each.loss))),
            " to ".join(format_quantity(end) for end in found.interval(each.loss, level)),
        )
        for each in found.levels
    ]
    return [
        table(
            "What a loss takes: E = E_min + S_min B",
            ("loss", "runs", "S_min", "E_min", "E_min/S_min", "B_crit", f"{100 * level:g} %"),
            rows,
        ),
        verbatim(f"B_crit(L) = {found.scale:.4g} tokens / L^(1/{found.alpha:.4g})"),
        f"B_* {low:.3g} to {high:.3g} tokens, alpha_B {small:.3g} to {large:.3g} at "
        f"{100 * level:g} %; at B = B_crit a loss takes 2 S_min steps and 2 E_min tokens",
        *remarks(found.notes),
    ]


def tuning_tables(
    front: Sequence[Trial],
    variables: Sequence[Variable],
    relations: Sequence[FrontRelation],
    costs: Sequence[float],
    level: float,
) -> list[Any]:
    """The front, how the best values go with cost along it, and what to expect elsewhere."""
    names = [variable.name for variable in variables]
    shown = [
        table(
            "The front: no run of lower cost has a lower loss",
            ("cost", "loss", *names),
            [
                (
                    format_quantity(trial.cost),
                    f"{trial.loss:.5g}",
                    *(_setting(trial.values[name]) for name in names),
                )
                for trial in front
            ],
        )
    ]
    if relations:
        shown.append(
            table(
                "Along the front",
                ("", "at cost", "value", "power of cost", f"{100 * level:g} % interval"),
                [
                    (
                        each.variable.name,
                        format_quantity(each.middle),
                        f"{each.at(each.middle):.4g}",
                        f"{each.slope:.3g}" if each.variable.log else f"{each.slope:.3g} per ln",
                        _span(each.slope_interval(level)),
                    )
                    for each in relations
                ],
            )
        )
    return [*shown, *(_expected(relations, cost, level) for cost in costs if relations)]


def _expected(relations: Sequence[FrontRelation], cost: float, level: float) -> Any:
    return table(
        f"Expected at cost {format_quantity(cost)}",
        ("", "value", f"{100 * level:g} % interval", ""),
        [
            (
                each.variable.name,
                f"{each.at(cost):.4g}",
                _span(each.interval(cost, level)),
                "cut off at the end of its range" if each.leaves_range(cost) else "",
            )
            for each in relations
        ],
    )


def _cell_text(at: Mapping[str, float]) -> str:
    return f"{format_quantity(at['params'])}:{format_quantity(at['tokens'])}"


def _value(name: str, value: float) -> str:
    return format_quantity(value) if value >= 1e3 else f"{value:.4g}"


def _setting(value: float | int | str) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _reach(times: float) -> str:
    return f"{times:.3g} x" if times > 1 else "-"


def _spread(error: float) -> str:
    return f"{100 * error:.0f} %"


def _span(pair: tuple[float, float]) -> str:
    low, high = (
        format_quantity(end) if abs(end) >= 1e3 and end > 0 else f"{end:.3g}" for end in pair
    )
    return f"{low} to {high}"
