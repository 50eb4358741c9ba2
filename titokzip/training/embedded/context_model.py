"""The fit of the context model: in rounds, each on images that the model before has quantised.

The first model knows nothing. Quantisation decides by the bits of the model, so a better model
gives other integers, which the next round learns from.
"""

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from titokzip.entropy import context_model
from titokzip.errors import ImageError
from titokzip.tokenizers.embedded.quantizer import quantize
from titokzip.training.embedded import context_rows
from titokzip.training.embedded.context_arrays import arrays, blank, inputs_of
from titokzip.training.embedded.context_networks import CellNetwork, FlagNetwork
from titokzip.training.embedded.context_rows import KINDS, Rows, Tables
from titokzip.training.embedded.images import Images
from titokzip.training.embedded.parallel import mapped
from titokzip.training.embedded.weights import Arrays
from titokzip.transform.pyramid import Integers, analyse

Report = Callable[[str], None]
Network = TypeVar("Network", CellNetwork, FlagNetwork)

SIGN_RATE, SIGN_DECAY = 0.03, 3e-4 / 192
_LEAST_STEPS = 20
_CHUNK = 50  # images that a process quantises at once
_BITS_A_NAT = 1.4427


@dataclass(frozen=True)
class Effort:
    """How long networks are fitted, in steps, and how many rows a step has; half for flags."""

    blocks: int = 14_000
    pyramid: int = 5_000
    again: float = 0.7  # share of these steps that a second fit adds, at 0.6 of the rate
    flags: int = 4_000
    signs: int = 3_000
    rows: int = 8192

    def scaled(self, share: float) -> "Effort":
        """Give a share of it."""
        parts = (self.blocks, self.pyramid, self.flags, self.signs)
        blocks, pyramid, flags, signs = (max(_LEAST_STEPS, int(share * steps)) for steps in parts)
        return replace(self, blocks=blocks, pyramid=pyramid, flags=flags, signs=signs)


# Shares of the images and of the effort; the last round quantises all of them.
ROUNDS: Final = ((0.2, 0.2), (0.33, 0.3), (1.0, 1.0))


@dataclass(frozen=True)
class Quantised:
    """The integers of an image, compressed."""

    shape: tuple[int, int, int]  # planes, rows and columns of blocks
    step: int
    bits: float
    data: bytes

    @staticmethod
    def of(integers: Integers, step: int, bits: float) -> "Quantised":
        """Compress integers."""
        parts = [band.ravel() for level in integers.means for band in level]
        data = np.concatenate([*parts, integers.blocks.ravel()]).tobytes()
        planes, _, _, rows, columns = integers.blocks.shape
        return Quantised((planes, rows, columns), step, bits, zlib.compress(data, 3))

    def integers(self) -> Integers:
        """Give the integers back; the inverse of `of`."""
        flat, at = np.frombuffer(zlib.decompress(self.data), np.int32), 0
        found = Integers.zeros(*self.shape)
        for part in [*(band for level in found.means for band in level), found.blocks]:
            part[...] = flat[at : at + part.size].reshape(part.shape)
            at += part.size
        return found


def fit(draw: Images, count: int, effort: Effort, report: Report, processes: int = 1) -> Arrays:
    """Fit a context model to `count` images; gives its arrays."""
    model, first = blank(), 0
    for number, (share, of_effort) in enumerate(ROUNDS, 1):
        images = max(1, int(share * count))
        report(f"round {number} of {len(ROUNDS)}: {images} images")
        last = number == len(ROUNDS)
        found = quantised(draw, range(first, first + images), model, processes)
        rows = context_rows.collect((one.integers(), one.step, one.bits) for one in found)
        model = fit_rows(
            rows, effort if last else replace(effort.scaled(of_effort), again=0), report
        )
        first += images
    return model


def quantised(
    draw: Images, numbers: range, model: Arrays, processes: int = 1
) -> Iterator[Quantised]:
    """Quantise images under a model; those whose photos cannot be read are left out."""
    chunks = [numbers[at : at + _CHUNK] for at in range(0, len(numbers), _CHUNK)]
    for found in mapped(_Quantiser(draw, model), chunks, processes):
        yield from found


@dataclass(frozen=True)
class _Quantiser:
    """What a process does."""

    draw: Images
    arrays: Arrays

    def __call__(self, numbers: Sequence[int]) -> list[Quantised]:
        model, found = context_model.from_arrays(self.arrays), []
        for number in numbers:
            try:
                drawn = self.draw(number)
            except ImageError:
                continue
            one = quantize(analyse(drawn.working_planes()), drawn.step, model)
            found.append(Quantised.of(one.integers, drawn.step, one.bits))
        return found


def fit_rows(data: Tables, effort: Effort, report: Report) -> Arrays:
    """Fit all networks to recorded rows; gives the arrays of a context model.

    Raises:
        ImageError: some network would have no rows at all.
    """
    names = {f"{kind}.{table}" for kind in KINDS for table in ("cells", "flags", "signs")}
    if missing := names - set(data):
        raise ImageError(f"too few images to fit to: nothing for {', '.join(sorted(missing))}")
    cells, flags, of_signs = {}, {}, {}
    for kind, features in KINDS.items():
        steps = effort.blocks if kind == "blocks" else effort.pyramid
        rows = data[f"{kind}.cells"]
        network = CellNetwork(inputs_of(kind), features.CLASSES, seed=2)
        bits = _fitted(network, rows, steps, effort.rows, seed=2)
        if again := int(effort.again * steps):
            bits = _fitted(network, rows, again, effort.rows, seed=7, rate=0.6)
        cells[kind] = network
        flags[kind] = FlagNetwork(features.SCALARS, features.CLASSES)
        flag_rows, sign_rows = data[f"{kind}.flags"], data[f"{kind}.signs"]
        flag_bits = _fitted(flags[kind], flag_rows, effort.flags, effort.rows // 2, seed=1)
        of_signs[kind], sign_bits = _sign_weights(sign_rows, features.CLASSES, effort)
        report(f"  {kind}: {len(rows)} integers, {bits:.4f} bits each; {sign_bits:.4f} bits a sign;"
               f" {flag_bits:.4f} bits a flag")  # fmt: skip
    return arrays(cells, flags, of_signs, data)


def _fitted(
    network: Network, rows: Rows, steps: int, batch: int, seed: int, rate: float = 1.0
) -> float:
    """Fit a network by Adam; gives the bits of a row over the last quarter of the steps."""
    inputs, conditions, targets, weights = _tensors(rows)
    peak = network.rate * rate
    optimizer = torch.optim.Adam(network.parameters(), peak, betas=network.momenta)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, peak, total_steps=steps, pct_start=0.1
    )
    random = torch.Generator().manual_seed(seed)
    network.hard, spent = False, []
    for step in range(steps):
        network.hard = network.hard or step >= int(network.hard_from * steps)
        at = torch.randint(0, len(rows), (batch,), generator=random)
        weight = weights[at].clamp(max=network.most_weight)
        nats = network.nats(network(inputs[at], conditions[at]), targets[at])
        cost = (nats * weight).sum() / weight.sum()
        optimizer.zero_grad()
        (cost + network.decay * network.conditions.square().sum()).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), network.clip)
        optimizer.step()
        schedule.step()
        spent.append(float(cost.detach()) * _BITS_A_NAT)
    network.hard = True
    return float(np.mean(spent[-max(1, steps // 4) :]))


def _sign_weights(rows: Rows, classes: int, effort: Effort) -> tuple[NDArray[np.float32], float]:
    """Fit a row of weights for each class of bands by logistic regression; also give the bits."""
    inputs, conditions, targets, weights = _tensors(rows)
    found = torch.zeros(classes, inputs.shape[1], requires_grad=True)
    optimizer = torch.optim.Adam([found], SIGN_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, effort.signs)
    random, spent = torch.Generator().manual_seed(2), []
    for _ in range(effort.signs):
        at = torch.randint(0, len(rows), (effort.rows,), generator=random)
        logits = (found[conditions[at, 0].long()] * inputs[at].float()).sum(dim=1)
        nats = F.softplus(-logits * (2 * targets[at] - 1))
        cost = (nats * weights[at]).sum() / weights[at].sum()
        optimizer.zero_grad()
        (cost + SIGN_DECAY * found.square().sum()).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        spent.append(float(cost.detach()) * _BITS_A_NAT)
    return found.detach().numpy(), float(np.mean(spent[-max(1, len(spent) // 4) :]))


def _tensors(rows: Rows) -> tuple[Tensor, ...]:
    parts = rows.inputs, rows.conditions, rows.targets, rows.weights
    return tuple(torch.from_numpy(part) for part in parts)
