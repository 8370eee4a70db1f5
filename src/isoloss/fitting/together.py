"""Several recipes fitted together, with some parameters shared.

Separate fits of one law to recipes with few runs each are ill-conditioned: E and the exponents
trade against each other differently in every fit, and a difference between recipes that exists in
no run appears at the target. Here recipes share what they have in common, and what is left tells
them apart: parameters of their own, or efficiency factors, by which a recipe makes N or D worth
more than in the first recipe (L = law(rho_N N, rho_D D), as in "Towards Robust Scaling Laws for
Optimizers", arXiv:2602.07712).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import sympy

from isoloss.arrays import Array
from isoloss.errors import InputError
from isoloss.fitting.bootstrap import pairs_bootstrap
from isoloss.fitting.identifiability import require_carrying
from isoloss.fitting.objectives import Objective, find_objective
from isoloss.fitting.problem import Problem, Status
from isoloss.fitting.rows import FittedRows
from isoloss.fitting.search import Search, best_of, find_search, solve_starts
from isoloss.fitting.solver import solve
from isoloss.fitting.starts import default_starts, random_starts
from isoloss.fitting.tables import GivenTables
from isoloss.laws import Centre, Law, Parameter, Surface, WorkingLaw, find_law, real, working_law
from isoloss.laws.compilation import Evaluator
from isoloss.laws.law import parameter_symbol
from isoloss.runs import Runs

_CHECKED_STARTS = 8


@dataclass(frozen=True, eq=False)
class JointFit:
    """One law fitted to several recipes at once.

    Attributes:
        surfaces: the law of each recipe, with replicates, by name.
        shared: working parameters that all recipes share.
        efficiency: factor of each input of each recipe but the first, with its 90 % interval
            (NaN without replicates); empty unless asked for.
        objective_value: the sum over all runs.
        status: how the fit ended.
        search: how the optimum was found.
        n_runs: runs of all recipes.
    """

    surfaces: Mapping[str, Surface]
    shared: tuple[str, ...]
    efficiency: Mapping[str, Mapping[str, tuple[float, float, float]]]
    objective_value: float
    status: Status
    search: Search
    n_runs: int

    @property
    def converged(self) -> bool:
        """Whether the fit reached an optimum."""
        return self.status is Status.CONVERGED


@dataclass(frozen=True)
class _Layout:
    """Which working parameter of the joint law is which.

    Attributes:
        law: the law of one recipe.
        recipes: their names.
        own: for each recipe, index into the joint parameters of each of the law's.
        factors: for each recipe, index of the log efficiency of each input; -1 for none.
    """

    law: WorkingLaw
    recipes: tuple[str, ...]
    own: tuple[tuple[int, ...], ...]
    factors: tuple[tuple[int, ...], ...]


def fit_together(
    tables: Mapping[str, Runs],
    law: Law | str,
    shared: Sequence[str] = (),
    *,
    efficiency: Sequence[str] = (),
    objective: Objective | str = "huber",
    bootstrap: int = 0,
    starts: int | None = None,
    seed: int = 0,
    threads: int | None = None,
) -> JointFit:
    """Fit one law to several recipes, sharing some of its parameters.

    Args:
        tables: the runs of each recipe, by name.
        law: a law or the name of one in the catalogue.
        shared: working parameters that all recipes have in common, for laws without coordinates
            of their own the published names; all of them where `efficiency` is given.
        efficiency: inputs, such as ("params", "tokens"), of which every recipe but the first gets
            a factor.
        objective: what is minimised.
        bootstrap: replicates; runs are drawn within each recipe.
        starts: random starts; `default_starts` of the joint law where not given.
        seed: of starts and replicates.
        threads: for the solver.

    Raises:
        FitError: the tables cannot carry the joint law.
        InputError: a name is unknown, or there are fewer than two recipes.
    """
    law = find_law(law) if isinstance(law, str) else law
    objective = find_objective(objective) if isinstance(objective, str) else objective
    base = working_law(law)
    _check(base, tables, shared, efficiency)
    rows = [FittedRows.of(law, runs) for runs in tables.values()]
    inputs = [np.concatenate(column) for column in zip(*(r.inputs for r in rows), strict=True)]
    loss = np.concatenate([each.measured for each in rows])
    member = np.repeat(np.arange(len(tables)), [len(runs) for runs in tables.values()])
    centre = Centre.of(inputs, loss)
    joint, layout = _joint_law(base, tuple(tables), tuple(shared), tuple(efficiency))
    indicators = [(member == recipe).astype(np.float64) for recipe in range(len(tables))]
    logs = (*base.centred_inputs(inputs, centre), *indicators)
    problem = Problem(joint, logs, loss, centre, objective)
    weights = np.ones(loss.size)
    starts = default_starts(len(joint.parameters)) if starts is None else starts
    candidates = random_starts(problem, starts, seed)
    require_carrying(problem, weights, candidates[:, :_CHECKED_STARTS])
    solution = solve_starts(problem, candidates, GivenTables(weights), threads=threads)
    best = best_of(problem, solution, weights)
    replicates = np.empty((best.working.shape[0], 0))
    if bootstrap:
        drawn = pairs_bootstrap(weights, seed, strata=member)
        begin = np.repeat(best.working, bootstrap, axis=1)
        refitted = solve(problem, begin, drawn, threads=threads)
        replicates = refitted.working[:, refitted.converged]
    surfaces = {
        name: _surface(layout, centre, index, best.working[:, 0], replicates)
        for index, name in enumerate(layout.recipes)
    }
    return JointFit(
        surfaces,
        tuple(shared) if not efficiency else tuple(entry.name for entry in base.parameters),
        _efficiencies(layout, best.working[:, 0], replicates),
        float(best.value[0]),
        best.status(0),
        find_search(problem, solution, best, weights, np.arange(loss.size)),
        loss.size,
    )


def _check(
    base: WorkingLaw, tables: Mapping[str, Runs], shared: Sequence[str], efficiency: Sequence[str]
) -> None:
    if len(tables) < 2:
        raise InputError("one recipe cannot share", found=f"{len(tables)}", expected="two or more")
    known = [entry.name for entry in base.parameters]
    inputs = [entry.name for entry in base.law.inputs]
    for kind, names, allowed in (
        ("shared parameter", shared, known),
        ("efficiency of an input", efficiency, inputs),
    ):
        unknown = [name for name in names if name not in allowed]
        if unknown:
            raise InputError(
                f"unknown {kind}",
                where=f"law {base.law.name}",
                found=", ".join(unknown),
                expected="of " + ", ".join(allowed),
            )
    absolute = {symbol.name for symbol in base.evaluator.expression.free_symbols}
    if efficiency and absolute & {f"{name}0" for name in inputs}:
        raise InputError(
            "efficiency factors need a law in which units of N and D cancel",
            where=f"law {base.law.name}",
            expected="a law that is a sum of powers of them",
        )


def _joint_law(
    base: WorkingLaw,
    recipes: tuple[str, ...],
    shared: tuple[str, ...],
    efficiency: tuple[str, ...],
) -> tuple[WorkingLaw, _Layout]:
    """The law of all recipes, with one indicator an input more for each recipe."""
    indicators = [sympy.Symbol(f"is_{index}", real=True) for index in range(len(recipes))]
    parameters: list[Parameter] = []
    own: list[list[int]] = [[] for _ in recipes]
    substitution = {}
    linear = []
    common = [entry.name for entry in base.parameters] if efficiency else shared
    for entry, symbol in zip(base.parameters, base.evaluator.parameters, strict=True):
        copies = 1 if entry.name in common else len(recipes)
        first = len(parameters)
        parameters += [replace(entry, name=f"{entry.name}_{copy}") for copy in range(copies)]
        if entry.name in base.linear:
            linear += [copied.name for copied in parameters[first:]]
        for recipe, places in enumerate(own):
            places.append(first if copies == 1 else first + recipe)
        symbols = [parameter_symbol(copied) for copied in parameters[first:]]
        substitution[symbol] = (
            symbols[0]
            if copies == 1
            else sum(is_it * each for is_it, each in zip(indicators, symbols, strict=True))
        )
    factors = [[-1] * len(base.law.inputs) for _ in recipes]
    for position, (column, symbol) in enumerate(
        zip(base.law.inputs, base.evaluator.inputs, strict=True)
    ):
        if column.name not in efficiency:
            continue
        shift = symbol
        for recipe in range(1, len(recipes)):
            factor = real(f"log_rho_{column.name}_{recipe}", start=(-0.5, 0.5))
            factors[recipe][position] = len(parameters)
            parameters.append(factor)
            shift = shift + indicators[recipe] * parameter_symbol(factor)
        substitution[symbol] = shift
    expression = base.evaluator.expression.subs(substitution, simultaneous=True)
    joint = replace(
        base,
        parameters=tuple(parameters),
        linear=tuple(linear),
        evaluator=Evaluator(
            expression,
            tuple(parameter_symbol(entry) for entry in parameters),
            (*base.evaluator.inputs, *indicators),
            base.evaluator.constants,
        ),
    )
    return joint, _Layout(base, recipes, tuple(map(tuple, own)), tuple(map(tuple, factors)))


def _surface(
    layout: _Layout, centre: Centre, recipe: int, working: Array, replicates: Array
) -> Surface:
    """The law of one recipe around the common centre."""
    own, factors = list(layout.own[recipe]), layout.factors[recipe]
    return Surface(
        layout.law.law,
        centre,
        _recentred(layout.law, centre, working, own, factors),
        np.column_stack(
            [np.empty((len(own), 0))]
            + [_recentred(layout.law, centre, each, own, factors) for each in replicates.T]
        ),
    )


def _recentred(
    law: WorkingLaw, centre: Centre, working: Array, own: list[int], factors: Sequence[int]
) -> Array:
    """Working parameters of a recipe, its efficiency factors taken up by the coefficients."""
    if all(index < 0 for index in factors):
        return working[own]
    shifted = Centre(
        tuple(
            middle / float(np.exp(working[index])) if index >= 0 else middle
            for middle, index in zip(centre.inputs, factors, strict=True)
        ),
        centre.loss,
    )
    return law.to_working(law.to_published(working[own], shifted), centre)


def _efficiencies(
    layout: _Layout, working: Array, replicates: Array
) -> dict[str, dict[str, tuple[float, float, float]]]:
    found: dict[str, dict[str, tuple[float, float, float]]] = {}
    for recipe, factors in zip(layout.recipes, layout.factors, strict=True):
        for entry, index in zip(layout.law.law.inputs, factors, strict=True):
            if index < 0:
                continue
            low, high = float("nan"), float("nan")
            if replicates.size:
                low, high = np.exp(np.quantile(replicates[index], [0.05, 0.95])).tolist()
            value = float(np.exp(working[index]))
            found.setdefault(recipe, {})[entry.name] = (value, low, high)
    return found
