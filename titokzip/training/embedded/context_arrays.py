"""Fitted networks to the integer arrays of a context model.

H hidden units, E classes of bands.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from titokzip.entropy import signs, symbols
from titokzip.entropy.integer_network import LOGIT_LIMIT
from titokzip.entropy.neighbours import OWN, PHASES
from titokzip.entropy.range_coder import PRECISION
from titokzip.entropy.symbols import SIZE_CLASSES, SIZE_CONTEXTS, STEPS
from titokzip.tokenizers.embedded.quantizer import step_size
from titokzip.training.embedded.context_networks import (
    HIDDEN_SCALE,
    LOGIT_SCALE,
    SPREAD,
    STEP_SCALE,
    WEIGHT_SCALE,
    CellNetwork,
    FlagNetwork,
    location,
)
from titokzip.training.embedded.context_rows import KINDS, PHASE_INPUTS, Tables
from titokzip.training.embedded.weights import Arrays

_FIRST: Final = WEIGHT_SCALE * 16  # of sums in the first layer
_LATER: Final = WEIGHT_SCALE * HIDDEN_SCALE  # of sums in later layers
_LEAST: Final = 600  # probability of a decision, in 2^-24
_EVEN: Final = 60  # rows that the logistic distribution counts in each context of size classes


def arrays(
    cells: Mapping[str, CellNetwork],
    flags: Mapping[str, FlagNetwork],
    of_signs: Mapping[str, NDArray[np.float32]],
    data: Tables | None = None,
) -> Arrays:
    """Round networks to integers; tables of size classes are counted in `data`."""
    found: Arrays = {
        "steps": np.array([round(1024 * step_size(k)) for k in range(STEPS)], np.int32),
        "probabilities": _probabilities(),
        "sizes": _sizes(cells, data or {}),
    }
    for kind in KINDS:
        parts = {f"cells.{k}": v for k, v in _cells(kind, cells[kind]).items()}
        parts |= {f"flags.{k}": v for k, v in _flags(flags[kind]).items()}
        parts["signs"] = _int8(of_signs[kind] * WEIGHT_SCALE)
        found |= {f"{kind}.{name}": np.ascontiguousarray(part) for name, part in parts.items()}
    return found


def blank() -> Arrays:
    """Give a context model that knows nothing: the same probabilities everywhere."""
    cells = {k: CellNetwork(inputs_of(k), f.CLASSES) for k, f in KINDS.items()}
    flags = {k: FlagNetwork(f.SCALARS, f.CLASSES) for k, f in KINDS.items()}
    with torch.no_grad():
        for network in (*cells.values(), *flags.values()):
            for parameter in network.parameters():
                parameter.zero_()
        for one in cells.values():
            one.last_bias.copy_(torch.tensor([-2.5, -1.0, -0.5, -4.0]))
    zero = {k: np.zeros((f.CLASSES, signs.FEATURES), np.float32) for k, f in KINDS.items()}
    return arrays(cells, flags, zero)


def inputs_of(kind: str) -> int:
    """Count the inputs of the network for cells of a kind of bands."""
    features = KINDS[kind]
    return int(features.MAPS + features.SCALARS + PHASE_INPUTS * len(PHASES))


def _cells(kind: str, network: CellNetwork) -> Arrays:
    maps, scalars = KINDS[kind].MAPS, KINDS[kind].SCALARS
    first = _numpy(network.first) * WEIGHT_SCALE
    phases = first[:, maps + scalars :].reshape(len(first), len(PHASES), PHASE_INPUTS)
    constants = _int8(phases[:, :, OWN + 1].T)  # weights of a 1, which is 16 sixteenths
    return _conditions(network.conditions) | {
        "maps": _int8(first[:, :maps]),
        "scalars": _int8(first[:, maps : maps + scalars]),
        "own": _int8(phases[:, :, :OWN].transpose(1, 0, 2)),
        "coded": _int8(phases[:, :, OWN].T),
        "phase": constants.astype(np.int16) * np.int16(16),
        "second": _int8(_numpy(network.second) * WEIGHT_SCALE),
        "second_bias": _int16(_numpy(network.second_bias) * _LATER),
        "last": _int8(_numpy(network.last) * WEIGHT_SCALE),
        "last_bias": _int16(_numpy(network.last_bias) * _LATER),
    }


def _flags(network: FlagNetwork) -> Arrays:
    return _conditions(network.conditions) | {
        "scalars": _int8(_numpy(network.first) * WEIGHT_SCALE),
        "last": _int8(_numpy(network.last) * WEIGHT_SCALE),
        "last_bias": _int16(_numpy(network.last_bias)[None] * _LATER),
    }


def _conditions(parameter: Tensor) -> Arrays:
    """Give biases and slopes [E, H]; slopes are per sixteenth of a step's or size's unit."""
    bias, step, size = np.split(_numpy(parameter) * _FIRST, 3, axis=1)
    return {"band": _int16(bias), "step": _int16(step * 16 / STEP_SCALE), "size": _int16(size)}


def _probabilities() -> NDArray[np.int32]:
    """Tabulate the logistic function at the middles of logits, for all five decisions."""
    at = (np.arange(2 * LOGIT_LIMIT) - LOGIT_LIMIT + 0.5) / LOGIT_SCALE
    one = np.round(2**PRECISION / (1 + np.exp(-at))).clip(_LEAST, 2**PRECISION - _LEAST)
    return np.tile(one.astype(np.int32), (5, 1))


def _sizes(cells: Mapping[str, CellNetwork], data: Tables) -> NDArray[np.int32]:
    """Count size classes for each context, on top of the logistic distribution."""
    width = 2 * LOGIT_LIMIT // SIZE_CONTEXTS  # logits of a context
    middles = (np.arange(SIZE_CONTEXTS) * width + width / 2 - LOGIT_LIMIT) / LOGIT_SCALE
    middle = location(torch.from_numpy(middles)).numpy()[:, None]
    edges = (np.arange(SIZE_CLASSES + 1) - 0.5 - middle) / SPREAD
    below = 1 / (1 + np.exp(-edges.clip(-40, 40)))
    below[:, 0] = 0
    counts = np.diff(below) + 1e-6
    counts = counts / counts.sum(axis=1, keepdims=True) * _EVEN
    for kind, network in cells.items():
        rows = data.get(f"{kind}.cells")
        large = np.flatnonzero(rows.targets > 2) if rows else np.array([], int)
        if rows is None or not large.size:
            continue
        with torch.no_grad():
            inputs, conditions = rows.inputs[large], rows.conditions[large]
            logits = network(torch.from_numpy(inputs), torch.from_numpy(conditions))[:, 3].numpy()
        context = (np.floor(logits * LOGIT_SCALE).astype(int) + LOGIT_LIMIT) // width
        classes = symbols.size_class(rows.targets[large] - 1)
        np.add.at(counts, (context, classes), rows.weights[large])
    return _frequencies(counts)


def _frequencies(counts: NDArray[np.float64]) -> NDArray[np.int32]:
    """Scale rows of counts to integers of at least 1 that sum to 2^24."""
    shares = counts / counts.sum(axis=1, keepdims=True)
    rows = np.floor(shares * (2**PRECISION - counts.shape[1])).astype(np.int64) + 1
    rows[np.arange(len(rows)), counts.argmax(axis=1)] += 2**PRECISION - rows.sum(axis=1)
    frequencies: NDArray[np.int32] = rows.astype(np.int32)
    return frequencies


def _numpy(parameter: Tensor) -> NDArray[Any]:
    return parameter.detach().numpy()


def _int8(values: NDArray[Any]) -> NDArray[np.int8]:
    return np.round(values).clip(-127, 127).astype(np.int8)


def _int16(values: NDArray[Any]) -> NDArray[np.int16]:
    return np.round(values).clip(-32767, 32767).astype(np.int16)
