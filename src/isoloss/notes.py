"""Warnings as data: what a user should know about a result that is otherwise good."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Severity(StrEnum):
    """How much a note matters: information, or a reason to doubt the result."""

    INFO = "info"
    WARNING = "warning"


@dataclass(frozen=True)
class Note:
    """One remark about a result.

    Attributes:
        code: short stable name of the kind of remark, for programs.
        message: one sentence for people, with the next step where there is one.
        severity: information or warning.
        details: the numbers behind the sentence, as plain JSON values.
    """

    code: str
    message: str
    severity: Severity = Severity.INFO
    details: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The note as one JSON object."""
        return {
            "code": self.code,
            "severity": self.severity.value,
            "message": self.message,
            "details": dict(self.details),
        }
