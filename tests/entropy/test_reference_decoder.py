"""The decoder that is written from docs/format.md gives the integers that the encoder was given."""

import context_models
import images
import numpy as np
import pytest
from reference_decoder import Decoder

from titokzip.entropy import coder
from titokzip.transform.bands import in_order


@pytest.mark.parametrize(
    ("planes", "rows", "columns", "step", "layers", "largest"),
    [
        (1, 1, 1, 0, 1, 2**20),
        (3, 1, 1, 255, 2, 9),
        (1, 5, 3, 150, 3, 40),
        (2, 2, 3, 90, 1, 5000),
        (3, 3, 2, 170, 4, 3),
        (4, 1, 2, 40, 1, 2**20),
    ],
)
def test_it_decodes_what_the_encoder_wrote(planes, rows, columns, step, layers, largest):
    arrays = context_models.arrays(seed=step)
    model = context_models.context_model.from_arrays(arrays)
    integers = images.random(planes, rows, columns, seed=layers, largest=largest)
    payloads = coder.encode(integers, step, model, layers)
    lists = {name: array.tolist() for name, array in arrays.items()}
    decoder = Decoder(payloads, planes, rows, columns, step, lists, layers)
    decoded = decoder.decode()
    for band in in_order(planes, rows, columns):
        values = band.of_integers(integers)
        assert np.array_equal(grid(decoded, band, values.shape), values)


def test_it_decodes_what_is_left_of_the_layers():
    arrays = context_models.arrays()
    model = context_models.context_model.from_arrays(arrays)
    integers = images.random(3, 3, 4, largest=20)
    payloads = coder.encode(integers, 130, model, 3)
    lists = {name: array.tolist() for name, array in arrays.items()}
    decoded = Decoder(payloads[:2], 3, 3, 4, 130, lists, 3).decode()
    expected = coder.decode(payloads[:2], 3, 3, 4, 130, model, 3)
    for band in in_order(3, 3, 4):
        values = band.of_integers(expected)
        assert np.array_equal(grid(decoded, band, values.shape), values)


def grid(decoded, band, shape):
    """Lay out what the reference decoded of a band."""
    if band.level is None:
        key = "frequency", band.row, band.column, band.plane
    else:
        key = "means", band.level, band.detail, band.plane
    values = np.zeros(shape, np.int32)
    for cell, value in decoded.get(key, {}).items():
        values[cell] = value
    return values
