"""The fit of the context model, and that its floats and its integers are the same model."""

import numpy as np
import pytest
import torch
from photos import photo

from titokzip.entropy import coder, context_model
from titokzip.entropy.band_coding import code_bands
from titokzip.entropy.integer_network import LOGIT_LIMIT
from titokzip.errors import ImageError
from titokzip.tokenizers.embedded.quantizer import quantize
from titokzip.training.embedded import context_rows
from titokzip.training.embedded.context_arrays import arrays, blank, inputs_of
from titokzip.training.embedded.context_model import Effort, Quantised, fit_rows
from titokzip.training.embedded.context_networks import CellNetwork, FlagNetwork
from titokzip.training.embedded.context_rows import KINDS, Rows
from titokzip.training.embedded.weights import read_context
from titokzip.transform import planes as conversion
from titokzip.transform.pyramid import Integers, analyse, stacked

STEP = 200


class Listener:
    """A source of known integers that keeps the logits it is told."""

    def __init__(self, integers):
        self.integers, self.logits = stacked([integers]), {kind: [] for kind in KINDS}
        self.flags = {kind: [] for kind in KINDS}

    def begin(self, band, logits):
        if band.level == 0:
            return np.array([True])
        self.flags["blocks" if band.level is None else "pyramid"].append(logits[0])
        return band.of_integers(self.integers).any(axis=(1, 2))

    def values(self, band, phase, logits, signs):
        self.logits["blocks" if band.level is None else "pyramid"].append(logits)
        return phase.of(band.of_integers(self.integers))

    def keep(self, band, values):
        return np.array([True])


def quantised(seed, model, planes=3):
    """Quantise a photo that no fit has seen."""
    pixels = np.asarray(photo(64, 48, seed))
    return quantize(analyse(conversion.to_planes(pixels)[:planes]), STEP, model).integers


def networks(seed):
    """Draw networks whose every weight counts."""
    cells = {k: CellNetwork(inputs_of(k), f.CLASSES, seed) for k, f in KINDS.items()}
    flags = {k: FlagNetwork(f.SCALARS, f.CLASSES, seed) for k, f in KINDS.items()}
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for network in (*cells.values(), *flags.values()):
            network.hard = True
            slopes = network.conditions.chunk(3, dim=1)[1:]
            for slope in slopes:
                slope.copy_(torch.randn(slope.shape, generator=generator) * 0.05)
    return cells, flags


@pytest.mark.parametrize("planes", [1, 3])
def test_floats_say_of_recorded_rows_what_the_coder_is_told(planes):
    cells, flags = networks(4)
    signs = {k: np.zeros((f.CLASSES, 23), np.float32) for k, f in KINDS.items()}
    model = context_model.from_arrays(arrays(cells, flags, signs))
    integers = quantised(30, context_model.from_arrays(blank()), planes)
    listener, rows = Listener(integers), context_rows.record(integers, STEP)
    shape = integers.blocks.shape
    code_bands(Integers.zeros(shape[0], *shape[-2:], 1), [STEP], model, listener)
    for kind in KINDS:
        told = np.concatenate(listener.logits[kind], axis=1).T - LOGIT_LIMIT
        assert told.std() > 3
        compare(cells[kind], rows[f"{kind}.cells"], told)
        compare(flags[kind], rows[f"{kind}.flags"], np.array(listener.flags[kind]) - LOGIT_LIMIT)


def compare(network, rows, told):
    """Biases are rounded when they are exported, so few logits differ, and by one."""
    with torch.no_grad():
        logits = network(torch.from_numpy(rows.inputs), torch.from_numpy(rows.conditions))
    ours = np.floor(logits.numpy() * 16).astype(int)
    assert ours.shape == told.shape
    assert np.abs(ours - told).max() <= 1
    assert (ours != told).mean() < 0.1


def test_recorded_targets_are_the_integers():
    integers = quantised(31, context_model.from_arrays(blank()))
    rows = context_rows.record(integers, STEP)
    values = np.concatenate([b.ravel() for level in integers.means[1:] for b in level])
    values = np.concatenate([values, integers.blocks.ravel()])
    low = np.abs(integers.means[0][0]).sum()
    noted = rows["pyramid.cells"].targets.sum() + rows["blocks.cells"].targets.sum()
    assert noted == np.abs(values).sum() + low
    positive = rows["pyramid.signs"].targets.sum() + rows["blocks.signs"].targets.sum()
    assert positive == (values > 0).sum()


def test_integers_come_back_from_where_they_wait():
    integers = quantised(32, context_model.from_arrays(blank()))
    found = Quantised.of(integers, STEP, 1.0).integers()
    assert np.array_equal(found.blocks, integers.blocks)
    pairs = zip(found.means, integers.means, strict=True)
    assert all(np.array_equal(a, b) for x, y in pairs for a, b in zip(x, y, strict=True))


def test_too_few_images_are_an_error():
    integers = Integers.zeros(1, 2, 2)
    rows = context_rows.collect([(integers, STEP, 10.0)])
    with pytest.raises(ImageError, match="too few"):
        fit_rows(rows, Effort(), print)


def test_sampled_rows_weigh_as_much_as_all():
    ones = np.ones(100, np.float32)
    rows = Rows(np.arange(100)[:, None], np.zeros((100, 3), np.int16), np.arange(100), ones)
    found = rows.sampled(20, np.random.default_rng(0))
    assert len(found) == len(set(found.targets)) == 20
    assert found.weights.sum() == pytest.approx(100)
    assert np.array_equal(found.inputs[:, 0], found.targets)


def test_a_fitted_model_codes_fewer_bytes_than_a_blank_one_and_decodes(context_file):
    flat, fitted = (context_model.from_arrays(a) for a in (blank(), read_context(context_file)))
    sizes = {"flat": 0, "fitted": 0}
    for seed in (40, 41):
        integers = quantised(seed, flat)
        (payload,) = coder.encode(integers, STEP, fitted)
        sizes["flat"] += len(coder.encode(integers, STEP, flat)[0])
        sizes["fitted"] += len(payload)
        back = coder.decode([payload], 3, 6, 8, STEP, fitted)
        assert np.array_equal(back.blocks, integers.blocks)
    assert sizes["fitted"] < 0.95 * sizes["flat"], sizes
