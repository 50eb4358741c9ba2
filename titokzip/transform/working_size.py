"""The size at which an image is coded, in blocks of eight pixels.

The encoder chooses the number of blocks along the shorter side; 0 stands for the image's own size.
The rest follows by integer arithmetic.
"""

from titokzip.errors import FormatError
from titokzip.transform.lapped import SIDE

MAX_PIXELS = 2**23  # of the working image, blocks that are cut at the edge counted whole


def working_blocks(width: int, height: int, blocks: int) -> tuple[int, int]:
    """Give rows and columns of blocks of the working image of a `width` x `height` image.

    Raises:
        FormatError: the working image would have more than 2^23 pixels.
    """
    if blocks:
        short, long = sorted((width, height))
        along = (2 * blocks * long + short) // (2 * short)  # blocks * long / short, rounded
        rows, columns = (blocks, along) if height == short else (along, blocks)
    else:
        rows, columns = -(-height // SIDE), -(-width // SIDE)
    if rows * columns * SIDE * SIDE > MAX_PIXELS:
        raise FormatError(f"a working image of {columns} x {rows} blocks is too large")
    return rows, columns


def largest(width: int, height: int) -> int:
    """Give the most blocks that reduce an image and stay in the limit; 0 if it takes none."""
    short, long = sorted((width, height))
    blocks = min(short // SIDE, int((MAX_PIXELS / SIDE**2 * short / long) ** 0.5) + 1)
    while blocks and not _fits(width, height, blocks):
        blocks -= 1
    return blocks


def fits_whole(width: int, height: int) -> bool:
    """Tell whether an image can be coded at its own size."""
    return _fits(width, height, 0)


def _fits(width: int, height: int, blocks: int) -> bool:
    try:
        working_blocks(width, height, blocks)
    except FormatError:
        return False
    return True
