"""The command line: one module a verb."""

from isoloss.cli.main import main

__all__ = ["main"]
