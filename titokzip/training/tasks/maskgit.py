"""MaskGIT over stored tokens: predict the masked ones from the others and the class.

How many are masked follows the arccosine of a uniform number; logits of tokens that were not masked
count a little; classes are dropped now and then, for guidance (Yu et al. 2024, arXiv:2406.07550).

B images, N tokens, K values of a token.
"""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from titokzip.generation.checkpoint import released_name
from titokzip.generation.config import GeneratorConfig, MaskGITConfig, Target, to_config
from titokzip.generation.maskgit import MaskGIT
from titokzip.generation.randomness import uniform
from titokzip.training.data.loader import Batch
from titokzip.training.data.tokens import TokenFacts
from titokzip.training.export import architecture, state_of, write
from titokzip.training.initialization import load_weights
from titokzip.training.recipe import Recipe, RecipeError
from titokzip.training.tasks.task import Judge, Outcome, Task
from titokzip.zoo.custom import ARCHITECTURE

_RATIO, _ORDER, _CLASS = 1, 2, 3  # what random numbers are drawn for
_DEVIATION = 0.02


@dataclass(frozen=True)
class MaskedLosses:
    """Weights of the loss, and what is left out of the input."""

    unmasked: float = 0.1  # weight of a token that was not masked
    smoothing: float = 0.1  # of the labels
    class_dropout: float = 0.1


class MaskGITTask(Task):
    """A MaskGIT and its loss."""

    inputs: ClassVar[str] = "tokens"
    module: MaskGIT

    def __init__(self, model: MaskGIT, losses: MaskedLosses) -> None:
        super().__init__()
        self.module, self.losses = model, losses

    def forward(self, batch: Batch, step: int, judge: Judge | None = None) -> Outcome:
        """Compute the loss of tokens."""
        tokens, seeds = batch["tokens"], batch["seed"]
        masked = masks(seeds, tokens.shape[1])
        dropped = uniform(seeds, _CLASS) < self.losses.class_dropout
        labels = torch.where(dropped, -1, batch["label"])
        shown = torch.where(masked, self.module.config.mask, tokens)
        logits = self.module(shown, labels)
        loss, right = masked_loss(logits, tokens, masked, self.losses)
        return Outcome(loss, {"right": right.detach()})

    def check_tokens(self, facts: TokenFacts) -> None:
        """Refuse tokens of another length or vocabulary, and note whose they are.

        Raises:
            RecipeError: they do not fit.
        """
        config = self.module.config
        self.module.config = replace(config, target=target(config, facts))

    def released_name(self, name: str) -> str:
        """Give the released name of a parameter."""
        return released_name(self.module.config.kind, name)

    @torch.no_grad()
    def evaluate(self, samples: Batch) -> dict[str, float]:
        """Measure the cross-entropy in nats, and the share right, of masked tokens."""
        masked = masks(samples["seed"], samples["tokens"].shape[1])
        shown = torch.where(masked, self.module.config.mask, samples["tokens"])
        logits = self.module(shown, samples["label"]).float()
        entropy = F.cross_entropy(logits[masked], samples["tokens"][masked])
        right = (logits.argmax(-1) == samples["tokens"])[masked].double().mean()
        return {"cross_entropy": float(entropy), "right": float(right)}

    def export(self, folder: Path, name: str) -> list[Path]:
        """Write config.json and model.safetensors in the official layout."""
        config = self.module.config
        table = to_config(config) | {ARCHITECTURE: architecture(config)}
        return write(folder / name, table, state_of(self.module, self.released_name))


def masks(seeds: Tensor, length: int) -> Tensor:
    """Draw which of N tokens are masked, bool [B, N]; at least one is."""
    ratio = (uniform(seeds, _RATIO).acos() / (math.pi / 2)).clamp(min=1e-6)
    count = (length * ratio).round().clamp(min=1)
    return uniform(seeds, _ORDER, (length,)).argsort(dim=-1) < count[:, None]


def masked_loss(
    logits: Tensor, tokens: Tensor, masked: Tensor, losses: MaskedLosses
) -> tuple[Tensor, Tensor]:
    """Weigh the cross-entropy of logits [B, N, K], and count the masked tokens that are right."""
    each = F.cross_entropy(
        logits.float().transpose(1, 2), tokens, reduction="none", label_smoothing=losses.smoothing
    )
    chosen = masked.to(each.dtype)
    weights = losses.unmasked * (1 - chosen) + chosen
    right = ((logits.argmax(-1) == tokens) * chosen).sum(1) / (chosen.sum(1) + 1e-8)
    return (each * weights).sum() / (weights.sum() + 1e-8), right.mean()


def target(config: GeneratorConfig, facts: TokenFacts) -> Target:
    """Note whose tokens a generator learns.

    Raises:
        RecipeError: they have another length or vocabulary than it has.
    """
    if (facts.length, facts.vocabulary) != (config.length, config.codebook):
        raise RecipeError(
            f"tokens of {facts.model}, {facts.length} an image out of {facts.vocabulary:,}; the"
            f" recipe's model has {config.length} out of {config.codebook:,}"
        )
    if len(facts.classes) > config.classes:
        raise RecipeError(f"{len(facts.classes)} classes, and the model knows {config.classes}")
    return Target(facts.model, facts.fingerprint, facts.classes)


def maskgit(recipe: Recipe, seed: int) -> MaskGITTask:
    """Make the task of a recipe, from random weights or from those it names."""
    assert isinstance(recipe.model, MaskGITConfig), "the recipe's model is a MaskGIT"
    model = MaskGIT(recipe.model)
    initialize(model)
    if recipe.files.init:
        kind = recipe.model.kind
        load_weights(model, Path(recipe.files.init), lambda name: released_name(kind, name))
    return MaskGITTask(model, recipe.losses)


@torch.no_grad()
def initialize(model: nn.Module) -> None:
    """Draw weights from a normal distribution of deviation 0.02; biases are zero."""
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.trunc_normal_(module.weight, std=_DEVIATION)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)
    for name, parameter in model.named_parameters():
        if name.endswith("pos_embed"):
            nn.init.trunc_normal_(parameter, std=_DEVIATION)
