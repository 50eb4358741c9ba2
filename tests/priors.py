"""Small priors made by hand, which code the same bits on every machine, and tokens they expect."""

import numpy as np
import pytest

from titokzip import entropy
from titokzip.entropy import TOTAL, Prior

LENGTH = 12  # L of the priors below


def scrambled(*shape):
    """Make integers from 0 to 65,535 that look random and are the same on every machine."""
    return ((np.arange(np.prod(shape)) + 1) * 2654435761 % 2**32 >> 16).reshape(shape)


def frequencies(*shape):
    shares = scrambled(*shape) ** 2 + 1
    rows = np.maximum(1, shares * TOTAL // shares.sum(-1, keepdims=True))
    rows[..., 0] += TOTAL - rows.sum(-1)
    return rows


def ternary():
    """Two digits a token, four coefficients of six planes each, every one the others' neighbour."""
    digits = 2 * LENGTH
    coefficient, plane = np.arange(digits) % 4, 5 - np.arange(digits) // 4
    others = (coefficient[:, None] + np.arange(1, 9)) % 5  # 4 stands for none
    return Prior(
        digits=2,
        radix=3,
        balanced=True,
        coefficient=coefficient,
        weight=3**plane,
        neighbours=np.where(others == coefficient[:, None], 4, others),
        importance=scrambled(digits, 8) % 2 + 1,
        thresholds=np.sort(scrambled(digits, 2) % 5, axis=1) * 81,
        frequencies=frequencies(digits, 9, 3),
    )


def codebook(radix=40):
    """One digit a token, each a coefficient of its own that knows no neighbour."""
    none = np.full((LENGTH, 8), LENGTH)
    return Prior(
        digits=1,
        radix=radix,
        balanced=False,
        coefficient=np.arange(LENGTH),
        weight=np.zeros(LENGTH, np.int64),
        neighbours=none,
        importance=np.zeros_like(none),
        thresholds=np.zeros((LENGTH, 0), np.int64),
        frequencies=frequencies(LENGTH, 3, radix),
    )


PRIORS = {"ternary": ternary(), "codebook": codebook()}
both = pytest.mark.parametrize("prior", PRIORS.values(), ids=PRIORS)


def draw(rng, prior, tiles, length=LENGTH):
    """Draw tokens as the prior expects them, which are the ones it codes best."""
    digits = np.zeros((length * prior.digits, tiles), np.int32)
    state = entropy._State(np.full(tiles, length), prior)
    for d in range(len(digits)):
        run = slice(d, d + 1)
        _, rows = state.look_up(run)
        ends = np.cumsum(rows + 1, axis=1)
        digits[d] = (rng.integers(0, TOTAL, (tiles, 1)) >= ends).sum(1) - int(prior.balanced)
        state.learn(run, digits[run])
    return entropy._from_digits(digits, prior)
