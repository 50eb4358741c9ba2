"""FlexTok as a codec: images to bytes and back, through everything but its released weights."""

import numpy as np
import pytest
from flextoks import build
from PIL import Image
from toys import codec

from titokzip.bitstream import container
from titokzip.codec import Codec
from titokzip.errors import RateError
from titokzip.images import plain
from titokzip.rate_control import Rate


@pytest.fixture(scope="module")
def tiny() -> Codec:
    model = build()
    model.steps = 2
    return codec(model)


@pytest.fixture(scope="module")
def image():
    y, x = np.mgrid[:90, :120]
    waves = [np.sin(x / 9 + c) * np.cos(y / (7 + c)) for c in range(3)]
    return plain(Image.fromarray((127 + 100 * np.stack(waves, axis=-1)).astype(np.uint8)))


def test_a_file_decodes_to_the_same_image_twice(tiny, image):
    data = tiny.compress(image, Rate(tile=60))
    assert container.unpack(data).header.layout.grid.tiles == 4
    first = tiny.decompress(data)
    assert first.size == image.image.size
    assert np.asarray(first).std() > 10
    assert first.tobytes() == tiny.decompress(data).tobytes()


def test_and_nearly_the_same_one_in_other_batches(tiny, image):
    data = tiny.compress(image, Rate(tile=60))
    alone = codec(tiny.layout.tokenizer, batch=1)
    assert alone.compress(image, Rate(tile=60)) == data
    together, apart = (np.asarray(c.decompress(data), int) for c in (tiny, alone))
    assert np.abs(together - apart).max() <= 1


@pytest.mark.parametrize("kept", [1, 5, 16])
def test_fewer_tokens_are_fewer_bytes(tiny, image, kept):
    data = tiny.compress(image, Rate(tokens=kept, tile=120))
    layout = container.unpack(data).header.layout
    assert (layout.grid.tiles, layout.tokens) == (1, kept)
    assert len(data) <= 19 + 2 * kept  # 16 bits a token
    assert tiny.decompress(data).size == image.image.size


def test_more_tokens_than_there_are_is_refused(tiny, image):
    with pytest.raises(RateError, match="16 tokens per tile, not 17"):
        tiny.compress(image, Rate(tokens=17))


def test_a_limit_in_bytes_is_kept(tiny, image):
    for limit in (24, 40, 90):
        data = tiny.compress(image, Rate(max_bytes=limit))
        assert len(data) <= limit
        assert tiny.decompress(data).size == image.image.size


def test_a_file_cut_short_is_decoded_from_its_first_layer(tiny, image):
    data = tiny.compress(image, Rate(tile=15))
    assert container.unpack(data).header.layers == 2
    part = tiny.decompress(data[: 2 * len(data) // 3], partial=True)
    assert part.size == image.image.size
    assert part.tobytes() != tiny.decompress(data).tobytes()
