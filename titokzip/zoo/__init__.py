"""Which models exist, where their weights are, and proof that they are the right ones.

Two kinds are told apart by their cards: our own, whose weights files carry theirs (`embedded`), and
released ones (`catalog`), for which a card is written when they are pulled from the hub or added
from a file (`installed`, `hub`). Files name both by the first bytes of a fingerprint of what their
tokens mean. Models with the same fingerprint are painters of the same tokens.
"""

from pathlib import Path

from titokzip.errors import ModelError
from titokzip.models import continuous
from titokzip.zoo import embedded, hub, installed, official
from titokzip.zoo.catalog import GOLDEN, RELEASES, Golden, Release, packed_bytes
from titokzip.zoo.embedded import digest, fingerprint, parameters, save
from titokzip.zoo.model import Card, Model
from titokzip.zoo.search import (
    DEFAULT,
    card,
    cards,
    files,
    find,
    find_fingerprint,
    folders,
    name_of,
)

__all__ = [
    "DEFAULT",
    "GOLDEN",
    "RELEASES",
    "Card",
    "Golden",
    "Model",
    "Release",
    "add",
    "card",
    "cards",
    "digest",
    "files",
    "find",
    "find_fingerprint",
    "fingerprint",
    "folders",
    "known_as",
    "load",
    "name_of",
    "packed_bytes",
    "parameters",
    "pull",
    "release",
    "remove",
    "save",
    "verify",
]


def load(card: Card, device: str = "cpu") -> Model:
    """Load a model onto a device and prove that its weights are what the card says.

    Raises:
        ModelError: the weights are damaged, or of a kind that this version does not know.
    """
    if card.kind == embedded.KIND:
        return embedded.load(card, device)
    if card.release:
        return installed.load(card, device)
    raise ModelError(f"{card.path}: models of kind {card.kind!r} are newer than this titokzip")


def verify(card: Card) -> None:
    """Check a model more thoroughly than `load` does: every byte of its weights.

    Raises:
        ModelError: something is wrong with it.
    """
    if card.release:
        installed.verify(card)
    else:
        load(card)


def release(name: str) -> Release:
    """Find a release by its name.

    Raises:
        ModelError: there is none, or its latents are no tokens.
    """
    continuous.refuse(name)
    if name not in RELEASES:
        raise ModelError(f"no release is named {name!r}; there is: {', '.join(RELEASES)}")
    return RELEASES[name]


def pull(release: Release, force: bool = False) -> Card:
    """Fetch a released model from the hub, unless it is in the hub's cache already.

    Raises:
        ModelError: it cannot be had, or is here and `force` is not set.
    """
    return hub.pull(release, _target(release.name, force))


def add(path: Path, name: str | None = None, like: str | None = None, force: bool = False) -> Card:
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
    weights, config = official.files(path)
    target = _target(kind.name if name is None else name, force)
    return installed.install(target, kind, weights, config)


def known_as(path: Path, name: str | None = None, like: str | None = None) -> Release:
    """Tell which release weights are of; see `add`.

    Raises:
        ModelError: nothing tells.
    """
    if like is not None:
        return release(like)
    if name in RELEASES:
        return RELEASES[name]
    for part in path.parts[-4:]:
        continuous.refuse(part.rpartition("--")[2])
    guessed = installed.guess(path)
    if guessed is None:
        raise ModelError(f"{path}: its name tells no release; --like names one, such as titok-l32")
    return guessed


def remove(card: Card) -> None:
    """Forget a released model, and delete what `pull` fetched; files that were added stay.

    Raises:
        ModelError: it came with titokzip, or is a file of the user's.
    """
    if not card.release:
        raise ModelError(f"{card.name}: not pulled or added; {card.path} would have to be deleted")
    if card.config["revision"]:
        hub.forget(RELEASES[card.release].repository, card.config["revision"])
    card.path.unlink()


def _target(name: str, force: bool) -> Path:
    """Choose where the card of a model goes, or refuse a name that is taken."""
    target = folders()[0] / f"{installed.checked_name(name)}{installed.SUFFIX}"
    for known in cards():
        if known.name == name and not (force and known.path == target):
            raise ModelError(f"{name} is here already, in {known.path}")
    return target
