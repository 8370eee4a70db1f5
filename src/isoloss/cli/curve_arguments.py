"""What the arguments of `isoloss curve` are called, and how their texts are read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isoloss.cli import arguments as args
from isoloss.cli.output import check_figure, check_output
from isoloss.errors import InputError
from isoloss.quantities import parse_quantity

if TYPE_CHECKING:
    from isoloss.curves import CurveLaw, Schedule

# The names of `isoloss.curves.CURVE_LAWS`, which takes long to import; a test compares them.
DEFAULT_LAW = "multi-power-fading"
LAW_NAMES = "multi-power-fading, multi-power, annealing, annealing-sizes, trajectory, kaplan-steps"

CurvesFile = Annotated[
    Path,
    typer.Argument(
        metavar="CURVES",
        help="Table of losses: run_id, step, loss, and learning_rate or schedule; for laws of "
        "batch sizes params and batch_tokens.",
    ),
]
CurveFitFile = Annotated[
    Path, typer.Argument(metavar="FIT.json", help="A fit written by isoloss curve fit -o.")
]
Schedules = Annotated[
    Path | None,
    typer.Option(
        "--schedules",
        metavar="FILE",
        help="Table of learning rates: schedule, step, learning_rate; joined on schedule.",
    ),
]
ScheduleTexts = Annotated[
    list[str] | None,
    typer.Option(
        "--schedule",
        metavar="TEXT",
        help="A schedule, as cosine:steps=24000:peak=3e-4:end=3e-5:warmup=2160 or "
        "wsd:steps=24000:peak=3e-4:decay=4000:shape=linear; or the name of one in --schedules.",
    ),
]
OneCurveLaw = Annotated[str, typer.Option("--law", metavar="NAME", help=f"{LAW_NAMES}.")]
CurveLaws = Annotated[
    list[str] | None,
    typer.Option("--law", metavar="NAME", help="Laws as for curve fit; several may follow."),
]
DecayFactor = Annotated[
    str | None,
    typer.Option(
        "--decay-factor",
        metavar="F|scan",
        help="Of the annealing law: what is left of the momentum after a step (0.999); scan "
        "tries several.",
    ),
]
KnownCriticalBatch = Annotated[
    str | None,
    typer.Option(
        "--critical-batch",
        metavar="B:ALPHA",
        help="Of kaplan-steps: the known critical batch, as 2.1e8:0.21 for 2.1e8 tokens / "
        "L^(1/0.21). Without it steps are taken for least steps.",
    ),
]
Weighting = Annotated[
    str,
    typer.Option(
        "--weighting",
        metavar="log-steps|points",
        help="Every e-fold of steps or every point weighs alike; the law's own by default.",
    ),
]
Resampled = Annotated[
    str,
    typer.Option(
        "--resample",
        metavar="curves|blocks",
        help="Replicates draw whole curves, or blocks of their steps; curves from six on.",
    ),
]
FewReplicates = Annotated[
    int,
    typer.Option(
        "--bootstrap",
        metavar="B",
        parser=args.whole_number("--bootstrap", 0, 100_000),
        help="Bootstrap replicates.",
    ),
]
Params = Annotated[
    str | None,
    typer.Option("--params", metavar="N", help="Size of the model, for laws that read it."),
]
Batch = Annotated[
    str | None,
    typer.Option("--batch-tokens", metavar="B", help="Tokens a step, for laws that read them."),
]
Figure = Annotated[
    Path | None, typer.Option("--figure", metavar="FILE", help="Draw it, as SVG or PNG.")
]


def check_files(output: Path | None, figure: Path | None, *sources: Path | None) -> None:
    """Refuse files that could not be written, before any work is done.

    Raises:
        InputError: one of them cannot be.
    """
    check_output(output, *(each for each in sources if each is not None))
    check_figure(figure)


def curve_law(
    name: str, decay_factor: str | None = None, critical_batch: str | None = None
) -> CurveLaw:
    """The law that the options describe.

    Raises:
        InputError: there is no such law, or an option is none of its.
    """
    from isoloss.curves import find_curve_law

    options: dict[str, float] = {}
    if decay_factor is not None:
        _require_option(name, "decay_factor", "decay factor", "--decay-factor")
        options["decay_factor"] = _number(
            decay_factor,
            "--decay-factor",
            "not a decay factor",
            "a number below 1, as 0.999",
        )
    if critical_batch is not None:
        _require_option(name, "batch_scale", "known critical batch", "--critical-batch")
        what, expected = "not a critical batch", "tokens and a power, as 2.1e8:0.21"
        scale, colon, power = critical_batch.partition(":")
        if not colon:
            raise InputError(
                what, where="--critical-batch", found=repr(critical_batch), expected=expected
            )
        options["batch_scale"] = parse_quantity(scale, where="--critical-batch")
        options["batch_power"] = _number(power, "--critical-batch", what, expected)
    return find_curve_law(name, **options)


def _require_option(name: str, option: str, what: str, where: str) -> None:
    from isoloss.curves import curve_laws_with

    takers = curve_laws_with(option)
    if name not in takers:
        raise InputError(
            f"the law has no {what}",
            where=where,
            found=f"law {name}",
            expected="--law " + " or ".join(takers),
        )


def _number(text: str, where: str, what: str, expected: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(what, where=where, found=repr(text), expected=expected) from None


def asked_schedules(texts: Sequence[str] | None, file: Path | None) -> list[Schedule]:
    """The schedules given by --schedule, or all of --schedules.

    Raises:
        InputError: there is none, or one cannot be read.
    """
    from isoloss.curves import parse_schedule, read_schedules

    known: Mapping[str, Schedule] = read_schedules(file) if file is not None else {}
    for text in texts or ():
        if known and text not in known and ":" not in text:
            raise InputError(
                "no such schedule",
                where=f"--schedule, {file}",
                found=repr(text),
                expected="one of " + ", ".join(known),
            )
    if texts:
        return [known[text] if text in known else parse_schedule(text) for text in texts]
    if not known:
        raise InputError(
            "no schedule",
            where="--schedule",
            expected="a shape such as cosine:steps=24000:peak=3e-4, or a table by --schedules",
        )
    return list(known.values())


def own_schedule(text: str | None, file: Path | None) -> Schedule | None:
    """The schedule of one run, where it is given.

    Raises:
        InputError: it cannot be read, or the table holds several.
    """
    if text is None and file is None:
        return None
    found = asked_schedules([text] if text else None, file)
    if len(found) > 1:
        raise InputError(
            "which schedule is the run's own",
            where="--schedule",
            expected="one of " + ", ".join(each.name for each in found),
        )
    return found[0]


def read_count(text: str, option: str) -> int:
    """A number of steps, as 0, 500 or 24K.

    Raises:
        InputError: it is no whole number.
    """
    steps = read_steps(text, option)
    if len(steps) != 1:
        raise InputError("not a number of steps", where=option, found=repr(text), expected="one")
    return steps[0]


def read_rate(value: float, option: str) -> float:
    """A learning rate.

    Raises:
        InputError: it is not positive and finite.
    """
    if not 0 < value < math.inf:
        raise InputError(
            "not a learning rate", where=option, found=f"{value:g}", expected="above 0, as 3e-4"
        )
    return value


def read_steps(text: str, option: str = "--at") -> list[int]:
    """Steps, as 6000,12K.

    Raises:
        InputError: one is no whole number.
    """
    found = []
    for part in text.split(","):
        number = 0.0 if part.strip() == "0" else parse_quantity(part, where=option)
        if number != int(number):
            raise InputError("not a step", where=option, found=repr(part), expected="0, 1, 2, ...")
        found.append(int(number))
    return found


def read_sizes(text: str, option: str) -> list[float]:
    """Positive sizes, as 500K,2M.

    Raises:
        InputError: one is none.
    """
    return [parse_quantity(part, where=option) for part in text.split(",")]


def read_size(text: str | None, option: str) -> float | None:
    """A size, where one is given.

    Raises:
        InputError: it is none.
    """
    return None if text is None else parse_quantity(text, where=option)


def draw(result: Any, path: Path | None) -> None:
    """Draw a result about curves, where a picture is asked for."""
    if path is None:
        return
    from isoloss.reporting import save_figure
    from isoloss.reporting.curves import curve_figure

    save_figure(curve_figure(result), path)
