"""Small priors made by hand, which code the same bits on every machine, and tokens they expect."""

import numpy as np
import pytest

from titokzip.entropy import range_coder
from titokzip.entropy.context_model import TOTAL, ContextModel

LENGTH = 12  # L of the priors below


def is_legacy(*shape):
    """Make integers from 0 to 65,535 that look random and are the same on every machine."""
    return ((np.arange(np.prod(shape)) + 1) * 2654435761 % 2**32 >> 16).reshape(shape)


def frequencies(*shape):
    shares = is_legacy(*shape) ** 2 + 1
    rows = np.maximum(1, shares * TOTAL // shares.sum(-1, keepdims=True))
    rows[..., 0] += TOTAL - rows.sum(-1)
    return rows


def ternary():
    """Two digits a token, four coefficients of six planes each, all of them witnesses."""
    digits = 2 * LENGTH
    coefficient, plane = np.arange(digits) % 4, 5 - np.arange(digits) // 4
    return ContextModel(
        digits=2,
        radix=3,
        balanced=True,
        coefficient=coefficient,
        weight=3**plane,
        witnesses=(coefficient[:, None] + np.arange(1, 8)) % 8,  # 4 to 7: of the tiles beside
        importance=is_legacy(digits, 7) % 3,
        thresholds=np.sort(is_legacy(digits, 2, 2) % 7, axis=2) * 700,
        frequencies=frequencies(digits, 18, 3),
    )


def codebook(radix=40):
    """One digit a token, each a coefficient of its own that has no witness."""
    none = np.zeros((LENGTH, 0), np.int64)
    return ContextModel(
        digits=1,
        radix=radix,
        balanced=False,
        coefficient=np.arange(LENGTH),
        weight=np.zeros(LENGTH, np.int64),
        witnesses=none,
        importance=none,
        thresholds=np.zeros((LENGTH, 2, 0), np.int64),
        frequencies=np.tile(frequencies(LENGTH, 3, radix), (1, 2, 1)),
    )


PRIORS = {"ternary": ternary(), "codebook": codebook()}
both = pytest.mark.parametrize("prior", PRIORS.values(), ids=PRIORS)


def draw(rng, prior, grid, length=LENGTH):
    """Draw tokens as the prior expects them, which are the ones it codes best."""
    digits = np.zeros((length * prior.digits, grid.tiles), np.int32)
    state = range_coder._State(np.full(grid.tiles, length), grid, prior)
    for run in prior.runs(0, len(digits)):
        _, rows = state.look_up(run)
        ends = np.cumsum(rows + 1, axis=1)
        drawn = (rng.integers(0, TOTAL, (len(rows), 1)) >= ends).sum(1) - int(prior.balanced)
        digits[run] = drawn.reshape(-1, grid.tiles)
        state.learn(run, digits[run])
    return range_coder._from_digits(digits, prior)
