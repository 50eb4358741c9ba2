"""Models of one's own, untrained, in folders as `titokzip train` writes them."""

from dataclasses import replace

import scripts
import torch
from titoks import DIRECT, build

from titokzip.training.export import export_titok
from titokzip.training.presets import PRESETS
from titokzip.training.recipe import Files
from titokzip.training.tasks.registry import build as build_task


def titok(folder):
    export_titok(build(DIRECT), folder)
    return folder


def generator(folder, kind):
    torch.manual_seed(0)
    build_task(PRESETS[f"{kind}-tiny"], 0).export(folder.parent, folder.name)
    return folder


def flextok(folder):
    torch.manual_seed(0)
    autoencoder = scripts.write(scripts.Shuffle(), folder.with_suffix(".pt"))
    recipe = replace(PRESETS["flextok-tiny"], files=Files(autoencoder=str(autoencoder)))
    task = build_task(recipe, 0)
    task.model.config = replace(task.model.config, scaling=1.0)
    task.export(folder.parent, folder.name)
    return folder
