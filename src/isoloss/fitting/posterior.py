"""A posterior over a law's parameters, sampled by emcee and handed over as ArviZ data.

The objective becomes a likelihood through the spread of the residuals, as in `profile`: for a
robust penalty that is a generalised posterior, calibrated so that its curvature agrees with the
sandwich covariance in a common direction. The prior is flat over the domain of the working
parameters, which are of order one.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from isoloss.arrays import Array
from isoloss.errors import InputError, MissingExtraError
from isoloss.fitting.problem import Problem
from isoloss.fitting.profile import likelihood_scale
from isoloss.fitting.result import Fit
from isoloss.laws import working_law

# Walkers begin around the optimum at this share of each parameter's conditional scale.
_SPREAD = 0.1
_WALKERS_PER_PARAMETER = 4


def posterior(
    fit: Fit, *, draws: int = 1000, warm_up: int = 1000, walkers: int = 0, seed: int = 0
) -> Any:
    """Sample the posterior of a fit's parameters.

    Args:
        fit: a converged fit.
        draws: kept steps of each walker.
        warm_up: steps thrown away first.
        walkers: four a parameter where not given; at least two a parameter.
        seed: of the sampler.

    Returns:
        An `arviz.InferenceData` with the published parameters as `posterior`, one chain a
        walker, and the log of the posterior density in `sample_stats` (`lp`).

    Raises:
        FitError: the fit did not converge.
        InputError: too few draws or walkers.
        MissingExtraError: emcee or ArviZ is not installed.
    """
    fit.require_converged()
    count = fit.surface.working.size
    walkers = walkers or _WALKERS_PER_PARAMETER * count
    if draws < 1 or walkers < 2 * count:
        raise InputError(
            "too few draws or walkers",
            found=f"{draws} draws, {walkers} walkers",
            expected=f"at least 1 draw and {2 * count} walkers for {count} parameters",
        )
    emcee, arviz = _libraries()
    problem = fit.problem
    scale = likelihood_scale(problem, fit)

    def log_density(points: Array) -> Array:
        inside = np.all((points >= problem.lower) & (points <= problem.upper), axis=1)
        with np.errstate(all="ignore"):
            predicted = problem.predict(np.where(inside[:, None], points, fit.surface.working).T)
            value = problem.objective.value(
                predicted,
                problem.measured[:, None],
                np.repeat(fit.rows.weights[:, None], points.shape[0], axis=1),
            )
        return np.where(inside, -scale * value, -np.inf)

    generator = np.random.RandomState(seed)
    start = _around(problem, fit, generator, walkers)
    sampler = emcee.EnsembleSampler(walkers, count, log_density, vectorize=True)
    sampler.random_state = generator.get_state()
    state = sampler.run_mcmc(start, warm_up) if warm_up else start
    if warm_up:
        sampler.reset()
    sampler.run_mcmc(state, draws)
    chain = sampler.get_chain().transpose(2, 1, 0)
    law = working_law(fit.law)
    published = law.to_published(chain.reshape(count, -1), fit.surface.centre)
    values = {
        name: row.reshape(walkers, draws)
        for name, row in zip(fit.law.parameter_names, published, strict=True)
    }
    return arviz.from_dict(
        posterior=values,
        sample_stats={"lp": sampler.get_log_prob().T},
        attrs={"law": fit.law.name, "fingerprint": fit.fingerprint, "seed": seed},
    )


def _libraries() -> tuple[Any, Any]:
    for name in ("emcee", "arviz"):
        try:
            with warnings.catch_warnings():
                # ArviZ announces its next major version at import; the extra keeps below it.
                warnings.simplefilter("ignore", FutureWarning)
                __import__(name)
        except ImportError:
            raise MissingExtraError("posteriors", package=name, extra="bayes") from None
    import arviz
    import emcee

    return emcee, arviz


def _around(problem: Problem, fit: Fit, generator: np.random.RandomState, walkers: int) -> Array:
    """Starting points of the walkers, shape (walkers, parameters), inside the domain."""
    working = fit.surface.working
    size = _SPREAD * fit.noise * np.maximum(np.abs(working), 1e-2)
    points = working + size * generator.standard_normal((walkers, working.size))
    margin = 1e-9
    return np.clip(points, problem.lower + margin, problem.upper - margin)
