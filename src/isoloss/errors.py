"""What can go wrong, said so that the reader knows what to do next."""

from __future__ import annotations


class IsolossError(Exception):
    """Base of every error that Isoloss raises on purpose; its text is one line."""


class InputError(IsolossError):
    """Something the user gave cannot be used.

    The message reads `where: what: found X; expected Y`, with the parts that apply.

    Args:
        what: what is wrong, in a few words.
        where: the file, column, row, option or name that holds it.
        found: the offending value.
        expected: what would be right, or the next step.
    """

    def __init__(self, what: str, *, where: str = "", found: str = "", expected: str = "") -> None:
        self.what, self.where, self.found, self.expected = what, where, found, expected
        clauses = [f"found {found}"] if found else []
        clauses += [f"expected {expected}"] if expected else []
        text = ": ".join(part for part in (where, what) if part)
        message = f"{text}: {'; '.join(clauses)}" if clauses else text
        super().__init__(" ".join(message.split()))


class FitError(IsolossError):
    """A law could not be fitted to a table, or the fit cannot be trusted with the question."""


class MissingExtraError(IsolossError):
    """An optional dependency is not installed.

    Args:
        purpose: what needs it, for example "figures".
        package: the package that is missing.
        extra: the extra of Isoloss that installs it.
    """

    def __init__(self, purpose: str, *, package: str, extra: str) -> None:
        super().__init__(
            f"{purpose} need {package}: install it with pip install 'isoloss[{extra}]'"
        )
