"""A decoder of layers to integers, written from docs/format.md alone in plain Python integers.

It shares no code with the codec, is slow, and exists for tests: what it decodes must be equal.
"""

from math import isqrt

from reference_contexts import PHASES, Contexts, density, limit

TOTAL = 2**24


class RangeDecoder:
    def __init__(self, data):
        self.data, self.at = data, 0
        self.offset = self.word() << 32 | self.word()
        self.size = 2**64 - 1

    def word(self):
        found = self.data[self.at : self.at + 4]
        self.at += 4
        return int.from_bytes(found.ljust(4, b"\0"), "big")

    def symbol(self, frequencies):
        assert sum(frequencies) == TOTAL
        assert min(frequencies) > 0
        unit = self.size >> 24
        v = low = 0
        while v < len(frequencies) - 1 and unit * (low + frequencies[v]) <= self.offset:
            low += frequencies[v]
            v += 1
        self.narrow(unit * low, unit * frequencies[v])
        return v

    def bits(self, count):
        """Decode a symbol of 2^count that are as likely."""
        each = (self.size >> 24) << (24 - count)
        v = min(self.offset // each, 2**count - 1)
        self.narrow(each * v, each)
        return v

    def narrow(self, low, size):
        self.offset, self.size = self.offset - low, size
        if self.size < 2**32:
            self.offset, self.size = self.offset << 32 | self.word(), self.size << 32


class Decoder:
    """Decodes one image; `arrays` are those of the context model, as nested lists."""

    def __init__(self, payloads, planes, rows, columns, step, arrays, layers):
        self.streams, self.layers = [RangeDecoder(data) for data in payloads], layers
        self.arrays, self.step = arrays, step
        self.contexts = Contexts(planes, rows, columns, arrays["steps"][step])
        self.size = ((rows * columns) ** 16).bit_length() - 1

    def decode(self):
        """Decode the values of the bands that are not all zero, by cell, without zeros."""
        for band in self.bands():
            height, width = self.contexts.shape(band)
            if height * width:
                self.decode_band(band)
        return self.contexts.known

    def bands(self):
        contexts = self.contexts
        planes = range(contexts.planes)
        pyramid = [
            ("means", level, detail, plane)
            for level in range(contexts.depth + 1)
            for detail in range(3 if level else 1)
            for plane in planes
        ]
        frequencies = [(u, v, p) for p in planes for u in range(8) for v in range(8) if u or v]
        frequencies.sort(key=self.fineness)
        return pyramid + [("frequency", *one) for one in frequencies]

    def fineness(self, frequency):
        u, v, plane = frequency
        radius = isqrt(10**8 * (u**2 + v**2)) + (200 if u > 0 and v > 0 else 0)
        return radius * (13 if self.contexts.chroma(plane) else 5), plane, abs(u - v), u

    def layer(self, band):
        if band[0] == "frequency":
            return self.layers - 1
        return max(0, self.layers - 2 - (self.contexts.depth - band[1]))

    def decode_band(self, band):
        contexts, plane, lowest = self.contexts, band[3], band[:2] == ("means", 0)
        kind = "pyramid" if band[0] == "means" else "blocks"
        index, scalars, layer = self.band_class(band), contexts.scalars(band), self.layer(band)
        stream = self.streams[layer] if layer < len(self.streams) else None
        if stream is None or not (lowest or stream.symbol(self.flag(kind, index, scalars))):
            contexts.run[plane] += 1
            return
        contexts.known[band], contexts.current = {}, band
        base = added(self.base(f"{kind}.cells", index), self.get(f"{kind}.cells.scalars"), scalars)
        for phase in range(7):
            self.decode_phase(band, phase, kind, base, index, stream)
        contexts.current = None
        if not contexts.known[band] and not lowest:
            del contexts.known[band]
            contexts.run[plane] += 1
            return
        contexts.run[plane], contexts.latest[plane] = 0, contexts.density(band)

    def decode_phase(self, band, phase, kind, base, index, stream):
        cells = self.cells(band, phase)
        coded = sum(len(self.cells(band, before)) for before in range(phase))
        coded = density(self.contexts.total(band), coded)
        logits = [self.logits(band, phase, kind, base, coded, cell) for cell in cells]
        magnitudes = [stream.symbol(self.magnitudes(y)) for y in logits]
        large = [i for i, magnitude in enumerate(magnitudes) if magnitude == 3]
        classes = [stream.symbol(self.get("sizes")[logits[i][3] // 8]) for i in large]
        for i, c in zip(large, classes, strict=True):
            raw = stream.bits(c // 2) if c > 1 else 0
            magnitudes[i] = 1 + (2 + c % 2) * 2 ** (c // 2) + raw
        coded = [(cell, m) for cell, m in zip(cells, magnitudes, strict=True) if m]
        signs = [self.sign(band, kind, index, cell) for cell, _ in coded]
        values = {
            cell: m if stream.symbol(row) else -m
            for (cell, m), row in zip(coded, signs, strict=True)
        }
        self.contexts.known[band] |= values

    def cells(self, band, phase):
        (height, width), (stride, row, column) = self.contexts.shape(band), PHASES[phase]
        return [(y, x) for y in range(row, height, stride) for x in range(column, width, stride)]

    # Networks

    def get(self, name):
        return self.arrays[name]

    def band_class(self, band):
        plane = band[3] if self.contexts.chroma(band[3]) else 0
        if band[0] == "frequency":
            return 64 * plane + 8 * band[1] + band[2]
        finest_first = min(self.contexts.depth - band[1], 9)
        return 4 * (10 * plane + finest_first) + (band[2] if band[1] else 3)

    def base(self, net, index):
        band, step, size = (self.get(f"{net}.{name}")[index] for name in ("band", "step", "size"))
        return [
            b + ((s * (self.step - 176) + z * (self.size - 128)) >> 4)
            for b, s, z in zip(band, step, size, strict=True)
        ]

    def logits(self, band, phase, kind, base, coded, cell):
        def net(name):
            return self.get(f"{kind}.cells.{name}")

        sums = added(base, net("maps"), self.contexts.maps(band, *cell))
        sums = added(sums, net("own")[phase], self.contexts.own(band, phase, *cell))
        extra = zip(sums, net("coded")[phase], net("phase")[phase], strict=True)
        first = [limit((v + c * coded + p) >> 5, 0, 255) for v, c, p in extra]
        second = added(net("second_bias"), net("second"), first)
        second = [limit(v >> 6, 0, 255) for v in second]
        return [logit(v >> 7) for v in added(net("last_bias"), net("last"), second)]

    def magnitudes(self, y):
        mass = TOTAL - 4
        first, second, third = (self.get("probabilities")[i][y[i]] for i in range(3))
        a = mass * first >> 24
        b = a * second >> 24
        d = b * third >> 24
        return [mass - a + 1, a - b + 1, b - d + 1, d + 1]

    def flag(self, kind, index, scalars):
        net = f"{kind}.flags"
        first = added(self.base(net, index), self.get(f"{net}.scalars"), scalars)
        first = [limit(v >> 5, 0, 255) for v in first]
        [last] = added(self.get(f"{net}.last_bias"), [self.get(f"{net}.last")], first)
        return self.binary(3, logit(last >> 7))

    def sign(self, band, kind, index, cell):
        weights = self.get(f"{kind}.signs")[index]
        [total] = added([0], [weights], self.contexts.sign_features(band, *cell))
        return self.binary(4, logit(total >> 2))

    def binary(self, table, y):
        a = (TOTAL - 2) * self.get("probabilities")[table][y] >> 24
        return [TOTAL - 1 - a, a + 1]


def logit(value):
    return limit(value, -192, 191) + 192


def added(sums, rows, vector):
    """Add the product of a matrix and a vector to sums."""
    return [
        s + sum(w * v for w, v in zip(row, vector, strict=True))
        for s, row in zip(sums, rows, strict=True)
    ]
