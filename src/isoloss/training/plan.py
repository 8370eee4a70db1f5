"""The plan of a sweep: every run with its exact shape, steps, rates and cost, as data."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from isoloss.architecture import LLAMA_FIELDS, TransformerShape
from isoloss.architecture.proposing import Counted
from isoloss.errors import InputError
from isoloss.files import write_whole
from isoloss.notes import Note
from isoloss.training.attempt import Job
from isoloss.training.preparing import Preparation
from isoloss.training.results import ResultRule
from isoloss.training.run_folder import RunFolder, read_object, step_checkpoint
from isoloss.training.sweep import Trainer
from isoloss.training.template import flat_fields

PLAN = "plan.json"
RUNS = "runs"
Kind = Literal["run", "trunk", "branch"]


@dataclass(frozen=True, kw_only=True)
class PlannedRun:
    """One run of a plan.

    Attributes:
        name: unlike any other of the plan; also that of its folder.
        kind: "run" from begin to end; "trunk" at the constant rate, whose checkpoints serve
            branches; "branch" from a checkpoint of its trunk through the decay to its end.
        recipe: its name.
        shape: the model.
        params: N as the family counts it.
        tokens: D, from the very first step on.
        steps: from the very first on.
        batch_tokens: tokens per step.
        context: tokens per sequence.
        learning_rate: peak rate.
        schedule: cosine, wsd or constant.
        warmup_steps: of the schedule.
        decay_steps: of a WSD schedule; 0 under any other.
        seed: of the run.
        held_out: whether it is to be forecast before it is trained.
        flops: training FLOPs from the first step to the last, by the plan's convention.
        trunk: for a branch, the run whose checkpoint it starts from.
        start_step: for a branch, the step of that checkpoint.
        keep_checkpoints: for a trunk, the steps whose checkpoints its branches need.
        settings: what goes to the trainer as it is.
        seconds: predicted time of one worker; None where no speed is known.
        cost: predicted; None where no price is known.
    """

    name: str
    kind: Kind
    recipe: str
    shape: TransformerShape
    params: int
    tokens: int
    steps: int
    batch_tokens: int
    context: int
    learning_rate: float
    schedule: str
    warmup_steps: int
    decay_steps: int
    seed: int
    held_out: bool
    flops: float
    trunk: str | None = None
    start_step: int = 0
    keep_checkpoints: tuple[int, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    seconds: float | None = None
    cost: float | None = None

    @property
    def spent_tokens(self) -> int:
        """Tokens that this run itself trains on: those of a branch after its start."""
        return (self.steps - self.start_step) * self.batch_tokens

    @property
    def spent_flops(self) -> float:
        """FLOPs that this run itself takes."""
        return self.flops * (self.steps - self.start_step) / self.steps

    @property
    def gives_row(self) -> bool:
        """Whether its loss belongs into the run table: a trunk's, not decayed, does not."""
        return self.kind != "trunk"

    @cached_property
    def labels(self) -> dict[str, Any]:
        """What identifies the run, for the trainer to hand on and for templates."""
        return {
            "run_id": self.name,
            "kind": self.kind,
            "recipe": self.recipe,
            "held_out": self.held_out,
            "params": self.params,
            "params_nonembedding": self.shape.params_nonembedding,
            "params_total": self.shape.params_total,
            "tokens": self.tokens,
        }

    def config(self, runs: Path | None = None) -> dict[str, Any]:
        """What `config.json` of the run holds, in the words of the reference trainer.

        Args:
            runs: the folder that holds those of all runs, for the checkpoint of a trunk.
        """
        shape = {name: getattr(self.shape, name) for name in LLAMA_FIELDS}
        config = {
            **{name: value for name, value in shape.items() if value is not None},
            "context": self.context,
            "batch_tokens": self.batch_tokens,
            "steps": self.steps,
            "learning_rate": self.learning_rate,
            "schedule": self.schedule,
            "warmup_steps": self.warmup_steps,
            "seed": self.seed,
            **self.settings,
        }
        if self.decay_steps:
            config["decay_steps"] = self.decay_steps
        if self.keep_checkpoints:
            config["keep_checkpoints"] = list(self.keep_checkpoints)
        if self.trunk is not None:
            place = (runs or Path(RUNS)) / self.trunk / step_checkpoint(self.start_step)
            config["start_from"] = str(place)
        return {**config, "labels": dict(self.labels)}

    def fields(self, runs: Path | None = None) -> dict[str, Any]:
        """What a template may name: all that the configuration holds, by flat names."""
        absent: dict[str, Any] = {
            "head_dim": self.shape.query_width // self.shape.n_heads,
            "n_kv_heads": self.shape.n_kv_heads or self.shape.n_heads,
            "decay_steps": self.decay_steps,
            "keep_checkpoints": list(self.keep_checkpoints),
            "start_from": None,
            "start_step": self.start_step,
            "flops": self.flops,
        }
        config = self.config(runs)
        labels = config.pop("labels")
        return {**absent, **labels, **flat_fields(config)}

    def to_json(self) -> dict[str, Any]:
        """The run as one JSON object."""
        found = asdict(self)
        found["shape"] = {name: getattr(self.shape, name) for name in LLAMA_FIELDS}
        found["settings"] = dict(self.settings)
        found["keep_checkpoints"] = list(self.keep_checkpoints)
        return found

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> PlannedRun:
        """The run that `to_json` wrote."""
        found = dict(document)
        found["shape"] = TransformerShape(**found["shape"])
        found["keep_checkpoints"] = tuple(found["keep_checkpoints"])
        return cls(**found)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A sweep, run by run.

    Attributes:
        source: the TOML file it was made from.
        directory: where commands are done.
        trainer: what does a run.
        counted: what the N of the family counts.
        convention: how FLOPs are counted.
        runs: trunks before their branches.
        preparation: what has to be made before anything runs.
        notes: what to know about it.
    """

    source: str
    directory: str
    trainer: Trainer
    counted: Counted
    convention: str
    runs: tuple[PlannedRun, ...]
    preparation: Preparation | None = None
    notes: tuple[Note, ...] = ()

    @property
    def rows(self) -> tuple[PlannedRun, ...]:
        """The runs that give a row of the run table."""
        return tuple(run for run in self.runs if run.gives_row)

    @property
    def flops(self) -> float:
        """FLOPs that all runs take; a trunk counts once."""
        return sum(run.spent_flops for run in self.runs)

    @property
    def seconds(self) -> float | None:
        """Seconds of one worker for all runs; None where no speed is known."""
        known = [run.seconds for run in self.runs if run.seconds is not None]
        return sum(known) if len(known) == len(self.runs) else None

    @property
    def cost(self) -> float | None:
        """Of all runs; None where no price is known."""
        known = [run.cost for run in self.runs if run.cost is not None]
        return sum(known) if len(known) == len(self.runs) else None

    def folder_of(self, run: PlannedRun, folder: Path) -> Path:
        """Where a run lies in the folder of the sweep."""
        return folder.resolve() / RUNS / run.name

    def job(self, run: PlannedRun, folder: Path) -> Job:
        """A run as launchers take it."""
        place = self.folder_of(run, folder)
        return Job(
            name=run.name,
            folder=str(place),
            command=self.trainer.command,
            fields=run.fields(place.parent),
            directory=self.directory,
            rule=self.trainer.rule,
            environment=self.trainer.environment,
            cpus=self.trainer.cpus,
            gpus=self.trainer.gpus,
        )

    def to_json(self) -> dict[str, Any]:
        """The plan as one JSON object."""
        return {
            "source": self.source,
            "directory": self.directory,
            "trainer": asdict(self.trainer),
            "preparation": None if self.preparation is None else asdict(self.preparation),
            "counted": self.counted,
            "convention": self.convention,
            "n_runs": len(self.runs),
            "n_rows": len(self.rows),
            "flops": self.flops,
            "seconds": self.seconds,
            "cost": self.cost,
            "runs": [run.to_json() for run in self.runs],
            "notes": [note.to_json() for note in self.notes],
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Plan:
        """The plan that `to_json` wrote; its notes were for whoever made it."""
        trainer = dict(document["trainer"])
        trainer["rule"] = ResultRule(**trainer["rule"])
        return cls(
            source=document["source"],
            directory=document["directory"],
            trainer=Trainer(**trainer),
            counted=document["counted"],
            convention=document["convention"],
            runs=tuple(map(PlannedRun.from_json, document["runs"])),
            preparation=None
            if document["preparation"] is None
            else Preparation(**document["preparation"]),
        )


def save_plan(plan: Plan, folder: str | Path) -> None:
    """Write a plan into the folder of its sweep, which is made if it is not there.

    A plan may take the place of another: new runs are added to those that are done.

    Raises:
        InputError: the folder cannot be written, or holds a result of a run that the new plan
            describes otherwise.
    """
    path = Path(folder)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            "cannot make the folder", where=str(path), found=error.strerror or str(error)
        ) from None
    if (path / PLAN).exists():
        _check_same(plan, read_plan(path), path)
    write_whole(path / PLAN, json.dumps(plan.to_json(), indent=1) + "\n")


def read_plan(folder: str | Path) -> Plan:
    """The plan in the folder of a sweep.

    Raises:
        InputError: there is none, or it cannot be read.
    """
    path = Path(folder) / PLAN
    document = read_object(path)
    if document is None:
        raise InputError(
            "no plan there",
            where=str(path),
            expected="a folder made by isoloss sweep plan FILE.toml -o DIR",
        )
    try:
        return Plan.from_json(document)
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError("not a plan", where=str(path), found=str(error)) from None


def _check_same(plan: Plan, before: Plan, folder: Path) -> None:
    """Refuse a plan under which results that are there would be called by a wrong name."""
    runs = {run.name: run for run in plan.runs}
    for old in before.runs:
        new = runs.get(old.name)
        if new is None or _identity(new) == _identity(old):
            continue
        if RunFolder(plan.folder_of(old, folder)).result is not None:
            changed = _changed(_identity(old), _identity(new))
            raise InputError(
                "a run that is done would be another",
                where=f"{folder}: {old.name}",
                found=changed,
                expected="a folder of its own for the new plan",
            )


def _identity(run: PlannedRun) -> dict[str, Any]:
    config = run.config()
    del config["labels"]
    return config


def _changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    return ", ".join(f"{name} {old.get(name)!r} to {new.get(name)!r}" for name in names)


def trunks_first(runs: Sequence[PlannedRun]) -> tuple[PlannedRun, ...]:
    """Runs in an order in which each trunk comes before its branches."""
    return tuple(sorted(runs, key=lambda run: run.kind != "trunk"))
