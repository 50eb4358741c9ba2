"""The exit codes of all commands."""

from collections.abc import Iterable
from typing import Final

from titokzip.errors import ModelError, OutputExists

OK: Final = 0  # or nothing was to be done
FAILED: Final = 1  # at least one file; the others are done
USAGE: Final = 2  # the command line makes no sense
MISSING: Final = 3  # a model, or a data set, is not here
REFUSED: Final = 4  # to overwrite or delete something
INTERRUPTED: Final = 130  # by Ctrl-C


def of(errors: Iterable[BaseException]) -> int:
    """Choose one code for everything that went wrong."""
    kinds = list(errors)
    if not kinds:
        return OK
    if all(isinstance(error, OutputExists) for error in kinds):
        return REFUSED
    if all(isinstance(error, ModelError) for error in kinds):
        return MISSING
    return FAILED
