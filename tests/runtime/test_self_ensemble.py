"""Small images are decoded by averaging orientations, where the model gains by it."""

import numpy as np
import pytest
import refiners
from photos import photo

from titokzip import loading
from titokzip.images import plain
from titokzip.rate_control import Rate
from titokzip.runtime import self_ensemble
from titokzip.runtime.self_ensemble import averaged, passes_for, threads_for
from titokzip.transform.orientations import turned, turned_back


@pytest.mark.parametrize(
    ("pixels", "passes"),
    [(64, 8), (2**14, 8), (2**14 + 1, 4), (2**16, 4), (2**18, 2), (2**18 + 1, 1), (2**30, 1)],
)
def test_small_images_get_more_passes(pixels, passes):
    assert passes_for(pixels) == passes


def test_passes_run_side_by_side_as_cores_and_memory_allow(monkeypatch):
    monkeypatch.setattr(self_ensemble, "cores", lambda: 4)
    assert [threads_for(passes, 64) for passes in (1, 2, 8)] == [1, 2, 4]
    assert [threads_for(8, pixels) for pixels in (2**16, 2**17, 2**18, 2**30)] == [4, 2, 1, 1]


@pytest.mark.parametrize("passes", [1, 2, 4, 8])
def test_the_average_is_that_of_the_orientations(passes):
    channels = np.random.default_rng(0).uniform(0, 255, (3, 16, 24)).astype(np.float32)

    def refine(image):
        return image * np.arange(image.shape[2], dtype=np.float32)  # every orientation differs

    expected = [turned_back(refine(turned(channels, k)), k) for k in range(passes)]
    found = averaged(refine, channels, passes)
    assert np.array_equal(found, averaged(refine, channels, passes, threads=3))
    np.testing.assert_allclose(found, np.mean(expected, 0), rtol=1e-5)
    assert found.dtype == np.float32


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Two models of the same weights: one gains by the average, one does not."""
    folder = tmp_path_factory.mktemp("models")
    for gains in (True, False):
        refiners.write(folder / f"{gains}.safetensors", self_ensemble=gains)
    return lambda gains, **how: loading.load(str(folder / f"{gains}.safetensors"), **how)


@pytest.fixture(scope="module")
def data(models):
    """A file whose working image gets four passes."""
    data = models(True).compress(plain(photo(240, 176)), Rate(90))
    width, height = models(True).decompress(data, native=True).size
    assert passes_for(width * height) == 4
    return data


def pixels(codec, data):
    return np.asarray(codec.decompress(data, native=True), float)


@pytest.mark.parametrize("how", [{}, {"lone": True}], ids=["torch", "numpy"])
def test_models_that_gain_by_it_get_as_many_as_fit(models, data, how):
    one, four, eight = (pixels(models(True, passes=count, **how), data) for count in (1, 4, 8))
    assert np.array_equal(pixels(models(True, **how), data), four)
    assert np.array_equal(pixels(models(False, **how), data), one)
    assert np.array_equal(pixels(models(False, passes=8, **how), data), eight)
    assert not np.array_equal(one, four)
    assert not np.array_equal(four, eight)


def test_numpy_and_torch_agree(models, data):
    torch, numpy = (models(True, precision="float32"), models(True, lone=True))
    assert np.abs(pixels(torch, data) - pixels(numpy, data)).max() <= 1


@pytest.mark.parametrize("passes", [0, 9, -1])
def test_there_are_eight_orientations(models, passes):
    with pytest.raises(ValueError, match="1 to 8"):
        models(True, passes=passes)
