"""TiTok: a picture as a short row of tokens (Yu et al. 2024, arXiv:2406.07550).

A ViT reads the patches of a square picture together with L latents, and keeps only the latents.
Each is snapped to the nearest of K codes. A second ViT reads the codes with a blank in the place
of every patch, and keeps only the patches, which a small convolutional end turns into pixels.

    pixels [B, 3, S, S] ─ encode ─▶ tokens [B, L] ─ decode ─▶ features ─ paint ─▶ pixels

B pictures, S the side of a tile, P = (S / patch)² patches, L tokens, K codes of C numbers,
D width.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

from titokzip.errors import ModelError
from titokzip.models.layers import BASE, LARGE, SMALL, PatchHead, Quantizer, ViT, ViTConfig, table
from titokzip.models.vqgan import MASKGIT, CodebookHead, VQGANConfig, VQGANDecoder


@dataclass(frozen=True)
class TiTokConfig:
    """One architecture; the defaults are those of the paper's two-stage models."""

    encoder: ViTConfig
    decoder: ViTConfig
    length: int  # L
    codebook: int = 4096  # K
    channels: int = 12  # C
    size: int = 256  # S
    patch: int = 16
    normalized: bool = True  # codes are compared on the unit sphere
    scrambled: bool = True  # the reshape in `Encoder.forward` that some weights expect
    vqgan: VQGANConfig | None = MASKGIT  # None: the decoder predicts RGB itself
    nested: bool = False  # trained so that every prefix of the tokens can be decoded

    def __post_init__(self) -> None:
        if self.size % self.patch:
            raise ValueError(f"a side of {self.size} is not whole patches of {self.patch}")
        if self.vqgan is not None and self.vqgan.scale != self.patch:
            raise ValueError(f"the VQGAN paints {self.vqgan.scale} pixels a patch of {self.patch}")

    @property
    def grid(self) -> int:
        """How many patches a tile is wide."""
        return self.size // self.patch


class Encoder(nn.Module):
    """Pixels to latents."""

    def __init__(self, config: TiTokConfig) -> None:
        super().__init__()
        width = config.encoder.width
        self.scrambled = config.scrambled
        self.embed = nn.Conv2d(3, width, config.patch, stride=config.patch)
        self.latents = table(config.length, width)
        self.vit = ViT(config.encoder, config.grid**2, config.length)
        self.project = nn.Conv2d(width, config.channels, 1)

    def forward(self, pixels: Tensor) -> Tensor:
        """Encode pixels [B, 3, S, S] in 0..1 as latents [B, L, C]."""
        patches = self.embed(pixels).flatten(2).transpose(1, 2)  # [B, P, D]
        _, x = self.vit(patches, self.latents.expand(len(pixels), -1, -1))  # [B, L, D]
        b, length, d = x.shape
        # The first weights were trained with [L, D] read as if it were [D, L]: each of their
        # tokens mixes pieces of all latents.
        x = x.reshape(b, d, length) if self.scrambled else x.transpose(1, 2)
        latents: Tensor = self.project(x.unsqueeze(-1)).squeeze(-1).transpose(1, 2)
        return latents


class Decoder(nn.Module):
    """Codes to features."""

    def __init__(self, config: TiTokConfig) -> None:
        super().__init__()
        width = config.decoder.width
        self.grid = config.grid
        self.embed = nn.Linear(config.channels, width)
        self.mask = nn.Parameter(torch.zeros(1, 1, width))
        self.vit = ViT(config.decoder, config.grid**2, config.length)
        self.head = (
            PatchHead(width, config.patch)
            if config.vqgan is None
            else CodebookHead(width, config.vqgan)
        )

    def forward(self, codes: Tensor) -> Tensor:
        """Decode codes [B, k, C] as a picture before its convolutional end."""
        blanks = self.mask.expand(len(codes), self.grid**2, -1)
        patches, _ = self.vit(blanks, self.embed(codes))  # [B, P, D]
        x = patches.transpose(1, 2).unflatten(2, (self.grid, self.grid))
        features: Tensor = self.head(x)
        return features


class TiTok(nn.Module):
    """A `Tokenizer`: tiles of S pixels square to L tokens out of K, and back.

    `halo` is how many feature cells around a tile must be painted with it to leave no seam. A cell
    of a direct model is a pixel, and 1 is exact. A cell of a VQGAN is a patch; its convolutions
    reach 14, though with random weights those past 8 move a pixel by 0.2 % of the contrast on
    average. Its group norms average over all that is painted together (see `vqgan`), so only a
    picture painted in one piece is wholly free of seams.
    """

    overlap = 0  # tiles are coded edge to edge

    def __init__(self, config: TiTokConfig) -> None:
        super().__init__()
        self.config = config
        self.size = config.size
        self.length = config.length
        self.vocabulary = config.codebook
        self.nested = config.nested
        self.halo = 1 if config.vqgan is None else 8
        self.encoder = Encoder(config)
        self.quantizer = Quantizer(config.codebook, config.channels, normalized=config.normalized)
        self.decoder = Decoder(config)
        self.painter = (
            nn.Conv2d(3, 3, 3, padding=1) if config.vqgan is None else VQGANDecoder(config.vqgan)
        )

    def encode(self, pixels: Tensor) -> Tensor:
        """Tokenize pixels [B, 3, S, S] in 0..1 as int32 [B, L] in 0..K-1.

        Raises:
            ValueError: the tiles have another shape.
        """
        if pixels.shape[1:] != (3, self.size, self.size):
            wanted = f"[B, 3, {self.size}, {self.size}]"
            raise ValueError(f"pixels must be {wanted}, not {list(pixels.shape)}")
        tokens: Tensor = self.quantizer(self.encoder(pixels))
        return tokens

    def decode(self, tokens: Tensor) -> Tensor:
        """Give the features of tokens [B, L], or of any prefix [B, k] of them if `nested`.

        They are the picture before its last convolution, [B, 3, S, S], or the cells that the
        VQGAN paints, [B, 256, S / patch, S / patch].

        Raises:
            ValueError: the tokens have another shape or are not all in 0..K-1.
        """
        least = 1 if self.nested else self.length
        if tokens.ndim != 2 or not least <= tokens.shape[1] <= self.length:
            wanted = f"[B, {least}..{self.length}]" if self.nested else f"[B, {self.length}]"
            raise ValueError(f"tokens must be {wanted}, not {list(tokens.shape)}")
        if tokens.numel() and not 0 <= int(tokens.min()) <= int(tokens.max()) < self.vocabulary:
            raise ValueError(f"tokens must be in 0..{self.vocabulary - 1}")
        features: Tensor = self.decoder(self.quantizer.lookup(tokens))
        return features

    def paint(self, features: Tensor) -> Tensor:
        """Paint features [B, C, h, w], of one tile or of many side by side, as [B, 3, H, W].

        The pixels are about 0..1 and not clamped.
        """
        pixels: Tensor = self.painter(features)
        return pixels


# Part of a name in our state dict: that part in the released ones. Applied in this order.
RELEASED_NAMES: Final = {
    "encoder.latents": "latent_tokens",
    ".vit.": ".",
    ".cls": ".class_embedding",
    ".positions": ".positional_embedding",
    ".latent_positions": ".latent_token_positional_embedding",
    ".norm_pre.": ".ln_pre.",
    ".norm_post.": ".ln_post.",
    ".blocks.": ".transformer.",
    ".norm_1.": ".ln_1.",
    ".qkv.": ".attn.in_proj_",
    ".out.": ".attn.out_proj.",
    ".norm_2.": ".ln_2.",
    ".expand.": ".mlp.c_fc.",
    ".contract.": ".mlp.c_proj.",
    "encoder.embed.": "encoder.patch_embed.",
    "encoder.project.": "encoder.conv_out.",
    "quantizer.codebook": "quantize.embedding.weight",
    "decoder.embed.": "decoder.decoder_embed.",
    "decoder.mask": "decoder.mask_token",
    "decoder.head.ffn.": "decoder.ffn.",
    "decoder.head.conv.": "decoder.ffn.0.",
    "decoder.head.codebook": "pixel_quantize.embedding.weight",
    "painter.weight": "decoder.conv_out.weight",
    "painter.bias": "decoder.conv_out.bias",
    "painter.": "pixel_decoder.",
    ".shortcut.": ".nin_shortcut.",
}
TRAINING_ONLY: Final = "quantize.embed_prob"  # how often each code was used; left in some weights

RELEASED: Final = {
    "titok_l32": TiTokConfig(LARGE, LARGE, 32),
    "titok_b64": TiTokConfig(BASE, BASE, 64),
    "titok_s128": TiTokConfig(SMALL, SMALL, 128),
    "titok_bl64_vq8k": TiTokConfig(
        BASE, LARGE, 64, 8192, 64, normalized=False, scrambled=False, vqgan=None
    ),
    "titok_bl128_vq8k": TiTokConfig(
        BASE, LARGE, 128, 8192, 64, normalized=False, scrambled=False, vqgan=None
    ),
    "titok_sl256_vq8k": TiTokConfig(
        SMALL, LARGE, 256, 8192, 64, normalized=False, scrambled=False, vqgan=None
    ),
}


def released_name(name: str) -> str:
    """Give the name that a tensor of our state dict has in released weights."""
    for ours, theirs in RELEASED_NAMES.items():
        name = name.replace(ours, theirs)
    return name


def from_state_dict(config: TiTokConfig, state: Mapping[str, Tensor]) -> TiTok:
    """Build a frozen TiTok around released weights, in float32 and without copying them.

    Raises:
        ModelError: a tensor is missing, unexpected or of another shape.
    """
    with torch.device("meta"):
        model = TiTok(config)
    wanted = {released_name(name): tensor.shape for name, tensor in model.state_dict().items()}
    given = {name: tensor.shape for name, tensor in state.items() if name != TRAINING_ONLY}
    for problem, names in {
        "lack": sorted(wanted.keys() - given.keys()),
        "have an unexpected": sorted(given.keys() - wanted.keys()),
        "have another shape of": sorted(n for n in wanted if given.get(n, wanted[n]) != wanted[n]),
    }.items():
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise ModelError(f"the weights {problem} {', '.join(names[:3])}{more}")
    model.load_state_dict(
        {name: state[released_name(name)].float() for name in model.state_dict()}, assign=True
    )
    return model.requires_grad_(False).eval()
