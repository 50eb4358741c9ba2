"""Files: found, hashed, and written whole or not at all."""

import hashlib
import os
import tempfile
from pathlib import Path

TEMPORARY_PREFIX = ".titokzip-"


def sha256(path: Path) -> bytes:
    """Hash a whole file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file whole or not at all, with the permissions of a new file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
