"""A decoder of indexed images, written from docs/format.md alone in plain Python integers."""

from reference_decoder import TOTAL, RangeDecoder

NEIGHBOURS = [(dx, dy) for dx in range(-9, 10) for dy in range(-9, 1) if dx + 2 * dy < 0]
NEIGHBOURS.sort(key=lambda at: (at[0] ** 2 + at[1] ** 2, -at[1], -at[0]))
G = 0x9E3779B97F4A7C15
LENGTHS = 40, 16, 6, 2


class PaletteDecoder:
    def __init__(self, payload, width, height, colours, channels):
        self.stream = RangeDecoder(payload)
        self.width, self.height, self.most, self.channels = width, height, colours, channels
        self.numbers, self.palette = {}, []
        self.memories = [{}, {}, {}, {}]
        self.counts, self.chosen = {}, {}

    def decode(self):
        """Decode the colours of all pixels, by (x, y)."""
        for front in range(self.width + 2 * self.height - 2):
            pixels = [(front - 2 * y, y) for y in range(self.height)]
            self.front([(x, y) for x, y in pixels if 0 <= x < self.width])
        return {pixel: self.palette[number - 1] for pixel, number in self.numbers.items()}

    def front(self, pixels):
        around, places, guesses = {}, {}, {}
        for x, y in pixels:
            n = [self.numbers.get((x + dx, y + dy), 0) for dx, dy in NEIGHBOURS[:40]]
            around[x, y] = n
            places[x, y] = [hashed(n[:length]) for length in LENGTHS]
            held = [
                memory.get(place, 0)
                for memory, place in zip(self.memories, places[x, y], strict=True)
            ]
            guesses[x, y] = held + n[:6]
        found, learned = {}, []
        for turn in range(10):
            for pixel in pixels:
                guess, earlier = guesses[pixel][turn], set(guesses[pixel][:turn]) - {0}
                if pixel in found or guess == 0 or guess in earlier:
                    continue
                same = tuple(value == guess for value in guesses[pixel][:8])
                context = min(len(earlier), 2), same
                right, wrong = self.counts.get(context, (2, 2))
                f = 1 + (TOTAL - 2) * right // (right + wrong)
                symbol = self.stream.symbol([f, TOTAL - f])
                learned.append((context, symbol))
                if symbol == 0:
                    found[pixel] = guess
        for pixel in pixels:
            if pixel not in found:
                found[pixel] = self.choose(around[pixel][0], guesses[pixel])
        for context, symbol in learned:
            counts = list(self.counts.get(context, (2, 2)))
            counts[symbol] += 5
            self.counts[context] = tuple(counts)
        for pixel in pixels:
            for memory, place in zip(self.memories, places[pixel], strict=True):
                memory[place] = found[pixel]
        self.numbers |= found

    def choose(self, left, guesses):
        known = len(self.palette)
        numbers = [number for number in range(1, known + 1) if number not in guesses]
        weights = [16 * self.chosen.get((left, number), 0) + 1 for number in numbers]
        if known < self.most:
            numbers.append(known + 1)
            weights.append(self.most - known)
        at = 0
        if len(numbers) > 1:
            frequencies = [1 + (TOTAL - len(numbers)) * w // sum(weights) for w in weights]
            frequencies[0] += TOTAL - sum(frequencies)
            at = self.stream.symbol(frequencies)
        number = numbers[at]
        if number > known:
            self.palette.append(tuple(self.stream.bits(8) for _ in range(self.channels)))
        self.chosen[left, number] = self.chosen.get((left, number), 0) + 1
        return number


def hashed(numbers):
    return sum(n * pow(G, i, 2**64) for i, n in enumerate(numbers, 1)) % 2**64 >> 46
