import numpy as np
import pytest

from titokzip.transform.orientations import ORIENTATIONS, turned, turned_back

IMAGE = np.arange(2 * 3 * 5).reshape(2, 3, 5)


@pytest.mark.parametrize("orientation", range(ORIENTATIONS))
def test_an_image_that_was_turned_is_turned_back(orientation):
    np.testing.assert_array_equal(turned_back(turned(IMAGE, orientation), orientation), IMAGE)


def test_every_orientation_is_another():
    square = IMAGE[:, :, :3]
    found = {turned(square, orientation).tobytes() for orientation in range(ORIENTATIONS)}
    assert len(found) == ORIENTATIONS
    np.testing.assert_array_equal(turned(square, 0), square)
