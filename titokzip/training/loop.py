"""The one training loop: ended by the clock, resumed exactly, watched on photos held out.

The schedule runs on elapsed over planned time, so several runs chained by `resume` are one
training. Only the average of the weights is ever evaluated or shipped.
"""

import json
import os
import time
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from titokzip.models.spectral import Spectral
from titokzip.training.data import Photos, Sampler, centre_tiles
from titokzip.training.evaluate import evaluate, sheet
from titokzip.training.objective import (
    Features,
    StraightThrough,
    draw_lengths,
    perceptual_loss,
    pixel_loss,
    price,
)
from titokzip.training.optimizer import Optimizer
from titokzip.training.presets import Preset

SAVE_EVERY = 60.0  # seconds: what a killed run loses at most
REPORT_EVERY = 5.0
EVALUATE_EVERY = 600.0
SAMPLED = 256  # tiles that tell how large coefficients are
WATCHED = 32  # photos held out that an evaluation looks at
PERCEPTUAL_WEIGHT = 8.0  # of what a teacher sees, beside an error in dB


@dataclass(frozen=True)
class Progress:
    """Where a run stands, for whoever watches."""

    seconds: float  # of the plan
    planned: float
    pictures: int
    rate: float  # pictures a second
    loss: float
    waiting: float  # share of the time spent waiting for data


class Run:
    """One training, in memory: the model, its optimizer, its data, and how far it has come."""

    def __init__(
        self,
        model: Spectral,
        preset: Preset,
        photos: Photos,
        device: torch.device,
        teacher: Features | None = None,
        reading: bool = False,  # train the encoder too: tokens change, and so do their tables
        seed: int = 0,
    ) -> None:
        self.preset, self.device, self.teacher, self.reading = preset, device, teacher, reading
        self.model = model.to(device)
        if model.reader is not None:
            model.reader.requires_grad_(reading)
            model.reader_end.requires_grad_(reading)
        elif reading:
            raise ValueError("this model has no encoder to train")
        self.validation = centre_tiles(photos.validation[:WATCHED], model.size)
        self.optimizer = Optimizer(model, preset.muon, preset.adam)
        in_bfloat16(model)
        training = [photo.to(device) for photo in photos.training]
        self.sampler = Sampler(training, model.size, model.overlap, seed)
        typical = Sampler(photos.training, model.size, model.overlap, seed).batch(SAMPLED)
        self.objective = StraightThrough(model, typical.to(device)).to(device)
        self.drawn = (
            self.sampler.state()
        )  # after the last batch learnt from; others are drawn ahead
        self.random = torch.Generator().manual_seed(seed)
        self.seconds, self.pictures, self.loss = 0.0, 0, 0.0

    def step(self, tiles: Tensor, progress: float) -> Tensor:
        """Learn from tiles [B, 3, S, S]; the loss, not waited for."""
        lengths = draw_lengths(len(tiles), self.model.length, self.random).to(self.device)
        painted, bits = self.objective(tiles, lengths)
        loss = pixel_loss(painted, tiles)
        if self.reading:
            loss = loss + price(bits)
        if self.teacher is not None:
            seen = perceptual_loss(painted, tiles, self.teacher)
            loss = loss + PERCEPTUAL_WEIGHT * seen
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step(progress)
        self.pictures += len(tiles)
        return loss.detach()

    def averaged(self) -> Spectral:
        """Copy the model with its averaged weights, ready to evaluate or ship."""
        return self.optimizer.averaged(self.model)

    def save(self, path: Path) -> None:
        """Write everything that `restore` needs, or nothing."""
        state = {
            "optimizer": self.optimizer.state(),
            "buffers": dict(self.model.named_buffers()),
            "seconds": self.seconds,
            "pictures": self.pictures,
            "loss": self.loss,
            "sampler": self.drawn,
            "random": self.random.get_state(),
        }
        temporary = path.with_suffix(".tmp")
        torch.save(state, temporary)
        temporary.replace(path)

    def restore(self, path: Path) -> None:
        """Go on where a saved run stood."""
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.optimizer.restore(state["optimizer"])
        self.seconds, self.pictures = state["seconds"], state["pictures"]
        self.loss = state["loss"]
        self.sampler.restore(state["sampler"])
        self.drawn = state["sampler"]
        self.random.set_state(state["random"].cpu())


def in_bfloat16(model: Spectral) -> None:
    """Turn the parameters, not the linear code, to bfloat16 in place."""
    for parameter in model.parameters():
        parameter.data = parameter.data.to(torch.bfloat16)


def train(
    run: Run, out: Path, minutes: float, planned: float, report: Callable[[Progress], None]
) -> Spectral:
    """Train for `minutes` of a plan of `planned` minutes; the averaged model at the end.

    Writes to the folder `out`: resume.pt every minute, log.jsonl and a sheet of pictures every ten.
    Interrupted, it saves before it lets go.
    """
    out.mkdir(parents=True, exist_ok=True)
    end = min(60 * planned, run.seconds + 60 * minutes)
    clock = _Clock(run.seconds)
    saved = evaluated = reported = run.seconds
    waited, begun, pictures = 0.0, run.seconds, run.pictures
    with closing(_prefetched(run)) as batches:
        try:
            while (now := clock.seconds()) < end:
                run.seconds = now
                tiles, run.drawn = next(batches)
                waited += clock.seconds() - now
                loss = run.step(tiles, now / (60 * planned))
                if now - reported >= REPORT_EVERY:
                    run.loss = float(loss) if not run.loss else 0.8 * run.loss + 0.2 * float(loss)
                    spent = max(now - begun, 1e-9)
                    rate = (run.pictures - pictures) / spent
                    share = waited / spent
                    report(Progress(now, 60 * planned, run.pictures, rate, run.loss, share))
                    reported = now
                if now - saved >= SAVE_EVERY:
                    run.save(out / "resume.pt")
                    saved = now
                if now - evaluated >= EVALUATE_EVERY:
                    _evaluate(run, out)
                    evaluated = now
            run.seconds = clock.seconds()
        finally:
            run.save(out / "resume.pt")
    _evaluate(run, out)
    return run.averaged()


class _Clock:
    def __init__(self, already: float) -> None:
        self.start = time.monotonic() - already

    def seconds(self) -> float:
        return time.monotonic() - self.start


def _prefetched(run: Run) -> Generator[tuple[Tensor, dict[str, Any]]]:
    """Draw batches in a thread, two ahead; each with the state of the sampler after it."""

    def draw() -> tuple[Tensor, dict[str, Any]]:
        return run.sampler.batch(run.preset.batch), run.sampler.state()

    with ThreadPoolExecutor(1) as pool:
        ahead = deque([pool.submit(draw), pool.submit(draw)])
        while True:
            ahead.append(pool.submit(draw))
            yield ahead.popleft().result()


def _evaluate(run: Run, out: Path) -> None:
    model = run.averaged()
    row: dict[str, Any] = {
        "minutes": round(run.seconds / 60, 2),
        "pictures": run.pictures,
        "loss": round(run.loss, 4),
        "psnr": evaluate(model, run.validation, run.device),
        "machine": f"{os.cpu_count()} cores" if run.device.type == "cpu" else str(run.device),
    }
    with (out / "log.jsonl").open("a") as log:
        log.write(json.dumps(row) + "\n")
    sheet(model, run.validation[:8], run.device).save(out / "sheet.png")
