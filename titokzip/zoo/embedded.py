"""Our own models: one safetensors file with its manifest in the metadata.

It holds a context model (`context.*`, integers) and a decoder network (`decoder.*`). The
fingerprint covers the context model: it is what gives a file its meaning. The network has a digest
of its own and may be replaced by a better one without making old files unreadable. Each is read
and checked when it is needed, so that compressing reads no network.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from titokzip.entropy import context_model
from titokzip.entropy.context_model import ContextModel
from titokzip.errors import ModelError
from titokzip.files import write_atomically
from titokzip.tokenizers.embedded.network_config import NetworkConfig
from titokzip.zoo.hashing import Tensors, digest
from titokzip.zoo.manifest import Manifest

if TYPE_CHECKING:
    from titokzip.tokenizers.embedded.network import RefinementNetwork

FORMAT: Final = "titokzip model 2"
KIND: Final = "transform"
TRANSFORM: Final = {"transform": 1}  # what the fingerprint says of the code around the tables
_CONTEXT, _DECODER = "context.", "decoder."


def read_manifest(path: Path) -> Manifest:
    """Read the manifest of a model.

    Raises:
        ModelError: it is missing, or not a titokzip model.
    """
    with _opened(path) as file:
        metadata = file.metadata() or {}
    if metadata.get("format") != FORMAT:
        raise ModelError(
            f"{path}: not a titokzip model; `titokzip models add` takes released weights"
        )
    kind = metadata.get("kind", KIND)
    if kind != KIND:
        raise ModelError(f"{path}: models of kind {kind!r:.40} are newer than this titokzip")
    try:
        for key in ("name", "licence", "size_note"):
            if not metadata[key].isprintable():
                raise ValueError(f"{key} is {metadata[key]!r:.80}")
        return Manifest(
            name=metadata["name"],
            path=path,
            kind=metadata["kind"],
            fingerprint=bytes.fromhex(metadata["fingerprint"]),
            digest=bytes.fromhex(metadata["digest"]),
            config=dict(json.loads(metadata["config"])),
            licence=metadata["licence"],
            weights=(path,),
            size_note=metadata["size_note"],
            trained_against=tuple(map(str, json.loads(metadata["trained_against"]))),
        )
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ModelError(f"{path}: the manifest is damaged ({error})") from error


def parameters(manifest: Manifest) -> int:
    """Count the parameters of the decoder network, from the header of the file."""
    with _opened(manifest.path) as file:
        keys = [key for key in file.keys() if key.startswith(_DECODER)]  # noqa: SIM118
        return sum(int(np.prod(file.get_slice(key).get_shape())) for key in keys)


def load_context_model(manifest: Manifest) -> ContextModel:
    """Load the context model of a model and prove that it is what the manifest says; no torch.

    Raises:
        ModelError: it is damaged.
    """
    tensors = _read(manifest.path, _CONTEXT)
    if fingerprint(tensors) != manifest.fingerprint:
        raise ModelError(f"{manifest.path}: damaged, its checksum does not match")
    try:
        return context_model.from_arrays(tensors)
    except ValueError as error:
        raise ModelError(f"{manifest.path}: holds no context model ({error})") from error


def lagrange(manifest: Manifest) -> float:
    """Tell by how much the encoder's Lagrange multiplier is to be multiplied for a model.

    Its checksum is that of the network, which encoding does not read; `verify` does.

    Raises:
        ModelError: it is no number from 0.1 to 10.
    """
    found = manifest.config.get("lagrange", 1.0)
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0.1 <= found <= 10:
        raise ModelError(f"{manifest.path}: does not fit its manifest (lagrange is {found!r:.40})")
    return float(found)


def load_decoder(manifest: Manifest, device: str = "cpu") -> "RefinementNetwork":
    """Load the decoder network of a model, in float32, and prove that it is the right one.

    Raises:
        ModelError: it is damaged, or of a shape that this version does not know.
    """
    import torch

    from titokzip.tokenizers.embedded.network import RefinementNetwork

    config, weights = load_decoder_weights(manifest)
    with torch.device("meta"):
        network = RefinementNetwork(config)
    state = {key: torch.from_numpy(array).to(device) for key, array in weights.items()}
    network.load_state_dict(state, strict=True, assign=True)
    return network.eval().requires_grad_(False)


def load_decoder_weights(
    manifest: Manifest,
) -> tuple[NetworkConfig, dict[str, NDArray[np.float32]]]:
    """Load the weights of the decoder network of a model, and prove that they are right; no torch.

    Raises:
        ModelError: they are damaged, or of a shape that this version does not know.
    """
    tensors = _read(manifest.path, _DECODER)
    if digest(tensors, manifest.config) != manifest.digest:
        raise ModelError(f"{manifest.path}: damaged, its checksum does not match")
    try:
        config = _network_config(manifest.config, len(tensors))
        _check_shapes(tensors, config)
    except (LookupError, TypeError, ValueError, ArithmeticError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"{manifest.path}: does not fit its manifest ({reason})") from error
    return config, {key: array.astype(np.float32) for key, array in tensors.items()}


def verify(manifest: Manifest) -> None:
    """Check every byte of a model.

    Raises:
        ModelError: something is wrong with it.
    """
    load_context_model(manifest)
    lagrange(manifest)
    load_decoder(manifest)


def write(
    path: Path,
    name: str,
    context: Tensors,
    decoder: Tensors,
    config: Mapping[str, Any],
    licence: str,
    size_note: str = "",
    trained_against: Sequence[str] = (),
) -> Manifest:
    """Write a model: the tables of its context model, and its network in half precision."""
    network = {key: array.astype(np.float16) for key, array in decoder.items()}
    metadata = {
        "format": FORMAT,
        "kind": KIND,
        "name": name,
        "config": json.dumps(config),
        "fingerprint": fingerprint(context).hex(),
        "digest": digest(network, config).hex(),
        "licence": licence,
        "size_note": size_note,
        "trained_against": json.dumps(list(trained_against)),
    }
    tensors = {_CONTEXT + key: np.ascontiguousarray(array) for key, array in context.items()}
    tensors |= {_DECODER + key: array for key, array in network.items()}
    write_atomically(path, save(tensors, metadata))
    return read_manifest(path)


def fingerprint(context: Tensors) -> bytes:
    """Identify what tokens mean: the tables of a context model, and the transform in the code."""
    return digest(context, TRANSFORM)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with safe_open(path, framework="numpy") as file:
            yield file
    except (OSError, SafetensorError, TypeError, AttributeError) as error:  # types numpy lacks
        raise ModelError(f"{path}: cannot be read as weights ({error})") from error


def _read(path: Path, prefix: str) -> dict[str, NDArray[Any]]:
    """Read the tensors whose names begin with a prefix, without it."""
    with _opened(path) as file:
        return {
            key.removeprefix(prefix): file.get_tensor(key)
            for key in file.keys()  # noqa: SIM118
            if key.startswith(prefix)
        }


def _check_shapes(tensors: Mapping[str, NDArray[Any]], config: NetworkConfig) -> None:
    wanted = config.shapes()
    if missing := wanted.keys() ^ tensors.keys():
        raise ValueError(f"{min(missing)} is missing, or too much")
    for key, array in tensors.items():
        if array.shape != wanted[key]:
            raise ValueError(f"{key} is of shape {array.shape}, not {wanted[key]}")
        if not np.issubdtype(array.dtype, np.floating) or not np.isfinite(array).all():
            raise ValueError(f"{key} has values that are not finite")


def _network_config(config: Mapping[str, Any], tensors: int) -> NetworkConfig:
    """Read a config, whose lists are tuples, that asks for no more than there are tensors."""
    fields: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in config.items()
    }
    found = NetworkConfig(**fields)
    sizes, depths = (*found.widths, found.conditions), (*found.encoder, *found.decoder)
    if min(sizes) < 1 or min(depths) < 0 or len(sizes) + sum(depths) > tensors:
        raise ValueError("widths or depths are out of range")
    return found
