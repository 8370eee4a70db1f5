"""Bad tables: whatever verb reads them, one line says what is wrong, where, and what would do."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from statistics import median

import pytest
from cli_program import Row, done, good_rows, isoloss, loss_of, refusal, write_table

pytest_plugins = ("cli_fixtures",)

VERBS = {
    "data check": (),
    "fit": ("--law", "chinchilla"),
    "backtest": ("--law", "chinchilla"),
    "forecast": ("--at", "7B:140B"),
    "report": (),
}


def run_words(verb: str, path: Path) -> list[str | Path]:
    return [*verb.split(), path, *VERBS[verb]]


def with_cells(**cells: str) -> list[Row]:
    """Good rows but for the third and the fifth."""
    rows = good_rows()
    for column, cell in cells.items():
        name, _, row = column.partition("_")
        rows[int(row) - 1][("params", "tokens", "loss").index(name)] = cell
    return rows


BAD_CELLS = {
    "not a number": (
        with_cells(loss_3="n.a.", loss_5="diverged"),
        "loss is not a number in rows 3, 5 (lines 4, 6): found 'n.a.', 'diverged'; "
        'expected a number, or --where "loss is not null" to leave them out',
    ),
    "zero": (
        with_cells(params_3="0"),
        "params is not positive in row 3 (line 4): found 0; "
        'expected more than 0, or --where "params > 0" to leave them out',
    ),
    "negative": (
        with_cells(tokens_5="-1e9"),
        "tokens is not positive in row 5 (line 6): found -1e+09; "
        'expected more than 0, or --where "tokens > 0" to leave them out',
    ),
    "NaN": (
        with_cells(loss_3="NaN"),
        "loss is NaN in row 3 (line 4): "
        'expected a number, or --where "loss is not null" to leave them out',
    ),
    "infinite": (
        with_cells(loss_3="inf"),
        "loss is infinite in row 3 (line 4): found inf; "
        'expected a finite number, or --where "abs(loss) < 1e30" to leave them out',
    ),
    "missing": (
        with_cells(tokens_3="", tokens_5="NA"),
        "tokens is missing in rows 3, 5 (lines 4, 6): "
        'expected a number, or --where "tokens is not null" to leave them out',
    ),
    "several at once": (
        with_cells(params_3="-1", loss_5=""),
        "params is not positive in row 3 (line 4): found -1; "
        'expected more than 0, or --where "params > 0" to leave them out; '
        "loss is missing in row 5 (line 6): "
        'expected a number, or --where "loss is not null" to leave them out',
    ),
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("kind", BAD_CELLS)
def test_bad_cells_are_named_with_their_rows(kind: str, verb: str, tmp_path: Path) -> None:
    rows, message = BAD_CELLS[kind]
    path = write_table(tmp_path / "runs.csv", rows)
    outcome = isoloss(*run_words(verb, path))
    assert outcome.status == 2
    assert outcome.stderr == f"isoloss: {path}: {message}\n"
    assert (outcome.stdout == "") == (verb != "data check")


def scaled(params: float, tokens: float) -> list[Row]:
    return [[float(N) / params, float(D) / tokens, loss] for N, D, loss in good_rows()]


def relabelled(change: Callable[[float], float]) -> list[Row]:
    return [[N, D, change(float(loss))] for N, D, loss in good_rows()]


WRONG_QUANTITIES = {
    "params in millions": (
        scaled(1e6, 1),
        "params looks like millions: found 50 to 3000; expected a count, so multiply it by 1e6",
    ),
    "params in billions": (
        scaled(1e9, 1),
        "params looks like billions: found 0.05 to 3; expected a count, so multiply it by 1e9",
    ),
    "tokens in millions": (
        [row for row in scaled(1, 1e6) if float(row[1]) < 1e5],
        "tokens looks like millions: found 250 to 60000; expected a count, so multiply it by 1e6",
    ),
    "tokens in billions": (
        scaled(1, 1e9),
        "tokens looks like billions: found 0.25 to 240; expected a count, so multiply it by 1e9",
    ),
    "perplexity": (
        relabelled(math.exp),
        "loss looks like perplexity: found a median of {median:.4g} ({smallest:.4g} to "
        "{largest:.4g}), worse than a uniform guess over any vocabulary (12.5 nats); "
        "expected nats per token, ln(perplexity)",
    ),
    "accuracy": (
        relabelled(lambda loss: 1 - loss / 8),
        "loss looks like accuracy: found {smallest:.4g} to {largest:.4g}, rising with compute; "
        "expected a quantity that falls with compute, such as nats per token",
    ),
    "accuracy in per cent": (
        relabelled(lambda loss: 100 - 12 * loss),
        "loss looks like accuracy in per cent: found {smallest:.4g} to {largest:.4g}, rising with "
        "compute; expected a quantity that falls with compute, such as nats per token",
    ),
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("kind", WRONG_QUANTITIES)
def test_wrong_quantities_are_recognised(kind: str, verb: str, tmp_path: Path) -> None:
    rows, message = WRONG_QUANTITIES[kind]
    path = write_table(tmp_path / "runs.csv", rows)
    losses = [float(row[2]) for row in rows]
    message = message.format(median=median(losses), smallest=min(losses), largest=max(losses))
    outcome = isoloss(*run_words(verb, path))
    assert (outcome.status, outcome.stderr) == (2, f"isoloss: {path}: {message}\n")


@pytest.mark.parametrize("verb", VERBS)
def test_recipes_are_not_mixed(verb: str, tmp_path: Path) -> None:
    rows = [[*row, "pile" if place % 2 else "c4"] for place, row in enumerate(good_rows())]
    path = write_table(tmp_path / "runs.csv", rows, "params,tokens,loss,recipe")
    outcome = isoloss(*run_words(verb, path))
    assert outcome.status == 2
    assert outcome.stderr == (
        f"isoloss: {path}: 2 recipes are mixed, but a law holds for one: found c4, pile; "
        "expected one of them, as with --where \"recipe = 'c4'\"\n"
    )


def test_one_of_mixed_recipes_can_be_chosen(tmp_path: Path) -> None:
    rows = [[*row, "pile" if place % 2 else "c4"] for place, row in enumerate(good_rows())]
    path = write_table(tmp_path / "runs.csv", rows, "params,tokens,loss,recipe")
    outcome = done("data", "check", path, "--where", "recipe = 'c4'")
    assert "runs.csv: 15 runs, 6 sizes" in outcome.stdout


@pytest.mark.parametrize("verb", VERBS)
def test_columns_that_are_not_there(verb: str, tmp_path: Path) -> None:
    path = write_table(tmp_path / "runs.csv", good_rows(), "size,seen,cross_entropy")
    outcome = isoloss(*run_words(verb, path))
    assert outcome.status == 2
    assert outcome.stderr == (
        f"isoloss: {path}: no column params or tokens or loss: found size, seen, cross_entropy; "
        "expected a column of that name, or one named by "
        "--columns params=NAME,tokens=NAME,loss=NAME\n"
    )


def test_a_column_that_could_be_any_of_several(tmp_path: Path) -> None:
    rows = [[*row, row[2]] for row in good_rows()]
    path = write_table(tmp_path / "runs.csv", rows, "params,tokens,val_loss,train_loss")
    assert refusal("fit", path) == (
        f"{path}: loss may be any of several columns: found val_loss, train_loss; "
        "expected one of them named by --columns loss=val_loss"
    )


def test_repeated_rows_are_dropped_with_a_warning(tmp_path: Path) -> None:
    rows = good_rows()
    path = write_table(tmp_path / "runs.csv", [*rows, rows[3], rows[7]])
    outcome = done("fit", path, "--law", "compute", "--bootstrap", "0")
    assert outcome.stderr == (
        f"warning: {path}: rows 31, 32 (lines 32, 33) repeat earlier ones in every column: "
        "only the first of each is kept\n"
    )
    assert "on 30 runs" in outcome.stdout


def test_rising_losses_are_a_warning(tmp_path: Path) -> None:
    path = write_table(tmp_path / "runs.csv", relabelled(lambda loss: 6 - loss))
    outcome = done("data", "check", path)
    assert re.search(r"warning +loss rises with compute \(1\.4\d+ to 3\.7\d+\)", outcome.stdout)


NO_TABLES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty: expected a table as CSV, JSON lines or Parquet"),
    "blank": (b"\n \n", "is empty: expected a table as CSV, JSON lines or Parquet"),
    "header alone": (b"params,tokens,loss\n", "no rows: expected one row for each training run"),
    "no header": (
        b"1e8,2e9,3.5\n1e9,2e10,2.9\n",
        "no header line: found 1e8,2e9,3.5; expected column names such as params, tokens, loss",
    ),
    "binary": (
        bytes(range(256)),
        "not text: found binary data; expected CSV, JSON lines or Parquet",
    ),
    "workbook": (
        b"PK\x03\x04rest",
        "not a table of runs: found an Excel workbook or zip archive; "
        "expected CSV, JSON lines or Parquet: export it",
    ),
    "another encoding": (
        b"params,tokens,loss,name\n1e8,2e9,3.5,caf\xe9\n",
        "line 2: not UTF-8 text: found byte 0xe9; expected the table saved as UTF-8",
    ),
    "ragged": (
        b"params,tokens,loss\n1e8,2e9,3.5\n1e9,2e10\n",
        "row 2 (line 3): wrong number of cells: found 2; expected 3, as in the header line",
    ),
    "two columns of one name": (
        b"params,tokens,loss,loss\n1e8,2e9,3.5,3.5\n",
        "two columns of one name: found loss; expected every column under a name of its own",
    ),
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("kind", NO_TABLES)
def test_files_that_hold_no_table(kind: str, verb: str, tmp_path: Path) -> None:
    content, message = NO_TABLES[kind]
    path = tmp_path / "runs.csv"
    path.write_bytes(content)
    assert refusal(*run_words(verb, path)) == f"{path}: {message}"


@pytest.mark.parametrize("verb", VERBS)
def test_a_file_that_does_not_exist(verb: str, tmp_path: Path) -> None:
    path = tmp_path / "nowhere.csv"
    assert refusal(*run_words(verb, path)) == f"{path}: no such file"


@pytest.mark.parametrize("verb", VERBS)
def test_a_directory(verb: str, tmp_path: Path) -> None:
    assert refusal(*run_words(verb, tmp_path)) == (
        f"{tmp_path}: is a directory: expected a file of CSV, JSON lines or Parquet"
    )


def test_damaged_files_of_other_kinds(tmp_path: Path) -> None:
    parquet = tmp_path / "runs.parquet"
    parquet.write_bytes(b"PAR1 and then nothing of use")
    assert refusal("fit", parquet).startswith(f"{parquet}: not readable as Parquet: found ")
    lines = tmp_path / "runs.jsonl"
    lines.write_text('{"params": 1e8, "tokens": 2e9, "loss": 3.5}\n{"params": 1e8,\n')
    assert refusal("fit", lines).startswith(f"{lines}: line 2: not JSON: found ")


# Tables without any wrong cell that still cannot carry a law of five parameters.
POOR_TABLES: dict[str, tuple[list[Row], str]] = {
    "three rows": (
        good_rows()[:3],
        "law chinchilla has 5 parameters and needs at least 6 runs; the table has 3",
    ),
    "one size": (
        [[1e8, 1e9 * step, loss_of(1e8, 1e9 * step)] for step in range(1, 30)],
        "law chinchilla cannot be fitted: with 1 value of params, 29 values of tokens the table "
        "does not tell apart E, A.*; add runs or choose a law with fewer parameters",
    ),
    "one number of tokens": (
        [[1e8 * step, 1e10, loss_of(1e8 * step, 1e10)] for step in range(1, 30)],
        "law chinchilla cannot be fitted: with 29 values of params, 1 value of tokens the table "
        "does not tell apart E, B.*; add runs or choose a law with fewer parameters",
    ),
    "equal losses": (
        relabelled(lambda loss: 2.5),
        "all 30 runs have the same loss 2.5: there is nothing to fit",
    ),
}


@pytest.mark.parametrize("kind", POOR_TABLES)
def test_tables_that_cannot_carry_a_law(kind: str, tmp_path: Path) -> None:
    rows, message = POOR_TABLES[kind]
    path = write_table(tmp_path / "runs.csv", rows)
    words = (path, "--law", "chinchilla", "--bootstrap", "0")
    assert re.fullmatch(f"{path}: {message}", refusal("fit", *words))
    assert str(path) in refusal("backtest", *words)


@pytest.mark.parametrize("kind", ["three rows", "equal losses"])
def test_tables_that_cannot_carry_any_law(kind: str, tmp_path: Path) -> None:
    rows, _ = POOR_TABLES[kind]
    path = write_table(tmp_path / "runs.csv", rows)
    said = refusal("forecast", path, "--at", "7B:140B", "--bootstrap", "0")
    assert said.startswith(f"no law can be fitted to {path}: ")


def test_the_staged_method_needs_a_ladder_of_tokens(table: Path) -> None:
    assert refusal("fit", table, "--law", "farseer", "--method", "staged") == (
        f"{table}: the staged method needs at least 4 sizes with 5 or more neighbouring runs "
        "whose tokens grow by sqrt(2) and whose loss falls; this table has 0 such sizes of 6: "
        "use --method joint"
    )
