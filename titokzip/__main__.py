"""The program `titokzip`, and `python -m titokzip`.

It sees to what must hold before the first command is imported: Ctrl-C ends it in silence, streams
that are closed stay apart from files, and names that cannot be encoded are shown all the same.
"""

import os
import sys

from titokzip.cli.interrupts import leave_at_once


def main() -> None:
    """Run the command line, as a program of its own."""
    leave_at_once()
    _occupy_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    from titokzip.cli.commands import main as commands

    commands()


def _occupy_closed_streams() -> None:
    """Keep the numbers of closed streams from files, into which messages would go otherwise."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


if __name__ == "__main__":
    main()
