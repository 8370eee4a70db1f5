"""Approach 1 of Hoffmann et al. 2022: the lower envelope of training curves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from isoloss.arrays import Array, Indices, Mask
from isoloss.errors import FitError
from isoloss.fitting.frontier.curve_grid import CurveGrid, curves_on_grid
from isoloss.fitting.frontier.power_law import PowerLaw, fit_power_law, require_replicates
from isoloss.fitting.frontier.result import FrontierFit, OptimalLosses
from isoloss.fitting.frontier.training_curves import late_share, notes_on_schedules, with_tokens
from isoloss.notes import Note
from isoloss.runs import Runs

_GRID = 1500
_LEAST_SIZES = 3


@dataclass(frozen=True, eq=False)
class EnvelopeFit(FrontierFit):
    """Compute-optimal sizes by the lower envelope of training curves.

    Attributes:
        chosen: one row for each budget where the best run is between smaller and larger ones:
            `flops`, `run_id`, `params`, `tokens`, `loss`, and `progress`, the share of the run's
            schedule done there.
        n_curves: training curves.
        n_covered: budgets, of 1,500, that some curve passes.
        late_share: share of the chosen points in the last 15 % of their run's schedule.
    """

    chosen: pl.DataFrame
    n_curves: int
    n_covered: int
    late_share: float

    @property
    def n_sizes(self) -> int:
        """Different sizes among the chosen points."""
        return self.chosen["params"].n_unique()

    def to_frame(self) -> pl.DataFrame:
        """The chosen points, one a row."""
        return self.chosen

    def to_json(self) -> dict[str, Any]:
        """The result as one JSON object, without the chosen points."""
        return {
            "method": "envelope",
            **self.laws_to_json(),
            "n_curves": self.n_curves,
            "n_covered": self.n_covered,
            "n_chosen": self.chosen.height,
            "n_sizes": self.n_sizes,
            "late_share": self.late_share,
            **self.provenance_to_json(),
        }


def fit_envelope(
    curves: Runs,
    *,
    run: str = "run_id",
    flops: str | None = None,
    schedule: str | None = None,
    smoothing: float = 10.0,
    bootstrap: int = 200,
    seed: int = 0,
) -> EnvelopeFit:
    """Fit N* = k C^a and D* = k C^b along the lower envelope of training curves.

    Each curve is smoothed over its steps and interpolated over ln C. At 1,500 log-spaced budgets
    the run of least loss is kept, and power laws are fitted to its N and D. Budgets where the best
    run is the smallest or the largest of those that get there are left out, since a size that was
    not run may be better. Intervals come from drawing whole runs with replacement.

    A point within a run was trained with a learning rate that had not decayed yet, and is worse
    than a run that ends there. So the chosen points should lie near the end of their schedules;
    the result counts them and warns.

    Source: Hoffmann et al. 2022, arXiv:2203.15556, section 3.1.

    Args:
        curves: one row for each logged loss, with `params`, `loss`, and `tokens` seen so far, or
            `step` and `batch_tokens` instead.
        run: the column that names the run.
        flops: column of training FLOPs so far; where not given, `flops` if the table has it,
            else 6 N D.
        schedule: column of the tokens for which the run's learning rate schedule was made; where
            not given, each run's last logged point ends its schedule.
        smoothing: standard deviation of the Gaussian, in steps; 0 for none, as is done where the
            table has no column `step`.
        bootstrap: replicates.
        seed: of the replicates.

    Raises:
        FitError: fewer than three sizes are best anywhere.
        InputError: an argument or a column has no meaning.
    """
    require_replicates(bootstrap, 0)
    curves = with_tokens(curves)
    grid = curves_on_grid(
        curves, run=run, flops=flops, schedule=schedule, smoothing=smoothing, points=_GRID
    )
    drawn = _drawn_runs(grid.log_params.size, bootstrap, seed)
    winner, inner = _best_runs(grid, drawn)
    points = np.flatnonzero(inner[:, 0])
    best = winner[points, 0]
    sizes = np.unique(grid.log_params[best]).size
    if sizes < _LEAST_SIZES:
        raise FitError(
            f"the envelope needs {_LEAST_SIZES} sizes that are best at some budget, with smaller "
            f"and larger ones beside them; {curves.source} has {sizes} in "
            f"{grid.log_params.size} curves"
        )

    def along(values: Array) -> Array:
        return np.where(inner, values[winner, np.arange(len(winner))[:, None]], np.nan)

    def law(values: Array) -> PowerLaw:
        chosen = along(values)
        return fit_power_law(
            grid.log_flops, chosen[:, 0], replicate_values=chosen[:, 1:], independent=False
        )

    progress = np.exp(grid.log_tokens[best, points] - grid.log_end[best])
    late = late_share(progress)
    n_covered = int(np.sum(winner[:, 0] >= 0))
    return EnvelopeFit(
        params_law=law(np.broadcast_to(grid.log_params[:, None], grid.loss.shape)),
        tokens_law=law(grid.log_tokens),
        losses=OptimalLosses(
            flops=np.exp(grid.log_flops[points]),
            params=np.exp(grid.log_params[best]),
            loss=grid.loss[best, points],
            replicates=along(grid.loss)[points, 1:],
        ),
        chosen=pl.DataFrame(
            {
                "flops": np.exp(grid.log_flops[points]),
                "run_id": grid.names[best],
                "params": np.exp(grid.log_params[best]),
                "tokens": np.exp(grid.log_tokens[best, points]),
                "loss": grid.loss[best, points],
                "progress": progress,
            }
        ),
        n_curves=grid.log_params.size,
        n_covered=n_covered,
        late_share=late,
        n_bootstrap=bootstrap,
        seed=seed,
        source=curves.source,
        fingerprint=curves.fingerprint,
        notes=(*curves.notes, *_notes(grid, late, points.size / n_covered)),
    )


def _drawn_runs(curves: int, replicates: int, seed: int) -> Mask:
    """Which runs are there: all of them first, then those that each replicate drew."""
    generator = np.random.default_rng(seed)
    counts = generator.multinomial(curves, np.full(curves, 1.0 / curves), size=replicates)
    return np.column_stack([np.ones(curves, dtype=bool), counts.T > 0])


def _best_runs(grid: CurveGrid, drawn: Mask) -> tuple[Indices, Mask]:
    """The run of least loss at each budget, and whether smaller and larger ones got there too.

    Args:
        grid: the curves.
        drawn: which of them take part, shape (curves, replicates).

    Returns:
        Index of the run, -1 where there is none, and the truth value, shape (grid, replicates).
    """
    covered = np.isfinite(grid.loss)
    sizes = np.broadcast_to(grid.log_params[:, None], grid.loss.shape)
    winner, smallest, largest = (
        _first(np.where(covered, key, np.inf), covered, drawn) for key in (grid.loss, sizes, -sizes)
    )
    own = grid.log_params[winner]
    inner = (own > grid.log_params[smallest]) & (own < grid.log_params[largest])
    return winner, inner & (winner >= 0)


def _first(key: Array, covered: Mask, drawn: Mask) -> Indices:
    """The curve of least key at each budget in each replicate, -1 where there is none.

    Curves are tried in ascending order of their key: nearly all replicates have drawn one of the
    first few, so that few rounds are needed.
    """
    order = np.argsort(key, axis=0, kind="stable")
    available = covered.sum(axis=0)
    found = np.full((key.shape[1], drawn.shape[1]), -1)
    for rank, candidate in enumerate(order):
        usable = drawn[candidate] & (rank < available)[:, None]
        found = np.where((found < 0) & usable, candidate[:, None], found)
        if not np.any((found < 0) & (rank + 1 < available)[:, None]):
            break
    return found


def _notes(grid: CurveGrid, late: float, bracketed: float) -> list[Note]:
    notes = [
        Note(
            "edges-left-out",
            f"at {1 - bracketed:.0%} of the budgets the best run is the smallest or the largest "
            "that gets there, and is left out",
            details={"share": 1 - bracketed},
        ),
        *notes_on_schedules(late),
    ]
    if not grid.smoothed:
        notes.append(
            Note(
                "not-smoothed",
                "the curves are not smoothed, for want of a column step or since steps are logged "
                "too far apart: noise in the losses pulls the envelope down",
            )
        )
    if grid.n_single:
        notes.append(
            Note(
                "single-points",
                f"{grid.n_single} runs have a single point, no curve, and are left out",
                details={"runs": grid.n_single},
            )
        )
    return notes
