"""A VQGAN of MaskGIT's kind, whose codes TiTok's first stage predicts.

The authors use MaskGIT's released one; this trains one of any size with the same losses as a
one-stage TiTok, for data of one's own and for tests.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from titokzip.tokenizers.titok.config import TiTokConfig
from titokzip.tokenizers.titok.vqgan_encoder import VQGAN, released_name
from titokzip.training import sheets
from titokzip.training.data.loader import Batch
from titokzip.training.export import state_of, write
from titokzip.training.initialization import initialize_codebook, load_weights
from titokzip.training.losses.adversarial import Adversary
from titokzip.training.losses.perceptual import PerceptualLoss, from_files
from titokzip.training.losses.quantization import Clustering, quantize
from titokzip.training.measures import code_usage, psnr
from titokzip.training.recipe import Recipe, RecipeError
from titokzip.training.tasks.task import Judge, Outcome, Task, scaled
from titokzip.training.tasks.titok import PixelLosses


class VQGANTask(Task):
    """A VQGAN and its losses."""

    module: VQGAN

    def __init__(
        self, model: VQGAN, size: int, losses: PixelLosses, perceptual: PerceptualLoss | None
    ) -> None:
        super().__init__()
        self.module, self.losses, self._size = model, losses, size
        self.perceptual = perceptual
        self.clustering = Clustering(model.quantizer)
        adversary = Adversary(losses.adversarial) if losses.adversarial.weight else None
        object.__setattr__(self, "adversary", adversary)

    @property
    def size(self) -> int:
        """S, the side of the images that it learns from."""
        return self._size

    def forward(self, batch: Batch, step: int, judge: Judge | None = None) -> Outcome:
        """Compute the loss of images."""
        images = scaled(batch["image"])
        cells = self.module.encoder(images)
        latents = cells.flatten(2).transpose(1, 2)
        found = quantize(self.module.quantizer, latents, self.losses.quantization.commitment)
        if torch.is_grad_enabled():
            self.clustering.see(latents, found.tokens)
        decoded = self.module.decoder(found.codes.transpose(1, 2).reshape(cells.shape)).float()
        loss = self.losses.reconstruction * F.mse_loss(decoded, images)
        terms = {"reconstruction": loss.detach()}
        loss = loss + self.losses.quantization.weight * (found.commitment + found.codebook)
        if self.perceptual is not None:
            loss = loss + self.losses.perceptual.weight * self.perceptual(images, decoded)
        if judge is not None:
            loss = loss - self.losses.adversarial.weight * judge(decoded).mean()
        return Outcome(loss, terms, (images, decoded.detach()))

    def before_step(self) -> None:
        """Move the codes that are rarely used."""
        self.clustering.before_step()

    def extra_state(self) -> dict[str, Tensor]:
        """Gather how often codes were used."""
        return self.clustering.state_dict()

    def restore_extra(self, state: dict[str, Tensor]) -> None:
        """Go on from what `extra_state` gathered."""
        self.clustering.load_state_dict(state)

    def released_name(self, name: str) -> str:
        """Give the released name of a parameter."""
        return released_name(name)

    @torch.no_grad()
    def evaluate(self, samples: Batch) -> dict[str, float]:
        """Measure PSNR in dB, and how many codes are used."""
        images = scaled(samples["image"])
        tokens = self.module.encode(images)
        decoded = self.module.decode(tokens, self._rows)
        return code_usage(tokens, len(self.module.quantizer.codebook)) | {
            "psnr": psnr(decoded, images)
        }

    @torch.no_grad()
    def contact_sheet(self, samples: Batch) -> Image.Image:
        """Show images above what their codes decode to."""
        images = scaled(samples["image"])[: sheets.MOST]
        return sheets.of_rows([images, self.module.decode(self.module.encode(images), self._rows)])

    def export(self, folder: Path, name: str) -> list[Path]:
        """Write its state dict in the layout of MaskGIT-VQGAN's checkpoint."""
        shape = {"model": {"vqgan": vars(self.module.config)}}
        return write(folder / name, shape, state_of(self.module, released_name))

    @property
    def _rows(self) -> int:
        return self._size // self.module.config.scale


def vqgan(recipe: Recipe, seed: int) -> VQGANTask:
    """Make the task of a recipe: its model is the TiTok that the VQGAN is for.

    Raises:
        RecipeError: that TiTok has no VQGAN.
    """
    config = recipe.model
    assert isinstance(config, TiTokConfig), "the recipe's model is a TiTok"
    if config.vqgan is None:
        raise RecipeError("this TiTok predicts RGB directly; it has no VQGAN")
    model = VQGAN(config.vqgan)
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.bias is not None:
            nn.init.zeros_(module.bias)
    initialize_codebook(model.quantizer.codebook)
    if recipe.files.init:
        load_weights(model, Path(recipe.files.init), released_name)
    perceptual = from_files(recipe.losses.perceptual, recipe.files)
    return VQGANTask(model, config.size, recipe.losses, perceptual)
