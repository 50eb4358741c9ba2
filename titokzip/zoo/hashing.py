"""The hash that identifies a model: of a configuration and of tensors, by name, type and shape."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Tensors = Mapping[str, NDArray[Any]]


def digest(tensors: Tensors, config: Mapping[str, Any]) -> bytes:
    """Hash a config, then names, types, shapes and bytes of tensors, ordered by name; SHA-256."""
    hasher = hashlib.sha256(json.dumps(config, sort_keys=True).encode() + b"\n")
    for key in sorted(tensors):
        array = np.ascontiguousarray(tensors[key])
        little = array.astype(array.dtype.newbyteorder("<"), copy=False)
        hasher.update(f"{key} {little.dtype.name} {list(array.shape)}\n".encode())
        hasher.update(little.tobytes())
    return hasher.digest()
