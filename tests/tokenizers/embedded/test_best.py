"""Encoding with the decoder at hand."""

import numpy as np
import pytest
from photos import photo

from titokzip.tokenizers.embedded.best import BestEncoder
from titokzip.tokenizers.embedded.quantizer import dequantize
from titokzip.tokenizers.embedded.rate_control import Encoder
from titokzip.tokenizers.embedded.together import encode_together
from titokzip.transform import planes
from titokzip.transform.pyramid import synthesise

SIZE = 56, 48
PLANES = planes.to_planes(np.asarray(photo(*SIZE, mode="L"))[..., None])
SMOOTH = planes.enlarge(planes.reduce(PLANES, 2, SIZE), *SIZE, 2)
HEADER = 10


def file_size(blocks, lengths, refined=True):
    return HEADER + sum(lengths)


def size(encoded):
    return file_size(encoded.blocks, [len(one) for one in encoded.payloads], encoded.refined)


class Receiver:
    """A decoder whose network adds so many times the detail of the image."""

    def __init__(self, detail=0.0, worth=lambda encoded: 0.0):
        self.detail, self.worth = detail, worth
        self.tried, self.asked = [], 0

    def added(self, encoded):
        self.asked += 1
        return self._added(encoded)

    def error(self, encoded):
        self.tried.append(encoded)
        decoded = synthesise(dequantize(encoded.integers, encoded.step))
        if encoded.refined:
            decoded = decoded + self._added(encoded)
        decoded = planes.enlarge(decoded, *SIZE, encoded.blocks)
        return float(np.square(decoded - PLANES).sum(axis=0).mean()) + self.worth(encoded)

    def _added(self, encoded):
        return self.detail * planes.reduce(PLANES - SMOOTH, encoded.blocks, SIZE)


@pytest.fixture
def encoded(context_model):
    def encoded(receiver, quality=None, limit=None, file_size=file_size):
        encoder = BestEncoder(PLANES, context_model, SIZE, 1.0, receiver)
        work = encoder.within(limit, file_size) if limit else encoder.at_quality(quality)
        (found,) = encode_together([work], context_model)
        return found

    return encoded


@pytest.mark.parametrize("limit", [60, 800])
def test_the_nearest_of_some_working_sizes_is_kept_within_a_limit(encoded, limit):
    receiver = Receiver()
    chosen = encoded(receiver, limit=limit)
    assert len({one.blocks for one in receiver.tried}) >= 3
    assert all(size(one) <= limit for one in receiver.tried)
    assert {one.refined for one in receiver.tried} == ({True, False} if limit == 60 else {False})
    assert receiver.error(chosen) == min(map(receiver.error, list(receiver.tried)))


def test_the_receiver_decides_at_a_quality(encoded):
    plain = encoded(Receiver(), quality=50)
    other = Receiver(worth=lambda encoded: 1e6 * (encoded.blocks == plain.blocks))
    assert encoded(other, quality=50).blocks != plain.blocks


def test_files_that_do_not_fit_are_not_decoded(encoded):
    receiver = Receiver()
    found = encoded(receiver, limit=60, file_size=lambda *of: file_size(*of) + 100 * (not of[2]))
    assert found.refined
    assert all(one.refined for one in receiver.tried)


@pytest.mark.parametrize("harm", [-1e6, 1e6])
def test_the_network_is_left_out_where_it_does_harm(encoded, harm):
    receiver = Receiver(worth=lambda encoded: harm * encoded.refined)
    assert encoded(receiver, quality=30).refined == (harm < 0)
    assert {one.refined for one in receiver.tried} == {True, False}
    assert (receiver.asked > 0) == (harm < 0)


@pytest.mark.parametrize("how", [{"quality": 30}, {"limit": 60}], ids=str)
def test_what_the_network_adds_is_not_coded(encoded, how):
    """A network that adds half of the detail leaves the other half to be coded."""
    receiver = Receiver(detail=0.5)
    found = encoded(receiver, **how)
    assert found.refined
    assert receiver.asked == 2
    first, again = receiver.tried[:-4], receiver.tried[-4:]
    assert found in again
    assert receiver.error(found) < 0.95 * min(map(receiver.error, first))


def test_it_ends_when_the_image_comes_no_nearer(encoded):
    """A network that adds nothing is asked once."""
    receiver = Receiver(worth=lambda encoded: -1e6 * encoded.refined)
    encoded(receiver, quality=30)
    assert receiver.asked == 1


def test_a_smaller_multiplier_keeps_weaker_detail_in_about_as_many_bytes(context_model):
    source, found = planes.to_planes(np.asarray(photo(128, 96))), {}
    for lagrange in (1.0, 0.5):
        work = Encoder(source, context_model, (128, 96), lagrange).at_quality(65)
        (found[lagrange],) = encode_together([work], context_model)
    assert size(found[0.5]) == pytest.approx(size(found[1.0]), rel=0.1)
    assert found[0.5].step > found[1.0].step
    magnitudes = {key: np.abs(one.integers.blocks) for key, one in found.items()}
    ones = {key: (m == 1).sum() / (m > 0).sum() for key, m in magnitudes.items()}
    assert ones[0.5] > ones[1.0]
