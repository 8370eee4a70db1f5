"""`isoloss allocate`: the best split of a budget, and what others cost."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from cli_program import document, done, good_rows, refusal, write_table

from isoloss.laws import CATALOGUE

pytest_plugins = ("cli_fixtures",)

EPOCH = "chinchilla:epoch-2024"


@pytest.mark.parametrize("budget", ["1e21", "1e21 ", "1_000e18", "1000000000T"])
def test_the_json_has_the_keys_of_the_design(budget: str, saved_fit: Path) -> None:
    split = document("allocate", saved_fit, "--flops", budget)
    assert split["flops"] == 1e21
    assert 6 * split["params"] * split["tokens"] == pytest.approx(1e21)
    assert split["tokens_per_param"] == pytest.approx(split["tokens"] / split["params"])
    assert split["lower"] < split["loss"] < split["upper"]
    low, high = split["intervals"]["params"]
    assert low < split["params"] < high


def test_no_other_size_is_better(saved_fit: Path) -> None:
    split = document("allocate", saved_fit, "--flops", "1e21")
    for other in split["deviations"]:
        assert 6 * other["params"] * other["tokens"] == pytest.approx(1e21)
        assert other["loss"] > split["loss"]
        assert 0 < other["compute_share"] < 1
    low, high = split["near_optimal_params"]
    assert low < split["params"] < high


def test_the_tables_for_people(saved_fit: Path) -> None:
    lines = done("allocate", saved_fit, "--flops", "1e21").stdout.splitlines()
    assert lines[0] == "Optimal split of 1e+21 FLOPs by chinchilla"
    assert lines[1].split() == ["optimum", "90", "%", "interval"]
    rows = ["params", "tokens", "tokens_per_param", "loss"]
    assert [line.split()[0] for line in lines[3:7]] == rows
    assert lines[8].startswith("Within 0.1 % of the least loss: N from ")
    assert lines[10] == "Other sizes at the same compute"
    assert [line.split(" N*")[0] for line in lines[13:19]] == [
        *("0.25", "0.5", "0.707", "1.41", "2", "4")
    ]


def test_a_fit_without_replicates_has_an_interval_of_the_loss_alone(
    table: Path, tmp_path: Path
) -> None:
    saved = tmp_path / "fit.json"
    done("fit", table, "--law", "chinchilla", "--bootstrap", "0", "-o", saved)
    split = document("allocate", saved, "--flops", "1e21")
    assert split["intervals"] == {}
    assert split["lower"] < split["loss"] < split["upper"]
    rows = done("allocate", saved, "--flops", "1e21").stdout.splitlines()[3:7]
    assert [len(row.split()) for row in rows] == [2, 2, 2, 5]


def test_published_coefficients_have_no_intervals() -> None:
    lines = done("allocate", "chinchilla:epoch-2024", "--flops", "5.76e23").stdout.splitlines()
    assert lines[1].split() == ["optimum"]
    assert lines[3].split() == ["params", "72.25B"]


SETS = [entry.name for entry in CATALOGUE["chinchilla"].published]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "chinchilla:mine",
            "law chinchilla: unknown coefficient set: found mine; "
            f"expected one of {', '.join(SETS)}",
        ),
        (
            "chinchila:epoch-2024",
            "chinchila:epoch-2024: unknown law: found 'chinchila' (did you mean chinchilla?); "
            f"expected one of {', '.join(CATALOGUE)}, or a TOML file",
        ),
        (
            "chinchilla",
            "chinchilla: a law without coefficients: expected "
            f"{' or '.join(f'chinchilla:{name}' for name in SETS)} or FIT.json",
        ),
        ("coupled", "coupled: a law without coefficients: expected FIT.json"),
        ("fit.json", "fit.json: cannot read the fit: found No such file or directory"),
    ],
)
def test_laws_and_sets_that_are_not_there(
    name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert refusal("allocate", name, "--flops", "1e21") == message


def test_a_law_without_an_optimum_is_refused(table: Path, tmp_path: Path) -> None:
    saved, output = tmp_path / "fit.json", tmp_path / "out.json"
    done("fit", table, "--law", "compute", "--bootstrap", "0", "-o", saved)
    said = refusal("allocate", saved, "--flops", "1e21", "-o", output)
    assert said.startswith(f"{saved}: law compute has no optimal split of 1e+21 FLOPs: ")
    assert not output.exists()


class TestOtherQuestions:
    def test_training_and_inference_share_a_budget(self, saved_fit: Path) -> None:
        split = document("allocate", saved_fit, "--flops", "1e21", "--inference-tokens", "100B")
        params, tokens = split["params"], split["tokens"]
        assert 6 * params * tokens + 2 * params * 100e9 == pytest.approx(1e21)
        assert split["flops"] == pytest.approx(6 * params * tokens)
        assert {each["name"] for each in split["costs"]} == {"training and inference", "training"}
        assert params < document("allocate", saved_fit, "--flops", "1e21")["params"]

    def test_money_hours_and_days(self) -> None:
        hardware = ("--accelerator", "h100-sxm", "--mfu", "0.4")
        paid = document("allocate", EPOCH, "--budget", "1M", "--price", "2.5", *hardware)
        flops = 1e6 / 2.5 * 3600 * 989.5e12 * 0.4
        assert paid["flops"] == pytest.approx(flops)
        for time in (("--hours", "720"), ("--days", "30")):
            timed = document("allocate", EPOCH, *time, "--accelerators", "100", *hardware)
            assert timed["flops"] == pytest.approx(100 * 720 * 3600 * 989.5e12 * 0.4)

    def test_money_with_inference(self) -> None:
        words = (
            *("--budget", "1M", "--price", "1.50", "--accelerator", "a100-80gb", "--mfu", "0.5"),
            *("--inference-tokens", "285B", "--prompt-tokens", "70B", "--generation-mfu", "0.01"),
            *("--inference-price", "1.10", "--inference-accelerator", "a100-40gb"),
            *("--inference-precision", "int8"),
        )
        split = document("allocate", EPOCH, *words)
        N, D = split["params"], split["tokens"]
        training = 1.50 / (3600 * 312e12) * 6 * N * D / 0.5
        serving = 1.10 / (3600 * 624e12) * 2 * N * (70e9 / 0.5 + 215e9 / 0.01)
        assert training + serving == pytest.approx(1e6)

    def test_a_loss_to_reach(self, saved_fit: Path) -> None:
        split = document("allocate", saved_fit, "--flops", "1e21")
        back = document("allocate", saved_fit, "--target-loss", repr(split["loss"]))
        assert back["flops"] == pytest.approx(1e21, rel=1e-6)
        assert back["minimised"] == "training"
        assert set(back["intervals"]) == {"params", "tokens", "tokens_per_param", "training"}
        lines = done("allocate", saved_fit, "--target-loss", "2.3").stdout.splitlines()
        assert lines[0] == "Cheapest run to a loss of 2.3 by chinchilla"
        assert "Other sizes for the same loss" in lines
        assert any(line.startswith("Within 1 % of the least training: N from ") for line in lines)

    def test_a_fixed_size(self, saved_fit: Path) -> None:
        size = document("allocate", saved_fit, "--flops", "1e21", "--params", "1B")
        assert size["params"] == 1e9
        assert size["tokens"] == pytest.approx(1e21 / 6e9)
        assert size["binding"] == ["training", "params"]
        longer = document("allocate", saved_fit, "--params", "2B", "--target-loss", "2.3")
        assert longer["params"] == 2e9
        assert longer["extra"] > 0
        assert longer["optimal"]["params"] > 2e9
        lines = done("allocate", saved_fit, "--params", "2B", "--target-loss", "2.3").stdout
        assert "this size" in lines
        assert "pays once the model serves" in lines

    def test_a_frontier(self, saved_fit: Path) -> None:
        found = document("allocate", saved_fit, "--frontier", "1e20:1e22", "--max-params", "2B")
        amounts = [point["amount"] for point in found["points"]]
        assert amounts[0] == pytest.approx(1e20)
        assert amounts[-1] == pytest.approx(1e22)
        assert len(amounts) == 9
        assert all(point["params"] <= 2e9 for point in found["points"])
        text = done("allocate", saved_fit, "--frontier", "1e20:1e22").stdout
        assert text.startswith("Least loss for training by chinchilla\n")

    def test_limits_are_named_where_they_bind(self, saved_fit: Path) -> None:
        split = document(
            "allocate", saved_fit, "--flops", "1e21", "--max-serving-memory", "2e9",
            "--max-memory", "1T", "--min-params", "100M", "--min-tokens", "1B",
        )  # fmt: skip
        assert split["params"] == pytest.approx(1e9)
        assert split["binding"] == ["training", "max_serving_memory"]
        assert not split["interior"]
        few = document("allocate", saved_fit, "--flops", "1e21", "--unique-tokens", "10B")
        assert few["tokens"] == pytest.approx(10e9)
        assert few["epochs"] == pytest.approx(1)

    def test_laws_of_more_inputs(self) -> None:
        words = ("allocate", "repeated-data:muennighoff-2023", "--flops", "1e22")
        split = document(*words, "--unique-tokens", "25B")
        assert split["inputs"]["unique_tokens"] == 25e9
        assert split["epochs"] == pytest.approx(9.488, rel=1e-3)
        few = document(*words, "--unique-tokens", "25B", "--max-epochs", "4")
        assert few["epochs"] == pytest.approx(4)
        same = document(*words, "--given", "unique_tokens=25B")
        assert same["params"] == pytest.approx(split["params"])

    def test_both_counts_of_n(self) -> None:
        words = ("allocate", "chinchilla-nonembedding:epoch-2024", "--flops", "1e19")
        split = document(*words, "--embedding-factor", "47491", "--flops-count", "total")
        N = split["params_nonembedding"]
        assert split["params"] == N
        assert split["params_total"] == pytest.approx(N + 47491 * N ** (1 / 3))
        assert 6 * split["params_total"] * split["tokens"] == pytest.approx(1e19)

    def test_what_inference_moves(self, saved_fit: Path) -> None:
        words = ("allocate", saved_fit, "--target-loss", "2.4", "--demand", "10B:100T")
        points = document(*words)["points"]
        assert [points[0]["served"], points[-1]["served"]] == pytest.approx([1e10, 1e14])
        assert points[-1]["params"] < points[0]["params"]
        lines = done(*words).stdout.splitlines()
        assert lines[0] == "Cheapest run to a loss of 2.4 by chinchilla"
        assert lines[-1] == "Saved: over the run that is cheapest to train"
        hardware = ("--price", "2", "--accelerator", "h100-sxm", "--mfu", "0.4")
        paid = document(*words, *hardware, "--generation-mfu", "0.02")
        assert paid["unit"] == "$"
        assert paid["points"][0]["params"] < points[0]["params"]

    def test_measured_speeds(self, tmp_path: Path) -> None:
        rows = ["params,tokens_per_second"]
        rows += [f"{N},{1 / (2e-8 + 2e-15 * N)}" for N in (1e8, 1e9, 1e10)]
        speeds = tmp_path / "speeds.csv"
        speeds.write_text("\n".join(rows))
        found = document("allocate", EPOCH, "--hours", "100", "--speeds", speeds)
        seconds = found["tokens"] * (2e-8 + 2e-15 * found["params"])
        assert seconds == pytest.approx(100 * 3600)
        said = refusal(
            "allocate", EPOCH, "--hours", "1", "--speeds", speeds, "--speed-terms", "1,params,batch"
        )
        assert said == (
            "throughput: no such column: found params, tokens_per_second; expected batch"
        )

    def test_known_prices_and_hardware_are_reported(self) -> None:
        words = ("--price", "2.5", "--accelerator", "h100-sxm", "--mfu", "0.4")
        split = document("allocate", EPOCH, "--flops", "1e22", *words, "--accelerators", "512")
        amounts = {(each["name"], each["unit"]): each["amount"] for each in split["costs"]}
        seconds = 1e22 / (0.4 * 989.5e12)
        assert amounts["training", "$"] == pytest.approx(2.5 * seconds / 3600)
        assert amounts["wall-clock", "hours"] == pytest.approx(seconds / 3600 / 512)

    @pytest.mark.parametrize(
        "words",
        [
            ("--flops", "1e21"),
            ("--target-loss", "2.4"),
            ("--target-loss", "2.4", "--params", "1B"),
            ("--target-loss", "2.4", "--demand", "1e10:1e14"),
            ("--frontier", "1e20:1e22"),
        ],
    )
    def test_every_answer_is_drawn(self, words: tuple[str, ...], tmp_path: Path) -> None:
        picture = tmp_path / "plan.svg"
        done("allocate", EPOCH, *words, "--figure", picture)
        assert picture.read_text().startswith("<svg")

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            ("", "missing option '--flops'; see isoloss allocate --help"),
            ("--budget 1M", "--accelerator: missing: expected the name of one, such as h100-sxm"),
            (
                "--days 30 --accelerator h100-sxm --mfu 0.4",
                "--accelerators: missing: expected a number, such as 1024",
            ),
            ("--days 30 --hours 720", "--hours: given twice: expected --hours or --days"),
            (
                "--hours 1 --accelerators 8 --mfu 0.4 --accelerator h900",
                "accelerator: unknown accelerator: found 'h900'; expected one of a100-40gb, "
                "a100-80gb, h100-sxm, h200-sxm, b200, tpu-v5e, tpu-v5p, tpu-v6e, mi300x",
            ),
            (
                "--frontier 1e22:1e20",
                "--frontier: not a range: found '1e22:1e20'; expected LOW:HIGH, such as 1e20:1e24",
            ),
            (
                "--target-loss 2.1 --frontier 1e20:1e22",
                "--frontier: two questions: found --target-loss besides",
            ),
            ("--demand 1e10:1e12", "--demand: nothing to reach: expected --target-loss"),
            (
                "--target-loss 2.1 --demand 1e10:1e12 --params 1B",
                "--params: one size does not move: expected no --demand",
            ),
            (
                "--days 30 --accelerators 8 --accelerator h100-sxm --mfu 0.4 --inference-tokens 1T",
                "--inference-tokens: nothing pays for what is served: expected --flops, --budget, "
                "--target-loss or --frontier",
            ),
            (
                "--flops 1e21 --prompt-tokens 1T",
                "--prompt-tokens: tokens of no life: expected --inference-tokens",
            ),
            (
                "--flops 1e21 --params 7B --max-params 3B",
                "--params: contradictory limits: found 7e+09, and --max-params 3e+09; expected one "
                "of the two",
            ),
            (
                "--flops 1e21 --params 7B --min-params 9B",
                "--params: contradictory limits: found 7e+09, and --min-params 9e+09; expected one "
                "of the two",
            ),
            (
                "--flops 1e21 --figure plan.gif",
                "--figure plan.gif: not a picture format: found .gif; expected .svg or .png",
            ),
            ("--target-score 0.5", "--target-score: no law of the score: expected --then FIT.json"),
            (
                "--flops 1e21 --flops-count total",
                "--flops-count: no way between counts: expected --embedding-factor",
            ),
            (
                "--flops 1e21 --embedding-factor 47491 --flops-count all",
                "--flops-count: unknown count of parameters: found 'all'; expected total or "
                "nonembedding",
            ),
            (
                "--flops 1e21 --max-params x",
                "--max-params: not a size: found 'x'; expected a positive number such as 70B, 1.4T "
                "or 6e18",
            ),
            (
                "--flops 1e21 --then fit.json",
                "chinchilla:epoch-2024: coefficients alone make no chain: expected a fit written "
                "by isoloss fit",
            ),
            (
                "--budget 1M --price 1 --accelerator b200 --mfu 0.4 --inference-tokens 1B "
                "--prompt-tokens 2B",
                "--prompt-tokens: more tokens are read than read and written: found 2e+09; "
                "expected at most --inference-tokens 1e+09",
            ),
        ],
    )
    def test_questions_that_cannot_be_put(self, words: str, message: str) -> None:
        assert refusal("allocate", EPOCH, *words.split()) == message

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (
                "--target-loss 1.5",
                "no run reaches a loss of 1.5: law chinchilla never falls below 1.8172. ",
            ),
            (
                "--target-loss 1.9 --hours 1 --accelerators 8 --accelerator h100-sxm --mfu 0.4",
                ". Without the limit on wall-clock it takes 1.844e+06 hours",
            ),
            (
                "--target-loss 2.0 --flops 1e21",
                "reaching a loss of 2 takes at least 2.475e+23 FLOPs (training), and the limit is ",
            ),
            (
                "--flops 1e21 --min-params 10B --max-params 1B",
                "params: contradictory limits: found at least 1e+10 by min_params, at most 1e+09 ",
            ),
            (
                "--flops 1e21 --min-params 1T --min-tokens 1T",
                "training: the budget is too small: found 1e+21 FLOPs, when training 1e+12 ",
            ),
        ],
    )
    def test_questions_without_an_answer(self, words: str, message: str, tmp_path: Path) -> None:
        output = tmp_path / "out.json"
        said = refusal("allocate", EPOCH, *words.split(), "-o", output)
        assert message in said
        assert not output.exists()


def test_a_downstream_score(tmp_path: Path) -> None:
    rows = [[*row, 0.85 - 2.08 * math.exp(-0.756 * float(row[2]))] for row in good_rows(noise=1e-3)]
    runs = write_table(tmp_path / "scores.csv", rows, header="params,tokens,loss,error")
    first, second = tmp_path / "loss.json", tmp_path / "error.json"
    done("fit", runs, "--law", "chinchilla", "--bootstrap", "20", "-o", first)
    formula = ("--formula", "e - k*exp(-g*loss)", "--inputs", "loss", "--target", "error")
    done("fit", runs, *formula, "--bootstrap", "20", "-o", second)
    found = document("allocate", first, "--then", second, "--target-score", "0.5")
    assert found["score"]["error"] == pytest.approx(0.5, rel=1e-6)
    assert found["loss"] == pytest.approx(math.log(2.08 / 0.35) / 0.756, rel=0.01)
    assert "error" in done("allocate", first, "--then", second, "--target-score", "0.5").stdout
    assert "expected --target-score" in refusal(
        "allocate", first, "--then", second, "--flops", "1e21"
    )
