"""Tokens in fixed width."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from titokzip import entropy
from titokzip.errors import FormatError


@st.composite
def streams(draw, vocabulary):
    """Tokens [N, L] and the boundaries of layers."""
    tiles, length = draw(st.integers(1, 9)), draw(st.integers(1, 20))
    boundaries = [*sorted(draw(st.lists(st.integers(1, length), max_size=3))), length]
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    return rng.integers(0, vocabulary, (tiles, length), np.int32), boundaries


@given(st.data(), st.integers(1, 70_000))
@settings(deadline=None, max_examples=100)
def test_unpack_inverts_pack_for_any_prefix_of_the_layers(data, vocabulary):
    tokens, boundaries = data.draw(streams(vocabulary))
    layers = entropy.pack(tokens, boundaries, vocabulary)
    lengths = entropy.packed_lengths(len(tokens), boundaries, vocabulary)
    assert lengths == list(map(len, layers))
    for n, stop in enumerate(boundaries, 1):
        decoded = entropy.unpack(layers[:n], len(tokens), boundaries, vocabulary)
        assert decoded.dtype == np.int32
        assert np.array_equal(decoded, tokens[:, :stop])


def test_golden_bytes():
    tokens = np.array([[0x111, 0x222, 0x333], [0x6AA, 0x7BB, 0x0CC]], np.int32)
    layers = entropy.pack(tokens, [2, 3], 4096)
    assert [layer.hex() for layer in layers] == ["1116aa2227bb", "3330cc"]


@pytest.mark.parametrize(
    ("layer", "message"),
    [(b"", "0 bytes"), (bytes(3), "3 bytes"), (b"\x00\x01", "not zero"), (b"\xf8\x00", "beyond")],
)
def test_damaged_layers_are_refused(layer, message):
    with pytest.raises(FormatError, match=message):
        entropy.unpack([layer], 3, [1], 30)  # three tokens of five bits: 15 of 16


def test_a_vocabulary_of_one_takes_a_bit():
    tokens = np.zeros((8, 1), np.int32)
    assert entropy.pack(tokens, [1], 1) == [b"\0"]
