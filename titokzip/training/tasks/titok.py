"""TiTok from pixels to pixels: in one stage, or as the second of two.

One stage trains everything: squared error, perceptual and adversarial losses, and the quantizer's
(Kim et al. 2025, arXiv:2501.07730). The second of two stages keeps encoder and codebook as they
are and trains the decoders (Yu et al. 2024, arXiv:2406.07550). One-D-Piece's tail token drop cuts
the tokens of a batch to a random number (Miwa et al. 2025, arXiv:2501.10064).
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from titokzip.generation.randomness import combine
from titokzip.tokenizers.titok.checkpoint import released_name
from titokzip.tokenizers.titok.config import TiTokConfig
from titokzip.tokenizers.titok.network import TiTok
from titokzip.training import sheets
from titokzip.training.data.loader import Batch
from titokzip.training.export import export_titok
from titokzip.training.initialization import initialize_titok, load_stage_one, load_weights
from titokzip.training.losses.adversarial import Adversarial, Adversary
from titokzip.training.losses.perceptual import Perceptual, PerceptualLoss, from_files
from titokzip.training.losses.quantization import Clustering, Quantization, Quantized, quantize
from titokzip.training.measures import code_usage, psnr
from titokzip.training.recipe import Recipe, RecipeError
from titokzip.training.tasks.task import Judge, Outcome, Task, scaled

_DROP = 1  # what the length of a batch is drawn for


@dataclass(frozen=True)
class PixelLosses:
    """Weights of the loss terms in RGB."""

    reconstruction: float = 1.0
    squared: bool = True  # the error; else absolute
    perceptual: Perceptual = field(default_factory=Perceptual)
    adversarial: Adversarial = field(default_factory=Adversarial)
    quantization: Quantization = field(default_factory=Quantization)
    bfloat16: bool = False  # let the networks that measure compute in bfloat16 too


class PixelTask(Task):
    """What both kinds have in common: the losses in RGB."""

    module: TiTok

    def __init__(
        self,
        model: TiTok,
        losses: PixelLosses,
        perceptual: PerceptualLoss | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.module, self.losses, self.seed = model, losses, seed
        self.perceptual = perceptual
        self.measures_in_bfloat16 = losses.bfloat16
        adversary = Adversary(losses.adversarial) if losses.adversarial.weight else None
        object.__setattr__(self, "adversary", adversary)  # no submodule: it is stepped by itself

    def forward(self, batch: Batch, step: int, judge: Judge | None = None) -> Outcome:
        """Compute the loss of images."""
        images = scaled(batch["image"])
        decoded, quantized = self.reconstruct(images, batch.get("text"), step)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.losses.bfloat16):
            loss, terms = self._pixel_loss(images, decoded.float(), judge)
        if quantized is not None:
            weight = self.losses.quantization.weight
            loss = loss + weight * (quantized.commitment + quantized.codebook)
            terms["commitment"] = quantized.commitment.detach()
            terms["codebook"] = quantized.codebook.detach()
        return Outcome(loss, terms, (images, decoded.detach()))

    def reconstruct(
        self, images: Tensor, text: Tensor | None, step: int
    ) -> tuple[Tensor, Quantized | None]:
        """Encode images [B, 3, S, S] in 0..1 and decode them; the quantizer's doing comes along."""
        raise NotImplementedError

    def decode(self, codes: Tensor, text: Tensor | None, step: int) -> Tensor:
        """Decode codes [B, L, C] as pixels [B, 3, S, S], after tail token drop where it applies."""
        if self.module.prefix_decodable:
            codes = codes[:, : tail_drop(self.module.length, self.seed, step)]
        decoded: Tensor = self.module.pixel_decoder(self.module.decoder(codes, text))
        return decoded

    def released_name(self, name: str) -> str:
        """Give the released name of a parameter."""
        return released_name(name)

    @torch.no_grad()
    def evaluate(self, samples: Batch) -> dict[str, float]:
        """Measure PSNR in dB on images rounded to 8 bits, and how many codes are used."""
        images = scaled(samples["image"])
        tokens = self.module.encode(images)
        measured = code_usage(tokens, self.module.vocabulary)
        for count in self._lengths():
            features = self.module.decode_features(tokens[:, :count])
            name = "psnr" if count == self.module.length else f"psnr_{count}"
            measured[name] = psnr(self.module.decode_pixels(features), images)
        return measured

    @torch.no_grad()
    def contact_sheet(self, samples: Batch) -> Image.Image:
        """Show images above what their tokens, and prefixes of them, decode to."""
        images = scaled(samples["image"])
        tokens = self.module.encode(images)
        rows = [images]
        for count in self._lengths():
            features = self.module.decode_features(tokens[:, :count])
            rows.append(self.module.decode_pixels(features))
        return sheets.of_rows(rows)

    def export(self, folder: Path, name: str) -> list[Path]:
        """Write config.json and model.safetensors in the official layout."""
        return export_titok(self.module, folder / name)

    def _pixel_loss(
        self, images: Tensor, decoded: Tensor, judge: Judge | None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        error = F.mse_loss if self.losses.squared else F.l1_loss
        loss = self.losses.reconstruction * error(decoded, images)
        terms = {"reconstruction": loss.detach()}
        if self.perceptual is not None:
            seen = self.losses.perceptual.weight * self.perceptual(images, decoded)
            loss, terms["perceptual"] = loss + seen, seen.detach()
        if judge is not None:
            fooled = -self.losses.adversarial.weight * judge(decoded).float().mean()
            loss, terms["adversarial"] = loss + fooled, fooled.detach()
        return loss, terms

    def _lengths(self) -> list[int]:
        length = self.module.length
        if not self.module.prefix_decodable:
            return [length]
        return [length, *(k for k in (64, 16, 4, 1) if k < length)]


class OneStage(PixelTask):
    """Everything is trained at once."""

    def __init__(
        self,
        model: TiTok,
        losses: PixelLosses,
        perceptual: PerceptualLoss | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(model, losses, perceptual, seed)
        clustering = Clustering(model.quantizer) if losses.quantization.clustering else None
        self.clustering = clustering

    def reconstruct(
        self, images: Tensor, text: Tensor | None, step: int
    ) -> tuple[Tensor, Quantized | None]:
        """Encode, quantize straight through, and decode."""
        latents = self.module.encoder(images)
        quantized = quantize(self.module.quantizer, latents, self.losses.quantization.commitment)
        if self.clustering is not None and torch.is_grad_enabled():
            self.clustering.see(latents, quantized.tokens)
        return self.decode(quantized.codes, text, step), quantized

    def before_step(self) -> None:
        """Move the codes that are rarely used."""
        if self.clustering is not None:
            self.clustering.before_step()

    def extra_state(self) -> dict[str, Any]:
        """Gather how often codes were used."""
        return {} if self.clustering is None else self.clustering.state_dict()

    def restore_extra(self, state: dict[str, Any]) -> None:
        """Go on from what `extra_state` gathered."""
        if self.clustering is not None:
            self.clustering.load_state_dict(state)


class StageTwo(PixelTask):
    """Encoder, latents and codebook are frozen; the decoders learn RGB."""

    def __init__(
        self,
        model: TiTok,
        losses: PixelLosses,
        perceptual: PerceptualLoss | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(model, losses, perceptual, seed)
        model.encoder.requires_grad_(False)
        model.quantizer.requires_grad_(False)

    def reconstruct(
        self, images: Tensor, text: Tensor | None, step: int
    ) -> tuple[Tensor, Quantized | None]:
        """Tokenize as ever, and decode."""
        with torch.no_grad():
            tokens = self.module.quantizer(self.module.encoder(images))
            codes = self.module.quantizer.look_up(tokens)
        return self.decode(codes, text, step), None


def tail_drop(length: int, seed: int, step: int) -> int:
    """Draw how many tokens a batch keeps, uniformly in 1..length; all processes draw alike."""
    return 1 + combine(seed, step, _DROP) % length


def one_stage(recipe: Recipe, seed: int) -> OneStage:
    """Make the task of a recipe, from random weights or from those it names."""
    model = TiTok(_config(recipe))
    initialize_titok(model)
    if recipe.files.init:
        load_weights(model, Path(recipe.files.init), released_name)
    perceptual = from_files(recipe.losses.perceptual, recipe.files)
    return OneStage(model, recipe.losses, perceptual, seed)


def stage_two(recipe: Recipe, seed: int) -> StageTwo:
    """Make the task of a recipe from the weights of stage 1 and a MaskGIT-VQGAN.

    Raises:
        RecipeError: it does not name them.
    """
    config = _config(recipe)
    if config.vqgan is None:
        raise RecipeError("stage 2 trains a model with a pixel decoder; this one has none")
    if not recipe.files.init or not recipe.files.vqgan:
        raise RecipeError("stage 2 starts from weights of stage 1 and from a MaskGIT-VQGAN")
    model = TiTok(config)
    load_stage_one(model, Path(recipe.files.init), Path(recipe.files.vqgan))
    perceptual = from_files(recipe.losses.perceptual, recipe.files)
    return StageTwo(model, recipe.losses, perceptual, seed)


def _config(recipe: Recipe) -> Any:
    assert isinstance(recipe.model, TiTokConfig), "the recipe's model is a TiTok"
    return recipe.model
