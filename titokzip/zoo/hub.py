"""The hub of Hugging Face, through its own library: its cache, resumption, progress and settings.

HF_HOME, HF_HUB_CACHE, HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE mean what they mean to other tools,
and files that another tool fetched are not fetched again.
"""

import re
from pathlib import Path
from types import ModuleType

from titokzip import files
from titokzip.errors import ModelError
from titokzip.zoo import installed
from titokzip.zoo.catalog import Release
from titokzip.zoo.installed import CONFIG, WEIGHTS
from titokzip.zoo.manifest import Manifest

HOW_TO_INSTALL = "pip install 'titokzip[hub]'"
_SHA256 = re.compile(r"[0-9a-f]{64}")


def pull(release: Release, target: Path) -> Manifest:
    """Fetch a release, unless it is in the hub's cache, and write its manifest.

    Some repositories hold a pickle of tensors and nothing else.

    Raises:
        ModelError: huggingface_hub is not installed, or the weights cannot be fetched: no network,
            no room, wrong bytes, not those of the release.
    """
    config = _fetch(release, CONFIG)
    if config is None and release.config.needs_config_json:
        raise ModelError(f"{release.repository} holds no {CONFIG}")
    weights = next(filter(None, (_fetch(release, name) for name in WEIGHTS)), None)
    if weights is None:
        raise ModelError(f"{release.repository} holds no {' or '.join(WEIGHTS)}")
    sha256 = _checked(release, weights)
    return installed.install(target, release, weights, config, weights.parent.name, sha256)


def forget(repository: str, revision: str, weights: Path) -> None:
    """Delete a revision from the hub's cache, if it is there still and these are its weights."""
    library = _library()
    from huggingface_hub import constants

    if not Path(constants.HF_HUB_CACHE).is_dir():
        return
    cache = library.scan_cache_dir(constants.HF_HUB_CACHE)
    for repo in cache.repos:
        for kept in repo.revisions if repo.repo_id == repository else ():
            if kept.commit_hash == revision and kept.snapshot_path == weights.parent:
                cache.delete_revisions(revision).execute()


def _fetch(release: Release, name: str) -> Path | None:
    """Fetch a file; None if the hub says, or said before, that there is none."""
    hub = _library()
    from huggingface_hub import errors

    try:
        return Path(hub.hf_hub_download(release.repository, name))
    except errors.RemoteEntryNotFoundError:
        return None
    except Exception as error:  # of the library, of the network beneath it, or of the disk
        if hub.try_to_load_from_cache(release.repository, name) is hub._CACHED_NO_EXIST:
            return None
        reason = _reason(error, f"{release.repository}/{name}")
        raise ModelError(f"{release.name} cannot be fetched: {reason}") from error


def _reason(error: Exception, what: str) -> str:
    """Say in one line why a file cannot be fetched."""
    from huggingface_hub import constants, errors

    if isinstance(error.__cause__, errors.HfHubHTTPError):
        error = error.__cause__  # the reason that the library fell back to its cache
    if isinstance(error, errors.GatedRepoError):
        return f"{what} is behind terms to accept on {constants.ENDPOINT}, and needs a login"
    if isinstance(error, errors.LocalEntryNotFoundError):
        where = f"{what} is not in {constants.HF_HUB_CACHE}"
        if constants.HF_HUB_OFFLINE:
            return f"{where}, and HF_HUB_OFFLINE is set"
        return f"{where}, and {constants.ENDPOINT} cannot be reached"
    if isinstance(error, errors.HfHubHTTPError):
        return f"{constants.ENDPOINT} answers {error.response.status_code} for {what}"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror} ({error.filename or constants.HF_HUB_CACHE})"
    return " ".join(str(error).split())[:200] or type(error).__name__


def _checked(release: Release, weights: Path) -> bytes:
    """Hash what was fetched, and delete it if it is not what the hub says it is."""
    digest = files.sha256(weights)
    # In the cache, a file is a link to a blob that is named after its checksum.
    named = weights.readlink().name if weights.is_symlink() else ""
    if _SHA256.fullmatch(named) and named != digest.hex():
        (weights.parent / weights.readlink()).unlink(missing_ok=True)
        weights.unlink()
        raise ModelError(
            f"{release.name}: wrong bytes came from {release.repository}, and are deleted again:"
            f" sha256 {digest.hex()[:16]}… instead of {named[:16]}…; pull it again"
        )
    return digest


def _library() -> ModuleType:
    try:
        import huggingface_hub
    except ImportError as error:
        raise ModelError(
            f"the hub's library is not installed; {HOW_TO_INSTALL}"
            " brings it, and `titokzip models add` takes weights that are here"
        ) from error
    return huggingface_hub
