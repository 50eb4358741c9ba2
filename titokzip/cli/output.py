"""What commands print: data on standard output, words on standard error.

Names of files and models may hold anything, escape codes included. Whatever is printed passes
`shown` first.
"""

import errno
import json
import sys
import unicodedata
from typing import Any, Final

import click

from titokzip.errors import (
    OutputExists,
    OutputIsInput,
    PixelLimitError,
    Transparent,
    Truncated,
    is_out_of_memory,
)

# The library's errors name no option; these do. The first that fits is told.
_HINTS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (OutputIsInput, "-o names another output"),
    (OutputExists, "-f overwrites it"),
    (Transparent, "--background white (or any colour) flattens it"),
    (Truncated, "--allow-partial decodes them"),
    (PixelLimitError, "--max-pixels raises it"),
)
_HIDDEN: Final = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # Unicode's categories of what is no glyph
_JOINERS: Final = "\u200c\u200d"  # in names of many languages, and in emoji


def shown(text: str) -> str:
    """Escape what a terminal would act upon, and bytes of a name that are not UTF-8."""
    if text.isprintable():
        return text
    return "".join(_escaped(character) for character in text)


def _escaped(character: str) -> str:
    if unicodedata.category(character) not in _HIDDEN or character in _JOINERS:
        return character
    number = ord(character)
    if 0xDC80 <= number <= 0xDCFF:  # a byte, as os.fsdecode has it
        return f"\\x{number - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def say(line: str) -> None:
    """Print a line of data.

    Raises:
        OSError: standard output is closed.
    """
    _write(shown(line))


def say_json(value: Any) -> None:
    """Print data as JSON, in ASCII; bytes of names that are not UTF-8 are escaped as by `shown`."""
    _write(json.dumps(_valid(value), indent=2))


def _write(text: str) -> None:
    if sys.stdout is None:
        raise OSError(errno.EBADF, "standard output is closed")
    click.echo(text)


def tell(line: str) -> None:
    """Print a line of words."""
    click.echo(shown(line), err=True)


def complain(line: str) -> None:
    """Print what went wrong."""
    tell(f"titokzip: {line}")


def message(error: BaseException, name: str | None = None) -> str:
    """Put an error in one line, with the option that helps; `name` is what the line begins with."""
    if isinstance(error, OSError) and error.strerror:
        where = "" if error.filename in (None, name) else f"{error.filename}: "
        unasked = isinstance(error, IsADirectoryError) and error.filename is None
        return where + error.strerror + "; -r goes through it" * unasked
    if is_out_of_memory(error):
        device = not isinstance(error, MemoryError) or "device" in str(error)
        return "out of memory" + " on the device; a smaller --batch-size takes less" * device
    text = str(error) or type(error).__name__
    hint = next((hint for kind, hint in _HINTS if isinstance(error, kind)), "")
    option = hint.partition(" ")[0]
    return text if not hint or (option.startswith("--") and option in text) else f"{text}; {hint}"


def _valid(value: Any) -> Any:
    """Escape lone surrogates, which JSON's other readers refuse."""
    if isinstance(value, dict):
        return {key: _valid(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_valid(one) for one in value]
    if isinstance(value, str) and not value.isprintable():
        return "".join(
            _escaped(character) if "\ud800" <= character <= "\udfff" else character
            for character in value
        )
    return value
