"""Both ends of a job: how images and .ttk files are read, and as what images are written."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from PIL import Image

from titokzip import images
from titokzip.batch.delivery import deliver, opened
from titokzip.batch.jobs import Job, Options, Result
from titokzip.bitstream.container import Contents
from titokzip.errors import ImageError
from titokzip.images import InputImage

if TYPE_CHECKING:  # torch is imported when the first model is loaded
    from titokzip.codec import Codec
    from titokzip.layouts.cutting import DecodedTiles
    from titokzip.layouts.protocol import Size

Facts = dict[str, Any]
_IMAGE_BYTES: Final = 2**31  # of an image that comes through a pipe, at the most


@dataclass(frozen=True)
class Source:
    """How images are read."""

    background: str | None
    keep_alpha: bool
    max_pixels: int

    def read(self, result: Result) -> InputImage:
        """Read the image of a job.

        Raises:
            ImageError: it cannot be read, or has too many pixels.
        """
        with opened(result.job, _IMAGE_BYTES) as (file, result.in_bytes):
            image = images.read(
                file, self.background, keep_alpha=self.keep_alpha, max_pixels=self.max_pixels
            )
        notes = [f"first of {image.frames} frames"] if image.frames > 1 else []
        result.note = "; ".join([*notes, *filter(None, [image.note])])
        return image


@dataclass(frozen=True)
class Coded:
    """A .ttk file that was read, and the codec for it."""

    codec: "Codec"
    contents: Contents

    @property
    def kind(self) -> tuple[int, bool]:
        """Images of one kind are decoded together."""
        return id(self.codec), self.is_large

    @property
    def pixels(self) -> int:
        """Pixels of the image."""
        return self.contents.header.width * self.contents.header.height

    @property
    def is_large(self) -> bool:
        """Whether it is resampled while it is written."""
        return self.pixels > images.LARGE


@dataclass(frozen=True)
class Form:
    """What images are written as."""

    suffix: str | None
    native: bool
    size: "Size | None"
    options: Options

    def kind(self, job: Job) -> str:
        """Name the suffix of the format that an image is written in."""
        return self.suffix or (job.target.suffix if job.target else "") or ".png"

    def check(self, result: Result) -> None:
        """Refuse a transparent image in a format without transparency, before it is decoded."""
        kind = self.kind(result.job)
        opaque = images.WRITTEN.get(kind.lower()) in images.OPAQUE
        if opaque and result.header and result.header.alpha:
            raise ImageError(
                f"it is transparent, which {kind} cannot hold; .png, .webp, .avif and .tif can"
            )


def deliver_image(result: Result, decoded: "Image.Image | DecodedTiles", form: Form) -> Facts:
    """Write an image, resampled to the size asked for, and give what was found out."""
    image = decoded if isinstance(decoded, Image.Image) else decoded.image()
    result.out_bytes = deliver(result, encoded(result, image, form), form.options)
    return facts(result)


def encoded(result: Result, image: Image.Image, form: Form) -> Iterable[bytes]:
    """Encode an image as what is written, in parts."""
    header = result.header
    assert header is not None, "what was decoded was read"
    wanted = None if form.native else form.size or (header.width, header.height)
    return images.encode(image, form.kind(result.job), wanted)


def facts(result: Result) -> Facts:
    """Take what was found out to another process; the job is there already."""
    return {name: value for name, value in vars(result).items() if name != "job"}
