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

from titokzip.runtime import matmul_peak
from titokzip.tokenizers.embedded.network import Spectral
from titokzip.training import parallel
from titokzip.training.evaluate import evaluate, sheet
from titokzip.training.session import Run

SAVE_EVERY = 60.0  # seconds: what a killed run loses at most
REPORT_EVERY = 5.0
EVALUATE_EVERY = 600.0


@dataclass(frozen=True)
class Progress:
    """Where a run stands, for whoever watches."""

    seconds: float  # of the plan
    planned: float
    pictures: int
    rate: float  # pictures a second
    loss: float
    waiting: float  # share of the time spent waiting for data
    of_peak: float  # share of the device's bfloat16 matmul speed that the painter reaches


def train(
    run: Run, out: Path, minutes: float, planned: float, report: Callable[[Progress], None]
) -> Spectral:
    """Train for `minutes` of a plan of `planned` minutes; the averaged model at the end.

    Writes to the folder `out`: resume.pt every minute, log.jsonl and a sheet of pictures every ten.
    Interrupted, it saves before it lets go.
    """
    out.mkdir(parents=True, exist_ok=True)
    end = min(60 * planned, run.seconds + 60 * minutes)
    first = parallel.rank() == 0
    watch = _Watch(run, matmul_peak.matmul_peak(run.device, torch.bfloat16), 60 * planned)
    clock = _Clock(run.seconds)
    saved = evaluated = reported = run.seconds
    with closing(_prefetched(run)) as batches:
        try:
            while (now := parallel.agree(clock.seconds())) < end:
                run.seconds = now
                tiles, run.drawn = next(batches)
                watch.waited += clock.seconds() - now
                loss = run.step(tiles, now / (60 * planned))
                if now - reported >= REPORT_EVERY and first:
                    run.loss = float(loss) if not run.loss else 0.8 * run.loss + 0.2 * float(loss)
                    report(watch.progress(run, now))
                    reported = now
                if now - saved >= SAVE_EVERY and first:
                    run.save(out / "resume.pt")
                    saved = now
                if now - evaluated >= EVALUATE_EVERY and first:
                    _evaluate(run, out)
                    evaluated = now
            run.seconds = clock.seconds()
        finally:
            if first:
                run.save(out / "resume.pt")
    if first:
        _evaluate(run, out)
    return run.averaged()


class _Watch:
    """Measures how fast a run is, from where it began."""

    def __init__(self, run: Run, peak: float, planned: float) -> None:
        self.begun, self.already = run.seconds, run.pictures
        self.flops, self.peak, self.planned = run.flops(), peak, planned
        self.waited = 0.0

    def progress(self, run: Run, now: float) -> Progress:
        spent = max(now - self.begun, 1e-9)
        own = (run.pictures - self.already) / spent
        return Progress(
            seconds=now,
            planned=self.planned,
            pictures=run.pictures * parallel.size(),
            rate=own * parallel.size(),
            loss=run.loss,
            waiting=self.waited / spent,
            of_peak=matmul_peak.share_of_peak(own * self.flops, 1.0, self.peak),
        )


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
        "pictures": run.pictures * parallel.size(),
        "loss": round(run.loss, 4),
        "psnr": evaluate(model, run.validation, run.device),
        "machine": f"{os.cpu_count()} cores" if run.device.type == "cpu" else str(run.device),
    }
    with (out / "log.jsonl").open("a") as log:
        log.write(json.dumps(row) + "\n")
    sheet(model, run.validation[:8], run.device).save(out / "sheet.png")
