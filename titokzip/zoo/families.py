"""All families of models: tokenizers, and generators over their tokens."""

from titokzip.generation.config import GENERATOR_FAMILIES
from titokzip.tokenizers import registry
from titokzip.tokenizers.registry import Family


def family(name: str) -> Family:
    """Find a family; imports torch.

    Raises:
        ModelError: there is none of that name.
    """
    if name not in GENERATOR_FAMILIES:
        return registry.family(name)
    from titokzip.generation import checkpoint

    return checkpoint.FAMILIES[name]  # type: ignore[return-value]
