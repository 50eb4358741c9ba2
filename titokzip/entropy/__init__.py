"""Entropy coding of tokens: fixed-width packing, and a range coder with a context model."""

from titokzip.entropy.packed import Tokens, pack, packed_lengths, unpack

__all__ = ["Tokens", "pack", "packed_lengths", "unpack"]
