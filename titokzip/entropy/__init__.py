"""Entropy coding of tokens: fixed-width packing, and a range coder with a context model."""

from titokzip.entropy.context_model import ContextModel
from titokzip.entropy.packed import Counts, Tokens, pack, unpack
from titokzip.entropy.range_coder import range_decode, range_encode

__all__ = ["ContextModel", "Counts", "Tokens", "pack", "range_decode", "range_encode", "unpack"]
