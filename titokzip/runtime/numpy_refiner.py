"""The decoder network in NumPy, for a single small image.

Importing torch takes longer than to run the network without it, in float32 on one thread. The
network is that of `titokzip.tokenizers.embedded.network`; tests hold the two together.

H x W pixels of the working image, C channels of a level; features [H + 2, W + 2, C] have a border
of zeros.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from titokzip.errors import ModelError
from titokzip.runtime.blas import one_thread
from titokzip.tokenizers.embedded.network_config import TYPICAL_SIZE, TYPICAL_STEP, NetworkConfig
from titokzip.tokenizers.embedded.quantizer import step_size

MOST_PIXELS: Final = 2**17  # of a working image; larger ones are faster with torch

Array = NDArray[np.float32]


class NumpyRefiner:
    """The decoder network; channels in, channels out."""

    most_pixels = MOST_PIXELS

    def __init__(self, config: NetworkConfig, weights: Mapping[str, Array]) -> None:
        """Take weights [outputs, inputs, ...] by the names of `NetworkConfig.shapes`."""
        self.config, self._weights = config, weights

    def __call__(self, channels: Array, step: int, double: bool = False) -> Array:
        """Refine channels [3, H, W], multiples of eight, decoded at a step index.

        With `double`, the result has twice the size: [3, 2 H, 2 W].

        Raises:
            ModelError: the network's values are not finite.
        """
        with one_thread(), np.errstate(all="ignore"):
            residuals = self._residuals(channels, step)
        scale = np.float32(step_size(step) / 8)
        if double:
            found = _enlarged(channels) + _shuffled(residuals[..., 3:]).transpose(2, 0, 1) * scale
        else:
            found = channels + residuals[..., :3].transpose(2, 0, 1) * scale
        if not np.isfinite(found).all():
            raise ModelError("the decoder gives values that are not finite: it is damaged")
        return found

    def _residuals(self, channels: Array, step: int) -> Array:
        """Give the residuals [H, W, 15]: of the image, and of the image at twice the size."""
        pixels = channels.shape[1] * channels.shape[2]
        known = np.log2(step_size(step)) - TYPICAL_STEP, np.log2(pixels) / 2 - TYPICAL_SIZE
        condition = np.array([known[0] / 1.5, known[1]], np.float32)
        for layer in ("condition.0", "condition.2"):
            linear = self._linear(layer, condition)
            condition = linear / (1 + np.exp(-linear))
        colours = np.pad((channels.transpose(1, 2, 0) - 128) / 64, _BORDER).astype(np.float32)
        features = self._through(0, self._convolved("colours", colours), condition)
        return _inner(self._convolved("residuals", features))

    def _through(self, at: int, features: Array, condition: Array) -> Array:
        """Take features through level `at` and all that are coarser."""
        name = f"levels.{at}"
        for block in range(self.config.encoder[at]):
            features = self._block(f"{name}.encoder.{block}", features, condition)
        if at + 1 < len(self.config.widths):
            coarse = np.pad(self._linear(f"{name}.reduce", _unshuffled(_inner(features))), _BORDER)
            coarse = _inner(self._through(at + 1, coarse, condition))
            _inner(features)[:] += _shuffled(self._linear(f"{name}.enlarge", coarse))
        for block in range(self.config.decoder[at]):
            features = self._block(f"{name}.decoder.{block}", features, condition)
        return features

    def _block(self, name: str, features: Array, condition: Array) -> Array:
        """Convolve, add the condition, rectify, convolve, add."""
        hidden = self._convolved(f"{name}.first", features)
        _inner(hidden)[:] += self._linear(f"{name}.condition", condition)
        np.maximum(hidden, 0, out=hidden)
        hidden = self._convolved(f"{name}.second", hidden)
        hidden += features
        return hidden

    def _linear(self, name: str, features: Array) -> Array:
        """Apply a linear layer to features [..., C]."""
        weights = self._weights[f"{name}.weight"]
        flat = features.reshape(-1, features.shape[-1])
        found = flat @ weights.reshape(len(weights), -1).T + self._weights[f"{name}.bias"]
        return found.reshape(*features.shape[:-1], -1)

    def _convolved(self, name: str, features: Array) -> Array:
        """Convolve features by kernels of 3 x 3.

        Pixels are in one row, border and all, so that a kernel's row is a single matrix product
        with three pixels side by side.
        """
        height, width, channels = features.shape
        flat, kernel = features.reshape(-1, channels), self._kernels[name]
        three = np.concatenate([flat[:-2], flat[1:-1], flat[2:]], axis=1)
        first, count = width, (height - 2) * width - 2  # of all between the first and last pixel
        found = np.empty((height * width, kernel.shape[2]), np.float32)
        inner = found[first + 1 : first + 1 + count]
        np.matmul(three[:count], kernel[0], out=inner)
        inner += three[first : first + count] @ kernel[1]
        inner += three[2 * first : 2 * first + count] @ kernel[2]
        inner += self._weights[f"{name}.bias"]
        image = found.reshape(height, width, -1)
        image[[0, -1]] = 0
        image[:, [0, -1]] = 0
        return image

    @cached_property
    def _kernels(self) -> dict[str, Array]:
        """Kernels [3, 3 C, outputs] by the names of their layers."""
        return {
            name.removesuffix(".weight"): np.ascontiguousarray(
                weights.transpose(2, 3, 1, 0).reshape(3, -1, len(weights))
            )
            for name, weights in self._weights.items()
            if weights.ndim == 4 and weights.shape[2] == 3
        }


_BORDER: Final = ((1, 1), (1, 1), (0, 0))


def _inner(features: Array) -> Array:
    return features[1:-1, 1:-1]


def _unshuffled(features: Array) -> Array:
    """Move squares of two pixels into channels: [H, W, C] to [H / 2, W / 2, 4 C]."""
    height, width, channels = features.shape
    squares = features.reshape(height // 2, 2, width // 2, 2, channels)
    return squares.transpose(0, 2, 4, 1, 3).reshape(height // 2, width // 2, -1)


def _shuffled(features: Array) -> Array:
    """Move channels into squares of two pixels: [H, W, 4 C] to [2 H, 2 W, C]."""
    height, width = features.shape[:2]
    squares = features.reshape(height, width, -1, 2, 2)
    return squares.transpose(0, 3, 1, 4, 2).reshape(2 * height, 2 * width, -1)


def _enlarged(channels: Array) -> Array:
    """Enlarge channels [3, H, W] to [3, 2 H, 2 W] by a cubic filter."""
    size = 2 * channels.shape[2], 2 * channels.shape[1]
    images = (Image.fromarray(np.ascontiguousarray(channel)) for channel in channels)
    return np.stack([np.asarray(image.resize(size, Image.Resampling.BICUBIC)) for image in images])
