"""Integers of the embedded model to an image, as it is decoded and as an encoder tries it."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from titokzip.bitstream.header import Header
from titokzip.images import LARGE
from titokzip.layouts.pixels import at_size, to_image
from titokzip.layouts.protocol import Size
from titokzip.layouts.refinement import Refinement, is_doubled
from titokzip.layouts.stored import transform_layout
from titokzip.tokenizers.embedded.quantizer import dequantize
from titokzip.transform import planes
from titokzip.transform.planes import Planes
from titokzip.transform.pyramid import Integers, synthesise
from titokzip.transform.resample import enlarge


class Reconstruction:
    """The way from integers to pixels, with a decoder network on it."""

    def __init__(self, refinement: Refinement, truncate: bool = False) -> None:
        """Take the network; `truncate` truncates pixels to 8 bits instead of rounding them."""
        self.refinement, self.truncate = refinement, truncate

    def image(
        self,
        header: Header,
        integers: Integers,
        size: Size | None,
        shown: Size | None = None,
        passes: int | None = None,
    ) -> Image.Image:
        """Make the image at a size; the network doubles it as one of the size `shown` asks for."""
        layout = transform_layout(header)
        colours, alpha = _decoded(header, integers)
        rows, columns = colours.shape[1:]
        if layout.refined:
            goal = shown or size or (header.width, header.height)
            double = is_doubled(rows, columns, layout.step, goal, resampled=size is not None)
            colours = self.refinement(colours, layout.step, double, passes)
        parts = colours
        if header.alpha:
            parts = np.concatenate([colours, enlarge(alpha, *colours.shape[1:])])
        if not layout.blocks:  # it was padded
            scale = parts.shape[1] // rows
            parts = parts[:, : scale * header.height, : scale * header.width]
        if size is not None and size[0] * size[1] <= LARGE:  # larger ones in 8 bits
            parts = enlarge(parts, size[1], size[0])
        return at_size(_to_image(parts, self.truncate), size)

    def added(self, header: Header, integers: Integers) -> Planes:
        """Give what one pass of the network adds to the planes [C, H, W] of a working image.

        It is that of the working size also where the image is decoded at twice that: coefficients
        have no more.
        """
        colours, alpha = _decoded(header, integers)
        refined = self.refinement(colours, transform_layout(header).step, double=False, passes=1)
        return planes.rotated(np.concatenate([refined - colours, np.zeros_like(alpha)]))


def _decoded(header: Header, integers: Integers) -> tuple[Planes, Planes]:
    """Undo the transform: colours [1 or 3, H, W] and alpha [0 or 1, H, W] of the working image."""
    layout = transform_layout(header)
    decoded = planes.to_channels(synthesise(dequantize(integers, layout.step)), layout.mask)
    return decoded[: len(decoded) - header.alpha], decoded[len(decoded) - header.alpha :]


def _to_image(channels: NDArray[np.float32], truncate: bool) -> Image.Image:
    """Convert channels [C, H, W] of 0..255 to an image of mode L, LA, RGB or RGBA."""
    levels = channels.clip(0, 255)
    return to_image((levels if truncate else np.rint(levels)).astype(np.uint8).transpose(1, 2, 0))
