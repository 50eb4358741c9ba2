"""A limit on the bytes of a file is never exceeded, and well used."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from photos import photo
from toys import Rigid, Toy, codec

from titokzip.bitstream import container
from titokzip.errors import FormatError, RateError
from titokzip.rate_control import Rate

TOY = codec()
SIZES = [(1, 1), (1, 5000), (5000, 1), (255, 257), (97, 31)]


@given(st.integers(1, 90), st.integers(1, 90), st.integers(0, 9), st.integers(15, 400))
@settings(deadline=None, max_examples=60)
def test_a_limit_is_never_exceeded(width, height, seed, limit):
    image = photo(width, height, seed)
    try:
        data = TOY.compress(image, Rate(max_bytes=limit))
    except RateError as error:
        least = int(str(error).split(" bytes")[0].split()[-1])
        assert least > limit
        assert len(TOY.compress(image, Rate(max_bytes=least))) <= least
    else:
        assert len(data) <= limit
        assert TOY.decompress(data).size == image.size


@pytest.mark.parametrize("limit", [24, 48, 140, 400, 800])
def test_a_limit_is_used_well(embedded, limit):
    data = embedded.compress(photo(384, 320, 5), Rate(max_bytes=limit))
    assert 0.7 * limit < len(data) <= limit


@pytest.mark.parametrize("bpp", [0.01, 0.05, 0.3])
def test_bits_per_pixel_count_the_whole_file(embedded, bpp):
    assert 8 * len(embedded.compress(photo(300, 200), Rate(bpp=bpp))) / (300 * 200) <= bpp


def test_a_huge_limit_does_not_blow_a_small_picture_up():
    tokenizer = Toy()
    codec(tokenizer).compress(photo(64, 64), Rate(max_bytes=10**7))
    assert sum(tokenizer.batches) <= 4


@pytest.mark.parametrize("rate", [Rate(max_bytes=10), Rate(bpp=1e-6), Rate(tokens=257)], ids=str)
def test_what_cannot_be_reached_is_refused(embedded, rate):
    with pytest.raises(RateError):
        embedded.compress(photo(100, 100), rate)


def test_a_model_that_needs_all_tokens_keeps_them():
    rigid = codec(Rigid())
    with pytest.raises(RateError, match="has 4 tokens"):
        rigid.compress(photo(40, 40), Rate(tokens=3))
    data = rigid.compress(photo(300, 300), Rate(max_bytes=200))
    header = container.unpack(data).header
    assert (header.tokens, header.layers) == (4, 1)
    fewer = container.pack(replace(header, tokens=3), [bytes(-(-header.grid.tiles * 18 // 8))])
    with pytest.raises(FormatError, match="needs all tokens"):
        rigid.decompress(fewer)
