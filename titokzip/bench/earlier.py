"""An earlier run, whose searches end where they ended: baselines are encoded anew, once a point.

A search over scales and qualities takes an encoder tens of attempts an image. The result of a run
says where each ended, so the next run makes that file again, measures it, and searches only for
what is new: other budgets, other versions, or a file that has become too large. Where a file's PSNR
is that of the earlier run to the last bit, it decodes to the same pixels, and other measures of it
by the same networks need no repetition either.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from PIL import Image

from titokzip.bench.distances import Distance
from titokzip.bench.downscale_search import End, Searched
from titokzip.bench.image_codec import ImageCodec

Row = dict[str, Any]  # of a result: a baseline's file and its measures


class AnotherRun(ValueError):
    """A folder or a file is of another run than the one that was asked for."""


@dataclass(frozen=True)
class Earlier:
    """What the searches of a run found, by image and codec."""

    sha256: str  # of its result
    notes: dict[str, str]  # by codec
    networks: dict[str, tuple[str, ...]]  # SHA-256 of their files, by measure
    rows: dict[tuple[str, str], dict[int, Row]]  # by image and codec, then by budget

    @classmethod
    def read(cls, path: Path, images: str, compared: str) -> Self:
        """Read the `result.json` of a run of a data set with the digest `images`.

        Raises:
            AnotherRun: it is none, or of other images, or compares other bytes.
            OSError: it cannot be read.
        """
        data = path.read_bytes()
        try:
            result = json.loads(data)
            rows: dict[tuple[str, str], dict[int, Row]] = {}
            for line in result["rows"]:
                for row in line["rows"]:
                    if row.get("budget"):
                        _check(row, line)
                        budgets = rows.setdefault((line["image"], row["codec"]), {})
                        budgets[int(row["budget"])] = row
            kind = result["dataset"]["sha256"], result["compared"]
            notes = dict(result["codecs"])
            networks = {k: tuple(one["sha256"]) for k, one in result["networks"].items()}
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise AnotherRun(f"{path}: not the result of a run") from error
        if kind != (images, compared):
            raise AnotherRun(f"{path}: a run of other images, or one that compares other bytes")
        return cls(hashlib.sha256(data).hexdigest(), notes, networks, rows)

    def repeat(self, name: str, image: Image.Image, codecs: Iterable[ImageCodec]) -> None:
        """Make the files that the run ended with, for the codecs that are the same as then."""
        for codec in codecs:
            if isinstance(codec, Searched) and self.notes.get(codec.name) == codec.note:
                rows = self.rows.get((name, codec.name), {})
                codec.repeat(image, {budget: _end(row) for budget, row in rows.items()})

    def measured(
        self, name: str, row: Mapping[str, Any], distances: Iterable[Distance]
    ) -> dict[str, float]:
        """Give what the run measured of the file of a row: PSNR, and what is the same with it."""
        same = ["psnr", "ms_ssim"]
        same += [d.name for d in distances if self.networks.get(d.name) == d.sha256 and not d.boxes]
        known = self.rows.get((name, row["codec"]), {}).get(row.get("budget", 0), {})
        return {key: known[key] for key in same if known.get(key) is not None}


def _check(row: Row, line: dict[str, Any]) -> None:
    coded, _ = _end(row)
    if coded and not (0 < coded[0] <= line["width"] and 0 < coded[1] <= line["height"]):
        raise ValueError("a coded image that is larger than the original, or empty")


def _end(row: Row) -> End:
    if row["bytes"] is None:
        return None, ""
    width, height = row["coded"]
    return (int(width), int(height)), str(row["setting"])
