"""Which files below a folder are images or tars of them, and which are named and passed over."""

import os
from collections.abc import Iterator
from pathlib import Path

SUFFIXES = {
    ".png", ".jpg", ".jpeg", ".jfif", ".webp", ".avif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm",
    ".gif", ".jp2",
}  # fmt: skip
PACKED = (".gz", ".tgz", ".bz2", ".xz", ".txz", ".zst", ".zip", ".7z")  # not read as they are
RUN_FILES = ("settings.json", "rows.jsonl")  # what every run leaves in its folder


def walk(top: Path, out: Path | None, skipped: dict[str, str]) -> Iterator[Path]:
    """List images and tars below a folder by name, through links, each folder once."""
    seen: set[str] = set()
    own = out.resolve() if out else None

    def unreadable(error: OSError) -> None:
        skipped[str(error.filename)] = f"cannot be read ({error.strerror})"

    for folder, folders, names in os.walk(top, onerror=unreadable, followlinks=True):
        place = Path(folder)
        real = place.resolve()
        if str(real) in seen or real == own or _is_run(place):
            if real == own or _is_run(place):
                skipped[folder] = "what a run of bench wrote"
            folders.clear()
            continue
        seen.add(str(real))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and (why := _unread(place / name)) is not None:
                if why:
                    skipped[str(place / name)] = why
                else:
                    yield place / name


def _is_run(folder: Path) -> bool:
    return all((folder / name).exists() for name in RUN_FILES)


def _unread(file: Path) -> str | None:
    """Say why a file is not read: nothing if it is, None if it is no data."""
    suffix = file.suffix.lower()
    if suffix not in SUFFIXES and suffix != ".tar":
        packed = file.name.lower().endswith(PACKED)
        return "compressed; unpack it to a .tar or a folder first" if packed else None
    if file.is_symlink() and not file.exists():
        return "a link that leads nowhere"
    return "" if file.is_file() else "no file"
