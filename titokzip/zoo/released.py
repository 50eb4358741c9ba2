"""Released models on this machine: a manifest each, which says where the weights are.

`NAME.model.json` in the user's folder names the release, the weights and their checksums. The
weights stay where they are: in the cache of the hub, or where the user keeps them.
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Final

from titokzip import files
from titokzip.errors import ModelError
from titokzip.tokenizers.config import read_config_json
from titokzip.zoo import custom, embedded
from titokzip.zoo.catalog import RELEASES, Release, refuse_continuous
from titokzip.zoo.families import family
from titokzip.zoo.generators import GENERATORS
from titokzip.zoo.manifest import Manifest, Model

if TYPE_CHECKING:
    from torch import Tensor

    from titokzip.tokenizers.protocol import Tokenizer

SUFFIX = ".model.json"
FORMAT = "titokzip released model 1"
_FIELDS: Final[dict[str, tuple[type, ...]]] = {
    "bytes": (int,), "config": (str, NoneType), "revision": (str, NoneType),
}  # fmt: skip
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def read_manifest(path: Path) -> Manifest:
    """Read the manifest of a released model.

    Raises:
        ModelError: it is missing or damaged, or of a release that this version does not know.
    """
    try:
        fields = json.loads(path.read_bytes())
        if fields["format"] != FORMAT:
            raise ModelError(f"{path}: not the manifest of a model")
        for key, kinds in _FIELDS.items():
            if not isinstance(fields[key], kinds):
                raise TypeError(f"{key} is {fields[key]!r}")
        config = Path(fields["config"]) if fields["config"] else None
        release = custom.known(fields["release"], config)
        if release is None:
            raise ModelError(f"{path}: {fields['release']} is newer than this titokzip")
        return Manifest(
            name=path.name.removesuffix(SUFFIX),
            path=path,
            kind=release.family,
            fingerprint=bytes.fromhex(fields["fingerprint"]),
            digest=bytes.fromhex(fields["sha256"]),
            config=fields | {"length": release.tokens},
            licence=release.licence,
            vocabulary=release.vocabulary,
            weights=(Path(fields["weights"]),),
            release=release.name,
        )
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise ModelError(f"{path}: the manifest is damaged ({error})") from error


def install(
    target: Path,
    release: Release,
    weights: Path,
    config: Path | None = None,
    revision: str | None = None,
    digest: bytes | None = None,
) -> Manifest:
    """Prove that weights are those of a release, and write their manifest.

    `revision` is that of the hub, if they are in its cache; `digest` spares hashing them again.

    Raises:
        ModelError: they are not.
    """
    from titokzip.tokenizers.checkpoint import read_state_dict

    state = read_state_dict(weights)
    build(release, state, weights, config)
    fields = {
        "format": FORMAT,
        "release": release.name,
        "weights": str(weights),
        "config": str(config) if config else None,
        "bytes": weights.stat().st_size,
        "sha256": (digest or files.sha256(weights)).hex(),
        "fingerprint": fingerprint(release, state).hex(),
        "revision": revision,
    }
    files.write_atomically(target, json.dumps(fields, indent=2).encode() + b"\n")
    return read_manifest(target)


def load(manifest: Manifest, device: str) -> Model:
    """Load a released model; weights that changed since they were installed are refused.

    Hashing all of them would take seconds: their size is compared, and the tensors that define what
    tokens mean.

    Raises:
        ModelError: they are gone or changed.
    """
    from titokzip.tokenizers.checkpoint import read_state_dict

    assert manifest.release, "only released models have manifests of this kind"
    name, weights = manifest.name, manifest.weights[0]
    release, config = release_of(manifest), manifest.config["config"]
    if not weights.is_file():
        raise ModelError(f"{name}: its weights are gone from {weights}; pull or add it again")
    if weights.stat().st_size != manifest.config["bytes"]:
        raise ModelError(f"{weights}: damaged, or not the weights that were added as {name}")
    state = read_state_dict(weights, device)
    tokenizer = build(release, state, weights, Path(config) if config else None)
    if fingerprint(release, state) != manifest.fingerprint:
        raise ModelError(f"{weights}: not the weights that were added as {name}")
    return Model(manifest.fingerprint, tokenizer)


def build(
    release: Release, state: Mapping[str, "Tensor"], weights: Path, config: Path | None
) -> "Tokenizer":
    """Build the tokenizer of a release around its state dict; errors name the paths.

    Raises:
        ModelError: a tensor is missing, unexpected or of another shape, or the config.json
            contradicts the release.
    """
    kind = family(release.family)
    with _named(config, f"{release.name}: "):
        table = None if config is None else read_config_json(config)
        own = release.name == custom.NAME
        architecture = release.config if own else kind.check_config(release.config, table)
    with _named(weights, "", f"as {release.name}, "):
        if own:
            return custom.build(release, state, weights)  # type: ignore[no-any-return]
        return kind.from_state_dict(architecture, state)


def verify(manifest: Manifest) -> None:
    """Check every byte of the weights, and all that `load` checks.

    Raises:
        ModelError: something is wrong with them.
    """
    load(manifest, "cpu")
    if files.sha256(manifest.weights[0]) != manifest.digest:
        raise ModelError(f"{manifest.weights[0]}: damaged, its checksum does not match")


def fingerprint(release: Release, state: Mapping[str, "Tensor"]) -> bytes:
    """Identify a checkpoint by its release and by the tensors that define what tokens mean."""
    names = [key for key in family(release.family).codebook_tensors if key in state]
    tensors = {key: state[key].float().cpu().numpy() for key in names}
    digest = embedded.digest(tensors, {"release": release.name})
    return release.prefix + digest[len(release.prefix) :]


def checked_name(name: str) -> str:
    """Return a name that can name a file.

    Raises:
        ModelError: it cannot.
    """
    if not _NAME.fullmatch(name):
        raise ModelError(
            f"{name!r} cannot name a model: lower-case letters, digits, dots and dashes can"
        )
    return name


def guess(path: Path) -> Release | None:
    """Find the release that a path is named after, if any.

    Raises:
        ModelError: it is named after a release with continuous latents.
    """
    for part in path.parts[-4:]:
        refuse_continuous(part.rpartition("--")[2])
    for part in reversed(path.parts[-4:]):
        plain = _plain(part.rpartition("--")[2])  # the hub's cache: models--OWNER--NAME
        for release in (*RELEASES.values(), *GENERATORS.values()):
            repository = release.repository.rpartition("/")[2]
            if plain in (_plain(release.name), _plain(repository)):
                return release
    return None


def _plain(name: str) -> str:
    name = name.lower().replace("_", "-")
    for suffix in (".bin", ".pth", ".pt", ".safetensors", "-imagenet"):
        name = name.removesuffix(suffix)
    return name.removeprefix("tokenizer-")


def release_of(manifest: Manifest) -> Release:
    """Find the release of a manifest, or make out the model of one's own.

    Raises:
        ModelError: this version does not know it.
    """
    config = manifest.config["config"]
    release = custom.known(manifest.release or "", Path(config) if config else None)
    if release is None:
        raise ModelError(f"{manifest.path}: {manifest.release} is newer than this titokzip")
    return release


@contextmanager
def _named(path: Path | None, otherwise: str, more: str = "") -> Iterator[None]:
    """Name a file in the errors about it."""
    try:
        yield
    except ModelError as error:
        where = f"{path}: {more}" if path else otherwise
        raise ModelError(f"{where}{error}") from error
