"""Which models exist, where their weights are, and proof that they are the right ones.

A model is one safetensors file, or several parts of one, whose metadata says what to build. It is
named by a fingerprint of the tensors that give a file its meaning: the linear code and the entropy
tables of an embedded model. The networks around them are checked too, but may be
replaced by better ones without making old files unreadable.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from titokzip import entropy
from titokzip.errors import ModelError

if TYPE_CHECKING:
    import torch

    from titokzip.models.spectral import Spectral
    from titokzip.models.tokenizer import Tokenizer

DEFAULT = "xs"
FORMAT = "titokzip model 1"
_NETWORKS = ("reader", "painter")  # parts of a model that do not change what its tokens mean
_SHAPES = ("encoder", "decoder", "patch", "head")  # and what the card says of those parts
_PRIOR = "prior."

Tensors = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Card:
    """What a weights file says about itself."""

    name: str
    path: Path
    kind: str
    fingerprint: bytes  # whole SHA-256 of what the tokens mean
    digest: bytes  # whole SHA-256 of everything
    config: dict[str, Any]
    licence: str

    @property
    def tokens(self) -> int:
        """L, tokens a tile."""
        return int(self.config["length"])


@dataclass(frozen=True)
class Model:
    """A tokenizer with the tables that code its tokens."""

    fingerprint: bytes
    tokenizer: "Tokenizer"
    prior: entropy.Prior | None = None  # without one, tokens are packed


def folders() -> list[Path]:
    """List where weights are looked for: $TITOKZIP_MODELS, then what came with the package."""
    own = os.environ.get("TITOKZIP_MODELS")
    package = Path(__file__).parent
    installed, checkout = package / "weights", package.parent / "weights"
    places = [Path(own)] if own else []
    return [*places, installed if installed.is_dir() else checkout]


def cards() -> Iterator[Card]:
    """Read the card of every model that is here; no weights are loaded, other files are passed."""
    for path in files():
        with suppress(ModelError):
            yield card(path)


def files() -> Iterator[Path]:
    """List the weights files that are here, whatever is in them."""
    for folder in folders():
        yield from sorted(folder.glob("*.safetensors"))


def card(path: Path) -> Card:
    """Read the card of one weights file.

    Raises:
        ModelError: it is missing, or not a titokzip model.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path}: cannot be read as weights ({error})") from error
    if metadata.get("format") != FORMAT:
        raise ModelError(f"{path}: not a titokzip model")
    try:
        return Card(
            name=metadata["name"],
            path=path,
            kind=metadata["kind"],
            fingerprint=bytes.fromhex(metadata["fingerprint"]),
            digest=bytes.fromhex(metadata["digest"]),
            config=dict(json.loads(metadata["config"])),
            licence=metadata["licence"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{path}: its card is damaged ({error})") from error


def find(name: str) -> Card:
    """Find a model by its name, or by the path of its weights.

    Raises:
        ModelError: there is none.
    """
    if name.endswith(".safetensors"):
        return card(Path(name))
    known = list(cards())
    for candidate in known:
        if candidate.name == name:
            return candidate
    names = ", ".join(candidate.name for candidate in known) or "none"
    raise ModelError(f"no model named {name!r} here; there is: {names}")


def find_fingerprint(prefix: bytes) -> Card:
    """Find the model that a file was compressed with, by the first bytes of its fingerprint.

    Raises:
        ModelError: it is not here.
    """
    for candidate in cards():
        if candidate.fingerprint.startswith(prefix):
            return candidate
    places = ", ".join(str(folder) for folder in folders())
    raise ModelError(
        f"compressed with model {prefix.hex()}, which is not in {places};"
        " put its weights into a folder and set TITOKZIP_MODELS to it"
    )


def load(card: Card, device: str = "cpu") -> Model:
    """Load a model onto a device and prove that its weights are what the card says.

    Raises:
        ModelError: the weights are damaged, or of a kind that this version does not know.
    """
    import torch

    from titokzip.models.layers import ViTConfig
    from titokzip.models.spectral import Spectral, SpectralConfig

    if card.kind != "spectral":
        raise ModelError(f"{card.path}: models of kind {card.kind!r} are newer than this titokzip")
    tensors = _read(card.path)
    sums = (digest(tensors, card.config), fingerprint(tensors, card.config))
    if sums != (card.digest, card.fingerprint):
        raise ModelError(f"{card.path}: damaged, its checksum does not match")
    tables = {key.removeprefix(_PRIOR): tensors.pop(key) for key in _keys(tensors, _PRIOR)}
    state = {key: _on(torch.from_numpy(array), device) for key, array in tensors.items()}
    try:
        config = dict(card.config)
        for vit in ("encoder", "decoder"):
            config[vit] = config[vit] and ViTConfig(**config[vit])
        with torch.device("meta"):
            tokenizer = Spectral(SpectralConfig(**config))
        tokenizer.load_state_dict(state, strict=True, assign=True)
        prior = entropy.Prior.from_tables(tables)
    except (RuntimeError, KeyError, TypeError, ValueError, ArithmeticError) as error:
        reason = " ".join(str(error).split())[:200]  # torch lists every tensor, a line each
        raise ModelError(f"{card.path}: does not fit its own card ({reason})") from error
    return Model(card.fingerprint, tokenizer.eval().requires_grad_(False), prior)


def save(path: Path, name: str, tokenizer: "Spectral", prior: entropy.Prior, licence: str) -> Card:
    """Write a model in one file, networks in half precision, so that `load` gives it back."""
    tensors = {key: _exported(key, value) for key, value in tokenizer.state_dict().items()}
    tensors |= {_PRIOR + key: table for key, table in prior.to_tables().items()}
    config = asdict(tokenizer.config)
    metadata = {
        "format": FORMAT,
        "kind": "spectral",
        "name": name,
        "config": json.dumps(config),
        "fingerprint": fingerprint(tensors, config).hex(),
        "digest": digest(tensors, config).hex(),
        "licence": licence,
    }
    temporary = path.with_suffix(".tmp")
    save_file(tensors, temporary, metadata)
    temporary.chmod(0o644)
    temporary.replace(path)
    return card(path)


def fingerprint(tensors: Tensors, config: Mapping[str, Any]) -> bytes:
    """Hash what tokens mean: everything but the networks and their shapes."""
    meaning = {key: array for key, array in tensors.items() if not key.startswith(_NETWORKS)}
    return digest(meaning, {key: value for key, value in config.items() if key not in _SHAPES})


def digest(tensors: Tensors, config: Mapping[str, Any]) -> bytes:
    """Hash a config, then names, types, shapes and bytes of tensors, ordered by name."""
    hasher = hashlib.sha256(json.dumps(config, sort_keys=True).encode() + b"\n")
    for key in sorted(tensors):
        array = np.ascontiguousarray(tensors[key])
        little = array.astype(array.dtype.newbyteorder("<"), copy=False)
        hasher.update(f"{key} {little.dtype.name} {list(array.shape)}\n".encode())
        hasher.update(little.tobytes())
    return hasher.digest()


def _read(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with safe_open(path, framework="numpy") as file:
            return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path}: cannot be read as weights ({error})") from error


def _keys(tensors: Tensors, prefix: str) -> list[str]:
    return [key for key in tensors if key.startswith(prefix)]


def _on(tensor: "torch.Tensor", device: str) -> "torch.Tensor":
    return (tensor.float() if tensor.is_floating_point() else tensor).to(device)


def _exported(key: str, tensor: "torch.Tensor") -> NDArray[Any]:
    array: NDArray[Any] = tensor.detach().cpu().numpy()
    return array.astype(np.float16) if key.startswith(_NETWORKS) else array
