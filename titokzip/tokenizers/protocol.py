"""What a tokenizer offers to the codec and what it accepts: TiTok and FlexTok."""

from typing import Protocol, Self, runtime_checkable

import torch
from torch import Tensor


class Tokenizer(Protocol):
    """Square tiles to short rows of integers, and back in two steps.

    The steps are apart because tiles are decoded one by one, and their features then side by side:
    convolutions that reach over the border of a tile see what is there.
    """

    size: int  # S, the side of a tile in pixels
    length: int  # L, tokens per tile
    vocabulary: int  # K, values of a token
    prefix_decodable: bool  # any prefix of the tokens decodes
    halo: int  # positions of its neighbours' features that `decode_pixels` needs around a tile

    def encode(self, pixels: Tensor) -> Tensor:
        """Tokenize pixels [B, 3, S, S] in 0..1; int32 [B, L] in 0..K-1."""
        ...

    def decode_features(self, tokens: Tensor) -> Tensor:
        """Decode tokens [B, k] to features [B, C, h, h], each tile by itself.

        Tokens may lie on the CPU, where their range is checked, or on the model's device.
        """
        ...

    def decode_pixels(self, features: Tensor) -> Tensor:
        """Decode features [B, C, h, w] of tiles side by side to pixels float32 [B, 3, H, W]."""
        ...

    def set_decoder_dtype(self, dtype: torch.dtype) -> Self:
        """Convert all that comes after the tokens, in place; tokens stay the same."""
        ...


@runtime_checkable
class Sampler(Protocol):
    """What FlexTok has besides: it decodes in steps, which the tokens guide."""

    steps: int
    guidance: float


def check_pixels(pixels: Tensor, size: int) -> None:
    """Refuse pixels that are not [B, 3, size, size].

    Raises:
        ValueError: they are not.
    """
    if pixels.shape[1:] != (3, size, size):
        raise ValueError(f"pixels must be [B, 3, {size}, {size}], not {list(pixels.shape)}")


def check_tokens(tokens: Tensor, tokenizer: Tokenizer) -> None:
    """Refuse tokens that are not [B, k] with a k that the tokenizer decodes, or not in 0..K-1.

    The range is checked on the CPU only. On a GPU it would stall the stream, and the tokens of a
    file come from the CPU.

    Raises:
        ValueError: they are not.
    """
    most = tokenizer.length
    least = 1 if tokenizer.prefix_decodable else most
    if tokens.ndim != 2 or not least <= tokens.shape[1] <= most:
        wanted = f"{least}..{most}" if least < most else most
        raise ValueError(f"tokens must be [B, {wanted}], not {list(tokens.shape)}")
    if tokens.device.type == "cpu" and tokens.numel():
        low, high = tokens.aminmax()
        if low < 0 or high >= tokenizer.vocabulary:
            raise ValueError(f"tokens must be in 0..{tokenizer.vocabulary - 1}")
