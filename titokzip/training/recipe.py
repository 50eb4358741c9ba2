"""What is trained and how: a recipe, made of a preset and of changes to it.

A TOML file names a preset as its `base` and changes what it likes:

    base = "titok-s128-stage1"
    steps = 20_000
    [model]
    size = 64
    encoder = {width = 192, depth = 6, heads = 3}
    [optimization]
    rate = 3e-4
"""

import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from titokzip.errors import ModelError
from titokzip.tokenizers.architecture import changed
from titokzip.training.data.loader import Loading
from titokzip.training.optimization import Optimization

PRECISIONS: Final = ("float32", "bfloat16")


class RecipeError(ModelError):
    """The recipe names what does not exist, or does not fit together."""


@dataclass(frozen=True)
class Files:
    """Weights that a training starts from or learns by; an empty path is none."""

    init: str = ""  # weights of the same model to start from, in the released layout
    vqgan: str = ""  # MaskGIT-VQGAN: proxy codes of stage 1, pixel decoder of stage 2
    vgg16: str = ""  # torchvision's VGG16, for LPIPS
    lpips: str = ""  # the heads of LPIPS over it
    convnext: str = ""  # torchvision's ConvNeXt-S, whose logits are compared
    perceptual: str = ""  # TorchScript: two images in 0..1 to their distance
    features: str = ""  # TorchScript: images in 0..1 to feature maps [B, C, h, w], for REPA
    autoencoder: str = ""  # TorchScript with encode and decode, or the released KL autoencoder


@dataclass(frozen=True)
class Recipe:
    """One training, complete."""

    task: str  # what is minimised: a name in `titokzip.training.tasks`
    model: Any  # the configuration of the network
    losses: Any  # weights of the loss terms, as the task defines them
    steps: int
    batch: int  # samples a step, of all processes together
    accumulate: int = 1  # parts that a process computes them in, one after the other
    precision: str = "bfloat16"  # of activations; weights, losses and quantizers are float32
    tf32: bool = True  # on CUDA, float32 products in TensorFloat-32
    optimization: Optimization = field(default_factory=Optimization)
    loading: Loading = field(default_factory=Loading)
    files: Files = field(default_factory=Files)
    log_every: int = 50  # steps
    evaluate_every: int = 5_000  # steps
    samples: int = 32  # held-out images that an evaluation looks at
    save_minutes: float = 10.0

    def __post_init__(self) -> None:
        if min(self.steps, self.batch, self.accumulate, self.log_every, self.evaluate_every) < 1:
            raise ValueError("steps, batch, accumulate, log_every, evaluate_every start at 1")
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision is {' or '.join(PRECISIONS)}, not {self.precision!r}")

    def micro_batch(self, processes: int) -> int:
        """Count the samples that a process computes at once.

        Raises:
            RecipeError: the batch does not split evenly.
        """
        parts = processes * self.accumulate
        if self.batch % parts:
            raise RecipeError(
                f"a batch of {self.batch} does not split among {processes} processes"
                f" with {self.accumulate} parts each"
            )
        return self.batch // parts


def from_toml(path: Path, presets: Mapping[str, Recipe]) -> Recipe:
    """Read a recipe from a TOML file.

    Raises:
        RecipeError: it is damaged, or changes what does not exist.
    """
    try:
        table = tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise RecipeError(f"{path}: cannot be read as TOML ({error})") from error
    base = table.pop("base", None)
    if base not in presets:
        raise RecipeError(f"{path}: base names a preset, such as {', '.join(list(presets)[:3])}")
    try:
        return changed(presets[base], table)
    except ModelError as error:
        raise RecipeError(f"{path}: {error}") from error


def with_setting(recipe: Recipe, setting: str) -> Recipe:
    """Change one thing, written as in TOML: `model.length=32`.

    Raises:
        RecipeError: it is not written so, or there is no such thing.
    """
    key, equals, value = setting.partition("=")
    try:
        table = tomllib.loads(f"{key} = {value}" if equals else key)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{setting!r} is not written as in TOML: {error}") from error
    try:
        return changed(recipe, table)
    except ModelError as error:
        raise RecipeError(str(error)) from error


def to_json(recipe: Recipe) -> dict[str, Any]:
    """Write a recipe as plain values, for the record of a run."""
    return dataclasses.asdict(recipe)
