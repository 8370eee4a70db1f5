"""From a sweep to its plan: the grid, what of it the budget allows, and every run of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import polars as pl

from isoloss.architecture import TransformerShape, training_flops_per_token
from isoloss.errors import InputError
from isoloss.notes import Note
from isoloss.quantities import format_quantity
from isoloss.training.grid import (
    Cell,
    cell_flops,
    cells_where,
    chosen_cells,
    grid_cells,
    held_out_cells,
)
from isoloss.training.plan import Plan, PlannedRun, trunks_first
from isoloss.training.size_rules import SizeRule
from isoloss.training.sweep import Recipe, Sweep
from isoloss.training.template import check_template, template_fields

_SECONDS_PER_HOUR = 3600.0


def make_plan(sweep: Sweep) -> Plan:
    """The runs of a sweep: exact shapes, steps, batch, learning rate, FLOPs, time and cost.

    D becomes a whole number of steps, and a step a whole number of sequences. Under a WSD schedule
    the runs of one size, recipe and seed share a trunk at the constant rate and branch off it for
    their decays (Hu et al. 2024, arXiv:2404.06395; Hägele et al. 2024, arXiv:2405.18392); batch
    and rate of a trunk are those for the geometric mean of its D. Points to be held out are always
    trained from begin to end.

    Raises:
        InputError: there are no runs or too many, a shape or a step cannot be had, the budget
            is below the smallest run, or the command names an unknown field.
    """
    every = grid_cells(sweep)
    grid = _within_run_budget(sweep, cells_where(sweep, every))
    held_out = held_out_cells(sweep)
    kept = _within_total_budget(sweep, grid)
    runs = _runs(sweep, [*kept, *held_out])
    notes = [*_budget_notes(len(every), len(kept)), *_rule_notes(sweep, runs)]
    plan = Plan(
        source=str(sweep.source),
        directory=str(sweep.directory),
        trainer=sweep.trainer,
        counted=sweep.family.counted,
        convention=sweep.convention,
        runs=trunks_first(runs),
        preparation=sweep.preparation,
        notes=tuple(notes),
    )
    _check_trainer(sweep, plan)
    return plan


def _within_run_budget(sweep: Sweep, cells: list[Cell]) -> list[Cell]:
    limit = sweep.budget.flops_per_run
    if limit is None:
        return cells
    kept = [cell for cell in cells if cell_flops(sweep, cell) <= limit]
    if not kept:
        least = min(cell_flops(sweep, cell) for cell in cells)
        raise _below_smallest(sweep, "flops_per_run", limit, least, "FLOPs")
    return kept


def _within_total_budget(sweep: Sweep, cells: list[Cell]) -> list[Cell]:
    """As many of the cells, the cheapest first, as the budget pays for."""
    limits = [
        (name, limit, spend)
        for name, limit, spend in (
            ("flops", sweep.budget.flops, lambda plan: sum(run.spent_flops for run in plan)),
            ("hours", sweep.budget.hours, _hours),
            ("cost", sweep.budget.cost, _cost),
        )
        if limit is not None
    ]
    if not limits:
        return cells
    if sweep.budget.hours is not None or sweep.budget.cost is not None:
        _check_speed(sweep)
    by_cost = sorted(cells, key=lambda cell: cell_flops(sweep, cell))

    def pays_for(count: int) -> bool:
        runs = _runs(sweep, by_cost[:count])
        return all(spend(runs) <= limit for _, limit, spend in limits)

    if not pays_for(1):
        runs = _runs(sweep, by_cost[:1])
        name, limit, spend = next(each for each in limits if each[2](runs) > each[1])
        raise _below_smallest(sweep, name, limit, spend(runs), "FLOPs" if name == "flops" else name)
    most, too_many = 1, len(by_cost) + 1
    while too_many - most > 1:
        middle = (most + too_many) // 2
        most, too_many = (middle, too_many) if pays_for(middle) else (most, middle)
    affordable = set(by_cost[:most])
    return [cell for cell in cells if cell in affordable]


def _check_speed(sweep: Sweep) -> None:
    speed = sweep.speed
    if speed.flops_per_second is None and speed.table is None:
        raise InputError(
            "no measured speed for a budget in hours or money",
            where=f"{sweep.source}: throughput",
            expected="flops_per_second = ..., or table = FILE",
        )
    if sweep.budget.cost is not None and speed.price_per_hour is None:
        raise InputError(
            "no price", where=f"{sweep.source}: throughput", expected="price_per_hour = ..."
        )


def _below_smallest(sweep: Sweep, name: str, limit: float, least: float, unit: str) -> InputError:
    return InputError(
        "the budget is below the smallest run",
        where=f"{sweep.source}: budget.{name}",
        found=f"{limit:.3g}",
        expected=f"at least {least:.3g} {unit}, all recipes and seeds of one cell",
    )


def _runs(sweep: Sweep, cells: Sequence[Cell]) -> list[PlannedRun]:
    """Every run of some cells, priced."""
    price = _pricing(sweep)
    more = sweep.replicates
    grid = [cell for cell in cells if not cell.held_out]
    replicated = set(chosen_cells(sweep, grid, more.where, "replicates.where") if more else ())
    found: list[PlannedRun] = []
    for recipe in sweep.recipes:
        for seed in dict.fromkeys((*sweep.seeds, *(more.seeds if more else ()))):
            mine = [cell for cell in cells if seed in sweep.seeds or cell in replicated]
            found += _runs_of(sweep, recipe, seed, mine)
    return [price(run) for run in _named(found)]


def _runs_of(
    sweep: Sweep, recipe: Recipe, seed: int, cells: Sequence[Cell]
) -> Iterator[PlannedRun]:
    """The runs of one recipe and seed."""
    together: dict[TransformerShape, list[Cell]] = {}
    for cell in cells:
        if recipe.shares_trunks and not cell.held_out:
            together.setdefault(cell.shape, []).append(cell)
        else:
            batch, rate = _batch_and_rate(sweep, recipe, cell.shape, cell.tokens)
            yield _run(sweep, recipe, seed, cell, batch, rate)
    for shape, members in together.items():
        middle = math.exp(sum(math.log(cell.tokens) for cell in members) / len(members))
        batch, rate = _batch_and_rate(sweep, recipe, shape, middle)
        whole = [_run(sweep, recipe, seed, cell, batch, rate) for cell in members]
        yield from _branched(whole, where=f"{sweep.source}: recipe {recipe.name}: warmup")


def _branched(runs: Sequence[PlannedRun], *, where: str) -> Iterator[PlannedRun]:
    """Runs that differ in D alone as one trunk and a branch each."""
    starts = {run.steps - run.decay_steps for run in runs}
    longest = max(runs, key=lambda run: run.steps)
    if longest.warmup_steps > min(starts) >= 1:
        raise InputError(
            "the warm-up of a trunk is longer than its shortest run has before the decay",
            where=where,
            found=f"{longest.warmup_steps} steps, and a decay from step {min(starts)}",
            expected=f"at most {min(starts) / longest.steps:.3g}, or trunks = false",
        )
    if min(starts) < 1:
        # Nothing is shared with a run that decays from its first step.
        yield from runs
        return
    steps = max(starts)
    trunk = replace(
        longest,
        name=f"{longest.recipe}_N{longest.params}_trunk_seed{longest.seed}",
        kind="trunk",
        steps=steps,
        tokens=steps * longest.batch_tokens,
        flops=longest.flops * steps / longest.steps,
        schedule="constant",
        decay_steps=0,
        keep_checkpoints=tuple(sorted(starts)),
    )
    yield trunk
    for run in runs:
        start = run.steps - run.decay_steps
        # The warm-up is the trunk's: a branch starts after it, or in the midst of the same one.
        yield replace(
            run,
            kind="branch",
            trunk=trunk.name,
            start_step=start,
            warmup_steps=trunk.warmup_steps,
        )


def _run(
    sweep: Sweep, recipe: Recipe, seed: int, cell: Cell, batch: int, rate: float
) -> PlannedRun:
    steps = max(1, round(cell.tokens / batch))
    decay = max(1, round(recipe.decay * steps)) if recipe.schedule == "wsd" else 0
    warmup = min(round(recipe.warmup * steps), steps - max(1, decay))
    params = sweep.family.count(cell.shape)
    per_token = training_flops_per_token(cell.shape, sweep.convention, context=recipe.context)
    tokens = steps * batch
    return PlannedRun(
        name=f"{recipe.name}_N{params}_D{tokens}_seed{seed}",
        kind="run",
        recipe=recipe.name,
        shape=cell.shape,
        params=params,
        tokens=tokens,
        steps=steps,
        batch_tokens=batch,
        context=recipe.context,
        learning_rate=rate,
        schedule=recipe.schedule,
        warmup_steps=max(0, warmup),
        decay_steps=decay,
        seed=seed,
        held_out=cell.held_out,
        flops=float(per_token) * tokens,
        settings=recipe.settings,
    )


def _batch_and_rate(
    sweep: Sweep, recipe: Recipe, shape: TransformerShape, tokens: float
) -> tuple[int, float]:
    batch_rule, rate_rule = _rules(sweep, recipe)
    context = recipe.context
    wanted = batch_rule.at(shape, tokens, context=context)
    batch = context * max(1, round(wanted / context))
    if batch > tokens:
        raise InputError(
            "a run shorter than one step",
            where=f"{sweep.source}: tokens",
            found=f"{format_quantity(tokens)} tokens with a batch of {batch}",
            expected="more tokens, or a smaller batch_tokens or context",
        )
    steps = round(tokens / batch)
    rate = rate_rule.at(shape, steps * batch, context=context, batch_tokens=batch)
    return batch, rate


def _rules(sweep: Sweep, recipe: Recipe) -> tuple[SizeRule, SizeRule]:
    where = f"{sweep.source}: recipe {recipe.name}"
    return (
        SizeRule("batch_tokens", recipe.batch_tokens, f"{where}: batch_tokens"),
        SizeRule("learning_rate", recipe.learning_rate, f"{where}: learning_rate"),
    )


def _named(runs: Sequence[PlannedRun]) -> list[PlannedRun]:
    """Runs under names of their own: two may have the same N and D in whole steps."""
    found: dict[str, PlannedRun] = {}
    for run in runs:
        name, number = run.name, 2
        while name in found:
            name, number = f"{run.name}_{number}", number + 1
        found[name] = replace(run, name=name)
    return list(found.values())


def _pricing(sweep: Sweep) -> Callable[[PlannedRun], PlannedRun]:
    """What adds the predicted time and cost to a run."""
    speed = sweep.speed
    if speed.table is not None:
        from isoloss.planning.throughput import fit_throughput
        from isoloss.runs.files import read_table

        raw = read_table(speed.table)
        fitted = fit_throughput(pl.DataFrame(dict(raw.cells)), speed.terms)

        def seconds(run: PlannedRun) -> float | None:
            columns = {name: _column(run, name, sweep) for name in fitted.columns}
            return float(fitted.seconds_per_token(**columns)) * run.spent_tokens

    else:

        def seconds(run: PlannedRun) -> float | None:
            rate = speed.flops_per_second
            return None if rate is None else run.spent_flops / rate

    def price(run: PlannedRun) -> PlannedRun:
        taken = seconds(run)
        hourly = speed.price_per_hour
        cost = None if taken is None or hourly is None else hourly * taken / _SECONDS_PER_HOUR
        return replace(run, seconds=taken, cost=cost)

    return price


def _column(run: PlannedRun, name: str, sweep: Sweep) -> float:
    value = run.fields().get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(
            "a run has no such number",
            where=f"{sweep.source}: throughput.terms",
            found=name,
            expected="such as params, params_total, n_layers, d_model or batch_tokens",
        )
    return float(value)


def _hours(runs: Sequence[PlannedRun]) -> float:
    return sum(run.seconds or 0.0 for run in runs) / _SECONDS_PER_HOUR


def _cost(runs: Sequence[PlannedRun]) -> float:
    return sum(run.cost or 0.0 for run in runs)


def _budget_notes(all_cells: int, kept: int) -> list[Note]:
    if kept == all_cells:
        return []
    text = f"{kept} of {all_cells} cells of the grid are within the condition and the budget"
    return [Note("cells-left-out", text, details={"kept": kept, "of": all_cells})]


def _rule_notes(sweep: Sweep, runs: Sequence[PlannedRun]) -> list[Note]:
    sizes = [float(run.shape.params_nonembedding) for run in runs]
    tokens = [float(run.tokens) for run in runs if run.gives_row]
    notes: list[Note] = []
    for recipe in sweep.recipes:
        for rule in _rules(sweep, recipe):
            for note in rule.notes((min(sizes), max(sizes)), (min(tokens), max(tokens))):
                if note.message not in [each.message for each in notes]:
                    notes.append(note)
    return notes


def _check_trainer(sweep: Sweep, plan: Plan) -> None:
    """Refuse a command that names an unknown field, or that cannot tell a branch from a run."""
    trainer, where = sweep.trainer, f"{sweep.source}: trainer"
    for run in plan.runs:
        fields = run.fields()
        check_template(trainer.command, fields, where=f"{where}.command")
        trainer.rule.check(fields, where=f"{where}.result")
    named = template_fields(trainer.command, where=where)
    if any(run.kind == "branch" for run in plan.runs) and not named & {"folder", "start_from"}:
        raise InputError(
            "the command does not say where a branch starts",
            where=f"{where}.command",
            found=repr(trainer.command),
            expected="{start_from} or {folder} in it, or trunks = false in [training]",
        )
