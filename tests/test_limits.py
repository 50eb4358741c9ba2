"""A limit on the bytes of a file of tiles is never exceeded."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from photos import photo
from toys import Rigid, Toy, codec

from titokzip.bitstream import container
from titokzip.errors import RateError
from titokzip.images import plain
from titokzip.rate_control import Rate

TOY = codec()


@given(st.integers(1, 90), st.integers(1, 90), st.integers(0, 9), st.integers(12, 400))
@settings(deadline=None, max_examples=60)
def test_a_limit_is_never_exceeded(width, height, seed, limit):
    image = plain(photo(width, height, seed))
    try:
        data = TOY.compress(image, Rate(max_bytes=limit))
    except RateError as error:
        least = int(str(error).split(" bytes")[0].split()[-1])
        assert least > limit
        assert len(TOY.compress(image, Rate(max_bytes=least))) <= least
    else:
        assert len(data) <= limit
        assert TOY.decompress(data).size == image.size


@pytest.mark.parametrize("bpp", [0.01, 0.05, 0.3])
def test_bits_per_pixel_count_the_whole_file(bpp):
    data = TOY.compress(plain(photo(300, 200)), Rate(bpp=bpp))
    assert 8 * len(data) / (300 * 200) <= bpp


def test_a_huge_limit_does_not_enlarge_a_small_image():
    tokenizer = Toy()
    codec(tokenizer).compress(plain(photo(64, 64)), Rate(max_bytes=10**7))
    assert sum(tokenizer.batches) <= 4


@pytest.mark.parametrize(
    "rate", [Rate(max_bytes=10), Rate(bpp=1e-6), Rate(tokens=5), Rate(best=True)], ids=str
)
def test_what_cannot_be_reached_is_refused(rate):
    with pytest.raises(RateError):
        TOY.compress(plain(photo(100, 100)), rate)


def test_a_model_that_needs_all_tokens_keeps_them():
    rigid = codec(Rigid())
    with pytest.raises(RateError, match="has 4 tokens"):
        rigid.compress(plain(photo(40, 40)), Rate(tokens=3))
    data = rigid.compress(plain(photo(300, 300)), Rate(max_bytes=200))
    header = container.unpack(data).header
    assert (header.layout.tokens, header.layers) == (4, 1)
    assert len(data) <= 200
