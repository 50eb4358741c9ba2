"""Which models exist, where their weights are, and proof that they are the right ones.

Our own models carry their manifest inside the weights file (`embedded`). For a released one
(`catalog`), a manifest is written when it is pulled from the hub or added from a file (`released`,
`hub`). A .ttk file names either by the first bytes of a fingerprint of what its tokens mean. Models
with the same fingerprint are decoders of the same tokens.
"""

from pathlib import Path
from typing import Any

from titokzip.errors import ModelError
from titokzip.generation.config import GENERATOR_FAMILIES
from titokzip.tokenizers.config import find_weights
from titokzip.zoo import custom, embedded, hub, released
from titokzip.zoo.catalog import GOLDEN, RELEASES, Golden, Release, packed_bytes, refuse_continuous
from titokzip.zoo.embedded import digest, fingerprint, parameters, save
from titokzip.zoo.generators import GENERATORS
from titokzip.zoo.manifest import Manifest, Model
from titokzip.zoo.released import release_of
from titokzip.zoo.store import (
    DEFAULT,
    files,
    find,
    find_fingerprint,
    folders,
    manifests,
    name_of,
    read_manifest,
)

__all__ = [
    "DEFAULT",
    "GENERATORS",
    "GOLDEN",
    "RELEASES",
    "Golden",
    "Manifest",
    "Model",
    "Release",
    "add",
    "digest",
    "files",
    "find",
    "find_fingerprint",
    "fingerprint",
    "folders",
    "known_as",
    "load",
    "load_generator",
    "manifests",
    "name_of",
    "packed_bytes",
    "parameters",
    "pull",
    "read_manifest",
    "release",
    "release_of",
    "remove",
    "save",
    "verify",
]


def load(manifest: Manifest, device: str = "cpu") -> Model:
    """Load a model onto a device and prove that its weights are what the manifest says.

    Raises:
        ModelError: the weights are damaged, or of a kind that this version does not know.
    """
    if manifest.kind == embedded.KIND:
        return embedded.load(manifest, device)
    if manifest.kind in GENERATOR_FAMILIES:
        raise ModelError(f"{manifest.name}: a generator of tokens, not a tokenizer")
    if manifest.release:
        return released.load(manifest, device)
    raise ModelError(
        f"{manifest.path}: models of kind {manifest.kind!r} are newer than this titokzip"
    )


def load_generator(manifest: Manifest, device: str = "cpu") -> Any:
    """Load a generator onto a device, as `load` does a tokenizer.

    Raises:
        ModelError: it is damaged, or no generator.
    """
    if manifest.kind not in GENERATOR_FAMILIES:
        raise ModelError(f"{manifest.name}: a tokenizer, not a generator of tokens")
    return released.load(manifest, device).tokenizer


def verify(manifest: Manifest) -> None:
    """Check a model more thoroughly than `load` does: every byte of its weights.

    Raises:
        ModelError: something is wrong with it.
    """
    if manifest.release:
        released.verify(manifest)
    else:
        load(manifest)


def release(name: str) -> Release:
    """Find a release by its name.

    Raises:
        ModelError: there is none, or its latents are no tokens.
    """
    refuse_continuous(name)
    found = custom.known(name)
    if found is None:
        raise ModelError(f"no release is named {name!r}; there is: {', '.join(RELEASES)}")
    return found


def pull(release: Release, force: bool = False) -> Manifest:
    """Fetch a released model from the hub, unless it is in the hub's cache already.

    Raises:
        ModelError: it cannot be had, or is here and `force` is not set.
    """
    return hub.pull(release, _target(release.name, force))


def add(
    path: Path, name: str | None = None, like: str | None = None, force: bool = False
) -> Manifest:
    """Make released weights that are here usable by name; they stay where they are.

    `path` is a folder in the official layout, a config.json beside a model.safetensors, or a state
    dict in a .safetensors, .bin or .pth file. `like` names the release whose architecture it has;
    by default `name` does, or the names of the file and its folders.

    Raises:
        ModelError: the weights are not those of a release, or the name is taken and `force` is not
            set.
    """
    path = path.absolute()
    kind = known_as(path, name, like)
    weights, config = find_weights(path)
    named = path.name if kind.name == custom.NAME else kind.name
    target = _target(named if name is None else name, force)
    return released.install(target, kind, weights, config)


def known_as(path: Path, name: str | None = None, like: str | None = None) -> Release:
    """Tell which release weights are of; see `add`.

    Raises:
        ModelError: nothing tells.
    """
    if like is not None:
        return release(like)
    if name is not None and (found := custom.known(name)):
        return found
    guessed = custom.in_folder(path) or released.guess(path)
    if guessed is None:
        raise ModelError(f"{path}: its name tells no release; --like names one, such as titok-l32")
    return guessed


def remove(manifest: Manifest) -> None:
    """Forget a released model, and delete what `pull` fetched; files that were added stay.

    Raises:
        ModelError: it came with titokzip, or is a file of the user's.
    """
    if not manifest.release:
        raise ModelError(
            f"{manifest.name}: not pulled or added; {manifest.path} would have to be deleted"
        )
    if manifest.config["revision"]:
        hub.forget(release(manifest.release).repository, manifest.config["revision"])
    manifest.path.unlink()


def _target(name: str, force: bool) -> Path:
    """Choose where the manifest of a model goes, or refuse a name that is taken."""
    target = folders()[0] / f"{released.checked_name(name)}{released.SUFFIX}"
    for known in manifests():
        if known.name == name and not (force and known.path == target):
            raise ModelError(f"{name} is here already, in {known.path}")
    return target
