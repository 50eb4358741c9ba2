"""Coefficients to planes along one axis, written from docs/format.md alone, one value at a time."""

from math import cos, pi, sqrt

import numpy as np

C = 1.149604398860241
V = [
    [1.1018, 0.5544, 0.2771, 0.2245],
    [-0.6195, 1.1209, 0.2354, 0.2853],
    [-0.1263, -0.2322, 1.0628, 0.2896],
    [-0.0280, -0.0782, -0.1525, 1.1925],
]
INVERSE = np.linalg.inv(V)


def join(low, detail):
    """Join n low values and their details."""
    n, m = len(low), len(detail)
    if not m:
        return list(low)
    a, d = [value / C for value in low], [value * C for value in detail]
    for to_low, to_detail in (
        (-0.443506852043971, -0.882911075530934),
        (0.052980118572961, 1.586134342059924),
    ):
        a = [a[k] + to_low * (d[max(k - 1, 0)] + d[min(k, m - 1)]) for k in range(n)]
        d = [d[k] + to_detail * (a[k] + a[min(k + 1, n - 1)]) for k in range(m)]
    joined = [0.0] * (n + m)
    joined[::2], joined[1::2] = a, d
    return joined


def samples(blocks):
    """Synthesise the samples of blocks of eight frequencies."""
    found = []
    for f in blocks:
        for i in range(8):
            waves = (f[u] * cos(pi / 8 * (i + 0.5) * u) / 2 for u in range(1, 8))
            found.append(f[0] * sqrt(1 / 8) + sum(waves))
    for border in range(8, len(found), 8):
        pairs = [(border - 1 - i, border + i) for i in range(4)]
        sums = [(found[a] + found[b]) / 2 for a, b in pairs]
        halves = INVERSE @ [(found[a] - found[b]) / 2 for a, b in pairs]
        for (a, b), s, e in zip(pairs, sums, halves, strict=True):
            found[a], found[b] = s + e, s - e
    return found


def from_low(low, sizes):
    """Synthesise a low half after halvings of axes of `sizes`, finest first."""
    for size in reversed(sizes):
        low = join(low, [0.0] * (size // 2))
    return samples([[mean, *[0.0] * 7] for mean in low])


def low_function(at, sizes, count):
    """Give the basis function of low value `at` of `count`."""
    return from_low([float(i == at) for i in range(count)], sizes)


def detail_function(at, sizes):
    """Give the basis function of detail `at` of the last halving."""
    *finer, size = sizes
    details = [float(i == at) for i in range(size // 2)]
    return from_low(join([0.0] * -(-size // 2), details), finer)


def frequency_function(at, frequency, blocks):
    """Give the basis function of a frequency of block `at`."""
    return samples([[float((b, u) == (at, frequency)) for u in range(8)] for b in range(blocks)])
