"""Design the linear code of an embedded model from photos: which digits it has, in which order.

The transform is separable. Along each side, four lapped blocks are turned into frequencies, and the
means of the blocks once more across them: details stay where they are, so that an edge does not
ring through the whole tile, and the whole tile's slopes take few digits. Blocks fade into each
other without a step, which no orthogonal transform of this kind can do, so synthesis has waves of
its own; those have unit length, and an error of a step costs the same in every coefficient.

Every coefficient is rounded to multiples of one step and written in balanced ternary. A digit is
worth what it takes off the squared error and costs its entropy given the digits before it; all
digits of all coefficients are sorted by worth per cost, a coefficient's own in their order, and
the first L * 9 become the tokens. An error in the mean colour of a tile counts more: tiles side by
side show it. See docs/training.md for what else was tried.

M sampled tiles, J coefficients, D digits.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from titokzip.errors import ImageError
from titokzip.tiling import dct, lapped_filter
from titokzip.tokenizers.embedded.network import DIGITS_PER_TOKEN, PLANES, Spectral, SpectralConfig

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

BLOCKS = 4  # along each side of a tile
STEP = 450 / 255  # of an orthonormal coefficient of pixels in 0..1: the finest rounding
SAMPLES = 6000  # M
CLIPPING = 0.03  # of a squared step: the mean error above which a coefficient gets one digit more
MEANS = 4.0  # times that an error in the mean of a colour counts
FAINTEST = 0.12  # steps of standard deviation: fainter coefficients never get a digit


@dataclass(frozen=True)
class Digit:
    """One ternary digit of one coefficient, and what decoding it is worth."""

    coefficient: int
    plane: int  # its weight is 3^plane steps
    gain: float  # steps a unit is worth when it is the last digit known
    worth: float  # squared steps taken off the error
    cost: float  # bits


def design(config: SpectralConfig, tiles: Callable[[int], Tensor]) -> Spectral:
    """Make an untrained model whose digits fit the tiles that `tiles(count)` draws.

    Raises:
        ImageError: the tiles are too faint to fill its tokens: flat, or nothing but noise.
    """
    places = _all_places(config)
    probe = Spectral(replace(config, coefficients=len(places)))
    _install(probe, places)
    drawn = [probe.analyse(tiles(100)).double().numpy() for _ in range(SAMPLES // 100)]
    coefficients: Floats = np.concatenate(drawn)  # [M, all]
    mean = np.zeros(len(places))
    mean[0] = coefficients[:, 0].mean()  # by symmetry all others are zero
    wanted = config.length * DIGITS_PER_TOKEN
    means = np.flatnonzero((places[:, 1:] == 0).all(axis=1)).tolist()  # of each colour
    digits = _sorted_digits(coefficients - mean, means)[:wanted]
    if len(digits) < wanted:
        raise ImageError(f"these photos are too faint: {len(digits)} of {wanted} digits found")
    chosen = sorted({digit.coefficient for digit in digits})
    return _assemble(replace(config, coefficients=len(chosen)), digits, places, mean)


def _assemble(
    config: SpectralConfig, digits: list[Digit], places: Integers, mean: Floats
) -> Spectral:
    chosen = sorted({digit.coefficient for digit in digits})
    number = {old: new for new, old in enumerate(chosen)}
    model = Spectral(config)
    _install(model, places[chosen])
    model.mean.copy_(torch.from_numpy(mean[chosen]))
    model.gain.copy_(torch.tensor([digit.gain for digit in digits]))
    model.coefficient.copy_(torch.tensor([number[digit.coefficient] for digit in digits]))
    model.plane.copy_(torch.tensor([digit.plane for digit in digits]))
    return model


def _install(model: Spectral, places: Integers) -> None:
    rotation = np.array([[1, 1, 1], [1, 0, -1], [-0.5, 1, -0.5]])
    rotation /= np.linalg.norm(rotation, axis=1, keepdims=True)
    model.colour.copy_(torch.from_numpy(rotation))
    analysis, synthesis = transforms(model.size)
    model.basis.copy_(torch.from_numpy(analysis[: model.config.frequencies]))
    model.dual.copy_(torch.from_numpy(synthesis[: model.config.frequencies]))
    model.places.copy_(torch.from_numpy(places))
    model.step.fill_(STEP)


def transforms(size: int) -> tuple[Floats, Floats]:
    """Make the waves of analysis and synthesis along one side, lowest first; each [S, S]."""
    analysis, synthesis = _waves(size, undo=False), _waves(size, undo=True)
    lengths = np.linalg.norm(synthesis, axis=1, keepdims=True)
    return analysis * lengths, synthesis / lengths


def _waves(size: int, undo: bool) -> Floats:
    block = size // BLOCKS
    overlap = block // 2
    lapped = np.eye(size)
    for border in range(block, size, block):
        mixed = slice(border - overlap, border + overlap)
        matrix = lapped_filter(overlap, undo)
        lapped[mixed, mixed] = matrix.T if undo else matrix
    rows = np.kron(np.eye(BLOCKS), dct(block)) @ lapped
    by_frequency = rows.reshape(BLOCKS, block, size).transpose(1, 0, 2).copy()
    by_frequency[0] = dct(BLOCKS) @ by_frequency[0]  # the means, across blocks
    return by_frequency.reshape(size, size)


def _all_places(config: SpectralConfig) -> Integers:
    """List colour, row and column of every coefficient worth a look; luminance has most."""
    frequencies = config.frequencies
    luminance = np.indices((1, frequencies, frequencies)).reshape(3, -1).T
    colours = np.indices((2, frequencies // 2, frequencies // 2)).reshape(3, -1).T
    return np.concatenate([luminance, colours + np.array([1, 0, 0])])


def _sorted_digits(coefficients: Floats, means: list[int]) -> list[Digit]:
    deviation = coefficients.std(axis=0)
    runs = []
    for j in np.flatnonzero(deviation > FAINTEST):
        runs += _convex(_digits(int(j), coefficients[:, j], MEANS if j in means else 1))
    runs.sort(key=_slope, reverse=True)
    return [digit for run in runs for digit in run]


def _digits(j: int, values: Floats, counting: float) -> list[Digit]:
    """Take one coefficient [M] apart, coarsest digit first; its error counts so many times."""
    planes = 1
    while planes < PLANES:
        beyond = np.maximum(np.abs(values) - 3**planes / 2, 0)
        if (beyond**2).mean() < CLIPPING:
            break
        planes += 1
    limit = (3**planes - 1) // 2
    integers = np.rint(values).clip(-limit, limit).astype(np.int64)
    digits, known, error = [], np.zeros_like(integers), (values**2).mean()
    for plane in reversed(range(planes)):
        weight = 3**plane
        prefix = (integers + weight // 2) // weight
        centre = (prefix * weight).astype(np.float64)
        gain = float((values * centre).sum() / max((centre**2).sum(), 1e-9))
        left = ((values - gain * centre) ** 2).mean()
        cost = _entropy(prefix - 3 * known, np.sign(known))
        digits.append(Digit(j, plane, gain, counting * float(error - left), cost))
        known, error = prefix, left
    return digits


def _entropy(symbols: Integers, given: Integers) -> float:
    """Estimate bits a symbol in -1..1 costs when `given` in -1..1 is known."""
    counts = np.bincount(3 * (given + 1) + symbols + 1, minlength=9).reshape(3, 3) + 0.3
    shares = counts / counts.sum(axis=1, keepdims=True)
    return float(-(counts * np.log2(shares)).sum() / counts.sum())


def _convex(digits: list[Digit]) -> list[list[Digit]]:
    """Join digits that pay only together, so that slopes fall from run to run."""
    runs: list[list[Digit]] = []
    for digit in digits:
        runs.append([digit])
        while len(runs) > 1 and _slope(runs[-1]) > _slope(runs[-2]):
            last = runs.pop()
            runs[-1] = runs[-1] + last
    return runs


def _slope(run: list[Digit]) -> float:
    return sum(digit.worth for digit in run) / sum(digit.cost for digit in run)
