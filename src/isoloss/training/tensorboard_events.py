"""The last values of the scalars in TensorBoard's event files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

_EVENT_FILES = "*tfevents*"
# TensorBoard keeps as many values of a tag as it is asked for, the last one always.
_LAST_ALONE = 1


def last_scalars(folder: Path) -> dict[str, float]:
    """The last value of each scalar tag in the event files at or below a folder.

    Of a tag that stands in several folders, the value that was written last counts. Both ways in
    which scalars are written are read: as numbers, and as tensors of no dimension.
    """
    values: dict[str, tuple[float, float]] = {}
    for place in sorted({path.parent for path in folder.rglob(_EVENT_FILES)}):
        for tag, time, value in _scalars(place):
            values[tag] = max(values.get(tag, (time, value)), (time, value), key=lambda at: at[0])
    return {tag: value for tag, (_, value) in values.items()}


def _scalars(folder: Path) -> Iterator[tuple[str, float, float]]:
    """Tag, time in seconds and value of the last scalars of one folder."""
    from tensorboard.backend.event_processing import event_accumulator
    from tensorboard.util import tensor_util

    kinds = event_accumulator.DEFAULT_SIZE_GUIDANCE
    events: Any = event_accumulator.EventAccumulator(
        str(folder), size_guidance=dict.fromkeys(kinds, _LAST_ALONE)
    )
    events.Reload()
    tags = events.Tags()
    for tag in tags[event_accumulator.SCALARS]:
        event = events.Scalars(tag)[-1]
        yield tag, event.wall_time, float(event.value)
    for tag in tags[event_accumulator.TENSORS]:
        event = events.Tensors(tag)[-1]
        value = tensor_util.make_ndarray(event.tensor_proto)
        if value.ndim == 0 and value.dtype.kind in "fiu":
            yield tag, event.wall_time, float(value)
