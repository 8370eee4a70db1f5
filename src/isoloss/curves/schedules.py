"""Learning-rate schedules: the rate of every step as an array, by the usual shapes or as given."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from isoloss.arrays import Array
from isoloss.errors import InputError

# Rates that differ by less than this share are the same rate: files hold rounded numbers.
_SAME_RATE = 1e-9


@dataclass(frozen=True, eq=False)
class Schedule:
    """The learning rate at every step of a run.

    Attributes:
        name: what it is called in tables and messages.
        rates: learning rate at steps 0, 1, 2, ..., shape (steps,); never negative.
        warmup: how many of the first steps are a warm-up.
    """

    name: str
    rates: Array
    warmup: int = 0

    def __post_init__(self) -> None:
        rates = np.array(self.rates, dtype=np.float64)
        where = f"schedule {self.name}"
        if rates.ndim != 1 or rates.size < 1:
            raise InputError(
                "not a schedule",
                where=where,
                found=f"shape {rates.shape}",
                expected="one rate a step",
            )
        unusable = np.flatnonzero(~(np.isfinite(rates) & (rates >= 0)))
        if unusable.size:
            raise InputError(
                "unusable learning rate",
                where=f"{where}: step {unusable[0]}",
                found=f"{rates[unusable[0]]:g}",
                expected="a finite number, not negative",
            )
        if not 0 <= self.warmup < rates.size:
            raise InputError(
                "unusable warm-up",
                where=where,
                found=f"{self.warmup} steps",
                expected=f"fewer than the {rates.size} steps of the schedule",
            )
        if not rates[self.warmup :].any():
            raise InputError(
                "the learning rate is zero throughout", where=where, expected="some rate above zero"
            )
        rates.flags.writeable = False
        object.__setattr__(self, "rates", rates)

    def __len__(self) -> int:
        return int(self.rates.size)

    @property
    def steps(self) -> int:
        """Number of steps; the last one is `steps - 1`."""
        return len(self)

    @property
    def peak(self) -> float:
        """The largest rate."""
        return float(self.rates.max())

    @property
    def plateau(self) -> float:
        """The rate that the warm-up leads to."""
        return float(self.rates[max(self.warmup - 1, 0)])

    @functools.cached_property
    def fingerprint(self) -> str:
        """A short hash of the rates."""
        return hashlib.sha256(self.rates.tobytes() + bytes([self.warmup % 251])).hexdigest()[:12]

    def until(self, step: int) -> Schedule:
        """The schedule up to a step and with it."""
        return Schedule(self.name, self.rates[: step + 1], min(self.warmup, step))

    def then(self, rates: npt.ArrayLike, name: str = "") -> Schedule:
        """The schedule followed by further rates."""
        joined = np.concatenate([self.rates, np.asarray(rates, dtype=np.float64)])
        return Schedule(name or self.name, joined, self.warmup)

    def held(self, steps: int) -> Schedule:
        """The schedule with its last rate held until there are so many steps."""
        more = max(0, steps - len(self))
        return self.then(np.full(more, self.rates[-1])) if more else self


def _whole(where: str, name: str, value: float, least: int, most: float = np.inf) -> int:
    if not (value == int(value) and least <= value <= most):
        limit = f"{least} or more" if most == np.inf else f"{least} to {most:g}"
        raise InputError(
            f"unusable {name}", where=where, found=f"{value:g}", expected=f"a whole number, {limit}"
        )
    return int(value)


def _warm(
    name: str, steps: int, peak: float, warmup: int, after: Callable[[Array], Array]
) -> Schedule:
    """A linear warm-up to the peak, and what follows as a function of the steps since then."""
    where = f"schedule {name}"
    steps = _whole(where, "number of steps", steps, 1)
    warmup = _whole(where, "warm-up", warmup, 0, steps - 1)
    if not (np.isfinite(peak) and peak > 0):
        raise InputError(
            "unusable peak", where=where, found=f"{peak:g}", expected="a positive learning rate"
        )
    rising = np.linspace(0.0, peak, warmup) if warmup > 1 else np.full(warmup, peak)
    return Schedule(
        name, np.concatenate([rising, after(np.arange(steps - warmup, dtype=np.float64))]), warmup
    )


def constant(steps: int, peak: float, *, warmup: int = 0, name: str = "constant") -> Schedule:
    """One rate throughout, after a linear warm-up.

    Args:
        steps: in all, the warm-up included.
        peak: the rate.
        warmup: steps over which the rate rises linearly from 0 to the peak.
        name: of the schedule.

    Raises:
        InputError: an argument has no meaning.
    """
    return _warm(name, steps, peak, warmup, lambda since: np.full(since.size, peak))


def cosine(
    steps: int, peak: float, *, end: float = 0.0, warmup: int = 0, name: str = "cosine"
) -> Schedule:
    """Half a cosine from the peak to the end rate, after a linear warm-up.

    Args:
        steps: in all; the end rate would be reached at step `steps`, one after the last.
        peak: the largest rate.
        end: the rate at the end.
        warmup: steps over which the rate rises linearly from 0 to the peak.
        name: of the schedule.

    Raises:
        InputError: an argument has no meaning.
    """
    return _warm(
        name,
        steps,
        peak,
        warmup,
        lambda since: _decayed("cosine", peak, end, since / max(1, since.size)),
    )


def _decayed(shape: str, peak: float, end: float, share: Array) -> Array:
    """The rate when a share of a decay is over."""
    match shape:
        case "linear":
            return peak + (end - peak) * share
        case "1-sqrt":
            return peak + (end - peak) * np.sqrt(share)
        case "cosine":
            # Written from the peak, which the first step then has exactly.
            return peak - 0.5 * (peak - end) * (1.0 - np.cos(np.pi * share))
        case "exponential":
            rates: Array = peak * (end / peak) ** share
            return rates
    raise InputError(
        "unknown shape of decay",
        where="--shape",
        found=repr(shape),
        expected="one of " + ", ".join(DECAYS),
    )


# Shapes of the decay of a schedule that warms up, stays stable, and decays.
DECAYS = ("exponential", "linear", "1-sqrt", "cosine")


def decay_rates(shape: str, steps: int, peak: float, end: float) -> Array:
    """Rates of a decay, its first step still at the peak, shape (steps,).

    Args:
        shape: one of `DECAYS`.
        steps: of the decay; the end rate would be reached at the step after its last.
        peak: where it starts.
        end: where it leads; above zero for an exponential decay.

    Raises:
        InputError: the shape is unknown, or cannot lead to that end.
    """
    if not 0 <= end <= peak or (shape == "exponential" and end == 0):
        raise InputError(
            "unusable end of a decay",
            where=f"{shape} decay",
            found=f"{end:g}",
            expected=f"{'above zero' if shape == 'exponential' else '0'} to the peak {peak:g}",
        )
    return _decayed(shape, peak, end, np.arange(steps) / max(1, steps))


def wsd(
    steps: int,
    peak: float,
    *,
    decay: int,
    end: float = 0.0,
    shape: str = "linear",
    warmup: int = 0,
    name: str = "wsd",
) -> Schedule:
    """Warm-up, a stable rate, and a decay (Hu et al. 2024, arXiv:2404.06395).

    Args:
        steps: in all.
        peak: the stable rate.
        decay: steps of the decay, the last ones.
        end: the rate it leads to.
        shape: one of `DECAYS`.
        warmup: steps over which the rate rises linearly from 0 to the peak.
        name: of the schedule.

    Raises:
        InputError: an argument has no meaning.
    """
    decay = _whole(f"schedule {name}", "decay", decay, 0, steps - warmup)
    falling = decay_rates(shape, decay, peak, end)

    def after(since: Array) -> Array:
        return np.concatenate([np.full(since.size - decay, peak), falling])

    return _warm(name, steps, peak, warmup, after)


def multi_step(
    steps: int,
    peak: float,
    *,
    drops: Mapping[int, float],
    warmup: int = 0,
    name: str = "multi-step",
) -> Schedule:
    """A stable rate that drops, or rises, at given steps.

    Args:
        steps: in all.
        peak: the rate after the warm-up.
        drops: step to the rate from there on.
        warmup: steps over which the rate rises linearly from 0 to the peak.
        name: of the schedule.

    Raises:
        InputError: an argument has no meaning.
    """
    where = f"schedule {name}"
    breaks = sorted(_whole(where, "step of a drop", step, warmup, steps - 1) for step in drops)

    def after(since: Array) -> Array:
        levels = np.array([peak, *(drops[step] for step in breaks)])
        return levels[np.searchsorted(np.array(breaks), since + warmup, side="right")]

    return _warm(name, steps, peak, warmup, after)


def cyclic(
    steps: int,
    peak: float,
    *,
    period: int,
    low: float = 0.0,
    shape: str = "cosine",
    warmup: int = 0,
    name: str = "cyclic",
) -> Schedule:
    """Decays that start anew every period (warm restarts).

    Args:
        steps: in all.
        peak: where every period starts.
        period: steps of one decay.
        low: where every period leads.
        shape: of the decays, one of `DECAYS`.
        warmup: steps over which the rate rises linearly from 0 to the peak.
        name: of the schedule.

    Raises:
        InputError: an argument has no meaning.
    """
    one = decay_rates(shape, _whole(f"schedule {name}", "period", period, 1), peak, low)
    return _warm(name, steps, peak, warmup, lambda since: np.resize(one, since.size))


def given_rates(name: str, rates: npt.ArrayLike, *, warmup: int | None = None) -> Schedule:
    """Any rates as a schedule.

    Args:
        name: of the schedule.
        rates: learning rate at steps 0, 1, 2, ...
        warmup: steps of the warm-up; where not given, the first rise of the rate, if the schedule
            begins with one.

    Raises:
        InputError: a rate is no number, or negative.
    """
    array = np.asarray(rates, dtype=np.float64)
    return Schedule(name, array, _first_rise(array) if warmup is None else warmup)


def _first_rise(rates: Array) -> int:
    """Steps until the rate no longer rises, the first one at the top included."""
    if rates.ndim != 1 or rates.size < 3:
        return 0
    rising = np.diff(rates) > _SAME_RATE * float(np.max(np.abs(rates)))
    if not rising[0]:
        return 0
    ends = np.flatnonzero(~rising)
    # A rate that rises to the very end has not been seen to finish its warm-up.
    return int(ends[0]) + 1 if ends.size else 0


def through_points(
    name: str,
    steps: Sequence[float] | Array,
    rates: Sequence[float] | Array,
    *,
    warmup: int | None = None,
) -> Schedule:
    """A schedule through rates that are known at some steps.

    Rates between them lie on straight lines; before the first the rate is the first one.

    Args:
        name: of the schedule.
        steps: where the rate is known, whole numbers in rising order.
        rates: what it is there.
        warmup: as for `given_rates`.

    Raises:
        InputError: steps are not rising whole numbers, or a rate is no number.
    """
    places, values = np.asarray(steps, dtype=np.float64), np.asarray(rates, dtype=np.float64)
    where = f"schedule {name}"
    if places.size == 0 or places.shape != values.shape:
        raise InputError(
            "steps and rates do not match",
            where=where,
            found=f"{places.size} and {values.size}",
            expected="one rate a step",
        )
    wrong = np.flatnonzero(~(np.isfinite(places) & (places >= 0) & (places == np.round(places))))
    if wrong.size:
        raise InputError(
            "not a step", where=where, found=f"{places[wrong[0]]:g}", expected="0, 1, 2, ..."
        )
    back = np.flatnonzero(np.diff(places) <= 0)
    if back.size:
        raise InputError(
            "steps out of order",
            where=where,
            found=f"{places[back[0] + 1]:g} after {places[back[0]]:g}",
            expected="every step once, in rising order",
        )
    return given_rates(name, np.interp(np.arange(places[-1] + 1), places, values), warmup=warmup)
