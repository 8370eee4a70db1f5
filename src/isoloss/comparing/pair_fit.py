"""One law fitted to two recipes, whose parameters differ only as far as the runs say so.

Separate fits of sparse tables are ill-conditioned: E and the exponents trade against each other
differently in each, and a difference that no run shows appears at the target. Sharing parameters
outright errs the other way: a real difference in an exponent is forced into a coefficient. Here
every parameter may differ, by an amount drawn from a normal distribution whose width is unknown
too. A narrow width shares the parameter, a wide one fits the recipes separately; the marginal
likelihood of the runs says how much each width counts.

The width is the same for all parameters in units of their effect: the change that moves the log
loss of the table's runs by one, root mean square. Noise is estimated at each width by restricted
maximum likelihood, separately for sums and differences of paired runs, and the posterior at each
width is normal around its maximum (Laplace).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from isoloss.arrays import Array, Indices
from isoloss.comparing.pairing import DIFFERENCE, SINGLE, SUM, Pairing
from isoloss.errors import FitError
from isoloss.laws import Centre, Law, Surface, WorkingLaw, working_law
from isoloss.runs import Runs

# How far apart recipes may be: by a hundredth of a per cent of the loss to a third of it.
WIDTHS = tuple(np.geomspace(1e-4, 0.3, 8).tolist())
# A width with a smaller share changes nothing that could be noticed.
_NEGLIGIBLE = 0.02
# Rounds of estimating noise from residuals and refitting with it.
_ROUNDS = 4
_CLOSE = 0.02
# Residuals of this many deviations begin to count less.
_OUTLYING = 3.0
# Deviations below this, in log loss, are rounding of the table.
_LEAST_NOISE = 1e-6
# Freedom below which a kind of observation says nothing of its own noise.
_LEAST_FREEDOM = 2.0
# Standard deviation of the parameters common to both recipes, in effects: hardly a constraint.
_COMMON_WIDTH = 1.0


@dataclass(frozen=True, eq=False)
class PairFit:
    """A law of two recipes at one width of their difference.

    Attributes:
        surface_a: the law of the first recipe, with draws from the posterior as replicates.
        surface_b: that of the second; its replicates belong to the same draws.
        width: standard deviation of the recipes' difference in each parameter, in its effect on
            the log loss.
        log_marginal: log marginal likelihood of the runs, to compare widths.
        log_evidence: what the runs say for the law, to compare laws: their log likelihood less half
            a log of their number for each parameter that they determine (Schwarz 1978).
        noise_difference: standard deviation of the difference of a pair of runs, in log loss.
        freedom: degrees of freedom behind that noise.
        n_different: how many differences of parameters the runs determine rather than the prior.
    """

    surface_a: Surface
    surface_b: Surface
    width: float
    log_marginal: float
    log_evidence: float
    noise_difference: float
    freedom: float
    n_different: float

    @property
    def law(self) -> Law:
        """The law."""
        return self.surface_a.law


@dataclass(frozen=True, eq=False)
class PairProblem:
    """Two tables and a law, ready to be fitted at any width.

    Attributes:
        law: in its working coordinates.
        centre: common to both tables.
        logs: centred log inputs of each table.
        log_loss: of each table.
        pairing: which runs are pairs.
        middle: working parameters that describe both tables as one.
        effect: change of each parameter that moves the log loss of the runs by one.
    """

    law: WorkingLaw
    centre: Centre
    logs: tuple[tuple[Array, ...], tuple[Array, ...]]
    log_loss: tuple[Array, Array]
    pairing: Pairing
    middle: Array
    effect: Array = field(default_factory=lambda: np.empty(0))

    @classmethod
    def of(
        cls, law: Law, tables: tuple[Runs, Runs], middle: Surface, pairing: Pairing | None = None
    ) -> PairProblem:
        """The problem of two tables.

        Args:
            law: the law.
            tables: the two recipes' runs.
            middle: the law fitted to both tables as one.
            pairing: which runs are pairs; found where not given.

        Raises:
            FitError: the runs are too few for the law.
        """
        base, centre = working_law(law), middle.centre
        count = sum(map(len, tables))
        if count < len(base.parameters) + 2:
            raise FitError(
                f"law {law.name} has {len(base.parameters)} parameters: {count} runs of both "
                "recipes together are too few"
            )
        logs = tuple(
            tuple(base.centred_inputs([runs.positive(entry.name) for entry in law.inputs], centre))
            for runs in tables
        )
        problem = cls(
            base,
            centre,
            (logs[0], logs[1]),
            (np.log(tables[0].positive("loss")), np.log(tables[1].positive("loss"))),
            pairing or Pairing.of(*tables),
            middle.working,
        )
        slopes = np.concatenate([problem.log_predict(middle.working, each)[1] for each in (0, 1)])
        moved = np.sqrt(np.mean(slopes**2, axis=0))
        # A parameter without any effect on these runs stays where it is.
        effect = np.where(moved > 0, 1.0 / np.maximum(moved, 1e-12), 1e-12)
        return replace(problem, effect=effect)

    def log_predict(self, working: Array, table: int) -> tuple[Array, Array]:
        """Log loss at one table's runs, and its derivatives, shape (runs, parameters)."""
        logs = self.logs[table]
        with np.errstate(all="ignore"):
            value, first = self.law.evaluator.gradient(
                list(working), logs, self.law.constants(self.centre)
            )
            value = np.broadcast_to(value, logs[0].shape)
            slopes = np.stack([np.broadcast_to(each, value.shape) for each in first], axis=1)
            return np.log(value), slopes / value[:, None]

    def residuals(self, both: Array) -> tuple[Array, Array]:
        """ln(predicted / measured) of the observations, and its derivatives.

        Args:
            both: working parameters of the first recipe, then of the second.
        """
        count = self.middle.size
        value_a, slopes_a = self.log_predict(both[:count], 0)
        value_b, slopes_b = self.log_predict(both[count:], 1)
        off = self.pairing.observations(value_a - self.log_loss[0], value_b - self.log_loss[1])
        nothing_a, nothing_b = np.zeros_like(slopes_a), np.zeros_like(slopes_b)
        slopes = self.pairing.observations(
            np.hstack([slopes_a, nothing_a]), np.hstack([nothing_b, slopes_b])
        )
        return off, slopes

    def bounds(self) -> tuple[Array, Array]:
        """Bounds of both recipes' parameters."""
        lower = np.array([entry.lower for entry in self.law.parameters])
        upper = np.array([entry.upper for entry in self.law.parameters])
        return np.tile(lower, 2), np.tile(upper, 2)


@dataclass(frozen=True, eq=False)
class _Maximum:
    """The posterior's maximum at one width."""

    both: Array
    noise: Array
    importance: Array
    rows: Array
    residuals: Array
    freedom: Array
    log_likelihood: float
    log_marginal: float


def fit_pair(
    problem: PairProblem,
    widths: Sequence[float] = WIDTHS,
    *,
    draws: int = 200,
    seed: int = 0,
) -> dict[PairFit, float]:
    """Fit a law to two recipes at several widths of their difference.

    Args:
        problem: law and tables.
        widths: standard deviations of the recipes' difference in each parameter, in its effect.
        draws: from the posterior at each width.
        seed: of the draws.

    Returns:
        The fit at each width that counts, with its share of the posterior.

    Raises:
        FitError: the law cannot be evaluated at the runs.
    """
    maxima = {}
    both = np.tile(problem.middle, 2)
    noise = np.full(3, 0.01)
    # From shared to separate: each fit starts where a better determined one ended.
    for width in sorted(widths):
        maxima[width] = _maximum(problem, width, both, noise)
        both, noise = maxima[width].both, maxima[width].noise
    marginal = np.array([each.log_marginal for each in maxima.values()])
    share = np.exp(marginal - marginal.max())
    share = np.where(share < _NEGLIGIBLE * share.sum(), 0.0, share)
    share /= share.sum()
    return {
        _sampled(problem, width, maximum, draws, seed): float(own)
        for (width, maximum), own in zip(maxima.items(), share, strict=True)
        if own > 0
    }


def _maximum(problem: PairProblem, width: float, both: Array, noise: Array) -> _Maximum:
    """Parameters and noise at one width."""
    from scipy.optimize import least_squares

    kinds = problem.pairing.kinds
    count = problem.middle.size
    prior = _prior(problem, width)
    lower, upper = problem.bounds()
    aim = _aim(problem)
    importance = np.ones(kinds.size)

    def scaled(both: Array, scale: Array) -> Array:
        off = problem.residuals(both)[0]
        return np.concatenate([off * scale, prior @ both - aim])

    def derivatives(both: Array, scale: Array) -> Array:
        return np.vstack([problem.residuals(both)[1] * scale[:, None], prior])

    begin = np.clip(both, lower, upper)
    if not np.all(np.isfinite(problem.residuals(begin)[0])):
        raise FitError(f"law {problem.law.law.name} has no positive loss at some runs")
    for _ in range(_ROUNDS):
        scale = np.sqrt(importance) / noise[kinds]
        # Strictly inside: where a parameter starts on its bound the method would not move it.
        inside = np.clip(begin, lower + 1e-9, upper - 1e-9)
        solution = least_squares(
            scaled,
            inside,
            jac=derivatives,
            bounds=(lower, upper),
            x_scale=np.tile(problem.effect, 2),
            args=(scale,),
            max_nfev=100,
        )
        begin = solution.x
        off = problem.residuals(begin)[0]
        jacobian = derivatives(begin, scale)
        inverse = np.linalg.inv(jacobian.T @ jacobian)
        rows = jacobian[: kinds.size]
        leverage = np.einsum("ij,jk,ik->i", rows, inverse, rows)
        previous, (noise, freedom) = noise, _noise(off, importance, leverage, kinds)
        importance = np.minimum(1.0, _OUTLYING * noise[kinds] / np.maximum(np.abs(off), 1e-12))
        if np.all(np.abs(np.log(noise / previous)) < _CLOSE):
            break
    total = scaled(begin, np.sqrt(importance) / noise[kinds])
    jacobian = derivatives(begin, np.sqrt(importance) / noise[kinds])
    from_runs = total[: kinds.size]
    likelihood = -0.5 * float(from_runs @ from_runs) - float(np.sum(np.log(noise[kinds])))
    marginal = (
        likelihood
        - 0.5 * float(total @ total - from_runs @ from_runs)
        - count * np.log(width)
        - 0.5 * float(np.linalg.slogdet(jacobian.T @ jacobian)[1])
    )
    return _Maximum(begin, noise, importance, jacobian, total, freedom, likelihood, marginal)


def _prior(problem: PairProblem, width: float) -> Array:
    """Rows that, times both recipes' parameters and less `_aim`, are the prior's deviations."""
    unit = np.diag(1.0 / problem.effect)
    common = np.diag(0.5 / _common(problem)[1])
    return np.vstack([np.hstack([unit, -unit]) / width, np.hstack([common, common])])


def _aim(problem: PairProblem) -> Array:
    """What the rows of `_prior` should give: no difference, and the usual mean."""
    usual, spread = _common(problem)
    return np.concatenate([np.zeros_like(usual), usual / spread])


def _common(problem: PairProblem) -> tuple[Array, Array]:
    """Where the mean of both recipes' parameters is held, and how loosely.

    At what is typical where the law says so, else at both tables' own fit, hardly at all.
    """
    usual, spread = problem.middle.copy(), problem.effect * _COMMON_WIDTH
    for place, entry in enumerate(problem.law.parameters):
        if entry.typical is not None:
            usual[place], spread[place] = entry.typical
    return usual, spread


def _noise(off: Array, importance: Array, leverage: Array, kinds: Indices) -> tuple[Array, Array]:
    """Deviation of each kind of observation, and its degrees of freedom."""
    members = [kinds == kind for kind in (SINGLE, SUM, DIFFERENCE)]
    squares = np.array([np.sum(importance[own] * off[own] ** 2) for own in members])
    freedom = np.array([np.sum(1.0 - leverage[own]) for own in members])
    present = np.array([own.any() for own in members])
    pooled = squares.sum() / max(freedom.sum(), 1.0)
    variance = np.where(freedom >= _LEAST_FREEDOM, squares / np.maximum(freedom, 1e-9), pooled)
    if not present[SINGLE]:
        variance[SINGLE] = 0.5 * (variance[SUM] + variance[DIFFERENCE])
    elif not present[DIFFERENCE]:
        variance[[SUM, DIFFERENCE]] = variance[SINGLE]
    known = np.where(freedom >= _LEAST_FREEDOM, freedom, max(freedom.sum(), 1.0))
    return np.maximum(np.sqrt(variance), _LEAST_NOISE), known


def _sampled(
    problem: PairProblem, width: float, maximum: _Maximum, draws: int, seed: int
) -> PairFit:
    count = problem.middle.size
    precision = maximum.rows.T @ maximum.rows
    covariance = np.linalg.inv(precision)
    root = np.linalg.cholesky(0.5 * (covariance + covariance.T))
    half = np.random.default_rng(seed).standard_normal((2 * count, draws // 2))
    # Each draw with its mirror image: the mean over draws is then the maximum.
    spread = root @ np.hstack([half, -half])
    lower, upper = problem.bounds()
    drawn = np.clip(maximum.both[:, None] + spread, lower[:, None], upper[:, None])
    unit = np.hstack([np.diag(1 / problem.effect), -np.diag(1 / problem.effect)]) / width
    held = float(np.trace(unit @ covariance @ unit.T))
    paired = problem.pairing.pairs.size > 0
    kind = DIFFERENCE if paired else SINGLE
    law, centre = problem.law.law, problem.centre
    n_different, n_runs = count - held, sum(each.size for each in problem.log_loss)
    return PairFit(
        Surface(law, centre, maximum.both[:count], drawn[:count]),
        Surface(law, centre, maximum.both[count:], drawn[count:]),
        width,
        maximum.log_marginal,
        maximum.log_likelihood - 0.5 * (count + n_different) * float(np.log(n_runs)),
        float(maximum.noise[kind] * np.sqrt(2.0)),
        float(maximum.freedom[kind]),
        n_different,
    )
