"""Training of the decoder network, by steps; a run that is resumed goes on exactly.

The folder of a run gets `log.jsonl`, `resume.pt`, `averaged.safetensors` (EMA weights, float32) at
every evaluation, and `NAME.safetensors` (the same in float16) when the last step is done.
"""

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from titokzip.errors import ModelError
from titokzip.tokenizers.embedded.network import RefinementNetwork
from titokzip.tokenizers.embedded.network_config import NetworkConfig
from titokzip.training import checkpoint
from titokzip.training.embedded.batches import Batch, Batches
from titokzip.training.embedded.dormant import recycle
from titokzip.training.embedded.evaluation import gains
from titokzip.training.embedded.objective import loss_of
from titokzip.training.embedded.optimizer import Optimizer
from titokzip.training.embedded.parts import Items
from titokzip.training.embedded.perceptual import Perceptual
from titokzip.training.embedded.weights import write_decoder
from titokzip.training.interruption import Interruption
from titokzip.training.trainer import Diverged

AVERAGED: Final = "averaged.safetensors"
_WATCHED: Final = 4  # batches


@dataclass(frozen=True)
class Stage:
    """Batches up to a share of all steps."""

    until: float
    side: int  # of crops
    pixels: int  # of a batch


@dataclass(frozen=True)
class Plan:
    """How a network is trained.

    Small crops come first: a batch of them shows many images, which is what counts most then.
    Large ones show the network its surroundings.
    """

    name: str
    stages: tuple[Stage, ...]
    muon: float  # peak rates
    adam: float
    warm_up: float = 0.01  # share of all steps in which the rates rise
    recycle_until: float = 0.7  # share of all steps in which dormant units are made anew
    perceptual: bool = False
    network: NetworkConfig = field(default_factory=NetworkConfig)
    seed: int = 12
    recycle_every: int = 350
    log_every: int = 50
    save_every: int = 500
    evaluate_every: int = 1000
    evaluated: tuple[int, int] = (60, 400)  # images, on the way and at the end

    def scaled(self, share: float) -> "Plan":
        """Give the plan with a share of its learning rates."""
        return replace(self, muon=share * self.muon, adam=share * self.adam)


_STAGES = (
    Stage(0.35, 32, 2**17), Stage(0.65, 48, 2**17), Stage(0.9, 64, 2**17), Stage(1.0, 96, 2**18),
)  # fmt: skip
PLANS: Final = {
    "xs": Plan("xs", _STAGES, 0.004, 0.001),
    "xs-perceptual": Plan(
        "xs-perceptual",
        (Stage(0.7, 64, 2**15), Stage(1.0, 96, 2**15)),
        0.0015,
        0.0004,
        warm_up=0.08,
        recycle_until=0.0,
        perceptual=True,
    ),
}


class Run:
    """One training run and its folder."""

    def __init__(
        self,
        plan: Plan,
        steps: int,
        data: Path,
        out: Path,
        start: RefinementNetwork | None = None,
        perceptual: Perceptual | None = None,
        device: str = "cpu",
        precision: torch.dtype = torch.bfloat16,
    ) -> None:
        """Begin a run of so many steps; `data` holds `train` and `val`.

        `precision` is that in which the network computes; its weights are stepped in float32.

        Raises:
            ImageError: there are no data.
            ModelError: the plan is perceptual and starts from nothing, or has no loss.
        """
        if plan.perceptual and (start is None or perceptual is None):
            raise ModelError("a perceptual run needs a network to start from, and a perceptual one")
        torch.manual_seed(plan.seed)
        self.plan, self.total, self.out, self.device = plan, steps, out, device
        self.precision = str(precision).removeprefix("torch.")
        network = start or RefinementNetwork(plan.network)
        network.to(device, precision)
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = Optimizer(self.network, plan.muon, plan.adam, plan.warm_up)
        self.batches = Batches(Items(data / "train"), plan.seed)
        self.validation = Items(data / "val")
        self.perceptual = perceptual if plan.perceptual else None
        self.steps, self.began = 0, time.monotonic()
        self._recent: list[dict[str, float]] = []
        out.mkdir(parents=True, exist_ok=True)

    def train(self, report: Callable[[dict[str, Any]], None] | None = None) -> bool:
        """Train to the last step and write the weights; False if the run was interrupted.

        Raises:
            Diverged: a loss or a gradient is not finite. `resume.pt` stays as it was.
        """
        report, plan = report or (lambda record: None), self.plan
        with Interruption() as interruption:
            while self.steps < self.total:
                if self._recycles_now():
                    report(self._log(kind="recycling", units=self._recycle()))
                self._recent.append(self._step())
                self.steps += 1
                if self.steps % plan.log_every == 0:
                    report(self._log(kind="training", **self._means()))
                if self.steps % plan.evaluate_every == 0 and self.steps < self.total:
                    report(self._evaluate(plan.evaluated[0]))
                if self.steps % plan.save_every == 0 or interruption.asked:
                    self.save()
                if interruption.asked:
                    return False
        report(self._evaluate(plan.evaluated[1]))
        averaged = self.optimizer.averaged(self.network.float())
        write_decoder(self.out / f"{plan.name}.safetensors", averaged, torch.float16)
        return True

    def _recycles_now(self) -> bool:
        due = self.steps % self.plan.recycle_every == 0
        return due and self.steps < self.plan.recycle_until * self.total

    def _recycle(self) -> int:
        """Make the units anew that fire nowhere in some batches; give their number."""
        count = recycle(self.network, (self._draw() for _ in range(_WATCHED)))
        self.optimizer.adopt()
        return count

    def _draw(self) -> Batch:
        progress = self.steps / self.total
        stage = next(stage for stage in self.plan.stages if progress < stage.until)
        return self.batches.draw(stage.side, stage.pixels).to(self.device)

    def _step(self) -> dict[str, float]:
        batch = self._draw()
        terms: dict[str, float] = {}
        loss: Tensor
        if self.perceptual:
            loss, terms = self.perceptual.loss_of(self.network, batch, self.steps)
        else:
            loss = loss_of(self.network(batch.decoded, batch.step, batch.size), batch)
        value = loss.item()
        if not math.isfinite(value):
            raise Diverged(f"the loss of step {self.steps} is {value}")
        loss.backward()  # type: ignore[no-untyped-call]
        norm = self.optimizer.step(self.steps / self.total)
        if not math.isfinite(norm):
            raise Diverged(f"the gradient of step {self.steps} has norm {norm}")
        if self.perceptual:
            terms |= self.perceptual.learn(self.steps)
        return {"loss": value, "norm": norm, **terms}

    def _means(self) -> dict[str, float]:
        """Average what was logged of the latest steps."""
        recent, self._recent = self._recent, []
        keys = {key: [one[key] for one in recent if key in one] for one in recent for key in one}
        return {key: sum(values) / len(values) for key, values in keys.items()}

    def _evaluate(self, count: int) -> dict[str, Any]:
        averaged = self.optimizer.averaged(self.network)
        write_decoder(self.out / AVERAGED, averaged, torch.float32)
        found = gains(averaged, self.validation, count)
        return self._log(kind="validation", count=count, gains=found)

    def _log(self, **record: Any) -> dict[str, Any]:
        seconds = round(time.monotonic() - self.began, 1)
        line = {"step": self.steps, "seconds": seconds, **record}
        with (self.out / "log.jsonl").open("a") as log:
            log.write(json.dumps(line) + "\n")
        return line

    def save(self) -> None:
        """Write `resume.pt`."""
        state = {
            "optimizer": self.optimizer.state(),
            "batches": self.batches.state(),
            "torch": torch.get_rng_state(),
            "step": self.steps,
            "total": self.total,
            "name": self.plan.name,
            "precision": self.precision,
            "perceptual": self.perceptual.state() if self.perceptual else None,
        }
        checkpoint.save(state, self.out / checkpoint.RESUME)

    def resume(self) -> None:
        """Go on from `resume.pt`.

        Raises:
            ModelError: it is damaged, or of a run with another plan or precision.
        """
        path = self.out / checkpoint.RESUME
        state = checkpoint.load(path)
        planned = tuple(state.get(key) for key in ("name", "total", "precision"))
        if planned != (self.plan.name, self.total, self.precision):
            raise ModelError(
                f"{path}: the run was planned as {planned[0]}, {planned[1]} steps in {planned[2]}"
            )
        try:
            self.optimizer.restore(state["optimizer"])
            self.batches.restore(state["batches"])
            if self.perceptual:
                self.perceptual.restore(state["perceptual"])
            torch.set_rng_state(state["torch"])
        except checkpoint.UNREADABLE as error:
            raise ModelError(f"{path}: does not fit this network") from error
        self.steps = state["step"]
