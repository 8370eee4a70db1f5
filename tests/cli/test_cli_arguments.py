"""The arguments that verbs share: how they are written, and what is said when they are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_program import document, good_rows, refusal, write_table
from hypothesis import given
from hypothesis import strategies as st

from isoloss.cli.arguments import read_points, spread_lists
from isoloss.laws import CATALOGUE

pytest_plugins = ("cli_fixtures",)

CHINCHILLA = ("--law", "chinchilla", "--bootstrap", "0")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("fit.json --at 70B:1T 7B:1T", "fit.json --at 70B:1T --at 7B:1T"),
        ("--at 70B:1T 7B:1T fit.json", "--at 70B:1T --at 7B:1T fit.json"),
        ("--at 70B:1T --at 7B:1T 1B:1T", "--at 70B:1T --at 7B:1T --at 1B:1T"),
        ("--at=70B:1T 7B:1T --json", "--at=70B:1T --at 7B:1T --json"),
        ("--at .5B:1T 1e9:1e10", "--at .5B:1T --at 1e9:1e10"),
        ("--law kaplan compute runs.csv", "--law kaplan --law compute runs.csv"),
        ("--law a.toml b.toml runs.csv", "--law a.toml --law b.toml runs.csv"),
        ("--law kaplan --at 1:2 3:4", "--law kaplan --at 1:2 --at 3:4"),
        ("--law Kaplan Compute", "--law Kaplan --law Compute"),
        ("--law=kaplan compute", "--law=kaplan --law compute"),
        ("runs.csv --level 0.9 --seed 3", "runs.csv --level 0.9 --seed 3"),
        ("--at", "--at"),
        ("", ""),
    ],
)
def test_several_values_may_follow_one_option(written: str, meant: str) -> None:
    assert spread_lists(written.split()) == meant.split()


def test_a_table_without_extension_is_no_law(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("runs").write_text("params,tokens,loss\n")
    assert spread_lists(["--law", "kaplan", "runs"]) == ["--law", "kaplan", "runs"]
    # A folder is no table, so its name may still be that of a law.
    Path("compute").mkdir()
    assert spread_lists(["--law", "kaplan", "compute"])[2:] == ["--law", "compute"]


@given(
    st.lists(st.sampled_from(["--at", "--law", "--json", "-o", "7B:1T", "kaplan", "a.toml", "x/y"]))
)
def test_spreading_changes_nothing_but_options(words: list[str]) -> None:
    spread = spread_lists(words)
    values = [word for word in words if word not in ("--at", "--law")]
    assert [word for word in spread if word not in ("--at", "--law")] == values
    assert spread_lists(spread) == spread


@pytest.mark.parametrize(
    "texts",
    [
        ["70B:1.4T", "7B:140B"],
        ["70B:1.4T,7B:140B"],
        ["70B:1.4T 7B:140B"],
        ["70_000_000_000:1.4e12, 7e9:.14T"],
        ["70g:1400g", "7000M:140b"],
    ],
)
def test_points_are_written_as_people_write_them(texts: list[str]) -> None:
    assert read_points(texts) == [(70e9, 1.4e12), (7e9, 1.4e11)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("70B", "--at: not a point: found '70B'; expected N:D, parameters and tokens, such as "),
        ("1:2:3", "--at: not a point: found '1:2:3'; expected N:D, parameters and tokens, such "),
        ("70B:", "--at: not a size: found ''; expected a positive number such as 70B, 1.4T or "),
        ("0:1T", "--at: not a size: found '0'; expected a positive number such as 70B, 1.4T or "),
        ("-7B:1T", "--at: not a size: found '-7B'; expected a positive number such as 70B, 1.4T "),
        ("7B:nan", "--at: not a size: found 'nan'; expected a positive number such as 70B, 1.4T "),
        ("7B:1e400", "--at: not a size: found '1e400'; expected a positive number such as 70B, "),
        ("7X:1T", "--at: not a size: found '7X'; expected a positive number such as 70B, 1.4T "),
    ],
)
def test_bad_points(text: str, message: str, table: Path, saved_fit: Path) -> None:
    assert refusal("predict", saved_fit, "--at", text).startswith(message)
    assert refusal("forecast", table, "--at", text).startswith(message)
    assert refusal("laws", "chinchilla", "--at", text).startswith(message)


def test_no_point_at_all(table: Path, saved_fit: Path) -> None:
    message = "--at: no point to predict: expected N:D, such as 70B:1.4T"
    assert refusal("predict", saved_fit) == message
    assert refusal("forecast", table) == message


UNKNOWN = f"expected one of {', '.join(CATALOGUE)}, or a TOML file"


@pytest.mark.parametrize("verb", ["fit", "backtest", "forecast", "report"])
def test_unknown_laws(verb: str, table: Path) -> None:
    words = (verb, table, *(("--at", "7B:1T") if verb == "forecast" else ()))
    assert refusal(*words, "--law", "gauss") == f"--law: unknown law: found 'gauss'; {UNKNOWN}"
    assert refusal(*words, "--law", "Chinchila") == (
        f"--law: unknown law: found 'Chinchila' (did you mean chinchilla?); {UNKNOWN}"
    )


OBJECTIVES = "expected one of huber, lad, squared-log, squared, soft-l1"
SCALES = "expected huber or soft-l1 with a positive number, as in huber:0.01"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--objective", "l2"], f"--objective: unknown objective: found 'l2'; {OBJECTIVES}"),
        (
            ["--objective", "huber:0"],
            f"--objective: the objective takes no such scale: found 'huber:0'; {SCALES}",
        ),
        (
            ["--objective", "lad:0.1"],
            f"--objective: the objective takes no such scale: found 'lad:0.1'; {SCALES}",
        ),
        (
            ["--method", "both"],
            "--method: unknown method: found 'both'; expected one of joint, staged",
        ),
        (
            ["--method", "staged"],
            "--method: law chinchilla has no staged method: found staged; "
            "expected joint, or one of the laws farseer",
        ),
        (
            ["--columns", "params"],
            "--columns: not a column mapping: found 'params'; "
            "expected pairs such as params=N,tokens=D,loss=val_loss",
        ),
        (
            ["--columns", ""],
            "--columns: not a column mapping: found ''; "
            "expected pairs such as params=N,tokens=D,loss=val_loss",
        ),
        (
            ["--columns", "params=N,params=M"],
            "--columns: params is named twice: found N and M",
        ),
        (
            ["--columns", "params=size"],
            "{table}: no column size to use as params: expected one of params, tokens, loss",
        ),
        (
            ["--columns", "params=loss,tokens=loss"],
            "{table}: column loss is used twice: found params, tokens; "
            "expected one name for each column",
        ),
        (
            ["--where", "params >"],
            "condition 'params >': not SQL: expected an SQL condition such as "
            '"params < 1e9" or "recipe = \'c4\' and tokens/params > 20"',
        ),
        (
            ["--where", "size > 1e9"],
            "condition 'size > 1e9': no column size: expected one of params, tokens, loss",
        ),
        (
            ["--where", "params"],
            "condition 'params': not a condition: found values of type Float64; expected an SQL "
            'condition such as "params < 1e9" or "recipe = \'c4\' and tokens/params > 20"',
        ),
        (
            ["--where", "params < 0"],
            "{table}: condition 'params < 0': no row is left: "
            "found none of 30 rows for which it holds",
        ),
    ],
)
def test_bad_options_about_the_table_and_the_fit(
    words: list[str], message: str, table: Path, tmp_path: Path
) -> None:
    output = tmp_path / "fit.json"
    said = refusal("fit", table, *CHINCHILLA, *words, "-o", output)
    assert said == message.format(table=table)
    assert not output.exists()


@pytest.mark.parametrize(
    ("option", "text", "expected"),
    [
        ("--bootstrap", "-1", "0 to 100000"),
        ("--bootstrap", "2.5", "0 to 100000"),
        ("--bootstrap", "many", "0 to 100000"),
        ("--bootstrap", "1000000000", "0 to 100000"),
        ("--seed", "-1", "0 or more"),
        ("--seed", "x", "0 or more"),
        ("--seed", "", "0 or more"),
        ("--threads", "0", "1 or more"),
        ("--threads", "-2", "1 or more"),
        ("--threads", "all", "1 or more"),
    ],
)
@pytest.mark.parametrize("verb", ["fit", "backtest", "forecast", "report"])
def test_bad_numbers_of_options(
    verb: str, option: str, text: str, expected: str, table: Path
) -> None:
    assert refusal(verb, table, option, text) == (
        f"{option}: no usable number: found {text!r}; expected a whole number, {expected}"
    )


@pytest.mark.parametrize("text", ["0", "1", "-0.1", "90", "nan", "inf", "90%", ""])
def test_bad_levels(text: str, table: Path, saved_fit: Path) -> None:
    message = f"--level: not a level: found {text!r}; expected between 0 and 1, as 0.9"
    assert refusal("fit", table, "--level", text) == message
    assert refusal("predict", saved_fit, "--at", "1B:20B", "--level", text) == message
    assert refusal("backtest", table, "--level", text) == message
    assert refusal("forecast", table, "--at", "1B:20B", "--level", text) == message
    assert refusal("allocate", saved_fit, "--flops", "1e21", "--level", text) == message
    published = "chinchilla:epoch-2024"
    assert refusal("allocate", published, "--flops", "1e21", "--level", text) == message


@pytest.mark.parametrize("text", ["0", "-1e21", "x", "nan", "inf", "1e400", ""])
def test_bad_budgets(text: str, table: Path, saved_fit: Path) -> None:
    message = (
        f"--flops: not a size: found {text!r}; expected a positive number such as 70B, 1.4T or 6e18"
    )
    assert refusal("allocate", saved_fit, "--flops", text) == message
    assert refusal("report", table, "--flops", text) == message


def test_the_result_depends_on_the_seed_alone(table: Path) -> None:
    words = ("fit", table, "--law", "chinchilla", "--bootstrap", "20")
    first = document(*words, "--seed", "1", "--threads", "1")
    assert document(*words, "--seed", "1", "--threads", "2") == first
    assert document(*words, "--seed", "2")["intervals"] != first["intervals"]


# A law of one's own, in the form that the documentation gives.
TWO_POWERS = """
name = "two-powers"
formula = "E + A / params**alpha + B / tokens**beta"
linear = ["E", "A", "B"]
[parameters.E]
lower = 0
[parameters.A]
lower = 0
[parameters.B]
lower = 0
[parameters.alpha]
lower = 0
start = [0.05, 1.0]
[parameters.beta]
lower = 0
start = [0.05, 1.0]
"""


def test_a_law_from_a_file_works_in_every_verb(table: Path, tmp_path: Path) -> None:
    law, saved = tmp_path / "two.toml", tmp_path / "fit.json"
    law.write_text(TWO_POWERS)
    own = document("fit", table, "--law", law, "--bootstrap", "0", "-o", saved)
    known = document("fit", table, *CHINCHILLA)
    assert own["law"] == "two-powers"
    assert own["parameters"] == pytest.approx(known["parameters"], rel=1e-6)
    law.unlink()  # a saved fit needs no other file
    point = document("predict", saved, "--at", "1B:20B")["predictions"][0]
    split = document("allocate", saved, "--flops", "1e21")
    assert point["loss"] == pytest.approx(2.53, abs=0.01)
    assert split["params"] * split["tokens"] * 6 == pytest.approx(1e21)


def test_backtests_and_forecasts_take_laws_from_files(table: Path, tmp_path: Path) -> None:
    law = tmp_path / "two.toml"
    law.write_text(TWO_POWERS)
    tested = document(
        *("backtest", table, "--hold-out", "params > 1e9", "--law", law, "compute"),
        *("--bootstrap", "0"),
    )
    assert set(tested["laws"]) == {"two-powers", "compute"}
    ahead = document("forecast", table, "--law", law, "--bootstrap", "0", "--at", "7B:140B")
    assert ahead["weights"] == {"two-powers": 1.0}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = [", "{law}: not a TOML file: found "),
        ("name = 'x'", "{law}: the law has no 'formula': expected formula = ..."),
        (TWO_POWERS.replace("linear", "straight"), "{law}: unknown key: found straight; expected "),
        (TWO_POWERS.replace("beta]", "B]"), "{law}: not a TOML file: found "),
        (
            TWO_POWERS.replace("tokens**beta", "tokens"),
            "{law}: the formula does not use: found beta",
        ),
        (
            TWO_POWERS.replace("E +", "__import__('os').system('true') +"),
            "law two-powers: not allowed in a formula: found __import__('os').system('true'); ",
        ),
    ],
)
def test_bad_law_files(text: str, message: str, table: Path, tmp_path: Path) -> None:
    law = tmp_path / "law.toml"
    law.write_text(text)
    said = message.format(law=law)
    assert refusal("fit", table, "--law", law).startswith(said)
    assert refusal("laws", law).startswith(said)


def test_a_law_file_that_does_not_exist(table: Path, tmp_path: Path) -> None:
    law = tmp_path / "law.toml"
    assert refusal("fit", table, "--law", law).startswith(f"{law}: cannot read the law: found ")


def test_an_input_of_a_law_that_the_table_lacks(table: Path, tmp_path: Path) -> None:
    law = tmp_path / "law.toml"
    law.write_text(
        'name = "wide"\nformula = "E + A / width"\ninputs = ["width"]\n'
        "[parameters.E]\nlower = 0\n[parameters.A]\nlower = 0\n"
    )
    assert refusal("fit", table, "--law", law) == (
        f"{table}: no column width: found params, tokens, loss; expected a column of that name, or "
        "one named by --columns width=NAME"
    )


def test_weights_are_a_column_of_numbers(table: Path, tmp_path: Path) -> None:
    assert refusal("fit", table, "--weights", "w", *CHINCHILLA) == (
        f"{table}: no column w: expected one of params, tokens, loss"
    )
    path = write_table(tmp_path / "runs.csv", [[1e8, 2e9, 3.5, "a"]], "params,tokens,loss,w")
    assert refusal("fit", path, "--weights", "w", *CHINCHILLA) == (
        f"{path}: column w does not hold numbers: found type String; "
        "expected one of params, tokens, loss"
    )


@pytest.mark.parametrize("cell", ["-1", "nan", "", "inf"])
def test_weights_are_finite_and_not_negative(cell: str, tmp_path: Path) -> None:
    rows = [[*row, cell if place == 4 else 1.0] for place, row in enumerate(good_rows())]
    path = write_table(tmp_path / "runs.csv", rows, "params,tokens,loss,w")
    said = refusal("fit", path, "--weights", "w", *CHINCHILLA)
    assert said.startswith("column 'w': unusable weight of run 5: found ")
