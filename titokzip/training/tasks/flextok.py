"""FlexTok in the latents of a frozen autoencoder (Bachmann et al. 2025, arXiv:2502.13967).

Noise and an image's latents are mixed, and the decoder predicts the way from one to the other (a
rectified flow), conditioned on the first tokens of the image. How many is drawn for each (nested
dropout), and now and then it is none, for guidance. What a block of the decoder holds can be
compared with the features of another network (REPA, Yu et al. 2024, arXiv:2410.06940).

B images, C channels of a latent, L tokens, P patches, D width.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from titokzip.generation.randomness import normal, uniform
from titokzip.tokenizers.flextok import scripted
from titokzip.tokenizers.flextok.checkpoint import released_name
from titokzip.tokenizers.flextok.config import AutoencoderConfig, FlexTokConfig, ScriptConfig
from titokzip.tokenizers.flextok.network import FlexTok
from titokzip.tokenizers.torchscript import read_script
from titokzip.training import flextok_forward, sheets
from titokzip.training.data.loader import Batch
from titokzip.training.export import export_flextok
from titokzip.training.initialization import load_autoencoder, load_transformers
from titokzip.training.measures import code_usage, psnr
from titokzip.training.recipe import Recipe, RecipeError
from titokzip.training.tasks.task import Judge, Outcome, Task, frozen, scaled

_TIME, _NOISE, _KEPT, _DROPPED = 1, 2, 3, 4  # what random numbers are drawn for
LENGTHS: Final = (1, 4, 16, 64, 256)  # that are shown
SHOWN: Final = 4  # images on a sheet
SAMPLINGS: Final = ("uniform", "pow2", "uniform_pow2")  # of how many tokens are kept


@dataclass(frozen=True)
class FlowLosses:
    """What the loss is made of."""

    kept: str = "pow2"  # how the number of tokens kept is drawn
    dropout: float = 0.1  # share of images of which nothing is told
    shift: float = 1.0  # how far times are moved towards noise, where tokens say most
    repa: float = 1.0  # weight of the features' distance, where a network is given
    repa_block: int = 1  # of the decoder, whose patches are compared
    repa_width: int = 2048  # of the map from one to the other
    steps: int = 20  # of sampling, in evaluations
    guidance: float = 3.0

    def __post_init__(self) -> None:
        if self.kept not in SAMPLINGS:
            raise ValueError(f"kept is {', '.join(SAMPLINGS)}, not {self.kept!r}")
        if self.shift <= 0:
            raise ValueError(f"shift is above 0, not {self.shift:g}")


class FlexTokTask(Task):
    """A FlexTok, and its loss in latents."""

    def __init__(
        self, model: FlexTok, losses: FlowLosses, features: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.model, self.losses = model, losses
        frozen(model.autoencoder)
        parts: dict[str, nn.Module] = {"encoder": model.encoder, "decoder": model.decoder}
        self.features = None if features is None else frozen(features)
        if features is not None:
            width = model.config.decoder.width
            self.projector = _projector(width, losses.repa_width, _channels(features, model.size))
            parts["repa"] = self.projector
        self.module = nn.ModuleDict(parts)

    @property
    def size(self) -> int:
        """S, the side of the images that it learns from."""
        return self.model.size

    def prepare(self, batch: Batch) -> None:
        """Measure the scale of the latents, if the recipe leaves it open."""
        if not self.model.config.scaling:
            scaling = 1 / float(self._cells(scaled(batch["image"])).std())
            self.model.config = replace(self.model.config, scaling=scaling)

    def forward(self, batch: Batch, step: int, judge: Judge | None = None) -> Outcome:
        """Compute the loss of images."""
        images, seeds = scaled(batch["image"]), batch["seed"]
        latents = self._latents(images)
        encoder, decoder = self.model.encoder, self.model.decoder
        codes = flextok_forward.rounded(self.model.quantizer, encoder(latents))
        kept = draw_kept(seeds, self.model.length, self.losses.kept)
        dropped = uniform(seeds, _DROPPED) < self.losses.dropout
        condition = flextok_forward.registers(decoder, codes, kept, dropped)
        times = draw_times(seeds, self.losses.shift)
        noise = normal(seeds, _NOISE, latents.shape[1:])
        mixed = torch.lerp(latents, noise, times[:, None, None, None])
        tap = None if self.features is None else self.losses.repa_block
        found = flextok_forward.velocity(
            decoder, mixed, condition, times, self.model.config.max_timestep, tap
        )
        loss = F.mse_loss(found.latents, noise - latents)
        terms = {"flow": loss.detach()}
        if self.features is not None and found.patches is not None:
            apart = self._apart(images, found.patches)
            loss, terms["repa"] = loss + self.losses.repa * apart, apart.detach()
        return Outcome(loss, terms)

    def released_name(self, name: str) -> str:
        """Give the released name of a parameter."""
        return released_name(name)

    def extra_state(self) -> dict[str, Any]:
        """Gather the scale that was measured."""
        return {"scaling": self.model.config.scaling}

    def restore_extra(self, state: dict[str, Any]) -> None:
        """Take the scale that was measured."""
        self.model.config = replace(self.model.config, scaling=float(state["scaling"]))

    @torch.no_grad()
    def evaluate(self, samples: Batch) -> dict[str, float]:
        """Measure the flow's loss on held-out images, PSNR by tokens kept, and tokens used."""
        images = scaled(samples["image"])
        tokens = self.model.encode(images)
        measured = {"flow": float(self(samples, 0).loss)}
        measured |= code_usage(tokens, self.model.vocabulary)
        for count in self._lengths():
            measured[f"psnr_{count}"] = psnr(self._decode(tokens[:, :count]), images)
        return measured

    @torch.no_grad()
    def contact_sheet(self, samples: Batch) -> Image.Image:
        """Show images above what more and more of their tokens decode to."""
        images = scaled(samples["image"])[:SHOWN]
        tokens = self.model.encode(images)
        return sheets.of_rows([images, *(self._decode(tokens[:, :k]) for k in self._lengths())])

    def export(self, folder: Path, name: str) -> list[Path]:
        """Write config.json, model.safetensors and, of another kind, the autoencoder."""
        return export_flextok(self.model, folder / name)

    def _decode(self, tokens: Tensor) -> Tensor:
        self.model.steps, self.model.guidance = self.losses.steps, self.losses.guidance
        return self.model.decode_pixels(self.model.decode_features(tokens))

    def _lengths(self) -> list[int]:
        return [k for k in LENGTHS if k < self.model.length] + [self.model.length]

    @torch.no_grad()
    def _cells(self, images: Tensor) -> Tensor:
        with torch.autocast(images.device.type, enabled=False):
            return self.model.autoencoder.encode(2 * images - 1).float()

    def _latents(self, images: Tensor) -> Tensor:
        return self._cells(images) * self.model.config.scaling

    def _apart(self, images: Tensor, patches: Tensor) -> Tensor:
        """Measure how far features and projected patches [B, P, D] are apart, 0..2."""
        assert self.features is not None, "there is a network to compare with"
        with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
            maps = self.features(images).float()
        side = self.model.config.side // self.model.config.patch
        wanted = F.interpolate(maps, (side, side), mode="bilinear", antialias=True)
        projected = self.projector(patches).float()
        cosine = F.cosine_similarity(projected, wanted.flatten(2).mT, dim=-1)
        return 1 - cosine.mean()


def draw_times(seeds: Tensor, shift: float) -> Tensor:
    """Draw the time [B] of each image, in 0..1: logit-normal, shifted towards noise at 1.

    The shift is that of Esser et al. (2024, arXiv:2403.03206): the odds of noise times `shift`.
    """
    times = normal(seeds, _TIME, (1,))[:, 0].sigmoid()
    return shift * times / (1 + (shift - 1) * times)


def draw_kept(seeds: Tensor, length: int, how: str) -> Tensor:
    """Draw how many tokens [B] of each image are kept, in 1..L."""
    drawn = uniform(seeds, _KEPT)
    if how == "pow2":
        octaves = length.bit_length()
        return (2 ** (drawn * octaves).floor()).long().clamp(max=length)
    kept = 1 + (drawn * length).floor().long()
    if how == "uniform_pow2":
        kept = (2 ** kept.float().log2().ceil()).long().clamp(max=length)
    return kept


def flextok(recipe: Recipe, seed: int) -> FlexTokTask:
    """Make the task of a recipe.

    Raises:
        RecipeError: it names no autoencoder.
        ModelError: a file does not fit.
    """
    config = recipe.model
    assert isinstance(config, FlexTokConfig), "the recipe's model is a FlexTok"
    if not recipe.files.autoencoder:
        raise RecipeError("a FlexTok is trained in the latents of an autoencoder, from a file")
    path = Path(recipe.files.autoencoder)
    if isinstance(config.autoencoder, AutoencoderConfig):
        model = FlexTok(config)
        load_autoencoder(model, path)
    else:
        script = scripted.load(path)
        shape = scripted.measure(script, path, config.size)
        _check_shape(config.autoencoder, shape, path)
        model = FlexTok(replace(config, autoencoder=shape), script)
    flextok_forward.initialize(model.encoder, model.decoder)
    if recipe.files.init:
        load_transformers(model, Path(recipe.files.init))
    features = read_script(Path(recipe.files.features)) if recipe.files.features else None
    return FlexTokTask(model, recipe.losses, features)


def _check_shape(wanted: ScriptConfig, found: ScriptConfig, path: Path) -> None:
    ours, theirs = (wanted.channels, wanted.scale), (found.channels, found.scale)
    if ours != theirs:
        raise RecipeError(
            f"{path}: latents of {theirs[0]} channels at 1/{theirs[1]}; the recipe's model is for"
            f" {ours[0]} at 1/{ours[1]}"
        )


def _projector(width: int, hidden: int, channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(width, hidden),
        nn.SiLU(),
        nn.Linear(hidden, hidden),
        nn.SiLU(),
        nn.Linear(hidden, channels),
    )


def _channels(features: nn.Module, size: int) -> int:
    with torch.no_grad():
        maps = features(torch.zeros(1, 3, size, size))
    if maps.ndim != 4:
        raise RecipeError(f"the features are {list(maps.shape)}, not maps [B, C, h, w]")
    return int(maps.shape[1])
