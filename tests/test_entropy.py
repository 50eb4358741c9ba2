"""Tokens to bits and back, by both coders."""

import constriction
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from priors import LENGTH, PRIORS, both, codebook, draw, ternary

from titokzip import entropy
from titokzip.entropy import Prior
from titokzip.errors import FormatError


@st.composite
def streams(draw, vocabulary):
    """Tokens [N, L] of some tiles that have counts, and stops; 0 where none is sent."""
    tiles, length = draw(st.integers(1, 9)), draw(st.integers(1, LENGTH))
    seed = draw(st.integers(0, 2**32))
    counts = np.array(draw(st.lists(st.integers(1, length), min_size=tiles, max_size=tiles)))
    stops = [*sorted(draw(st.lists(st.integers(1, length), max_size=3))), length]
    tokens = np.random.default_rng(seed).integers(0, vocabulary, (tiles, length), np.int32)
    return np.where(np.arange(length) < counts[:, None], tokens, 0), counts, stops


@given(st.data(), st.integers(1, 70_000))
@settings(deadline=None, max_examples=100)
def test_unpack_inverts_pack_for_any_prefix_of_the_layers(data, vocabulary):
    tokens, counts, stops = data.draw(streams(vocabulary))
    layers = entropy.pack(tokens, counts, stops, vocabulary)
    for n, stop in enumerate(stops, 1):
        decoded = entropy.unpack(layers[:n], counts, stops[:n], vocabulary)
        assert np.array_equal(decoded, tokens[:, :stop])


@pytest.mark.parametrize("prior", PRIORS.values(), ids=PRIORS)
@given(data=st.data())
@settings(deadline=None, max_examples=60)
def test_range_decode_inverts_range_encode_for_any_prefix_of_the_layers(prior, data):
    tokens, counts, stops = data.draw(streams(prior.radix**prior.digits))
    layers = entropy.range_encode(tokens, counts, stops, prior)
    for n, stop in enumerate(stops, 1):
        decoded = entropy.range_decode(layers[:n], counts, stops[:n], prior)
        assert decoded.dtype == np.int32
        assert np.array_equal(decoded, tokens[:, :stop])


@both
def test_range_coding_ignores_zeros_that_follow(prior):
    tokens = draw(np.random.default_rng(0), prior, 5)
    counts = np.full(5, LENGTH)
    (layer,) = entropy.range_encode(tokens, counts, [LENGTH], prior)
    assert np.array_equal(entropy.range_decode([layer + bytes(9)], counts, [LENGTH], prior), tokens)


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
        tokens = draw(rng, prior, int(rng.integers(1, 6)))
        layers = entropy.range_encode(tokens, np.full(len(tokens), LENGTH), [LENGTH], prior)
        excess.append(len(layers[0]) - entropy.cost(tokens, prior).sum() / 8)
    assert np.mean(excess) < 0.6
    assert max(excess) < 1.1


@both
def test_no_shorter_stream_decodes_to_the_same(prior):
    rng = np.random.default_rng(9)
    for _ in range(300):
        counts, stops = np.array([rng.integers(1, 5)]), [4]
        tokens = np.where(np.arange(4) < counts, draw(rng, prior, 1, 4), 0)
        (layer,) = entropy.range_encode(tokens, counts, stops, prior)
        below, limit = int.from_bytes(layer) >> 8, 256 ** max(0, len(layer) - 1)
        for number in {below, min(below + 1, limit - 1)} if layer else ():
            shorter = number.to_bytes(len(layer) - 1)
            try:
                decoded = entropy.range_decode([shorter], counts, stops, prior)
            except FormatError:
                continue
            assert not np.array_equal(decoded, tokens)


def test_the_first_value_of_every_digit_costs_no_byte():
    tokens = np.zeros((1, LENGTH), np.int32)
    assert entropy.range_encode(tokens, np.array([LENGTH]), [LENGTH], codebook()) == [b""]


@both
def test_cost_is_the_length_of_a_long_stream(prior):
    tokens = draw(np.random.default_rng(2), prior, 400)
    bits = entropy.cost(tokens, prior)
    assert bits.shape == tokens.shape
    (layer,) = entropy.range_encode(tokens, np.full(400, LENGTH), [LENGTH], prior)
    assert bits.sum() / 8 == pytest.approx(len(layer), rel=0.01)


@both
def test_a_tile_decodes_alone_as_among_others(prior):
    tokens, counts = draw(np.random.default_rng(3), prior, 6), np.array([12, 3, 1, 12, 7, 5])
    tokens = np.where(np.arange(LENGTH) < counts[:, None], tokens, 0)
    stops = [3, LENGTH]
    together = entropy.range_encode(tokens, counts, stops, prior)
    among = entropy.range_decode(together, counts, stops, prior)
    for i in range(6):
        one = slice(i, i + 1)
        alone = entropy.range_encode(tokens[one], counts[one], stops, prior)
        decoded = entropy.range_decode(alone, counts[one], stops, prior)
        assert np.array_equal(decoded, among[one])


@both
def test_damaged_streams_give_tokens_in_range_or_a_format_error(prior):
    rng = np.random.default_rng(4)
    counts, stops = np.full(4, LENGTH), [3, LENGTH]
    layers = entropy.range_encode(draw(rng, prior, 4), counts, stops, prior)
    damaged = [[layer[:cut] for layer in layers] for cut in range(len(layers[1]))]
    damaged += [[rng.bytes(rng.integers(40)), rng.bytes(rng.integers(40))] for _ in range(300)]
    damaged += [[b"\xff" * 40] * 2, [b"", b""]]
    refused = 0
    for case in damaged:
        try:
            tokens = entropy.range_decode(case, counts, stops, prior)
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
        entropy.range_encode(np.zeros((1, 1), np.int32), np.array([1]), [1], codebook())
    with pytest.raises(FormatError):
        entropy.range_decode([b"x"], np.array([1]), [1], codebook())


def test_a_user_who_interrupts_gets_through_the_wall(monkeypatch):
    monkeypatch.setattr(Panicking, "decode", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    monkeypatch.setattr(constriction.stream.queue, "RangeDecoder", Panicking)
    with pytest.raises(KeyboardInterrupt):
        entropy.range_decode([b"x"], np.array([1]), [1], codebook())


@both
def test_how_tables_lie_in_memory_does_not_change_the_bits(prior):
    tokens, counts = draw(np.random.default_rng(7), prior, 5), np.full(5, LENGTH)
    expected = entropy.range_encode(tokens, counts, [4, LENGTH], prior)
    tables = prior.to_tables()
    assert all(table.dtype == np.int32 for table in tables.values())
    fortran = {name: table.copy(order="F") for name, table in tables.items()}
    for other in (Prior.from_tables(tables), Prior.from_tables(fortran), from_int32(tables)):
        assert entropy.range_encode(tokens, counts, [4, LENGTH], other) == expected
    transposed = np.asfortranarray(tokens.astype(np.int64))
    assert entropy.range_encode(transposed, counts, [4, LENGTH], prior) == expected


def from_int32(tables):
    """Make a prior whose arrays are still 32 bits wide."""
    numbers = {name: int(tables[name]) for name in ("digits", "radix")}
    return Prior(**tables | numbers | {"balanced": bool(tables["balanced"])})


def range_decoded_by_hand(data, rows):
    """Decode a symbol for each row of frequencies, as docs/format.md says it."""
    words = iter(np.frombuffer(data + bytes(-len(data) % 4 + 4 * len(rows) + 8), ">u4").tolist())
    offset, size = next(words) << 32 | next(words), 2**64 - 1
    symbols = []
    for row in rows.tolist():
        unit = size >> 24
        part, symbol = min(offset // unit, 2**24 - 1), 0
        while part >= row[symbol]:
            part -= row[symbol]
            symbol += 1
        offset -= unit * sum(row[:symbol])
        size = unit * row[symbol]
        if size < 2**32:
            offset, size = offset << 32 | next(words), size << 32
        symbols.append(symbol)
    return symbols


def test_a_range_decoder_written_from_the_spec_reads_the_same():
    prior = codebook(1000)
    tokens = draw(np.random.default_rng(8), prior, 40)
    (layer,) = entropy.range_encode(tokens, np.full(40, LENGTH), [LENGTH], prior)
    rows = np.repeat(prior.frequencies[:, 1], 40, axis=0)
    assert range_decoded_by_hand(layer, rows) == tokens.T.ravel().tolist()


GOLDEN = {
    "ternary": ["000000030191ce", "0347b419d641ada76aebfa20"],
    "codebook": ["003b95231c16da", "852d2ae4bf2019ce2beee9f46cc05239c85330"],
}


@pytest.mark.parametrize("name", PRIORS)
def test_golden_bytes_of_the_range_coder_never_change(name):
    prior = PRIORS[name]
    tokens = np.arange(3 * LENGTH).reshape(3, LENGTH) * 7 % prior.radix**prior.digits
    layers = entropy.range_encode(tokens, np.array([LENGTH, 5, LENGTH]), [3, LENGTH], prior)
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
        Prior.from_tables(tables)


@pytest.mark.parametrize("change", [{"coefficient": -1}, {"coefficient": 24}, {"neighbours": 5}])
def test_tables_that_point_nowhere_are_refused(change):
    tables = {key: table.copy() for key, table in ternary().to_tables().items()}
    for key, value in change.items():
        tables[key].flat[3] = value
    with pytest.raises(ValueError, match="coefficient"):
        Prior.from_tables(tables)
