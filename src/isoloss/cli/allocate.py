"""`isoloss allocate`: the best run under a budget, or the cheapest that reaches a loss."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isoloss.cli import arguments as args
from isoloss.cli import models as shapes
from isoloss.cli.hardware import Hardware, measured_hours
from isoloss.cli.law_arguments import find_laws
from isoloss.cli.output import check_figure, check_output, deliver, warn
from isoloss.cli.plan_tables import plan_tables
from isoloss.cli.plans import Question, number, with_memory
from isoloss.errors import InputError
from isoloss.quantities import parse_named_point, parse_quantity

if TYPE_CHECKING:
    from isoloss.fitting import Fit
    from isoloss.forecasting import Chain
    from isoloss.laws import Surface
    from isoloss.planning import Cost, ParameterCounts

_HOURS_PER_DAY = 24.0


def _size(option: str, metavar: str, text: str) -> Any:
    return typer.Option(option, metavar=metavar, help=text)


def _share(option: str, text: str) -> Any:
    return typer.Option(option, metavar="SHARE", help=text)


# Sizes are read when the question is put together, so that every refusal names its option.
Size = str | None


def allocate_verb(
    fit: Annotated[
        str,
        typer.Argument(
            metavar="FIT.json|LAW:SET",
            help="A fit written by isoloss fit -o, or published coefficients as "
            "chinchilla:epoch-2024.",
        ),
    ],
    flops: Annotated[
        Size,
        _size(
            "--flops", "C", "A budget of FLOPs: C = 6 N D, with inference where that is asked for."
        ),
    ] = None,
    budget: Annotated[Size, _size("--budget", "MONEY", "A budget of money, by the prices.")] = None,
    hours: Annotated[Size, _size("--hours", "H", "Hours of training on the accelerators.")] = None,
    days: Annotated[Size, _size("--days", "D", "Days of training on the accelerators.")] = None,
    target_loss: Annotated[
        Size, _size("--target-loss", "L", "Find the cheapest run that reaches this loss.")
    ] = None,
    target_score: Annotated[
        Size, _size("--target-score", "S", "The same for what the last law of --then predicts.")
    ] = None,
    then: Annotated[
        list[str] | None,
        typer.Option("--then", metavar="FIT.json", help="A fit that reads the loss of this one."),
    ] = None,
    params: Annotated[
        Size,
        _size("--params", "N", "A fixed size: with --target-loss how long to over-train it."),
    ] = None,
    frontier: Annotated[
        str | None,
        typer.Option(
            "--frontier", metavar="LOW:HIGH", help="Least loss for budgets of FLOPs from LOW on."
        ),
    ] = None,
    demand: Annotated[
        str | None,
        typer.Option(
            "--demand",
            metavar="LOW:HIGH",
            help="With --target-loss: the cheapest run for each number of tokens to be served.",
        ),
    ] = None,
    inference_tokens: Annotated[
        Size, _size("--inference-tokens", "T", "Tokens read and written over the model's life.")
    ] = None,
    prompt_tokens: Annotated[
        Size, _size("--prompt-tokens", "T", "Those of them that are read, for prices.")
    ] = None,
    price: Annotated[
        Size, _size("--price", "P", "Price of an hour of one accelerator that trains.")
    ] = None,
    inference_price: Annotated[
        Size, _size("--inference-price", "P", "Price of an hour of one that serves.")
    ] = None,
    mfu: Annotated[
        Size, _share("--mfu", "Share of the peak that training reaches, as 0.4.")
    ] = None,
    prompt_mfu: Annotated[Size, _share("--prompt-mfu", "The same while it reads prompts.")] = None,
    generation_mfu: Annotated[Size, _share("--generation-mfu", "The same while it writes.")] = None,
    accelerator: Annotated[
        str | None,
        typer.Option("--accelerator", metavar="NAME", help="What trains, as h100-sxm."),
    ] = None,
    inference_accelerator: Annotated[
        str | None,
        typer.Option("--inference-accelerator", metavar="NAME", help="What serves."),
    ] = None,
    accelerators: Annotated[Size, _size("--accelerators", "COUNT", "How many train.")] = None,
    precision: Annotated[
        str, typer.Option("--precision", metavar="NAME", help="Of the training arithmetic.")
    ] = "bf16",
    inference_precision: Annotated[
        str, typer.Option("--inference-precision", metavar="NAME", help="While it serves.")
    ] = "bf16",
    speeds: Annotated[
        str | None,
        typer.Option(
            "--speeds",
            metavar="FILE",
            help="Measured tokens_per_second by params, for hours instead of FLOPs and shares.",
        ),
    ] = None,
    speed_terms: Annotated[
        str,
        typer.Option(
            "--speed-terms", metavar="TERMS", help="What a token's time is a sum of, for that."
        ),
    ] = "1,params",
    unique_tokens: Annotated[
        Size, _size("--unique-tokens", "U", "Distinct training tokens that there are.")
    ] = None,
    max_epochs: Annotated[
        Size, _size("--max-epochs", "E", "Most passes over the unique tokens.")
    ] = None,
    inference_flops: Annotated[
        Size,
        _size("--inference-flops", "C", "For laws of test-time samples: C/2N answers a question."),
    ] = None,
    min_params: Annotated[Size, _size("--min-params", "N", "Smallest model.")] = None,
    max_params: Annotated[Size, _size("--max-params", "N", "Largest model.")] = None,
    min_tokens: Annotated[Size, _size("--min-tokens", "D", "Fewest training tokens.")] = None,
    max_tokens: Annotated[Size, _size("--max-tokens", "D", "Most training tokens.")] = None,
    max_memory: Annotated[
        Size,
        _size("--max-memory", "BYTES", "Memory for the state of training, of all accelerators."),
    ] = None,
    max_serving_memory: Annotated[
        Size,
        _size("--max-serving-memory", "BYTES", "Memory for weights that serve, and for the cache."),
    ] = None,
    config: shapes.Config = None,
    like: shapes.Like = None,
    context: shapes.Context = None,
    sequences: shapes.Sequences = None,
    cache_dtype: shapes.CacheType = None,
    max_latency: shapes.MaxLatency = None,
    serving_accelerators: shapes.ServingAccelerators = None,
    flops_convention: shapes.Convention = None,
    given: Annotated[
        str | None,
        typer.Option(
            "--given", metavar="NAME=NUMBER:...", help="Other columns that the law reads."
        ),
    ] = None,
    embedding_factor: Annotated[
        Size,
        _size(
            "--embedding-factor",
            "OMEGA",
            "Report N with and without embeddings: N_T = N_E + OMEGA N_E^(1/3).",
        ),
    ] = None,
    count: Annotated[
        str | None,
        typer.Option(
            "--count", metavar="total|nonembedding", help="What the law's N counts, for that."
        ),
    ] = None,
    flops_count: Annotated[
        str | None,
        typer.Option(
            "--flops-count", metavar="total|nonembedding", help="What FLOPs count, for that."
        ),
    ] = None,
    level: args.Level = 0.9,
    figure: Annotated[
        Path | None,
        typer.Option("--figure", metavar="FILE", help="Draw the answer, as SVG or PNG."),
    ] = None,
    output: args.Output = None,
    as_json: args.Json = False,
) -> None:
    """The best N and D for a budget under limits, or the cheapest run that reaches a loss."""
    check_output(output, fit)
    check_figure(figure)
    bounded = (flops, budget, hours, days, frontier, demand, target_loss, target_score)
    if all(each is None for each in (*bounded, unique_tokens, max_tokens)):
        raise InputError("missing option '--flops'; see isoloss allocate --help")
    hardware = Hardware(
        accelerator,
        inference_accelerator,
        precision,
        inference_precision,
        number(accelerators, "--accelerators"),
        number(mfu, "--mfu"),
        number(prompt_mfu, "--prompt-mfu"),
        number(generation_mfu, "--generation-mfu"),
        number(price, "--price"),
        number(inference_price, "--inference-price"),
    )
    options = shapes.ModelOptions(
        config,
        like,
        context,
        sequences,
        cache_dtype,
        max_latency,
        number(max_serving_memory, "--max-serving-memory"),
        serving_accelerators,
        flops_convention,
    )
    if prompt_tokens is not None and inference_tokens is None and demand is None:
        raise InputError(
            "tokens of no life", where="--prompt-tokens", expected="--inference-tokens"
        )
    served, read = (
        number(inference_tokens, "--inference-tokens"),
        number(prompt_tokens, "--prompt-tokens"),
    )
    asked = {
        "flops": None if flops is None else args.read_budget(flops),
        "target": number(target_loss, "--target-loss"),
        "score": number(target_score, "--target-score"),
        "params": number(params, "--params"),
    }
    money_budget = number(budget, "--budget")
    time = _hours(hours, days)
    measured = None if speeds is None else measured_hours(speeds, speed_terms)
    with args.naming(fit):
        from isoloss.planning import Limits, ParameterCounts, Spend, training_flops
        from isoloss.planning import inference_flops as serving_flops
        from isoloss.planning.costs import INFERENCE_FLOPS_PER_PARAM

        law = _law(fit, then or [])
        omega = number(embedding_factor, "--embedding-factor")
        counts = None
        if omega is not None:
            counts = ParameterCounts(omega, count or _first(law).law.params)
        options.check()
        models = shapes.asked_for(options, _first(law).law.params, counts)
        if models is not None and config is not None:
            asked["params"] = shapes.only_size(models, asked["params"])
        training = _training(counts, flops_count)
        if models is not None and flops_convention is not None:
            training = shapes.only_count(training, options.training(models))
        bounds = options.limits(hardware) if models is not None else []
        limits = with_memory(
            Limits(
                min_params=number(min_params, "--min-params"),
                max_params=number(max_params, "--max-params"),
                min_tokens=number(min_tokens, "--min-tokens"),
                max_tokens=number(max_tokens, "--max-tokens"),
                unique_tokens=number(unique_tokens, "--unique-tokens"),
                max_epochs=number(max_epochs, "--max-epochs"),
                answer_flops=number(inference_flops, "--inference-flops"),
            ),
            memory=number(max_memory, "--max-memory"),
            serving_memory=options.max_serving_memory if models is None else None,
            serving_precision=inference_precision,
            count=shapes.all_params(models, counts),
        )
        per_token = None if models is None else options.flops_served(models)
        paid = training or training_flops()
        total = counts.total if counts else None

        def paid_in_money(tokens: float | None, prompts: float | None) -> Cost:
            return hardware.money(paid, tokens, prompts, counts, per_token)

        def flops_of(tokens: float) -> Cost:
            return serving_flops(tokens, per_token or INFERENCE_FLOPS_PER_PARAM, count=total)

        def cost_of(tokens: float) -> Cost:
            if not priced:
                return paid + flops_of(tokens)
            return paid_in_money(tokens, tokens * (read / served if read and served else 0.0))

        priced = price is not None or money_budget is not None
        money = paid_in_money(served, read) if priced else None
        spend = list(limits.spend)
        if money is not None and money_budget is not None:
            spend.append(Spend(money, money_budget))
        clock = measured
        if clock is None and time is not None:
            clock = hardware.clock(paid)
        if time is not None and clock is not None:
            spend.append(Spend(clock, time))
        reported = [each for each in (clock, money) if each is not None]
        shaped = [each.over(models) for each in bounds if models is not None]
        question = Question(
            **asked,
            frontier=frontier,
            demand=demand,
            cost_of=cost_of,
            training=training,
            served=None if served is None else flops_of(served),
            money=money,
            reported=(*reported, *hardware.reported(paid)),
            limits=replace(limits, spend=tuple(spend), sizes=(*limits.sizes, *shaped)),
            given=parse_named_point(given, where="--given") if given else None,
            counts=counts,
            level=level,
        )
        result = question.answer(law)
        document, tables = shapes.with_model(result, models, options, bounds, inference_precision)
    warn(getattr(result, "notes", ()))
    if figure is not None:
        from isoloss.reporting import save_figure

        save_figure(result.plot(), figure)
    deliver(document, as_json=as_json, output=output, tables=[*plan_tables(result), *tables])


def _hours(hours: str | None, days: str | None) -> float | None:
    """The time that --hours or --days gives, in hours."""
    if hours is not None and days is not None:
        raise InputError("given twice", where="--hours", expected="--hours or --days")
    if days is not None:
        return _HOURS_PER_DAY * parse_quantity(days, where="--days")
    return number(hours, "--hours")


def _training(counts: ParameterCounts | None, flops_count: str | None) -> Cost | None:
    """Training FLOPs by the count that --flops-count names; None for the law's own N."""
    from isoloss.planning import training_flops

    if flops_count is None:
        return None
    if counts is None:
        raise InputError(
            "no way between counts", where="--flops-count", expected="--embedding-factor"
        )
    known = {"total": counts.total, "nonembedding": counts.nonembedding}
    if flops_count not in known:
        raise InputError(
            "unknown count of parameters",
            where="--flops-count",
            found=repr(flops_count),
            expected=" or ".join(known),
        )
    return training_flops(count=known[flops_count])


def _law(fit: str, then: list[str]) -> Fit | Surface | Chain:
    """The law, or the chain of laws that --then makes of it."""
    from isoloss.fitting import Fit, load_fit
    from isoloss.forecasting import chain

    first = _fit_or_surface(fit)
    if not then:
        return first
    if not isinstance(first, Fit):
        raise InputError(
            "coefficients alone make no chain", where=fit, expected="a fit written by isoloss fit"
        )
    return chain([first, *(load_fit(path) for path in then)])


def _first(law: Fit | Surface | Chain) -> Fit | Surface:
    from isoloss.forecasting import Chain

    return law.stages[0] if isinstance(law, Chain) else law


def _fit_or_surface(text: str) -> Fit | Surface:
    from isoloss.fitting import load_fit
    from isoloss.laws import CATALOGUE, Surface

    if not Path(text).exists():
        name, colon, coefficients = text.partition(":")
        if colon:
            return Surface.published(find_laws([name or text], where=text)[0], coefficients)
        if name in CATALOGUE:
            sets = [f"{name}:{each.name}" for each in CATALOGUE[name].published]
            raise InputError(
                "a law without coefficients", where=text, expected=" or ".join([*sets, "FIT.json"])
            )
    return load_fit(text)
