"""Released models on this machine: a manifest for each, which says where the weights are.

`NAME.model.json` in the user's folder names the release, the weights and their checksums. The
weights stay where they are: in the cache of the hub, or where the user keeps them.
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, Final

from titokzip import files
from titokzip.errors import ModelError
from titokzip.tokenizers.config_json import read_config_json, read_json
from titokzip.zoo import custom
from titokzip.zoo.catalog import Release
from titokzip.zoo.families import family
from titokzip.zoo.hashing import digest
from titokzip.zoo.manifest import Manifest, checked_name

if TYPE_CHECKING:
    from torch import Tensor

    from titokzip.tokenizers.protocol import Tokenizer

SUFFIX: Final = ".model.json"
FORMAT: Final = "titokzip released model 1"
CONFIG: Final = "config.json"
WEIGHTS: Final = ("model.safetensors", "pytorch_model.bin")  # beside it, or alone
_FIELDS: Final[dict[str, tuple[type, ...]]] = {
    "release": (str,),
    "weights": (str,),
    "config": (str, NoneType),
    "bytes": (int,),
    "sha256": (str,),
    "fingerprint": (str,),
    "revision": (str, NoneType),
}
_LONGEST_PATH: Final = 4096
_HASH: Final = re.compile(r"[0-9a-f]{64}")


def find_weights(path: Path) -> tuple[Path, Path | None]:
    """Find the weights, and the config.json that goes with them, of a folder or a file.

    Raises:
        ModelError: they are not there.
    """
    if not path.is_dir():
        beside = path.with_name(CONFIG)
        return path, beside if path.name in WEIGHTS and beside.is_file() else None
    for weights in (path / name for name in WEIGHTS):
        if weights.is_file():
            return find_weights(weights)
    raise ModelError(f"{path}: no {' or '.join(WEIGHTS)} in this folder")


def read_manifest(path: Path) -> Manifest:
    """Read the manifest of a released model.

    Raises:
        ModelError: it is missing or damaged, or of a release that this version does not know.
    """
    with _named(path):
        name = checked_name(path.name.removesuffix(SUFFIX))
        fields = read_json(path)
        if fields.get("format") != FORMAT:
            raise ModelError("not the manifest of a model")
        for key, kinds in _FIELDS.items():
            if type(fields.get(key, ...)) not in kinds:
                raise ModelError(f"the manifest is damaged ({key} is {fields.get(key)!r:.40})")
        for key in ("fingerprint", "sha256"):
            if not _HASH.fullmatch(fields[key]):
                raise ModelError(f"the manifest is damaged ({key} is {fields[key]!r:.40})")
        release = _known(fields)
        weights = Path(fields["weights"])
        if not weights.is_absolute() or len(fields["weights"]) > _LONGEST_PATH:
            raise ModelError(f"the manifest is damaged (weights is {fields['weights']!r:.80})")
    return Manifest(
        name=name,
        path=path,
        kind=release.family,
        fingerprint=bytes.fromhex(fields["fingerprint"]),
        digest=bytes.fromhex(fields["sha256"]),
        config=fields,
        licence=release.licence,
        weights=(weights,),
        release=release.name,
        size_note=release.size_note,
    )


def install(
    target: Path,
    release: Release,
    weights: Path,
    config: Path | None = None,
    revision: str | None = None,
    sha256: bytes | None = None,
) -> Manifest:
    """Prove that weights are those of a release and that all are finite; write their manifest.

    `revision` is that of the hub, if they are in its cache; `sha256` spares hashing them again.

    Raises:
        ModelError: they are not.
    """
    state = _checked_state(release, weights, config)
    fields = {
        "format": FORMAT,
        "release": release.name,
        "weights": str(weights),
        "config": str(config) if config else None,
        "bytes": weights.stat().st_size,
        "sha256": (sha256 or files.sha256(weights)).hex(),
        "fingerprint": fingerprint(release, state).hex(),
        "revision": revision,
    }
    files.write_atomically(target, json.dumps(fields, indent=2).encode() + b"\n")
    return read_manifest(target)


def load(manifest: Manifest, device: str = "cpu") -> "Tokenizer":
    """Load a released model; weights that changed since they were installed are refused.

    Hashing all of them would take seconds. Their size is compared, and the tensors that define what
    tokens mean.

    Raises:
        ModelError: they are gone or changed.
    """
    from titokzip.tokenizers.weights_file import read_state_dict

    release, weights, config = _installed(manifest)
    state = read_state_dict(weights, device)
    tokenizer = build(release, state, weights, config)
    _refuse_other_codebook(manifest, state)
    return tokenizer


def verify(manifest: Manifest) -> None:
    """Check every byte of the weights, every number of them, and all that `load` checks.

    Raises:
        ModelError: something is wrong with them.
    """
    release, weights, config = _installed(manifest)
    if files.sha256(weights) != manifest.digest:
        raise ModelError(f"{weights}: damaged, its checksum does not match")
    _refuse_other_codebook(manifest, _checked_state(release, weights, config))


def build(
    release: Release, state: Mapping[str, "Tensor"], weights: Path, config: Path | None
) -> "Tokenizer":
    """Build the tokenizer of a release around its state dict; errors name the paths.

    Raises:
        ModelError: a tensor is missing, unexpected, of another shape or no floating point, or the
            config.json contradicts the release.
    """
    if release.name == custom.NAME:
        with _named(weights):
            return custom.build(release, state, weights)  # type: ignore[no-any-return]
    kind = family(release.family)
    with _named(config or release.name):
        architecture = kind.check_config(
            release.config, None if config is None else read_config_json(config)
        )
    with _named(f"{weights}: as {release.name}", ", "):
        return kind.from_state_dict(architecture, state)


def fingerprint(release: Release, state: Mapping[str, "Tensor"]) -> bytes:
    """Identify a checkpoint by its release and by the tensors that define what tokens mean."""
    codebook = family(release.family).codebook(state)
    tensors = {key: tensor.float().cpu().numpy() for key, tensor in codebook.items()}
    whole = digest(tensors, {"release": release.name})
    return release.prefix + whole[len(release.prefix) :]


def release_of(manifest: Manifest) -> Release:
    """Find the release of a manifest, or describe the custom model by its config.json.

    Raises:
        ModelError: this version does not know it.
    """
    with _named(manifest.path):
        return _known(manifest.config)


def _known(fields: Mapping[str, Any]) -> Release:
    name, config = fields["release"], fields["config"]
    release = custom.known(name, Path(config) if config else None)
    if release is None:
        raise ModelError(f"{name!r:.40} is newer than this titokzip")
    return release


def _installed(manifest: Manifest) -> tuple[Release, Path, Path | None]:
    """Find the release, the weights and the config.json of a manifest."""
    assert manifest.release, "only released models have manifests of this kind"
    name, weights, config = manifest.name, manifest.weights[0], manifest.config["config"]
    if not _is_file(weights):
        raise ModelError(f"{name}: its weights are gone from {weights}; pull or add it again")
    if weights.stat().st_size != manifest.config["bytes"]:
        raise ModelError(f"{weights}: damaged, or not the weights that were added as {name}")
    return release_of(manifest), weights, Path(config) if config else None


def _checked_state(release: Release, weights: Path, config: Path | None) -> "dict[str, Tensor]":
    """Read weights, build the tokenizer, and look at every number of what it uses."""
    from titokzip.tokenizers.checkpoint import check_finite
    from titokzip.tokenizers.weights_file import read_state_dict

    state = read_state_dict(weights)
    build(release, state, weights, config)
    with _named(weights):
        check_finite(state)
    return state


def _refuse_other_codebook(manifest: Manifest, state: "Mapping[str, Tensor]") -> None:
    if fingerprint(release_of(manifest), state) != manifest.fingerprint:
        weights = manifest.weights[0]
        raise ModelError(f"{weights}: not the weights that were added as {manifest.name}")


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that no file system has, or a folder we may not enter
        return False


@contextmanager
def _named(where: Path | str, separator: str = ": ") -> Iterator[None]:
    """Say what an error is about."""
    try:
        yield
    except ModelError as error:
        raise ModelError(f"{where}{separator}{error}") from error
