"""Which models exist, where their weights are, and proof that they are the right ones.

Our own models carry their manifest inside the weights file (`embedded`). A released one (`catalog`)
gets a manifest when it is pulled from the hub or added from a file (`released`, `hub`). A .ttk file
names either by the first bytes of a fingerprint of what its tokens mean. Models with the same
fingerprint decode the same tokens.
"""

from pathlib import Path

from titokzip.errors import ModelError
from titokzip.zoo import embedded, hub, released
from titokzip.zoo.catalog import (
    GOLDEN,
    RELEASES,
    Golden,
    Release,
    of_path,
    packed_bytes,
    refuse_continuous,
)
from titokzip.zoo.embedded import KIND as EMBEDDED
from titokzip.zoo.embedded import load_context_model, load_decoder, parameters
from titokzip.zoo.hashing import digest
from titokzip.zoo.manifest import Manifest, checked_name
from titokzip.zoo.released import find_weights
from titokzip.zoo.released import load as load_tokenizer
from titokzip.zoo.store import (
    DEFAULT,
    files,
    find,
    find_fingerprint,
    folders,
    manifests,
    name_of,
    read_manifest,
    vocabulary_of,
)

__all__ = [
    "DEFAULT",
    "EMBEDDED",
    "GOLDEN",
    "RELEASES",
    "Golden",
    "Manifest",
    "Release",
    "add",
    "digest",
    "files",
    "find",
    "find_fingerprint",
    "folders",
    "known_as",
    "load_context_model",
    "load_decoder",
    "load_tokenizer",
    "manifests",
    "name_of",
    "packed_bytes",
    "parameters",
    "pull",
    "read_manifest",
    "release",
    "remove",
    "verify",
    "vocabulary_of",
]


def verify(manifest: Manifest) -> None:
    """Check a model more thoroughly than `load` does: every byte of its weights.

    Raises:
        ModelError: something is wrong with it.
    """
    if manifest.release:
        released.verify(manifest)
    else:
        embedded.verify(manifest)


def release(name: str) -> Release:
    """Find a release by its name.

    Raises:
        ModelError: there is none, or its latents are no tokens.
    """
    refuse_continuous(name)
    if name not in RELEASES:
        raise ModelError(f"no release is named {name!r}; there is: {', '.join(RELEASES)}")
    return RELEASES[name]


def pull(release: Release, force: bool = False) -> Manifest:
    """Fetch a released model from the hub, unless it is in the hub's cache already.

    Raises:
        ModelError: it cannot be fetched, or is here and `force` is not set.
    """
    return hub.pull(release, _target(release.name, force))


def add(
    path: Path, name: str | None = None, like: str | None = None, force: bool = False
) -> Manifest:
    """Make released weights on this machine usable by name; they stay where they are.

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
    target = _target(kind.name if name is None else name, force)
    return released.install(target, kind, weights, config)


def known_as(path: Path, name: str | None = None, like: str | None = None) -> Release:
    """Identify the release of weights by one of its names; see `add`.

    Raises:
        ModelError: none of them is a release's.
    """
    if like is not None:
        return release(like)
    if name in RELEASES:
        return RELEASES[name]
    found = of_path(path)
    if found is None:
        raise ModelError(
            f"{path}: its name identifies no release; say which one it is like, such as titok-l32"
        )
    return found


def remove(manifest: Manifest) -> None:
    """Forget a released model, and delete what `pull` fetched; files that were added stay.

    Raises:
        ModelError: it was neither pulled nor added here: it came with titokzip, or its manifest
            lies elsewhere.
    """
    folder = folders()[0]
    if not manifest.release or manifest.path.absolute().parent.resolve() != folder.resolve():
        raise ModelError(
            f"{manifest.name}: not pulled or added; {manifest.path} would have to be deleted"
        )
    if revision := manifest.config["revision"]:
        hub.forget(RELEASES[manifest.release].repository, revision, manifest.weights[0])
    manifest.path.unlink()


def _target(name: str, force: bool) -> Path:
    """Choose where the manifest of a model goes, or refuse a name that is taken."""
    target = folders()[0] / f"{checked_name(name)}{released.SUFFIX}"
    for known in manifests():
        if known.name == name and not (force and known.path == target):
            raise ModelError(f"{name} is here already, in {known.path}")
    return target
