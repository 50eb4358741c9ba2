"""What a model must offer to be a codec; TiTok, FlexTok and our own model satisfy it."""

from typing import Protocol, Self, runtime_checkable

import torch
from torch import Tensor


class Tokenizer(Protocol):
    """Square tiles to short rows of integers, and back in two steps."""

    size: int  # S, the side of a tile in pixels
    length: int  # L, tokens a tile
    vocabulary: int  # K, values a token can have
    prefix_decodable: bool  # any prefix of the tokens decodes
    overlap: int  # pixels on either side of a border that tiling's lapped filter mixes
    halo: int  # cells of its neighbours' features that `decode_pixels` wants around a tile

    def encode(self, pixels: Tensor) -> Tensor:
        """Tokenize pixels [B, 3, S, S] in 0..1; int32 [B, L]."""
        ...

    def decode_features(self, tokens: Tensor) -> Tensor:
        """Turn tokens [B, k] into features [B, C, h, h], each tile by itself."""
        ...

    def decode_pixels(self, features: Tensor) -> Tensor:
        """Turn features [B, C, h, w] of tiles laid side by side into pixels [B, 3, H, W]."""
        ...

    def set_decoder_dtype(self, dtype: torch.dtype) -> Self:
        """Convert all that comes after the tokens, in place; tokens are the same as ever."""
        ...


@runtime_checkable
class Sampler(Protocol):
    """What FlexTok has besides: it paints by steps that the tokens guide."""

    steps: int
    guidance: float
