"""Validation: every kind of bad table, with the rows and the message it gets."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoloss.errors import InputError
from isoloss.runs import Problem, RunsError, check_runs, read_runs

GOOD = ["1e8,2e9,3.5", "1e9,2e10,2.9", "7e9,1.4e11,2.3", "7e10,1.4e12,1.9"]


def table(folder: Path, rows: Sequence[str], header: str = "params,tokens,loss") -> Path:
    path = folder / "runs.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def only(problems: Sequence[Problem]) -> Problem:
    (problem,) = problems
    return problem


def test_a_good_table_has_no_problems(tmp_path: Path) -> None:
    path = table(tmp_path, GOOD)
    assert check_runs(path) == ()
    assert read_runs(path).notes == ()


@pytest.mark.parametrize("column", ["params", "tokens", "loss"])
@pytest.mark.parametrize(
    ("cell", "code", "message"),
    [
        (
            "oops",
            "not-a-number",
            "{0} is not a number in row 2 (line 3): found 'oops'; expected a number, "
            'or --where "{0} is not null" to leave them out',
        ),
        (
            "",
            "missing",
            "{0} is missing in row 2 (line 3): expected a number, "
            'or --where "{0} is not null" to leave them out',
        ),
        (
            "NA",
            "missing",
            "{0} is missing in row 2 (line 3): expected a number, "
            'or --where "{0} is not null" to leave them out',
        ),
        (
            "NaN",
            "nan",
            "{0} is NaN in row 2 (line 3): expected a number, "
            'or --where "{0} is not null" to leave them out',
        ),
        (
            "Infinity",
            "infinite",
            "{0} is infinite in row 2 (line 3): found inf; expected a finite number, "
            'or --where "abs({0}) < 1e30" to leave them out',
        ),
        (
            "0",
            "not-positive",
            "{0} is not positive in row 2 (line 3): found 0; expected more than 0, "
            'or --where "{0} > 0" to leave them out',
        ),
        (
            "-1e9",
            "not-positive",
            "{0} is not positive in row 2 (line 3): found -1e+09; expected more than 0, "
            'or --where "{0} > 0" to leave them out',
        ),
    ],
)
def test_a_wrong_cell(tmp_path: Path, column: str, cell: str, code: str, message: str) -> None:
    cells = dict(zip(("params", "tokens", "loss"), GOOD[1].split(","), strict=True))
    path = table(tmp_path, [GOOD[0], ",".join({**cells, column: cell}.values()), *GOOD[2:]])
    problem = only(check_runs(path))
    assert problem == Problem(code, "error", column, (2,), message.format(column), (3,))
    # The condition that the message proposes rescues the table.
    condition = re.search(r'--where "([^"]*)"', problem.message)
    assert condition
    assert len(read_runs(path, where=condition[1])) == 3


def test_everything_wrong_is_said_at_once(tmp_path: Path) -> None:
    path = table(tmp_path, [*GOOD, "0,x,nan", "1e9,inf,", "-2,2e9,3"])
    message = (
        f"{path}: params is not positive in rows 5, 7 (lines 6, 8): found 0, -2; "
        'expected more than 0, or --where "params > 0" to leave them out; '
        "tokens is not a number in row 5 (line 6): found 'x'; "
        'expected a number, or --where "tokens is not null" to leave them out; '
        "tokens is infinite in row 6 (line 7): found inf; "
        'expected a finite number, or --where "abs(tokens) < 1e30" to leave them out; '
        "loss is missing in row 6 (line 7): "
        'expected a number, or --where "loss is not null" to leave them out; '
        "loss is NaN in row 5 (line 6): "
        'expected a number, or --where "loss is not null" to leave them out'
    )
    with pytest.raises(RunsError, match=f"^{re.escape(message)}$") as error:
        read_runs(path)
    assert isinstance(error.value, InputError)
    assert error.value.problems == check_runs(path)


@pytest.mark.parametrize(
    ("bad", "place"),
    [
        ([3], "row 3 (line 4)"),
        ([3, 7], "rows 3, 7 (lines 4, 8)"),
        ([1, 2, 3, 4, 5], "rows 1, 2, 3, 4, 5 (lines 2, 3, 4, 5, 6)"),
        ([3, 7, 9, 10, 11, 12], "rows 3, 7, 9 and 3 more (lines 4, 8, 10 ...)"),
        (list(range(1, 16)), "all 15 rows"),
    ],
)
def test_rows_are_named_as_people_count_them(tmp_path: Path, bad: list[int], place: str) -> None:
    rows = [f"1e9,{row}e10,{'' if row in bad else 3}" for row in range(1, 16)]
    problem = only(check_runs(table(tmp_path, rows)))
    assert problem.message.startswith(f"loss is missing in {place}: expected")
    assert problem.rows == tuple(bad)
    assert problem.lines == tuple(row + 1 for row in bad)


def test_lines_are_those_of_the_file_whatever_lies_between(tmp_path: Path) -> None:
    header = "params,tokens,loss,comment"
    rows = ['1e8,2e9,3.5,"two\nlines"', "", '1e9,2e10,,"x"', "7e9,1.4e11,2.3,"]
    problem = only(check_runs(table(tmp_path, rows, header)))
    assert (problem.rows, problem.lines) == ((2,), (5,))


def test_row_numbers_stay_those_of_the_file_under_a_condition(tmp_path: Path) -> None:
    path = table(tmp_path, [*GOOD, "1e9,5e10,"])
    assert only(check_runs(path, where="tokens > 1e10")).message.startswith(
        "loss is missing in row 5 (line 6): expected"
    )


def test_json_lines_have_lines_and_frames_do_not(tmp_path: Path) -> None:
    records = ['{"params": 1e8, "tokens": 2e9, "loss": 3}', '{"params": 1e9, "tokens": 2e9}']
    path = tmp_path / "runs.jsonl"
    path.write_text("\n\n".join(records))
    assert only(check_runs(path)).message.startswith("loss is missing in row 2 (line 3): ")
    frame = pl.DataFrame({"params": [1e8, 1e9], "tokens": [2e9, 2e9], "loss": [3.0, None]})
    assert only(check_runs(frame)).message.startswith("loss is missing in row 2: ")


def test_absent_columns_are_listed_with_what_there_is(tmp_path: Path) -> None:
    path = table(tmp_path, ["70M,1e9,2"], "run,toks,score")
    problem = only(check_runs(path))
    assert problem.code == "missing-column"
    assert problem.message == (
        "no column params or tokens or loss: found run, toks, score; expected a column of that "
        "name, or one named by --columns params=NAME,tokens=toks,loss=NAME"
    )


def test_a_column_that_is_there_is_not_proposed_for_another(tmp_path: Path) -> None:
    path = table(tmp_path, ["1e8,4096,2"], "sizes,vocabulary_size,loss")
    required = {"non_vocabulary_sizes": True, "vocabulary_size": True, "loss": True}
    assert only(check_runs(path, required=required)).message == (
        "no column non_vocabulary_sizes: found sizes, vocabulary_size, loss; expected a column of "
        "that name, or one named by --columns non_vocabulary_sizes=NAME"
    )


def test_with_flops_no_tokens_are_missing(tmp_path: Path) -> None:
    path = table(tmp_path, ["1e20,2", "1e21,oops"], "flops,loss")
    assert [problem.code for problem in check_runs(path)] == ["missing-column", "not-a-number"]
    assert check_runs(path)[0].message.startswith("no column params: found flops, loss;")


def test_wrong_flops_are_reported_as_such(tmp_path: Path) -> None:
    path = table(tmp_path, ["1e9,6e19,2.5", "1e9,-1,2.4"], "params,flops,loss")
    assert only(check_runs(path)).message.startswith("flops is not positive in row 2 (line 3): ")


def test_a_choice_between_columns_is_left_to_the_user(tmp_path: Path) -> None:
    path = table(tmp_path, ["1e9,2e10,2.5,2.4"], "params,tokens,train_loss,val_loss")
    problem = only(check_runs(path))
    assert problem.code == "ambiguous-column"
    assert problem.message == (
        "loss may be any of several columns: found train_loss, val_loss; "
        "expected one of them named by --columns loss=train_loss"
    )


@pytest.mark.parametrize(
    ("first", "second", "condition"),
    [("c4", "rpj", "recipe = 'c4'"), ("it's", "x", "recipe = 'it''s'"), ("1", "2", "recipe = 1.0")],
)
def test_recipes_are_never_mixed(tmp_path: Path, first: str, second: str, condition: str) -> None:
    rows = [f"{row},{recipe}" for row, recipe in zip(GOOD, [first, second, "", first], strict=True)]
    path = table(tmp_path, rows, "params,tokens,loss,recipe")
    problem = only(check_runs(path))
    assert problem.code == "mixed-recipes"
    assert problem.message.startswith("2 recipes are mixed, but a law holds for one: found ")
    assert problem.message.endswith(f'expected one of them, as with --where "{condition}"')
    assert len(read_runs(path, where=condition)) == 2


def test_a_long_list_of_recipes_is_cut(tmp_path: Path) -> None:
    rows = [f"1e9,2e10,{3 + k / 10},r{k}" for k in range(11)]
    message = only(check_runs(table(tmp_path, rows, "params,tokens,loss,recipe"))).message
    assert "found r0, r1, r2, r3, r4, r5, r6, r7 and 3 more; expected" in message


def rising(values: Sequence[float]) -> list[str]:
    return [
        f"{size},{20 * size},{value}"
        for size, value in zip((1e8, 4e8, 1e9, 7e9), values, strict=True)
    ]


def test_perplexity_is_no_loss(tmp_path: Path) -> None:
    problem = only(check_runs(table(tmp_path, rising([33.1, 24.5, 18.2, 14.9]))))
    assert problem.code == "perplexity"
    assert problem.message == (
        "loss looks like perplexity: found a median of 21.35 (14.9 to 33.1), worse than a uniform "
        "guess over any vocabulary (12.5 nats); expected nats per token, ln(perplexity)"
    )


def test_accuracy_is_no_loss(tmp_path: Path) -> None:
    problem = only(check_runs(table(tmp_path, rising([0.25, 0.31, 0.4, 0.55]))))
    assert problem.code == "accuracy"
    assert problem.message == (
        "loss looks like accuracy: found 0.25 to 0.55, rising with compute; "
        "expected a quantity that falls with compute, such as nats per token"
    )
    problem = only(check_runs(table(tmp_path, rising([25, 31, 40, 55]))))
    assert problem.message.startswith(
        "loss looks like accuracy in per cent: found 25 to 55, rising"
    )


@pytest.mark.parametrize(
    "losses",
    [
        pytest.param([0.71, 0.6, 0.5, 0.43], id="bits per character"),
        pytest.param([0.75, 0.69, 0.6, 0.45], id="error rates"),
        pytest.param([2.5, 2.3, 2.1, 2.0], id="exponential of bits"),
        pytest.param([11.0, 3.0, 2.5, 2.0], id="one diverged run"),
    ],
)
def test_what_falls_with_compute_may_be_in_any_unit(tmp_path: Path, losses: list[float]) -> None:
    assert not check_runs(table(tmp_path, rising(losses)))


def test_a_loss_that_rises_is_doubted(tmp_path: Path) -> None:
    problem = only(check_runs(table(tmp_path, rising([2.0, 2.5, 3.0, 9.0]))))
    assert (problem.code, problem.severity) == ("rising-loss", "warning")
    assert problem.message == (
        "loss rises with compute (2 to 9): is it a score, or did the large runs diverge?"
    )
    assert not check_runs(table(tmp_path, rising([2.0, 2.5, 3.0, 9.0])[:3]))


@pytest.mark.parametrize(
    ("params", "tokens", "params_unit", "tokens_unit"),
    [
        ((0.07, 1.4, 6.9), (1.4, 28, 140), ("billions", "1e9"), ("billions", "1e9")),
        ((70, 410, 6900), (1400, 8200, 140000), ("millions", "1e6"), ("millions", "1e6")),
        ((70, 410, 6900), (1.4e9, 8e9, 1.4e11), ("millions", "1e6"), None),
        ((7e7, 4e8, 7e9), (1.4, 8, 140), None, ("billions", "1e9")),
        ((7e7, 4e8, 7e9), (0.1, 0.3, 1.5), None, ("trillions", "1e12")),
        ((0.07, 1.4, 6.9), (1.4e9, 8e9, 1.4e11), ("billions", "1e9"), None),
    ],
)
def test_sizes_in_millions_or_billions_are_no_counts(
    tmp_path: Path,
    params: tuple[float, ...],
    tokens: tuple[float, ...],
    params_unit: tuple[str, str] | None,
    tokens_unit: tuple[str, str] | None,
) -> None:
    rows = [f"{n},{d},{loss}" for n, d, loss in zip(params, tokens, (3.5, 2.9, 2.3), strict=True)]
    expected = [
        f"{column} looks like {unit[0]}: found {values[0]:g} to {values[-1]:g}; "
        f"expected a count, so multiply it by {unit[1]}"
        for column, values, unit in (
            ("params", params, params_unit),
            ("tokens", tokens, tokens_unit),
        )
        if unit
    ]
    problems = check_runs(table(tmp_path, rows))
    assert [problem.message for problem in problems] == expected
    assert {problem.code for problem in problems} == {"units"}


def test_swapped_columns_are_doubted(tmp_path: Path) -> None:
    problem = only(
        check_runs(table(tmp_path, GOOD), columns={"params": "tokens", "tokens": "params"})
    )
    assert (problem.code, problem.severity) == ("tokens-per-param", "warning")
    assert problem.message == (
        "the median run has 0.05 tokens per parameter: check the units of params and tokens, both "
        "are counts, and that the columns are not swapped"
    )


def test_duplicates_are_dropped_and_said(tmp_path: Path) -> None:
    header = "run_id,params,tokens,loss,seed,duplicate_row"
    rows = [
        "a,1e8,2e9,3.5,0,False",
        "b,1e9,2e10,2.9,0,False",
        "c,1e8,2000000000,3.50,0,True",
        "d,1e8,2e9,3.5,1,False",
        "e,1e8,2e9,3.6,0,False",
        "f,1e8,2e9,3.5,0,True",
    ]
    path = table(tmp_path, rows, header)
    runs = read_runs(path)
    assert runs.frame["run_id"].to_list() == ["a", "b", "d", "e"]
    (note,) = runs.notes
    assert (note.code, note.severity) == ("duplicates", "warning")
    assert note.message == (
        "rows 3, 6 (lines 4, 7) repeat earlier ones in every column but run_id, duplicate_row: "
        "only the first of each is kept"
    )
    assert note.details == {"column": "", "rows": [3, 6], "lines": [4, 7]}
    assert not read_runs(path, where="duplicate_row == false").notes[1:]


def test_one_duplicate_is_spoken_of_in_the_singular(tmp_path: Path) -> None:
    assert only(check_runs(table(tmp_path, [*GOOD, GOOD[0]]))).message == (
        "row 5 (line 6) repeats an earlier one in every column: only the first of each is kept"
    )


@given(st.lists(st.sampled_from(GOOD), min_size=1, max_size=12))
def test_what_is_kept_is_each_distinct_run_once(rows: list[str]) -> None:
    values = [[float(cell) for cell in row.split(",")] for row in rows]
    runs = read_runs(pl.DataFrame(values, schema=["params", "tokens", "loss"], orient="row"))
    assert [list(row) for row in runs.frame.rows()] == [
        list(row) for row in dict.fromkeys(map(tuple, values))
    ]


def test_errors_come_before_warnings_and_both_are_json(tmp_path: Path) -> None:
    problems = check_runs(table(tmp_path, [*GOOD, GOOD[0], "1e9,2e10,"]))
    assert [problem.severity for problem in problems] == ["error", "warning"]
    assert problems[0].to_json() == {
        "code": "missing",
        "severity": "error",
        "column": "loss",
        "rows": [6],
        "lines": [7],
        "message": 'loss is missing in row 6 (line 7): expected a number, or --where "loss is not '
        'null" to leave them out',
    }
