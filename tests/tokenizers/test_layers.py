"""The parts of our tokenizers, against their definitions written out."""

import numpy as np
import pytest
import torch
from torch import nn

from titokzip.tokenizers.config import ViTConfig
from titokzip.tokenizers.layers import Block, ViT
from titokzip.tokenizers.titok.config import VQGANConfig
from titokzip.tokenizers.titok.network import PatchHead
from titokzip.tokenizers.titok.quantizer import Quantizer
from titokzip.tokenizers.titok.vqgan import CodebookHead, ResBlock, Upsample, VQGANDecoder

VQGAN = VQGANConfig(codebook=16, channels=8, widths=(32, 32, 64, 64))


def test_block_is_the_textbook_transformer_layer():
    block = Block(32, 4).double()
    layer = nn.TransformerEncoderLayer(
        32, 4, 128, dropout=0, activation="gelu", batch_first=True, norm_first=True
    ).double()
    pairs = {"norm1": block.norm_1, "norm2": block.norm_2, "self_attn.out_proj": block.out}
    pairs |= {"linear1": block.expand, "linear2": block.contract}
    for name, module in pairs.items():
        module.load_state_dict(layer.get_submodule(name).state_dict())
    block.qkv.weight, block.qkv.bias = layer.self_attn.in_proj_weight, layer.self_attn.in_proj_bias
    x = torch.rand(2, 5, 32, dtype=torch.float64)
    torch.testing.assert_close(block(x), layer(x), rtol=0, atol=1e-12)


def test_attention_is_the_same_in_training():
    block, x = Block(32, 4).double(), torch.rand(2, 5, 32, dtype=torch.float64)
    trained = block.attend(x, slice(1, 4))
    block.requires_grad_(False)
    assert trained.requires_grad
    torch.testing.assert_close(trained, block.attend(x, slice(1, 4)), rtol=0, atol=1e-12)


def test_vit_gives_patches_and_latents_their_places():
    vit = ViT(ViTConfig(32, 0, 1), patches=4, latents=3)  # no block mixes them
    patches, latents = torch.rand(2, 4, 32), torch.rand(2, 2, 32)
    norm = nn.LayerNorm(32)
    expected = (
        norm(norm(patches + vit.positions[1:])),
        norm(norm(latents + vit.latent_positions[:2])),
    )
    torch.testing.assert_close(vit(patches, latents), expected)


def test_rows_left_out_change_nothing_in_the_others():
    vit = ViT(ViTConfig(32, 2, 2), patches=4, latents=3).double()
    patches, latents, text = (torch.rand(2, n, 32, dtype=torch.float64) for n in (4, 2, 3))
    whole = vit.attend(patches, latents, text)
    assert whole.shape == (2, 10, 32)
    for rows in (slice(1, 5), slice(5, 7), slice(5, None)):
        some = vit.attend(patches, latents, text, rows)
        torch.testing.assert_close(some, whole[:, rows], rtol=0, atol=1e-12)


def test_width_splits_into_heads():
    with pytest.raises(ValueError, match="heads"):
        ViTConfig(width=32, depth=1, heads=3)


def test_patches_run_row_column_colour():
    head = PatchHead(width=5, patch=4)
    x = torch.rand(1, 5, 2, 3)
    flat, pixels = head.conv(x), head(x)
    assert pixels.shape == (1, 3, 8, 12)
    for row, column, colour in np.ndindex(8, 12, 3):
        channel = (row % 4 * 4 + column % 4) * 3 + colour
        assert pixels[0, colour, row, column] == flat[0, channel, row // 4, column // 4]


def test_features_are_soft_mixtures_of_codes():
    head = CodebookHead(6, VQGAN)
    x = torch.rand(2, 6, 4, 4)
    share = head.ffn(x).softmax(dim=1).movedim(1, -1)
    torch.testing.assert_close(head(x).movedim(1, -1), share @ head.codebook)


def test_vqgan_shortcuts_start_from_the_output():
    """Where the width changes, the released weights never see the block's input again."""
    block = ResBlock(64, 32)
    assert block.shortcut.weight.shape == (32, 32, 1, 1)
    torch.nn.init.zeros_(block.conv2.weight)
    assert not block(torch.rand(1, 64, 4, 4)).any()
    same = ResBlock(32, 32)
    torch.nn.init.zeros_(same.conv2.weight)
    x = torch.rand(1, 32, 4, 4)
    assert torch.equal(same(x), x)


def test_vqgan_decodes_grids_of_any_size():
    assert VQGANDecoder(VQGAN)(torch.rand(1, 8, 3, 5)).shape == (1, 3, 24, 40)


@pytest.mark.parametrize("shape", [(2, 6, 3, 5), (1, 6, 1, 1)])
def test_vqgan_upsamples_features_as_if_they_were_repeated(shape):
    upsample, x = Upsample(6).double(), torch.rand(shape, dtype=torch.float64)
    expected = upsample.conv(x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3))
    torch.testing.assert_close(upsample(x), expected, rtol=0, atol=1e-12)
    upsample.fold()
    torch.testing.assert_close(upsample(x), expected, rtol=0, atol=1e-12)


def test_vqgan_does_not_change_its_input():
    features = torch.rand(1, 8, 3, 5)
    before = features.clone()
    VQGANDecoder(VQGAN)(features)
    assert torch.equal(features, before)


def test_quantizer_finds_the_nearest_code():
    quantizer = Quantizer(64, 5, normalized=False)
    latents = torch.rand(3, 4, 5) - 0.5
    distance = torch.cdist(latents.double(), quantizer.codebook.double())
    assert torch.equal(quantizer(latents), distance.argmin(-1).int())


def test_normalized_codes_lie_on_the_unit_sphere():
    quantizer = Quantizer(64, 5, normalized=True)
    codes = quantizer.look_up(torch.arange(64)[None])
    torch.testing.assert_close(codes.norm(dim=-1), torch.ones(1, 64))
    assert torch.equal(quantizer(3 * codes), torch.arange(64)[None].int())
