"""The shape of a transformer, within bounds: a file may ask for any; no torch."""

from dataclasses import dataclass
from typing import Final

WIDEST: Final = 8192  # a ViT-22B has 6,144
DEEPEST: Final = 128  # a ViT-22B has 48 blocks


@dataclass(frozen=True)
class ViTConfig:
    """The shape of a transformer: D numbers per position, in `heads` heads, through `depth` blocks.

    Raises:
        ValueError: there is no such transformer, or it is absurdly large.
    """

    width: int  # D
    depth: int
    heads: int

    def __post_init__(self) -> None:
        check_whole("width", self.width, 1, WIDEST)
        check_whole("depth", self.depth, 0, DEEPEST)
        check_whole("heads", self.heads, 1, self.width)
        if self.width % self.heads:
            raise ValueError(f"a width of {self.width} does not split into {self.heads} heads")


def check_whole(name: str, value: object, least: int, most: int) -> None:
    """Refuse what is not a whole number in least..most.

    Raises:
        ValueError: it is not; the message quotes it, cut short.
    """
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"{name} is {value!r:.40}, not a whole number in {least}..{most}")
