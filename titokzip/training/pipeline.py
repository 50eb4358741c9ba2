"""From a preset and a folder of photos to a weights file that the codec loads."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from titokzip import zoo
from titokzip.entropy.context_model import ContextModel
from titokzip.errors import ModelError
from titokzip.runtime.device import devices
from titokzip.tiling import Grid, resample, split
from titokzip.tiling.grid import nearest_grid
from titokzip.tokenizers.embedded.network import Spectral
from titokzip.training import context_model_fit, data, parallel, transform_design
from titokzip.training.loop import Progress, train
from titokzip.training.objective import Features
from titokzip.training.perceptual_network import TinyDarknet
from titokzip.training.presets import PRESETS, Preset
from titokzip.training.session import Run

LICENCE = "Apache-2.0"
LONE_TILES = 12_000  # whose tokens are counted for the tables of the range coder
GRIDS = 1500  # photos, whole, that are counted as well, on grids
LARGEST_GRID = 45  # tiles
_CHUNK = 50


@dataclass(frozen=True)
class Settings:
    """What `titokzip train` was asked for."""

    preset: str
    data: Path
    out: Path
    minutes: float
    planned: float
    resume: bool = False
    init: Path | None = None
    reading: bool = False
    stitched: bool = False
    compiled: bool = False
    teacher: Path | None = None
    adversarial: bool = False
    name: str = ""
    limit: int | None = None
    batch: int | None = None
    seed: int = 0
    threads: int | None = None
    device: str = "auto"


def run(settings: Settings, report: Callable[[Progress], None]) -> zoo.Manifest:
    """Train, count the tables of the range coder, and write the model; its manifest."""
    preset = PRESETS[settings.preset]
    preset = replace(preset, batch=settings.batch or preset.batch)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    device = torch.device(devices()[-1] if settings.device == "auto" else settings.device)
    device = parallel.join(device)
    photos = data.load(settings.data, settings.limit)
    settings.out.mkdir(parents=True, exist_ok=True)
    loaded = zoo.load(_start(settings, preset, photos))
    start, tables = loaded.tokenizer, loaded.context_model
    if not isinstance(start, Spectral):
        raise ModelError(f"{settings.init}: training starts from our own models only")
    _check(settings, preset, start)
    start = _grown(start, preset.model.texture)
    training = Run(
        start.train().requires_grad_(True),
        replace(preset, model=start.config),
        photos,
        device,
        _teacher(settings.teacher, device) if settings.teacher else None,
        settings.adversarial,
        settings.reading,
        settings.stitched,
        settings.compiled,
        settings.seed,
    )
    saved = settings.out / "resume.pt"
    if settings.resume and saved.exists():
        training.restore(saved)
    model = train(training, settings.out, settings.minutes, settings.planned, report).cpu()
    path = settings.out / f"{settings.name}.safetensors"
    if parallel.rank() == 0:
        if tables is None or settings.reading:
            tables = count(model, photos, settings.seed + 1)
        zoo.save(path, settings.name, model, tables, LICENCE)
    parallel.leave()
    return zoo.read_manifest(path)


def _start(settings: Settings, preset: Preset, photos: data.Photos) -> zoo.Manifest:
    """Find the model to start from, or design one, once: resumed runs read it again."""
    path = settings.init or settings.out / "start.safetensors"
    designed = settings.init is not None or (settings.resume and path.exists())
    if not designed and parallel.rank() == 0:
        sampler = data.Sampler(
            photos.training, preset.model.size, preset.model.overlap, settings.seed
        )
        untrained = transform_design.design(preset.model, sampler.batch)
        zoo.save(path, "start", untrained, count(untrained, photos, settings.seed + 1), LICENCE)
    parallel.wait()
    return zoo.read_manifest(path)


def _check(settings: Settings, preset: Preset, start: Spectral) -> None:
    """Refuse a model of another shape; design chooses coefficients, and --init may add texture."""
    wanted = replace(preset.model, coefficients=start.config.coefficients)
    if settings.init and not start.config.texture:
        wanted = replace(wanted, texture=0)
    if start.config != wanted:
        begun = settings.init or settings.out
        raise ModelError(f"{begun}: of another shape than preset {settings.preset}")


def _grown(model: Spectral, texture: int) -> Spectral:
    """Give a model the texture that its preset has beyond it; at first it paints nothing."""
    if texture == model.config.texture:
        return model
    grown = Spectral(replace(model.config, texture=texture))
    grown.load_state_dict(model.state_dict(), strict=False)
    return grown


def _teacher(path: Path, device: torch.device) -> Features:
    teacher = TinyDarknet(path).to(device, torch.bfloat16)
    return teacher.features


@torch.inference_mode()
def count(model: Spectral, photos: data.Photos, seed: int) -> ContextModel:
    """Count how often each digit takes each value, in lone tiles and in grids of them."""
    sampler = data.Sampler(photos.training, model.size, model.overlap, seed)
    lone = _CHUNK * max(1, min(LONE_TILES, 20 * len(photos.training)) // _CHUNK)
    tokens = [model.encode(sampler.batch(_CHUNK)).numpy() for _ in range(lone // _CHUNK)]
    grids = [Grid(1, 1)] * lone
    random = np.random.default_rng(seed)
    for chosen in random.permutation(len(photos.training))[:GRIDS]:
        photo = Image.fromarray(photos.training[chosen].permute(1, 2, 0).numpy())
        grid = nearest_grid(*photo.size, 2 * (LARGEST_GRID / 2) ** random.random())
        picture = resample(photo, grid.columns * model.size, grid.rows * model.size)
        for row in split(np.asarray(picture), model.size, model.overlap):
            tokens.append(model.encode(torch.from_numpy(row).permute(0, 3, 1, 2)).numpy())
        grids.append(grid)
    return context_model_fit.fit(model, np.concatenate(tokens), grids)
