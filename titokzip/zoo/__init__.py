"""Which models exist, where their weights are, and proof that they are the right ones.

Our own models carry their manifest inside the weights file (`embedded`). A released one (`catalog`)
gets a manifest when it is pulled from the hub or added from a file (`installed`, `hub`). A .ttk
file names either by the first bytes of a fingerprint of what its tokens mean. Models with the same
fingerprint decode the same tokens.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from titokzip.errors import ModelError
from titokzip.generation.config import GENERATOR_FAMILIES
from titokzip.zoo import custom, embedded, hub, installed
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
from titokzip.zoo.embedded import (
    lagrange,
    load_context_model,
    load_decoder,
    load_decoder_weights,
)
from titokzip.zoo.generators import GENERATORS
from titokzip.zoo.hashing import digest
from titokzip.zoo.installed import find_weights, release_of
from titokzip.zoo.manifest import Manifest, checked_name
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

if TYPE_CHECKING:
    from titokzip.tokenizers.protocol import Tokenizer

__all__ = [
    "DEFAULT",
    "EMBEDDED",
    "GENERATORS",
    "GENERATOR_FAMILIES",
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
    "lagrange",
    "load_context_model",
    "load_decoder",
    "load_decoder_weights",
    "load_generator",
    "load_tokenizer",
    "manifests",
    "name_of",
    "packed_bytes",
    "parameters",
    "pull",
    "read_manifest",
    "release",
    "release_of",
    "remove",
    "verify",
    "vocabulary_of",
]


def load_tokenizer(manifest: Manifest, device: str = "cpu") -> "Tokenizer":
    """Load a released or custom tokenizer; weights that changed are refused.

    Raises:
        ModelError: they are gone or changed, or it is a generator.
    """
    if manifest.kind in GENERATOR_FAMILIES:
        raise ModelError(f"{manifest.name}: a generator of tokens, not a tokenizer")
    return installed.load(manifest, device)


def load_generator(manifest: Manifest, device: str = "cpu") -> Any:
    """Load a generator, as `load_tokenizer` does a tokenizer.

    Raises:
        ModelError: it is damaged, or no generator.
    """
    if manifest.kind not in GENERATOR_FAMILIES:
        raise ModelError(f"{manifest.name}: a tokenizer, not a generator of tokens")
    return installed.load(manifest, device)


def parameters(manifest: Manifest) -> int:
    """Count the parameters of a model, without loading it.

    Raises:
        ModelError: its weights are missing or damaged.
    """
    if not manifest.release:
        return embedded.parameters(manifest)
    return release_of(manifest).parameters or custom.parameters(manifest.weights[0])


def verify(manifest: Manifest) -> None:
    """Check a model more thoroughly than `load` does: every byte of its weights.

    Raises:
        ModelError: something is wrong with it.
    """
    if manifest.release:
        installed.verify(manifest)
    else:
        embedded.verify(manifest)


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
        ModelError: it cannot be fetched, or is here and `force` is not set.
    """
    return hub.pull(release, _target(release.name, force))


def add(
    path: Path, name: str | None = None, like: str | None = None, force: bool = False
) -> Manifest:
    """Make weights on this machine usable by name; they stay where they are.

    A model that `titokzip train` made says in its config.json what it is. Others are of a release.

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
    own = path.name if kind.name == custom.NAME else kind.name
    target = _target(own if name is None else name, force)
    return installed.install(target, kind, weights, config)


def known_as(path: Path, name: str | None = None, like: str | None = None) -> Release:
    """Identify the release of weights by one of its names; see `add`.

    Raises:
        ModelError: none of them is a release's.
    """
    if like is not None:
        return release(like)
    if name is not None and (named := custom.known(name)):
        return named
    config = find_weights(path)[1] if path.exists() else None
    if config is not None and custom.is_described(config):
        return custom.describe(config)
    found = of_path(path, (*RELEASES.values(), *GENERATORS.values()))
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
        hub.forget(release(manifest.release).repository, revision, manifest.weights[0])
    manifest.path.unlink()


def _target(name: str, force: bool) -> Path:
    """Choose where the manifest of a model goes, or refuse a name that is taken."""
    target = folders()[0] / f"{checked_name(name)}{installed.SUFFIX}"
    for known in manifests():
        if known.name == name and not (force and known.path == target):
            raise ModelError(f"{name} is here already, in {known.path}")
    return target
