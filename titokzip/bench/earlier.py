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
from titokzip.bench.downscale_search import Searched
from titokzip.bench.image_codec import ImageCodec, Size

Found = tuple[int, Size | None, str]  # budget, coded size and setting; None where no file fitted


class AnotherRun(ValueError):
    """A folder or a file is of another run than the one that was asked for."""


@dataclass(frozen=True)
class Earlier:
    """What the searches of a run found, by image and codec."""

    sha256: str  # of its result
    notes: dict[str, str]  # by codec
    networks: dict[str, tuple[str, ...]]  # SHA-256 of their files, by measure
    found: dict[tuple[str, str], list[Found]]
    rows: dict[tuple[str, str, int], dict[str, Any]]  # by image, codec and budget

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
            found: dict[tuple[str, str], list[Found]] = {}
            rows: dict[tuple[str, str, int], dict[str, Any]] = {}
            for line in result["rows"]:
                for row in line["rows"]:
                    if row.get("budget"):
                        rows[line["image"], row["codec"], row["budget"]] = row
                        found.setdefault((line["image"], row["codec"]), []).append(
                            _found(row, line)
                        )
            kind = result["dataset"]["sha256"], result["compared"]
            notes = dict(result["codecs"])
            networks = {k: tuple(one["sha256"]) for k, one in result["networks"].items()}
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise AnotherRun(f"{path}: not the result of a run") from error
        if kind != (images, compared):
            raise AnotherRun(f"{path}: a run of other images, or one that compares other bytes")
        return cls(hashlib.sha256(data).hexdigest(), notes, networks, found, rows)

    def repeat(self, name: str, image: Image.Image, codecs: Iterable[ImageCodec]) -> None:
        """Make the files that the run ended with, for the codecs that are the same as then."""
        for codec in codecs:
            if isinstance(codec, Searched) and self.notes.get(codec.name) == codec.note:
                for budget, coded, setting in self.found.get((name, codec.name), []):
                    codec.repeat(image, budget, coded, setting)

    def measured(
        self, name: str, row: Mapping[str, Any], distances: Iterable[Distance]
    ) -> dict[str, float]:
        """Give what the run measured of the file of a row: PSNR, and what is the same with it."""
        same = ["psnr", "ms_ssim"]
        same += [d.name for d in distances if self.networks.get(d.name) == d.sha256 and not d.boxes]
        known = self.rows.get((name, row["codec"], row.get("budget", 0)), {})
        return {key: known[key] for key in same if known.get(key) is not None}


def _found(row: dict[str, Any], line: dict[str, Any]) -> Found:
    if row["bytes"] is None:
        return int(row["budget"]), None, ""
    width, height = (int(side) for side in row["coded"])
    if not (0 < width <= line["width"] and 0 < height <= line["height"]):
        raise ValueError("a coded image that is larger than the original, or empty")
    return int(row["budget"]), (width, height), str(row["setting"])
