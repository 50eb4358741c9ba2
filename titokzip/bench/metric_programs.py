"""Metrics by programs on the PATH that print a number: SSIMULACRA2 and Butteraugli."""

import hashlib
import re
import shlex
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from PIL import Image

from titokzip.bench.metrics import Pixels
from titokzip.errors import ModelError
from titokzip.files import sha256

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
_SECONDS = 600


@dataclass(frozen=True)
class MetricProgram:
    """A command that prints how far {decoded} is from {original}, both PNG."""

    name: str
    commands: tuple[str, ...]  # of its implementations; the first that is here measures
    rises: bool  # whether more is better
    how_to_get: str
    smallest: int = 8  # side of an image that it can measure

    @property
    def command(self) -> str | None:
        """What is called, if its program is on the PATH."""
        return next((one for one in self.commands if shutil.which(shlex.split(one)[0])), None)

    @property
    def sha256(self) -> tuple[str, ...]:
        """Hashes of the program, or of the script that starts it, and of its version."""
        path = self.command and shutil.which(shlex.split(self.command)[0])
        return _hashes(path) if path else ()

    def measures(self, pixels: Pixels) -> bool:
        """Tell whether it can measure an image."""
        return int(min(pixels.shape[:2])) >= self.smallest

    def __call__(self, original: Pixels, decoded: Pixels) -> float:
        """Measure one image against its original.

        Raises:
            ModelError: the program is not here, fails, or prints no number.
        """
        command = self.command
        if command is None:
            raise ModelError(f"{self.name}: {self.how_to_get}")
        with tempfile.TemporaryDirectory(prefix="titokzip-bench-") as folder:
            places = {}
            for name, pixels in (("original", original), ("decoded", decoded)):
                places[name] = str(Path(folder, f"{name}.png"))
                Image.fromarray(pixels).save(places[name], "PNG", compress_level=1)
            words = [word.format(**places) for word in shlex.split(command)]
            try:
                done = subprocess.run(
                    words, capture_output=True, text=True, stdin=subprocess.DEVNULL,
                    timeout=_SECONDS, check=True,
                )  # fmt: skip
            except (OSError, subprocess.SubprocessError) as error:
                raise ModelError(f"{self.name}: {words[0]} failed ({error})") from error
        found = _NUMBER.search(done.stdout)
        if found is None:
            raise ModelError(f"{self.name}: {words[0]} printed no number")
        return float(found[0])


KNOWN = (
    MetricProgram(
        "ssimulacra2",
        ("ssimulacra2 {original} {decoded}", "ssymulacra2 {original} {decoded}"),
        True,
        "pip install ssimulacra2, or put ssimulacra2 on the PATH, from libjxl's tools",
    ),
    MetricProgram(
        "butteraugli",
        ("butteraugli_main {original} {decoded}",),
        False,
        "put butteraugli_main on the PATH, from libjxl's tools",
    ),
)
HOW_TO_GET = {one.name: one.how_to_get for one in KNOWN}


@cache
def _hashes(path: str) -> tuple[str, ...]:
    """Hash a program, and what it says of its version: scripts of any version look alike."""
    try:
        told = subprocess.run(
            [path, "--version"], capture_output=True, stdin=subprocess.DEVNULL, timeout=_SECONDS
        )
    except (OSError, subprocess.SubprocessError):
        return (sha256(Path(path)).hex(),)
    return sha256(Path(path)).hex(), hashlib.sha256(told.stdout + told.stderr).hexdigest()


def available() -> list[MetricProgram]:
    """List those whose programs are here."""
    return [one for one in KNOWN if one.command is not None]
