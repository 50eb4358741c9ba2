"""Self-ensemble: what a network makes of an image in several orientations, averaged.

The errors of a trained network differ from orientation to orientation, and their average is
smaller (Timofte et al. 2016, arXiv:1511.02228; EDSR+ of Lim et al. 2017, arXiv:1707.02921).
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np
from numpy.typing import NDArray

from titokzip.runtime.cores import cores
from titokzip.transform.orientations import ORIENTATIONS, turned, turned_back

_MOST_WORK: Final = 2**20  # pixels times squared passes: each doubling of passes gains less
_AT_ONCE: Final = 2**18  # pixels of passes that run side by side, for the memory that they take

Channels = NDArray[np.float32]


def passes_for(pixels: int) -> int:
    """Choose how many passes an image of so many pixels gets: small ones get more."""
    return max(
        (count for count in (2, 4, ORIENTATIONS) if count**2 * pixels <= _MOST_WORK), default=1
    )


def checked(passes: int | None) -> int | None:
    """Return a number of passes that was asked for.

    Raises:
        ValueError: there are not so many orientations.
    """
    if passes is not None and not 1 <= passes <= ORIENTATIONS:
        raise ValueError(f"{passes} passes: an image has 1 to {ORIENTATIONS} orientations")
    return passes


def threads_for(passes: int, pixels: int) -> int:
    """Choose how many passes over an image of so many pixels run side by side."""
    return min(passes, cores(), max(1, _AT_ONCE // pixels))


def averaged(
    refine: Callable[[Channels], Channels], channels: Channels, passes: int, threads: int = 1
) -> Channels:
    """Average what `refine` makes of channels [C, H, W] in the first `passes` orientations.

    `refine` gives arrays of its own. With several `threads`, passes run side by side.
    """

    def refined(orientation: int) -> Channels:
        one = np.ascontiguousarray(turned(channels, orientation))
        return turned_back(refine(one), orientation)

    with ThreadPoolExecutor(threads) as pool:
        found = pool.map(refined, range(passes)) if threads > 1 else map(refined, range(passes))
        total = next(found)
        for image in found:
            total += image
    total /= np.float32(passes)
    return total
