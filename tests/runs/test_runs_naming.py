"""Column names: mappings, aliases, and what they do when they clash."""

from __future__ import annotations

import re

import pytest

from isoloss.errors import InputError
from isoloss.runs import parse_columns
from isoloss.runs.naming import closest, name_columns, normalised


def test_a_mapping_is_written_as_pairs() -> None:
    expected = {"params": "N", "tokens": "D", "loss": "val_loss"}
    assert parse_columns("params=N, tokens = D,loss=val_loss") == expected


@pytest.mark.parametrize("text", ["params", "params=", "=N", "", "params=N,,loss=L"])
def test_what_is_no_mapping_is_refused(text: str) -> None:
    message = r"--columns: not a column mapping: found '.*'; expected pairs such as params=N,tokens"
    with pytest.raises(InputError, match=message):
        parse_columns(text)


def test_a_target_is_named_once() -> None:
    with pytest.raises(InputError, match="--columns: params is named twice: found N and M"):
        parse_columns("params=N,params=M")


def test_canonical_names_need_nothing() -> None:
    naming = name_columns(["params", "tokens", "loss", "N", "val_loss", "C"])
    assert not naming.renamed
    assert not naming.ambiguous
    assert not naming.notes


@pytest.mark.parametrize(
    ("column", "name"),
    [
        *[(c, "params") for c in ("N", "n_params", "model_size", "Model Size", "num-params")],
        *[(c, "tokens") for c in ("D", "n_tokens", "Training Tokens", "training_tokens")],
        *[(c, "loss") for c in ("L", "val_loss", "validation_loss", "final_loss", "Eval/Loss")],
        *[(c, "params") for c in ("Params", "PARAMS", " params")],
    ],
)
def test_usual_names_are_recognised_and_noted(column: str, name: str) -> None:
    naming = name_columns([column, "other"])
    assert naming.renamed == {column: name}
    (note,) = naming.notes
    assert note.code == "column-recognised"
    assert note.message == f"column {column} is taken as {name}"


def test_a_canonical_name_in_other_case_comes_before_aliases() -> None:
    assert name_columns(["Loss", "val_loss"]).renamed == {"Loss": "loss"}


def test_several_aliases_leave_the_choice_to_the_user() -> None:
    naming = name_columns(["params", "tokens", "val_loss", "train_loss"])
    assert naming.ambiguous == {"loss": ("val_loss", "train_loss")}
    assert not naming.renamed


def test_flops_are_looked_for_only_where_tokens_are_absent() -> None:
    assert name_columns(["params", "Training FLOP", "loss"]).renamed == {"Training FLOP": "flops"}
    assert not name_columns(["params", "tokens", "loss", "C"]).renamed
    assert not name_columns(["params", "D", "n_tokens", "loss", "C"]).renamed


def test_a_mapping_beats_aliases() -> None:
    naming = name_columns(["N", "n_params", "D", "loss"], {"params": "n_params"})
    assert naming.renamed == {"n_params": "params", "D": "tokens"}


def test_a_mapped_column_takes_the_canonical_name_and_the_old_one_stays() -> None:
    naming = name_columns(["params", "params_total", "tokens", "loss"], {"params": "params_total"})
    assert naming.renamed == {"params_total": "params", "params": "params_original"}
    (note,) = naming.notes
    assert note.message == (
        "params_total is used as params; the table's own column params is params_original"
    )


def test_the_spare_name_is_free() -> None:
    names = ["loss", "loss_original", "params", "tokens", "x"]
    assert name_columns(names, {"loss": "x"}).renamed["loss"] == "loss_original_2"


def test_two_columns_can_swap_names() -> None:
    naming = name_columns(["params", "tokens", "loss"], {"params": "tokens", "tokens": "params"})
    assert naming.renamed == {"params": "tokens", "tokens": "params"}


def test_a_mapping_to_an_absent_column_lists_those_there_are() -> None:
    message = (
        "runs.csv: no column val_los to use as loss: "
        "expected one of N, D, val_loss (closest: val_loss)"
    )
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        name_columns(["N", "D", "val_loss"], {"loss": "val_los"}, source="runs.csv")


def test_a_column_has_one_name() -> None:
    message = "column N is used twice: found params, tokens; expected one name for each column"
    with pytest.raises(InputError, match=f"^{message}$"):
        name_columns(["N", "loss"], {"params": "N", "tokens": "N"})


def test_names_are_compared_without_case_and_punctuation() -> None:
    assert normalised("Model-Size (total)") == "modelsizetotal"
    assert closest("Valloss", ["N", "val_loss"]) == "val_loss"
    assert closest("zzz", ["N", "val_loss"]) is None
