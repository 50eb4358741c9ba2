"""From the bytes of an image to a training crop: resized, cropped and mirrored at random."""

import io
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from titokzip import images
from titokzip.errors import ImageError
from titokzip.training.data.sources import Entry, Span

Sample = dict[str, Tensor]


@dataclass(frozen=True)
class Crop:
    """How a square of S pixels is cut from an image."""

    size: int  # S
    resize: int = 0  # shorter side before the cut, in pixels; 0 is S
    zoom: float = 1.0  # the shorter side is drawn from resize to so many times that
    random: bool = True  # the place of the cut; else the centre
    flip: bool = True  # mirror every other image

    def __post_init__(self) -> None:
        if self.resize and self.resize < self.size:
            raise ValueError(f"crops of {self.size} pixels do not fit into {self.resize}")
        if self.zoom < 1:
            raise ValueError(f"a zoom of {self.zoom} leaves images smaller than their crops")

    def centred(self) -> "Crop":
        """Cut the centre, as evaluation does."""
        return Crop(self.size, self.size, 1.0, random=False, flip=False)

    def cut(self, image: Image.Image, seed: int) -> Tensor:
        """Cut uint8 [3, S, S] from an RGB image; the same square for the same seed."""
        random = np.random.default_rng(seed & (2**63 - 1))
        across, along, mirror, zoom = random.random(4)
        shorter = (self.resize or self.size) * self.zoom**zoom
        side = min(image.size) * self.size / shorter  # of the cut, in pixels of the image
        if not self.random:
            across = along = 0.5
        left, top = across * (image.width - side), along * (image.height - side)
        box = (left, top, left + side, top + side)
        square = image.resize((self.size, self.size), Image.Resampling.BICUBIC, box)
        if self.flip and mirror < 0.5:
            square = square.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return torch.from_numpy(np.array(square)).permute(2, 0, 1).contiguous()


def read(entry: Entry, crop: Crop, seed: int) -> Sample:
    """Read one sample: image uint8 [3, S, S], label and seed int64, text float32 if there is one.

    Raises:
        ImageError: its image, its class or its text cannot be read.
    """
    try:
        image = images.read(entry.image.read(), background="white").image
        sample = {
            "image": crop.cut(image, seed),
            "label": torch.tensor(_label(entry.label)),
            "seed": torch.tensor(seed),
        }
        if entry.text is not None:
            text = np.load(io.BytesIO(entry.text.read()), allow_pickle=False)
            sample["text"] = torch.from_numpy(text.astype(np.float32))
    except (ImageError, OSError, ValueError, EOFError) as error:
        raise ImageError(f"{entry.key}: {error}") from error
    return sample


def _label(label: int | Span) -> int:
    return label if isinstance(label, int) else int(label.read())
