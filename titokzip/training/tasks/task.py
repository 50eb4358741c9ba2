"""What the trainer asks of a task."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, TypeVar

import torch
from PIL import Image
from torch import Tensor, nn

from titokzip.training.data.loader import Batch
from titokzip.training.data.tokens import TokenFacts
from titokzip.training.losses.adversarial import Adversary

M = TypeVar("M", bound=nn.Module)
Judge = Callable[[Tensor], Tensor]  # images to the discriminator's logits


class Outcome(NamedTuple):
    """What one forward pass gave."""

    loss: Tensor  # to be minimised
    terms: dict[str, Tensor]  # its parts, detached, for the log
    pair: tuple[Tensor, Tensor] | None = None  # images and what became of them, for an adversary


class Task(nn.Module, ABC):
    """Networks, what they minimise, and what becomes of them.

    Calling it computes the loss of a batch; DistributedDataParallel wraps it. Networks that only
    measure are submodules too, frozen.
    """

    inputs: ClassVar[str] = "image"  # or "tokens": what a batch holds
    module: nn.Module  # whose parameters are stepped and averaged
    adversary: Adversary | None = None
    measures_in_bfloat16: bool = False  # the networks that measure, the discriminator among them

    @property
    def size(self) -> int:
        """S, the side of the images that it learns from."""
        return int(self.module.size)  # type: ignore[arg-type]

    def check_tokens(self, facts: TokenFacts) -> None:
        """Refuse stored tokens that do not fit the model.

        Raises:
            RecipeError: they do not.
        """

    @abstractmethod
    def forward(self, batch: Batch, step: int, judge: Judge | None = None) -> Outcome:
        """Compute the loss of a batch at a step; `judge` is the discriminator, once it acts."""

    def released_name(self, name: str) -> str:
        """Give the released name of a parameter of `module`: weight decay goes by it."""
        return name

    def prepare(self, batch: Batch) -> None:
        """Learn from a first batch what must be known before training, such as a scale."""

    def before_step(self) -> None:
        """Change what changes with every step and has no gradient, such as unused codes."""

    def extra_state(self) -> dict[str, Any]:
        """Gather what a resumed run needs beyond parameters and buffers."""
        return {}

    def restore_extra(self, state: dict[str, Any]) -> None:
        """Go on from what `extra_state` gathered."""

    def compiled_parts(self) -> Iterator[nn.Module]:
        """Give the modules that are worth compiling."""
        yield from (part for part in self.module.children() if any(True for _ in part.parameters()))

    @abstractmethod
    def evaluate(self, samples: Batch) -> dict[str, float]:
        """Measure the module on held-out samples."""

    def contact_sheet(self, samples: Batch) -> Image.Image | None:
        """Show what the module makes of some samples."""
        return None

    @abstractmethod
    def export(self, folder: Path, name: str) -> list[Path]:
        """Write the trained model to a folder, as the zoo reads it; the files written."""


def frozen(module: M) -> M:
    """Let a network measure and not learn."""
    module.eval()
    for parameter in module.parameters():  # TorchScript has no requires_grad_ of its own
        parameter.requires_grad_(False)
    return module


def scaled(images: Tensor) -> Tensor:
    """Turn uint8 images to float32 in 0..1."""
    return images.to(torch.float32) / 255
