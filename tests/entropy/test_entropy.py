"""Tokens to bits and back, by both coders."""

import constriction
import numpy as np
import pytest
from context_models import LENGTH, PRIORS, both, codebook, draw, ternary
from hypothesis import given, settings
from hypothesis import strategies as st

from titokzip import entropy
from titokzip.entropy import range_coder
from titokzip.entropy.context_model import ContextModel
from titokzip.errors import FormatError
from titokzip.tiling import Grid

ALONE, GRID = Grid(1, 1), Grid(2, 3)


@st.composite
def streams(draw, vocabulary):
    """Tokens [N, L] of a grid of tiles that have counts, and stops; 0 where none is sent."""
    grid = Grid(draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    tiles, length = grid.tiles, draw(st.integers(1, LENGTH))
    seed = draw(st.integers(0, 2**32))
    counts = np.array(draw(st.lists(st.integers(1, length), min_size=tiles, max_size=tiles)))
    stops = [*sorted(draw(st.lists(st.integers(1, length), max_size=3))), length]
    tokens = np.random.default_rng(seed).integers(0, vocabulary, (tiles, length), np.int32)
    return np.where(np.arange(length) < counts[:, None], tokens, 0), counts, stops, grid


@given(st.data(), st.integers(1, 70_000))
@settings(deadline=None, max_examples=100)
def test_unpack_inverts_pack_for_any_prefix_of_the_layers(data, vocabulary):
    tokens, counts, stops, _ = data.draw(streams(vocabulary))
    layers = entropy.pack(tokens, counts, stops, vocabulary)
    for n, stop in enumerate(stops, 1):
        decoded = entropy.unpack(layers[:n], counts, stops[:n], vocabulary)
        assert np.array_equal(decoded, tokens[:, :stop])


@pytest.mark.parametrize("prior", PRIORS.values(), ids=PRIORS)
@given(data=st.data())
@settings(deadline=None, max_examples=60)
def test_range_decode_inverts_range_encode_for_any_prefix_of_the_layers(prior, data):
    tokens, counts, stops, grid = data.draw(streams(prior.radix**prior.digits))
    layers = entropy.range_encode(tokens, counts, stops, grid, prior)
    for n, stop in enumerate(stops, 1):
        decoded = entropy.range_decode(layers[:n], counts, stops[:n], grid, prior)
        assert decoded.dtype == np.int32
        assert np.array_equal(decoded, tokens[:, :stop])


@both
def test_range_coding_ignores_zeros_that_follow(prior):
    tokens = draw(np.random.default_rng(0), prior, GRID)
    counts = np.full(GRID.tiles, LENGTH)
    (layer,) = entropy.range_encode(tokens, counts, [LENGTH], GRID, prior)
    decoded = entropy.range_decode([layer + bytes(9)], counts, [LENGTH], GRID, prior)
    assert np.array_equal(decoded, tokens)


def test_packed_tokens_take_their_width_and_no_more():
    tokens = np.arange(21).reshape(3, 7)
    layers = entropy.pack(tokens, np.array([7, 7, 2]), [2, 7], 2187)
    assert [len(layer) for layer in layers] == [9, 15]


def test_packing_is_token_by_token_and_the_highest_bit_first():
    tokens = np.array([[0x123, 0xABC], [0x456, 0xDEF]])
    assert entropy.pack(tokens, np.array([2, 2]), [2], 4096)[0].hex() == "123456abcdef"


@pytest.mark.parametrize("data", [b"\x12\x30\x00", b"\x12", b"", b"\x12\x31", b"\x88\xb0"])
def test_packed_bytes_that_no_tokens_have_are_refused(data):
    assert entropy.unpack([b"\x88\xa0"], np.array([1]), [1], 2187) == 2186
    with pytest.raises(FormatError):
        entropy.unpack([data], np.array([1]), [1], 2187)


@both
def test_a_trimmed_stream_is_within_a_byte_of_ideal(prior):
    rng = np.random.default_rng(1)
    excess = []
    for _ in range(200):
        grid = Grid(*map(int, rng.integers(1, 4, 2)))
        tokens, counts = draw(rng, prior, grid), np.full(grid.tiles, LENGTH)
        layers = entropy.range_encode(tokens, counts, [LENGTH], grid, prior)
        excess.append(len(layers[0]) - range_coder.cost(tokens, grid, prior).sum() / 8)
    assert np.mean(excess) < 0.6
    assert max(excess) < 1.1


@both
def test_no_shorter_stream_decodes_to_the_same(prior):
    rng = np.random.default_rng(9)
    for _ in range(300):
        counts, stops = np.array([rng.integers(1, 5)]), [4]
        tokens = np.where(np.arange(4) < counts, draw(rng, prior, ALONE, 4), 0)
        (layer,) = entropy.range_encode(tokens, counts, stops, ALONE, prior)
        below, limit = int.from_bytes(layer) >> 8, 256 ** max(0, len(layer) - 1)
        for number in {below, min(below + 1, limit - 1)} if layer else ():
            shorter = number.to_bytes(len(layer) - 1)
            try:
                decoded = entropy.range_decode([shorter], counts, stops, ALONE, prior)
            except FormatError:
                continue
            assert not np.array_equal(decoded, tokens)


def test_the_first_value_of_every_digit_costs_no_byte():
    tokens = np.zeros((1, LENGTH), np.int32)
    layers = entropy.range_encode(tokens, np.array([LENGTH]), [LENGTH], ALONE, codebook())
    assert layers == [b""]


@both
def test_cost_is_the_length_of_a_long_stream(prior):
    grid = Grid(20, 20)
    tokens = draw(np.random.default_rng(2), prior, grid)
    bits = range_coder.cost(tokens, grid, prior)
    assert bits.shape == tokens.shape
    (layer,) = entropy.range_encode(tokens, np.full(400, LENGTH), [LENGTH], grid, prior)
    assert bits.sum() / 8 == pytest.approx(len(layer), rel=0.01)


def test_what_tiles_beside_have_changes_the_odds_and_what_others_have_does_not():
    prior, grid = ternary(), Grid(1, 4)
    rng = np.random.default_rng(3)
    tokens = draw(rng, prior, grid)
    bits = range_coder.cost(tokens, grid, prior)
    tokens[3] = draw(rng, prior, ALONE)[0]
    changed = (range_coder.cost(tokens, grid, prior) != bits).any(axis=1)
    assert changed.tolist() == [False, False, True, True]


def test_tokens_that_were_not_sent_tell_the_tiles_beside_nothing():
    prior, grid, counts = ternary(), Grid(1, 2), np.array([LENGTH, 1])
    tokens = draw(np.random.default_rng(5), prior, grid)
    layers = entropy.range_encode(tokens, counts, [LENGTH], grid, prior)
    tokens[1, 1:] = 0
    assert entropy.range_encode(tokens, counts, [LENGTH], grid, prior) == layers


@both
def test_damaged_streams_give_tokens_in_range_or_a_format_error(prior):
    rng = np.random.default_rng(4)
    grid, counts, stops = Grid(2, 2), np.full(4, LENGTH), [3, LENGTH]
    layers = entropy.range_encode(draw(rng, prior, grid), counts, stops, grid, prior)
    damaged = [[layer[:cut] for layer in layers] for cut in range(len(layers[1]))]
    damaged += [[rng.bytes(rng.integers(40)), rng.bytes(rng.integers(40))] for _ in range(300)]
    damaged += [[b"\xff" * 40] * 2, [b"", b""]]
    refused = 0
    for case in damaged:
        try:
            tokens = entropy.range_decode(case, counts, stops, grid, prior)
        except FormatError:
            refused += 1
            continue
        assert tokens.shape == (4, LENGTH)
        assert tokens.min() >= 0
        assert tokens.max() < prior.radix**prior.digits
    assert 0 < refused < len(damaged)


class Panic(BaseException):
    """What pyo3 raises when Rust panics is no Exception either."""


class Panicking:
    def __init__(self, *args):
        pass

    def encode(self, *args):
        raise Panic

    decode = encode


def test_panics_stop_at_the_wall(monkeypatch):
    monkeypatch.setattr(constriction.stream.queue, "RangeEncoder", Panicking)
    monkeypatch.setattr(constriction.stream.queue, "RangeDecoder", Panicking)
    with pytest.raises(FormatError):
        entropy.range_encode(np.zeros((1, 1), np.int32), np.array([1]), [1], ALONE, codebook())
    with pytest.raises(FormatError):
        entropy.range_decode([b"x"], np.array([1]), [1], ALONE, codebook())


def test_a_user_who_interrupts_gets_through_the_wall(monkeypatch):
    monkeypatch.setattr(Panicking, "decode", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    monkeypatch.setattr(constriction.stream.queue, "RangeDecoder", Panicking)
    with pytest.raises(KeyboardInterrupt):
        entropy.range_decode([b"x"], np.array([1]), [1], ALONE, codebook())


@both
def test_how_tables_lie_in_memory_does_not_change_the_bits(prior):
    tokens, counts = draw(np.random.default_rng(7), prior, GRID), np.full(GRID.tiles, LENGTH)
    expected = entropy.range_encode(tokens, counts, [4, LENGTH], GRID, prior)
    tables = prior.to_tables()
    assert all(table.dtype == np.int32 for table in tables.values())
    fortran = {name: table.copy(order="F") for name, table in tables.items()}
    for other in (
        ContextModel.from_tables(tables),
        ContextModel.from_tables(fortran),
        from_int32(tables),
    ):
        assert entropy.range_encode(tokens, counts, [4, LENGTH], GRID, other) == expected
    transposed = np.asfortranarray(tokens.astype(np.int64))
    assert entropy.range_encode(transposed, counts, [4, LENGTH], GRID, prior) == expected


def from_int32(tables):
    """Make a prior whose arrays are still 32 bits wide."""
    numbers = {name: int(tables[name]) for name in ("digits", "radix")}
    return ContextModel(**tables | numbers | {"balanced": bool(tables["balanced"])})


def decoded_by_hand(data, counts, grid, prior):
    """Decode the digits of every tile that has them, in order, as docs/format.md says it."""
    words = iter(np.frombuffer(data + bytes(-len(data) % 4), ">u4").tolist())
    offset, size = next(words, 0) << 32 | next(words, 0), 2**64 - 1
    known = [[0] * prior.coefficients for _ in counts]
    values = [list(tile) for tile in known]
    inside, symbols = set(), []
    for d, own in enumerate(prior.coefficient.tolist()):
        if d % prior.digits == 0 or own in inside:
            known, inside = [list(tile) for tile in values], set()
        inside.add(own)
        for tile, count in enumerate(counts):
            if d // prior.digits >= count:
                continue
            row = row_by_hand(prior, d, tile, known, grid)
            unit = size >> 24
            part, symbol = min(offset // unit, 2**24 - 1), 0
            while part >= row[symbol]:
                part -= row[symbol]
                symbol += 1
            offset -= unit * sum(row[:symbol])
            size = unit * row[symbol]
            if size < 2**32:
                offset, size = offset << 32 | next(words, 0), size << 32
            symbols.append(symbol)
            values[tile][own] += (symbol - int(prior.balanced)) * int(prior.weight[d])
    return symbols


def row_by_hand(prior, d, tile, known, grid):
    """Look up the frequencies of digit d of a tile."""
    y, x = divmod(tile, grid.columns)
    around = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
    beside = [
        known[row * grid.columns + column]
        for row, column in around
        if 0 <= row < grid.rows and 0 <= column < grid.columns
    ]
    activity = 0
    for witness, importance in zip(prior.witnesses[d], prior.importance[d], strict=True):
        j = witness % prior.coefficients
        if witness < prior.coefficients:
            activity += importance * 12 * abs(known[tile][j])
        elif beside:
            activity += importance * 12 * sum(abs(other[j]) for other in beside) // len(beside)
    thresholds = prior.thresholds[d][min(1, len(beside))]
    level = sum(threshold <= activity for threshold in thresholds)
    level += (len(thresholds) + 1) * bool(beside)
    value = known[tile][prior.coefficient[d]]
    return prior.frequencies[d][3 * level + 1 + (value > 0) - (value < 0)].tolist()


@pytest.mark.parametrize("prior", [ternary(), codebook(1000)], ids=PRIORS)
@pytest.mark.parametrize("grid", [ALONE, Grid(1, 2), Grid(3, 4)])
def test_a_range_decoder_written_from_the_spec_reads_the_same(prior, grid):
    rng = np.random.default_rng(8)
    counts = rng.integers(1, LENGTH, grid.tiles)
    counts[0] = LENGTH
    tokens = draw(rng, prior, grid)
    (layer,) = entropy.range_encode(tokens, counts, [LENGTH], grid, prior)
    powers = prior.radix ** np.arange(prior.digits)
    digits = tokens.T[:, None] // powers[:, None] % prior.radix  # [L, T, N]
    sent = np.broadcast_to(np.arange(LENGTH)[:, None, None] < counts, digits.shape)
    assert decoded_by_hand(layer, counts, grid, prior) == digits[sent].tolist()


GOLDEN = {
    "ternary": ["00003a3feae9c02b", "0347df775240ca2e9ba69252eddb60"],
    "codebook": ["003b95231c16da", "852d2ae4bf2019ce2beee9f46cc05239c85330"],
}


@pytest.mark.parametrize("name", PRIORS)
def test_golden_bytes_of_the_range_coder_never_change(name):
    prior = PRIORS[name]
    tokens = np.arange(3 * LENGTH).reshape(3, LENGTH) * 7 % prior.radix**prior.digits
    counts, stops = np.array([LENGTH, 5, LENGTH]), [3, LENGTH]
    layers = entropy.range_encode(tokens, counts, stops, Grid(1, 3), prior)
    assert [layer.hex() for layer in layers] == GOLDEN[name]


@pytest.mark.parametrize("change", [{(0, 0, 0): 1}, {(1, 2, 0): 0}, {(1, 2, 1): -5}])
def test_frequencies_that_are_not_positive_or_do_not_sum_are_refused(change):
    tables = ternary().to_tables()
    for place, value in change.items():
        row = tables["frequencies"][place[:2]]
        if value < 1:
            row[-1] += row[place[2]] - value  # the sum stays right
        row[place[2]] = value
    with pytest.raises(ValueError, match="sum to 16777216"):
        ContextModel.from_tables(tables)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("thresholds", lambda table: table[:, 0]),
        ("thresholds", lambda table: table[:, :1]),
        ("thresholds", lambda table: table[1:]),
        ("frequencies", lambda table: table[0, 0]),
        ("frequencies", lambda table: table[:, :9]),
        ("frequencies", lambda table: table[:-1]),
        ("weight", lambda table: table[1:]),
        ("witnesses", lambda table: table[1:]),
        ("importance", lambda table: table[:, :1]),
        ("coefficient", lambda table: table[:0]),
        ("coefficient", lambda table: table[None]),
        ("digits", lambda _: 0),
        ("digits", lambda _: -2),
        ("digits", lambda _: 48),
        ("radix", lambda _: 5),
        ("radix", lambda _: -3),
    ],
)
def test_tables_of_other_shapes_are_refused(name, change):
    tables = ternary().to_tables()
    tables[name] = np.asarray(change(tables[name]), np.int32)
    with pytest.raises(ValueError, match=r"shape|dimensions|digits"):
        ContextModel.from_tables(tables)


@pytest.mark.parametrize("change", [{"coefficient": -1}, {"coefficient": 24}, {"witnesses": 8}])
def test_tables_that_point_nowhere_are_refused(change):
    tables = {key: table.copy() for key, table in ternary().to_tables().items()}
    for key, value in change.items():
        tables[key].flat[3] = value
    with pytest.raises(ValueError, match="coefficient"):
        ContextModel.from_tables(tables)
