"""The command line: `commands` has the group of all commands, and each its own module."""

from typing import Any

__all__ = ["main"]


def __getattr__(name: str) -> Any:
    """Import the commands when they are asked for (PEP 562)."""
    if name != "main":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from titokzip.cli.commands import main

    return main
