"""What a sweep is: sizes, recipes, budget, speed and trainer, before anything is counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from isoloss.architecture import ShapeRule, TransformerShape
from isoloss.training.ladder import Ladder
from isoloss.training.preparing import Preparation
from isoloss.training.results import ResultRule
from isoloss.training.template import REFERENCE_COMMAND

ScheduleName = Literal["cosine", "wsd", "constant"]
DEFAULT_CONVENTION = "megatron"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How the models of one recipe are trained.

    Attributes:
        name: of the recipe.
        context: tokens per sequence.
        batch_tokens: tokens per step: a number, the name of a published rule, or a formula.
        learning_rate: the peak rate, likewise.
        schedule: shape of the learning rate over the steps.
        warmup: steps of warm-up, as a share of all steps.
        decay: steps of a WSD schedule's decay, as a share of all steps.
        trunks: under WSD, whether all D of a size share one run at the constant rate.
        settings: what goes to the trainer as it is.
    """

    name: str
    context: int = 2048
    batch_tokens: float | str = "step-law"
    learning_rate: float | str = "step-law"
    schedule: ScheduleName = "cosine"
    warmup: float = 0.0
    decay: float = 0.2
    trunks: bool = True
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def shares_trunks(self) -> bool:
        """Whether one run at the constant rate serves every D."""
        return self.schedule == "wsd" and self.trunks


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What a sweep may cost; None where nothing is said.

    Attributes:
        flops_per_run: the most that one run of the grid may take.
        flops: the most that the grid may take in all.
        hours: the most hours of workers that it may take in all.
        cost: the most that it may cost, in the currency of the price.
    """

    flops_per_run: float | None = None
    flops: float | None = None
    hours: float | None = None
    cost: float | None = None


@dataclass(frozen=True, kw_only=True)
class Speed:
    """What is known of the speed and price of one worker.

    Attributes:
        flops_per_second: measured, by the sweep's convention.
        table: file of measured speeds: `tokens_per_second` and the columns of the terms.
        terms: of the time of a token, formulas over the table's columns.
        price_per_hour: of one worker.
    """

    flops_per_second: float | None = None
    table: Path | None = None
    terms: tuple[str, ...] = ("1", "params")
    price_per_hour: float | None = None


@dataclass(frozen=True, kw_only=True)
class Trainer:
    """What does a run.

    Attributes:
        command: template of the command.
        rule: how its result is read.
        cpus: processors for each run.
        gpus: GPUs for each run.
        environment: variables for it.
        slurm: parameters for submitit, such as `slurm_partition` or `timeout_min`.
    """

    command: str = REFERENCE_COMMAND
    rule: ResultRule = field(default_factory=ResultRule)
    cpus: int = 1
    gpus: int = 0
    environment: Mapping[str, str] = field(default_factory=dict)
    slurm: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_reference(self) -> bool:
        """Whether it is the trainer that comes with Isoloss."""
        return "isoloss.training.train" in self.command.split()


@dataclass(frozen=True, kw_only=True)
class Replicates:
    """Further seeds for some cells, to measure the noise.

    Attributes:
        seeds: the seeds besides those of every cell.
        where: the cells, as an SQL condition.
    """

    seeds: tuple[int, ...]
    where: str


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """What a TOML file says.

    Attributes:
        source: the file.
        family: how a shape follows from N.
        shapes: the shapes themselves, where the file lists them; otherwise empty.
        params: the ladder of N; None where the shapes are listed.
        tokens: the ladder of D; None where D is given per parameter.
        tokens_per_param: D as multiples of N; empty where D has a ladder.
        recipes: one or more.
        seeds: of every cell.
        replicates: further seeds.
        held_out: points (N, D) to be forecast before they are trained.
        where: cells of the grid to keep, as an SQL condition.
        budget: what the grid may cost.
        speed: of one worker.
        trainer: what does a run.
        preparation: what has to be made first; None where nothing has.
        convention: how training FLOPs are counted.
    """

    source: Path
    family: ShapeRule
    shapes: tuple[TransformerShape, ...]
    params: Ladder | None
    tokens: Ladder | None
    tokens_per_param: tuple[float, ...]
    recipes: tuple[Recipe, ...]
    seeds: tuple[int, ...]
    replicates: Replicates | None
    held_out: tuple[tuple[float, float], ...]
    where: str | None
    budget: Budget
    speed: Speed
    trainer: Trainer
    preparation: Preparation | None
    convention: str

    @property
    def directory(self) -> Path:
        """Where commands are done, and from where relative paths lead."""
        return self.source.resolve().parent
