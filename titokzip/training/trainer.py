"""One step after the other: gradients, clipping, averages, and state that resumes exactly.

What a step draws at random depends on the seed and the step alone. Between two lines of the log a
GPU is never waited for.
"""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from titokzip.errors import ModelError, TitokzipError
from titokzip.generation.randomness import combine
from titokzip.training import checkpoint, distributed
from titokzip.training.data.staging import Batches, Staged
from titokzip.training.ema import Ema
from titokzip.training.losses.adversarial import Adversary
from titokzip.training.optimization import Optimization, Optimizer, Schedule
from titokzip.training.recipe import Recipe, to_json
from titokzip.training.tasks.task import Outcome, Task


class Diverged(TitokzipError):
    """The loss or its gradient is not a finite number; nothing was saved since it was."""


class Trainer:
    """One training in memory: a task, its optimizers, its data, and how far it has come."""

    def __init__(
        self, task: Task, recipe: Recipe, batches: Batches, device: torch.device, seed: int = 0
    ) -> None:
        self.task, self.recipe, self.device, self.seed = task, recipe, device, seed
        self.batches = Staged(batches, device)
        self.step = 0
        self._objective = self._parallel(task)
        how = recipe.optimization
        schedule = Schedule(recipe.steps, how.warm_up, how.final)
        self.optimizer = Optimizer(task.module, how, schedule, task.released_name)
        self.ema = Ema(task.module, how.ema)
        self.second = _Second(self, task.adversary, how) if task.adversary else None
        self._sums: dict[str, Tensor] = {}
        self._counted = 0  # steps since the sums were emptied

    def advance(self) -> None:
        """Take one step.

        Raises:
            Diverged: the loss is not finite; seen at once on a CPU, else by `averages` and `save`.
        """
        torch.manual_seed(combine(self.seed, self.step, distributed.rank()) & (2**63 - 1))
        acting = self.second if self.second and self.second.adversary.acts(self.step) else None
        self.task.train()
        outcomes = []
        for part in range(self.recipe.accumulate):
            batch = next(self.batches)
            with self.synchronised(self._objective, part):
                with self.autocast():
                    judge = acting.adversary.judge if acting else None
                    outcome: Outcome = self._objective(batch, self.step, judge)
                (outcome.loss / self.recipe.accumulate).backward()  # type: ignore[no-untyped-call]
            outcomes.append(outcome)
            self.add({"loss": outcome.loss, **outcome.terms}, self.recipe.accumulate)
        self.task.before_step()
        self.add({"gradient": self.optimizer.step()})
        self.ema.update()
        if acting is not None:
            acting.advance(outcomes)
        self.step += 1
        self._counted += 1
        if self.device.type == "cpu":
            self._check({name: float(total) for name, total in self._sums.items()})

    def add(self, terms: dict[str, Tensor], parts: int = 1) -> None:
        """Note terms of the loss for the log."""
        for name, term in terms.items():
            value = term.detach().float() / parts
            self._sums[name] = self._sums[name] + value if name in self._sums else value

    def averages(self) -> dict[str, float]:
        """Average the loss and its terms since the last call, over all processes.

        Raises:
            Diverged: they are not finite.
        """
        averages = self._averages()
        self._sums, self._counted = {}, 0
        return averages

    def save(self, folder: Path) -> None:
        """Write resume.pt; every process calls this.

        Raises:
            Diverged: the loss is not finite; the file stays as it was.
        """
        self._averages()
        data = distributed.gathered(self.batches.state())
        if distributed.rank() == 0:
            checkpoint.save(self.state(data), folder / checkpoint.RESUME)
        distributed.wait()

    def state(self, data: list[dict[str, Any]]) -> dict[str, Any]:
        """Gather everything that a resumed run needs; `data` are the positions of all processes."""
        return {
            "step": self.step,
            "seed": self.seed,
            "recipe": to_json(self.recipe),
            "data": data,
            "module": self.task.module.state_dict(),
            "extra": self.task.extra_state(),
            "ema": self.ema.state(),
            "optimizer": self.optimizer.state(),
            "second": self.second and self.second.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gathered; the batches are begun from it by who makes them.

        Raises:
            ModelError: it is the state of another training.
        """
        try:
            self.task.module.load_state_dict(state["module"])
            self.task.restore_extra(state["extra"])
            self.ema.restore(**state["ema"])
            self.optimizer.restore(state["optimizer"])
            if self.second is not None:
                self.second.restore(state["second"])
            self.step = int(state["step"])
        except checkpoint.UNREADABLE as error:
            raise ModelError(f"{checkpoint.RESUME} is the state of another training") from error

    def parallel(self, module: nn.Module) -> nn.Module:
        """Average the gradients of a module over the processes, from now on."""
        return self._parallel(module)

    def synchronised(self, module: nn.Module, part: int) -> AbstractContextManager[Any]:
        """Average gradients over the processes with the last part of a step only."""
        if isinstance(module, DistributedDataParallel) and part < self.recipe.accumulate - 1:
            return cast(AbstractContextManager[Any], module.no_sync())
        return nullcontext()

    @property
    def dtype(self) -> torch.dtype:
        """What the networks compute in."""
        return torch.bfloat16 if self.recipe.precision == "bfloat16" else torch.float32

    def autocast(self) -> AbstractContextManager[Any]:
        """Compute in the precision of the recipe."""
        enabled = self.recipe.precision == "bfloat16"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=enabled)

    def _parallel(self, module: nn.Module) -> nn.Module:
        module.to(self.device)
        if distributed.processes() == 1:
            return module
        device = [self.device.index] if self.device.type == "cuda" else None
        return DistributedDataParallel(module, device, broadcast_buffers=False)

    def _averages(self) -> dict[str, float]:
        names = sorted(self._sums)
        if not names:
            return {}
        sums = torch.stack([self._sums[name].flatten()[0] for name in names])
        values = (distributed.mean(sums) / self._counted).tolist()
        averages: dict[str, float] = dict(zip(names, values, strict=True))
        self._check(averages)
        return averages

    def _check(self, terms: dict[str, float]) -> None:
        wrong = sorted(name for name, value in terms.items() if not abs(value) < float("inf"))
        if wrong:
            raise Diverged(
                f"step {self.step:,}: not finite: {', '.join(wrong)}. A lower learning rate or a"
                f" longer warm-up may help; {checkpoint.RESUME} is from before"
            )


class _Second:
    """The discriminator's side of a step."""

    def __init__(self, trainer: Trainer, adversary: Adversary, how: Optimization) -> None:
        self.trainer, self.adversary = trainer, adversary
        self._module = trainer.parallel(adversary)
        steps = max(1, trainer.recipe.steps - adversary.how.start)
        schedule = Schedule(steps, how.warm_up, how.final)
        own = replace(how, optimizer="adamw", rate=adversary.how.rate)
        self.optimizer = Optimizer(adversary, own, schedule)

    def advance(self, outcomes: list[Outcome]) -> None:
        """Learn from what the model made in this step."""
        trainer = self.trainer
        for part, outcome in enumerate(outcomes):
            assert outcome.pair is not None, "a task with an adversary gives it pairs"
            reduced = trainer.task.measures_in_bfloat16
            with trainer.synchronised(self._module, part):
                with torch.autocast(trainer.device.type, torch.bfloat16, enabled=reduced):
                    loss, terms = self._module(*outcome.pair)
                (loss / len(outcomes)).backward()
            trainer.add(terms, len(outcomes))
        self.adversary.before_step()
        trainer.add({"discriminator_gradient": self.optimizer.step()})

    def state(self) -> dict[str, Any]:
        return {"adversary": self.adversary.state_dict(), "optimizer": self.optimizer.state()}

    def restore(self, state: dict[str, Any]) -> None:
        self.adversary.load_state_dict(state["adversary"])
        self.optimizer.restore(state["optimizer"])
