"""An autoregressive generator over stored tokens: predict each from the class and those before."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import torch
import torch.nn.functional as F

from titokzip.generation.autoregressive import Autoregressive
from titokzip.generation.config import AutoregressiveConfig
from titokzip.generation.randomness import uniform
from titokzip.training.data.loader import Batch
from titokzip.training.data.tokens import TokenFacts
from titokzip.training.export import architecture, state_of, write
from titokzip.training.initialization import load_weights
from titokzip.training.recipe import Recipe
from titokzip.training.tasks.maskgit import initialize, target
from titokzip.training.tasks.task import Judge, Outcome, Task
from titokzip.zoo.custom import ARCHITECTURE

_CLASS = 1  # what random numbers are drawn for


@dataclass(frozen=True)
class NextTokenLosses:
    """What the loss is made of."""

    class_dropout: float = 0.1
    smoothing: float = 0.0  # of the labels


class AutoregressiveTask(Task):
    """An autoregressive generator and its loss."""

    inputs: ClassVar[str] = "tokens"
    module: Autoregressive

    def __init__(self, model: Autoregressive, losses: NextTokenLosses) -> None:
        super().__init__()
        self.module, self.losses = model, losses

    def forward(self, batch: Batch, step: int, judge: Judge | None = None) -> Outcome:
        """Compute the loss of tokens."""
        tokens = batch["tokens"]
        dropped = uniform(batch["seed"], _CLASS) < self.losses.class_dropout
        labels = torch.where(dropped, -1, batch["label"])
        logits = self.module(tokens[:, :-1], labels).float().transpose(1, 2)
        loss = F.cross_entropy(logits, tokens, label_smoothing=self.losses.smoothing)
        right = (logits.argmax(1) == tokens).float().mean()
        return Outcome(loss, {"right": right.detach()})

    def check_tokens(self, facts: TokenFacts) -> None:
        """Refuse tokens of another length or vocabulary, and note whose they are.

        Raises:
            RecipeError: they do not fit.
        """
        config = self.module.config
        self.module.config = replace(config, target=target(config, facts))

    @torch.no_grad()
    def evaluate(self, samples: Batch) -> dict[str, float]:
        """Measure the cross-entropy in nats a token, and the share right."""
        tokens = samples["tokens"]
        logits = self.module(tokens[:, :-1], samples["label"]).float().transpose(1, 2)
        right = (logits.argmax(1) == tokens).double().mean()
        return {"cross_entropy": float(F.cross_entropy(logits, tokens)), "right": float(right)}

    def export(self, folder: Path, name: str) -> list[Path]:
        """Write config.json and model.safetensors."""
        table = {ARCHITECTURE: architecture(self.module.config)}
        return write(folder / name, table, state_of(self.module, str))


def autoregressive(recipe: Recipe, seed: int) -> AutoregressiveTask:
    """Make the task of a recipe, from random weights or from those it names."""
    assert isinstance(recipe.model, AutoregressiveConfig), "the recipe's model is autoregressive"
    model = Autoregressive(recipe.model)
    initialize(model)
    if recipe.files.init:
        load_weights(model, Path(recipe.files.init), str)
    return AutoregressiveTask(model, recipe.losses)
