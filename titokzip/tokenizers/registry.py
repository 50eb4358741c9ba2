"""The families of released tokenizers: how their configurations and checkpoints are read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from titokzip.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

    from titokzip.tokenizers.protocol import Tokenizer


@dataclass(frozen=True)
class Family:
    """What the zoo needs to know of a tokenizer family."""

    # (architecture of the release, config.json or None) to the architecture to build.
    check_config: Callable[[Any, Mapping[str, Any] | None], Any]
    from_state_dict: "Callable[[Any, Mapping[str, Tensor]], Tokenizer]"
    # The tensors that define what tokens mean: files name them by a fingerprint.
    codebook_tensors: tuple[str, ...]


def family(name: str) -> Family:
    """Find a tokenizer family; imports torch.

    Raises:
        ModelError: there is none of that name.
    """
    if name == "titok":
        from titokzip.tokenizers.titok import checkpoint as titok
        from titokzip.tokenizers.titok import config as titok_config

        return Family(titok_config.check_config, titok.from_state_dict, titok.CODEBOOK_TENSORS)
    if name == "flextok":
        from titokzip.tokenizers.flextok import checkpoint as flextok
        from titokzip.tokenizers.flextok import config as flextok_config

        return Family(
            flextok_config.check_config, flextok.from_state_dict, flextok.CODEBOOK_TENSORS
        )
    raise ModelError(f"tokenizers of family {name!r} are newer than this titokzip")
