"""Self-ensemble: what a network makes of an image in several orientations, averaged.

The errors of a trained network differ from orientation to orientation, and their average is
smaller (Timofte et al. 2016, arXiv:1511.02228; EDSR+ of Lim et al. 2017, arXiv:1707.02921).
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np
from numpy.typing import NDArray

from titokzip.transform.orientations import ORIENTATIONS, turned, turned_back

MOST: Final = 2**20  # pixels times squared passes: each doubling of passes gains less

Channels = NDArray[np.float32]


def passes_for(pixels: int) -> int:
    """Choose how many passes an image of so many pixels gets: small ones get more."""
    return max((count for count in (2, 4, ORIENTATIONS) if count**2 * pixels <= MOST), default=1)


def averaged(
    refine: Callable[[Channels], Channels], channels: Channels, passes: int, threads: int = 1
) -> Channels:
    """Average what `refine` makes of channels [C, H, W] in the first `passes` orientations.

    With several `threads`, passes run side by side.
    """

    def refined(orientation: int) -> Channels:
        one = np.ascontiguousarray(turned(channels, orientation))
        return turned_back(refine(one), orientation)

    with ThreadPoolExecutor(threads) as pool:
        found = pool.map(refined, range(passes)) if threads > 1 else map(refined, range(passes))
        total = next(found)
        for image in found:
            total = total + image
    return total / np.float32(passes)
