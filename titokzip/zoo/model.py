"""What is known of a model without loading it, and what loading gives."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from titokzip.prior import Prior

if TYPE_CHECKING:
    from titokzip.models.tokenizer import Tokenizer


@dataclass(frozen=True)
class Card:
    """What a model says about itself."""

    name: str
    path: Path  # of the file that says it
    kind: str  # which code reads it
    fingerprint: bytes  # whole SHA-256 of what the tokens mean
    digest: bytes  # whole SHA-256 of everything
    config: dict[str, Any] = field(hash=False)
    licence: str
    vocabulary: int  # K, values of a token
    weights: tuple[Path, ...]  # where its tensors are, in order
    release: str | None = None  # which of `catalog`, if it is not one of our own

    @property
    def tokens(self) -> int:
        """L, tokens a tile."""
        return int(self.config["length"])

    @property
    def size(self) -> int:
        """Bytes of its weights that are here."""
        return sum(path.stat().st_size for path in self.weights if path.exists())


@dataclass(frozen=True)
class Model:
    """A tokenizer with the tables that code its tokens."""

    fingerprint: bytes
    tokenizer: "Tokenizer"
    prior: Prior | None = None  # without one, tokens are packed
