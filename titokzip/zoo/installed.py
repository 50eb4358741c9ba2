"""Released models that are here: a small card each, which says where the weights are.

`NAME.model.json` in the user's folder names the release, the weights and their checksums. The
weights stay where they are: in the cache of the hub, or where the user keeps them.
"""

import json
import os
import re
import tempfile
from pathlib import Path
from types import NoneType
from typing import Any, Final

from titokzip.errors import ModelError
from titokzip.zoo import official
from titokzip.zoo.catalog import RELEASES, Release
from titokzip.zoo.model import Card, Model

SUFFIX = ".model.json"
FORMAT = "titokzip released model 1"
_FIELDS: Final[dict[str, tuple[type, ...]]] = {
    "bytes": (int,), "config": (str, NoneType), "revision": (str, NoneType),
}  # fmt: skip
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def card(path: Path) -> Card:
    """Read the card of a released model.

    Raises:
        ModelError: it is missing or damaged, or of a release that this version does not know.
    """
    try:
        told = json.loads(path.read_bytes())
        if told["format"] != FORMAT:
            raise ModelError(f"{path}: not the card of a model")
        _check(told)
        release = RELEASES.get(told["release"])
        if release is None:
            raise ModelError(f"{path}: {told['release']} is newer than this titokzip")
        return Card(
            name=path.name.removesuffix(SUFFIX),
            path=path,
            kind=release.family,
            fingerprint=bytes.fromhex(told["fingerprint"]),
            digest=bytes.fromhex(told["sha256"]),
            config=told | {"length": release.tokens},
            licence=release.licence,
            vocabulary=release.vocabulary,
            weights=(Path(told["weights"]),),
            release=release.name,
        )
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise ModelError(f"{path}: its card is damaged ({error})") from error


def _check(told: dict[str, Any]) -> None:
    """Refuse fields of other types than `install` writes."""
    for key, kinds in _FIELDS.items():
        if not isinstance(told[key], kinds):
            raise TypeError(f"{key} is {told[key]!r}")


def install(
    target: Path,
    release: Release,
    weights: Path,
    config: Path | None = None,
    revision: str | None = None,
    digest: bytes | None = None,
) -> Card:
    """Prove that weights are those of a release, and write their card.

    `revision` is that of the hub, if they are in its cache; `digest` spares hashing them again.

    Raises:
        ModelError: they are not.
    """
    state = official.read(weights)
    official.build(release, state, weights, config)
    told = {
        "format": FORMAT,
        "release": release.name,
        "weights": str(weights),
        "config": str(config) if config else None,
        "bytes": weights.stat().st_size,
        "sha256": (digest or official.sha256(weights)).hex(),
        "fingerprint": official.fingerprint(release, state).hex(),
        "revision": revision,
    }
    _write(target, json.dumps(told, indent=2).encode() + b"\n")
    return card(target)


def load(card: Card, device: str) -> Model:
    """Load a released model; weights that changed since they were installed are refused.

    Not all of them is hashed, which would take seconds: their size is compared, and the tensors
    that give tokens their meaning.

    Raises:
        ModelError: they are gone or changed.
    """
    assert card.release, "only released models have cards of this kind"
    release, weights = RELEASES[card.release], card.weights[0]
    if not weights.is_file():
        raise ModelError(f"{card.name}: its weights are gone from {weights}; pull or add it again")
    if weights.stat().st_size != card.config["bytes"]:
        raise ModelError(f"{weights}: damaged, or not the weights that were added as {card.name}")
    state = official.read(weights, device)
    config = card.config["config"]
    tokenizer = official.build(release, state, weights, Path(config) if config else None)
    if official.fingerprint(release, state) != card.fingerprint:
        raise ModelError(f"{weights}: not the weights that were added as {card.name}")
    return Model(card.fingerprint, tokenizer)


def verify(card: Card) -> None:
    """Check every byte of the weights, and all that `load` does.

    Raises:
        ModelError: something is wrong with them.
    """
    load(card, "cpu")
    if official.sha256(card.weights[0]) != card.digest:
        raise ModelError(f"{card.weights[0]}: damaged, its checksum does not match")


def checked_name(name: str) -> str:
    """Refuse a name that makes no file name.

    Raises:
        ModelError: it is none.
    """
    if not _NAME.fullmatch(name):
        raise ModelError(f"{name!r} is no name: small letters, digits, dots and dashes")
    return name


def guess(path: Path) -> Release | None:
    """Tell a release by the names that its weights go by."""
    for part in reversed(path.parts[-4:]):
        plain = _plain(part.rpartition("--")[2])  # the hub's cache: models--OWNER--NAME
        for release in RELEASES.values():
            if plain in {_plain(name) for name in _aliases(release)}:
                return release
    return None


def _aliases(release: Release) -> tuple[str, ...]:
    return release.name, release.architecture, release.repository.rpartition("/")[2]


def _plain(name: str) -> str:
    name = name.lower().replace("_", "-")
    for suffix in (".bin", ".pth", ".pt", ".safetensors", "-imagenet"):
        name = name.removesuffix(suffix)
    return name.removeprefix("tokenizer-")


def _write(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".titokzip-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
