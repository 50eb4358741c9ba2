"""The lapped transform of whole images."""

import numpy as np
import pytest
import reference_synthesis as reference

from titokzip.transform import bands, lapped, pyramid, wavelet

SIZES = [(1, 1), (1, 2), (2, 1), (3, 5), (9, 1), (4, 7)]


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(scale=50, size=shape).astype(np.float32)


def zeros(planes, rows, columns):
    integers = pyramid.Integers.zeros(planes, rows, columns)
    means = [[band.astype(np.float32) for band in level] for level in integers.means]
    return pyramid.Coefficients(means, integers.blocks.astype(np.float32))


@pytest.mark.parametrize(("rows", "columns"), SIZES)
@pytest.mark.parametrize("planes", [1, 4])
def test_synthesis_inverts_analysis(planes, rows, columns):
    image = noise(planes, 8 * rows, 8 * columns)
    found = pyramid.synthesise(pyramid.analyse(image))
    assert found.dtype == np.float32
    assert np.abs(found - image).max() < 1e-3


@pytest.mark.parametrize(("rows", "columns"), SIZES)
def test_a_constant_has_one_coefficient_a_plane(rows, columns):
    image = np.full((3, 8 * rows, 8 * columns), 77, np.float32)
    found = pyramid.analyse(image)
    assert np.abs(found.means[0][0]).min() > 77
    rest = [found.blocks, *(band for level in found.means[1:] for band in level)]
    assert all(np.abs(part).max(initial=0) < 1e-2 for part in rest)


@pytest.mark.parametrize(("rows", "columns"), SIZES)
def test_the_error_of_a_coefficient_is_that_of_the_image(rows, columns):
    rng = np.random.default_rng(3)
    for band in bands.in_order(1, rows, columns):
        coefficients = zeros(1, rows, columns)
        values = band.of(coefficients)
        if values.size:
            values.flat[rng.integers(values.size)] = 1
            energy = np.square(pyramid.synthesise(coefficients)).sum()
            assert energy == pytest.approx(1, rel=1e-4)


def test_long_axes_have_exact_norms():
    coefficients = zeros(1, 1, 75)
    coefficients.blocks[0, 0, 5, 0, 37] = 1
    assert np.square(pyramid.synthesise(coefficients)).sum() == pytest.approx(1, rel=1e-4)
    coefficients = zeros(1, 1, 75)
    coefficients.means[-2][0][0, 0, 9] = 1
    assert np.square(pyramid.synthesise(coefficients)).sum() == pytest.approx(1, rel=1e-4)


def test_there_are_as_many_coefficients_as_pixels():
    for rows, columns in SIZES:
        found = bands.flatten(pyramid.Integers.zeros(3, rows, columns))
        assert len(found) == 3 * 64 * rows * columns


class TestAgainstTheFormat:
    """docs/format.md, synthesis; images of By x Bx = 3 x 5 blocks."""

    def halvings(self, blocks, count):
        sizes = [blocks]
        for _ in range(count - 1):
            sizes.append(-(-sizes[-1] // 2))
        return sizes

    def assert_basis(self, coefficients, down, right):
        function = np.outer(down, right)
        expected = function / np.sqrt(np.square(function).sum())
        assert np.abs(pyramid.synthesise(coefficients)[0] - expected).max() < 1e-4

    def test_frequencies(self):
        for u, v, row, column in ((0, 1, 0, 0), (3, 0, 1, 4), (7, 5, 2, 2)):
            coefficients = zeros(1, 3, 5)
            coefficients.blocks[0, u, v, row, column] = 1
            down = reference.frequency_function(row, u, 3)
            self.assert_basis(coefficients, down, reference.frequency_function(column, v, 5))

    def test_details_of_a_level(self):
        coefficients = zeros(1, 3, 5)
        coefficients.means[-1][0][0, 1, 1] = 1  # horizontal, of the finest level
        down = reference.low_function(1, [3], 2)
        self.assert_basis(coefficients, down, reference.detail_function(1, [5]))
        coefficients = zeros(1, 3, 5)
        coefficients.means[-2][1][0, 0, 1] = 1  # vertical, of the next
        down = reference.detail_function(0, self.halvings(3, 2))
        self.assert_basis(coefficients, down, reference.low_function(1, [5, 3], 2))
        coefficients = zeros(1, 3, 5)
        coefficients.means[-1][2][0, 0, 1] = 1  # diagonal
        down = reference.detail_function(0, [3])
        self.assert_basis(coefficients, down, reference.detail_function(1, [5]))

    def test_the_coarsest_level(self):
        coefficients = zeros(1, 3, 5)
        coefficients.means[0][0][:] = 1
        down = reference.low_function(0, self.halvings(3, 3), 1)
        self.assert_basis(coefficients, down, reference.low_function(0, self.halvings(5, 3), 1))


@pytest.mark.parametrize("length", [1, 2, 3, 8, 17])
def test_joining_inverts_splitting(length):
    values = noise(2, length)
    low, detail = wavelet.split(values)
    assert low.shape[-1] == -(-length // 2)
    assert detail.shape[-1] == length // 2
    assert np.abs(wavelet.join(low, detail) - values).max() < 1e-4


def test_basis_functions_of_blocks_overlap():
    values = noise(40)
    frequencies = lapped.analyse(values)
    assert np.abs(lapped.synthesise(frequencies) - values).max() < 1e-4
    frequencies[2] = 0
    changed = np.abs(lapped.synthesise(frequencies) - values) > 1e-4
    assert changed[12:28].all()
    assert not changed[:12].any()
    assert not changed[28:].any()
