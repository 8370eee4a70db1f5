"""The summary of a W&B run, from the files that W&B leaves on this machine."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from isoloss.training.run_folder import read_object
from isoloss.training.template import flat_fields

_LATEST = "latest-run"
_SUMMARY = Path("files") / "wandb-summary.json"
# A log in the manner of LevelDB: records in pieces, none of which crosses the end of a block.
_LOG_HEADER_BYTES = 7
_BLOCK_BYTES = 32_768
_PIECE = struct.Struct("<IHB")
_WHOLE, _FIRST, _LAST = 1, 2, 4


def last_summary(folder: Path) -> dict[str, Any]:
    """The summary of the latest run in a folder that W&B writes to; empty where there is none.

    A run that W&B was told to keep offline has its summary in the log of the run alone. Nested
    names are joined by dots.

    Args:
        folder: `wandb` where W&B was started, or that of one run.
    """
    run = _run_folder(folder)
    logged: dict[str, Any] = {}
    for log in sorted(run.glob("*.wandb")):
        logged |= _logged_summary(log.read_bytes())
    return logged | flat_fields(read_object(run / _SUMMARY) or {})


def _run_folder(folder: Path) -> Path:
    """The folder of the latest run, which W&B names by the time of its start and links to."""
    if (folder / _LATEST).is_dir():
        return folder / _LATEST
    runs = [path for path in folder.glob("*run-*") if path.is_dir()]
    return max(runs, key=lambda path: path.name.partition("run-")[2], default=folder)


def _logged_summary(log: bytes) -> dict[str, Any]:
    """What the updates of the summary in a log come to."""
    from wandb.proto.wandb_internal_pb2 import Record

    summary: dict[str, Any] = {}
    for document in _records(log):
        record = Record.FromString(document)
        if record.WhichOneof("record_type") != "summary":
            continue
        for change in record.summary.update:
            summary[change.key or ".".join(change.nested_key)] = json.loads(change.value_json)
        for change in record.summary.remove:
            summary.pop(change.key or ".".join(change.nested_key), None)
    return summary


def _records(log: bytes) -> Iterator[bytes]:
    """The records of a log, up to the first that is not whole, as a crash may leave one."""
    at, record = _LOG_HEADER_BYTES, b""
    while True:
        left = _BLOCK_BYTES - at % _BLOCK_BYTES
        if left < _PIECE.size:
            at += left
        piece = log[at : at + _PIECE.size]
        if len(piece) < _PIECE.size:
            return
        checksum, size, kind = _PIECE.unpack(piece)
        at += _PIECE.size
        body = log[at : at + size]
        if zlib.crc32(bytes([kind]) + body) != checksum:
            return
        at += size
        record = body if kind in (_WHOLE, _FIRST) else record + body
        if kind in (_WHOLE, _LAST):
            yield record
