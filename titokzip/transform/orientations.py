"""The eight orientations of an image: rows and columns exchanged or not, each flipped or not."""

from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

ORIENTATIONS: Final = 8
_FLIP_ROWS, _FLIP_COLUMNS, _EXCHANGE = 1, 2, 4

Kind = TypeVar("Kind", bound=np.generic)


def turned(image: NDArray[Kind], orientation: int) -> NDArray[Kind]:
    """View an image [..., H, W] in one of its orientations; 0 is its own."""
    if orientation & _EXCHANGE:
        image = image.swapaxes(-1, -2)
    return _flipped(image, orientation)


def turned_back(image: NDArray[Kind], orientation: int) -> NDArray[Kind]:
    """View an image as it was before `turned`; its inverse."""
    image = _flipped(image, orientation)
    return image.swapaxes(-1, -2) if orientation & _EXCHANGE else image


def _flipped(image: NDArray[Any], orientation: int) -> NDArray[Any]:
    rows = slice(None, None, -1 if orientation & _FLIP_ROWS else 1)
    columns = slice(None, None, -1 if orientation & _FLIP_COLUMNS else 1)
    return image[..., rows, columns]
