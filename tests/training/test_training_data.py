"""Token shards, their split, and the order in which sequences are trained on."""

from __future__ import annotations

import importlib
import json
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from trainer_cases import WORDS, write_corpus

from isoloss.errors import InputError
from isoloss.training.batches import IGNORED, HeldOutBatches, TrainingBatches
from isoloss.training.corpus import main, make_token_data
from isoloss.training.shards import TokenData, read_token_data


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TokenData:
    return write_corpus(tmp_path_factory.mktemp("corpus"))


def documents_of(data: TokenData) -> tuple[set[bytes], set[bytes]]:
    train, held_out = (
        b"".join(shard.astype(np.uint8).tobytes() for shard in data.shards(part))
        for part in ("train", "held-out")
    )
    return set(train.split(b"\0")[:-1]), set(held_out.split(b"\0")[:-1])


def test_every_document_is_in_one_part(data: TokenData) -> None:
    train, held_out = documents_of(data)
    texts = {file.read_bytes() for file in (data.folder.parent / "texts").iterdir()}
    assert train | held_out == texts
    assert not train & held_out
    assert data.train.documents + data.held_out.documents == 120
    assert data.train.text_bytes + data.held_out.text_bytes == sum(map(len, texts))
    assert data.held_out.tokens == data.held_out.text_bytes + data.held_out.documents


def test_the_split_does_not_depend_on_the_order_of_files(data: TokenData, tmp_path: Path) -> None:
    files = sorted((data.folder.parent / "texts").iterdir(), reverse=True)
    other = make_token_data(files, tmp_path, held_out=0.1)
    assert documents_of(other) == documents_of(data)
    assert other.sha256 != data.sha256


def test_parquet_and_text_give_the_same_tokens(data: TokenData, tmp_path: Path) -> None:
    texts = [f.read_text() for f in sorted((data.folder.parent / "texts").iterdir())]
    pl.DataFrame({"text": [*texts, None, ""]}).write_parquet(tmp_path / "all.parquet")
    other = make_token_data([tmp_path / "all.parquet"], tmp_path / "tokens", held_out=0.1)
    assert other.sha256 == data.sha256


def test_a_corpus_in_several_shards_holds_the_same_ids(data: TokenData, tmp_path: Path) -> None:
    texts = data.folder.parent / "texts"
    other = make_token_data([texts], tmp_path, held_out=0.1, shard_tokens=10_000)
    assert len(other.train.files) > 2
    np.testing.assert_array_equal(
        np.concatenate(other.shards("train")), np.concatenate(data.shards("train"))
    )
    assert other.sha256 == data.sha256


def test_one_long_text_is_cut_at_ends_of_lines(tmp_path: Path) -> None:
    lines = b"".join(b"line %d of a long text\n" % number for number in range(30_000))
    (tmp_path / "long.txt").write_bytes(lines)
    data = make_token_data([tmp_path / "long.txt"], tmp_path / "tokens", held_out=0.3)
    pieces = set.union(*documents_of(data))
    assert all(piece.endswith(b"\n") and len(piece) <= 1 << 16 for piece in pieces)
    assert sum(map(len, pieces)) == len(lines)


def test_bits_per_byte_count_bytes_of_text(data: TokenData) -> None:
    # A model that gives every one of 256 ids the same chance needs 8 bits a token; separators
    # are tokens too, but no text.
    tokens_per_byte = data.held_out.tokens / data.held_out.text_bytes
    assert data.bits_per_byte(math.log(256)) == pytest.approx(8 * tokens_per_byte)
    assert 1 < tokens_per_byte < 1.01


@pytest.mark.parametrize("shard_tokens", [10**8, 7_000])
def test_no_token_is_predicted_twice_in_an_epoch(shard_tokens: int, tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    for number in range(60):
        text = "".join(chr(generator.integers(32, 127)) for _ in range(500))
        (tmp_path / f"{number}.txt").write_text(text)
    data = make_token_data([tmp_path], tmp_path / "tokens", shard_tokens=shard_tokens)
    batches = TrainingBatches(data, context=16, sequences=8, seed=3)
    steps = batches.available // 8
    seen = [tuple(row) for step in range(steps) for row in batches.batch(step)[1]]
    # The text is random: two sequences of 16 characters are equal only if they are the same one.
    assert len(set(seen)) == len(seen) == 8 * steps
    assert batches.repeated_tokens(steps) == 0
    assert batches.repeated_tokens(steps + 2) == (8 * (steps + 2) - batches.available) * 16


def test_targets_are_the_inputs_one_later(data: TokenData) -> None:
    inputs, targets = TrainingBatches(data, context=32, sequences=4, seed=0).batch(0)
    assert inputs.shape == targets.shape == (4, 32)
    np.testing.assert_array_equal(inputs[:, 1:], targets[:, :-1])


def test_the_order_is_that_of_the_seed_whatever_the_batch(data: TokenData) -> None:
    small = TrainingBatches(data, context=32, sequences=2, seed=5)
    large = TrainingBatches(data, context=32, sequences=8, seed=5)
    together = np.concatenate([small.indices(step) for step in range(8)])
    np.testing.assert_array_equal(together, np.concatenate([large.indices(0), large.indices(1)]))
    other = TrainingBatches(data, context=32, sequences=8, seed=6)
    assert not np.array_equal(large.indices(0), other.indices(0))


def test_devices_share_a_batch_out(data: TokenData) -> None:
    batches = TrainingBatches(data, context=32, sequences=8, seed=5)
    shares = [batches.indices(3, rank, 4) for rank in range(4)]
    np.testing.assert_array_equal(np.concatenate(shares), batches.indices(3))


@pytest.fixture(scope="module")
def word_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Hugging Face tokenizer of the corpus's words, in a folder."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        transformers: Any = pytest.importorskip("transformers", reason="it comes with dev")
    tokenizers: Any = importlib.import_module("tokenizers")
    known = {word: number for number, word in enumerate(["<end>", "<unknown>", ".", *WORDS])}
    model = tokenizers.models.WordLevel(known, unk_token="<unknown>")
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>")
    folder = tmp_path_factory.mktemp("tokenizer")
    fast.save_pretrained(folder)
    return folder


def test_a_hugging_face_tokenizer_gives_its_ids(
    data: TokenData, word_tokenizer: Path, tmp_path: Path
) -> None:
    texts = data.folder.parent / "texts"
    other = make_token_data([texts], tmp_path, held_out=0.1, tokenizer=str(word_tokenizer))
    assert (other.vocabulary_size, other.separator) == (3 + len(WORDS), 0)
    # 80 words, a full stop and the separator.
    assert other.held_out.tokens == 82 * other.held_out.documents
    assert other.held_out.text_bytes == data.held_out.text_bytes
    words = next(iter(sorted(texts.iterdir()))).read_text().rstrip(".\n").split()
    ids = np.concatenate([*other.shards("train"), *other.shards("held-out")]).reshape(-1, 82)
    assert [3 + WORDS.index(word) for word in words] in ids[:, :80].tolist()
    with pytest.raises(InputError, match=r"tokenizer: no such tokenizer: found .*absent"):
        make_token_data([texts], tmp_path, tokenizer=str(tmp_path / "absent"))


def test_a_second_epoch_has_the_same_sequences_in_another_order(data: TokenData) -> None:
    batches = TrainingBatches(data, context=512, sequences=1, seed=0)
    count = batches.available
    first, second = (
        [int(batches.indices(step)[0]) for step in range(epoch * count, (epoch + 1) * count)]
        for epoch in (0, 1)
    )
    assert sorted(first) == sorted(second) == list(range(count))
    assert first != second


def test_evaluation_predicts_every_held_out_token_once(data: TokenData) -> None:
    batches = HeldOutBatches(data, context=50, sequences=3)
    targets = np.concatenate([batches.batch(index)[1].ravel() for index in range(batches.count)])
    predicted = targets[targets != IGNORED]
    np.testing.assert_array_equal(predicted, np.concatenate(data.shards("held-out"))[1:])
    assert HeldOutBatches(data, context=50, sequences=3, limit=77).targets == 77


def test_a_corpus_smaller_than_the_run_is_refused_unless_repeated(data: TokenData) -> None:
    batches = TrainingBatches(data, context=32, sequences=8, seed=0)
    steps = batches.available // 8 + 1
    with pytest.raises(InputError, match="the corpus is smaller than the run: found"):
        batches.check(steps, repeat=False)
    batches.check(steps, repeat=True)
    batches.check(steps - 1, repeat=False)
    with pytest.raises(InputError, match="no whole sequence"):
        TrainingBatches(data, context=10**6, sequences=1, seed=0).check(1, repeat=True)


def test_a_corpus_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "nothing.txt").write_text("")
    (tmp_path / "one.txt").write_text("a single document")
    pl.DataFrame({"body": ["a"], "n": [1]}).write_parquet(tmp_path / "a.parquet")
    (tmp_path / "b.parquet").write_text("not this")
    target = tmp_path / "tokens"
    for source, message in (
        ("empty", "the train part is empty"),
        ("one.txt", "the (train|held-out) part is empty: found 1 documents; expected more text"),
        ("absent", "absent: no such file"),
        ("a.parquet", "no such column of text: found text; expected one of body"),
        ("b.parquet", "not a Parquet file"),
    ):
        with pytest.raises(InputError, match=message):
            make_token_data([tmp_path / source], target)
        assert not (target / "tokens.json").exists()
    with pytest.raises(InputError, match=r"files ending in \.csv"):
        make_token_data([tmp_path / "empty"], target, suffixes=[".csv"])
    with pytest.raises(InputError, match="held_out: not a share: found 1; expected between 0"):
        make_token_data([tmp_path], target, held_out=1.0)


def test_folders_are_passed_over_by_name(tmp_path: Path) -> None:
    sources = tmp_path / "sources"
    for folder in ("library", "site-packages/library", "site-packages-of-mine"):
        (sources / folder).mkdir(parents=True)
        for number in range(30):
            (sources / folder / f"{number}.py").write_text(f"{folder} {number}\n")
    data = make_token_data([sources], tmp_path / "tokens", held_out=0.2, excluded=["site-packages"])
    assert data.train.documents + data.held_out.documents == 60
    inside = make_token_data(
        [sources / "site-packages"], tmp_path / "other", held_out=0.2, excluded=["site-packages"]
    )
    assert inside.train.documents + inside.held_out.documents == 30


def test_shards_that_do_not_match_their_description_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no token shards"):
        read_token_data(tmp_path)
    data = write_corpus(tmp_path, documents=40)
    shard = data.folder / data.train.files[0]
    description = json.loads((data.folder / "tokens.json").read_text())
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-2])
    with pytest.raises(InputError, match=r"the train shards have another size than tokens\.json"):
        read_token_data(data.folder)
    shard.unlink()
    with pytest.raises(InputError, match=r"a shard is missing: expected train-00000\.bin"):
        read_token_data(data.folder)
    for document, message in (
        (description | {"dtype": "int8"}, "unknown dtype: found int8; expected uint16 or uint32"),
        ({"train": {}}, "not a description of token shards"),
        (
            description | {"train": {"files": [], "tokens": 0, "text_bytes": 0, "documents": 0}},
            "the train part is empty",
        ),
    ):
        (data.folder / "tokens.json").write_text(json.dumps(document))
        with pytest.raises(InputError, match=message):
            read_token_data(data.folder)


def test_a_corpus_is_made_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(50):
        (tmp_path / f"{number}.py").write_text(f"print({number})\n")
    arguments = [str(tmp_path), "-o", str(tmp_path / "tokens"), "--held-out", "0.2"]
    assert main([*arguments, "--suffix", ".py"]) == 0
    assert "tokens to train on" in capsys.readouterr().out
    assert main([*arguments, "--suffix", ".txt"]) == 2
    assert "no text" in capsys.readouterr().err
