"""Where a trainer leaves its result, and how it is read."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from isoloss.errors import InputError, MissingExtraError
from isoloss.runs.naming import closest, one_of
from isoloss.training.run_folder import (
    OUTPUT,
    RESULT,
    is_finite_number,
    last_object,
    read_object,
    tail,
)
from isoloss.training.template import check_template, fill_template

STDOUT = "stdout"
_FILE = "file"
# Where trackers write unless they are told otherwise; W&B is told to write into the run's folder.
_TRACKERS = {"wandb": "{folder}/wandb", "tensorboard": "{folder}"}
_TRACKER_NAMES = {"wandb": "W&B", "tensorboard": "TensorBoard"}


class RunFailedError(Exception):
    """A run ended without a result that can be used; the text says why."""


@dataclass(frozen=True)
class ResultRule:
    """How the result of a run is read.

    Attributes:
        source: "stdout" for the last line of the output that is a JSON object with the loss;
            "wandb" for the summary of the run in W&B's files, "tensorboard" for the last values of
            the scalars in TensorBoard's, either with a colon and a folder if they do not lie in
            the run's; otherwise a file: one JSON object, or JSON lines, of which the last that has
            the loss counts. A name without a folder lies in the run's, and may hold fields.
        loss: the name under which the loss stands there.
    """

    source: str = RESULT
    loss: str = "loss"

    def check(self, fields: Collection[str], *, where: str) -> None:
        """Refuse a file name with fields that a run does not have.

        Raises:
            InputError: it has, or is no file name.
        """
        kind, place = self._kind_and_place()
        known = [STDOUT, *_TRACKERS]
        if kind == _FILE and "." not in place and closest(place, known):
            raise InputError(
                "no such place of results",
                where=where,
                found=repr(place),
                expected=one_of(known, place) + ", or a file such as 'result.json'",
            )
        check_template(place, fields, where=where)
        if len(fill_template(place, dict.fromkeys((*fields, "folder", "python"), 0))) != 1:
            raise InputError(
                "not one file",
                where=where,
                found=repr(self.source),
                expected='"stdout", "wandb", "tensorboard", or the name of a file, in quotes if '
                "it has blanks",
            )

    def check_reader(self) -> None:
        """Refuse a tracker whose files cannot be read here, before anything runs.

        Raises:
            MissingExtraError: its package is not installed.
        """
        kind, _ = self._kind_and_place()
        if kind not in _TRACKERS:
            return
        try:
            # A folder named wandb, as W&B makes it, would pass for an importable package.
            distribution(kind)
        except PackageNotFoundError:
            purpose = f"results in {_TRACKER_NAMES[kind]}'s files"
            raise MissingExtraError(purpose, package=kind, extra=kind) from None

    def environment(self, folder: str) -> dict[str, str]:
        """Variables for the trainer, so that its result comes to stand where it is looked for."""
        return {"WANDB_DIR": folder} if self.source == "wandb" else {}

    def read(self, folder: Path, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The result of a run that has ended, its loss under `loss`.

        Args:
            folder: the run's.
            fields: of the run, for the file name.

        Raises:
            RunFailedError: there is none, or its loss is no finite number.
            MissingExtraError: it is in the files of a tracker whose package is not installed.
        """
        kind, place = self._kind_and_place()
        if kind == STDOUT:
            path, name = folder / OUTPUT, "the output"
        else:
            (name,) = fill_template(place, fields)
            # An absolute path stays what it is.
            path = folder / name
        if kind in _TRACKERS:
            found, name = self._tracked(kind, path), f"the files of {_TRACKER_NAMES[kind]}"
            expected = f"a run in {place}"
        else:
            said = tail(path)
            found = read_object(path) or last_object(said, self.loss) or last_object(said) or {}
            expected = "a JSON object that has it"
        if self.loss not in found:
            expected = one_of(list(found), self.loss) if found else expected
            raise RunFailedError(f"no {self.loss} in {name}: expected {expected}")
        loss = found[self.loss]
        if not is_finite_number(loss):
            raise RunFailedError(f"the loss is {_shown(loss)}")
        return {**found, "loss": float(loss)}

    def _kind_and_place(self) -> tuple[str, str]:
        """What is to be read, and the template of the file or folder where it is."""
        kind, _, place = self.source.partition(":")
        if kind in _TRACKERS:
            return kind, place or _TRACKERS[kind]
        return (STDOUT, STDOUT) if self.source == STDOUT else (_FILE, self.source)

    def _tracked(self, kind: str, folder: Path) -> Mapping[str, Any]:
        self.check_reader()
        if kind == "tensorboard":
            from isoloss.training.tensorboard_events import last_scalars

            return last_scalars(folder)
        from isoloss.training.wandb_files import last_summary

        # What W&B itself notes begins so.
        summary = last_summary(folder).items()
        return {name: value for name, value in summary if not name.startswith("_")}


def _shown(loss: Any) -> str:
    return "NaN" if isinstance(loss, float) and loss != loss else repr(loss)
