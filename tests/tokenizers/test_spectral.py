"""The linear code of the embedded tokenizer: exact integers, nested tokens, whole transforms."""

import numpy as np
import pytest
import tiny
import torch
from photos import photo

from titokzip.tokenizers.embedded.network import DIGITS_PER_TOKEN, EDGE


@pytest.fixture(scope="module")
def model(embedded):
    return embedded.model.tokenizer


@pytest.fixture(scope="module")
def tiles():
    """Sixteen tiles of pictures [16, 3, 256, 256] in 0..1."""
    pixels = np.stack([np.asarray(photo(256, 256, seed)) for seed in range(16)])
    return torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255


def planes(model, j):
    """The weights of the digits of a coefficient, as powers of three."""
    return model.plane[model.coefficient == j].tolist()


def limits(model):
    """The largest integer that the digits of each coefficient can write; [J]."""
    highest = torch.tensor([max(planes(model, j)) for j in range(len(model.mean))])
    return (3 ** (highest + 1) - 1) // 2


def random_integers(model, count):
    draw = torch.rand(count, len(model.mean), generator=torch.Generator().manual_seed(0))
    return ((2 * draw - 1) * (limits(model) + 0.5)).round().int()


@pytest.fixture(scope="module", params=["embedded", "tiny"])
def either(request, model):
    return model if request.param == "embedded" else tiny.spectral()


def test_integers_come_back_from_their_tokens(either):
    integers = random_integers(either, 20)
    integers[0], integers[1] = limits(either), -limits(either)
    tokens = either.to_tokens(integers)
    assert tokens.dtype == torch.int32
    assert tokens.shape == (20, either.length)
    assert 0 <= tokens.min() <= tokens.max() < either.vocabulary
    lowest = 3 ** torch.tensor([min(planes(either, j)) for j in range(len(either.mean))])
    back = either.to_integers(tokens)
    assert ((back - integers).abs() <= (lowest - 1) // 2).all()  # all there is where that is 1
    assert (back % lowest == 0).all()


def test_tokens_come_back_from_their_integers(either):
    random = torch.Generator().manual_seed(1)
    tokens = torch.randint(0, either.vocabulary, (20, either.length), generator=random)
    assert torch.equal(either.to_tokens(either.to_integers(tokens)), tokens.int())


def test_a_coefficient_has_its_digits_in_falling_order(model):
    for j in range(len(model.mean)):
        own = planes(model, j)
        assert own == list(range(own[0], own[0] - len(own), -1))


def test_what_is_beyond_the_digits_is_clamped(either):
    far = torch.full((1, len(either.mean)), 1e6)
    assert torch.equal(either.quantize(far)[0].long(), limits(either))
    assert torch.equal(either.quantize(-far)[0].long(), -limits(either))


@pytest.mark.parametrize("count", [1, 3, 8])
def test_a_prefix_is_the_centre_of_its_bin(either, count):
    integers = random_integers(either, 50)
    prefix = either.to_integers(either.to_tokens(integers)[:, :count])
    known = count * DIGITS_PER_TOKEN
    weight = torch.full_like(either.mean, 0, dtype=torch.int64)
    for j, plane in zip(either.coefficient[:known], either.plane[:known], strict=True):
        weight[j] = 3 ** int(plane)
    unknown = weight == 0
    assert not prefix[:, unknown].any()
    assert ((integers - prefix).abs() <= (weight - 1) // 2)[:, ~unknown].all()
    assert (prefix % weight.clamp(min=1) == 0).all()


def test_more_tokens_are_better(model, tiles):
    read = model.analyse(tiles)  # without the networks
    tokens, errors = model.to_tokens(model.quantize(read)), []
    for count in (1, 2, 4, 8, 16, 32, 64, 128, 256):
        known = model.to_integers(tokens[:, :count]) * model.gains(count)
        errors.append(float((model.synthesise(known) - tiles).square().mean()))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.2 * errors[0]


def test_gains_are_zero_where_nothing_is_known(model):
    assert not model.gains(0).any()
    for count in (1, 20, 256):
        known = model.coefficient[: count * DIGITS_PER_TOKEN].long().unique()
        assert (model.gains(count) != 0).nonzero().flatten().tolist() == known.tolist()


def test_the_waves_of_synthesis_fit_those_of_analysis_and_have_unit_length(either):
    frequencies = either.config.frequencies
    product = either.basis @ either.dual.mT
    torch.testing.assert_close(product, torch.eye(frequencies), atol=1e-5, rtol=0)
    torch.testing.assert_close(either.colour @ either.colour.mT, torch.eye(3), atol=1e-6, rtol=0)
    lengths = either.dual.norm(dim=1)
    torch.testing.assert_close(lengths, torch.ones(frequencies), atol=1e-5, rtol=0)


def test_synthesis_undoes_analysis(either):
    coefficients = torch.randn(3, len(either.mean), generator=torch.Generator().manual_seed(2))
    back = either.analyse(either.synthesise(coefficients))
    torch.testing.assert_close(back, coefficients, atol=1e-3, rtol=1e-4)


def test_tokens_do_not_depend_on_the_batch(model, tiles):
    together = model.encode(tiles)
    for size in (1, 5):
        assert torch.equal(torch.cat([model.encode(part) for part in tiles.split(size)]), together)


def test_any_number_of_tokens_is_painted(either):
    tokens = either.to_tokens(random_integers(either, 2))
    for count in sorted({0, 1, 2, 7, either.length}):
        painted = either.decode_features(tokens[:, :count])
        assert painted.shape == (2, 3, either.size, either.size)
        assert torch.isfinite(painted).all()
    assert either.decode_pixels(painted) is painted


@pytest.mark.parametrize(
    "shape", [(1, 3, 256, 255), (1, 1, 256, 256), (3, 256, 256), (1, 3, 512, 512)]
)
def test_pixels_of_another_shape_are_refused(model, shape):
    with pytest.raises(ValueError, match="tiles are"):
        model.encode(torch.zeros(shape))


def test_too_many_tokens_are_refused(model):
    with pytest.raises(ValueError, match="this model has 256"):
        model.decode_features(torch.zeros(1, 257, dtype=torch.int32))


def test_the_prefix_rows_are_met_at_powers_of_two():
    painter = tiny.spectral().painter
    rows = painter._between_stops(torch.tensor([1, 2, 4, 8, 3, 100]))
    torch.testing.assert_close(rows[:4], painter.prefix)
    low, high = painter.prefix[1], painter.prefix[2]
    torch.testing.assert_close(rows[4], torch.lerp(low, high, torch.tensor(3.0).log2() - 1))
    torch.testing.assert_close(rows[5], painter.prefix[3])


def test_what_is_painted_counts_more_at_the_outermost_pixels():
    model = tiny.spectral()
    tokens = model.encode(tiny.tiles(12))
    blurred = model.synthesise(model.to_integers(tokens) * model.gains(8))
    added = model.repaint(blurred, torch.full((len(tokens),), 8)) - blurred
    share = (
        ((model.decode_features(tokens) - blurred) / added)
        .median(dim=0)
        .values.median(dim=0)
        .values
    )
    assert torch.allclose(share[1:-1, 1:-1], torch.ones(30, 30), atol=1e-3)
    assert torch.allclose(share[0, 1:-1], torch.full((30,), EDGE), atol=1e-3)
    assert torch.allclose(share[1:-1, -1], torch.full((30,), EDGE), atol=1e-3)
    assert share[-1, 0] == pytest.approx(EDGE**2, abs=1e-3)
