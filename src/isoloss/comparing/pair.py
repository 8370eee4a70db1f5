"""Everything about two recipes: points, gains, flips of the order, and what to know of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from isoloss.comparing.comparison import UNDECIDED, ComparedPoint, Pair
from isoloss.comparing.decision import Crossing, crossings, pairs_until_decided
from isoloss.comparing.efficiency import efficiency
from isoloss.comparing.gain import GainCurve, compute_gain, data_gain, gain_curve
from isoloss.comparing.measured import measured_gains
from isoloss.comparing.pair_ensemble import PairEnsemble, quantile
from isoloss.comparing.pairing import Pairing
from isoloss.comparing.weighing import Point, Settings, WeighedLaws, weigh_laws
from isoloss.notes import Note, Severity
from isoloss.runs import Runs

# Beyond this many times the data's compute a comparison is called far.
_FAR = 30.0
_CURVE_POINTS = 25
# The curve and the search for crossings go at least this far beyond the runs.
_CURVE_BEYOND = 3.0


def compare_pair(
    names: tuple[str, str],
    tables: tuple[Runs, Runs],
    settings: Settings,
) -> Pair:
    """Compare two recipes.

    Args:
        names: of the recipes.
        tables: their runs.
        settings: of the comparison.

    Raises:
        FitError: no law can be fitted to both, or none can be believed at the points.
    """
    weighed = weigh_laws(names, tables, settings)
    ensemble = weighed.ensemble
    place = _dearest(tables, weighed.pairing)
    points = _points(ensemble, names, place, settings)
    return Pair(
        names,
        points,
        ensemble.weights,
        weighed.reasons,
        _curve(ensemble, settings),
        measured_gains(*tables, settings.level),
        _crossings(ensemble, settings),
        efficiency(weighed.problem, settings.level),
        place,
        len(weighed.pairing.pairs),
        ensemble,
        tables,
        tuple(_notes(names, tables, weighed, points)),
    )


def _dearest(tables: tuple[Runs, Runs], pairing: Pairing) -> Point:
    """N and D of the dearest run that both have made; of all runs where they share none."""
    runs = tables[0].take(pairing.pairs[:, 0]) if len(pairing.pairs) else None
    if runs is None:
        runs = max(tables, key=lambda each: float(each.flops.max()))
    row = int(np.argmax(runs.flops))
    return float(runs.params[row]), float(runs.tokens[row])


def _points(
    ensemble: PairEnsemble, names: tuple[str, str], place: Point, settings: Settings
) -> tuple[ComparedPoint, ...]:
    N, D = (np.array(each) for each in zip(*settings.points, strict=True))
    contrast = ensemble.contrast(N, D)
    log_a, log_b = ensemble.log_losses(N, D)
    # Half the difference of logs on either side of the middle: the difference of the losses and
    # the ends of its interval come from the same formula, and keep their signs.
    middle = 2.0 * np.exp(0.5 * (log_a + log_b))
    lower, upper = (middle * np.sinh(end / 2) for end in contrast.interval(settings.level))
    half = quantile(ensemble.freedom, 0.5 + settings.level / 2) * np.hypot(
        contrast.deviation, ensemble.noise
    )
    single = [middle * np.sinh((log_a - log_b + end) / 2) for end in (-half, half)]
    compute = compute_gain(ensemble, N, D, settings.level, settings.path)
    data = data_gain(ensemble, N, D, settings.level)
    found = []
    for row, point in enumerate(settings.points):
        decided = not lower[row] <= 0.0 <= upper[row]
        loss_a, loss_b = float(np.exp(log_a[row])), float(np.exp(log_b[row]))
        found.append(
            ComparedPoint(
                *names,
                *point,
                loss_a,
                loss_b,
                loss_a - loss_b,
                float(lower[row]),
                float(upper[row]),
                (float(single[0][row]), float(single[1][row])),
                settings.level,
                float(contrast.probability_a_better[row]),
                names[int(lower[row] > 0)] if decided else UNDECIDED,
                float(compute.value[row]),
                (float(compute.lower[row]), float(compute.upper[row])),
                float(data.value[row]),
                (float(data.lower[row]), float(data.upper[row])),
                pairs_until_decided(ensemble, contrast.at(row), point, place),
                ensemble.region.multiples(params=point[0], tokens=point[1]),
                {
                    "parameters": float(contrast.parameters[row]),
                    "form": float(contrast.form[row]),
                    "noise": ensemble.noise,
                },
            )
        )
    return tuple(found)


def _curve(ensemble: PairEnsemble, settings: Settings) -> GainCurve:
    """Gains from the cheapest run to the dearest point, at the dearest point's D/N."""
    params, tokens = max(settings.points, key=lambda point: point[0] * point[1])
    low, high = ensemble.region.flops
    flops = np.geomspace(low, max(high * _CURVE_BEYOND, 6 * params * tokens), _CURVE_POINTS)
    return gain_curve(ensemble, flops, tokens / params, settings.level, settings.path)


def _crossings(ensemble: PairEnsemble, settings: Settings) -> tuple[Crossing, ...]:
    """Flips of the order along the D/N asked for and the ends of the runs' own range."""
    ratios = {round(tokens / params, 6) for params, tokens in settings.points}
    ratios |= {round(end, 6) for end in ensemble.region.tokens_per_param}
    largest = max(ensemble.region.params[1] * _CURVE_BEYOND, *(N for N, _ in settings.points))
    return crossings(ensemble, tuple(sorted(ratios)), (ensemble.region.params[0], largest))


def _notes(
    names: tuple[str, str],
    tables: tuple[Runs, Runs],
    weighed: WeighedLaws,
    points: Sequence[ComparedPoint],
) -> list[Note]:
    pair = f"{names[0]} and {names[1]}"
    ensemble, count = weighed.ensemble, len(weighed.pairing.pairs)
    notes = []
    if count:
        notes.append(
            Note(
                "paired",
                f"{count} runs of {pair} have the same N and D, and are compared as pairs",
                details={"pairs": count},
            )
        )
    different = ensemble.mean(lambda fit: fit.n_different)
    total = ensemble.mean(lambda fit: fit.surface_a.working.size)
    notes.append(
        Note(
            "pooled",
            f"{pair} are fitted together: of {total:.1f} parameters of a law, on average over "
            f"the laws, the runs tell {different:.1f} apart; the others are shared as far as "
            "the runs do not say otherwise",
            details={"parameters": total, "different": different},
        )
    )
    if tables[0].fingerprint == tables[1].fingerprint:
        notes.append(Note("same-runs", f"{pair} have the very same runs", Severity.WARNING))
    if ensemble.growth is None:
        notes.append(
            Note(
                "no-backtest",
                f"no dear runs of {pair} can be predicted from cheap ones: laws are weighed by "
                "their fit alone, how errors of the difference grow beyond the data is unknown, "
                "and intervals leave it out",
                Severity.WARNING,
            )
        )
    farthest = max(point.extrapolation["flops"] for point in points)
    if farthest > _FAR:
        notes.append(
            Note(
                "far",
                f"the farthest point takes {farthest:.3g} times the compute of the largest run: "
                "backtests on these tables say little about errors that far out",
                Severity.WARNING,
                {"flops": farthest},
            )
        )
    return notes
