"""Any autoencoder as FlexTok's, from a TorchScript file with `encode` and `decode`.

Its pixels [B, 3, H, W] are in 0..1, its latents [B, C, h, w] of any scale. TorchScript is a program
in a file: only files that their owner trusts should be opened.
"""

from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from titokzip import files
from titokzip.errors import ModelError
from titokzip.tokenizers.flextok.config import ScriptConfig
from titokzip.tokenizers.torchscript import read_script

FILE: Final = "autoencoder.pt"  # beside the weights of a FlexTok


class ScriptedAutoencoder(nn.Module):
    """Pixels to latent cells and back, by a TorchScript module; always in float32.

    Without a module it can do nothing, and its FlexTok can only be looked at.
    """

    dtype = torch.float32

    def __init__(self, script: nn.Module | None = None) -> None:
        super().__init__()
        self.script: Any = script

    def encode(self, pixels: Tensor) -> Tensor:
        """Give the cells [B, C, h, w] of pixels [B, 3, scale * h, scale * w] in -1..1."""
        cells: Tensor = self.script.encode(pixels.float() / 2 + 0.5)
        return cells

    def decode(self, cells: Tensor) -> Tensor:
        """Decode cells [B, C, h, w] as pixels [B, 3, scale * h, scale * w], about -1..1."""
        pixels: Tensor = self.script.decode(cells)
        return 2 * pixels - 1

    def set_decoder_dtype(self, dtype: torch.dtype) -> None:
        """Stay in float32: what others scripted may not compute in another type."""

    def compile(self, *how: Any, **more: Any) -> None:
        """Stay as it is: it is compiled already."""


def load(path: Path, device: str = "cpu") -> ScriptedAutoencoder:
    """Open the TorchScript file of an autoencoder, frozen.

    Raises:
        ModelError: it is none, or lacks encode and decode.
    """
    script = read_script(path, device)
    for method in ("encode", "decode"):
        if not hasattr(script, method):
            raise ModelError(f"{path}: has no method {method}")
    for parameter in script.parameters():
        parameter.requires_grad_(False)
    return ScriptedAutoencoder(script)


def measure(autoencoder: ScriptedAutoencoder, path: Path, side: int) -> ScriptConfig:
    """Find the shape of an autoencoder's latents, by images of `side` pixels.

    Raises:
        ModelError: it takes no such images, or its latents are no grid.
    """
    try:
        with torch.no_grad():
            cells = autoencoder.encode(torch.zeros(1, 3, side, side))
            pixels = autoencoder.decode(cells)
    except RuntimeError as error:
        raise ModelError(f"{path}: takes no images of {side} x {side} pixels") from error
    if cells.ndim != 4 or side % cells.shape[2] or pixels.shape != (1, 3, side, side):
        raise ModelError(f"{path}: makes {list(cells.shape)} and {list(pixels.shape)} of an image")
    return ScriptConfig(cells.shape[1], side // cells.shape[2], files.sha256(path).hex())


def of_folder(config: ScriptConfig, folder: Path, device: str = "cpu") -> ScriptedAutoencoder:
    """Open the autoencoder beside the weights of a FlexTok.

    Raises:
        ModelError: it is missing or another one.
    """
    path = folder / FILE
    if not path.is_file():
        raise ModelError(f"{path}: the autoencoder beside the weights is missing")
    if files.sha256(path).hex() != config.sha256:
        raise ModelError(f"{path}: damaged, or another autoencoder than it was trained with")
    return load(path, device)
