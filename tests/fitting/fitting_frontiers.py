"""Tables for the frontier methods, from surfaces whose compute-optimal sizes are known."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl

from isoloss.arrays import Array
from isoloss.fitting.bootstrap import porian_log_noise
from isoloss.fitting.frontier import IsoflopFit
from isoloss.laws import Surface, find_law
from isoloss.runs import Runs, read_runs

BUDGETS = tuple(10.0 ** np.arange(17, 22))
HOFFMANN = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}

# Porian et al. 2024, arXiv:2406.19146: sizes and budgets.
PORIAN_SIZES = np.geomspace(5e6, 9.01e8, 16)
PORIAN_BUDGETS = 1.25e16 * 2.0 ** np.arange(12)
# Its best losses on RefinedWeb, all tuned: FLOPs and nats/token.
PORIAN_LOSSES = ((1e17, 4.0374), (1.6e18, 3.5100), (2.56e19, 3.0949))


def surface(alpha: float = 0.34, beta: float = 0.28) -> Surface:
    return Surface.of_parameters(find_law("chinchilla"), {**HOFFMANN, "alpha": alpha, "beta": beta})


def true_params(law: Surface, flops: float | Array) -> Array:
    params = law.law.optimal_params(law.parameters, flops)
    assert params is not None
    return np.asarray(params)


def porian_surface(exponent: float, params: float, flops: float = 5.88e23) -> Surface:
    """A surface with the exponent a of a set-up, its N* at a budget, and the tuned losses.

    On the optimum of E + A/N^alpha + B/D^beta the two terms have shares a and 1 - a of the
    reducible loss, which falls as C^-(a alpha).
    """
    (first, high), (second, middle), (_, low) = PORIAN_LOSSES
    fall = (high - middle) / (middle - low)
    decay = np.log(fall) / np.log(second / first)
    reducible = (high - middle) / (1 - 1 / fall)
    alpha, beta = decay / exponent, decay / (1 - exponent)
    size = params * (first / flops) ** exponent
    return Surface.of_parameters(
        find_law("chinchilla"),
        {
            "E": high - reducible,
            "A": exponent * reducible * size**alpha,
            "B": (1 - exponent) * reducible * (first / 6 / size) ** beta,
            "alpha": alpha,
            "beta": beta,
        },
    )


def isoflop_runs(
    law: Surface,
    *,
    budgets: Sequence[float] = BUDGETS,
    half_width: float = 4.0,
    sizes: int = 15,
    off_centre: Callable[[float], float] = lambda flops: 1.0,
    noise: float = 0.0,
) -> Runs:
    """Runs of a surface, at each budget on a geometric grid of sizes around the optimum."""
    flops = np.repeat(budgets, sizes)
    steps = np.tile(np.geomspace(1 / half_width, half_width, sizes), len(budgets))
    centres = true_params(law, np.array(budgets)) * [off_centre(budget) for budget in budgets]
    params = np.repeat(centres, sizes) * steps
    tokens = flops / (6 * params)
    errors = np.random.default_rng(0).standard_normal(flops.size)
    loss = law.predict(params=params, tokens=tokens) + noise * errors
    frame = pl.DataFrame({"params": params, "tokens": tokens, "loss": loss, "flops": flops})
    return read_runs(frame, check=False)


def training_curves(
    law: Surface,
    params: Array,
    tokens: Array,
    *,
    undecayed: float = 0.0,
    beginning: float = 0.01,
    points: int = 100,
    steps: int = 0,
    noise: float | str = 0.0,
    seed: int = 0,
) -> pl.DataFrame:
    """One curve for each size and horizon.

    Args:
        law: the surface that a run is on at the end of its schedule.
        params: N of each run.
        tokens: horizon of each run.
        undecayed: how far above the surface a run begins; that shrinks with the schedule.
        beginning: first share of the horizon that is logged.
        points: losses logged by each run, evenly spaced in ln D.
        steps: losses logged by each run instead, evenly spaced and with a column `step`.
        noise: of each logged loss, absolute or a noise model of Porian et al.
        seed: of the noise.
    """
    step = np.arange(1.0, steps + 1)
    progress = step / steps if steps else np.geomspace(beginning, 1, points)
    seen = np.outer(tokens, progress)
    loss = law.predict(params=params[:, None], tokens=seen) + undecayed * (1 - progress)
    errors = np.random.default_rng(seed).standard_normal(loss.shape)
    size = porian_log_noise(loss, noise) * loss if isinstance(noise, str) else noise
    names = [f"{run}: {params[run]:.3g}" for run in range(params.size)]
    frame = pl.DataFrame(
        {
            "run_id": np.repeat(names, progress.size),
            "params": np.repeat(params, progress.size),
            "tokens": seen.ravel(),
            "loss": (loss + size * errors).ravel(),
        }
    )
    return frame.with_columns(step=np.tile(step, params.size)) if steps else frame


def codes(fit: IsoflopFit) -> list[str]:
    return [note.code for note in fit.notes]


def porian_curves(
    law: Surface,
    *,
    undecayed: float = 0.0,
    points: int = 120,
    noise: float | str = 0.0,
    seed: int = 0,
) -> pl.DataFrame:
    """One long run of each size, up to the largest budget or 640 tokens a parameter."""
    tokens = np.minimum(1.02 * PORIAN_BUDGETS[-1] / (6 * PORIAN_SIZES), 640 * PORIAN_SIZES)
    return training_curves(
        law,
        PORIAN_SIZES,
        tokens,
        undecayed=undecayed,
        beginning=1e-3,
        points=points,
        noise=noise,
        seed=seed,
    )
