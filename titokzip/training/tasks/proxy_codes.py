"""TiTok's first stage: predict the codes that a MaskGIT-VQGAN gives to the patches of an image.

The decoder ends at one logit for each of the VQGAN's codes; the loss is their cross-entropy.
B images, P patches, K codes of the VQGAN.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from titokzip.tokenizers.titok.checkpoint import released_name
from titokzip.tokenizers.titok.config import TiTokConfig
from titokzip.tokenizers.titok.network import TiTok
from titokzip.tokenizers.titok.vqgan import CodebookHead
from titokzip.tokenizers.titok.vqgan_encoder import VQGAN, from_state_dict
from titokzip.training import sheets
from titokzip.training.data.loader import Batch
from titokzip.training.export import export_titok
from titokzip.training.initialization import initialize_titok, load_weights, read_weights
from titokzip.training.losses.quantization import Clustering, Quantization, quantize
from titokzip.training.measures import code_usage
from titokzip.training.recipe import Recipe, RecipeError
from titokzip.training.tasks.task import Judge, Outcome, Task, frozen, scaled
from titokzip.training.tasks.titok import tail_drop


@dataclass(frozen=True)
class ProxyLosses:
    """Weights of the loss terms."""

    codes: float = 1.0  # the cross-entropy
    quantization: Quantization = field(default_factory=Quantization)


class LogitsHead(nn.Module):
    """Patches to logits over the codes of a VQGAN; named as in the head of a whole TiTok."""

    def __init__(self, head: CodebookHead) -> None:
        super().__init__()
        self.ffn = head.ffn

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, D, h, w] to [B, K, h, w]."""
        logits: Tensor = self.ffn(x)
        return logits


class StageOne(Task):
    """A TiTok without a pixel decoder, and the VQGAN that tells it what to predict."""

    module: TiTok

    def __init__(self, model: TiTok, vqgan: VQGAN, losses: ProxyLosses, seed: int = 0) -> None:
        super().__init__()
        assert isinstance(model.decoder.head, CodebookHead), "a TiTok of two stages"
        model.decoder.head = LogitsHead(model.decoder.head)  # type: ignore[assignment]
        model.pixel_decoder = nn.Identity()  # type: ignore[assignment]
        self.module, self.losses, self.seed = model, losses, seed
        self.vqgan = frozen(vqgan)
        clustering = losses.quantization.clustering
        self.clustering = Clustering(model.quantizer) if clustering else None

    def forward(self, batch: Batch, step: int, judge: Judge | None = None) -> Outcome:
        """Compute the loss of images."""
        images = scaled(batch["image"])
        wanted = self.targets(images)
        latents = self.module.encoder(images)
        quantized = quantize(self.module.quantizer, latents, self.losses.quantization.commitment)
        if self.clustering is not None and torch.is_grad_enabled():
            self.clustering.see(latents, quantized.tokens)
        codes = quantized.codes
        if self.module.prefix_decodable:
            codes = codes[:, : tail_drop(self.module.length, self.seed, step)]
        logits = self.module.decoder(codes).flatten(2)  # [B, K, P]
        entropy = F.cross_entropy(logits.float(), wanted)
        weight = self.losses.quantization.weight
        loss = self.losses.codes * entropy + weight * (quantized.commitment + quantized.codebook)
        terms = {
            "cross_entropy": entropy.detach(),
            "commitment": quantized.commitment.detach(),
            "codebook": quantized.codebook.detach(),
        }
        return Outcome(loss, terms)

    @torch.no_grad()
    def targets(self, images: Tensor) -> Tensor:
        """Give the proxy codes int64 [B, P] of images, in float32."""
        with torch.autocast(images.device.type, enabled=False):
            codes: Tensor = self.vqgan.encode(images)
        return codes

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

    def released_name(self, name: str) -> str:
        """Give the released name of a parameter."""
        return released_name(name)

    @torch.no_grad()
    def evaluate(self, samples: Batch) -> dict[str, float]:
        """Measure the cross-entropy in nats, and how many codes are used."""
        images = scaled(samples["image"])
        wanted, tokens = self.targets(images), self.module.encode(images)
        logits = self._logits(tokens)
        measured = code_usage(tokens, self.module.vocabulary)
        measured["cross_entropy"] = float(F.cross_entropy(logits.float(), wanted))
        measured["codes_right"] = float((logits.argmax(1) == wanted).double().mean())
        return measured

    @torch.no_grad()
    def contact_sheet(self, samples: Batch) -> Image.Image:
        """Show images, what the VQGAN makes of its codes, and what it makes of those predicted."""
        images, rows = scaled(samples["image"])[: sheets.MOST], self.module.config.grid
        predicted = self._logits(self.module.encode(images)).argmax(1)
        both = [self.vqgan.decode(codes, rows) for codes in (self.targets(images), predicted)]
        return sheets.of_rows([images, *both])

    def export(self, folder: Path, name: str) -> list[Path]:
        """Write config.json and model.safetensors in the official layout of stage 1."""
        return export_titok(self.module, folder / name, stage_one=True)

    def _logits(self, tokens: Tensor) -> Tensor:
        logits: Tensor = self.module.decoder(self.module.quantizer.look_up(tokens)).flatten(2)
        return logits


def stage_one(recipe: Recipe, seed: int) -> StageOne:
    """Make the task of a recipe.

    Raises:
        RecipeError: its model has no second stage, or it names no VQGAN.
        ModelError: the VQGAN's weights are of another shape.
    """
    config = recipe.model
    assert isinstance(config, TiTokConfig), "the recipe's model is a TiTok"
    if config.vqgan is None:
        raise RecipeError("stage 1 predicts the codes of a VQGAN; this model has none")
    if not recipe.files.vqgan:
        raise RecipeError("stage 1 needs a MaskGIT-VQGAN, whose codes are predicted")
    vqgan = from_state_dict(config.vqgan, read_weights(Path(recipe.files.vqgan)))
    model = TiTok(replace(config))
    initialize_titok(model)
    task = StageOne(model, vqgan, recipe.losses, seed)
    if recipe.files.init:
        load_weights(task.module, Path(recipe.files.init), released_name)
    return task
