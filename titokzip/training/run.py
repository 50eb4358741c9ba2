"""From a recipe and data to a trained model in a folder, and back to where a run was stopped."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch

from titokzip.errors import ImageError, ModelError
from titokzip.generation.randomness import combine
from titokzip.runtime.device import choose
from titokzip.runtime.precision import tf32
from titokzip.training import checkpoint, distributed
from titokzip.training.data import images, tokens
from titokzip.training.data.loader import Batch, ImageBatches, Share, merged
from titokzip.training.data.order import held_out
from titokzip.training.data.sources import Source, Split
from titokzip.training.data.staging import Batches
from titokzip.training.loop import Report, train
from titokzip.training.recipe import Recipe, to_json
from titokzip.training.tasks.registry import build
from titokzip.training.tasks.task import Task
from titokzip.training.trainer import Trainer

# What may differ between a run and its continuation.
_FREE: Final = ("steps", "log_every", "evaluate_every", "save_minutes", "files", "samples", "tf32")


@dataclass(frozen=True)
class Settings:
    """One run."""

    recipe: Recipe
    data: tuple[Path, ...]  # folders, tar shards, or one file of stored tokens
    out: Path
    name: str  # of the model
    minutes: float | None = None  # of this run; None is to the last step
    resume: bool = False
    seed: int = 0
    threads: int | None = None
    device: str = "auto"
    compiled: bool = False


def run(settings: Settings, report: Report | None = None) -> Path:
    """Train, and write the averaged model; the folder that it is in.

    Raises:
        ModelError: a file that the recipe names does not fit, or `out` holds another run.
        ImageError: there are no images, or too few are held out.
        Diverged: the loss is not finite.
    """
    if settings.threads:
        torch.set_num_threads(settings.threads)
    torch.manual_seed(combine(settings.seed) & (2**63 - 1))
    device = distributed.join(torch.device(choose(settings.device)))
    _train(settings, device, report)
    distributed.leave()
    return settings.out / settings.name


def _train(settings: Settings, device: torch.device, report: Report | None) -> None:
    """Train and export, as one of the processes that there are."""
    recipe = settings.recipe
    share = Share(distributed.rank(), distributed.processes())
    saved = _saved(settings) if settings.resume else None
    task = build(recipe, settings.seed)
    batches, samples = _data(settings, task, share, saved)
    if saved is None:
        task.prepare(samples)
    trainer = Trainer(task, recipe, batches, device, settings.seed)
    if saved is not None:
        trainer.restore(saved)
    with tf32(recipe.tf32):
        train(trainer, settings.out, samples, settings.minutes, report, settings.compiled)
    if share.rank == 0:
        with trainer.ema.applied():
            task.eval().export(settings.out, settings.name)


def _data(
    settings: Settings, task: Task, share: Share, saved: dict[str, Any] | None
) -> tuple[Batches, Batch]:
    """Begin the batches where the run stands, and read the held-out samples."""
    recipe, seed = settings.recipe, settings.seed
    batch = recipe.micro_batch(share.processes)
    positions = saved["data"] if saved else None
    if task.inputs == "tokens":
        stored = tokens.read(settings.data[0])
        task.check_tokens(stored.facts)
        kept, training = tokens.split(stored, recipe.samples, recipe.loading.held_out)
        state = positions[0] if positions else None
        return tokens.TokenBatches(training, batch, seed=seed, share=share, state=state), kept
    loading, size = recipe.loading, task.size
    lanes = loading.lanes or max(1, loading.workers) * share.processes
    source = Source(settings.data, pieces=lanes)
    samples = _samples(source, settings, size)
    state = merged(positions) if positions else None
    crop = loading.crop(size)
    return ImageBatches(source, loading, crop, batch, seed=seed, share=share, state=state), samples


def _samples(source: Source, settings: Settings, size: int) -> Batch:
    """Read images that are held out; where nothing is, images that are trained on."""
    loading = settings.recipe.loading
    split = loading.split() if loading.held_out else Split(1.0)
    crop = loading.crop(size).centred()
    read: list[images.Sample] = []
    for entry in held_out(source, split, 2 * settings.recipe.samples):
        if len(read) < settings.recipe.samples:
            try:
                read.append(images.read(entry, crop, len(read)))
            except ImageError:
                continue
    if not read:
        raise ImageError("no image is held out for validation; hold out a larger share, or none")
    keys = set(read[0]).intersection(*read)
    return {key: torch.stack([sample[key] for sample in read]) for key in sorted(keys)}


def _saved(settings: Settings) -> dict[str, Any] | None:
    """Read the state of a run, if there is one; rank 0 writes the recipe beside it."""
    path = settings.out / checkpoint.RESUME
    if not path.exists():
        return None
    saved = checkpoint.load(path)
    then, now = saved["recipe"], to_json(settings.recipe)
    different = sorted(
        key for key in now if key not in _FREE and _plain(then.get(key)) != _plain(now[key])
    )
    if different or saved["seed"] != settings.seed:
        what = ", ".join(different) or "seed"
        raise ModelError(f"{settings.out}: holds a run of another recipe ({what})")
    return saved


def _plain(value: Any) -> Any:
    """Make tuples lists, so that what was saved compares with what was made."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value
