"""Count how likely each digit is, from the tokens of many tiles: the tables of the range coder.

A digit is more likely not to be zero where other coefficients are large already, in its own tile
and in those beside it: its witnesses. How much each of them tells is fitted, by non-negative least
squares of the digit's size, and rounded to integers. The weighted sum, their activity, is parted
into classes, and counted is how often the digit takes each value in each of them.

M tiles, J coefficients, D digits, K witnesses, C classes of activity.
"""

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray

from titokzip.entropy import Tokens
from titokzip.entropy.context_model import TOTAL, ContextModel, Known, starts, to_digits
from titokzip.tiling import Grid, neighbours
from titokzip.tokenizers.embedded.network import DIGITS_PER_TOKEN, Spectral

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

OWN = 64  # coefficients of the same tile that are tried as witnesses
AROUND = 8  # and of the tiles beside it, the coefficient itself first
WITNESSES = 24  # K, those kept
SHARES = (0.2, 0.4, 0.55, 0.7, 0.8, 0.88, 0.95)  # of tiles, between the classes of activity
LARGEST = 40  # size above which it tells nothing more
HEAVIEST = 31  # the importance of the witness that tells most
SEEN = 12_000  # tiles that the witnesses are weighed on
SWEEPS = 60  # of coordinate descent
FEWEST = 300  # tiles with nothing known of the coefficient yet, or all are asked
FLOOR = 0.4  # counts that every value is given for free


def fit(model: Spectral, tokens: Tokens, grids: Iterable[Grid]) -> ContextModel:
    """Fit tables to the tokens [M, L] that a model gives to photos, cut by `grids` in a row."""
    coefficient = model.coefficient.cpu().numpy().astype(np.int64)
    weight = 3 ** model.plane.cpu().numpy().astype(np.int64)
    candidates = _candidates(model.to_integers(torch.from_numpy(tokens)).numpy())[coefficient]
    digits = to_digits(tokens, DIGITS_PER_TOKEN, 3, True)
    known = Known(len(model.mean), _beside(grids))
    if len(known.near) != len(tokens):
        raise ValueError(f"grids of {len(known.near)} tiles, and tokens of {len(tokens)}")
    shown = np.random.default_rng(0).permutation(len(tokens))[:SEEN]
    witnesses = candidates[:, :WITNESSES].copy()
    importance = np.zeros_like(witnesses)
    thresholds = np.zeros((len(coefficient), 2, len(SHARES)), np.int64)
    frequencies = np.zeros((len(coefficient), 6 * (len(SHARES) + 1), 3), np.int64)
    edges = [*starts(coefficient, DIGITS_PER_TOKEN), len(coefficient)]
    for run in map(slice, edges, edges[1:]):
        own = coefficient[run]
        sizes = known.sizes[candidates[run][..., None], shown].astype(np.float32)
        free = known.values[own][:, shown] == 0
        kept, importance[run] = _weigh(
            sizes, np.abs(digits[run][:, shown]), free, known.kind[shown]
        )
        witnesses[run] = np.take_along_axis(candidates[run], kept, axis=1)
        activity = known.activity(witnesses[run], importance[run])
        thresholds[run] = _thresholds(activity, known.kind)
        rows = known.rows(own, activity, thresholds[run])
        frequencies[run] = _frequencies(rows, digits[run] + 1, frequencies.shape[1])
        known.learn(own, digits[run] * weight[run, None])
    return ContextModel(
        DIGITS_PER_TOKEN,
        3,
        True,
        coefficient,
        weight,
        witnesses,
        importance,
        thresholds,
        frequencies,
    )


def _beside(grids: Iterable[Grid]) -> Integers:
    """List the tiles beside each of those of many pictures; [M, 4], M where there is none."""
    rows: list[Integers] = []
    tiles = 0
    for grid in grids:
        rows.append(np.where((near := neighbours(grid)) < grid.tiles, near + tiles, -1))
        tiles += grid.tiles
    near = np.concatenate(rows)
    return np.where(near < 0, tiles, near)


def _candidates(integers: NDArray[np.int32]) -> Integers:
    """Find, for each coefficient of integers [M, J], whose sizes go with its own; [J, n]."""
    sizes = np.minimum(np.abs(integers), LARGEST).astype(np.float64)
    sizes = (sizes - sizes.mean(axis=0)) / (sizes.std(axis=0) + 1e-6)
    alike = sizes.T @ sizes
    np.fill_diagonal(alike, np.inf)
    nearest = np.argsort(-alike, axis=1, kind="stable")  # itself first
    own, around = nearest[:, 1 : OWN + 1], nearest[:, :AROUND]
    return np.concatenate([around + integers.shape[1], own], axis=1)


def _weigh(
    sizes: NDArray[np.float32],
    wanted: NDArray[np.int32],
    free: NDArray[np.bool_],
    kind: Integers,
) -> tuple[Integers, Integers]:
    """Choose those of the sizes [r, n, M] that tell most of `wanted` [r, M], and weigh them.

    Asked are the tiles where the digit is `free` to be of any sign. Gives two of [r, K].
    """
    counted = np.where(free.sum(axis=1, keepdims=True) < FEWEST, True, free).astype(np.float32)
    centred, target = sizes.copy(), wanted.astype(np.float32)
    for one in (0, 1):  # lone tiles and others have constants of their own
        mine = counted * (kind == one)
        shares = (mine / np.maximum(mine.sum(axis=1, keepdims=True), 1))[..., None]
        centred -= (sizes @ shares) * (kind == one)
        target -= (wanted[:, None] @ shares)[:, 0] * (kind == one)
    weighted = centred * counted[:, None]
    gram = (weighted @ centred.transpose(0, 2, 1)).astype(np.float64)  # [r, n, n]
    product = (weighted @ target[..., None])[..., 0].astype(np.float64)
    diagonal = np.einsum("rnn->rn", gram)  # a view
    diagonal += 1e-4 * diagonal.mean(axis=1, keepdims=True) + 1e-6
    strength = _descent(gram, product) * np.sqrt(diagonal)
    kept = np.sort(np.argsort(-strength, axis=1, kind="stable")[:, :WITNESSES], axis=1)
    gram = np.take_along_axis(gram, kept[:, None], axis=2)
    gram = np.take_along_axis(gram, kept[..., None], axis=1)
    weights = _descent(gram, np.take_along_axis(product, kept, axis=1))
    largest = np.maximum(weights.max(axis=1, keepdims=True), 1e-12)
    return kept, np.rint(HEAVIEST * weights / largest).astype(np.int64)


def _descent(gram: Floats, product: Floats) -> Floats:
    """Solve many small non-negative least squares, gram [r, n, n] and product [r, n]."""
    diagonal, weights = np.einsum("rnn->rn", gram), np.zeros_like(product)
    for _ in range(SWEEPS):
        for k in range(product.shape[1]):
            left = product[:, k] - (gram[:, k] * weights).sum(axis=1)
            weights[:, k] = np.maximum(0, weights[:, k] + left / diagonal[:, k])
    return weights


def _thresholds(activity: Integers, kind: Integers) -> Integers:
    """Part the activity [r, M] of each kind of tiles into classes; [r, 2, C - 1]."""
    parts = []
    for one in (0, 1):
        mine = activity[:, kind == one] if (kind == one).any() else activity
        parts.append(np.quantile(mine, SHARES, axis=1, method="higher").T)
    return np.maximum(1, np.stack(parts, axis=1))


def _frequencies(rows: Integers, values: NDArray[np.int32], count: int) -> Integers:
    """Turn the values 0..2 of digits [r, M] in `rows` of `count` into frequencies [r, count, 3]."""
    digit = np.arange(len(rows))[:, None] * count
    counts = np.bincount((3 * (digit + rows) + values).ravel(), minlength=3 * count * len(rows))
    counts = counts.reshape(len(rows), count, 3)
    # Rows seen rarely lean on what all rows of this digit saw.
    overall = (counts.sum(axis=1, keepdims=True) + FLOOR) / (
        counts.sum(axis=(1, 2), keepdims=True) + 3 * FLOOR
    )
    shares = counts + 8 * overall + FLOOR / 3
    shares = shares / shares.sum(axis=2, keepdims=True)
    frequencies: Integers = np.maximum(1, np.floor(shares * TOTAL)).astype(np.int64)
    rest = TOTAL - frequencies.sum(axis=2, keepdims=True)
    largest = frequencies.argmax(axis=2)[..., None]
    np.put_along_axis(frequencies, largest, np.take_along_axis(frequencies, largest, 2) + rest, 2)
    return frequencies
