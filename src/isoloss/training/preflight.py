"""What can be known to go wrong before anything runs."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from isoloss.architecture import LLAMA_FIELDS
from isoloss.errors import InputError
from isoloss.training.plan import Plan, PlannedRun
from isoloss.training.template import fill_template

# What the plan gives values, so no setting may.
_PLANNED = frozenset(
    (
        *LLAMA_FIELDS,
        *("context", "batch_tokens", "steps", "tokens", "learning_rate", "schedule"),
        *("warmup_steps", "decay_steps", "seed", "start_from", "start_step", "keep_checkpoints"),
        *("labels", "flops", "folder", "python", "run_id", "kind", "recipe", "held_out"),
        *("params", "params_nonembedding", "params_total"),
    )
)


def check_configurations(plan: Plan) -> None:
    """Refuse settings that the reference trainer does not know, and names that the plan uses.

    Raises:
        InputError: there is one.
    """
    for run in plan.runs:
        for name in run.settings:
            if name in _PLANNED:
                raise InputError(
                    "the plan itself says this",
                    where=f"{plan.source}: settings.{name}",
                    expected="its key in [training], [family] or seeds",
                )
        if plan.trainer.is_reference:
            _check_reference(plan, run)


def prepare(plan: Plan) -> bool:
    """Make what the runs need and is not there yet, as the sweep says; whether it was made.

    Raises:
        InputError: the command fails.
    """
    return plan.preparation is not None and plan.preparation.do(plan.directory)


def check_command(plan: Plan) -> None:
    """Refuse a command that is not there, results that cannot be read, and data too small.

    Raises:
        InputError: the program is not found or, for the reference trainer, the corpus is missing,
            empty, or smaller than the longest run asks for.
        MissingExtraError: the results are in files whose reader is not installed.
    """
    plan.trainer.rule.check_reader()
    places = {"folder": "", "python": sys.executable}
    for run in plan.runs:
        words = fill_template(plan.trainer.command, {**run.fields(), **places})
        program = words[0] if "/" not in words[0] else str(Path(plan.directory) / words[0])
        if shutil.which(program) is None:
            raise InputError(
                "no such program",
                where=f"{plan.source}: trainer.command",
                found=words[0],
                expected="the name of a program, or {python} and a script",
            )
        # Python itself is always there; what it is to run may not be.
        script = Path(plan.directory) / words[1] if words[1:] else None
        if words[0] == sys.executable and script and script.suffix == ".py" and not script.exists():
            raise InputError(
                "no such script",
                where=f"{plan.source}: trainer.command",
                found=words[1],
                expected=f"a file in {plan.directory}, or its whole path",
            )
    if plan.trainer.is_reference:
        _check_corpora(plan)


def check_machine(plan: Plan) -> None:
    """Refuse runs of the reference trainer that this machine, where they are to be done, cannot do.

    Raises:
        InputError: one asks for a GPU and there is none, or for more memory than is free; the
            memory of GPUs is left to the trainer to judge.
    """
    if not plan.trainer.is_reference:
        return
    from isoloss.training.config import parse_config
    from isoloss.training.local_pool import visible_gpus
    from isoloss.training.memory import available_bytes, check_memory

    has_gpus, free = bool(visible_gpus()), available_bytes()
    for run in plan.runs:
        config = parse_config(run.config(), where=f"{plan.source}: settings")
        if config.device.startswith("cuda") and not has_gpus:
            raise InputError(
                "no GPU on this machine",
                where=f"{plan.source}: settings.device",
                found=repr(config.device),
                expected="auto or cpu, or a launcher that reaches GPUs",
            )
        if config.device == "cpu" or not has_gpus:
            half = config.precision == "bfloat16"
            check_memory(config, free, half=half, where=f"{plan.source}: {run.name}")


def _check_reference(plan: Plan, run: PlannedRun) -> None:
    from isoloss.training.config import parse_config

    parse_config(run.config(), where=f"{plan.source}: settings")


def _check_corpora(plan: Plan) -> None:
    from isoloss.training.batches import TrainingBatches
    from isoloss.training.config import parse_config
    from isoloss.training.shards import read_token_data

    corpora = {}
    for run in plan.runs:
        config = parse_config(run.config(), where=f"{plan.source}: settings")
        folder = Path(plan.directory) / config.data
        if folder not in corpora:
            corpora[folder] = read_token_data(folder)
        data = corpora[folder]
        if data.vocabulary_size > config.vocabulary_size:
            raise InputError(
                "the corpus has more token ids than the model",
                where=f"{plan.source}: family.vocabulary_size",
                found=str(config.vocabulary_size),
                expected=f"at least {data.vocabulary_size}",
            )
        sequences = config.batch_tokens // config.context
        batches = TrainingBatches(data, config.context, sequences, config.order_seed)
        batches.check(config.total_steps, repeat=config.repeat)
