"""A training so small that a step takes milliseconds."""

from dataclasses import replace

import torch

from titokzip.tokenizers.config import ViTConfig
from titokzip.training.data.loader import ImageBatches, Loading, Share
from titokzip.training.data.sources import Source
from titokzip.training.losses.adversarial import Adversarial
from titokzip.training.losses.quantization import Quantization
from titokzip.training.presets import PRESETS
from titokzip.training.tasks.titok import one_stage
from titokzip.training.trainer import Trainer

CPU = torch.device("cpu")
MODEL = replace(
    PRESETS["titok-tiny"].model, encoder=ViTConfig(32, 1, 2), decoder=ViTConfig(32, 1, 2), size=16
)
RECIPE = replace(
    PRESETS["titok-tiny"],
    model=MODEL,
    steps=12,
    batch=8,
    loading=Loading(workers=0, lanes=2, window=2, held_out=0.0, flip=True),
    losses=replace(
        PRESETS["titok-tiny"].losses,
        adversarial=Adversarial(weight=0.1, start=4, width=8, stages=2),
        quantization=Quantization(clustering=True),
    ),
    log_every=1,
    evaluate_every=6,
    samples=4,
)


def begin(paths, state=None, recipe=RECIPE, seed=0, share=None):
    """Begin a training on images, or go on with one."""
    torch.manual_seed(seed)
    task = one_stage(recipe, seed)
    loading = recipe.loading
    source = Source(paths, pieces=loading.lanes)
    batches = ImageBatches(
        source,
        loading,
        loading.crop(task.size),
        recipe.batch // recipe.accumulate,
        seed=seed,
        share=share or Share(),
        state=state and state["data"][0],
    )
    trainer = Trainer(task, recipe, batches, CPU, seed)
    if state:
        trainer.restore(state)
    return trainer


def steps(trainer, count):
    """Take some steps; the losses."""
    losses = []
    for _ in range(count):
        trainer.advance()
        losses.append(trainer.averages()["loss"])
    return losses


def weights(trainer):
    with trainer.ema.applied():
        tensors = [t.flatten().float() for t in trainer.task.module.state_dict().values()]
        return torch.cat(tensors).clone()
