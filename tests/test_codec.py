"""A codec of any layout: identity, errors of single images, and verification."""

from dataclasses import replace

import numpy as np
import pytest
from photos import photo
from PIL import Image
from toys import codec

from titokzip.bitstream import container
from titokzip.errors import (
    FormatError,
    TitokzipError,
    Transparent,
    Truncated,
    VerificationError,
)
from titokzip.images import plain
from titokzip.layouts.tiles import Tiled
from titokzip.layouts.transform import Transformed
from titokzip.rate_control import Rate

TOY = codec()
FAST = Rate(quality=5)


def test_codecs_are_compared_and_hashed_by_identity():
    other = codec()
    assert {TOY: 1, other: 2}[TOY] == 1
    assert other != TOY == TOY


def test_another_batch_makes_another_codec_of_the_same_files(embedded):
    image = plain(photo(60, 40))
    assert TOY.with_batch(3).layout.batch == 3
    assert TOY.layout.batch == 16
    for one in (TOY, embedded):
        other = one.with_batch(3)
        assert (other.name, other.fingerprint) == (one.name, one.fingerprint)
        assert other.compress(image, FAST) == one.compress(image, FAST)


def test_one_image_that_fails_costs_that_image():
    clear = plain(Image.new("RGBA", (20, 20), (255, 0, 0, 100)), keep_alpha=True)
    long = plain(Image.new("L", (2**21, 1)))
    results = list(
        TOY.compress_many([plain(photo(20, 20)), clear, long, plain(photo(30, 20))], FAST)
    )
    assert [type(result) for result in results] == [bytes, Transparent, FormatError, bytes]
    assert container.unpack(results[3]).header.width == 30
    with pytest.raises(Transparent, match="no alpha channel"):
        TOY.compress(clear)


def test_the_embedded_model_gives_an_error_for_each_image_that_fails(embedded):
    many = [plain(photo(20, 20)), plain(Image.new("L", (2**21, 1))), plain(photo(30, 20))]
    results = list(embedded.compress_many(many, FAST))
    assert isinstance(results[1], TitokzipError)
    assert [type(results[i]) for i in (0, 2)] == [bytes, bytes]


@pytest.fixture(params=["tiles", "transform"])
def verified(request, embedded):
    """Give a codec of each layout, the class of its layout, and an image."""
    if request.param == "tiles":
        return TOY, Tiled
    return embedded, Transformed


def test_verifying_changes_nothing(verified):
    one, _ = verified
    many = [plain(photo(40, 30, seed)) for seed in range(2)]
    plainly = list(one.compress_many(many, FAST))
    assert list(one.compress_many(many, FAST, verify=True)) == plainly
    assert all(isinstance(data, bytes) for data in plainly)


def test_verifying_finds_a_coder_that_lies(verified, monkeypatch):
    one, layout = verified
    honest = layout.tokens

    def lying(self, contents):
        return honest(self, contents) + (contents.header.width == 31)

    monkeypatch.setattr(layout, "tokens", lying)
    many = [plain(photo(width, 20)) for width in (30, 31, 32)]
    results = list(one.compress_many(many, FAST, verify=True))
    assert [type(result) for result in results] == [bytes, VerificationError, bytes]
    assert "other tokens" in str(results[1])


def test_verifying_finds_a_file_that_does_not_decode(verified, monkeypatch):
    one, layout = verified

    def broken(self, contents):
        raise FormatError("damaged")

    monkeypatch.setattr(layout, "tokens", broken)
    (result,) = one.compress_many([plain(photo(20, 20))], FAST, verify=True)
    assert isinstance(result, VerificationError)
    assert "does not decode (damaged)" in str(result)


def test_tokens_are_those_that_were_encoded(verified):
    one, _ = verified
    (encoded,) = one.layout.encode([plain(photo(40, 30))], FAST)
    data = one.compress(plain(photo(40, 30)), FAST)
    tokens = one.tokens(container.unpack(data))
    assert tokens.dtype == np.int32
    assert np.array_equal(tokens, encoded.tokens)


def test_files_of_another_model_are_refused(embedded):
    ours, own = TOY.compress(plain(photo(20, 20))), embedded.fingerprint.hex()[:8]
    with pytest.raises(FormatError, match=f"with model 746f7921, not with {own}"):
        embedded.decompress(ours)
    with pytest.raises(FormatError, match="746f7921"):
        embedded.tokens(container.unpack(ours))
    with pytest.raises(FormatError, match="746f7921"):
        list(embedded.decompress_many([container.unpack(ours)]))


def test_a_file_of_the_other_layout_is_damaged(embedded):
    """A header may say anything; its CRC is right."""
    tiles = container.unpack(TOY.compress(plain(photo(20, 20))))
    whole = container.unpack(embedded.compress(plain(photo(20, 20)), FAST))
    for one, contents in [(TOY, whole), (embedded, tiles)]:
        header = replace(contents.header, model=one.fingerprint[:4])
        data = container.pack(header, contents.payloads)
        with pytest.raises(FormatError, match="damaged"):
            one.decompress(data)
        with pytest.raises(FormatError, match="damaged"):
            one.tokens(container.unpack(data))


def test_one_file_that_fails_costs_that_file(embedded):
    whole = container.unpack(embedded.compress(plain(photo(64, 48)), FAST))
    tiles = container.unpack(TOY.compress(plain(photo(20, 20)))).header.layout
    damaged = replace(whole, header=replace(whole.header, layout=tiles))
    first, second, third = embedded.decompress_many([whole, damaged, whole])
    assert isinstance(second, TitokzipError)
    assert first.tobytes() == third.tobytes()


def test_a_truncated_file_asks_to_be_decoded_in_part():
    data = TOY.compress(plain(photo(400, 300)), Rate(tile=18))
    with pytest.raises(Truncated, match="2 of 3 layers are intact"):
        TOY.decompress(data[:-1])
    assert TOY.decompress(data[:-1], partial=True).size == (400, 300)
