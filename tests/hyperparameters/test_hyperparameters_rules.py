"""Published rules: their printed points, their domains, and that they disagree."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace

import pytest

from isoloss import hyperparameters
from isoloss.errors import InputError
from isoloss.hyperparameters import RULES, disagreement, find_rule, recommend

ONE = (1e9, 1e11)
SEVEN = (7e9, 1.4e12)


@pytest.mark.parametrize(
    ("point", "rate", "batch"), [(ONE, 1.632e-3, 1.108e6), (SEVEN, 9.17e-4, 4.999e6)]
)
def test_step_law_at_its_printed_points(
    point: tuple[float, float], rate: float, batch: float
) -> None:
    (said,) = recommend(*point, rules=["step-law"])
    assert said.learning_rate == pytest.approx(rate, rel=5e-4)
    assert said.batch_tokens == pytest.approx(batch, rel=5e-4)


def test_step_law_is_541_sequences_of_2048_at_its_first_point() -> None:
    (said,) = recommend(*ONE, rules=["step-law"])
    assert round(said.batch_tokens / 2048) == 541


@pytest.mark.parametrize(
    ("rule", "loss", "batch"),
    [
        ("kaplan", 3.0, 1.123e6),
        ("kaplan", 2.5, 2.675e6),
        ("kaplan", 2.0, 7.74e6),
        ("minicpm", 3.0, 1.275e6),
        ("minicpm", 2.5, 3.978e6),
    ],
)
def test_batches_that_follow_the_loss(rule: str, loss: float, batch: float) -> None:
    (said,) = recommend(*ONE, loss=loss, rules=[rule])
    assert said.batch_tokens == pytest.approx(batch, rel=4e-4)


def test_kaplan_learning_rate_and_where_it_ends() -> None:
    (said,) = recommend(1e9, 1e10, rules=["kaplan"])
    assert said.learning_rate == pytest.approx(0.003239 - 0.0001395 * math.log(1e9))
    (beyond,) = recommend(1e11, 1e12, rules=["kaplan"])
    assert math.isnan(beyond.learning_rate)
    assert beyond.notes[0].message == "Kaplan: the rate is no longer positive at N = 100B"


def test_porian_in_sequences_and_in_tokens() -> None:
    rule = find_rule("porian")
    # Item 9 of the reference: 0.00037 N^.703 sequences of 2048 are .7576 N^.703 tokens.
    tokens = 0.7576 * 1e9**0.703
    assert float(rule.batch_tokens(*ONE)) == pytest.approx(tokens, rel=5e-4)
    rounded = find_rule("porian-rounded")
    assert rounded.learning_rate is not None
    assert float(rounded.learning_rate.at(108e6, 2e9)) == pytest.approx(0.0047)
    assert float(rounded.batch_tokens(108e6, 2e9)) == pytest.approx(160 * 2048)
    # Rounded and unrounded rules agree where they were made.
    assert float(rounded.batch_tokens(108e6, 2e9)) == pytest.approx(
        float(rule.batch_tokens(108e6, 2e9)), rel=0.07
    )


def test_deepseek_follows_compute() -> None:
    (said,) = recommend(*ONE, rules=["deepseek"])
    assert said.learning_rate == pytest.approx(0.3118 * 6e20**-0.125)
    assert said.batch_tokens == pytest.approx(0.292 * 6e20**0.3271)


def test_bjorck_only_carries_a_rate_from_one_horizon_to_another() -> None:
    (said,) = recommend(*ONE, rules=["bjorck"])
    assert math.isnan(said.learning_rate)
    assert "no absolute rate" in said.notes[0].message
    carried = find_rule("bjorck").carried_rate(1e-3, (1e9, 1e11), (1e9, 2e11))
    assert carried == pytest.approx(1e-3 * 2**-0.32)


def test_the_sign_of_the_power_of_tokens_is_disputed_and_said_to_be() -> None:
    raises = find_rule("step-law").carried_rate(1e-3, (1e9, 1e11), (1e9, 2e11)) > 1e-3
    lowers = find_rule("bjorck").carried_rate(1e-3, (1e9, 1e11), (1e9, 2e11)) < 1e-3
    assert raises
    assert lowers
    assert any("Bjorck" in warning for warning in find_rule("step-law").warnings)
    assert any("Step Law" in warning for warning in find_rule("bjorck").warnings)


def test_no_rule_copies_the_misprinted_numerator() -> None:
    for name in ("kaplan", "minicpm"):
        rule = find_rule(name)
        assert rule.batch is not None
        assert "2e18" not in rule.batch.text
        assert any("2e18" in warning for warning in rule.warnings)


def test_without_a_loss_the_critical_batch_is_left_out() -> None:
    (said,) = recommend(*ONE, rules=["kaplan"])
    assert math.isnan(said.batch_tokens)
    assert "needs the loss" in said.notes[0].message


def test_models_beyond_what_was_fitted_are_named() -> None:
    (said,) = recommend(*SEVEN, rules=["step-law"])
    assert said.notes[0].message == (
        "Step Law: 7B params is 6.52 times beyond the 215M to 1.07B that were fitted"
    )


def test_rules_that_differ_by_more_than_two_are_a_warning() -> None:
    notes = disagreement(recommend(*ONE, loss=2.5))
    assert [note.details["quantity"] for note in notes] == ["learning_rate", "batch_tokens"]
    # A muP rate compares with no other.
    assert notes[0].details["highest"] != "MiniCPM"
    assert disagreement(recommend(*ONE, rules=["step-law"])) == ()


def test_every_rule_says_what_it_is_and_is_json() -> None:
    for rule in RULES:
        assert rule.source
        assert rule.domain
        assert rule.params
        assert rule.to_json()["batch_unit"] in ("tokens", "sequences")
    said = recommend(*ONE)[3].to_json()
    assert said["learning_rate"] is None


def test_bad_requests() -> None:
    with pytest.raises(InputError, match=r"--rule: unknown rule: found 'chinchilla'; expected one"):
        find_rule("chinchilla")
    with pytest.raises(InputError, match=r"params: not a size: found -1; expected above zero"):
        recommend(-1, 1e9)
    bare = replace(find_rule("minicpm"), learning_rate=None)
    with pytest.raises(InputError, match="minicpm: the rule has no learning rate"):
        bare.carried_rate(1e-3, ONE, SEVEN)


def test_rules_load_no_solver() -> None:
    script = "from isoloss.hyperparameters import recommend\nimport sys\nprint(*sys.modules)"
    finished = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert {"polars", "isoloss.fitting", "isoloss.curves"}.isdisjoint(finished.stdout.split())


def test_every_public_name_is_found() -> None:
    for name in hyperparameters.__all__:
        assert getattr(hyperparameters, name).__class__
    assert sorted(hyperparameters.__all__) == dir(hyperparameters)
    with pytest.raises(AttributeError, match=r"'isoloss\.hyperparameters' has no attribute 'rate'"):
        _ = hyperparameters.rate
