"""Tokenizers without weights: what the codec can be tested with, fast and exactly."""

import torch
import torch.nn.functional as F

from titokzip.codec import Codec
from titokzip.layouts.tiles import Tiled

LEVELS = 63  # K; the middle one stands for no slope


class Toy:
    """Four tokens a tile of 16 pixels: its mean colour, then how bright its right side is."""

    size, length, vocabulary = 16, 4, LEVELS
    prefix_decodable, halo = True, 0

    def __init__(self):
        self.batches = []  # tiles of each call of `encode`

    def encode(self, pixels):
        self.batches.append(len(pixels))
        pixels = pixels.double()
        left, right = (half.mean(dim=(1, 2, 3)) for half in pixels.chunk(2, dim=3))
        values = torch.cat([pixels.mean(dim=(2, 3)), ((right - left) / 2 + 0.5)[:, None]], dim=1)
        return (values * (LEVELS - 1)).round().clamp(0, LEVELS - 1).int()

    def decode_features(self, tokens):
        values = torch.full((len(tokens), 4), 0.5)
        values[:, : tokens.shape[1]] = tokens / (LEVELS - 1)
        slope = (torch.arange(self.size) + 0.5) / self.size * 4 - 2
        tiles = values[:, :3, None, None] + (values[:, 3:, None, None] - 0.5) * slope
        return tiles.expand(-1, -1, self.size, -1)

    def decode_pixels(self, features):
        return features


class Rigid(Toy):
    """The same, but all four tokens are needed."""

    prefix_decodable = False

    def decode_features(self, tokens):
        assert tokens.shape[1] == self.length
        return super().decode_features(tokens)


class Reaching(Toy):
    """Sixteen cells a tile, made by `halo` convolutions of three by three, in whole numbers."""

    def __init__(self, halo=1):
        super().__init__()
        self.halo = halo
        whole = torch.Generator().manual_seed(halo)
        self.mix = torch.randint(-1, 2, (4, 4, 3, 3), generator=whole).float()
        self.last = torch.randint(-2, 3, (48, 4, 3, 3), generator=whole).float()

    def decode_features(self, tokens):
        known = F.pad(tokens.float(), (0, 4 - tokens.shape[1]))
        cells = torch.arange(16.0).view(4, 4)
        return known[:, :, None, None] + cells

    def decode_pixels(self, features):
        for _ in range(self.halo - 1):
            features = F.conv2d(features, self.mix, padding=1)
        decoded = F.conv2d(features, self.last, padding=1)
        return F.pixel_shuffle(decoded, 4) / 2**14 + 0.5


def codec(tokenizer=None, batch=16):
    """Make a codec of a toy."""
    fingerprint = b"toy!" + bytes(28)
    return Codec("toy", fingerprint, Tiled(fingerprint[:4], tokenizer or Toy(), "cpu", batch))
