"""Why there is no plan, and what would be the nearest to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from isoloss.arrays import Array
from isoloss.errors import FitError, InputError
from isoloss.planning.costs import Cost
from isoloss.planning.limits import Spend, TokenBound
from isoloss.planning.path import TargetPath, longest_path
from isoloss.planning.search import minimise
from isoloss.planning.setting import TOKENS_PER_PARAM, Setting
from isoloss.planning.solving import solve

# Sizes at which the best reachable prediction is looked for.
_SCAN = 400
# Stands for an endless run of an endless model.
_ENDLESS = 1e200


def unbounded() -> InputError:
    """Nothing limits the training tokens of a law whose loss always falls with them."""
    return InputError(
        "nothing limits the training",
        where="limits",
        expected="a budget of FLOPs, money or hours, or max_tokens",
    )


def nothing_allowed(setting: Setting) -> InputError:
    """No size has any tokens left between the floor and the ceiling of the limits."""
    tops = [each for each in setting.tops if each.given]
    bottoms = [each for each in setting.bottoms if each.given] or list(setting.bottoms)
    sizes = np.geomspace(setting.bounds.low, setting.bounds.high, _SCAN)
    most = np.minimum.reduce([each.tokens(sizes) for each in tops])
    least = np.maximum.reduce([each.tokens(sizes) for each in bottoms])
    # The size that comes nearest to having any tokens left says what stands in the way.
    nearest = sizes[int(np.argmax(np.maximum(most, 0.0) / least))]
    if np.any(most >= least):
        high = setting.bounds.high
        ratio = setting.tops[-1].tokens(np.asarray(high)) / high
        return InputError(
            "every size allowed would train on more tokens than the search looks at",
            where=setting.bounds.high_name or "limits",
            found=f"at most {high:g} parameters, {float(ratio):g} or more tokens for each",
            expected="larger sizes, or max_tokens",
        )
    top, bottom = _binding(tops, nearest, least=True), _binding(bottoms, nearest, least=False)
    params, needed = np.asarray(nearest), float(bottom.tokens(np.asarray(nearest)))
    named = f"{nearest:g} parameters" if nearest > 1 else "even one parameter"
    why = f" by {bottom.name}" if bottom.given else ""
    spend = next((each for each in setting.limits.spend if each.cost.name == top.name), None)
    if spend is None:
        return InputError(
            "contradictory limits",
            where=top.name,
            found=f"at most {float(top.tokens(params)):g} tokens for {named}, at least "
            f"{needed:g}{why}",
            expected=f"{top.name} that leaves {needed:g} tokens",
        )
    amount, unit = float(spend.cost.amount(params, needed)), spend.cost.unit
    return InputError(
        "the budget is too small",
        where=top.name,
        found=f"{spend.at_most:g} {unit}, when training {named} on {needed:g} tokens{why} "
        f"takes {amount:g}",
        expected=f"at least {amount:g} {unit}",
    )


def no_optimum(setting: Setting) -> FitError:
    """The prediction has no minimum inside the search, and no limit ends it."""
    law = setting.surface.law
    low, high = TOKENS_PER_PARAM
    return FitError(
        f"law {law.name} has no optimal size under these limits: its {law.target.name} has no "
        f"interior {'maximum' if setting.sign < 0 else 'minimum'} between {low:g} and {high:g} "
        "tokens per parameter. Set min_params or max_params to bound the sizes"
    )


def no_cheapest(setting: Setting, cost: Cost) -> FitError:
    """A target can be reached, but the cost has no minimum inside the search."""
    low, high = TOKENS_PER_PARAM
    return FitError(
        f"law {setting.surface.law.name} has no cheapest size under these limits: its cost of "
        f"{cost.name} has no interior minimum between {low:g} and {high:g} tokens per parameter. "
        "Set min_params or max_params to bound the sizes"
    )


def out_of_reach(setting: Setting, target: float) -> FitError:
    """No run within the limits reaches a prediction; says which one comes nearest."""
    law, sign = setting.surface.law, setting.sign
    lowest, verb = ("highest", "rises above") if sign < 0 else ("lowest", "falls below")
    wanted = f"a {law.target.name} of {target:g}"
    params, tokens, best = _nearest(setting)
    floor = _floor(setting)
    at = f"{best:.5g} with N={params:.4g}, D={tokens:.4g}"
    if np.isfinite(floor) and sign * target <= sign * floor:
        return FitError(
            f"no run reaches {wanted}: law {law.name} never {verb} {floor:.5g}. The {lowest} "
            f"within the limits is {at}"
        )
    return FitError(
        f"no run within the limits reaches {wanted}: the {lowest} that law {law.name} gives there "
        f"is {at}{_price_of(setting, target)}"
    )


def _price_of(setting: Setting, target: float) -> str:
    """What a target takes of the one thing that is limited, where more of it would do."""
    if len(setting.limits.spend) != 1:
        return ""
    cost = setting.limits.spend[0].cost
    free = setting.rebound(replace(setting.limits, spend=()), setting.working)
    least = float(np.exp(solve(TargetPath(free, cost, np.asarray([target]))).value[0]))
    if not np.isfinite(least):
        return ""
    return f". Without the limit on {cost.name} it takes {least:.4g} {cost.unit}"


def too_dear(setting: Setting, target: float, spend: Spend, least: float) -> FitError:
    """A target can be reached, but not for what may be spent."""
    name, unit = setting.surface.law.target.name, spend.cost.unit
    within = setting.rebound(
        replace(setting.limits, spend=(*setting.limits.spend, spend)), setting.working
    )
    params, tokens, best = _nearest(within)
    return FitError(
        f"reaching a {name} of {target:g} takes at least {least:.4g} {unit} ({spend.cost.name}), "
        f"and the limit is {spend.at_most:.4g}. The nearest that it allows is {best:.5g} with "
        f"N={params:.4g}, D={tokens:.4g}"
    )


def _nearest(setting: Setting) -> tuple[float, float, float]:
    """N, D and the prediction of the best run that limits allow."""
    path = longest_path(setting)
    over = path.over()
    found = minimise(path, over, setting.working.shape[1])
    log_params = found.log_params[0]
    if np.isnan(log_params):
        ends = np.broadcast_to(np.linspace(over.low[0], over.high[0], _SCAN)[:, None], (_SCAN, 1))
        values = path.value(ends, slice(0, 1))[:, 0]
        log_params = ends[int(np.nanargmin(values)), 0]
    params = np.exp(np.asarray([[log_params]]))
    tokens = np.asarray(path.tokens(params, slice(0, 1)))
    best = setting.predict(params, tokens, slice(0, 1))
    return float(params[0, 0]), float(tokens.ravel()[0]), float(best.ravel()[0])


def _floor(setting: Setting) -> float:
    """What the law predicts of an endless run of an endless model, NaN where it says nothing."""
    endless: Array = np.asarray([_ENDLESS])
    floor = float(np.ravel(setting.predict(endless, endless, slice(0, 1)))[0])
    _, _, best = _nearest(setting)
    return floor if setting.sign * floor <= setting.sign * best else np.nan


def _binding(bounds: Sequence[TokenBound], params: float, *, least: bool) -> TokenBound:
    values = [float(bound.tokens(np.asarray(params))) for bound in bounds]
    return bounds[int(np.argmin(values) if least else np.argmax(values))]
