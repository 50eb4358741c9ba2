"""What the context model is asked about an image's integers, as rows of inputs and targets.

`record` goes through the bands as `titokzip.entropy.coder` does, and notes instead of codes.

n rows, I inputs.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from titokzip.entropy import block_features, pyramid_features, signs
from titokzip.entropy.band_coding import nonzero, size_condition
from titokzip.entropy.contexts import Contexts
from titokzip.entropy.neighbours import OWN, PHASES, Neighbours
from titokzip.tokenizers.embedded.quantizer import step_size
from titokzip.transform.bands import Band, in_order
from titokzip.transform.pyramid import Integers, stacked

KINDS: Final[dict[str, ModuleType]] = {"pyramid": pyramid_features, "blocks": block_features}
PHASE_INPUTS: Final = OWN + 2  # of each phase: its own features, the density so far, a constant
CONSTANT: Final = 16  # a 1 among inputs, which are in sixteenths
ROWS: Final = 3000  # of a table that an image gives at most
_ALL: Final = slice(None)  # of the images side by side, of which there is one here
_BITS, _LEAST_BITS, _POWER = 1000, 100, 0.6  # an image counts (1000 / bits) ^ 0.6


@dataclass(frozen=True)
class Rows:
    """A table; `cells`, `flags` and `signs` of each kind of bands have one each."""

    inputs: NDArray[Any]  # [n, I] uint8, of signs int8
    conditions: NDArray[np.int16]  # [n, 3]: class of the band, step index, size
    targets: NDArray[np.int32]  # [n]: magnitudes; whether a band is coded; whether positive
    weights: NDArray[np.float32]  # [n]

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.targets)

    def sampled(self, most: int, random: np.random.Generator) -> "Rows":
        """Keep at most so many rows, drawn at random; they weigh as much as all."""
        count = len(self)
        if count <= most:
            return self
        at = random.choice(count, most, replace=False)
        weights = self.weights[at] * np.float32(count / most)
        return Rows(self.inputs[at], self.conditions[at], self.targets[at], weights)

    def weighted(self, factor: float) -> "Rows":
        """Scale the weights."""
        weights = self.weights * np.float32(factor)
        return Rows(self.inputs, self.conditions, self.targets, weights)

    @staticmethod
    def joined(tables: Iterable["Rows"]) -> "Rows":
        """Join tables, at least one."""
        parts = [(t.inputs, t.conditions, t.targets, t.weights) for t in tables]
        return Rows(*(np.concatenate(column) for column in zip(*parts, strict=True)))


Tables = dict[str, Rows]  # by `kind.cells`, `kind.flags`, `kind.signs`


def collect(images: Iterable[tuple[Integers, int, float]], seed: int = 0) -> Tables:
    """Record images, given as integers, step index and bits."""
    random, found = np.random.default_rng(seed), defaultdict(list)
    for integers, step, bits in images:
        weight = (_BITS / max(bits, _LEAST_BITS)) ** _POWER
        for name, rows in record(integers, step).items():
            most = len(rows) if name.endswith("flags") else ROWS
            found[name].append(rows.sampled(most, random).weighted(weight))
    return {name: Rows.joined(tables) for name, tables in found.items()}


def record(integers: Integers, step: int) -> Tables:
    """Note all that the context model is asked about the integers of one image."""
    planes, rows, columns = integers.blocks.shape[0], *integers.blocks.shape[-2:]
    contexts = Contexts(planes, rows, columns, np.array([round(1024 * step_size(step))]))
    alone = stacked([integers])
    size = size_condition(rows * columns)
    found: defaultdict[str, list[Rows]] = defaultdict(list)
    for band in in_order(planes, rows, columns):
        values = band.of_integers(alone)
        if not values.size:
            continue
        kind = "blocks" if band.level is None else "pyramid"
        condition = KINDS[kind].band_class(band, contexts), step, size
        scalars = KINDS[kind].scalars(band, contexts)
        coded = bool(values.any())
        if band.level != 0:
            found[f"{kind}.flags"].append(_rows(scalars.T, condition, np.array([coded])))
            if not coded:
                contexts.finish(band, None)
                continue
        known = contexts.begin(band)
        noted = _Band(band, contexts, known, scalars, condition)
        for turn in range(len(PHASES)):
            noted.note(turn, values, found[f"{kind}.cells"], found[f"{kind}.signs"])
        contexts.finish(band, values)
    return {name: Rows.joined(tables) for name, tables in found.items() if tables}


@dataclass
class _Band:
    """A band that is not empty, on its way through the phases."""

    band: Band
    contexts: Contexts
    known: Neighbours
    scalars: NDArray[np.float32]
    condition: tuple[int, int, int]

    def __post_init__(self) -> None:
        features = KINDS["blocks" if self.band.level is None else "pyramid"]
        self.maps = features.maps(self.band, self.contexts, _ALL)
        self.sign_maps = signs.maps(self.band, self.contexts, _ALL)

    def note(
        self, turn: int, values: NDArray[np.int32], cells: list[Rows], of_signs: list[Rows]
    ) -> None:
        """Note a phase, then learn its values."""
        phase, maps, known = PHASES[turn], self.maps, self.known
        part = phase.of(values)
        if not part.size:
            return
        first = len(maps) + len(self.scalars)
        at = first + PHASE_INPUTS * turn
        inputs = np.zeros((part.size, first + PHASE_INPUTS * len(PHASES)), np.uint8)
        inputs[:, : len(maps)] = phase.of(maps).reshape(len(maps), -1).T
        inputs[:, len(maps) : first] = self.scalars.T
        inputs[:, at : at + OWN] = known.own_features(phase, _ALL).T
        inputs[:, at + OWN] = known.coded_density(_ALL)
        inputs[:, at + OWN + 1] = CONSTANT
        cells.append(_rows(inputs, self.condition, np.abs(part).ravel()))
        images, rows, columns = nonzero(part)
        if rows.size and self.band.level != 0:
            place = images, rows * phase.stride + phase.row, columns * phase.stride + phase.column
            found = signs.features(self.sign_maps, known, _ALL, place)
            positive = part[images, rows, columns] > 0
            of_signs.append(_rows(found.T.astype(np.int8), self.condition, positive))
        known.learn(phase, _ALL, part)


def _rows(inputs: NDArray[Any], condition: tuple[int, int, int], targets: NDArray[Any]) -> Rows:
    """Make rows that share a condition."""
    kind = inputs.dtype if inputs.dtype == np.int8 else np.uint8
    conditions = np.tile(np.array(condition, np.int16), (len(targets), 1))
    weights = np.ones(len(targets), np.float32)
    return Rows(inputs.astype(kind), conditions, targets.astype(np.int32), weights)
