"""TiTok: an image as a short row of tokens (Yu et al. 2024, arXiv:2406.07550).

A ViT encodes the patches of a square image together with L learned latent tokens, and keeps only
those. Each is quantized to the nearest of K codes. A second ViT decodes the codes with a mask token
in the place of every patch, and keeps only the patches. A small convolutional decoder turns those
into pixels.

    pixels [B, 3, S, S] ─ encode ─▶ tokens [B, L] ─ decode_features ─▶ features [B, C', h, h]
    features [B, C', h, w] ─ decode_pixels ─▶ pixels [B, 3, H, W]

B images, S side of a tile, P = (S / patch)² patches, L tokens, K codes of C numbers, D width.
"""

from typing import Self

import torch
from torch import Tensor, nn

from titokzip.tokenizers.layers import ViT, embeddings
from titokzip.tokenizers.protocol import check_pixels, check_tokens
from titokzip.tokenizers.titok.config import TextConfig, TiTokConfig
from titokzip.tokenizers.titok.quantizer import Quantizer
from titokzip.tokenizers.titok.vqgan import CodebookHead, VQGANDecoder


class Encoder(nn.Module):
    """Pixels to latents."""

    def __init__(self, config: TiTokConfig) -> None:
        super().__init__()
        width = config.encoder.width
        self.is_legacy = config.is_legacy
        self.embed = nn.Conv2d(3, width, config.patch, stride=config.patch)
        self.latents = embeddings(config.length, width)
        self.vit = ViT(config.encoder, config.grid**2, config.length)
        self.project = nn.Conv2d(width, config.channels, 1)

    def forward(self, pixels: Tensor) -> Tensor:
        """Encode pixels [B, 3, S, S] in 0..1 as latents [B, L, C]."""
        patches = self.embed(pixels).flatten(2).transpose(1, 2)  # [B, P, D]
        latents = self.latents.expand(len(pixels), -1, -1)
        x = self.vit.attend(patches, latents, rows=slice(1 + patches.shape[1], None))  # [B, L, D]
        b, length, d = x.shape
        # The first weights were trained with [L, D] read as if it were [D, L]: each of their
        # latents mixes pieces of all positions.
        x = x.reshape(b, d, length) if self.is_legacy else x.transpose(1, 2)
        projected: Tensor = self.project(x.unsqueeze(-1)).squeeze(-1).transpose(1, 2)
        return projected


class Decoder(nn.Module):
    """Codes to features."""

    def __init__(self, config: TiTokConfig) -> None:
        super().__init__()
        width = config.decoder.width
        self.grid = config.grid
        self.embed = nn.Linear(config.channels, width)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, width))
        self.vit = ViT(config.decoder, config.grid**2, config.length)
        self.text = TextGuide(config.text, width) if config.text is not None else None
        self.head = (
            PatchHead(width, config.patch)
            if config.vqgan is None
            else CodebookHead(width, config.vqgan)
        )

    def forward(self, codes: Tensor, text: Tensor | None = None) -> Tensor:
        """Decode codes [B, k, C] and text [B, m, channels] to features [B, C', h, h]."""
        b, p = len(codes), self.grid**2
        masks = self.mask_token.expand(b, p, -1)
        latents = self.embed(codes.to(masks.dtype))
        guide = None if self.text is None else self.text(text).expand(b, -1, -1)
        patches = self.vit.attend(masks, latents, guide, rows=slice(1, 1 + p))  # [B, P, D]
        x = patches.transpose(1, 2).reshape(b, -1, self.grid, self.grid)
        features: Tensor = self.head(x)
        return features


class TextGuide(nn.Module):
    """Features of a text to positions that a ViT can attend to."""

    def __init__(self, config: TextConfig, width: int) -> None:
        super().__init__()
        self.project = nn.Linear(config.channels, width)
        self.positions = embeddings(config.positions, width)

    def forward(self, text: Tensor | None) -> Tensor:
        """Map text [B, m, channels] to [B, m, D]; None is features of zero, [1, m, D]."""
        if text is None:
            text = self.positions.new_zeros(1, len(self.positions), self.project.in_features)
        embedded: Tensor = self.project(text.to(self.positions.dtype)) + self.positions
        return embedded


class PatchHead(nn.Module):
    """Patches to their pixels."""

    def __init__(self, width: int, patch: int) -> None:
        super().__init__()
        self.patch = patch
        self.conv = nn.Conv2d(width, 3 * patch**2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, D, h, w] to [B, 3, patch * h, patch * w]."""
        x = self.conv(x)
        b, _, h, w = x.shape
        x = x.view(b, self.patch, self.patch, 3, h, w)  # row, column, colour: not pixel_shuffle's
        return x.permute(0, 3, 4, 1, 5, 2).reshape(b, 3, h * self.patch, w * self.patch)


class TiTok(nn.Module):
    """A `Tokenizer`: tiles of S pixels square to L tokens out of K, and back.

    `halo` is how many feature positions around a tile must be decoded with it to leave no seam. In
    a direct model a position is a pixel, and 1 is exact. In a VQGAN it is a patch. Its convolutions
    reach 14 of them; with random weights those past 8 move a pixel by 0.2 % of the contrast on
    average. Its group norms average over all that is decoded together (see `vqgan`), so only an
    image decoded in one piece is wholly free of seams.
    """

    def __init__(self, config: TiTokConfig) -> None:
        super().__init__()
        self.config = config
        self.size = config.size
        self.length = config.length
        self.vocabulary = config.codebook
        self.prefix_decodable = config.prefix_decodable
        self.halo = 1 if config.vqgan is None else 8
        self.encoder = Encoder(config)
        self.quantizer = Quantizer(config.codebook, config.channels, normalized=config.normalized)
        self.decoder = Decoder(config)
        self.pixel_decoder = (
            nn.Conv2d(3, 3, 3, padding=1) if config.vqgan is None else VQGANDecoder(config.vqgan)
        )

    def encode(self, pixels: Tensor) -> Tensor:
        """Tokenize pixels [B, 3, S, S] in 0..1 as int32 [B, L] in 0..K-1.

        Raises:
            ValueError: the tiles have another shape.
        """
        check_pixels(pixels, self.size)
        tokens: Tensor = self.quantizer(self.encoder(pixels))
        return tokens

    def decode_features(self, tokens: Tensor, text: Tensor | None = None) -> Tensor:
        """Decode tokens [B, L], or a prefix [B, k] if `prefix_decodable`, to features.

        They are the image before its last convolution, [B, 3, S, S], or what the VQGAN decodes,
        [B, 256, S / patch, S / patch].

        A TA-TiTok (Kim et al. 2025, arXiv:2501.07730) also reads a text: [B, 77, 768], what
        CLIP ViT-L/14-336's text transformer makes of every position of a caption, its last norm
        included. Files hold no text. Without one, the features are zero: the positions are there
        and carry nothing. These models never saw that in training. Its cost is unknown, because
        there were no weights to measure it with.

        Raises:
            ValueError: the tokens or the text have another shape, tokens on the CPU are not all in
                0..K-1, or this model reads no text.
        """
        check_tokens(tokens, self)
        if text is not None:
            _check_text(text, len(tokens), self.config.text)
        codes = self.quantizer.look_up(tokens.to(self.decoder.mask_token.device))
        features: Tensor = self.decoder(codes, text)
        return features

    def decode_pixels(self, features: Tensor) -> Tensor:
        """Decode features [B, C', h, w], of one tile or of many side by side, to [B, 3, H, W].

        The pixels are about 0..1 and not clamped.
        """
        pixels: Tensor = self.pixel_decoder(features)
        return pixels.float()

    def set_decoder_dtype(self, dtype: torch.dtype) -> Self:
        """Convert all that comes after the tokens, in place; tokens stay the same.

        In bfloat16 it takes half the memory and, where the processor has instructions for it,
        half the time. `decode_pixels` returns float32 in either case.
        """
        self.decoder.to(dtype)
        self.pixel_decoder.to(dtype)
        return self


def _check_text(text: Tensor, count: int, config: TextConfig | None) -> None:
    if config is None:
        raise ValueError("this model reads no text")
    wanted = [count, config.positions, config.channels]
    if list(text.shape) != wanted:
        raise ValueError(f"text must be {wanted}, not {list(text.shape)}")
