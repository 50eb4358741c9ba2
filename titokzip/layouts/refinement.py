"""The decoder network of the embedded model at work: which one, at which size, in how many passes.

Channels are [1 or 3, H, W] of the working image, H x W pixels.
"""

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from titokzip.layouts.protocol import Size
from titokzip.runtime.self_ensemble import averaged, passes_for, threads_for

if TYPE_CHECKING:
    from titokzip.runtime.numpy_refiner import NumpyRefiner
    from titokzip.runtime.windowed_decoding import Refiner

# Working images over half the image's size are doubled, too, and reduced again, where detail is
# lost to quantisation: a step index of at least this, and pixels of at most so many, for memory.
_COARSE: Final = 160
_MOST_DOUBLED: Final = 2**21

Channels = NDArray[np.float32]


def is_doubled(rows: int, columns: int, step: int, size: Size, resampled: bool = True) -> bool:
    """Tell whether the network gives a working image at twice its size, for an image of `size`.

    Without `resampled`, what it gives is to be no larger than that.
    """
    width, height = size
    if 2 * columns <= width and 2 * rows <= height:
        return True
    smaller = columns < width and rows < height
    return resampled and smaller and step >= _COARSE and rows * columns <= _MOST_DOUBLED


class Refinement:
    """The decoder network, loaded when the first image needs it."""

    def __init__(
        self,
        load_refiner: "Callable[[], Refiner]",
        load_small: "Callable[[], NumpyRefiner] | None" = None,
        passes: int | None = None,
    ) -> None:
        """Take what loads it; `load_small` loads what refines small images instead, without torch.

        `passes` of it are averaged; without it as many as the model and an image's size are worth.
        """
        self._load_refiner, self._load_small, self.passes = load_refiner, load_small, passes

    @cached_property
    def refiner(self) -> "Refiner":
        """The network in torch."""
        return self._load_refiner()

    @cached_property
    def small(self) -> "NumpyRefiner | None":
        """The network in NumPy, if it was asked for."""
        return self._load_small() if self._load_small else None

    def __call__(
        self, channels: Channels, step: int, double: bool, passes: int | None = None
    ) -> Channels:
        """Improve channels, at their own size or at twice it; one channel stays one."""
        three, small = np.broadcast_to(channels, (3, *channels.shape[1:])), self.small
        pixels = three[0].size
        refiner = small if small and pixels <= small.most_pixels else self.refiner
        passes = passes or self.passes
        if passes is None:
            passes = passes_for(pixels) if refiner.config.self_ensemble else 1
        threads = threads_for(passes, pixels) if refiner is small else 1  # torch has its own
        refined = averaged(lambda image: refiner(image, step, double), three, passes, threads)
        return refined.mean(axis=0, keepdims=True) if len(channels) == 1 else refined
