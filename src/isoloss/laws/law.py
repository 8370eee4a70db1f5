"""What a law is: a formula with named parameters, and the coordinates in which it is fitted."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import sympy

from isoloss.arrays import Array
from isoloss.errors import InputError
from isoloss.laws.compilation import Evaluator
from isoloss.laws.formula import parse_formula
from isoloss.laws.printing import to_javascript, to_latex


@dataclass(frozen=True)
class Parameter:
    """A parameter of a law.

    Attributes:
        name: as the paper calls it.
        lower: smallest allowed value.
        upper: largest allowed value.
        start: range from which fits start, in the law's working coordinates (see `Coordinates`);
            not needed for linear parameters, which are projected.
        unit: formula of the parameter's natural size at the centre of a table, over the inputs,
            `loss` and the other parameters, for example `params**alpha * loss`. Left empty, it
            follows from the formula for a linear parameter, and is 1 for any other.
        typical: mean and standard deviation of a Gaussian prior in the law's working coordinates;
            fits are held near it as far as the data leave the parameter open. None for no hold.
    """

    name: str
    lower: float = -math.inf
    upper: float = math.inf
    start: tuple[float, float] = (0.0, 1.0)
    unit: str = ""
    typical: tuple[float, float] | None = None


def positive(
    name: str, *, start: tuple[float, float] = (0.05, 1.0), upper: float = math.inf, unit: str = ""
) -> Parameter:
    """A parameter that is never negative, such as an irreducible loss or an exponent."""
    return Parameter(name, 0.0, upper, start, unit)


def real(
    name: str,
    *,
    start: tuple[float, float],
    lower: float = -math.inf,
    upper: float = math.inf,
    unit: str = "",
) -> Parameter:
    """A parameter of either sign, optionally bounded."""
    return Parameter(name, lower, upper, start, unit)


@dataclass(frozen=True)
class Input:
    """A column that a law reads.

    Attributes:
        name: the column.
        symbol: LaTeX symbol.
        unit: what one counts.
        positive: whether it is a positive number; laws are then centred on its geometric mean and
            see its logarithm. Any other number, such as a share of a mixture, is taken as it is.
        improves: whether more of it never makes a model worse: a law that says otherwise at a
            point is not believed there.
        usual: from where to where it usually lies.
    """

    name: str
    symbol: str
    unit: str
    positive: bool = True
    improves: bool = False
    usual: tuple[float, float] = (1e6, 1e12)


PARAMS = Input("params", "N", "parameters", improves=True)
TOKENS = Input("tokens", "D", "training tokens", improves=True)


@dataclass(frozen=True)
class Target:
    """The column that a law predicts.

    Attributes:
        name: the column.
        symbol: LaTeX symbol.
        unit: what it is measured in.
        positive: whether it is a positive number; errors are then relative ones.
        higher_is_better: whether a better model has more of it, as of an accuracy.
    """

    name: str
    symbol: str
    unit: str
    positive: bool = True
    higher_is_better: bool = False


LOSS = Target("loss", "L", "the table's own unit")


@dataclass(frozen=True)
class Published:
    """A set of coefficients from the literature, at full precision.

    Attributes:
        name: short name, unique within the law.
        parameters: value of each parameter under the paper's name.
        source: paper, equation or file.
        data: what was fitted.
        loss: unit of the loss.
        params: which parameters N counts, "total" or "nonembedding".
        warning: why the numbers should be used with care, empty where there is no reason.
    """

    name: str
    parameters: Mapping[str, float]
    source: str
    data: str
    loss: str
    params: str
    warning: str = ""


@dataclass(frozen=True)
class Coordinates:
    """Well-conditioned parameters in which a law is fitted, and the exact map to the published.

    Formulas may use the constants `params0`, `tokens0`, ... (the geometric means of a table's
    inputs) and `loss0` (that of what is predicted, under its own name).

    Attributes:
        parameters: the working parameters, of order one.
        formula: the law over working parameters, inputs and constants.
        published: formula of each published parameter over working parameters and constants.
        working: formula of each working parameter over published parameters and constants.
        linear: working parameters in which the law is linear once the others are fixed.
    """

    parameters: tuple[Parameter, ...]
    formula: str
    published: Mapping[str, str]
    working: Mapping[str, str]
    linear: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Law:
    """A scaling law.

    Attributes:
        name: as used on the command line.
        title: a few words for people.
        formula: the prediction in Python syntax, over `inputs` and `parameters`.
        parameters: the published parameters.
        source: paper and equation.
        inputs: the columns the law reads.
        target: the column that it predicts.
        linear: parameters in which the law is linear once the others are fixed; of no use beside
            `coordinates`, which have their own.
        coordinates: where fits happen, unless the scaling by `Parameter.unit` is enough.
        optimum: formula of the compute-optimal N over the parameters and `flops`, for
            C = 6 N D, where one is known in closed form.
        params: which parameters N counts in the paper, "total" or "nonembedding".
        published: coefficient sets from the literature.
        remark: what a user should know before using it.
        standing: how much more often than a law of one's own it is taken to extrapolate well,
            before a table has been seen: the prior odds in a weighted forecast. A law whose
            standing is 0 takes part only where no law that has one does.
        stages: the authors' own method, where they do not minimise an objective: the published
            parameters from the inputs and the target of each run.
    """

    name: str
    title: str
    formula: str
    parameters: tuple[Parameter, ...]
    source: str
    inputs: tuple[Input, ...] = (PARAMS, TOKENS)
    target: Target = LOSS
    linear: tuple[str, ...] = ()
    coordinates: Coordinates | None = None
    optimum: str = ""
    params: str = "total"
    published: tuple[Published, ...] = field(default=())
    remark: str = ""
    standing: float = 1.0
    stages: Callable[[Sequence[Array], Array], dict[str, float]] | None = None

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of the published parameters, in order."""
        return tuple(parameter.name for parameter in self.parameters)

    @property
    def columns(self) -> dict[str, bool]:
        """The columns of a table that the law needs, and whether each is a positive number."""
        inputs = {entry.name: entry.positive for entry in self.inputs}
        return {**inputs, self.target.name: self.target.positive}

    @property
    def is_surface(self) -> bool:
        """Whether the law is a loss surface: it reads N and D alone and predicts the loss."""
        return set(self.columns) == {PARAMS.name, TOKENS.name, LOSS.name}

    @functools.cached_property
    def symbols(self) -> dict[str, Any]:
        """SymPy symbol of each input and published parameter."""
        return {
            **{
                entry.name: sympy.Symbol(entry.name, **{_assumption(entry.positive): True})
                for entry in self.inputs
            },
            **{entry.name: parameter_symbol(entry) for entry in self.parameters},
        }

    @functools.cached_property
    def expression(self) -> Any:
        """The formula as a SymPy expression."""
        return parse_formula(self.formula, self.symbols, where=f"law {self.name}")

    @functools.cached_property
    def evaluator(self) -> Evaluator:
        """The formula compiled over published parameters and raw inputs."""
        return Evaluator(
            self.expression,
            tuple(self.symbols[name] for name in self.parameter_names),
            tuple(self.symbols[entry.name] for entry in self.inputs),
        )

    def require_parameters(self, given: Iterable[str]) -> None:
        """Check that the names given are those of the published parameters.

        Raises:
            InputError: a parameter is missing or unknown.
        """
        if set(given) != set(self.parameter_names):
            raise InputError(
                "wrong parameters",
                where=f"law {self.name}",
                found=", ".join(sorted(given)) or "none",
                expected=", ".join(self.parameter_names),
            )

    def predict(self, parameters: Mapping[str, npt.ArrayLike], **inputs: npt.ArrayLike) -> Array:
        """What the law predicts at the given inputs under published parameters.

        Args:
            parameters: value of every parameter, by name; arrays broadcast with the inputs.
            inputs: value of every input, by name, for example `params=70e9, tokens=1.4e12`.

        Raises:
            InputError: a parameter or input is missing or unknown.
        """
        self.require_parameters(parameters)
        wanted = [entry.name for entry in self.inputs]
        if set(inputs) != set(wanted):
            raise InputError(
                "wrong inputs",
                where=f"law {self.name}",
                found=", ".join(sorted(inputs)) or "none",
                expected=", ".join(wanted),
            )
        arrays = [np.asarray(inputs[name], dtype=np.float64) for name in wanted]
        values = [np.asarray(parameters[name], dtype=np.float64) for name in self.parameter_names]
        with np.errstate(all="ignore"):
            return self.evaluator.value(values, arrays)

    def optimal_params(
        self, parameters: Mapping[str, npt.ArrayLike], flops: npt.ArrayLike
    ) -> Array | None:
        """Compute-optimal N for C = 6 N D in closed form; None where the law has none."""
        if not self.optimum:
            return None
        values = [np.asarray(parameters[name], dtype=np.float64) for name in self.parameter_names]
        with np.errstate(all="ignore"):
            return self._optimum.value(values, (np.asarray(flops, dtype=np.float64),))

    @functools.cached_property
    def _optimum(self) -> Evaluator:
        flops = sympy.Symbol("flops", positive=True)
        names = {name: self.symbols[name] for name in self.parameter_names}
        where = f"optimum of law {self.name}"
        expression = parse_formula(self.optimum, {**names, "flops": flops}, where=where)
        return Evaluator(expression, tuple(names.values()), (flops,))

    def published_set(self, name: str) -> Published:
        """The published coefficients with that name.

        Raises:
            InputError: there is no such set.
        """
        for published in self.published:
            if published.name == name:
                return published
        raise InputError(
            "unknown coefficient set",
            where=f"law {self.name}",
            found=name,
            expected="one of " + (", ".join(entry.name for entry in self.published) or "none"),
        )

    @property
    def equation(self) -> str:
        """What the law predicts and its formula, for example `loss = E + A/params**alpha`."""
        return f"{self.target.name} = {self.formula}"

    def latex(self) -> str:
        """The law as LaTeX, for example L(N, D) = ..."""
        spelling = {self.symbols[entry.name]: entry.symbol for entry in self.inputs}
        arguments = ", ".join(entry.symbol for entry in self.inputs)
        return f"{self.target.symbol}({arguments}) = {to_latex(self.expression, spelling)}"

    def javascript(self) -> str:
        """The law as a JavaScript function over {inputs} and {parameters}, of its target."""
        inputs = [entry.name for entry in self.inputs]
        return to_javascript(self.expression, inputs, self.parameter_names, self.target.name)

    def to_json(self) -> dict[str, Any]:
        """Everything a program needs to show and evaluate the law."""
        return {
            "name": self.name,
            "title": self.title,
            "formula": self.formula,
            "latex": self.latex(),
            "javascript": self.javascript(),
            "source": self.source,
            "inputs": [vars(entry) for entry in self.inputs],
            "target": vars(self.target),
            "parameters": list(self.parameter_names),
            "linear": list(self.linear),
            "params": self.params,
            "remark": self.remark,
            "published": [
                {**vars(entry), "parameters": dict(entry.parameters)} for entry in self.published
            ],
        }


def column_symbol(name: str) -> str:
    """LaTeX symbol of a column that is known by its name alone."""
    return rf"\mathrm{{{name}}}".replace("_", r"\_")


def parameter_symbol(parameter: Parameter) -> Any:
    """The parameter's SymPy symbol; a known sign lets SymPy simplify powers."""
    return sympy.Symbol(parameter.name, **{_assumption(parameter.lower >= 0): True})


def _assumption(positive: bool) -> str:
    """SymPy's word for what is known of a number."""
    return "positive" if positive else "real"
