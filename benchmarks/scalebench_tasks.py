"""The tasks of ScaleBench, the laws that compete in each, and the benchmark's own laws of one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl
from public_tables import FOLDER

from isoloss.laws import Input, Law
from isoloss.laws.diffusion import REPEATED_DIFFUSION
from isoloss.laws.experts import COUPLED_EXPERTS, EFFECTIVE_EXPERTS, ROUTED
from isoloss.laws.learning_rate_surface import (
    LEARNING_RATE_SURFACE,
    TILTED_LEARNING_RATE_SURFACE,
)
from isoloss.laws.mixing import mixing_law
from isoloss.laws.own_share import own_share_law
from isoloss.laws.parallel_scaling import PARALLEL_POWER, PARALLEL_SCALING
from isoloss.laws.repeated_data import REPEATED_DATA
from isoloss.laws.upcycling import UPCYCLED, UPCYCLED_COUPLED, UPCYCLED_DENSE, UPCYCLED_SIZE
from isoloss.laws.vocabulary import VOCABULARY_DILUTING, VOCABULARY_OF_TEXT

# The sweeps count batches in sequences of so many tokens.
SEQUENCE = 2048
_DOMAINS = tuple(f"proportion_domain_{index}" for index in range(1, 6))
_DOMAIN_LOSSES = tuple(f"loss_domain_{index}" for index in range(1, 6))
# The benchmark's own laws of sparse upcycling, in billions of active parameters, and their bounds.
_SIZE, _BOTH = "(active_params/1e9)", "exp(c*log(sparsity)*log(active_params/1e9))"
REFERENCE_FORMS = (
    f"exp(d1)*sparsity**(-a)*{_SIZE}**(-b)*{_BOTH} + exp(d3)",
    f"exp(d1)*sparsity**(-a)*{_SIZE}**(-b) + exp(d3)",
    f"exp(d1)*sparsity**(-a) + exp(d2)*{_SIZE}**(-b)*{_BOTH} + exp(d3)",
    f"exp(d1)*sparsity**(-a) + exp(d2)*{_SIZE}**(-b) + exp(d3)",
)
REFERENCE_BOUNDS = {
    **dict.fromkeys(("d1", "d2", "d3"), (-5.0, 5.0)),
    **dict.fromkeys(("a", "b"), (0.01, 3.0)),
    "c": (-1.0, 1.0),
}


@dataclass(frozen=True)
class Contestant:
    """A law for each predicted column.

    Attributes:
        laws: by predicted column.
        pooled: whether one fit serves all groups.
    """

    laws: tuple[Law, ...]
    pooled: bool = False

    @property
    def name(self) -> str:
        """Name of its laws, which have the same."""
        return self.laws[0].name


@dataclass(frozen=True)
class Task:
    """One pair of tables.

    Attributes:
        name: of the task and its files.
        asked: the R2 to reach.
        columns: our name of each column of the files that is read.
        factors: what columns are multiplied by to count in units of one.
        contestants: laws to try.
        ladder: column or product of columns by which rows become dear; empty for fifths.
        shares: quantiles of the ladder, below which rows are fitted to predict the others.
    """

    name: str
    asked: float
    columns: dict[str, str]
    contestants: tuple[Contestant, ...]
    ladder: tuple[str, ...] = ()
    shares: tuple[float, ...] = (0.8,)
    factors: tuple[tuple[str, float], ...] = ()

    @property
    def inputs(self) -> tuple[Input, ...]:
        """What the laws of the first predicted column read."""
        every = (entry for each in self.contestants for entry in each.laws[0].inputs)
        return tuple({entry.name: entry for entry in every}.values())

    @property
    def pooled(self) -> bool:
        """Whether one fit may serve all groups."""
        return any(each.pooled for each in self.contestants)

    def read(self, part: str) -> pl.DataFrame:
        """The rows of "train" or "test", in our names and units, and their groups."""
        frame = pl.read_csv(FOLDER / "scalebench" / f"{self.name}_{part}.csv")
        frame = frame.select(
            "group", *(pl.col(own).alias(as_) for own, as_ in self.columns.items())
        )
        return frame.with_columns(pl.col(name) * factor for name, factor in self.factors)


def _each(*laws: Law, pooled: bool = False) -> tuple[Contestant, ...]:
    return tuple(Contestant((law,), pooled) for law in laws)


def tasks() -> Iterator[Task]:
    """The seven tasks."""
    yield Task(
        "lr_bsz",
        0.04,
        {
            **{"non_embedding_param_size": "params", "data_size": "tokens"},
            **{"lr": "learning_rate", "bsz": "batch_tokens", "lm_loss": "loss"},
        },
        _each(LEARNING_RATE_SURFACE, TILTED_LEARNING_RATE_SURFACE),
        ladder=("params", "tokens"),
        factors=(("batch_tokens", SEQUENCE),),
    )
    mixing = tuple(mixing_law(_DOMAINS, loss) for loss in _DOMAIN_LOSSES)
    own_share = tuple(
        own_share_law(_DOMAINS, own, loss)
        for own, loss in zip(_DOMAINS, _DOMAIN_LOSSES, strict=True)
    )
    yield Task(
        "domain_mixture",
        0.81,
        {name: name for name in (*_DOMAINS, *_DOMAIN_LOSSES)},
        (Contestant(mixing), Contestant(own_share)),
    )
    yield Task(
        "vocab",
        0.93,
        {
            **{"non_vocab_parameters": "non_vocabulary_params", "vocab_size": "vocabulary_size"},
            **{"num_characters": "characters"},
            **{"unigram_normalized_loss": "unigram_normalized_loss"},
        },
        _each(VOCABULARY_OF_TEXT, VOCABULARY_DILUTING),
        ladder=("vocabulary_size",),
        shares=(0.6, 0.8),
    )
    yield Task(
        "parallel",
        0.99,
        {"num_params": "params", "parallel_size": "streams", "loss": "loss"},
        _each(PARALLEL_SCALING, PARALLEL_POWER),
        ladder=("streams",),
    )
    yield Task(
        "moe",
        0.81,
        {
            **{"dense_parameter_count": "active_params", "num_experts": "experts"},
            **{"loss_validation": "loss"},
        },
        _each(ROUTED, EFFECTIVE_EXPERTS, COUPLED_EXPERTS),
        ladder=("active_params",),
        shares=(0.6, 0.8),
    )
    yield Task(
        "data_constrained",
        0.79,
        {name: name for name in ("params", "tokens", "unique_tokens", "loss")},
        _each(REPEATED_DATA, REPEATED_DIFFUSION),
        ladder=("params", "tokens"),
        shares=(0.6, 0.8),
    )
    yield Task(
        "sparsity",
        0.37,
        {
            **{"P": "sparsity", "N_active": "active_params", "N_dense": "dense_params"},
            **{"D1": "dense_tokens", "D2": "tokens", "loss": "loss"},
        },
        (
            *_each(UPCYCLED_SIZE),
            *_each(UPCYCLED, UPCYCLED_COUPLED, UPCYCLED_DENSE, pooled=True),
        ),
        factors=tuple(
            (name, 1e9) for name in ("active_params", "dense_params", "dense_tokens", "tokens")
        ),
    )
