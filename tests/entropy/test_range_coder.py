"""Symbols to bytes and back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from titokzip.entropy.range_coder import PRECISION, SymbolDecoder, SymbolEncoder
from titokzip.errors import FormatError

MANY = settings(deadline=None, max_examples=60)


def rows(rng, count, symbols, skew):
    """Draw frequencies less one [count, symbols]."""
    shares = rng.random((count, symbols)) ** skew + 1e-9
    left = 2**PRECISION - symbols
    found = np.floor(shares / shares.sum(axis=1, keepdims=True) * left)
    found[np.arange(count), rng.integers(symbols, size=count)] += left - found.sum(axis=1)
    return found


@given(
    st.integers(0, 2**32), st.integers(0, 300), st.integers(2, 40), st.sampled_from([1, 20, 200])
)
@MANY
def test_decoding_inverts_encoding(seed, count, symbols, skew):
    rng = np.random.default_rng(seed)
    frequencies = rows(rng, count, symbols, skew)
    values = rng.integers(0, symbols, count).astype(np.int32)
    bits = rng.integers(1, 21, count).astype(np.int32)
    raw = (rng.random(count) * 2.0**bits).astype(np.int32)
    encoder = SymbolEncoder()
    encoder.encode(values, frequencies)
    encoder.encode_bits(raw, bits)
    encoder.encode(values, frequencies)
    data = encoder.finish()
    assert not data.endswith(b"\0")
    for padded in (data, data + bytes(9)):
        decoder = SymbolDecoder(padded)
        assert np.array_equal(decoder.decode(frequencies), values)
        assert np.array_equal(decoder.decode_bits(bits), raw)
        assert np.array_equal(decoder.decode(frequencies), values)


def test_nothing_takes_no_bytes():
    assert SymbolEncoder().finish() == b""


def test_likely_symbols_take_no_bytes_at_all():
    encoder = SymbolEncoder()
    likely = np.array([[0, 2.0**PRECISION - 2]])
    for _ in range(1000):
        encoder.encode(np.array([1], np.int32), likely)
    assert len(encoder.finish()) <= 1


@pytest.mark.parametrize("data", [b"", b"\0" * 3, b"\xff" * 4, b"\xff" * 64])
def test_any_bytes_are_symbols_or_refused(data):
    frequencies = rows(np.random.default_rng(0), 50, 5, 1)
    try:
        found = SymbolDecoder(data).decode(frequencies)
    except FormatError:
        return
    assert ((found >= 0) & (found < 5)).all()
