"""The context model: how likely integers are, given those before. All of it is integers.

The weights are a safetensors file of integer arrays, named `pyramid.cells.maps` and so on.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from titokzip.entropy import block_features, pyramid_features, signs
from titokzip.entropy.integer_network import LOGIT_LIMIT, LOGITS, FlagNetwork, Network
from titokzip.entropy.neighbours import OWN, PHASES
from titokzip.entropy.range_coder import PRECISION
from titokzip.entropy.symbols import SIZE_CLASSES, SIZE_CONTEXTS, STEPS, Tables

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Networks:
    """The networks of one kind of bands."""

    cells: Network
    flags: FlagNetwork
    signs: NDArray[np.float32]  # [E, FEATURES], int8: weights of the features of signs


@dataclass(frozen=True)
class ContextModel:
    """Networks for the pyramid and for the blocks, and the tables that both share."""

    pyramid: Networks
    blocks: Networks
    tables: Tables


def from_arrays(arrays: Arrays) -> ContextModel:
    """Build a context model from its arrays.

    Raises:
        ValueError: one is missing, or has another type, shape or range.
    """
    pyramid, blocks = (
        Networks(
            Network(**_checked(f"{kind}.cells.", arrays, _CELLS, features)),
            FlagNetwork(**_checked(f"{kind}.flags.", arrays, _FLAGS, features)),
            _checked(f"{kind}.", arrays, _SIGNS, features)["signs"],
        )
        for kind, features in (("pyramid", pyramid_features), ("blocks", block_features))
    )
    return ContextModel(pyramid, blocks, _tables(arrays))


_CELLS = {
    "maps": ("int8", "HF"), "scalars": ("int8", "HG"), "own": ("int8", "PHO"),
    "coded": ("int8", "PH"), "phase": ("int16", "PH"), "band": ("int16", "EH"),
    "step": ("int16", "EH"), "size": ("int16", "EH"), "second": ("int8", "KH"),
    "second_bias": ("int16", "K"), "last": ("int8", "LK"), "last_bias": ("int16", "L"),
}  # fmt: skip
_FLAGS = {
    "scalars": ("int8", "HG"), "band": ("int16", "EH"), "step": ("int16", "EH"),
    "size": ("int16", "EH"), "last": ("int8", "H"), "last_bias": ("int16", "1"),
}  # fmt: skip
_SIGNS = {"signs": ("int8", "ES")}
MAX_STEP = 2**20  # in 1/1024 of a grey level
_MAX_HIDDEN = 128  # units; keeps all sums below 2^24


def _checked(
    prefix: str, arrays: Arrays, expected: dict[str, tuple[str, str]], features: Any
) -> Arrays:
    """Take arrays of a network, as float32, whose sizes are named by letters."""
    sizes = {"F": features.MAPS, "G": features.SCALARS, "E": features.CLASSES}
    sizes |= {"1": 1, "P": len(PHASES), "O": OWN, "L": LOGITS, "S": signs.FEATURES}
    found: Arrays = {}
    for name, (kind, letters) in expected.items():
        array = arrays.get(prefix + name)
        if array is None or array.dtype != kind or array.ndim != len(letters):
            raise ValueError(f"{prefix}{name} is missing or is no {kind} of {len(letters)} axes")
        for letter, size in zip(letters, array.shape, strict=True):
            free = letter in "HK" and 1 <= size <= _MAX_HIDDEN
            if sizes.setdefault(letter, size if free else -1) != size:
                raise ValueError(f"{prefix}{name} has a wrong shape: {array.shape}")
        found[name] = array.astype(np.float32)
    return found


def _tables(arrays: Arrays) -> Tables:
    probabilities = _table("probabilities", arrays, (5, 2 * LOGIT_LIMIT))
    sizes = _table("sizes", arrays, (SIZE_CONTEXTS, SIZE_CLASSES))
    steps = _table("steps", arrays, (STEPS,))
    if probabilities.max() >= 2**PRECISION or (sizes.sum(axis=1) != 2**PRECISION).any():
        raise ValueError("probabilities are below 2^24 and rows of sizes sum to 2^24")
    if steps.max() > MAX_STEP:
        raise ValueError(f"a step is at most {MAX_STEP}")
    return Tables(probabilities, steps, (sizes - 1).astype(np.float64))


def _table(name: str, arrays: Arrays, shape: tuple[int, ...]) -> NDArray[np.int64]:
    array = arrays.get(name)
    if array is None or array.dtype != np.int32 or array.shape != shape or array.min() < 1:
        raise ValueError(f"{name} is missing or is no positive int32 of shape {shape}")
    return array.astype(np.int64)
