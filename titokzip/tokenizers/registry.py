"""The families of released tokenizers; each is a folder that reads its own configs and weights."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from titokzip.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

    from titokzip.tokenizers.protocol import Tokenizer


class Family(Protocol):
    """What the `checkpoint` module of a family offers to the zoo."""

    def check_config(self, wanted: Any, config: Mapping[str, Any] | None, /) -> Any:
        """Complete or confirm the architecture of a release with its config.json, if it has one."""
        ...

    def from_state_dict(self, config: Any, state: "Mapping[str, Tensor]", /) -> "Tokenizer":
        """Build the tokenizer of an architecture around released weights."""
        ...

    def codebook(self, state: "Mapping[str, Tensor]", /) -> "dict[str, Tensor]":
        """Pick the tensors that define what tokens mean: files name them by a fingerprint."""
        ...


def family(name: str) -> Family:
    """Find a tokenizer family; imports torch.

    Raises:
        ModelError: there is none of that name.
    """
    if name == "titok":
        from titokzip.tokenizers.titok import checkpoint as titok

        return titok
    if name == "flextok":
        from titokzip.tokenizers.flextok import checkpoint as flextok

        return flextok
    raise ModelError(f"tokenizers of family {name!r} are newer than this titokzip")
