"""Which files there are, and where their outputs go."""

import errno
import os
import stat
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from titokzip.batch.jobs import Job
from titokzip.errors import TitokzipError


@dataclass(frozen=True)
class Found:
    """A file, or what cannot be read as one, and where it is inside the folder that was named."""

    path: Path
    inside: Path
    error: Exception | None = None


def find(inputs: Iterable[str], suffixes: Collection[str], recursive: bool) -> Iterator[Found]:
    """Go through files, and with `recursive` through folders, each file once.

    In folders, the files that have one of the suffixes, in whatever case, are found. A folder that
    cannot be read or has none of them, and a link that leads nowhere or to a folder, come with an
    error.
    """
    seen: set[str] = set()
    for name in inputs:
        path = Path(name)
        folder = os.path.isdir(path)  # noqa: PTH112  (a Path's raises where we may not look)
        files = _inside(path, suffixes, recursive) if folder else [Found(path, _name(path))]
        for found in files:
            place = _place(found.path)
            if place not in seen:
                seen.add(place)
                yield found


def pair(
    found: Iterable[Found], place: Callable[[Found, bool], Path | None], skip_existing: bool = False
) -> list[Job]:
    """Pair files with outputs: `place` names it, and with True its longer name.

    Inputs that would make the same output all get the longer name, as in a.jpg.ttk and a.png.ttk.
    Those that still would are errors. With `skip_existing`, files whose output is there are left
    out.
    """
    jobs = [(one, _job(one, place)) for one in found]
    crowded = _crowded(job for _, job in jobs)
    if crowded:
        jobs = [
            (one, replace(job, target=place(one, True)) if _key(job) in crowded else job)
            for one, job in jobs
        ]
        crowded = _crowded(job for _, job in jobs)
    named = [
        replace(job, error=TitokzipError(f"another input makes {job.target}, too"))
        if _key(job) in crowded
        else job
        for _, job in jobs
    ]
    if not skip_existing:
        return named
    return [job for job in named if job.error or not is_done(job)]


def _job(found: Found, place: Callable[[Found, bool], Path | None]) -> Job:
    """Make a job; what cannot be read has no output."""
    return Job(found.path, None if found.error else place(found, False), found.error)


def _inside(folder: Path, suffixes: Collection[str], recursive: bool) -> list[Found]:
    if not recursive:
        return [Found(folder, _name(folder), IsADirectoryError(errno.EISDIR, "is a folder"))]
    errors: list[OSError] = []
    paths: list[Path] = []
    for root, folders, files in os.walk(folder, onerror=errors.append):
        paths += [Path(root, name) for name in files if _has(name, suffixes)]
        paths += [path for name in folders if (path := Path(root, name)).is_symlink()]
    found = [Found(path, path.relative_to(folder), _problem(path)) for path in sorted(paths)]
    for error in errors:
        path = Path(str(error.filename))
        found.append(Found(path, path.relative_to(folder), error))
    if not found:
        kinds = f"{len(suffixes)} suffixes of images" if len(suffixes) > 3 else ", ".join(suffixes)
        return [Found(folder, _name(folder), TitokzipError(f"no file in it has one of {kinds}"))]
    return found


def _problem(path: Path) -> Exception | None:
    """Tell why a path in a folder is no file to read."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        return error
    if stat.S_ISDIR(mode):
        return TitokzipError("a link to a folder is not followed")
    return None if stat.S_ISREG(mode) else TitokzipError("neither a file nor a folder")


def _has(name: str, suffixes: Collection[str]) -> bool:
    """Tell whether a name ends in a suffix, or is nothing else."""
    return Path(name).suffix.lower() in suffixes or name.lower() in suffixes


def _name(path: Path) -> Path:
    return Path(path.name)


def _place(path: Path) -> str:
    """Name a file so that two ways to it are one; a link is not what it leads to."""
    return os.path.join(os.path.realpath(path.parent), path.name)  # noqa: PTH118


def _key(job: Job) -> str | None:
    return _place(job.target) if job.target and not job.error else None


def _crowded(jobs: Iterable[Job]) -> set[str | None]:
    """List the outputs that several files would make."""
    counts = Counter(_key(job) for job in jobs)
    return {key for key, count in counts.items() if key is not None and count > 1}


def is_done(job: Job) -> bool:
    """Tell whether the output of a job is there."""
    return job.target is not None and os.path.isfile(job.target)  # noqa: PTH113
