"""Files of the embedded model, and what their headers say."""

from titokzip.bitstream import container
from titokzip.images import plain
from titokzip.rate_control import Rate


def compress(codec, image, **rate):
    return codec.compress(plain(image, keep_alpha=True), Rate(**rate))


def layout_of(data):
    return container.unpack(data).header.layout
