"""What is known of a model without loading it, and what loading gives."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from titokzip.entropy import ContextModel

if TYPE_CHECKING:
    from titokzip.tokenizers.protocol import Tokenizer


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
    vocabulary: int  # K, values of a token
    weights: tuple[Path, ...]  # files of its tensors, in order
    release: str | None = None  # its name in `catalog.RELEASES`; None for models of our own

    @property
    def tokens(self) -> int:
        """L, tokens per tile."""
        return int(self.config["length"])

    @property
    def size(self) -> int:
        """Bytes of its weights on this machine."""
        return sum(path.stat().st_size for path in self.weights if path.exists())


@dataclass(frozen=True)
class Model:
    """A tokenizer with the context model that codes its tokens."""

    fingerprint: bytes
    tokenizer: "Tokenizer"
    context_model: ContextModel | None = None  # without one, tokens are packed
