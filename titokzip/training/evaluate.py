"""How good a model is on photos held out: PSNR by number of tokens, and a sheet to look at."""

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from titokzip.tokenizers.embedded.network import Spectral
from titokzip.tokenizers.protocol import Tokenizer

LENGTHS = (4, 8, 16, 32, 64, 128, 256)


@torch.no_grad()
def evaluate(model: Tokenizer, tiles: Tensor, device: torch.device) -> dict[int, float]:
    """Average PSNR in dB over tiles [B, 3, S, S] in 0..1, rounded to 8 bits, by tokens kept."""
    errors: dict[int, list[Tensor]] = {k: [] for k in LENGTHS if k <= model.length}
    for batch in torch.split(tiles.to(device), 16):
        tokens = model.encode(batch)
        for count in errors:
            painted = rounded(model.decode_pixels(model.decode_features(tokens[:, :count])))
            errors[count].append((painted - batch).square().mean(dim=(1, 2, 3)))
    return {
        count: round(float(-10 * torch.cat(squared).log10().mean()), 3)
        for count, squared in errors.items()
    }


@torch.no_grad()
def sheet(model: Spectral, tiles: Tensor, device: torch.device) -> Image.Image:
    """Lay out tiles [B, 3, S, S] in a row, and below them what fewer and fewer tokens give."""
    tiles = tiles.to(device)
    tokens = model.encode(tiles)
    lengths = [k for k in (256, 128, 64, 32, 16) if k <= model.length]
    rows = [tiles, *(rounded(model.decode_features(tokens[:, :count])) for count in lengths)]
    picture = torch.cat([torch.cat(list(row), dim=2) for row in rows], dim=1)
    pixels = (picture * 255).round().byte().permute(1, 2, 0).cpu().numpy()
    return Image.fromarray(np.ascontiguousarray(pixels))


def rounded(pixels: Tensor) -> Tensor:
    """Clamp and round pixels as a picture file would."""
    return (pixels.float().clamp(0, 1) * 255).round() / 255
