"""Coded training images on disk: parts of some hundred images that are mapped into memory.

A folder holds, for each part PPPPP:

    PPPPP.original.u8   [3, H, W] RGB of each image at its working size, uint8, one after the other
    PPPPP.decoded.f16   [3, H, W] RGB as the transform decodes it, float16, 0 to 255, not clipped
    PPPPP.double.u8     [3, 2 H, 2 W] originals at twice the working size, of images that have it
    PPPPP.json          a list of `Record`s; it is written last, so a part without it is not done
"""

import json
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from titokzip.errors import ImageError
from titokzip.files import write_atomically

Pixels = NDArray[np.uint8]
Decoded = NDArray[np.float16]


@dataclass(frozen=True)
class Record:
    """What is known about an image, and where it is in its part."""

    name: str
    is_photo: bool
    h: int  # of the working image
    w: int
    step: float  # of luma
    psnr: float  # dB, of the working image as the transform decodes it
    offset: int = 0  # in numbers, into originals and decoded images
    double: int | None = None  # the same into the doubles
    part: int = 0


class Item(NamedTuple):
    """A coded image."""

    record: Record
    original: Pixels  # [3, H, W]
    decoded: Decoded  # [3, H, W]
    double: Pixels | None  # [3, 2 H, 2 W]


def write(stem: Path, items: Iterable[Item]) -> int:
    """Write a part; gives the number of its images."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    records: list[Record] = []
    offset = double_offset = 0
    with ExitStack() as stack:
        originals, decoded, doubles = (
            stack.enter_context(stem.with_suffix(suffix).open("wb")) for suffix in _SUFFIXES
        )
        for item in items:
            originals.write(item.original.tobytes())
            decoded.write(item.decoded.tobytes())
            at = None
            if item.double is not None:
                doubles.write(item.double.tobytes())
                at, double_offset = double_offset, double_offset + item.double.size
            records.append(replace(item.record, offset=offset, double=at))
            offset += item.original.size
    table = json.dumps([asdict(record) for record in records])
    write_atomically(stem.with_suffix(".json"), table.encode())
    return len(records)


class Items:
    """The finished parts of a data set, memory-mapped.

    Raises:
        ImageError: there are none, or one is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.records: list[Record] = []
        self._parts: list[list[NDArray[Any]]] = []
        for path in sorted(folder.glob("?????.json")):
            try:
                listed = [Record(**fields) for fields in json.loads(path.read_text())]
                self._parts.append([_mapped(path.with_suffix(suffix)) for suffix in _SUFFIXES])
            except (OSError, TypeError, ValueError) as error:
                raise ImageError(f"{path}: not a part of a data set ({error})") from error
            self.records += [replace(one, part=len(self._parts) - 1) for one in listed]
        if not self.records:
            raise ImageError(f"{folder}: no coded images here")

    def images(self, record: Record) -> tuple[Pixels, Decoded]:
        """View the original and the decoded image [3, H, W] of a record."""
        originals, decoded, _ = self._parts[record.part]
        shape = 3, record.h, record.w
        return _view(originals, record.offset, shape), _view(decoded, record.offset, shape)

    def double(self, record: Record) -> Pixels:
        """View the original at twice the working size [3, 2 H, 2 W]; the record must have one."""
        assert record.double is not None
        return _view(self._parts[record.part][2], record.double, (3, 2 * record.h, 2 * record.w))


_SUFFIXES = (".original.u8", ".decoded.f16", ".double.u8")


def _mapped(path: Path) -> NDArray[Any]:
    kind = np.float16 if path.suffix == ".f16" else np.uint8
    if not path.stat().st_size:  # which cannot be mapped
        return np.empty(0, kind)
    return np.memmap(path, kind, "r")


def _view(numbers: NDArray[Any], at: int, shape: tuple[int, int, int]) -> NDArray[Any]:
    return numbers[at : at + int(np.prod(shape))].reshape(shape)
