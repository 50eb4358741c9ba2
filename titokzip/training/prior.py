"""Count how likely each digit is, from the tokens of many tiles: the tables of the range coder.

M tiles, J coefficients, D digits, C classes of activity.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from titokzip.entropy import TOTAL, Prior, Tokens
from titokzip.models.spectral import DIGITS_PER_TOKEN, Spectral

Integers = NDArray[np.int64]

NEIGHBOURS = 8  # coefficients whose sizes tell most about the size of another
SHARES = (0.5, 0.8)  # of tiles, between the classes of activity
LARGEST = 40  # size above which it tells nothing more
FLOOR = 0.4  # counts that every value is given for free


def fit(model: Spectral, tokens: Tokens) -> Prior:
    """Fit tables to the tokens [M, L] that a model gives to photos."""
    coefficient = model.coefficient.cpu().numpy().astype(np.int64)
    weight = 3 ** model.plane.cpu().numpy().astype(np.int64)
    integers = model.to_integers(torch.from_numpy(tokens)).numpy()
    near = _neighbours(integers)[coefficient]
    importance = np.ones_like(near)
    digits = _digits(tokens)
    values = np.zeros((len(tokens), len(model.mean) + 1), np.int64)
    thresholds = np.empty((len(coefficient), len(SHARES)), np.int64)
    frequencies = np.empty((len(coefficient), 3 * (len(SHARES) + 1), 3), np.int64)
    for d, j in enumerate(coefficient):
        activity = np.abs(values[:, near[d]]) @ importance[d]
        thresholds[d] = np.maximum(1, np.quantile(activity, SHARES, method="higher"))
        level = np.searchsorted(thresholds[d], activity, side="right")
        sign = np.sign(values[:, j]) + 1
        rows = len(frequencies[d])
        index = 3 * (3 * level + sign) + digits[:, d] + 1
        frequencies[d] = _frequencies(np.bincount(index, minlength=3 * rows).reshape(rows, 3))
        values[:, j] += digits[:, d] * weight[d]
    return Prior(
        DIGITS_PER_TOKEN, 3, True, coefficient, weight, near, importance, thresholds, frequencies
    )


def _neighbours(integers: NDArray[np.int32]) -> Integers:
    """Find, for each coefficient of integers [M, J], those whose sizes go with its own; [J, 8]."""
    sizes = np.minimum(np.abs(integers), LARGEST).astype(np.float64)
    sizes = (sizes - sizes.mean(axis=0)) / (sizes.std(axis=0) + 1e-6)
    alike = sizes.T @ sizes
    np.fill_diagonal(alike, -np.inf)
    return np.argsort(-alike, axis=1, kind="stable")[:, :NEIGHBOURS]


def _digits(tokens: Tokens) -> NDArray[np.int64]:
    powers = 3 ** np.arange(DIGITS_PER_TOKEN)
    digits = tokens.astype(np.int64)[:, :, None] // powers % 3 - 1
    return digits.reshape(len(tokens), -1)


def _frequencies(counts: Integers) -> Integers:
    """Turn counts [rows, 3] into positive integers whose rows sum to TOTAL."""
    # Rows seen rarely lean on what all rows of this digit saw.
    overall = (counts.sum(axis=0) + FLOOR) / (counts.sum() + 3 * FLOOR)
    shares = counts + 8 * overall + FLOOR / 3
    shares = shares / shares.sum(axis=1, keepdims=True)
    frequencies: Integers = np.maximum(1, np.floor(shares * TOTAL)).astype(np.int64)
    largest = frequencies.argmax(axis=1)
    frequencies[np.arange(len(counts)), largest] += TOTAL - frequencies.sum(axis=1)
    return frequencies
