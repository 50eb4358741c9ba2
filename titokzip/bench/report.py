"""Lines of a run to what is shown of it: averages, the machine, and the result as JSON."""

import json
import platform
import subprocess
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from titokzip import __version__, files
from titokzip.bench import frechet
from titokzip.bench.frechet import Statistics
from titokzip.runtime.cores import cores

SCHEMA = 3
Line = dict[str, Any]
_FACTS = {"codec", "point", "budget", "coded", "setting"}
_NOT_MEASURES = {
    "point", "codec", "images", "fit", "over", "bytes", "file_bytes", "header", "bpp",
}  # fmt: skip
_RISING = {"psnr", "ms_ssim", "ssimulacra2"}
_PACKAGES = ("torch", "numpy", "pillow", "constriction", "imagecodecs", "scikit-image")


@dataclass
class Sums:
    """Averages of one codec at one point, gathered line by line."""

    images: int = 0
    fit: int = 0
    totals: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    bpp: dict[str, float] = field(default_factory=dict)  # sums over the images of each measure

    def add(self, row: Line) -> None:
        """Count in one image."""
        self.images += 1
        self.fit += row["bytes"] is not None
        for key, value in row.items():
            if key not in _FACTS and value is not None:
                self.totals[key] = self.totals.get(key, 0.0) + value
                self.counts[key] = self.counts.get(key, 0) + 1
                self.bpp[key] = self.bpp.get(key, 0.0) + row["bpp"]

    def means(self) -> Line:
        """Average over the images that have each measure; say how many where not all that fit.

        `over` has, for such a measure, the number of images and their bits per pixel: a curve is
        drawn and compared at the rates of the images that it is measured on.
        """
        made: Line = {key: total / self.counts[key] for key, total in self.totals.items()}
        fewer = {key: n for key, n in self.counts.items() if n < self.fit}
        if fewer:
            made["over"] = {
                key: {"images": n, "bpp": self.bpp[key] / n} for key, n in fewer.items()
            }
        return made


def summary(lines: Iterable[Line]) -> list[Line]:
    """Average lines by point and codec, in the order in which they come."""
    sums: dict[tuple[str, str], Sums] = {}
    for line in lines:
        for row in line.get("rows", []):
            sums.setdefault((row["point"], row["codec"]), Sums()).add(row)
    points = list(dict.fromkeys(point for point, _ in sums))
    codecs = list(dict.fromkeys(codec for _, codec in sums))
    return [
        {"point": point, "codec": codec, "images": one.images, "fit": one.fit} | one.means()
        for point in points
        for codec in codecs
        if (one := sums.get((point, codec))) is not None
    ]


def rate_of(row: Line, key: str) -> float:
    """Bits per pixel of the images on which a measure of an average was taken."""
    return float(row.get("over", {}).get(key, row)["bpp"])


def sign_of(key: str) -> int:
    """Tell whether more of a measure is better (1) or less (-1)."""
    return 1 if key in _RISING else -1


def is_measure(key: str) -> bool:
    """Tell whether a column says how good an image is, and not how large its file."""
    return key not in _NOT_MEASURES


def is_paired(key: str) -> bool:
    """Tell whether a measure compares each image with its own original."""
    return is_measure(key) and not key.split()[-1].startswith(("rfid", "fid", "fd-"))


def add_frechet(
    table: list[Line], folder: Path, widths: Mapping[str, int], known: Mapping[str, Statistics]
) -> None:
    """Add the Frechet distances to what is known of the originals, from features [n, D] on disk."""
    for name, width in widths.items():
        reference = known.get(name)
        for row in table:
            path = folder / "features" / name / f"{row['codec']}.{row['point']}.f32"
            own = frechet.Store(path, width).statistics() if row["fit"] else None
            if own is not None and reference is not None:
                row[name] = frechet.distance(reference, own)


def environment(device: str) -> Line:
    """Say on what machine, with what software, and when."""
    import torch

    cuda = device == "cuda"
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "titokzip": __version__,
        "commit": _commit(),
        "machine": f"{_processor()}, {cores()} core{'s' * (cores() > 1)}",
        "device": torch.cuda.get_device_name() if cuda else device,
        "torch threads": torch.get_num_threads(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: found for name in _PACKAGES if (found := _version(name))},
    }


def _commit() -> str | None:
    """Name the commit of a checkout, with a plus for changes on top of it."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None

    def git(*words: str) -> str:
        asked = ["git", "-C", str(root), *words]
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def write(path: Path, result: Line) -> None:
    """Write a result whole or not at all."""
    text = json.dumps(result, indent=1, allow_nan=False) + "\n"
    files.write_atomically(path, text.encode())
