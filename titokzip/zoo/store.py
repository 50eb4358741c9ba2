"""Where models are, and how they are found: by name, by path, or by what a file says."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from titokzip.errors import ModelError
from titokzip.files import cache_folder
from titokzip.zoo import embedded, installed
from titokzip.zoo.catalog import RELEASES, of_fingerprint, refuse_continuous
from titokzip.zoo.generators import GENERATORS
from titokzip.zoo.manifest import Manifest

DEFAULT = "xs"
ALIASES = {"xs-vivid": "xs-perceptual"}  # old names, understood until 0.2
_SUFFIXES = (".safetensors", installed.SUFFIX)


def folders() -> list[Path]:
    """List where models are looked for: the user's folder, then what came with the package.

    The user's is $TITOKZIP_MODELS, by default ~/.cache/titokzip/models.
    """
    own = Path(os.environ.get("TITOKZIP_MODELS") or cache_folder() / "titokzip" / "models")
    package = Path(__file__).parent.parent
    shipped, checkout = package / "weights", package.parent / "weights"
    return [own, shipped if shipped.is_dir() else checkout]


def manifests() -> Iterator[Manifest]:
    """Read the manifests of all models on this machine; loads no weights, skips other files."""
    for path in files():
        with suppress(ModelError):
            yield read_manifest(path)


def files() -> Iterator[Path]:
    """List the files of models here, whatever their contents.

    Raises:
        PermissionError: $TITOKZIP_MODELS cannot be read. A cache that is another user's is skipped.
    """
    for folder in folders():
        try:
            yield from sorted(set(_files_in(folder)))
        except PermissionError:
            if os.environ.get("TITOKZIP_MODELS"):
                raise


def _files_in(folder: Path) -> Iterator[Path]:
    for suffix in _SUFFIXES:
        yield from filter(_is_file, folder.glob(f"*{suffix}"))  # a pipe would be waited for


def read_manifest(path: Path) -> Manifest:
    """Read the manifest of one model.

    Raises:
        ModelError: it is missing, damaged, or not a titokzip model.
    """
    if path.name.endswith(installed.SUFFIX):
        return installed.read_manifest(path)
    return embedded.read_manifest(path)


def find(name: str) -> Manifest:
    """Find a model by its name, or by the path of its weights or its manifest.

    Raises:
        ModelError: there is none; if it can be fetched, the command is named.
    """
    if name.endswith(_SUFFIXES):
        return read_manifest(Path(name))
    known = list(manifests())
    name = ALIASES.get(name, name)
    for candidate in known:
        if candidate.name == name:
            return candidate
    if name in RELEASES or name in GENERATORS:
        raise ModelError(f"{name} is not here; `titokzip models pull {name}` fetches it")
    refuse_continuous(name)
    names = ", ".join(candidate.name for candidate in known) or "none"
    raise ModelError(
        f"no model named {name!r} here; there is: {names};"
        " `titokzip models list` shows those that can be fetched"
    )


def find_fingerprint(prefix: bytes) -> Manifest:
    """Find the model that a file was compressed with, by the first bytes of its fingerprint.

    Of several models with that fingerprint, the default model is taken, or else the first.

    Raises:
        ModelError: it is not here; if it can be fetched, the command is named.
    """
    fitting = [candidate for candidate in manifests() if candidate.fingerprint.startswith(prefix)]
    if fitting:
        return min(fitting, key=lambda candidate: candidate.name != DEFAULT)
    release = of_fingerprint(prefix)
    if release is None:
        places = ", ".join(str(folder) for folder in folders())
        raise ModelError(
            f"compressed with model {prefix.hex()}, which is not in {places};"
            " put its weights into a folder and set TITOKZIP_MODELS to it"
        )
    if any(candidate.release == release.name for candidate in manifests()):
        raise ModelError(
            f"compressed with another checkpoint of {release.name} ({prefix.hex()}) than is here;"
            " `titokzip models add` takes more than one, under names of their own"
        )
    raise ModelError(
        f"compressed with {release.name}, which is not here;"
        f" `titokzip models pull {release.name}` fetches it"
    )


def name_of(prefix: bytes) -> str | None:
    """Name the model, or the release, that a file was compressed with, if it is known."""
    with suppress(ModelError):
        return find_fingerprint(prefix).name
    release = of_fingerprint(prefix)
    return release.name if release else None


def vocabulary_of(prefix: bytes) -> int:
    """Give K, the values of a token, of the model that a file of tiles was made with.

    Raises:
        ModelError: it is no known release, and no custom model here.
    """
    release = of_fingerprint(prefix)
    if release is None:
        manifest = find_fingerprint(prefix)
        if manifest.release is None:
            raise ModelError(f"compressed with model {prefix.hex()}, which is no known release")
        release = installed.release_of(manifest)
    return release.vocabulary


def _is_file(path: Path) -> bool:
    with suppress(OSError):
        return path.is_file()
    return False
