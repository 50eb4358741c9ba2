"""Weights as files: of a context model, of a decoder network, or both in a whole model."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as save_arrays
from safetensors.torch import save as save_tensors
from torch import Tensor

from titokzip import zoo
from titokzip.entropy import context_model
from titokzip.errors import ModelError
from titokzip.files import write_atomically
from titokzip.tokenizers.embedded.network import RefinementNetwork
from titokzip.tokenizers.embedded.network_config import NetworkConfig

Arrays = dict[str, NDArray[Any]]
_CONTEXT, _DECODER = "context.", "decoder."  # prefixes in a whole model


def read_context(path: Path) -> Arrays:
    """Read the arrays of a context model, from a file of its own or from a model.

    Raises:
        ModelError: it holds no context model.
    """
    arrays, _ = _read(path, _CONTEXT)
    try:
        context_model.from_arrays(arrays)
    except ValueError as error:
        raise ModelError(f"{path}: holds no context model ({error})") from error
    return arrays


def write_context(path: Path, arrays: Arrays) -> None:
    """Write the arrays of a context model; the inverse of `read_context`."""
    write_atomically(path, save_arrays(arrays))


def read_decoder(path: Path) -> RefinementNetwork:
    """Read a decoder network, in float32, from a file of its own or from a model.

    Raises:
        ModelError: it holds no decoder network.
    """
    arrays, metadata = _read(path, _DECODER)
    try:
        network = RefinementNetwork(_config(metadata))
        state = {name: torch.from_numpy(array).float() for name, array in arrays.items()}
        network.load_state_dict(state, strict=True)
    except (RuntimeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"{path}: holds no decoder network ({reason})") from error
    return network


def write_decoder(path: Path, network: RefinementNetwork, kind: torch.dtype) -> None:
    """Write a decoder network; the inverse of `read_decoder` but for the precision."""
    state: dict[str, Tensor] = {
        name: tensor.detach().cpu().to(kind).contiguous()
        for name, tensor in network.state_dict().items()
    }
    write_atomically(path, save_tensors(state, {"config": json.dumps(asdict(network.config))}))


def export(
    path: Path,
    name: str,
    context: Path,
    decoder: RefinementNetwork,
    licence: str,
    size_note: str = "",
    trained_against: tuple[str, ...] = (),
) -> zoo.Manifest:
    """Join a context model and a decoder network into a model that the zoo loads.

    Raises:
        ModelError: `context` holds no context model.
    """
    from titokzip.zoo import embedded

    state = {key: tensor.numpy() for key, tensor in decoder.state_dict().items()}
    config = asdict(decoder.config)
    arrays = read_context(context)
    return embedded.write(path, name, arrays, state, config, licence, size_note, trained_against)


def blended(network: RefinementNetwork, other: RefinementNetwork, share: float) -> None:
    """Move a network's weights towards another's: `share` of its own stays.

    Raises:
        ModelError: the networks have different shapes.
    """
    if network.config.shapes() != other.config.shapes():
        raise ModelError("networks of different shapes cannot be blended")
    with torch.no_grad():
        for mine, theirs in zip(network.parameters(), other.parameters(), strict=True):
            mine.lerp_(theirs, 1 - share)


def _read(path: Path, prefix: str) -> tuple[Arrays, Mapping[str, str]]:
    """Read the arrays of a file; of a whole model, those whose names begin with a prefix."""
    try:
        with safe_open(path, framework="numpy") as file:
            keys = list(file.keys())
            if any(key.startswith(prefix) for key in keys):
                keys = [key for key in keys if key.startswith(prefix)]
            arrays = {key.removeprefix(prefix): file.get_tensor(key) for key in keys}
            return arrays, file.metadata() or {}
    except (OSError, SafetensorError, TypeError, AttributeError) as error:
        raise ModelError(f"{path}: cannot be read as weights ({error})") from error


def _config(metadata: Mapping[str, str]) -> NetworkConfig:
    """Read the config of a decoder network; one that has none has the default."""
    if "config" not in metadata:
        return NetworkConfig()
    fields: dict[str, Any] = json.loads(metadata["config"])
    return NetworkConfig(
        **{key: tuple(v) if isinstance(v, list) else v for key, v in fields.items()}  # type: ignore[arg-type]
    )
