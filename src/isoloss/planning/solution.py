"""From a law and limits to a run: the search, its intervals, and the price of other sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from isoloss.arrays import Array
from isoloss.fitting import Fit
from isoloss.laws import Surface
from isoloss.notes import Note
from isoloss.planning.costs import Cost
from isoloss.planning.counts import ParameterCounts
from isoloss.planning.evidence import (
    beyond_budget,
    falling_again,
    predicted,
    replicate_intervals,
    standing_at,
    untested_ratio,
)
from isoloss.planning.limits import Limits
from isoloss.planning.optimum import NEAR_CHEAPEST, NEAR_OPTIMAL, band_around
from isoloss.planning.path import TargetPath, longest_path
from isoloss.planning.refusals import (
    no_cheapest,
    no_optimum,
    nothing_allowed,
    out_of_reach,
    too_dear,
    unbounded,
)
from isoloss.planning.result import Allocation, Amount, Deviation, Path, both_counts
from isoloss.planning.search import COARSE_GRID, INSIDE, NEAR, REPLICATE_GRID
from isoloss.planning.setting import Setting, setting_of
from isoloss.planning.solving import Solution, solve, solve_closely

# Sizes, as multiples of the optimal one, at which the price of deviating is shown.
DEVIATIONS = (0.25, 0.5, 0.7071067811865476, 1.4142135623730951, 2.0, 4.0)

# A cost that exceeds its limit by less is within it.
_ROUNDING = 1e-9


def best_run(
    law: Fit | Surface,
    limits: Limits,
    given: Mapping[str, float] | None,
    training: Cost,
    counts: ParameterCounts | None,
    level: float,
) -> Allocation:
    """The run of least loss within limits; arguments as of `allocate`."""
    surface = law.surface if isinstance(law, Fit) else law
    setting = setting_of(surface, limits, given, working=surface.working[:, None])
    if not (setting.bounded or setting.free_tokens):
        raise unbounded()
    path = longest_path(setting)
    found = solve(path)
    if not found.possible[0]:
        raise nothing_allowed(setting)
    if np.isnan(found.params[0]):
        raise no_optimum(setting)
    columns: dict[str, Array] = {}
    if surface.replicates.size:
        others = setting_of(surface, limits, given, working=surface.replicates)
        drawn = solve(
            longest_path(others), COARSE_GRID if others.free_tokens else REPLICATE_GRID, NEAR
        )
        columns = {"params": drawn.params, "tokens": drawn.tokens}
    intervals = replicate_intervals(
        surface, columns, level, "under these limits", "an optimum under these limits"
    )
    return _allocation(law, path, found, intervals, training, None, counts, level)


def cheapest_run(
    law: Fit | Surface,
    target: Array,
    cost: Cost,
    limits: Limits,
    given: Mapping[str, float] | None,
    training: Cost,
    counts: ParameterCounts | None,
    level: float,
) -> Allocation:
    """The cheapest run that reaches a prediction, one for the estimate and one a replicate.

    Arguments are those of `cheapest`; `target` holds the estimate's first, then the replicates'.
    """
    surface = law.surface if isinstance(law, Fit) else law
    # What is least needs no limit on the way: in the end it keeps to it, or no run does.
    own = [each for each in limits.spend if _same(each.cost, cost)]
    others = tuple(each for each in limits.spend if not _same(each.cost, cost))
    limits = replace(limits, spend=others)
    setting = setting_of(surface, limits, given, working=surface.working[:, None])
    path = TargetPath(setting, cost, target[:1])
    found = solve_closely(path)
    if not found.possible[0]:
        if not setting.allowed(np.asarray(setting.bounds.low)):
            raise nothing_allowed(setting)
        raise out_of_reach(setting, float(target[0]))
    if np.isnan(found.params[0]):
        raise no_cheapest(setting, cost)
    least = float(cost.amount(found.params[0], found.tokens[0]))
    for each in own:
        if least > each.at_most * (1 + _ROUNDING):
            raise too_dear(setting, float(target[0]), each, least)
    columns: dict[str, Array] = {}
    if surface.replicates.size:
        drawn_setting = setting_of(surface, limits, given, working=surface.replicates)
        drawn = solve(TargetPath(drawn_setting, cost, target[1:]), COARSE_GRID, NEAR)
        spent = cost.amount(drawn.params, drawn.tokens)
        columns = {"params": drawn.params, "tokens": drawn.tokens, cost.name: spent}
    intervals = replicate_intervals(
        surface, columns, level, "for this target", f"a run that reaches {target[0]:g}"
    )
    return _allocation(law, path, found, intervals, training, cost, counts, level)


def _allocation(
    law: Fit | Surface,
    path: Path,
    found: Solution,
    intervals: tuple[dict[str, tuple[float, float]], list[Note]],
    training: Cost,
    minimised: Cost | None,
    counts: ParameterCounts | None,
    level: float,
) -> Allocation:
    setting = path.setting
    params, tokens = float(found.params[0]), float(found.tokens[0])
    point = _at(setting, params, tokens)
    loss, lower, upper, notes = predicted(law, point, level)
    if isinstance(law, Fit):
        notes += beyond_budget(law, 6.0 * params * tokens) + untested_ratio(law, tokens / params)
    deviations = _deviations(path, params, loss, minimised)
    binding = setting.binding(params, tokens)
    # A single bound on tokens, such as the budget, leaves the size to the law.
    of_tokens = [each.name for each in setting.token_bounds if each.name in binding]
    allowance = 0 if minimised or isinstance(path, TargetPath) else 1
    # The sizes that reach a target may be a single one, at both ends and yet at no limit.
    inside = bool(found.end[0] == INSIDE) or not binding
    interior = inside and len(set(of_tokens)) <= allowance
    near = NEAR_CHEAPEST if minimised else NEAR_OPTIMAL
    low, high = band_around(lambda sizes: worth(path, sizes), np.array([params]), near)
    return Allocation(
        float(training.amount(params, tokens)),
        params,
        tokens,
        loss,
        lower,
        upper,
        level,
        intervals[0],
        (float(low[0]), float(high[0])),
        deviations,
        False,
        setting.surface,
        (
            *notes,
            *intervals[1],
            *standing_at(binding, interior),
            *(() if minimised else falling_again(deviations)),
        ),
        path,
        point,
        _amounts(setting.limits, training, minimised, params, tokens),
        minimised.name if minimised else "",
        binding,
        interior,
        both_counts(counts, params),
    )


def _same(one: Cost, other: Cost) -> bool:
    return one is other or (one.name, one.unit) == (other.name, other.unit)


def worth(path: Path, params: Array) -> Array:
    """What a path makes least, on its own scale: a cost as it is, a prediction with its sign."""
    value = path.value(np.log(params), slice(None))
    bounds = path.setting.bounds
    # Rounding must not shut out an optimum that stands at a bound.
    inside = (params >= bounds.low * (1 - _ROUNDING)) & (params <= bounds.high * (1 + _ROUNDING))
    return np.where(inside, np.exp(value) if isinstance(path, TargetPath) else value, np.inf)


def _at(setting: Setting, params: float, tokens: float) -> dict[str, float]:
    inputs = setting.inputs(np.asarray(params), np.asarray(tokens))
    return {name: float(value) for name, value in inputs.items()}


def _amounts(
    limits: Limits, training: Cost, minimised: Cost | None, params: float, tokens: float
) -> tuple[Amount, ...]:
    """What a run takes of every cost that the question is about, and of training."""
    costs: dict[tuple[str, str], tuple[Cost, float | None]] = {}
    if minimised:
        costs[minimised.name, minimised.unit] = minimised, None
    for spend in limits.spend:
        costs[spend.cost.name, spend.cost.unit] = spend.cost, spend.at_most
    costs.setdefault((training.name, training.unit), (training, None))
    return tuple(
        Amount(cost.name, cost.unit, float(cost.amount(params, tokens)), at_most)
        for cost, at_most in costs.values()
    )


def _deviations(
    path: Path, params: float, best: float, minimised: Cost | None
) -> tuple[Deviation, ...]:
    """The price of other sizes under the same limits; sizes that these rule out are left out."""
    setting = path.setting
    sizes = params * np.array(DEVIATIONS)
    inside = (sizes >= setting.bounds.low) & (sizes <= setting.bounds.high)
    inside &= setting.allowed(sizes)
    sizes = sizes[inside]
    tokens = np.broadcast_to(path.tokens(sizes[:, None], slice(0, 1)).reshape(-1), sizes.shape)
    reached = np.isfinite(tokens)
    sizes, tokens = sizes[reached], tokens[reached]
    loss = setting.surface.predict(**setting.inputs(sizes, tokens))
    if minimised:
        own = minimised.amount(params, path.tokens(np.array([params]), slice(0, 1))[0])
        share = own / minimised.amount(sizes, tokens)
    else:
        share = _needed_share(setting, params, loss)
    increase = setting.sign * (loss - best) / abs(best)
    rows = zip(sizes, tokens, loss, increase, share, strict=True)
    return tuple(Deviation(*map(float, row)) for row in rows)


def _needed_share(setting: Setting, params: float, loss: Array) -> Array:
    """What the best runs take to reach given losses, as a share of the budget that binds."""
    tokens = float(setting.ceiling(np.asarray(params)))
    names = setting.binding(params, tokens)
    spend = next((each for each in setting.limits.spend if each.cost.name in names), None)
    if spend is None or not loss.size:
        return np.full(loss.shape, np.nan)
    others = tuple(each for each in setting.limits.spend if each is not spend)
    limits = replace(setting.limits, spend=others)
    working = np.repeat(setting.working[:, :1], loss.size, axis=1)
    free = setting.rebound(limits, working)
    found = solve(TargetPath(free, spend.cost, loss), COARSE_GRID, NEAR)
    return spend.cost.amount(found.params, found.tokens) / spend.at_most
