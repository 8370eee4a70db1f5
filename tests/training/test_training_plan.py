"""Plans: shapes, steps, rates and costs of every run, and what is refused."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sweep_cases import planned, write_sweep

from isoloss.architecture import ShapeRule, shape_ladder, training_flops_per_token
from isoloss.errors import InputError
from isoloss.hyperparameters import find_rule
from isoloss.training import (
    Ladder,
    Plan,
    check_command,
    check_configurations,
    make_plan,
    prepare,
    read_plan,
    read_sweep,
    save_plan,
)

TINY_RULE = ShapeRule(
    vocabulary_size=256,
    aspect_ratio=16,
    head_dim=8,
    d_model_multiple=8,
    d_ff_multiple=8,
    counted="nonembedding",
)
REST = """
[family]
vocabulary_size = 256
aspect_ratio = 16
head_dim = 8
d_model_multiple = 8
d_ff_multiple = 8
"""
LADDERS = """
[params]
from = "6k"
to = "24k"
steps = 3
[tokens]
values = ["0.1M", "0.2M"]
"""
TRAINING = """
[training]
context = 128
batch_tokens = 4096
learning_rate = 1e-3
"""
COMMAND = """
[trainer]
command = "{python} train.py {learning_rate} {start_from}"
"""


def plan_of(tmp_path: Path, text: str) -> Plan:
    path = tmp_path / "sweep.toml"
    path.write_text(text)
    plan = make_plan(read_sweep(path))
    check_configurations(plan)
    return plan


def test_shapes_are_those_of_the_ladder_and_tokens_whole_steps(tmp_path: Path) -> None:
    plan, _ = planned(write_sweep(tmp_path, sizes=4))
    ladder = shape_ladder(6e3, 24e3, 4, TINY_RULE)
    assert [run.shape for run in plan.runs[::3]] == [step.shape for step in ladder]
    for run in plan.runs:
        wanted = min((1e5, 2e5, 4e5), key=lambda tokens: abs(tokens - run.tokens))
        assert run.tokens == run.steps * run.batch_tokens
        assert abs(run.tokens - wanted) <= run.batch_tokens / 2
        assert run.params == run.shape.params_nonembedding
        per_token = training_flops_per_token(run.shape, "megatron", context=128)
        assert run.flops == per_token * run.tokens
        assert run.learning_rate == pytest.approx(0.02 * 64 / run.shape.d_model)
        assert run.warmup_steps == round(0.1 * run.steps)


def test_the_step_law_gives_batch_and_rate(tmp_path: Path) -> None:
    plan = plan_of(
        tmp_path,
        """
        [params]
        values = ["268M"]
        [tokens]
        values = ["10B", "20B"]
        """.replace("        ", "")
        + COMMAND,
    )
    rule = find_rule("step-law")
    assert rule.learning_rate is not None
    for run, wanted in zip(plan.runs, (10e9, 20e9), strict=True):
        batch = float(rule.batch_tokens(run.params, wanted))
        assert run.batch_tokens % 2048 == 0
        assert abs(run.batch_tokens - batch) <= 1024
        rate = 1.79 * run.params**-0.713 * run.tokens**0.307
        assert run.learning_rate == pytest.approx(rate, rel=1e-12)
    assert not plan.notes


def test_a_rule_used_beyond_its_data_is_said(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, REST + LADDERS + "[training]\ncontext = 128\n" + COMMAND)
    assert {note.code for note in plan.notes} == {"rule-beyond-its-data"}
    assert "Step Law" in plan.notes[0].message
    assert "214.6M to 1.07B" in plan.notes[0].message.replace("215M", "214.6M")


def test_time_and_cost_from_a_measured_speed(tmp_path: Path) -> None:
    speed = "[throughput]\nflops_per_second = 1e9\nprice_per_hour = 2.0\n"
    plan = plan_of(tmp_path, REST + LADDERS + TRAINING + speed + COMMAND)
    assert plan.seconds == pytest.approx(plan.flops / 1e9)
    assert plan.cost == pytest.approx(2.0 * plan.flops / 1e9 / 3600)


def test_time_from_a_table_of_measured_speeds(tmp_path: Path) -> None:
    rows = [f"{n},{1 / (1e-6 + 1e-10 * n)}" for n in (1000, 5000, 20000, 80000)]
    (tmp_path / "speeds.csv").write_text("\n".join(["params,tokens_per_second", *rows]))
    speed = '[throughput]\ntable = "speeds.csv"\n'
    plan = plan_of(tmp_path, REST + LADDERS + TRAINING + speed + COMMAND)
    for run in plan.runs:
        assert run.seconds == pytest.approx((1e-6 + 1e-10 * run.params) * run.tokens, rel=1e-6)


def test_one_trunk_serves_every_length(tmp_path: Path) -> None:
    plan, folder = planned(write_sweep(tmp_path, schedule="wsd"))
    trunks = [run for run in plan.runs if run.kind == "trunk"]
    assert len(trunks) == 2
    for trunk in trunks:
        branches = [run for run in plan.runs if run.trunk == trunk.name]
        assert [branch.tokens for branch in branches] == [98304, 200704, 401408]
        assert trunk.keep_checkpoints == tuple(branch.start_step for branch in branches)
        assert trunk.steps == max(branch.start_step for branch in branches)
        assert len({(b.learning_rate, b.batch_tokens) for b in (*branches, trunk)}) == 1
        assert trunk.config()["schedule"] == "constant"
        for branch in branches:
            assert branch.start_step + branch.decay_steps == branch.steps
            assert branch.decay_steps == round(0.2 * branch.steps)
            config = branch.config(folder / "runs")
            expected = folder / "runs" / trunk.name / f"checkpoint-{branch.start_step}.pt"
            assert config["start_from"] == str(expected)
        together = sum(run.spent_flops for run in (trunk, *branches))
        alone = sum(branch.flops for branch in branches)
        # 0.8 of the longest and 0.2 of each, where 0.1 + 0.2 + 0.4 would have been trained.
        assert together / alone == pytest.approx((0.8 * 4 + 0.2 * 7) / 7, rel=0.02)
    assert len(plan.rows) == 6


def test_without_trunks_each_length_is_trained_whole(tmp_path: Path) -> None:
    training = TRAINING + 'schedule = "wsd"\ntrunks = false\n'
    plan = plan_of(tmp_path, REST + LADDERS + training + COMMAND)
    assert {run.kind for run in plan.runs} == {"run"}
    assert plan.flops == sum(run.flops for run in plan.runs)


def test_a_warm_up_that_outlasts_the_shortest_run_of_a_trunk_is_refused(tmp_path: Path) -> None:
    # A half of the 49 steps of 0.2M tokens are 24; 0.1M tokens have 24 steps, 5 of them decay.
    training = TRAINING + 'schedule = "wsd"\nwarmup = 0.5\n'
    with pytest.raises(
        InputError,
        match=r"warmup: the warm-up of a trunk is longer than its shortest run has before the "
        r"decay: found 24 steps, and a decay from step 19; expected at most 0\.388",
    ):
        plan_of(tmp_path, REST + LADDERS + training + COMMAND)


def test_recipes_seeds_and_replicates(tmp_path: Path) -> None:
    head = "seeds = [0]\n"
    tail = """
[settings]
weight_decay = 0.1
[recipes.adamw]
settings.optimiser = "adamw"
[recipes.muon]
learning_rate = 2e-3
settings = {optimiser = "muon", weight_decay = 0.0}
[replicates]
seeds = [1, 2]
where = "params < 8e3"
"""
    plan = plan_of(tmp_path, head + REST + LADDERS + TRAINING + tail + COMMAND)
    assert len(plan.runs) == 2 * (6 + 2 * 2)
    by_recipe = {run.recipe: run for run in plan.runs}
    assert by_recipe["adamw"].config()["weight_decay"] == 0.1
    assert by_recipe["muon"].config()["weight_decay"] == 0.0
    assert by_recipe["muon"].learning_rate == 2e-3
    assert {run.params for run in plan.runs if run.seed} == {min(r.params for r in plan.runs)}


@given(budget=st.floats(1.2e10, 8e10))
def test_a_budget_keeps_the_cheapest_cells_it_pays_for(
    budget: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("budget")
    whole = plan_of(folder, REST + LADDERS + TRAINING + COMMAND)
    text = REST + LADDERS + TRAINING + COMMAND + f"[budget]\nflops = {budget}\n"
    plan = plan_of(folder, text)
    assert plan.flops <= budget
    left_out = {run.name for run in whole.runs} - {run.name for run in plan.runs}
    cheapest = min((r.flops for r in whole.runs if r.name in left_out), default=math.inf)
    assert plan.flops + cheapest > budget
    assert bool(plan.notes) == bool(left_out)


def test_a_budget_for_each_run_cuts_the_corner_of_the_grid(tmp_path: Path) -> None:
    text = REST + LADDERS + TRAINING + COMMAND + "[budget]\nflops_per_run = 1.2e10\n"
    plan = plan_of(tmp_path, text)
    assert 0 < len(plan.runs) < 6
    assert "cells of the grid" in plan.notes[0].message


def test_points_to_be_held_out_stand_beside_the_grid(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, "held_out = ['40k:1M']\n" + REST + LADDERS + TRAINING + COMMAND)
    (run,) = [run for run in plan.runs if run.held_out]
    assert run.params == pytest.approx(40e3, rel=0.1)
    assert run.tokens == pytest.approx(1e6, rel=0.01)
    assert len(plan.runs) == 7


def test_listed_shapes_and_tokens_per_parameter(tmp_path: Path) -> None:
    text = """
[[shapes]]
n_layers = 2
d_model = 32
d_ff = 96
n_heads = 4
vocabulary_size = 256
[tokens]
per_param = [20, 40]
"""
    plan = plan_of(tmp_path, text + TRAINING + COMMAND)
    assert [run.shape.n_layers for run in plan.runs] == [2, 2]
    for run, ratio in zip(plan.runs, (20, 40), strict=True):
        assert abs(run.tokens - ratio * run.params) <= 2048


def test_a_plan_is_read_as_it_was_saved(tmp_path: Path) -> None:
    plan, folder = planned(write_sweep(tmp_path, schedule="wsd"))
    again = read_plan(folder)
    assert again.runs == plan.runs
    assert again.trainer == plan.trainer
    save_plan(again, folder)


def test_a_done_run_is_never_called_by_the_name_of_another(tmp_path: Path) -> None:
    plan, folder = planned(write_sweep(tmp_path))
    place = plan.folder_of(plan.runs[0], folder)
    place.mkdir(parents=True)
    (place / "result.json").write_text('{"loss": 2.0}')
    other = make_plan(read_sweep(write_sweep(tmp_path, settings="weight_decay = 0.3")))
    with pytest.raises(InputError, match=r"a run that is done would be another: found weight_dec"):
        save_plan(other, folder)


@pytest.mark.parametrize(
    ("low", "high", "ratio", "steps"), [(1, 8, 2, 4), (1, 8, 1.41421, 7), (5, 5, 2, 1)]
)
def test_ladders_by_ratio(low: float, high: float, ratio: float, steps: int) -> None:
    ladder = Ladder.by_ratio(low, high, ratio, "tokens")
    assert len(ladder.values) == steps
    assert ladder.values[-1] == pytest.approx(high, rel=1e-4)


REFUSED = {
    "key": (REST + LADDERS + "[trainin]\n", r"trainin: unknown key: expected one of .*closest: tr"),
    "inner key": (LADDERS + "[training]\nlr = 1\n", r"training.lr: unknown key"),
    "no sizes": ("[tokens]\nvalues = ['1M']\n", r"params: no sizes"),
    "no tokens": ("[params]\nvalues = ['1M']\n", r"tokens: no ladder: found nothing"),
    "empty": ("[params]\nvalues = []\n[tokens]\nvalues = ['1M']\n", r"params: no ladder"),
    "shrinks": (
        "[params]\nfrom = '2M'\nto = '1M'\nsteps = 3\n[tokens]\nvalues = ['1M']\n",
        r"params: no ladder: found 3 steps from 2M to 1M",
    ),
    "ratio": (
        "[params]\nvalues = ['1M']\n[tokens]\nfrom = '1M'\nto = '2M'\nratio = 1\n",
        r"tokens: no ladder: found ratio 1 from 1M to 2M",
    ),
    "two ways": (
        LADDERS + "[[shapes]]\nn_layers = 1\n",
        r"params: sizes in two ways",
    ),
    "does not divide": (
        "[[shapes]]\nn_layers = 1\nd_model = 30\nd_ff = 64\nn_heads = 4\nvocabulary_size = 256\n"
        "[tokens]\nvalues = ['1M']\n",
        r"shapes.n_heads: the heads do not divide d_model evenly: found 4 with d_model 30",
    ),
    "too small": (
        REST + "[params]\nvalues = ['10']\n[tokens]\nvalues = ['1M']\n" + TRAINING,
        r"params: smaller than any nonembedding size",
    ),
    "same shape": (
        REST + "[params]\nvalues = ['6000', '6001']\n[tokens]\nvalues = ['1M']\n" + TRAINING,
        r"params: two sizes have the same shape",
    ),
    "short": (
        REST + "[params]\nvalues = ['6k']\n[tokens]\nvalues = ['1k']\n" + TRAINING,
        r"tokens: a run shorter than one step: found 1K tokens with a batch of 4096",
    ),
    "budget": (
        REST + LADDERS + TRAINING + "[budget]\nflops = 1e6\n",
        r"budget.flops: the budget is below the smallest run: found 1e\+06; expected at least",
    ),
    "run budget": (
        REST + LADDERS + TRAINING + "[budget]\nflops_per_run = 1e6\n",
        r"budget.flops_per_run: the budget is below the smallest run",
    ),
    "no speed": (
        REST + LADDERS + TRAINING + "[budget]\nhours = 1\n",
        r"throughput: no measured speed for a budget",
    ),
    "nothing left": (
        "where = 'params > 1e12'\n" + REST + LADDERS + TRAINING,
        r"where: no run is left: found none of 6 cells",
    ),
    "bad condition": (
        "where = 'parms > 1'\n" + REST + LADDERS + TRAINING,
        r"where: condition 'parms > 1'",
    ),
    "field": (
        REST + LADDERS + TRAINING + "[trainer]\ncommand = 'train {n_layer}'\n",
        r"trainer.command: the command names an unknown field: found \{n_layer\}; .*n_layers\)",
    ),
    "braces": (
        REST + LADDERS + TRAINING + "[trainer]\ncommand = 'train {n_layers'\n",
        r"trainer.command: not a command",
    ),
    "no start": (
        REST + LADDERS + TRAINING + "schedule = 'wsd'\n[trainer]\ncommand = 'train {seed}'\n",
        r"trainer.command: the command does not say where a branch starts",
    ),
    "formula": (
        REST + LADDERS + "[training]\ncontext = 128\nbatch_tokens = 4096\nlearning_rate = 'x*2'\n",
        r"learning_rate: neither a published rule nor a formula over the size: found 'x'",
    ),
    "rule": (
        REST + LADDERS + "[training]\ncontext = 128\nbatch_tokens = 'minicpm'\n",
        r"batch_tokens: the rule has no batch tokens for a size alone: found 'minicpm'",
    ),
    "negative": (
        REST + LADDERS + "[training]\ncontext=128\nbatch_tokens=4096\nlearning_rate = '-1*tokens'",
        r"learning_rate: no positive number",
    ),
    "half a preparation": (
        REST + LADDERS + TRAINING + "[prepare]\ncommand = 'make'\n",
        r"prepare: a preparation is not whole: found no creates",
    ),
    "preparation's field": (
        REST + LADDERS + "[prepare]\ncommand = 'make {corpus}'\ncreates = 'x'\n",
        r"prepare.command: the command names an unknown field: found \{corpus\}",
    ),
    "reserved": (
        REST + LADDERS + TRAINING + "[settings]\nn_layers = 3\n" + COMMAND,
        r"settings.n_layers: the plan itself says this",
    ),
    "reference": (
        REST + LADDERS + TRAINING + "[settings]\ndata = 'corpus'\nweight_deca = 3\n",
        r"settings: unknown key: found weight_deca",
    ),
    "seeds": ("seeds = [0, 0]\n" + REST + LADDERS, r"seeds: a seed comes twice"),
    "schedule": (LADDERS + "[training]\nschedule = 'cosin'\n", r"training.schedule: unknown sch"),
    "convention": ("flops = '6N'\n" + LADDERS, r"flops: unknown FLOP convention: found '6N'"),
    "point": ("held_out = ['7B']\n" + LADDERS, r"held_out: not a point: found '7B'"),
    "not TOML": ("[params\n", r"not a TOML file"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_planned_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    text, message = REFUSED[name]
    with pytest.raises(InputError, match=message) as refused:
        plan_of(tmp_path, text)
    assert "\n" not in str(refused.value)
    assert "sweep.toml" in str(refused.value)


def test_what_a_sweep_needs_is_made_once(tmp_path: Path) -> None:
    (tmp_path / "make.py").write_text(
        "import pathlib, sys; pathlib.Path('made').write_text(sys.argv[1])"
    )
    text = """
[prepare]
command = "{python} make.py {standard_library}"
creates = "made"
"""
    plan = plan_of(tmp_path, REST + LADDERS + TRAINING + COMMAND + text)
    assert prepare(plan)
    assert (Path((tmp_path / "made").read_text()) / "json").is_dir()
    assert not prepare(plan)


def test_a_preparation_that_fails_says_why(tmp_path: Path) -> None:
    text = """
[prepare]
command = "{python} -c 'raise SystemExit(\\"no room\\")'"
creates = "made"
"""
    plan = plan_of(tmp_path, REST + LADDERS + TRAINING + COMMAND + text)
    with pytest.raises(InputError, match=r"prepare.command: did not create made: found no room"):
        prepare(plan)


def test_a_program_that_is_not_there_is_refused_before_anything_runs(tmp_path: Path) -> None:
    text = REST + LADDERS + TRAINING + "[trainer]\ncommand = 'no-such-program {seed}'\n"
    with pytest.raises(InputError, match=r"trainer.command: no such program: found no-such-pro"):
        check_command(plan_of(tmp_path, text))


def test_a_script_that_is_not_there_is_refused_before_anything_runs(tmp_path: Path) -> None:
    text = REST + LADDERS + TRAINING + "[trainer]\ncommand = '{python} own.py {seed}'\n"
    plan = plan_of(tmp_path, text)
    with pytest.raises(
        InputError, match=r"trainer.command: no such script: found own.py; expected"
    ):
        check_command(plan)
    (tmp_path / "own.py").touch()
    check_command(plan)


def test_a_corpus_that_is_not_there_is_refused_before_anything_runs(tmp_path: Path) -> None:
    text = REST + LADDERS + TRAINING + "[settings]\ndata = 'corpus'\n"
    with pytest.raises(InputError, match=r"corpus: no token shards"):
        check_command(plan_of(tmp_path, text))


def test_the_example_forecasts_four_times_the_compute_of_any_run_before() -> None:
    example = Path(__file__).parents[2] / "examples" / "tiny.toml"
    plan = make_plan(read_sweep(example))
    (proof,) = [run for run in plan.runs if run.held_out]
    most = max(run.flops for run in plan.runs if not run.held_out)
    assert 4 < proof.flops / most < 5
    # What two processor cores do in five minutes.
    assert plan.flops < 3e12
