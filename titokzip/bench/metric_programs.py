"""Metrics by programs on the PATH that print a number: SSIMULACRA2 and Butteraugli."""

import re
import shlex
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
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
    command: str
    rises: bool  # whether more is better
    source: str = ""
    smallest: int = 8  # side of an image that it can measure

    @property
    def path(self) -> str | None:
        """Where the program is."""
        return shutil.which(shlex.split(self.command)[0])

    @property
    def sha256(self) -> tuple[str, ...]:
        """Hash of the program, or of the script that starts it."""
        return () if self.path is None else (sha256(Path(self.path)).hex(),)

    def measures(self, pixels: Pixels) -> bool:
        """Tell whether it can measure an image."""
        return int(min(pixels.shape[:2])) >= self.smallest

    def __call__(self, original: Pixels, decoded: Pixels) -> float:
        """Measure one image against its original.

        Raises:
            ModelError: the program fails, or prints no number.
        """
        with tempfile.TemporaryDirectory(prefix="titokzip-bench-") as folder:
            places = {}
            for name, pixels in (("original", original), ("decoded", decoded)):
                places[name] = str(Path(folder, f"{name}.png"))
                Image.fromarray(pixels).save(places[name], "PNG", compress_level=1)
            words = [word.format(**places) for word in shlex.split(self.command)]
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
        "ssimulacra2 {original} {decoded}",
        True,
        "libjxl's tools, or pip install ssimulacra2",
    ),
    MetricProgram("butteraugli", "butteraugli_main {original} {decoded}", False, "libjxl's tools"),
)
HOW_TO_GET = {
    one.name: f"put {one.command.split()[0]} on the PATH, from {one.source}" for one in KNOWN
}


def available() -> list[MetricProgram]:
    """List those whose programs are here."""
    return [one for one in KNOWN if one.path is not None]
