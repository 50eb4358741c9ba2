"""Integers to layers of bytes and back."""

import tracemalloc

import context_models
import images
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from titokzip.entropy import coder
from titokzip.errors import FormatError
from titokzip.transform.bands import in_order

MODEL = context_models.model()
MANY = settings(deadline=None, max_examples=6)


@st.composite
def drawn(draw):
    """Integers of an image, a step and a number of layers."""
    shape = draw(st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4)))
    largest = draw(st.sampled_from([1, 3, 300, 2**20]))
    integers = images.random(*shape, draw(st.integers(0, 2**32)), largest)
    return integers, draw(st.integers(0, 255)), draw(st.integers(1, 8))


@given(drawn())
@MANY
def test_decoding_inverts_encoding(image):
    integers, step, layers = image
    payloads = coder.encode(integers, step, MODEL, layers)
    assert len(payloads) == layers
    planes, _, _, rows, columns = integers.blocks.shape
    decoded = coder.decode(payloads, planes, rows, columns, step, MODEL, layers)
    assert images.equal(decoded, integers)


@pytest.mark.parametrize("value", [2**20, -4096])
def test_images_of_one_extreme_value(value):
    integers = images.random(1, 2, 3)
    for part in images.parts(integers):
        part[:] = value
    integers.blocks[:, 0, 0] = 0
    [payload] = coder.encode(integers, 7, MODEL)
    assert images.equal(coder.decode([payload], 1, 2, 3, 7, MODEL), integers)


@pytest.mark.parametrize("layers", [1, 3, 8])
def test_the_first_layers_hold_the_coarsest_bands(layers):
    integers = images.random(1, 5, 7, seed=layers, largest=9)
    payloads = coder.encode(integers, 100, MODEL, layers)
    depth = len(integers.means) - 1
    for kept in {1, layers // 2 + 1, layers}:
        decoded = coder.decode(payloads[:kept], 1, 5, 7, 100, MODEL, layers)
        for band in in_order(1, 5, 7):
            held = coder.layer_of(band, layers, depth) < kept
            expected = band.of_integers(integers) * held
            assert np.array_equal(band.of_integers(decoded), expected)


def test_layers_are_never_finer_before_coarser():
    order = [coder.layer_of(band, 3, 4) for band in in_order(3, 9, 16)]
    assert order == sorted(order)
    assert set(order) == {0, 1, 2}


def test_an_empty_image_is_a_few_bytes_and_decodes():
    integers = images.random(3, 40, 60)
    for part in images.parts(integers):
        part[:] = 0
    payloads = coder.encode(integers, 100, MODEL, 2)
    assert sum(map(len, payloads)) < 200
    assert images.equal(coder.decode(payloads, 3, 40, 60, 100, MODEL, 2), integers)


@given(st.binary(max_size=40), st.integers(1, 4), st.integers(0, 255))
@MANY
def test_arbitrary_bytes_are_integers_or_refused(data, planes, step):
    try:
        decoded = coder.decode([data], planes, 1, 3, step, MODEL)
    except FormatError:
        return
    assert max(np.abs(part).max(initial=0) for part in images.parts(decoded)) <= 2**20


@pytest.mark.parametrize("data", [b"", b"\xff" * 8, b"\xff" * 4000, bytes(4000)])
def test_extreme_bytes_are_integers_or_refused(data):
    try:
        decoded = coder.decode([data, data], 2, 2, 3, 0, MODEL, 2)
    except FormatError:
        return
    assert max(np.abs(part).max(initial=0) for part in images.parts(decoded)) <= 2**20


def test_damaged_payloads_are_other_integers_or_refused():
    integers = images.random(1, 3, 3, largest=50)
    [payload] = coder.encode(integers, 90, MODEL)
    rng = np.random.default_rng(0)
    for _ in range(10):
        damaged = bytearray(payload[: rng.integers(len(payload))])
        if damaged:
            damaged[rng.integers(len(damaged))] ^= 1 << rng.integers(8)
        try:
            decoded = coder.decode([bytes(damaged)], 1, 3, 3, 90, MODEL)
        except FormatError:
            continue
        assert decoded.blocks.shape == integers.blocks.shape


def test_memory_is_bounded_by_the_image_not_by_the_payload():
    """An image has 192 integers a block of three planes; contexts are of the same order."""
    rng = np.random.default_rng(0)
    tracemalloc.start()
    try:
        for size in (10, 20_000):
            tracemalloc.reset_peak()
            try:
                coder.decode([rng.bytes(size)], 3, 16, 16, 0, MODEL)
            except FormatError:
                continue
            finally:
                peak = tracemalloc.get_traced_memory()[1]
                assert peak < 3 * 64 * 16 * 16 * 100
    finally:
        tracemalloc.stop()
