"""A run of the trainer: when it stops, saves, evaluates and reports."""

from collections.abc import Callable
from pathlib import Path

import torch

from titokzip.runtime.matmul_peak import count_flops, matmul_peak, share_of_peak
from titokzip.training import distributed
from titokzip.training.data.loader import Batch
from titokzip.training.interruption import Interruption
from titokzip.training.progress import Clock, Log, Progress
from titokzip.training.trainer import Trainer

REPORT_SECONDS = 5.0
COUNTED = 2  # samples whose arithmetic is counted
SHEET = "samples.png"

Report = Callable[[Progress], None]


def train(
    trainer: Trainer,
    out: Path,
    samples: Batch,
    minutes: float | None = None,
    report: Report | None = None,
    compiled: bool = False,
) -> None:
    """Train to the last step of the recipe, or for some minutes; the state is saved at the end.

    `samples` are held out. Writes log.jsonl, resume.pt and samples.png to the folder `out`.

    Raises:
        Diverged: the loss is not finite.
        KeyboardInterrupt: it was asked for; the step under way was finished and saved.
    """
    watch = _Watch(trainer, out, samples, report, compiled)
    recipe = trainer.recipe
    saved = watch.clock.seconds()
    with Interruption() as stop:
        while trainer.step < recipe.steps:
            now = distributed.agree(-1.0 if stop.asked else watch.clock.seconds())
            if now < 0 or (minutes is not None and now >= 60 * minutes):
                break
            trainer.advance()
            last = trainer.step == recipe.steps
            if trainer.step % recipe.log_every == 0 or last:
                watch.log(last)
            if trainer.step % recipe.evaluate_every == 0 or last:
                watch.evaluate()
            if now - saved >= 60 * recipe.save_minutes:
                trainer.save(out)
                saved = now
    trainer.save(out)
    watch.close()
    if stop.asked:
        raise KeyboardInterrupt


class _Watch:
    """Tells how a run goes; only the first process tells, all average."""

    def __init__(
        self, trainer: Trainer, out: Path, samples: Batch, report: Report | None, compiled: bool
    ) -> None:
        first = distributed.rank() == 0
        self.trainer, self.out = trainer, out
        self.samples = {key: value.to(trainer.device) for key, value in samples.items()}
        self.report = report if first else None
        self._log = Log(out, trainer.step) if first else None
        self.peak = matmul_peak(trainer.device, trainer.dtype) if self.report else 1.0
        self.cost = self._cost() if self.report else 0.0
        if compiled:  # after counting: what is counted runs as it is written, and stays so
            for part in trainer.task.compiled_parts():
                part.compile()
        self.begun, self.reported = trainer.step, 0.0
        self.clock = Clock()
        trainer.batches.clock = self.clock

    def log(self, last: bool) -> None:
        """Write a line of the log, and report every few seconds."""
        terms = self.trainer.averages()
        if self._log is None:
            return
        rate = self.trainer.optimizer.rate
        self._log.write(self.trainer.step, "training", terms | {"rate": rate})
        now = self.clock.seconds()
        if self.report and (last or now - self.reported >= REPORT_SECONDS):
            self.reported = now
            self.report(self._progress(terms["loss"], now))

    def evaluate(self) -> None:
        """Measure the averaged weights on the held-out samples, and show them."""
        if self._log is not None:
            trainer = self.trainer
            trainer.task.eval()
            with trainer.ema.applied(), torch.no_grad(), trainer.autocast():
                self._log.write(trainer.step, "validation", trainer.task.evaluate(self.samples))
                sheet = trainer.task.contact_sheet(self.samples)
            if sheet is not None:
                sheet.save(self.out / SHEET)
        distributed.wait()

    def close(self) -> None:
        """Finish the log."""
        if self._log is not None:
            self._log.close()

    def _progress(self, loss: float, seconds: float) -> Progress:
        trainer, batch = self.trainer, self.trainer.recipe.batch
        rate = (trainer.step - self.begun) * batch / max(seconds, 1e-9)
        return Progress(
            step=trainer.step,
            steps=trainer.recipe.steps,
            samples=trainer.step * batch,
            rate=rate,
            loss=loss,
            waiting=self.clock.waited / max(seconds, 1e-9),
            of_peak=share_of_peak(rate * self.cost / distributed.processes(), 1.0, self.peak),
            broken=trainer.batches.broken,
        )

    def _cost(self) -> float:
        """Count the operations of a sample, forward and backward."""
        few = {key: value[:COUNTED] for key, value in self.samples.items()}
        trainer = self.trainer

        def work() -> None:
            with trainer.autocast():
                outcome = trainer.task(few, trainer.step)
            outcome.loss.backward()

        counted = count_flops(work)
        for parameter in trainer.task.parameters():
            parameter.grad = None
        return counted / len(next(iter(few.values())))
