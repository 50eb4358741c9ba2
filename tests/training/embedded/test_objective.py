"""The loss of the decoder network: errors, and steps that depend on their place in a block."""

import torch

from titokzip.tokenizers.embedded.network import Refined, enlarged
from titokzip.training.embedded.batches import Batch
from titokzip.training.embedded.objective import UNEVEN, error_of, loss_of, unevenness


def texture(count, side):
    return 128 + 10 * torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(0))


def with_borders(images, pitch):
    """Make every step across a border of blocks of `pitch` pixels larger."""
    stairs = 6.0 * (torch.arange(images.shape[-1]) // pitch % 2)
    smooth = torch.nn.functional.avg_pool2d(images, 5, 1, 2)
    return smooth + stairs + stairs[:, None]


def test_borders_of_blocks_are_uneven_and_a_texture_is_not():
    images = texture(64, 64)
    assert abs(unevenness(images, 8)) < 0.005
    assert unevenness(with_borders(images, 8), 8) > 0.1
    assert unevenness(with_borders(images, 16), 16) > 0.1


def test_the_slope_of_unevenness_takes_borders_away():
    images = with_borders(texture(16, 64), 8).requires_grad_()
    before = unevenness(images, 8)
    before.backward()
    with torch.no_grad():
        smaller = images - images.grad * (0.5 * before / images.grad.square().sum())
    assert unevenness(smaller, 8) < 0.7 * before


def test_a_single_crop_or_flat_ones_are_even():
    assert unevenness(with_borders(texture(1, 32), 8), 8) == 0
    flat = torch.full((4, 3, 32, 32), 7.0, requires_grad=True)
    unevenness(flat, 8).backward()
    assert flat.grad.isfinite().all()


def test_the_loss_is_of_both_sizes():
    original, double = texture(4, 32), texture(2, 64)
    decoded = with_borders(original, 8)
    has_double = torch.tensor([True, False, True, False])
    mean_squared = (decoded - original).square().mean((1, 2, 3))
    batch = Batch(decoded, original, double, has_double, torch.ones(4), torch.ones(4), mean_squared)
    unchanged = Refined(decoded, enlarged(decoded))
    uneven = unevenness(decoded, 8) + 0.4 * unevenness(enlarged(decoded)[has_double], 16)
    torch.testing.assert_close(
        loss_of(unchanged, batch), error_of(unchanged, batch) + UNEVEN * uneven
    )
    perfect = Refined(original, enlarged(original))
    assert error_of(perfect, batch) < error_of(unchanged, batch)
