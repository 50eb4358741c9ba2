"""Our own models: one safetensors file, or several parts of one, whose metadata says what to build.

They are named by a fingerprint of the tensors that give a file its meaning: the linear code and the
entropy tables. The networks around them are checked too, but may be replaced by better ones without
making old files unreadable.

A model of more than 16 MiB is written in parts, `NAME-00001-of-00003.safetensors` and so on. Each
carries the whole metadata; the first stands for all.
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from titokzip.entropy.context_model import ContextModel
from titokzip.errors import ModelError
from titokzip.zoo.hashing import Tensors, digest
from titokzip.zoo.manifest import Manifest, Model

if TYPE_CHECKING:
    import torch

    from titokzip.tokenizers.embedded.network import Spectral

FORMAT = "titokzip model 1"
KIND = "spectral"
VOCABULARY = 3**9  # values of a token of nine balanced ternary digits
LARGEST_PART = 2**24 - 2**17  # bytes of tensors in a file: below 16 MiB with its header
_NETWORKS = ("reader", "painter")  # parts of a model that do not change what its tokens mean
_SHAPES = (
    "encoder",
    "decoder",
    "patch",
    "head",
    "texture",
)  # what the manifest says of those parts
_PRIOR = "prior."
_PART = re.compile(r"(?P<name>.+)-(?P<part>\d{5})-of-(?P<parts>(?!00000)\d{5})")


def read_manifest(path: Path) -> Manifest:
    """Read the manifest of a model, given its weights file or any part of it.

    Raises:
        ModelError: it is missing, or not a titokzip model.
    """
    weights = parts(path)
    with _opened(weights[0]) as file:
        metadata = file.metadata() or {}
    if metadata.get("format") != FORMAT:
        raise ModelError(
            f"{path}: not a titokzip model; `titokzip models add` takes released weights"
        )
    try:
        config = dict(json.loads(metadata["config"]))
        if not isinstance(config["length"], int):
            raise TypeError(f"length is {config['length']!r}")
        for key in ("name", "licence"):
            if not metadata[key].isprintable():
                raise ValueError(f"{key} is {metadata[key]!r:.80}")
        return Manifest(
            name=metadata["name"],
            path=weights[0],
            kind=metadata["kind"],
            fingerprint=bytes.fromhex(metadata["fingerprint"]),
            digest=bytes.fromhex(metadata["digest"]),
            config=config,
            licence=metadata["licence"],
            vocabulary=VOCABULARY,
            weights=weights,
            size_note=metadata.get("size_note", ""),
        )
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ModelError(f"{path}: the manifest is damaged ({error})") from error


def parts(path: Path) -> tuple[Path, ...]:
    """List all parts of a weights file, given any of them; a file of one part is itself."""
    match = _PART.fullmatch(path.stem)
    return _part_names(_whole(path), int(match["parts"])) if match else (path,)


def parameters(manifest: Manifest) -> int:
    """Count the numbers in a model's networks, from the headers of its files."""
    count = 0
    for path in manifest.weights:
        with _opened(path) as file:
            for key in file.keys():  # noqa: SIM118
                if key.startswith(_NETWORKS):
                    count += int(np.prod(file.get_slice(key).get_shape()))
    return count


def load(manifest: Manifest, device: str) -> Model:
    """Load a model and prove that its weights are what the manifest says.

    Raises:
        ModelError: the weights are damaged or incomplete.
    """
    import torch

    from titokzip.tokenizers.config import ViTConfig
    from titokzip.tokenizers.embedded.network import Spectral, SpectralConfig

    tensors = _read(manifest.weights)
    sums = (digest(tensors, manifest.config), fingerprint(tensors, manifest.config))
    if sums != (manifest.digest, manifest.fingerprint):
        raise ModelError(f"{manifest.path}: damaged, its checksum does not match")
    tables = {key.removeprefix(_PRIOR): tensors.pop(key) for key in _keys(tensors, _PRIOR)}
    state = {key: _on(torch.from_numpy(array), device) for key, array in tensors.items()}
    try:
        config = dict(manifest.config)
        for vit in ("encoder", "decoder"):
            config[vit] = config[vit] and ViTConfig(**config[vit])
        with torch.device("meta"):
            tokenizer = Spectral(SpectralConfig(**config))
        tokenizer.load_state_dict(state, strict=True, assign=True)
        prior = ContextModel.from_tables(tables)
        if (prior.radix**prior.digits, len(prior.coefficient)) != (
            tokenizer.vocabulary,
            tokenizer.length * prior.digits,
        ):
            raise ValueError("its tables are for other tokens")
    except (RuntimeError, LookupError, TypeError, ValueError, ArithmeticError) as error:
        reason = " ".join(str(error).split())[:200]  # torch lists every tensor, a line each
        raise ModelError(f"{manifest.path}: does not fit its own manifest ({reason})") from error
    return Model(manifest.fingerprint, tokenizer.eval().requires_grad_(False), prior)


def save(
    path: Path, name: str, tokenizer: "Spectral", prior: ContextModel, licence: str
) -> Manifest:
    """Write a model, networks in half precision, so that `load` gives it back.

    It is one file, or several of up to 16 MiB beside `path` that are named after it.
    """
    tensors = {key: _exported(key, value) for key, value in tokenizer.state_dict().items()}
    tensors |= {_PRIOR + key: table for key, table in prior.to_tables().items()}
    config = asdict(tokenizer.config)
    metadata = {
        "format": FORMAT,
        "kind": KIND,
        "name": name,
        "config": json.dumps(config),
        "fingerprint": fingerprint(tensors, config).hex(),
        "digest": digest(tensors, config).hex(),
        "licence": licence,
    }
    chunks = list(_chunks(tensors))
    targets = (path,) if len(chunks) == 1 else _part_names(path, len(chunks))
    _write(dict(zip(targets, chunks, strict=True)), metadata)
    for other in path.parent.glob(f"*{path.suffix}"):
        if _whole(other) == path and other not in targets:
            other.unlink()  # of what was here before
    return read_manifest(targets[0])


def fingerprint(tensors: Tensors, config: Mapping[str, Any]) -> bytes:
    """Hash what tokens mean: everything but the networks and their shapes."""
    meaning = {key: array for key, array in tensors.items() if not key.startswith(_NETWORKS)}
    return digest(meaning, {key: value for key, value in config.items() if key not in _SHAPES})


def _whole(path: Path) -> Path:
    """Give the name that a part was made of."""
    match = _PART.fullmatch(path.stem)
    return path.with_stem(match["name"]) if match else path


def _part_names(path: Path, count: int) -> tuple[Path, ...]:
    return tuple(path.with_stem(f"{path.stem}-{i:05}-of-{count:05}") for i in range(1, count + 1))


def _chunks(tensors: Tensors) -> Iterator[dict[str, NDArray[Any]]]:
    """Deal tensors out to parts, in order, each as full as it gets."""
    chunk: dict[str, NDArray[Any]] = {}
    for key, array in tensors.items():
        if chunk and sum(kept.nbytes for kept in chunk.values()) + array.nbytes > LARGEST_PART:
            yield chunk
            chunk = {}
        chunk[key] = array
    yield chunk


def _write(files: dict[Path, dict[str, NDArray[Any]]], metadata: dict[str, str]) -> None:
    """Write all files beside their places, then move them there."""
    written = []
    try:
        for path, tensors in files.items():
            temporary = path.with_suffix(".tmp")
            written.append((temporary, path))
            save_file(tensors, temporary, metadata)
            temporary.chmod(0o644)
        for temporary, path in written:
            temporary.replace(path)
    finally:
        for temporary, _ in written:
            temporary.unlink(missing_ok=True)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with safe_open(path, framework="numpy") as file:
            yield file
    except (OSError, SafetensorError, TypeError, AttributeError) as error:  # types numpy has not
        part = _whole(path) != path and not path.exists()
        reason = "a part of the model is missing" if part else error
        raise ModelError(f"{path}: cannot be read as weights ({reason})") from error


def _read(weights: tuple[Path, ...]) -> dict[str, NDArray[Any]]:
    tensors: dict[str, NDArray[Any]] = {}
    for path in weights:
        with _opened(path) as file:
            tensors |= {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    return tensors


def _keys(tensors: Tensors, prefix: str) -> list[str]:
    return [key for key in tensors if key.startswith(prefix)]


def _on(tensor: "torch.Tensor", device: str) -> "torch.Tensor":
    return (tensor.float() if tensor.is_floating_point() else tensor).to(device)


def _exported(key: str, tensor: "torch.Tensor") -> NDArray[Any]:
    array: NDArray[Any] = tensor.detach().cpu().numpy()
    return array.astype(np.float16) if key.startswith(_NETWORKS) else array
