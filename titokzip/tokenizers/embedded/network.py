"""Our embedded tokenizer: a TiTok whose ViTs stand on a linear code and learn what it can't do.

The best linear code of natural pictures is their low frequencies, so token order and meaning
are fixed before any training: coefficients of a lapped transform, each in balanced ternary,
the digits of all coefficients sorted by how much they repair per bit, nine digits a token.
ViTs that start at zero repaint the tile, one after the inverse transform and, in models that have
an encoder, one before the transform.

    pixels [B, 3, S, S] → repainted → coefficients [B, J] → integers [B, J] → tokens [B, k]
    tokens [B, k] → integers [B, J] → coefficients → blurred pixels → repainted [B, 3, S, S]

A balanced ternary prefix is the centre of its bin, so any prefix of the tokens decodes, and
the integers are exact: nothing but rounding stands between a picture and its tokens.

B pictures, S side, P patches, D width, J coefficients, L tokens, T = 9 digits a token.
"""

import math
from dataclasses import dataclass, field
from typing import Self

import torch
from torch import Tensor, nn

from titokzip.tokenizers.config import ViTConfig
from titokzip.tokenizers.embedded.pixel_head import PixelEnd
from titokzip.tokenizers.layers import ViT

DIGITS_PER_TOKEN = 9  # 3^9 = 19,683 values: 15 bits when packed
EDGE = 1.08  # times what is painted on outermost pixels: painters stop short, and borders show
PLANES = 6  # digits of the most detailed coefficient: integers within (3^6 - 1) / 2


@dataclass(frozen=True)
class SpectralConfig:
    """The shape of one embedded model; the weights file carries it as JSON."""

    encoder: ViTConfig | None = None  # None: the linear code reads the tile as it is
    decoder: ViTConfig = field(default_factory=lambda: ViTConfig(width=256, depth=6, heads=4))
    size: int = 256  # S, the side of a tile in pixels
    patch: int = 16
    length: int = 256  # L, tokens a tile
    overlap: int = 16  # pixels on either side of a border that the lapped filter mixes
    frequencies: int = 80  # rows of the transform that are kept, lowest first
    coefficients: int = 1024  # J, coefficients that own at least one digit
    head: int = 96  # channels of the pixel end, at an eighth of the resolution
    texture: int = 0  # channels of its convolutions at half the resolution; 0: it has none

    @property
    def patches(self) -> int:
        """P, patches of a tile."""
        return (self.size // self.patch) ** 2


class Repainter(nn.Module):
    """A ViT that reads a picture and paints what to add to it; at first nothing."""

    def __init__(self, config: SpectralConfig, vit: ViTConfig, stops: int) -> None:
        super().__init__()
        self.patch, self.stops = config.patch, stops
        self.embed = nn.Linear(3 * config.patch**2, vit.width)
        self.vit = ViT(vit, config.patches, min(stops, 1))
        # A row for every power of two: how many tokens the picture was decoded from.
        self.prefix = nn.Parameter(torch.zeros(stops, vit.width))

    def forward(self, pixels: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Read pixels [B, 3, S, S] made from `lengths` [B] tokens; features [B, P, D]."""
        pixels = pixels.to(self.embed.weight.dtype)
        patches = self.embed(nn.functional.pixel_unshuffle(pixels, self.patch).flatten(2).mT)
        if lengths is None:
            known = patches.new_zeros(len(patches), 0, patches.shape[2])
        else:
            known = self._between_stops(lengths)[:, None].to(patches.dtype)
        features: Tensor = self.vit(patches, known)[0]
        return features

    def _between_stops(self, lengths: Tensor) -> Tensor:
        """Interpolate the rows of `prefix` at log2 of the lengths [B]; [B, D]."""
        at = lengths.float().clamp(min=1).log2().clamp(max=self.stops - 1)
        low = at.floor().long()
        return torch.lerp(
            self.prefix[low],
            self.prefix[(low + 1).clamp(max=self.stops - 1)],
            (at - low)[:, None].to(self.prefix.dtype),
        )


class Spectral(nn.Module):
    """The embedded tokenizer; any prefix of its tokens decodes."""

    prefix_decodable = True
    halo = 0  # tiles are painted alone: the lapped filter takes care of their borders
    vocabulary = 3**DIGITS_PER_TOKEN

    # What the linear code is made of: measured once on photos, then frozen with the tokens.
    basis: Tensor  # [F, S] waves that are measured along one side of a tile
    dual: Tensor  # [F, S] waves that it is put together from, of unit length
    colour: Tensor  # [3, 3] orthonormal rotation of RGB, luminance first
    mean: Tensor  # [J] of the coefficients, in steps
    step: Tensor  # [] the finest quantisation step, in pixel units times S
    gain: Tensor  # [L * T] steps a unit of a coefficient is worth when this is its last digit
    places: Tensor  # [J, 3] colour, row and column of each coefficient
    coefficient: Tensor  # [L * T] whose digit it is
    plane: Tensor  # [L * T] its weight is 3^plane

    def __init__(self, config: SpectralConfig) -> None:
        super().__init__()
        self.config = config
        self.size, self.length, self.overlap = config.size, config.length, config.overlap
        digits = config.length * DIGITS_PER_TOKEN
        self.register_buffer("basis", torch.zeros(config.frequencies, config.size))
        self.register_buffer("dual", torch.zeros(config.frequencies, config.size))
        self.register_buffer("colour", torch.zeros(3, 3))  # eye on meta costs a second
        self.register_buffer("mean", torch.zeros(config.coefficients))
        self.register_buffer("step", torch.ones(()))
        self.register_buffer("gain", torch.ones(digits))
        self.register_buffer("places", torch.zeros(config.coefficients, 3, dtype=torch.int32))
        self.register_buffer("coefficient", torch.zeros(digits, dtype=torch.int32))
        self.register_buffer("plane", torch.zeros(digits, dtype=torch.int32))
        self.painter = Repainter(config, config.decoder, stops=1 + int(math.log2(config.length)))
        width, cells = config.decoder.width, config.size // config.patch
        self.painter_end = PixelEnd(width, cells, config.patch, config.head, config.texture)
        self.reader: Repainter | None = None
        zeroed: list[nn.Module] = [self.painter_end.paint]
        if self.painter_end.texture is not None:
            zeroed.append(self.painter_end.texture.paint)
        if config.encoder is not None:
            self.reader = Repainter(config, config.encoder, stops=0)
            self.reader_end = nn.Linear(config.encoder.width, 3 * config.patch**2)
            zeroed.append(self.reader_end)
        for parameter in (parameter for last in zeroed for parameter in last.parameters()):
            nn.init.zeros_(parameter)

    # Pixels to tokens

    def encode(self, pixels: Tensor) -> Tensor:
        """Tokenize pixels [B, 3, S, S], 0..1 but for the lapped filter; int32 [B, L]."""
        if pixels.shape[1:] != (3, self.size, self.size):
            raise ValueError(f"tiles are [B, 3, {self.size}, {self.size}], not {[*pixels.shape]}")
        return self.to_tokens(self.quantize(self.read(pixels)))

    def read(self, pixels: Tensor) -> Tensor:
        """Repaint pixels [B, 3, S, S] for the linear code; coefficients [B, J] in steps."""
        if self.reader is None:
            return self.analyse(pixels)
        added = self.reader_end(self.reader(pixels)).mT.unflatten(2, (-1, self._cells))
        repainted = pixels + nn.functional.pixel_shuffle(added, self.config.patch)
        return self.analyse(repainted)

    def analyse(self, pixels: Tensor) -> Tensor:
        """Transform pixels [B, 3, S, S] into coefficients [B, J] in steps, means taken off."""
        with torch.autocast(pixels.device.type, enabled=False):
            rotated = torch.einsum("kc,bcyx->bkyx", self.colour, pixels.float())
            spectrum = self.basis @ rotated @ self.basis.mT  # [B, 3, F, F]
        colour, row, column = self.places.long().unbind(1)
        return spectrum[:, colour, row, column] / self.step - self.mean

    def quantize(self, coefficients: Tensor) -> Tensor:
        """Round coefficients [B, J] to the integers that their digits can write; int32."""
        digits = torch.zeros_like(self.mean, dtype=torch.int32)
        digits = digits.scatter_reduce(0, self.coefficient.long(), self.plane + 1, "amax")
        limit = (3**digits - 1) // 2
        return coefficients.round().int().clamp(-limit, limit)

    def to_tokens(self, integers: Tensor) -> Tensor:
        """Write integers [B, J] in balanced ternary, nine digits a token; int32 [B, L]."""
        value, weight = integers[:, self.coefficient.long()], 3**self.plane

        def prefix(weight: Tensor) -> Tensor:  # the centre of the bin, in units of its weight
            return torch.div(value + weight // 2, weight, rounding_mode="floor")

        digits = prefix(weight) - 3 * prefix(3 * weight)  # -1, 0 or 1
        rows = (digits + 1).view(len(digits), -1, DIGITS_PER_TOKEN)
        return (rows * self._powers).sum(2).int()

    # Tokens to pixels

    def decode_features(self, tokens: Tensor) -> Tensor:
        """Paint the first k tokens [B, k] of each tile; pixels [B, 3, S, S], about 0..1."""
        count = tokens.shape[1]
        if count > self.length:
            raise ValueError(f"{count} tokens a tile; this model has {self.length}")
        tokens = tokens.to(self.mean.device)
        integers = self.to_integers(tokens)
        lengths = torch.full((len(tokens),), count, device=tokens.device)
        blurred = self.synthesise(integers * self.gains(count))
        added = self.repaint(blurred, lengths) - blurred
        for outermost in (0, -1):
            added[..., outermost, :] *= EDGE
            added[..., outermost] *= EDGE
        return blurred + added

    def decode_pixels(self, features: Tensor) -> Tensor:
        """Return the pixels that `decode` has already painted."""
        return features

    def set_decoder_dtype(self, dtype: torch.dtype) -> Self:
        """Convert the painter, in place; the linear code stays as it is, and so do tokens.

        Pixels come in float32 whatever it is.
        """
        self.painter.to(dtype)
        self.painter_end.to(dtype)
        return self

    def to_integers(self, tokens: Tensor) -> Tensor:
        """Read tokens [B, k] as integers [B, J], absent digits as zero; undoes `to_tokens`."""
        digits = torch.div(tokens[:, :, None], self._powers, rounding_mode="floor") % 3 - 1
        digits = digits.flatten(1).int()  # [B, k * T]
        known = digits.shape[1]
        owner = self.coefficient[:known].long().expand(len(tokens), -1)
        integers = digits.new_zeros(len(tokens), len(self.mean))
        return integers.scatter_add(1, owner, digits * 3 ** self.plane[:known])

    def gains(self, count: int) -> Tensor:
        """Steps a unit of each coefficient is worth after `count` tokens; [J], 0 if unknown."""
        known = count * DIGITS_PER_TOKEN
        last = torch.full_like(self.mean, -1, dtype=torch.int64)
        order = torch.arange(known, device=last.device)
        last = last.scatter_reduce(0, self.coefficient[:known].long(), order, "amax")
        return torch.where(last < 0, 0.0, self.gain[last.clamp(min=0)])

    def synthesise(self, coefficients: Tensor) -> Tensor:
        """Transform coefficients [B, J] back to pixels [B, 3, S, S]; undoes `analyse`."""
        frequencies = self.basis.shape[0]
        spectrum = coefficients.new_zeros(len(coefficients), 3, frequencies, frequencies)
        colour, row, column = self.places.long().unbind(1)
        spectrum[:, colour, row, column] = (coefficients + self.mean) * self.step
        with torch.autocast(spectrum.device.type, enabled=False):
            rotated = self.dual.mT @ spectrum @ self.dual
            return torch.einsum("kc,bkyx->bcyx", self.colour, rotated)

    def repaint(self, blurred: Tensor, lengths: Tensor) -> Tensor:
        """Paint over blurred pixels [B, 3, S, S], decoded from `lengths` [B] tokens."""
        painted: Tensor = self.painter_end(self.painter(blurred, lengths), blurred)
        return painted

    @property
    def _cells(self) -> int:
        return self.size // self.config.patch

    @property
    def _powers(self) -> Tensor:
        return 3 ** torch.arange(DIGITS_PER_TOKEN, device=self.mean.device)
