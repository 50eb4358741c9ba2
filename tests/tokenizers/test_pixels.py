"""The convolutional end of a painter."""

import torch

from titokzip.tokenizers.embedded.pixel_head import PixelEnd

FEATURES, BLURRED = torch.rand(2, 16, 32), torch.rand(2, 3, 64, 64)


def end(texture, cells=4):
    torch.manual_seed(0)
    return PixelEnd(32, cells, 16, 16, texture)


@torch.no_grad()
def test_texture_of_no_weight_adds_nothing():
    with_it, without = end(texture=8), end(texture=0)
    without.load_state_dict(with_it.state_dict(), strict=False)
    for parameter in with_it.texture.paint.parameters():
        parameter.zero_()
    assert torch.equal(with_it(FEATURES, BLURRED), without(FEATURES, BLURRED))


@torch.no_grad()
def test_texture_has_no_phase_of_its_own():
    flat, same = torch.full((1, 3, 128, 128), 0.5), torch.ones(1, 16, 16, 16)

    texture = end(texture=8, cells=8).texture
    texture.noise.zero_()
    pixels = texture(flat, same)[0, :, 48:80, 48:80]
    assert torch.allclose(pixels[:, :-2], pixels[:, 2:], atol=1e-6)  # all but the last shuffle by 2
    texture.noise.normal_()
    pixels = texture(flat, same)[0, :, 48:80, 48:80]
    assert not torch.allclose(pixels[:, :-8], pixels[:, 8:], atol=1e-3)


@torch.no_grad()
def test_the_same_features_are_painted_the_same_way_twice():
    painter = end(texture=8)
    together, alone = painter(FEATURES, BLURRED), painter(FEATURES[1:], BLURRED[1:])
    assert torch.allclose(together[1:], alone, atol=1e-6)
    assert together.shape == BLURRED.shape
