"""Compilation of networks, for bulk work."""

from torch import nn

from titokzip.tokenizers.protocol import Tokenizer


def compile_tokenizer(tokenizer: Tokenizer) -> None:
    """Compile the networks of a tokenizer in place; the first batch then takes a minute or more."""
    assert isinstance(tokenizer, nn.Module), "tokenizers that load are modules"
    for part in tokenizer.children():
        part.compile()
