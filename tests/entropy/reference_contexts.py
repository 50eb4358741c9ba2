"""The features of the context model, written from docs/format.md alone in plain Python integers.

It shares no code with the codec and is slow. Bands are tuples: ("means", level, detail, plane) and
("frequency", u, v, plane).
"""

V, H = [(-1, 0), (1, 0)], [(0, -1), (0, 1)]
X = [(-1, -1), (-1, 1), (1, -1), (1, 1)]
K = [(a * y, b * x) for y, x in ((1, 2), (2, 1)) for a in (-1, 1) for b in (-1, 1)]
F = [(a * y, b * x) for y, x in ((1, 3), (3, 1)) for a in (-1, 1) for b in (-1, 1)]
EIGHT = V + H + X
PHASES = [(4, 0, 0), (4, 2, 2), (4, 0, 2), (4, 2, 0), (2, 1, 1), (2, 0, 1), (2, 1, 0)]
NEAR = [(-1, 0), (0, -1), (-1, -1), (-2, 0), (0, -2), (1, -1), (-1, 1), (1, 0), (0, 1)]
LOWER = [(-1, 0), (0, -1), (-2, 0), (0, -2), (-1, -1), (1, -1), (-1, 1), (-3, 0), (0, -3)]
PAIRS = [(V[0], V[1]), (H[0], H[1]), (X[0], X[3]), (X[1], X[2])]


def twice(offsets):
    return [(2 * y, 2 * x) for y, x in offsets]


OWN = [
    [[], [], [], []],
    [[], [], twice(X), []],
    [twice(V), twice(H), [], []],
    [twice(V), twice(H), twice(X), []],
    [[], [], X, F],
    [V, H, [], K],
    [V, H, X, K],
]


def log16(n):
    return ((1 + min(n, 32767)) ** 16).bit_length() - 1


def density(total, count):
    return log16(1024 * total // max(count, 1))


def limit(value, low, high):
    return min(max(value, low), high)


def sign(value):
    return (value > 0) - (value < 0)


class Contexts:
    """What is known of an image; `known` holds the values of bands by cell, without zeros."""

    def __init__(self, planes, rows, columns, step):
        self.planes, self.rows, self.columns, self.step = planes, rows, columns, step
        self.depth = (max(rows, columns) - 1).bit_length()
        self.sizes = []
        for _ in range(self.depth):
            low, high = (-(-rows // 2), -(-columns // 2)), (rows // 2, columns // 2)
            self.sizes.insert(0, [(low[0], high[1]), (high[0], low[1]), high])
            rows, columns = low
        self.sizes.insert(0, [(rows, columns)])
        self.known, self.current = {}, None
        self.run, self.latest = [0] * planes, [0] * planes
        self.grids = {}

    def chroma(self, plane):
        return self.planes >= 3 and plane in (1, 2)

    def others(self, plane):
        if self.planes < 3 or plane == 3:
            return []
        return [other for other in range(3) if other != plane]

    def shape(self, band):
        return self.sizes[band[1]][band[2]] if band[0] == "means" else (self.rows, self.columns)

    # Magnitudes

    def m(self, band, y, x):
        return min(abs(self.known.get(band, {}).get((y, x), 0)), 4095)

    def total(self, band):
        return sum(min(abs(value), 4095) for value in self.known.get(band, {}).values())

    def density(self, band):
        if band not in self.known:
            return 0
        height, width = self.shape(band)
        return density(self.total(band), height * width)

    def around(self, band, y, x):
        return sum(self.m(band, y + down, x + right) for down, right in EIGHT)

    def active(self, plane, kind):
        found = [b for b in self.known if b[0] == "frequency" and b[3] == plane]
        found = [b for b in found if b != self.current]
        if kind == 1:
            return [b for b in found if max(b[1], b[2]) > 1]
        if kind:
            return [b for b in found if (b[1] > b[2] if kind == 2 else b[1] < b[2])]
        return found

    def activity(self, plane, kind, y, x):
        return sum(self.m(band, y, x) for band in self.active(plane, kind))

    def activity_density(self, plane, kind):
        total = sum(map(self.total, self.active(plane, kind)))
        return density(total, self.rows * self.columns)

    # Means

    def means(self, plane, level):
        """Give the grid that a level refines."""
        if level == 0:
            level = 1  # there is nothing to refine
        if (plane, level) not in self.grids:
            if level == 1:
                self.grids[plane, level] = self.sixteenths(("means", 0, 0, plane))
            else:
                details = [self.sixteenths(("means", level - 1, d, plane)) for d in range(3)]
                self.grids[plane, level] = join_level(self.means(plane, level - 1), *details)
        return self.grids[plane, level]

    def sixteenths(self, band):
        height, width = self.shape(band)
        values = self.known.get(band, {})
        return [[16 * values.get((y, x), 0) for x in range(width)] for y in range(height)]

    def differences(self, plane, level, y, x):
        grid = self.means(plane, level)

        def at(down, right):
            row = grid[limit(y + down, 0, len(grid) - 1)]
            return row[limit(x + right, 0, len(row) - 1)]

        up, down, left, right, centre = at(-1, 0), at(1, 0), at(0, -1), at(0, 1), at(0, 0)
        mixed = at(-1, -1) + at(1, 1) - at(-1, 1) - at(1, -1)
        return [down - up, right - left, up + down - 2 * centre, left + right - 2 * centre, mixed]

    def colours(self, plane, level, y, x):
        shift = 18 + self.depth + 1 - level
        others = self.others(plane)
        luma = self.means(0 if others else plane, level)[y][x]
        chroma = sum(abs(self.means(one, level)[y][x]) for one in (1, 2)) if others else 0
        brightness, saturation = 120 + (luma * self.step >> shift), chroma * self.step >> shift
        return [limit(brightness, 0, 240), limit(saturation, 0, 240)]

    # Features

    def scalars(self, band):
        return self.pyramid_scalars(band) if band[0] == "means" else self.frequency_scalars(band)

    def pyramid_scalars(self, band):
        _, level, detail, plane = band
        found = [self.density(("means", level - 1, detail, plane)) if level > 1 else 0]
        found += [self.density(("means", level, d, plane)) if d < detail else 0 for d in range(2)]
        for other in pad(self.others(plane), 2):
            same = ("means", level, detail, other)
            below = other is not None and other < plane
            found.append((self.density(same) if level else log16(self.total(same))) * below)
        lowest = log16(self.total(("means", 0, 0, plane))) if level else 0
        return [*found, 16 * min(self.run[plane], 15), self.latest[plane], lowest]

    def frequency_scalars(self, band):
        _, u, v, plane = band
        others = pad(self.others(plane), 2)
        found = [self.density(("frequency", u + i, v + j, plane)) for i, j in NEAR[:5]]
        found.append(self.density(("frequency", v, u, plane)))
        found += [self.density(("frequency", u, v, other)) for other in others]
        found += [self.activity_density(plane, kind) for kind in range(2)]
        found += [16 * min(self.run[plane], 15), self.latest[plane]]
        return found + [self.activity_density(other, 0) for other in others]

    def maps(self, band, y, x):
        return self.pyramid_maps(band, y, x) if band[0] == "means" else self.block_maps(band, y, x)

    def pyramid_maps(self, band, y, x):
        _, level, detail, plane = band
        found = []
        for d in range(2):
            found += self.pair(("means", level, d, plane), y, x) if d < detail else [0, 0]
        parents = [("means", level - 1, (detail + i) % 3, plane) for i in range(3)]
        if level > 1:
            found += [log16(self.parent(self.m, one, y, x, 2)) for one in parents]
            found.append(log16(self.parent(self.around, parents[0], y, x, 2)))
            grand = ("means", level - 2, detail, plane)
            found.append(log16(self.parent(self.m, grand, y, x, 4)))
        found += [0] * (9 - len(found))
        for other in pad(self.others(plane), 2):
            below = other is not None and other < plane
            found += self.pair(("means", level, detail, other), y, x) if below else [0, 0]
        found += places(*self.shape(band), y, x)
        return found + (self.surface(plane, level, y, x) if level else [0] * 7)

    def block_maps(self, band, y, x):
        _, u, v, plane = band
        near = [("frequency", u + i, v + j, plane) for i, j in NEAR]
        found = [log16(self.m(one, y, x)) for one in near]
        found += [log16(self.around(one, y, x)) for one in near[:3]]
        for one in near[:2]:
            found += [log16(sum(self.m(one, y + i, x + j) for i, j in pair)) for pair in (V, H)]
        found.append(log16(self.weighted(near, y, x)))
        found.append(log16(sum(self.weighted(near, y + i, x + j) for i, j in EIGHT)))
        for kind, offsets in ((0, EIGHT), (1, EIGHT), (2, H), (3, V)):
            found += self.activities(plane, kind, offsets, y, x)
        for other in pad(self.others(plane), 2):
            found += self.pair(("frequency", u, v, other), y, x)
            found += self.activities(other, 0, EIGHT, y, x)
            beside = [("frequency", u + i, v + j, other) for i, j in V + H]
            found.append(log16(sum(self.m(one, y, x) for one in beside)))
        fine, coarse = (
            [self.parent(self.m, ("means", level, d, plane), y, x, factor) for d in range(3)]
            for level, factor in ((self.depth, 2), (self.depth - 1, 4))
        )
        found += [log16(m) if self.depth > 0 else 0 for m in fine]
        found.append(log16(sum(coarse)) if self.depth > 1 else 0)
        found += places(self.rows, self.columns, y, x)
        return found + self.surface(plane, self.depth + 1, y, x)

    def pair(self, band, y, x):
        inside = band[0] == "frequency" or all(
            i < n for i, n in zip((y, x), self.shape(band), strict=True)
        )
        return [log16(self.m(band, y, x)), log16(self.around(band, y, x))] if inside else [0, 0]

    def parent(self, of, band, y, x, factor):
        if band not in self.known:
            return 0
        height, width = self.shape(band)
        return of(band, min(y // factor, height - 1), min(x // factor, width - 1))

    def weighted(self, near, y, x):
        return sum((2 if i < 2 else 1) * self.m(one, y, x) for i, one in enumerate(near))

    def activities(self, plane, kind, offsets, y, x):
        beside = sum(self.activity(plane, kind, y + i, x + j) for i, j in offsets)
        return [log16(self.activity(plane, kind, y, x)), log16(beside)]

    def surface(self, plane, level, y, x):
        differences = self.differences(plane, level, y, x)
        return self.colours(plane, level, y, x) + [log16(abs(d) // 2) for d in differences]

    def own(self, band, phase, y, x):
        return [log16(sum(self.m(band, y + i, x + j) for i, j in group)) for group in OWN[phase]]

    # Signs

    def v(self, band, y, x):
        return limit(self.known.get(band, {}).get((y, x), 0), -3, 3)

    def sign_features(self, band, y, x):
        kind, level, detail, plane = band
        found = [
            self.v(band, y + a[0], x + a[1]) + self.v(band, y + b[0], x + b[1]) for a, b in PAIRS
        ]
        if kind == "frequency":
            lower = [(kind, level + i, detail + j, plane) for i, j in LOWER]
            found += [self.v(one, y, x) for one in lower]
            found.append(self.v(lower[0], y + 1, x) - self.v(lower[0], y - 1, x))
            found.append(self.v(lower[1], y, x + 1) - self.v(lower[1], y, x - 1))
            found.append(self.v(lower[2], y + 1, x) + self.v(lower[2], y - 1, x))
            found.append(self.v(lower[3], y, x + 1) + self.v(lower[3], y, x - 1))
        elif level:
            differences = self.differences(plane, level, y, x)
            found += [sign(d) * (log16(abs(d) // 2) // 16) for d in differences]
        found += [0] * (17 - len(found))
        for other in pad(self.others(plane), 2):
            found += self.sign_of_other(band, other, y, x)
        return found

    def sign_of_other(self, band, other, y, x):
        same = (*band[:3], other)
        if same not in self.known or band[:2] == ("means", 0):
            return [0, 0, 0]
        value = self.v(same, y, x)
        own = self.agreement(band, other, y, x)
        near = sum(self.agreement(band, other, y + i, x + j) for i, j in EIGHT)
        return [value, *(sign(value) * limit(g, -3, 3) for g in (own, near))]

    def agreement(self, band, other, y, x):
        level = band[1] if band[0] == "means" else self.depth + 1
        grid = self.means(0, level)
        if not (0 <= y < len(grid) and 0 <= x < len(grid[0])):
            return 0
        total = 0
        for one in self.known:
            same = (*one[:3], other)
            if one == band or one[3] != band[3] or one[:2] == ("means", 0):
                continue
            back = level - (one[1] if one[0] == "means" else self.depth + 1)
            cell = y >> back, x >> back
            total += sign(self.v(one, *cell)) * sign(self.v(same, *cell))
        return total


def pad(others, count):
    return others + [None] * (count - len(others))


def places(height, width, y, x):
    edges = [16 if y in (0, height - 1) else 0, 16 if x in (0, width - 1) else 0]
    return [*edges, 120 * (2 * y + 1) // height, 240 * abs(2 * x + 1 - width) // width]


def join_level(low, horizontal, vertical, diagonal):
    left = transposed([join(a, d) for a, d in zip_columns(low, vertical)])
    right = transposed([join(a, d) for a, d in zip_columns(horizontal, diagonal)])
    right = right or [[]] * len(left)
    joined = [join(a, d) for a, d in zip(left, right, strict=True)]
    return [[limit(value, -(2**31), 2**31) for value in row] for row in joined]


def transposed(rows):
    return [list(column) for column in zip(*rows, strict=True)]


def zip_columns(above, below):
    width = len(above[0])
    return [([row[i] for row in above], [row[i] for row in below]) for i in range(width)]


def join(a, d):
    """Join low values and details along an axis."""
    n, m = len(a), len(d)
    if not m:
        return a
    a, d = [(3563 * v + 2048) >> 12 for v in a], [(4709 * v + 2048) >> 12 for v in d]
    for low, detail in ((1817, 3616), (-217, -6497)):
        beside = [d[max(k - 1, 0)] + d[min(k, m - 1)] for k in range(n)]
        a = [v - ((low * s + 2048) >> 12) for v, s in zip(a, beside, strict=True)]
        beside = [a[k] + a[min(k + 1, n - 1)] for k in range(m)]
        d = [v - ((detail * s + 2048) >> 12) for v, s in zip(d, beside, strict=True)]
    joined = [0] * (n + m)
    joined[::2], joined[1::2] = a, d
    return joined
