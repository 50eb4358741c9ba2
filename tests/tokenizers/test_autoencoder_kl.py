"""The autoencoder's parts, against their definitions; test_flextok has the official answers."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from titokzip.tokenizers.flextok.autoencoder import Attention, AutoencoderKL, Down, ResBlock, Up
from titokzip.tokenizers.flextok.config import AutoencoderConfig

CONFIG = AutoencoderConfig(channels=3, widths=(8, 8, 16, 16), depth=1, groups=4)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (16, 72)])
def test_grids_of_any_size_go_through(height, width):
    model = AutoencoderKL(CONFIG)
    assert CONFIG.scale == 8
    latents = model.encode(torch.rand(2, 3, height, width))
    assert latents.shape == (2, 3, height // 8, width // 8)
    assert model.decode(latents).shape == (2, 3, height, width)


def test_latents_are_the_mode_whatever_the_variance():
    model, pixels = AutoencoderKL(CONFIG), torch.rand(1, 3, 32, 32)
    before = model.encode(pixels)
    model.quant.bias.data[3:] += 5  # log-variances
    assert torch.equal(model.encode(pixels), before)
    model.quant.bias.data[:3] += 5
    torch.testing.assert_close(model.encode(pixels), before + 5)


def test_attention_is_one_head_over_all_positions_beside_a_shortcut():
    block = Attention(16, 4).double()
    theirs = nn.MultiheadAttention(16, 1, batch_first=True).double()
    theirs.in_proj_weight.data = torch.cat([m.weight for m in (block.q, block.k, block.v)])
    theirs.in_proj_bias.data = torch.cat([m.bias for m in (block.q, block.k, block.v)])
    theirs.out_proj.load_state_dict(block.out.state_dict())
    x = torch.rand(2, 16, 3, 5, dtype=torch.float64)
    rows = F.group_norm(x, 4, eps=1e-6).flatten(2).mT
    mixed, _ = theirs(rows, rows, rows)
    torch.testing.assert_close(block(x), x + mixed.mT.view(2, 16, 3, 5))


def test_residual_blocks_add_to_what_came_in():
    x = torch.rand(1, 8, 4, 4)
    for outer in (8, 16):
        block = ResBlock(8, outer, 4)
        block.conv2.weight.data.zero_()
        block.conv2.bias.data.zero_()
        torch.testing.assert_close(block(x), x if outer == 8 else block.shortcut(x))
    assert block.shortcut is not None


def test_downsampling_pads_right_and_below():
    down = Down(8, 8, CONFIG, downsamples=True)
    down.resnets = nn.Sequential()
    x = torch.rand(1, 8, 4, 6)
    small = down(x)
    assert small.shape == (1, 8, 2, 3)
    window = (down.downsample.weight[:, :, :2, :2] * x[:, :, 2:, 4:]).sum(dim=(1, 2, 3))
    torch.testing.assert_close(small[0, :, 1, 2], window + down.downsample.bias)


def test_upsampling_repeats_latents():
    up = Up(8, 8, CONFIG, upsamples=True)
    up.resnets = nn.Sequential()
    nn.init.dirac_(up.upsample.weight)
    up.upsample.bias.data.zero_()
    x = torch.rand(1, 8, 2, 3)
    assert torch.equal(up(x), x.repeat_interleave(2, 2).repeat_interleave(2, 3))


def test_the_decoders_convolutions_reach_18_latents():
    """Without norms and attention, which reach everywhere; FlexTok's `halo` follows from it."""
    model = AutoencoderKL(AutoencoderConfig(channels=2, widths=(4, 4, 4, 4), groups=1)).double()
    for module in model.modules():
        for name, child in module.named_children():
            if isinstance(child, nn.GroupNorm | Attention):
                setattr(module, name, nn.Identity())
    latents = torch.rand(1, 2, 1, 24, dtype=torch.float64, requires_grad=True)
    pixels = model.decode(latents)

    def reads_first_latent(column):
        (gradient,) = torch.autograd.grad(pixels[..., column].sum(), latents, retain_graph=True)
        return bool(gradient[..., 0].any())

    last = 8 + 17 * 8 + 1  # a quarter of the eighteenth latent beside the first
    assert [reads_first_latent(column) for column in (0, last, last + 1)] == [True, True, False]
