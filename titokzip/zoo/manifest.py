"""What is known of a model without loading it."""

import re
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from titokzip.errors import ModelError

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Manifest:
    """The facts of one model on this machine."""

    name: str
    path: Path  # of the file that holds these facts
    kind: str  # the tokenizer family
    fingerprint: bytes  # whole SHA-256 of what tokens mean
    digest: bytes  # whole SHA-256 of everything
    config: dict[str, Any] = field(hash=False)
    licence: str
    weights: tuple[Path, ...]  # files of its tensors, in order
    release: str | None = None  # its name in `catalog.RELEASES`; None for models of our own
    trained_against: tuple[str, ...] | None = None  # networks in its losses; None: not known
    size_note: str = ""  # what tokens take in a file, for people: "48 per tile"

    @property
    def size(self) -> int:
        """Bytes of its weights on this machine; those that are absent count as none."""
        total = 0
        for path in self.weights:
            with suppress(OSError, ValueError):  # ValueError: no file system has such a name
                total += path.stat().st_size
        return total


def checked_name(name: str) -> str:
    """Return a name that can name a model: it is a file name, and safe to print.

    Raises:
        ModelError: it cannot.
    """
    if not _NAME.fullmatch(name):
        raise ModelError(
            f"{name!r:.80} cannot name a model: lower-case letters, digits, dots and dashes can"
        )
    return name
