"""Laws of one's own on the command line: --formula, and laws made for a table's columns."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from cli_program import Row, document, done, loss_of, read_strictly, refusal, write_table

from isoloss.cli.law_arguments import find_laws
from isoloss.errors import InputError

pytest_plugins = ("cli_fixtures",)

# The law of `loss_of`, with bounds on one parameter from both sides and on another from below.
TWO_POWERS = ("--formula", "E + A/params**alpha + B/tokens**beta")
BOUNDS = ("--bounds", "alpha=0:2,beta=0.05:")
QUICK = ("--bootstrap", "20")


def scores(folder: Path) -> Path:
    """Forty runs whose score, of either sign, follows N and epochs; and the law of it."""
    rows: list[Row] = []
    for size in (1e8, 2e8, 5e8, 1e9, 2e9):
        for epochs in (1, 2, 3, 5, 8, 12, 16, 24):
            noise = 1e-3 * math.sin(2.39996 * len(rows))
            rows.append([size, epochs, 0.2 - 40 / size**0.25 + 0.1 * math.log(epochs) + noise])
    return write_table(folder / "scores.csv", rows, "params,epochs,score")


SCORE: tuple[str, ...] = (
    *("--formula", "top - A/params**a + b*log(epochs)", "--bounds", "top=-5:5,a=0:2"),
    *("--inputs", "epochs", "--target", "score", "--signed", "score", "--objective", "squared"),
    "--higher-is-better",
)


class TestFit:
    def test_of_n_and_d_is_that_of_the_law_of_the_catalogue(self, table: Path) -> None:
        own = document("fit", table, *TWO_POWERS, "--bootstrap", "0")
        known = document("fit", table, "--law", "chinchilla", "--bootstrap", "0")
        assert own["law"] == "formula"
        assert own["parameters"] == pytest.approx(known["parameters"], rel=1e-6)

    def test_is_saved_and_predicts(self, table: Path, tmp_path: Path) -> None:
        saved = tmp_path / "fit.json"
        done("fit", table, *TWO_POWERS, *BOUNDS, *QUICK, "-o", saved)
        (point,) = document("predict", saved, "--at", "7B:140B")["predictions"]
        assert point["loss"] == pytest.approx(loss_of(7e9, 1.4e11), rel=0.01)
        assert point["lower"] < point["loss"] < point["upper"]

    def test_of_other_columns_predicts_at_named_points(self, tmp_path: Path) -> None:
        saved = tmp_path / "fit.json"
        fitted = document("fit", scores(tmp_path), *SCORE, *QUICK, "-o", saved)
        truth = {"top": 0.2, "A": 40.0, "a": 0.25, "b": 0.1}
        assert fitted["parameters"]["b"] == pytest.approx(truth["b"], rel=0.01)
        assert fitted["parameters"]["a"] == pytest.approx(truth["a"], rel=0.2)
        ahead = document("predict", saved, "--at", "params=4B:epochs=4", "epochs=1:params=1e9")
        first, second = ahead["predictions"]
        assert (first["params"], first["epochs"]) == (4e9, 4)
        assert first["score"] == pytest.approx(0.2 - 40 / 4e9**0.25 + 0.1 * math.log(4), abs=5e-3)
        assert first["lower"] < first["score"] < first["upper"]
        assert first["extrapolation"] == pytest.approx({"params": 2, "epochs": 4 / 24})
        assert second["score"] == pytest.approx(0.2 - 40 / 1e9**0.25, abs=5e-3)
        shown = done("predict", saved, "--at", "params=4B:epochs=4").stdout.splitlines()
        assert shown[1].split()[:2] == ["N:epochs", "score"]
        assert shown[3].split()[0] == "4B:4"

    def test_of_a_score_is_not_believed_as_a_loss(self, tmp_path: Path) -> None:
        saved, loss = tmp_path / "fit.json", (word for word in SCORE if "better" not in word)
        done("fit", scores(tmp_path), *loss, "--bootstrap", "0", "-o", saved)
        assert "its score rises with params" in refusal(
            "predict", saved, "--at", "params=4B:epochs=4"
        )

    def test_keeps_parameters_inside_their_bounds(self, table: Path) -> None:
        fitted = document("fit", table, *TWO_POWERS, "--bounds", "alpha=0.1:0.2", *QUICK)
        assert 0.1 <= fitted["parameters"]["alpha"] <= 0.2
        assert "at-bound" in {note["code"] for note in fitted["notes"]}

    def test_of_compute(self, tmp_path: Path) -> None:
        rows = [[6e18 * 3**k, 1.7 + 100 / (6e18 * 3**k) ** 0.1] for k in range(10)]
        path = write_table(tmp_path / "runs.csv", rows, "flops,loss")
        words = ("--formula", "E + A*flops**(-a)", "--inputs", "flops")
        fitted = document("fit", path, *words, "--bootstrap", "0")
        expected = {"E": 1.7, "A": 100, "a": 0.1}
        assert fitted["parameters"] == pytest.approx(expected, rel=1e-3)


class TestFamilies:
    def test_are_made_for_the_columns_named(self, tmp_path: Path) -> None:
        shares = [k / 10 for k in range(11)]
        rows = [[code, 1 - code, 1.5 + math.exp(0.3 - 2 * code)] for code in shares]
        path = write_table(tmp_path / "runs.csv", rows, "code,web,code_loss")
        saved = tmp_path / "fit.json"
        words = ("--law", "mixing", "--inputs", "code,web", "--target", "code_loss")
        fitted = document("fit", path, *words, "--bootstrap", "5", "-o", saved)
        assert fitted["parameters"] == pytest.approx({"c": 1.5, "t1": -1.7, "t2": 0.3}, rel=1e-4)
        (point,) = document("predict", saved, "--at", "code=0.25:web=0.75")["predictions"]
        assert point["code_loss"] == pytest.approx(1.5 + math.exp(-0.2), rel=1e-4)

    def test_without_their_columns_are_refused(self, table: Path) -> None:
        assert refusal("fit", table, "--law", "mixing") == (
            "--law: law mixing needs the columns it is for: expected --inputs NAME,... and "
            "--target NAME"
        )

    def test_are_fitted_to_one_column_where_they_read_one(self, table: Path) -> None:
        words = ("--law", "broken-1", "--inputs", "params,tokens")
        assert refusal("fit", table, *words) == (
            "--inputs: a broken power law reads one column: found params, tokens"
        )


class TestBacktest:
    def test_beside_laws_of_the_catalogue(self, table: Path) -> None:
        words = ("backtest", table, "--hold-out", "params > 2e9", *QUICK)
        tested = document(*words, *TWO_POWERS, "--law", "chinchilla", "compute")
        assert set(tested["laws"]) == {"formula", "chinchilla", "compute"}
        own, known = tested["laws"]["formula"], tested["laws"]["chinchilla"]
        assert own["mean_abs_rel_error"] == pytest.approx(known["mean_abs_rel_error"], rel=1e-3)

    def test_alone(self, table: Path) -> None:
        words = ("backtest", table, "--hold-out", "params > 2e9", *QUICK)
        assert set(document(*words, *TWO_POWERS, *BOUNDS)["laws"]) == {"formula"}

    def test_of_other_columns(self, tmp_path: Path) -> None:
        words = ("backtest", scores(tmp_path), "--hold-out", "params > 1.5e9", *QUICK)
        tested = document(*words, *SCORE)
        assert (tested["n_fit"], tested["n_held_out"]) == (32, 8)
        assert tested["laws"]["formula"]["mean_abs_rel_error"] < 0.05


class TestForecast:
    def test_weighs_it_beside_others(self, table: Path) -> None:
        words = ("forecast", table, "--at", "7B:140B", "--bootstrap", "0", "--law", "compute")
        ahead = document(*words, *TWO_POWERS, *BOUNDS)
        assert set(ahead["reasons"]) == {"formula", "compute"}
        assert ahead["weights"]["formula"] > 0.5


class TestMistakes:
    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (
                (*TWO_POWERS, "--bounds", "gamma=0:1"),
                "formula 'E + A/params**alpha + B/tokens**beta': bounds of what is no parameter: "
                "found gamma; expected one of E, A, alpha, B, beta",
            ),
            (
                (*TWO_POWERS, "--bounds", "params=0:1"),
                "formula 'E + A/params**alpha + B/tokens**beta': bounds of what is no parameter: "
                "found params; expected one of E, A, alpha, B, beta",
            ),
            *(
                (
                    (*TWO_POWERS, "--bounds", bounds),
                    f"--bounds: not a bound: found {found!r}; expected NAME=LOW:HIGH, as "
                    "alpha=0:2 or b=-1:",
                )
                for bounds, found in (
                    ("alpha", "alpha"),
                    ("alpha=2", "alpha=2"),
                    ("alpha=0:1:2", "alpha=0:1:2"),
                    ("alpha=low:high", "alpha=low:high"),
                    ("=0:1", "=0:1"),
                    ("A=0:1, alpha=0", "alpha=0"),
                    ("alpha=0:1,alpha=0:2", "alpha=0:2"),
                )
            ),
            (
                (*TWO_POWERS, "--bounds", "alpha=2:1"),
                "formula 'E + A/params**alpha + B/tokens**beta', parameter alpha: bounds in the "
                "wrong order: found lower 2, upper 1",
            ),
            *(
                (
                    (*TWO_POWERS, "--bounds", f"alpha={bound}"),
                    "formula 'E + A/params**alpha + B/tokens**beta', parameter alpha: lower is "
                    "not a number: found nan",
                )
                for bound in ("nan:1", "NaN:")
            ),
            (("--bounds", "a=0:1"), "--bounds: no formula for it: expected --formula TEXT"),
            (("--inputs", "epochs"), "--inputs: no formula for it: expected --formula TEXT"),
            (("--target", "score"), "--target: no formula for it: expected --formula TEXT"),
            (("--signed", "loss"), "--signed: no formula for it: expected --formula TEXT"),
            (
                ("--law", "chinchilla", "--inputs", "epochs"),
                "--inputs: no formula for it: expected --formula TEXT",
            ),
            (
                ("--formula", "E + open(params)"),
                "law formula: unknown function: found open; expected one of exp, log, sqrt, boxcox,"
                " max, min, lgamma, lrise, expm1, log1p",
            ),
            (
                ("--formula", "E/params + __import__('os').system('true')"),
                "law formula: not allowed in a formula: found __import__('os').system('true'); ex"
                "pected numbers, names, + - * / ** and exp, log, sqrt, boxcox, max, min, lgamma, "
                "lrise, expm1, log1p",
            ),
            (
                ("--formula", "E + A/params**alpha", "--inputs", "epochs"),
                "formula 'E + A/params**alpha': the formula does not use: found epochs",
            ),
            (
                ("--formula", "E + A/epochs", "--inputs", "epochs"),
                "TABLE: no column epochs: found params, tokens, loss; expected a column of that "
                "name, or one named by --columns epochs=NAME",
            ),
            (
                ("--formula", "E + A/params**a", "--target", "score"),
                "TABLE: no column score: found params, tokens, loss; expected a column of that "
                "name, or one named by --columns score=NAME",
            ),
            (
                ("--formula", "E + A/params**a", "--target", "a b"),
                "formula 'E + A/params**a': target names no column: found 'a b'",
            ),
            (
                ("--formula", "E + A/params**a", "--signed", "tokens"),
                "formula 'E + A/params**a': signed names no column of the law: "
                "found tokens; expected one of loss, params",
            ),
            (
                ("--formula", "E/params + A*flops"),
                "formula 'E/params + A*flops': a reserved name: found flops; expected another",
            ),
            (
                ("--formula", "E/params + A*loss"),
                "formula 'E/params + A*loss': a reserved name: found loss; expected another",
            ),
            (
                ("--formula", "params/1e9"),
                "formula 'params/1e9': the law has no parameters: expected a table [parameters.NAM"
                "E] each",
            ),
            (
                ("--formula", "E + A"),
                "formula 'E + A': the formula reads no column: found parameters alone: E, A; "
                "expected params or tokens in it, or columns named by --inputs",
            ),
            (
                (*TWO_POWERS, "--law", "chinchilla"),
                "--law: fit takes one law: found 2; expected one; backtest and forecast compare s"
                "everal",
            ),
        ],
    )
    def test_are_one_line(
        self, words: tuple[str, ...], message: str, table: Path, tmp_path: Path
    ) -> None:
        output = tmp_path / "fit.json"
        said = refusal("fit", table, *words, "-o", output)
        assert said.replace(str(table), "TABLE") == message
        assert not output.exists()

    @pytest.mark.parametrize("formula", ["E + A/params**", "", "E +", "a; b", "x" * 6000])
    def test_of_syntax_are_one_line(self, formula: str, table: Path) -> None:
        refusal("fit", table, "--formula", formula)
        refusal("backtest", table, "--formula", formula)

    @pytest.mark.parametrize("verb", ["backtest", "forecast"])
    def test_are_the_same_for_other_verbs(self, verb: str, table: Path) -> None:
        words: tuple[Any, ...] = (verb, table, "--at", "7B:1T")[: 4 if verb == "forecast" else 2]
        assert refusal(*words, "--bounds", "a=0:1") == (
            "--bounds: no formula for it: expected --formula TEXT"
        )
        assert refusal(*words, *TWO_POWERS, "--bounds", "alpha").startswith(
            "--bounds: not a bound: found 'alpha'; expected NAME=LOW:HIGH"
        )

    def test_in_points_name_every_input(self, tmp_path: Path) -> None:
        saved = tmp_path / "fit.json"
        done("fit", scores(tmp_path), *SCORE, "--bootstrap", "0", "-o", saved)
        assert read_strictly(saved.read_text())["law"] == "formula"
        for point in ("1B:2", "params=1B", "params=1B:epochs=0", "params=1B:epochs=1:tokens=1B"):
            said = refusal("predict", saved, "--at", point)
            assert said.startswith("--at: not a ")
            assert said.count("--at") == 1


def test_names_of_laws_with_commas() -> None:
    assert [law.name for law in find_laws(["kaplan,compute", "coupled"])] == [
        "kaplan",
        "compute",
        "coupled",
    ]
    assert find_laws(None) == []
    with pytest.raises(InputError, match=r"^here: unknown law: found 'gauss'; expected one of "):
        find_laws(["gauss"], where="here")
