"""Several laws of two recipes as one: the difference of their losses, and how sure it is.

The same laws with the same weights describe both recipes, so that what a law gets wrong about
both cancels in the difference. What does not cancel is seen in backtests of the difference. As in
a forecast the laws' answers are pooled by Huber's centre: those on the mean of both recipes' log
losses, and those on the difference.

A law's standing says that it predicts well, not that it is true. How far laws disagree therefore
goes by what the runs alone say for each: a law that they do not refute may be the true one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from isoloss.arrays import Array
from isoloss.comparing.pair_fit import PairFit
from isoloss.fitting import ErrorGrowth
from isoloss.forecasting import CLOSE, Region, pooled
from isoloss.laws import Surface, working_law

# The central 90 % of a normal distribution, and its width in standard deviations.
_TAILS = (0.05, 0.95)
_CENTRAL = 3.2897072539029444


@dataclass(frozen=True)
class Contrast:
    """The log ratio of two recipes' expected losses at some places, and its deviations.

    Attributes:
        log_ratio: ln(loss of the first / loss of the second).
        parameters: standard deviation from the fitted parameters.
        form: standard deviation from the laws' form: their disagreement, or how errors of the
            difference grew in backtests, whichever is larger.
        freedom: degrees of freedom of Student's t.
    """

    log_ratio: Array
    parameters: Array
    form: Array
    freedom: float

    def at(self, row: int) -> Contrast:
        """The contrast at one of the places."""
        here = slice(row, row + 1)
        return replace(
            self,
            log_ratio=self.log_ratio[here],
            parameters=self.parameters[here],
            form=self.form[here],
        )

    @property
    def deviation(self) -> Array:
        """Standard deviation from both together."""
        return np.hypot(self.parameters, self.form)

    @property
    def probability_a_better(self) -> Array:
        """Probability that the first recipe's expected loss is lower."""
        from scipy.special import stdtr

        deviation = self.deviation
        with np.errstate(divide="ignore", invalid="ignore"):
            score = np.where(self.log_ratio == 0, 0.0, -self.log_ratio / deviation)
        return np.asarray(stdtr(self.freedom, score))

    def interval(self, level: float) -> tuple[Array, Array]:
        """Ends of the interval of the log ratio."""
        half = quantile(self.freedom, 0.5 + level / 2) * self.deviation
        return self.log_ratio - half, self.log_ratio + half


@dataclass(frozen=True, eq=False)
class PairLaw:
    """One law of two recipes among others.

    Attributes:
        weight: share in the answer.
        plausibility: what the runs alone say for it, as a share.
        fits: its fit at each width of the recipes' difference, with its share; these sum to one.
    """

    weight: float
    plausibility: float
    fits: tuple[tuple[PairFit, float], ...]

    @property
    def name(self) -> str:
        """Name of the law."""
        return self.fits[0][0].law.name

    def mean(self, of: Callable[[PairFit], float]) -> float:
        """A number of the fits, averaged over the widths."""
        return sum(share * of(fit) for fit, share in self.fits)

    def log_ratio(
        self, place_a: tuple[Array, Array], place_b: tuple[Array, Array]
    ) -> tuple[Array, Array]:
        """ln(loss of the first / loss of the second), and its deviation over widths and draws."""
        shares = np.array([share for _, share in self.fits])
        told = [log_ratio(fit, place_a, place_b) for fit, _ in self.fits]
        ratios, variances = np.array(told).transpose(1, 0, 2)
        mean = shares @ ratios
        # There is none where the law has left its domain.
        with np.errstate(invalid="ignore"):
            return mean, np.sqrt(shares @ (variances + (ratios - mean) ** 2))


@dataclass(frozen=True, eq=False)
class PairEnsemble:
    """Several laws of two recipes, weighed.

    Attributes:
        laws: each with its weight; weights sum to one, and so do plausibilities.
        growth: how errors of the difference grew beyond the data in backtests; None without any.
        region: what the runs of both recipes cover.
    """

    laws: tuple[PairLaw, ...]
    growth: ErrorGrowth | None
    region: Region

    @property
    def weights(self) -> dict[str, float]:
        """Share of each law in the answer, the largest first."""
        ordered = sorted(self.laws, key=lambda law: -law.weight)
        return {law.name: law.weight for law in ordered if law.weight > 0}

    @property
    def noise(self) -> float:
        """Standard deviation of the log ratio of a pair of single runs around the expected one."""
        return self.mean(lambda fit: fit.noise_difference)

    @property
    def freedom(self) -> float:
        """Degrees of freedom of Student's t."""
        return max(1.0, self.mean(lambda fit: fit.freedom))

    def mean(self, of: Callable[[PairFit], float]) -> float:
        """A number of the fits, averaged over widths and laws by their weights."""
        return sum(law.weight * law.mean(of) for law in self.laws)

    def log_losses(self, params: npt.ArrayLike, tokens: npt.ArrayLike) -> tuple[Array, Array]:
        """Expected log loss of both recipes at places, arrays of any one shape.

        Infinite where a law's loss is beyond all numbers, as at the smallest of sizes.
        """
        counted = [law for law in self.laws if law.weight > 0]
        shape = np.broadcast_shapes(np.shape(params), np.shape(tokens))
        place = np.ravel(np.broadcast_to(params, shape)), np.ravel(np.broadcast_to(tokens, shape))
        shares = np.array([law.weight for law in counted])
        logs = np.stack(
            [
                np.sum([share * log_losses(fit, place, place) for fit, share in law.fits], axis=0)
                for law in counted
            ],
            axis=1,
        )
        losses = np.empty((2, place[0].size))
        finite = np.all(np.isfinite(logs), axis=(0, 1))
        first, second = logs[:, :, finite]
        middle = 0.5 * pooled(first + second, shares, 2.0 * CLOSE)
        half = 0.5 * pooled(first - second, shares)
        losses[:, finite] = middle + half, middle - half
        # Infinite losses have no difference to pool.
        for own, of_laws in zip(losses, logs, strict=True):
            own[~finite] = pooled(of_laws[:, ~finite], shares)
        return losses[0].reshape(shape), losses[1].reshape(shape)

    def log_loss(self, recipe: int, params: npt.ArrayLike, tokens: npt.ArrayLike) -> Array:
        """Expected log loss of a recipe, 0 or 1."""
        return self.log_losses(params, tokens)[recipe]

    def contrast(
        self,
        params: npt.ArrayLike,
        tokens: npt.ArrayLike,
        place_b: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
    ) -> Contrast:
        """Compare the recipes at places, one-dimensional arrays.

        Args:
            params: N of the first recipe.
            tokens: D of the first recipe.
            place_b: N and D of the second; the same where not given.
        """
        own_a = np.atleast_1d(params), np.atleast_1d(tokens)
        own_b = own_a if place_b is None else (np.atleast_1d(place_b[0]), np.atleast_1d(place_b[1]))
        told = [law.log_ratio(own_a, own_b) for law in self.laws]
        ratios, spreads = np.array(told).transpose(1, 0, 2)
        weights, plausible = np.array([(law.weight, law.plausibility) for law in self.laws]).T
        counted = weights > 0
        ratio = pooled(ratios, weights)
        # A law without weight that has left its domain has no say.
        strays = np.where(counted[:, None] | np.isfinite(ratios), ratios - ratio, 0.0)
        disagreement = np.sqrt(plausible @ strays**2)
        grown = np.zeros_like(ratio)
        if self.growth is not None:
            reach = np.maximum(
                *(
                    self.region.reach(params=params, tokens=tokens)
                    for params, tokens in (own_a, own_b)
                )
            )
            grown = self.growth.deviation(reach)
        return Contrast(
            ratio,
            # Not the root of the mean variance: one vague law of little weight would set it.
            weights[counted] @ spreads[counted],
            np.maximum(disagreement, grown),
            self.freedom,
        )


def quantile(freedom: float, probability: float) -> float:
    """Quantile of Student's t."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, probability))


def log_losses(fit: PairFit, place_a: tuple[Array, Array], place_b: tuple[Array, Array]) -> Array:
    """Log loss of each recipe by one law, at a place each, shape (2, places)."""
    logs = [_evaluated(fit.surface_a, *place_a), _evaluated(fit.surface_b, *place_b)]
    # A law that has left its domain has no log there.
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.log(logs))


def log_ratio(
    fit: PairFit, place_a: tuple[Array, Array], place_b: tuple[Array, Array]
) -> tuple[Array, Array]:
    """ln(loss of the first / loss of the second) by one law, and its variance over the draws."""
    first, second = log_losses(fit, place_a, place_b)
    ratio = first - second
    draws = log_ratio_draws(fit, place_a, place_b)
    # The central range, in standard deviations of a normal distribution: a few draws that have
    # left the law's domain do not set it.
    low, high = np.quantile(draws, _TAILS, axis=1, method="nearest")
    with np.errstate(invalid="ignore"):
        spread = (high - low) / _CENTRAL
    return ratio, np.where(np.isfinite(spread), spread**2, np.inf)


def log_ratio_draws(
    fit: PairFit, place_a: tuple[Array, Array], place_b: tuple[Array, Array]
) -> Array:
    """ln(loss of the first / loss of the second) of each draw, shape (places, draws)."""
    drawn = [
        surface.predict_replicates(params=params, tokens=tokens)
        for surface, (params, tokens) in ((fit.surface_a, place_a), (fit.surface_b, place_b))
    ]
    with np.errstate(all="ignore"):
        logs = np.log(drawn[0]) - np.log(drawn[1])
    # A draw that has left the law's domain is as far off as can be.
    return np.where(np.isfinite(logs), logs, np.inf)


def _evaluated(surface: Surface, params: npt.ArrayLike, tokens: npt.ArrayLike) -> Array:
    law = working_law(surface.law)
    columns = {"params": params, "tokens": tokens}
    inputs = [columns[entry.name] for entry in surface.law.inputs]
    with np.errstate(all="ignore"):
        return law.predict(surface.working, inputs, surface.centre)
