"""What the verbs' arguments are called, and how their texts are read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isoloss.errors import FitError, InputError
from isoloss.quantities import parse_named_point, parse_point, parse_quantity

if TYPE_CHECKING:
    from isoloss.forecasting import Point
    from isoloss.laws import Law
    from isoloss.runs import Runs

# More replicates than this say nothing more, and would not fit into memory for a large table.
_MOST_REPLICATES = 100_000


def whole_number(option: str, least: int, most: int | None = None) -> Callable[[str], int]:
    """A reader of whole numbers for an option.

    Args:
        option: its name, for error messages.
        least: the smallest number that it takes.
        most: the largest, if there is one.
    """
    expected = f"{least} or more" if most is None else f"{least} to {most}"

    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if number < least or (most is not None and number > most):
            raise InputError(
                "no usable number",
                where=option,
                found=repr(str(text)),
                expected=f"a whole number, {expected}",
            )
        return number

    return read


def read_level(text: str) -> float:
    """The probability given by --level.

    Raises:
        InputError: it does not lie between 0 and 1.
    """
    try:
        level = float(text)
    except ValueError:
        level = float("nan")
    if not 0 < level < 1:
        raise InputError(
            "not a level",
            where="--level",
            found=repr(str(text)),
            expected="between 0 and 1, as 0.9",
        )
    return level


RunsFile = Annotated[
    Path, typer.Argument(metavar="RUNS", help="Table of runs: CSV, Parquet, JSON lines.")
]
FitFile = Annotated[
    str, typer.Argument(metavar="FIT.json", help="A fit written by isoloss fit -o.")
]
Columns = Annotated[
    str | None,
    typer.Option(
        "--columns",
        metavar="NAME=COLUMN,...",
        help="Names of the table's own columns, as params=N,tokens=D,loss=val_loss.",
    ),
]
Where = Annotated[
    str | None, typer.Option("--where", metavar="SQL", help="Use only runs for which this holds.")
]
HoldOut = Annotated[
    str | None,
    typer.Option(
        "--hold-out", metavar="SQL", help="Predict the runs for which this holds from the others."
    ),
]
LawName = Annotated[
    list[str] | None,
    typer.Option("--law", metavar="NAME", help="A law of the catalogue or a TOML file."),
]
LawNames = Annotated[
    list[str] | None,
    typer.Option(
        "--law", metavar="NAME", help="A law of the catalogue or a TOML file; several may follow."
    ),
]
Points = Annotated[
    list[str] | None,
    typer.Option(
        "--at",
        metavar="N:D",
        help="Parameters and tokens, as 70B:1.4T; several may follow. For laws that read other "
        "columns every one by name, as params=7B:tokens=1T:unique_tokens=50B.",
    ),
]
PlanePoints = Annotated[
    list[str] | None,
    typer.Option(
        "--at",
        metavar="N:D",
        help="Parameters and tokens, as 70B:1.4T; several may follow.",
    ),
]
Formula = Annotated[
    str | None,
    typer.Option(
        "--formula",
        metavar="TEXT",
        help="A law of one's own, as 'E + A/params**a': names that are no inputs are parameters, "
        "and positive unless --bounds says otherwise.",
    ),
]
Bounds = Annotated[
    str | None,
    typer.Option(
        "--bounds",
        metavar="NAME=LOW:HIGH,...",
        help="Bounds of the formula's parameters, as a=0:2,b=-1:; an end left out is open.",
    ),
]
Inputs = Annotated[
    str | None,
    typer.Option(
        "--inputs",
        metavar="NAME,...",
        help="Columns that the formula reads, beside params and tokens.",
    ),
]
TargetName = Annotated[
    str | None,
    typer.Option(
        "--target", metavar="NAME", help="Column that the formula predicts; loss by default."
    ),
]
Signed = Annotated[
    str | None,
    typer.Option(
        "--signed",
        metavar="NAME,...",
        help="Those of the formula's columns that may be zero or negative.",
    ),
]
HigherIsBetter = Annotated[
    bool,
    typer.Option("--higher-is-better", help="The formula predicts a score: more of it is better."),
]
ObjectiveName = Annotated[
    str,
    typer.Option(
        "--objective",
        metavar="NAME",
        help="huber, lad, squared-log, squared or soft-l1; huber:0.01 sets its scale.",
    ),
]
Method = Annotated[
    str,
    typer.Option(
        "--method",
        metavar="joint|staged",
        help="All at once, or in the stages of the law's authors, where they have some.",
    ),
]
Weights = Annotated[
    str | None,
    typer.Option("--weights", metavar="COLUMN", help="Column with the weight of each run."),
]
Bootstrap = Annotated[
    int,
    typer.Option(
        "--bootstrap",
        metavar="B",
        parser=whole_number("--bootstrap", 0, _MOST_REPLICATES),
        help="Bootstrap replicates.",
    ),
]
Resample = Annotated[
    str,
    typer.Option(
        "--resample",
        metavar="KIND",
        help="What replicates vary: pairs, residual, cluster:COLUMN, noise or noise:SIZE.",
    ),
]
Level = Annotated[
    float,
    typer.Option(
        "--level", metavar="P", parser=read_level, help="Probability that intervals should hold."
    ),
]
Seed = Annotated[
    int,
    typer.Option(
        "--seed",
        metavar="S",
        parser=whole_number("--seed", 0),
        help="Seed of starts and replicates.",
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads",
        metavar="T",
        parser=whole_number("--threads", 1),
        help="Threads; all processors by default.",
    ),
]
Cluster = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="NAME",
        help="Who does the fits: loky (processes), ray, dask, or ray:ADDRESS, dask:ADDRESS; "
        "threads by default.",
    ),
]
Output = Annotated[
    Path | None,
    typer.Option("-o", "--output", metavar="FILE", help="Write the result here, as JSON."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]

# Options that take several values after one name, and what a further value looks like.
_LISTED = ("--at", "--law")
_POINT = re.compile(r"[0-9.][^:\s]*:[0-9.][^:\s]*|[A-Za-z_]\w*=[^\s]+")
_LAW = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


def spread_lists(words: Sequence[str]) -> list[str]:
    """Repeat --at and --law before each of several values: `--at A B` becomes `--at A --at B`.

    For --law only names of laws and TOML files count as further values, so that a table may
    follow.
    """
    result: list[str] = []
    option, taken = "", 0
    for word in words:
        name, equals, _ = word.partition("=")
        if name in _LISTED:
            option, taken = name, int(bool(equals))
        elif word.startswith("-"):
            option = ""
        elif option:
            taken += 1
            if taken > 1 and _continues(option, word):
                result.append(option)
            elif taken > 1:
                option = ""
        result.append(word)
    return result


def _continues(option: str, word: str) -> bool:
    if option == "--at":
        return _POINT.fullmatch(word) is not None
    return word.endswith(".toml") or (_LAW.fullmatch(word) is not None and not Path(word).is_file())


def read_table(
    path: Path, columns: str | None, where: str | None, laws: Sequence[Law] = ()
) -> Runs:
    """The runs that the common arguments of the verbs describe.

    Args:
        path: the table.
        columns: given by --columns.
        where: given by --where.
        laws: whose columns the table has to have; N, D and the loss where there are none.
    """
    from isoloss.runs import USUAL, read_runs

    required = {name: sign for law in laws for name, sign in law.columns.items()} or USUAL
    return read_runs(path, columns=column_names(columns), where=where, required=required)


def column_names(text: str | None) -> Mapping[str, str] | None:
    """The mapping given by --columns."""
    from isoloss.runs import parse_columns

    return None if text is None else parse_columns(text)


def read_points(texts: Sequence[str] | None) -> list[Point]:
    """The points given by --at; several may stand in one word, with commas or blanks.

    Raises:
        InputError: there is none, or one is neither of the form N:D nor of NAME=NUMBER:...
    """
    words = [word for text in texts or () for word in re.split(r"[,\s]+", text) if word]
    points: list[Point] = [
        parse_named_point(word, where="--at") if "=" in word else parse_point(word, where="--at")
        for word in words
    ]
    if not points:
        raise InputError("no point to predict", where="--at", expected="N:D, such as 70B:1.4T")
    return points


def read_plane_points(texts: Sequence[str] | None) -> list[tuple[float, float]]:
    """The points N:D given by --at to a verb that knows N and D alone.

    Raises:
        InputError: there is none, or one is not of that form.
    """
    pairs = [point for point in read_points(texts) if not isinstance(point, Mapping)]
    if len(pairs) < len(read_points(texts)):
        raise InputError(
            "not a point",
            where="--at",
            found="one that names columns",
            expected="N:D, such as 70B:1.4T; predict and forecast take others",
        )
    return pairs


def read_budget(text: str) -> float:
    """The budget given by --flops.

    Raises:
        InputError: it is no positive number.
    """
    return parse_quantity(text, where="--flops")


@contextmanager
def naming(source: str | Path) -> Iterator[None]:
    """Let the refusal of a fit say which file it is about."""
    try:
        yield
    except FitError as error:
        message = str(error)
        raise FitError(message if str(source) in message else f"{source}: {message}") from error


@contextmanager
def workers(cluster: str | None) -> Iterator[None]:
    """Let the workers asked for by --cluster do the fits; threads where none are asked for."""
    if cluster is None:
        yield
        return
    from isoloss.fitting import cluster as on_cluster

    with on_cluster(cluster):
        yield
