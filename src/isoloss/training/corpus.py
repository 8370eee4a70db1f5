"""From text and Parquet files to token shards with a held-out part.

    python -m isoloss.training.corpus SOURCE ... -o FOLDER

A document is held out by a hash of its own content, so that the split does not depend on the order
of files, grows with the corpus, and puts equal documents on the same side.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from isoloss.errors import InputError, IsolossError
from isoloss.files import write_whole
from isoloss.training.shards import DESCRIPTION, ShardWriter, TokenData, describe, read_token_data
from isoloss.training.tokenizers import BYTES, find_tokenizer

TEXT_SUFFIXES = (".txt", ".md", ".rst", ".py", ".parquet")
"""Files that are read from a folder unless it is said which."""

# A file without documents inside, such as one long text, is cut so that some of it can be held out.
_DOCUMENT_BYTES = 1 << 16
_LARGEST_UINT16 = 1 << 16


def make_token_data(
    sources: Sequence[str | Path],
    folder: str | Path,
    *,
    tokenizer: str = BYTES,
    held_out: float = 0.05,
    column: str = "text",
    suffixes: Sequence[str] = TEXT_SUFFIXES,
    excluded: Sequence[str] = (),
    shard_tokens: int = 100_000_000,
) -> TokenData:
    """Write the token shards of a corpus.

    A text file is one document, cut at ends of lines where it is longer than 64 KiB; each row of a
    Parquet file is one document, cut likewise.

    Args:
        sources: files, and folders that are searched for files.
        folder: where the shards and their description go; made if absent.
        tokenizer: `bytes`, or the name or folder of a Hugging Face tokenizer.
        held_out: share of documents that is held out, about.
        column: column of the text in Parquet files.
        suffixes: endings of the files that are read from folders.
        excluded: names of folders inside the sources that are passed over.
        shard_tokens: tokens per file.

    Raises:
        InputError: a source is missing or empty, a column does not exist, the share is no share,
            the tokenizer is unknown or needs a package that is not installed, or one part would
            hold no text; then nothing is described.
    """
    if not 0 < held_out < 1:
        raise InputError(
            "not a share", where="held_out", found=f"{held_out:g}", expected="between 0 and 1"
        )
    files = list(_files(sources, suffixes, excluded))
    chosen = find_tokenizer(tokenizer)
    dtype = "uint16" if chosen.vocabulary_size <= _LARGEST_UINT16 else "uint32"
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    train, rest = (
        ShardWriter(
            target, part, dtype=dtype, separator=chosen.separator, shard_tokens=shard_tokens
        )
        for part in ("train", "held-out")
    )
    for document in _documents(files, column):
        writer = rest if _is_held_out(document, held_out) else train
        writer.add(chosen.encode(document), len(document))
    parts = train.finish(), rest.finish()
    for name, part in zip(("train", "held-out"), parts, strict=True):
        if part.text_bytes == 0:
            raise InputError(
                f"the {name} part is empty",
                where=", ".join(str(source) for source in sources),
                found=f"{parts[0].documents + parts[1].documents} documents",
                expected="more text, or another share to hold out",
            )
    description = describe(
        target,
        tokenizer=chosen.name,
        vocabulary_size=chosen.vocabulary_size,
        dtype=dtype,
        separator=chosen.separator,
        train=parts[0],
        held_out=parts[1],
    )
    write_whole(target / DESCRIPTION, json.dumps(description, indent=2) + "\n")
    return read_token_data(target)


def _files(
    sources: Iterable[str | Path], suffixes: Sequence[str], excluded: Sequence[str]
) -> Iterator[Path]:
    for source in sources:
        path = Path(source)
        if path.is_dir():
            found = sorted(
                file
                for file in path.rglob("*")
                if file.suffix in suffixes
                and file.is_file()
                and not set(excluded).intersection(file.relative_to(path).parts[:-1])
            )
            if not found:
                raise InputError(
                    "no text", where=str(source), expected="files ending in " + ", ".join(suffixes)
                )
            yield from found
        elif path.is_file():
            yield path
        else:
            raise InputError("no such file", where=str(source))


def _documents(files: Iterable[Path], column: str) -> Iterator[bytes]:
    for file in files:
        whole = _rows(file, column) if file.suffix == ".parquet" else [file.read_bytes()]
        for document in whole:
            yield from _pieces(document)


def _rows(path: Path, column: str) -> Iterator[bytes]:
    import polars as pl

    try:
        table = pl.scan_parquet(path)
        columns = table.collect_schema()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputError(
            "not a Parquet file", where=str(path), found=str(error).splitlines()[0]
        ) from None
    if columns.get(column) != pl.String:
        texts = [name for name, kind in columns.items() if kind == pl.String]
        raise InputError(
            "no such column of text",
            where=str(path),
            found=column,
            expected="one of " + ", ".join(texts) if texts else "a column of text",
        )
    rows = table.select(pl.len()).collect().item()
    for start in range(0, rows, 10_000):
        for text in table.select(column).slice(start, 10_000).collect()[column].drop_nulls():
            yield text.encode()


def _pieces(document: bytes) -> Iterator[bytes]:
    """The document, cut after an end of line where it is too long; nothing if it is empty."""
    while len(document) > _DOCUMENT_BYTES:
        end = document.rfind(b"\n", 0, _DOCUMENT_BYTES) + 1 or _DOCUMENT_BYTES
        yield document[:end]
        document = document[end:]
    if document:
        yield document


def _is_held_out(document: bytes, share: float) -> bool:
    number = int.from_bytes(hashlib.sha256(document).digest()[:8], "big")
    return number < share * 2.0**64


def main(arguments: Sequence[str] | None = None) -> int:
    """Make token shards from the command line; the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m isoloss.training.corpus", description="Make token shards from text."
    )
    parser.add_argument("sources", nargs="+", help="text or Parquet files, or folders of them")
    parser.add_argument("-o", dest="folder", required=True, help="folder for the shards")
    parser.add_argument("--tokenizer", default=BYTES, help="bytes, or a Hugging Face tokenizer")
    parser.add_argument("--held-out", type=float, default=0.05, help="share that is held out")
    parser.add_argument("--column", default="text", help="column of the text in Parquet files")
    parser.add_argument(
        "--suffix", action="append", help="endings of files to read from folders, as .py"
    )
    parser.add_argument(
        "--exclude", action="append", default=[], help="names of folders to pass over"
    )
    given = parser.parse_args(arguments)
    try:
        data = make_token_data(
            given.sources,
            given.folder,
            tokenizer=given.tokenizer,
            held_out=given.held_out,
            column=given.column,
            suffixes=given.suffix or TEXT_SUFFIXES,
            excluded=given.exclude,
        )
    except IsolossError as error:
        print(error, file=sys.stderr)
        return 2
    print(
        f"{given.folder}: {data.train.tokens:,} tokens to train on, {data.held_out.tokens:,} held "
        f"out, {data.vocabulary_size:,} ids, sha256 {data.sha256[:12]}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
