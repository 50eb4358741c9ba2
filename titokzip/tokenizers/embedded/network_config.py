"""The shape of the decoder network and how it is used, for those who run it or read it; no torch.

Names are those of `network.RefinementNetwork`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

TYPICAL_STEP: Final = 6.5  # log2; inputs are centred on typical values
TYPICAL_SIZE: Final = 7.0  # log2 of the side of a square of as many pixels


@dataclass(frozen=True)
class NetworkConfig:
    """Widths and depths of the levels, at 1, 1/2, 1/4, 1/8 of the working resolution.

    The last two say how images are coded for the network, and decoded with it.
    """

    widths: tuple[int, ...] = (32, 64, 96, 192)
    encoder: tuple[int, ...] = (2, 2, 2, 2)  # residual blocks on the way down, the last included
    decoder: tuple[int, ...] = (2, 2, 2, 0)  # on the way up
    conditions: int = 32  # width of the embedding of step and size
    self_ensemble: bool = False  # nearer to the image if orientations of it are averaged
    lagrange: float = 1.0  # of the encoder's multiplier: below 1, more weak detail in as many bytes

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Give the shape of each tensor by its name."""
        found: dict[str, tuple[int, ...]] = {}
        for name, outputs, inputs, side in self._layers():
            found[f"{name}.weight"] = (outputs, inputs, side, side) if side else (outputs, inputs)
            found[f"{name}.bias"] = (outputs,)
        return found

    def _layers(self) -> Iterator[tuple[str, int, int, int]]:
        """List layers: name, outputs, inputs, and side of the kernel; 0 is a linear layer."""
        yield "condition.0", self.conditions, 2, 0
        yield "condition.2", self.conditions, self.conditions, 0
        yield "colours", self.widths[0], 3, 3
        for at, width in enumerate(self.widths):
            for part, depth in (("encoder", self.encoder[at]), ("decoder", self.decoder[at])):
                for block in range(depth):
                    name = f"levels.{at}.{part}.{block}"
                    yield f"{name}.first", width, width, 3
                    yield f"{name}.second", width, width, 3
                    yield f"{name}.condition", width, self.conditions, 0
            if at + 1 < len(self.widths):
                yield f"levels.{at}.reduce", self.widths[at + 1], 4 * width, 1
                yield f"levels.{at}.enlarge", 4 * width, self.widths[at + 1], 1
        yield "residuals", 3 + 3 * 4, self.widths[0], 3
