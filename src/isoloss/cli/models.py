"""The models behind a plan: real shapes, what they take, and the one to build in the end."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from isoloss.cli import arguments as args
from isoloss.cli.count import USUAL_CONTEXT, counts
from isoloss.cli.hardware import Hardware
from isoloss.cli.output import table
from isoloss.cli.plans import number
from isoloss.errors import InputError
from isoloss.quantities import format_quantity

if TYPE_CHECKING:
    from collections.abc import Callable

    from isoloss.architecture import ExactModel, ModelFamily, Shape
    from isoloss.cli.plans import Answer
    from isoloss.planning import (
        Allocation,
        BuiltRun,
        Cost,
        ParameterCounts,
        Serving,
        ShapeLimit,
    )
    from isoloss.planning.costs import OfSize

    Models = ModelFamily | ExactModel

Config = Annotated[
    str | None,
    typer.Option(
        "--config", metavar="CONFIG", help="The one model of a config.json: its N, its shape."
    ),
]
Like = Annotated[
    str | None,
    typer.Option(
        "--like",
        metavar="CONFIG",
        help="Models with the proportions of a config.json; those of Llama 7B by default.",
    ),
]
Context = Annotated[
    int | None,
    typer.Option(
        "--context",
        metavar="S",
        parser=args.whole_number("--context", 1),
        help="Tokens of a sequence: in training FLOPs, and in the cache while serving.",
    ),
]
Sequences = Annotated[
    int | None,
    typer.Option(
        "--sequences",
        metavar="B",
        parser=args.whole_number("--sequences", 1),
        help="Sequences served at once.",
    ),
]
CacheType = Annotated[
    str | None, typer.Option("--cache-dtype", metavar="TYPE", help="Numbers in the cache.")
]
MaxLatency = Annotated[
    str | None,
    typer.Option(
        "--max-latency",
        metavar="SECONDS",
        help="For one token of every sequence, at full context.",
    ),
]
ServingAccelerators = Annotated[
    str | None,
    typer.Option("--serving-accelerators", metavar="COUNT", help="How many share one model."),
]
Convention = Annotated[
    str | None,
    typer.Option(
        "--flops-convention", metavar="NAME", help="How training FLOPs are counted, as palm."
    ),
]


@dataclass(frozen=True)
class ModelOptions:
    """What the options say of real shapes; None where they say nothing.

    Attributes:
        config: the one model.
        like: a model whose proportions others take.
        context: tokens of a sequence.
        sequences: served at once.
        cache_dtype: type of the numbers in the cache.
        max_latency: most seconds for one token.
        max_serving_memory: most bytes of weights and cache.
        serving_accelerators: how many share one model.
        convention: of training FLOPs.
    """

    config: str | None
    like: str | None
    context: int | None
    sequences: int | None
    cache_dtype: str | None
    max_latency: str | None
    max_serving_memory: float | None
    serving_accelerators: str | None
    convention: str | None

    @property
    def asked(self) -> bool:
        """Whether the question is one about real shapes; memory alone may be one about N."""
        others = {**vars(self), "max_serving_memory": None}
        return any(value is not None for value in others.values())

    def check(self) -> None:
        """Refuse names that nobody knows, under the names of their options.

        Raises:
            InputError: one of them.
        """
        from isoloss.architecture import CACHE_BITS, FLOPS_CONVENTIONS

        for option, name, known in (
            ("--flops-convention", self.convention, FLOPS_CONVENTIONS),
            ("--cache-dtype", self.cache_dtype, CACHE_BITS),
        ):
            if name is not None and name not in known:
                raise InputError(
                    "unknown", where=option, found=repr(name), expected=f"one of {', '.join(known)}"
                )

    def models(self, counted: str) -> Models:
        """The one model, or the family of models.

        Args:
            counted: what the law's N counts.

        Raises:
            InputError: both are asked for, or a config cannot be used.
        """
        from isoloss.architecture import (
            ExactModel,
            ModelFamily,
            ShapeRule,
            read_config,
            rule_like,
        )

        if self.config is not None and self.like is not None:
            raise InputError("two models", where="--like", expected="--config or --like")
        kind: Literal["total", "nonembedding"] = (
            "nonembedding" if counted == "nonembedding" else "total"
        )
        if self.config is not None:
            return ExactModel(read_config(self.config).shape, kind)
        if self.like is None:
            return ModelFamily(ShapeRule(counted=kind))
        shape = read_config(self.like).shape
        try:
            return ModelFamily(rule_like(shape, kind))
        except InputError as error:
            raise InputError(
                error.what,
                where=self.like,
                found=error.found,
                expected="a Llama-style model; --config takes any model as it is",
            ) from None

    def training(self, models: Models) -> Cost | None:
        """Training FLOPs by the convention; None where none is named."""
        from isoloss.architecture import training_flops_per_token
        from isoloss.planning import training_flops

        if self.convention is None:
            return None
        name, context = self.convention, self._context
        per_token = models.by_size(
            lambda shape: training_flops_per_token(shape, name, context=context)
        )
        return training_flops(per_token)

    def flops_served(self, models: Models) -> Callable[[Any], Any] | None:
        """FLOPs of a token that is served, with half of the context in the cache in the mean."""
        from isoloss.architecture import decode_flops_per_token

        if self.convention is None:
            return None
        half = self._context // 2
        return models.by_size(lambda shape: decode_flops_per_token(shape, half))

    def limits(self, hardware: Hardware) -> list[ShapeLimit]:
        """What the shape must keep to.

        Raises:
            InputError: an option is missing or cannot be used.
        """
        from isoloss.planning import ShapeLimit

        serving = self.serving(hardware.inference_precision)
        found = []
        if self.max_serving_memory is not None:
            found.append(
                ShapeLimit("max_serving_memory", "bytes", serving.bytes, self.max_serving_memory)
            )
        most = number(self.max_latency, "--max-latency")
        if most is not None:
            serves = hardware.serves()
            count = number(self.serving_accelerators, "--serving-accelerators") or 1.0
            bandwidth = count * serves.bandwidth
            peak = count * serves.peak(hardware.inference_precision)

            def seconds(shape: Shape) -> float:
                return serving.seconds(shape, bandwidth=bandwidth, peak_flops=peak)

            found.append(ShapeLimit("max_latency", "seconds", seconds, most))
        return found

    def serving(self, precision: str) -> Serving:
        """How the model is served."""
        from isoloss.planning import Serving

        return Serving(
            context=self._context,
            sequences=self.sequences or 1,
            weights=precision,
            cache=self.cache_dtype or "bf16",
        )

    @property
    def _context(self) -> int:
        return self.context or USUAL_CONTEXT

    def document(self, built: BuiltRun, precision: str) -> dict[str, Any]:
        """The model to build, as JSON."""
        serving = self.serving(precision)
        counted = counts(built.shape, self._context, serving.cache)
        return {
            **built.to_json(),
            "shape": asdict(built.shape),
            **counted,
            "training_flops": {
                name: each * built.tokens for name, each in counted["flops_per_token"].items()
            },
            "sequences": serving.sequences,
            "serving_bytes": serving.bytes(built.shape),
        }


def asked_for(
    options: ModelOptions,
    counted: str,
    counts: ParameterCounts | None,
) -> Models | None:
    """The models that the options ask about; None where they ask about N alone.

    Raises:
        InputError: the options contradict each other, or a config cannot be used.
    """
    if not options.asked:
        return None
    if counts is not None:
        raise InputError(
            "two ways from N to embeddings",
            where="--embedding-factor",
            found="the shapes of models besides",
            expected="one of the two",
        )
    return options.models(counted)


def only_size(models: Models, params: float | None) -> float:
    """N of the one model.

    Raises:
        InputError: another size is asked for.
    """
    own = float(models.count(models.nearest(1.0)))
    if params is not None and params != own:
        raise InputError(
            "two sizes",
            where="--params",
            found=f"{params:g}, and the model of --config has {own:g}",
            expected="one of the two",
        )
    return own


def only_count(one: Cost | None, other: Cost | None) -> Cost | None:
    """The one count of training FLOPs that is asked for.

    Raises:
        InputError: both are.
    """
    if one is not None and other is not None:
        raise InputError(
            "two counts of training FLOPs",
            where="--flops-convention",
            found="--flops-count besides",
            expected="one of the two",
        )
    return other or one


def all_params(models: Models | None, counts: ParameterCounts | None) -> OfSize | None:
    """All parameters by N, embeddings among them; None where N is all there is."""
    if models is not None:
        return models.by_size(lambda shape: float(shape.params_total))
    return counts.total if counts else None


def with_model(
    result: Answer,
    models: Models | None,
    options: ModelOptions,
    limits: list[ShapeLimit],
    precision: str,
) -> tuple[dict[str, Any], list[Any]]:
    """The answer as JSON with the model to build in it, and tables that belong to that.

    Raises:
        FitError: no shape near the answer keeps to the limits.
    """
    from isoloss.planning import Demand, Frontier, Overtraining, nearest_built

    document = result.to_json()
    if models is None or isinstance(result, Frontier | Demand):
        return document, []
    run = result.fixed if isinstance(result, Overtraining) else result
    built = nearest_built(run, models, limits)
    model = options.document(built, precision)
    return {**document, "model": model}, [_model_table(built, model, run, options.convention)]


def _model_table(
    built: BuiltRun, document: dict[str, Any], run: Allocation, convention: str | None
) -> Any:
    """The model to build, for people."""
    from isoloss.architecture import as_decoder

    shape = as_decoder(built.shape)
    target = run.surface.law.target.name
    shown = {"6N-total", "6N-nonembedding", *([convention] if convention else [])}
    rows = [
        ("layers", f"{shape.n_layers}"),
        ("d_model", f"{shape.d_model}"),
        ("parameters", f"{document['params_total']:,}"),
        ("without embeddings", f"{document['params_nonembedding']:,}"),
        ("tokens", format_quantity(built.tokens, 4)),
        (target, f"{built.loss:.5g}"),
        *(
            (f"training FLOPs, {name}", f"{amount:.4g}")
            for name, amount in document["training_flops"].items()
            if name in shown
        ),
        (f"decoding FLOPs at {document['context']:,}", f"{document['decode_flops_per_token']:.4g}"),
        ("cache of one sequence, bytes", f"{document['kv_cache_bytes']:.4g}"),
        ("weights and cache, bytes", f"{document['serving_bytes']:.4g}"),
    ]
    if shape.params_active < shape.params_total:
        rows.insert(3, ("met by a token", f"{document['params_active']:,}"))
    if "max_latency" in built.amounts:
        rows.append(("seconds for a token", f"{built.amounts['max_latency']:.4g}"))
    return table("The model to build", ("", "value"), rows)
