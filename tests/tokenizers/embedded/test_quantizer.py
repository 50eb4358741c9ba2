"""Coefficients to integers and back."""

import numpy as np
import pytest
from photos import photo

from titokzip.entropy import coder
from titokzip.tokenizers.embedded.quantizer import (
    CHROMA,
    LAMBDA,
    dequantize,
    plane_steps,
    quantize,
    step_size,
)
from titokzip.transform.planes import to_planes
from titokzip.transform.pyramid import Coefficients, Integers, analyse, synthesise


@pytest.fixture(scope="module")
def planes():
    return to_planes(np.asarray(photo(40, 32)))


def error(planes, quantized, step):
    return float(np.square(synthesise(dequantize(quantized.integers, step)) - planes).sum())


def test_steps_are_an_octave_in_24_indices():
    assert step_size(0) == pytest.approx(0.4)
    assert step_size(48) == pytest.approx(1.6)
    assert plane_steps(24, 4).tolist() == pytest.approx([0.8, 0.8 * CHROMA, 0.8 * CHROMA, 0.8])
    assert plane_steps(24, 2).tolist() == pytest.approx([0.8, 0.8])


@pytest.mark.parametrize("step", [0, 90, 150])
def test_the_error_is_what_the_quantiser_says(context_model, planes, step):
    quantized = quantize(analyse(planes), step, context_model)
    assert error(planes, quantized, step) == pytest.approx(quantized.error, rel=0.1)


@pytest.mark.parametrize("step", [60, 150])
def test_the_bits_are_about_those_of_the_payload(context_model, planes, step):
    quantized = quantize(analyse(planes), step, context_model)
    [payload] = coder.encode(quantized.integers, step, context_model)
    assert len(payload) * 8 == pytest.approx(quantized.bits, rel=0.15, abs=16)


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("step", [20, 120, 200])
def test_it_writes_what_the_encoder_would(context_model, planes, step, layers):
    quantized = quantize(analyse(planes), step, context_model, layers=layers)
    assert quantized.payloads == coder.encode(quantized.integers, step, context_model, layers)


def test_a_finer_step_or_a_cheaper_bit_means_less_error(context_model, planes):
    coefficients = analyse(planes)
    errors = [quantize(coefficients, step, context_model).error for step in (170, 120)]
    assert errors == sorted(errors, reverse=True)
    weights = (4 * LAMBDA, LAMBDA)
    found = [quantize(coefficients, 140, context_model, weight) for weight in weights]
    assert [one.error for one in found] == sorted((one.error for one in found), reverse=True)
    assert [one.bits for one in found] == sorted(one.bits for one in found)


def test_it_beats_rounding(context_model, planes):
    """At the step of rounding, less squared error plus weighted bits."""
    step, coefficients = 130, analyse(planes)
    scale = step_size(step) ** 2 * LAMBDA
    quantized = quantize(coefficients, step, context_model)
    rounded = round_all(coefficients, step)
    [payload] = coder.encode(rounded, step, context_model)
    rounded_error = np.square(synthesise(dequantize(rounded, step)) - planes).sum()
    cost = error(planes, quantized, step) + scale * quantized.bits
    assert cost < 0.95 * (rounded_error + scale * 8 * len(payload))


def test_coefficients_of_any_size_are_coded_to_their_step(context_model):
    """Nothing is clamped: saturated stripes at the finest step."""
    pixels = np.zeros((32, 32, 3), np.uint8)
    pixels[:, ::2, 0] = pixels[8:, :, 1] = pixels[:, 20:, 2] = 255
    planes = to_planes(pixels)
    quantized = quantize(analyse(planes), 0, context_model)
    assert np.abs(synthesise(dequantize(quantized.integers, 0)) - planes).max() < 1.5


def test_what_is_zero_stays_zero(context_model):
    planes = np.zeros((3, 16, 24), np.float32)
    quantized = quantize(analyse(planes), 100, context_model)
    assert not quantized.integers.blocks.any()
    assert not synthesise(dequantize(quantized.integers, 100)).any()
    assert quantized.bits < 40


def test_dequantisation_follows_the_format():
    integers = Integers.zeros(3, 1, 2)
    integers.blocks[:, 0, 1, 0, 0] = [1, -2, 7]
    integers.means[0][0][:] = 3
    integers.means[1][0][:] = -1
    found, step = dequantize(integers, 100), 0.4 * 2 ** (100 / 24)
    expected = [1.04 * step, -2.02 * 0.85 * step, 7.02 * 0.85 * step]
    assert found.blocks[:, 0, 1, 0, 0].tolist() == pytest.approx(expected)
    assert found.means[0][0].ravel().tolist() == pytest.approx([3 * step, *[2.55 * step] * 2])
    assert found.means[1][0].ravel()[0] == pytest.approx(-1.04 * step)


def round_all(coefficients: Coefficients, step: int) -> Integers:
    steps = plane_steps(step, len(coefficients.blocks))

    def rounded(values):
        shape = (-1,) + (1,) * (values.ndim - 1)
        return np.rint(values / steps.reshape(shape)).astype(np.int32)

    means = [[rounded(band) for band in level] for level in coefficients.means]
    return Integers(means, rounded(coefficients.blocks))
