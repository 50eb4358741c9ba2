"""Context models that were made to harm are refused before they decode anything."""

import context_models
import numpy as np
import pytest

from titokzip.entropy import symbols
from titokzip.entropy.context_model import from_arrays
from titokzip.entropy.neighbours import density, logarithm

NAMES = sorted(context_models.arrays())


def test_random_integers_are_a_context_model():
    model = from_arrays(context_models.arrays())
    assert model.tables.sizes.sum(axis=1).tolist() == [2.0**24 - 38] * 48


@pytest.mark.parametrize("name", NAMES)
def test_every_array_must_be_there(name):
    arrays = context_models.arrays()
    del arrays[name]
    with pytest.raises(ValueError, match=name.split(".")[-1]):
        from_arrays(arrays)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "harm",
    [
        lambda array: array.astype(np.float32),
        lambda array: np.full(array.shape, np.nan),
        lambda array: array.astype(np.int64),
        lambda array: array[None],
        lambda array: array.ravel()[:0],
        lambda array: np.concatenate([array, array]),
        lambda array: array[..., :-1] if array.ndim > 1 else array[:0],
    ],
    ids=["float32", "nan", "int64", "an axis more", "empty", "twice as long", "narrower"],
)
def test_every_array_must_have_its_type_and_shape(name, harm):
    arrays = context_models.arrays()
    arrays[name] = harm(arrays[name])
    with pytest.raises(ValueError, match=r"\w"):
        from_arrays(arrays)


@pytest.mark.parametrize("name", ["probabilities", "sizes", "steps"])
@pytest.mark.parametrize("value", [0, -1, 2**24, 2**31 - 1])
def test_tables_must_be_in_range(name, value):
    arrays = context_models.arrays()
    arrays[name].flat[5] = value
    with pytest.raises(ValueError, match=name[:4]):
        from_arrays(arrays)


def test_a_network_of_too_many_units_is_refused():
    arrays = context_models.arrays()
    for name in ("maps", "scalars", "band", "step", "size", "second"):
        key = f"blocks.cells.{name}"
        axis = 0 if name in ("maps", "scalars") else 1
        arrays[key] = np.repeat(arrays[key], 40, axis)
    for name in ("own", "coded", "phase"):
        key = f"blocks.cells.{name}"
        arrays[key] = np.repeat(arrays[key], 40, 1)
    with pytest.raises(ValueError, match="wrong shape"):
        from_arrays(arrays)


def test_sums_stay_exact_with_the_largest_weights():
    """The bound that lets float32 hold the sums: 2^24."""
    units, inputs = 128, 51 + 14 + 4 + 1
    first = inputs * 255 * 128 + 2 * 2**15 + (2**15 * (176 + 144)) // 16
    assert first < 2**24
    assert 2**15 * (176 + 144) < 2**24
    assert units * 255 * 128 + 2**15 < 2**24


def test_logarithms_are_exact():
    found = logarithm(np.arange(2**15, dtype=np.int32))
    exact = [((1 + n) ** 16).bit_length() - 1 for n in range(2**15)]
    assert found.astype(int).tolist() == exact
    assert logarithm(np.array([2**15, 2**30])).tolist() == [240, 240]
    assert density(0, 0) == 0


def test_size_classes_cover_all_magnitudes():
    magnitudes = np.array([3, 4, 5, 6, 7, 1000, 4095, 2**20 - 1, 2**20], np.int32)
    tables = from_arrays(context_models.arrays()).tables
    logits = np.random.default_rng(0).integers(0, 384, (4, len(magnitudes)))
    encoder = symbols.SymbolEncoder()
    rows = symbols.rows(logits, tables)
    symbols.encode_magnitudes(magnitudes[None], logits, rows, tables, [encoder])
    decoder = symbols.SymbolDecoder(encoder.finish())
    assert np.array_equal(symbols.decode_magnitudes(logits, rows, tables, decoder), magnitudes)
    assert symbols.size_class(magnitudes - 1).max() == 37
