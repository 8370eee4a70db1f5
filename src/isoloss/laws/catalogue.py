"""The laws that come with Isoloss, by name."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from isoloss.errors import InputError
from isoloss.laws.broken import BROKEN_1, BROKEN_2, BROKEN_3, broken_law
from isoloss.laws.chinchilla import CHINCHILLA
from isoloss.laws.compute import COMPUTE
from isoloss.laws.coupled import COUPLED, COUPLED_HELD
from isoloss.laws.diffusion import REPEATED_DIFFUSION
from isoloss.laws.downstream import DOWNSTREAM, EMERGENT
from isoloss.laws.experts import COUPLED_EXPERTS, EFFECTIVE_EXPERTS, JOINT_EXPERTS, ROUTED
from isoloss.laws.farseer import FARSEER, FARSEER_HELD
from isoloss.laws.kaplan import KAPLAN
from isoloss.laws.kaplan_steps import KAPLAN_STEPS
from isoloss.laws.law import LOSS, PARAMS, TOKENS, Input, Law, Target, column_symbol
from isoloss.laws.learning_rate_surface import (
    LEARNING_RATE_SURFACE,
    TILTED_LEARNING_RATE_SURFACE,
)
from isoloss.laws.mixing import mixing_law
from isoloss.laws.null_model import LOG_COMPUTE
from isoloss.laws.overtraining import OVERTRAINING, OVERTRAINING_HELD
from isoloss.laws.own_share import own_share_law
from isoloss.laws.parallel_scaling import PARALLEL_POWER, PARALLEL_SCALING
from isoloss.laws.power import FLOPS, POWER_FLOPS, POWER_PARAMS, POWER_TOKENS, STEPS
from isoloss.laws.reconciliation import CHINCHILLA_NONEMBEDDING
from isoloss.laws.repeated_data import REPEATED_DATA
from isoloss.laws.shape import ASPECT, ASPECT_FREE, CONDITIONAL_SHAPE, CONDITIONAL_SHAPE_ADDED
from isoloss.laws.sparse_pretraining import SPARSE_PRETRAINING
from isoloss.laws.train_to_test import PASS_AT_K_LAW, PASS_AT_K_OF_LOSS, TRAIN_TO_TEST
from isoloss.laws.upcycling import (
    UPCYCLED,
    UPCYCLED_COUPLED,
    UPCYCLED_DATA,
    UPCYCLED_DENSE,
    UPCYCLED_SIZE,
)
from isoloss.laws.vocabulary import VOCABULARY, VOCABULARY_DILUTING, VOCABULARY_OF_TEXT
from isoloss.laws.width import WIDTH_LAW

# The laws that a weighted forecast from N and D considers unless told otherwise.
CANDIDATES: tuple[Law, ...] = (
    *(FARSEER, CHINCHILLA, COUPLED, OVERTRAINING, KAPLAN, COMPUTE),
    *(FARSEER_HELD, COUPLED_HELD, OVERTRAINING_HELD),
)

CATALOGUE: dict[str, Law] = {
    law.name: law
    for law in (
        *CANDIDATES,
        *(CHINCHILLA_NONEMBEDDING, LOG_COMPUTE, POWER_PARAMS, POWER_TOKENS, POWER_FLOPS),
        *(BROKEN_1, BROKEN_2, BROKEN_3, KAPLAN_STEPS),
        *(REPEATED_DATA, REPEATED_DIFFUSION, SPARSE_PRETRAINING),
        *(CONDITIONAL_SHAPE, CONDITIONAL_SHAPE_ADDED, ASPECT, ASPECT_FREE, WIDTH_LAW),
        *(ROUTED, EFFECTIVE_EXPERTS, COUPLED_EXPERTS, JOINT_EXPERTS),
        *(UPCYCLED_DATA, UPCYCLED_SIZE, UPCYCLED, UPCYCLED_COUPLED, UPCYCLED_DENSE),
        *(PARALLEL_SCALING, PARALLEL_POWER),
        *(VOCABULARY, VOCABULARY_OF_TEXT, VOCABULARY_DILUTING),
        *(LEARNING_RATE_SURFACE, TILTED_LEARNING_RATE_SURFACE),
        *(DOWNSTREAM, EMERGENT, TRAIN_TO_TEST, PASS_AT_K_OF_LOSS, PASS_AT_K_LAW),
    )
}


def _broken(breaks: int, inputs: Sequence[str], target: str) -> Law:
    """A broken power law of one column."""
    if len(inputs) != 1:
        raise InputError(
            "a broken power law reads one column",
            where="--inputs",
            found=", ".join(inputs) or "none",
        )
    known = {entry.name: entry for entry in (PARAMS, TOKENS, FLOPS, STEPS)}
    variable = known.get(inputs[0], Input(inputs[0], column_symbol(inputs[0]), ""))
    predicted = LOSS if target == LOSS.name else Target(target, column_symbol(target), "")
    return broken_law(breaks, variable, predicted)


# What is fitted unless told otherwise, and what other work is compared with.
DEFAULT_LAW = FARSEER.name
REFERENCE_LAW = CHINCHILLA.name

# Laws that are made for the columns of a table: from the names of inputs and of the target.
FAMILIES: dict[str, Callable[[Sequence[str], str], Law]] = {
    "mixing": mixing_law,
    **{
        law.name: functools.partial(_broken, breaks)
        for breaks, law in enumerate((BROKEN_1, BROKEN_2, BROKEN_3), 1)
    },
}


def find_family(name: str, inputs: Sequence[str], target: str) -> Law:
    """The law of a family for the columns of a table.

    Args:
        name: of the family.
        inputs: columns that it reads.
        target: column that it predicts.

    Raises:
        InputError: there is no such family, or it cannot be made of these columns.
    """
    if name not in FAMILIES:
        raise InputError(
            "not a family of laws for any columns",
            where="--law",
            found=name,
            expected="one of " + ", ".join(FAMILIES),
        )
    return FAMILIES[name](inputs, target)


def candidates_for(columns: Collection[str], target: str = LOSS.name) -> tuple[Law, ...]:
    """The laws that a weighted forecast considers for runs told apart by some columns.

    Those of the catalogue with a standing that read nothing else and predict the target; where
    there is none, those without a standing; and where the catalogue has none at all, laws made for
    the columns: power laws of one of them, broken or not, and mixing laws of several.

    Args:
        columns: what is known of each run.
        target: the column to predict.

    Raises:
        InputError: a column is read by none of these laws.
    """
    wanted = set(columns)
    able = [
        law
        for law in CATALOGUE.values()
        if law.target.name == target and {entry.name for entry in law.inputs} <= wanted
    ]
    laws = [law for law in able if law.standing > 0] or able or _made_for(list(columns), target)
    unread = [name for name in columns if all(name not in law.columns for law in laws)]
    if unread or not columns:
        others = ", ".join(name for name in columns if name not in unread)
        raise InputError(
            f"no law predicts {target} from {', '.join(unread) or 'nothing'}"
            + (f" beside {others}" if others else ""),
            expected="the inputs of laws, as isoloss laws shows them, or a law of your own",
        )
    return tuple(laws)


def _made_for(columns: Sequence[str], target: str) -> list[Law]:
    if len(columns) < 2:
        return [_broken(breaks, columns, target) for breaks in range(4) if columns]
    if any(name in law.columns for law in CATALOGUE.values() for name in columns):
        # Sizes and the like are no shares of a mixture.
        return []
    own = [own_share_law(columns, each, target) for each in columns]
    return [
        mixing_law(columns, target),
        *(replace(law, name=f"{law.name}-{each}") for law, each in zip(own, columns, strict=True)),
    ]


def find_law(name: str) -> Law:
    """The law with that name.

    Raises:
        InputError: the catalogue has no such law.
    """
    if name in CATALOGUE:
        return CATALOGUE[name]
    if name in FAMILIES:
        raise InputError(
            f"law {name} needs the columns it is for",
            where="--law",
            expected="--inputs NAME,... and --target NAME",
        )
    close = difflib.get_close_matches(name, CATALOGUE, n=1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    raise InputError(
        "unknown law",
        where="--law",
        found=f"{name!r}{hint}",
        expected="one of " + ", ".join(CATALOGUE) + ", or a TOML file",
    )
