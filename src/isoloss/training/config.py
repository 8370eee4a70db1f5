"""What one run trains, as its `config.json` says it, checked before anything is loaded."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from isoloss.architecture import LLAMA_FIELDS, TransformerShape
from isoloss.errors import InputError

if TYPE_CHECKING:
    from isoloss.curves.schedules import Schedule

ScheduleName = Literal["constant", "cosine", "wsd"]
OptimiserName = Literal["adamw", "muon"]
Precision = Literal["auto", "float32", "bfloat16"]
Parallelism = Literal["ddp", "fsdp"]

_CHOICES: dict[str, tuple[str, ...]] = {
    "schedule": get_args(ScheduleName),
    "optimiser": get_args(OptimiserName),
    "precision": get_args(Precision),
    "parallelism": get_args(Parallelism),
}
_COUNTS = {
    "n_layers": 1,
    "d_model": 1,
    "d_ff": 1,
    "n_heads": 1,
    "vocabulary_size": 1,
    "head_dim": 1,
    "n_kv_heads": 1,
    "context": 1,
    "batch_tokens": 1,
    "tokens": 1,
    "steps": 1,
    "micro_batch_tokens": 1,
    "warmup_steps": 0,
    "decay_steps": 1,
    "mup_base_width": 1,
    "seed": 0,
    "data_seed": 0,
    "held_out_tokens": 1,
    "threads": 1,
    "log_steps": 1,
    "checkpoint_steps": 1,
}
# From where, and below what.
_NUMBERS = {
    "learning_rate": (0.0, math.inf),
    "end_rate": (0.0, math.inf),
    "weight_decay": (0.0, math.inf),
    "beta1": (0.0, 1.0),
    "beta2": (0.0, 1.0),
    "momentum": (0.0, 1.0),
    "epsilon": (0.0, math.inf),
    "clip": (0.0, math.inf),
}
_POSITIVE = ("learning_rate", "epsilon")
_FLAGS = ("tied_embeddings", "repeat", "deterministic")


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """One run: the shape, the data, how much of it, and the recipe.

    Args:
        n_layers: layers; this and the next seven are the fields of `TransformerShape`.
        d_model: width of the residual stream.
        d_ff: inner width of the gated feed-forward block.
        n_heads: query heads.
        vocabulary_size: rows of the embedding, at least as many as the data has token ids.
        head_dim: width of one head, even; None stands for d_model / n_heads.
        n_kv_heads: key and value heads; None stands for n_heads.
        tied_embeddings: True if one matrix serves as input embedding and output projection.
        data: folder of token shards, see `isoloss.training.shards`.
        context: tokens per sequence.
        batch_tokens: tokens per step, over all devices; a multiple of the context.
        tokens: D, rounded to whole batches. One of tokens and steps is needed.
        steps: D in steps.
        repeat: True to allow further epochs when the corpus is smaller than D.
        learning_rate: the peak rate.
        schedule: shape of the rate over the steps.
        warmup_steps: steps over which the rate rises linearly from 0.
        decay_steps: length of the final decay of `wsd`; None stands for a fifth of the steps.
        decay_shape: how it falls: linear, 1-sqrt, cosine or exponential.
        end_rate: rate that a cosine or a decay leads to.
        optimiser: `muon` treats the matrices of the layers so and everything else by AdamW, both
            with the same learning rate (Liu et al. 2025, arXiv:2502.16982).
        weight_decay: decoupled, of matrices except the input embedding.
        beta1: decay of AdamW's first moment.
        beta2: decay of its second moment.
        epsilon: added to the root of the second moment.
        momentum: decay of Muon's momentum.
        clip: norm that gradients are clipped to; 0 for no clipping.
        mup_base_width: d_model at which the learning rate was tuned, for the maximal update
            parametrisation (Yang et al. 2022, arXiv:2203.03466); None for the standard one.
        seed: of the initial weights, and of the data order unless data_seed is given.
        data_seed: of the order of sequences.
        micro_batch_tokens: tokens per device in one forward pass; gradients add up to a batch.
        held_out_tokens: evaluate on so many of the first held-out tokens; None for all.
        device: `auto`, `cpu`, `cuda` or `cuda:1`.
        precision: `auto` is bfloat16 autocast on GPUs that have it and float32 elsewhere.
        compile: True for torch.compile; None stands for GPUs only.
        parallelism: under torchrun, whole copies (`ddp`) or sharded ones (`fsdp`).
        threads: of PyTorch's operators on the CPU; None for its default.
        deterministic: True to refuse operators whose sums depend on chance, on GPUs at a price.
        log_steps: steps between lines of metrics.jsonl; None stands for a hundredth of the steps.
        checkpoint_steps: steps between checkpoints; None stands for a twentieth of the steps.
        keep_checkpoints: steps whose checkpoint is kept as `checkpoint-STEP.pt`, for branches.
        start_from: checkpoint of another run to go on from, as a decay does from its trunk.
        labels: anything that should reach the result unchanged, such as the recipe's name.

    Raises:
        InputError: a value has no meaning, or shapes do not divide.
    """

    n_layers: int
    d_model: int
    d_ff: int
    n_heads: int
    vocabulary_size: int
    head_dim: int | None = None
    n_kv_heads: int | None = None
    tied_embeddings: bool = False
    data: str
    context: int
    batch_tokens: int
    tokens: int | None = None
    steps: int | None = None
    repeat: bool = False
    learning_rate: float
    schedule: ScheduleName = "cosine"
    warmup_steps: int = 0
    decay_steps: int | None = None
    decay_shape: str = "linear"
    end_rate: float = 0.0
    optimiser: OptimiserName = "adamw"
    weight_decay: float = 0.1
    beta1: float = 0.9
    beta2: float = 0.95
    epsilon: float = 1e-8
    momentum: float = 0.95
    clip: float = 1.0
    mup_base_width: int | None = None
    seed: int = 0
    data_seed: int | None = None
    micro_batch_tokens: int | None = None
    held_out_tokens: int | None = None
    device: str = "auto"
    precision: Precision = "auto"
    compile: bool | None = None
    parallelism: Parallelism = "ddp"
    threads: int | None = None
    deterministic: bool = False
    log_steps: int | None = None
    checkpoint_steps: int | None = None
    keep_checkpoints: tuple[int, ...] = ()
    start_from: str | None = None
    labels: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        self._check_values()
        object.__setattr__(self, "keep_checkpoints", tuple(self.keep_checkpoints))
        head_dim = self.shape.query_width // self.n_heads
        if head_dim % 2:
            raise _refusal("rotary positions turn pairs", "head_dim", head_dim, "an even width")
        if self.batch_tokens % self.context:
            expected = f"a multiple of the context, {self.context}"
            raise _refusal("no whole sequences", "batch_tokens", self.batch_tokens, expected)
        self._check_micro_batch(1)
        if (self.tokens is None) == (self.steps is None):
            found = "neither" if self.tokens is None else "both"
            raise _refusal("the length of the run", "tokens, steps", found, "one of them")
        _ = self.rates

    def _check_values(self) -> None:
        for field in fields(self):
            name, value = field.name, getattr(self, field.name)
            optional = field.default is None
            if value is None and optional:
                continue
            if name in _CHOICES and value not in _CHOICES[name]:
                expected = "one of " + ", ".join(_CHOICES[name])
                raise _refusal("not a choice", name, repr(value), expected)
            if (name in _FLAGS or name == "compile") and not isinstance(value, bool):
                raise _refusal("not a choice", name, repr(value), "true or false")
            if name in _COUNTS and not _is_count(value, _COUNTS[name]):
                expected = f"a whole number of at least {_COUNTS[name]}"
                raise _refusal("not a count", name, repr(value), expected)
            if name in _NUMBERS and not _is_number(value, name):
                low, high = _NUMBERS[name]
                expected = f"{'above' if name in _POSITIVE else 'at least'} {low:g}"
                expected += f" and below {high:g}" if math.isfinite(high) else ""
                raise _refusal("not usable", name, repr(value), f"a number {expected}")
        kept = self.keep_checkpoints
        if not (isinstance(kept, list | tuple) and all(_is_count(step, 1) for step in kept)):
            raise _refusal("not steps", "keep_checkpoints", repr(kept), "a list such as [1000]")

    def _check_micro_batch(self, devices: int) -> None:
        micro = self.micro_tokens(devices)
        if micro % self.context:
            expected = f"a multiple of the context, {self.context}"
            raise _refusal("no whole sequences", "micro_batch_tokens", micro, expected)
        if self.batch_tokens % (micro * devices):
            name = "micro_batch_tokens" if self.micro_batch_tokens else "batch_tokens"
            found = f"{micro} on each of {devices} for a batch of {self.batch_tokens}"
            raise _refusal("the batch does not divide", name, found, "equal parts")

    def check_devices(self, devices: int) -> None:
        """Refuse a batch that cannot be shared out evenly.

        Raises:
            InputError: the sequences of a batch do not divide over so many devices.
        """
        if self.batch_tokens % (self.context * devices):
            found = f"{self.batch_tokens // self.context} sequences for {devices} devices"
            expected = "as many sequences for each device"
            raise _refusal("the batch does not divide", "batch_tokens", found, expected)
        self._check_micro_batch(devices)

    @property
    def shape(self) -> TransformerShape:
        """The model's shape, for exact counts."""
        return TransformerShape(**{name: getattr(self, name) for name in LLAMA_FIELDS})

    @property
    def total_steps(self) -> int:
        """Steps of the run."""
        if self.steps is not None:
            return self.steps
        assert self.tokens is not None
        return max(1, round(self.tokens / self.batch_tokens))

    @property
    def total_tokens(self) -> int:
        """D: the tokens that the run is trained on, in whole batches."""
        return self.total_steps * self.batch_tokens

    @property
    def order_seed(self) -> int:
        """Seed of the order of sequences."""
        return self.seed if self.data_seed is None else self.data_seed

    def micro_tokens(self, devices: int = 1) -> int:
        """Tokens per device in one forward pass."""
        return self.micro_batch_tokens or self.batch_tokens // devices

    @property
    def rates(self) -> Schedule:
        """The learning rate at each step, the very schedule that `isoloss.curves` knows."""
        from isoloss.curves.schedules import constant, cosine, wsd

        steps, peak, warmup = self.total_steps, self.learning_rate, self.warmup_steps
        match self.schedule:
            case "constant":
                return constant(steps, peak, warmup=warmup)
            case "cosine":
                return cosine(steps, peak, warmup=warmup, end=self.end_rate)
            case "wsd":
                decay = max(1, steps // 5) if self.decay_steps is None else self.decay_steps
                return wsd(
                    steps,
                    peak,
                    decay=decay,
                    shape=self.decay_shape,
                    warmup=warmup,
                    end=self.end_rate,
                )

    def to_json(self) -> dict[str, Any]:
        """Every field, as `config.json` holds it."""
        return asdict(self) | {"keep_checkpoints": list(self.keep_checkpoints)}


def parse_config(document: Any, *, where: str = "config") -> TrainingConfig:
    """The run that a JSON object describes.

    Raises:
        InputError: it is no object, a key is unknown or missing, or a value has no meaning.
    """
    if not isinstance(document, dict):
        raise InputError("not a configuration", where=where, expected="a JSON object")
    known = {field.name: field for field in fields(TrainingConfig)}
    if unknown := [name for name in document if name not in known]:
        raise InputError(
            "unknown key", where=where, found=unknown[0], expected="one of " + ", ".join(known)
        )
    required = [name for name, field in known.items() if field.default is MISSING]
    if missing := [name for name in required if name not in document]:
        raise InputError("missing key", where=where, expected=", ".join(missing))
    return TrainingConfig(**document)


def read_config(path: str | Path) -> TrainingConfig:
    """The run that a JSON file describes.

    Raises:
        InputError: the file cannot be read, or is no configuration.
    """
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError("cannot be read", where=str(path), found=error.strerror or "") from None
    except ValueError as error:
        raise InputError("not JSON", where=str(path), found=str(error)) from None
    return parse_config(document, where=str(path))


def _is_count(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_number(value: object, name: str) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    low, high = _NUMBERS[name]
    return (low < value if name in _POSITIVE else low <= value) and value < high


def _refusal(what: str, name: str, found: object, expected: str) -> InputError:
    return InputError(what, where=name, found=str(found), expected=expected)
