"""TiTok against the official code's recorded answers, and against the definitions in its paper."""

import hashlib
import math
import zlib
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from titokzip.errors import ModelError
from titokzip.models.layers import SMALL, ViTConfig
from titokzip.models.titok import (
    RELEASED,
    Encoder,
    TiTok,
    TiTokConfig,
    from_state_dict,
    released_name,
)
from titokzip.models.vqgan import VQGANConfig

VQGAN = VQGANConfig(codebook=16, channels=8, widths=(32, 32, 64, 64))
TWO_STAGE = TiTokConfig(ViTConfig(32, 2, 2), ViTConfig(48, 2, 3), 6, 64, 5, 32, 8, vqgan=VQGAN)
DIRECT = replace(TWO_STAGE, normalized=False, scrambled=False, vqgan=None)
NESTED = replace(DIRECT, nested=True)
TINY = pytest.mark.parametrize("config", [TWO_STAGE, DIRECT], ids=["two-stage", "direct"])


def weight(name, shape):
    """Make the weights that a tensor of this name has in every test."""
    raw = np.random.PCG64(zlib.crc32(name.encode())).random_raw(math.prod(shape))
    uniform = ((raw >> np.uint64(40)) / 2**23 - 1).astype(np.float32).reshape(shape)
    if len(shape) == 1:
        uniform = 0.1 * uniform + np.float32(name.endswith("weight"))
    elif "embedding" in name or "token" in name:
        uniform *= 0.5
    else:
        uniform *= (2 if "in_proj" in name else 1) * math.sqrt(3 / math.prod(shape[1:]))
    return torch.from_numpy(uniform)


def released_shapes(config):
    with torch.device("meta"):
        state = TiTok(config).state_dict()
    return {released_name(name): tuple(tensor.shape) for name, tensor in state.items()}


def weights(config):
    return {name: weight(name, shape) for name, shape in released_shapes(config).items()}


def build(config):
    return from_state_dict(config, weights(config))


def pictures(count, size):
    n, c, y, x = np.ogrid[1 : count + 1, :3, :size, :size]
    texture = (n * x * 3 + y * (5 + 2 * c) + ((x * y * n) >> 3) + 40 * c) % 256
    return torch.from_numpy((texture / 255).astype(np.float32))


# Recorded by running bytedance/1d-tokenizer @ 942a96f (modeling.titok.TiTok, torch 2.13, CPU) with
# `weights` of the same configuration and `pictures(2, 64)`: the tokens, and the pixels
# [1, :, 34, 7::31] that it decodes from them. The nearest miss of a token is 1e-3 in squared
# distance, where machines differ by 1e-6.
SMALL_TWO_STAGE = TiTokConfig(SMALL, SMALL, length=16, codebook=512, size=64)
SMALL_DIRECT = TiTokConfig(
    SMALL, SMALL, 16, 512, 64, size=64, normalized=False, scrambled=False, vqgan=None
)
GOLDEN = {
    "two-stage": (
        [
            [154, 251, 443, 445, 141, 432, 151, 422, 200, 280, 449, 166, 498, 139, 393, 243],
            [450, 179, 225, 24, 454, 187, 225, 20, 200, 375, 439, 364, 75, 172, 408, 381],
        ],
        [0.2173, -1.3557, 0.1338, 0.6852, -1.2098, -1.5124],
    ),
    "direct": (
        [
            [479, 369, 460, 312, 202, 175, 369, 80, 142, 369, 460, 363, 417, 141, 479, 9],
            [417, 392, 392, 239, 316, 417, 417, 315, 499, 38, 405, 417, 417, 141, 315, 141],
        ],
        [-2.2848, -1.7756, -0.5194, 1.409, 0.1388, 0.4362],
    ),
}


@pytest.mark.parametrize("name", ["two-stage", "direct"])
def test_official_code_gives_the_same_tokens_and_pixels(name):
    config = {"two-stage": SMALL_TWO_STAGE, "direct": SMALL_DIRECT}[name]
    tokens, pixels = GOLDEN[name]
    model = build(config)
    assert model.encode(pictures(2, 64)).tolist() == tokens
    painted = model.paint(model.decode(torch.tensor(tokens)))
    torch.testing.assert_close(
        painted[1, :, 34, 7::31].flatten(), torch.tensor(pixels), rtol=0, atol=3e-4
    )


# Per released model: tensors, numbers in them, and the start of the sha256 over lines of
# "name [shape]" in order of name, all as listed by the official code's state dict.
LISTED = {
    "titok_l32": (692, 641_054_735, "1674cc1abb3a3a48"),
    "titok_b64": (404, 204_814_095, "f47c46e99b6f254a"),
    "titok_s128": (308, 83_674_639, "7e528cce79bab504"),
    "titok_bl64_vq8k": (459, 390_016_148, "eb63d563480c39ca"),
    "titok_bl128_vq8k": (459, 390_179_988, "6d19660dbb9f5eb7"),
    "titok_sl256_vq8k": (411, 330_260_884, "f77c93fec7d5a2ee"),
}


@pytest.mark.parametrize("name", RELEASED)
def test_released_weights_would_fit(name):
    shapes = released_shapes(RELEASED[name])
    listing = "".join(f"{key} {list(shape)}\n" for key, shape in sorted(shapes.items()))
    assert (
        len(shapes),
        sum(math.prod(shape) for shape in shapes.values()),
        hashlib.sha256(listing.encode()).hexdigest()[:16],
    ) == LISTED[name]


@TINY
def test_shapes(config):
    model = build(config)
    tokens = model.encode(pictures(3, 32))
    assert (tokens.shape, tokens.dtype) == ((3, 6), torch.int32)
    features = model.decode(tokens)
    assert features.shape == ((3, 3, 32, 32) if config.vqgan is None else (3, 8, 4, 4))
    assert model.paint(features).shape == (3, 3, 32, 32)
    assert (model.size, model.length, model.vocabulary) == (32, 6, 64)
    assert (model.nested, model.overlap, model.halo) == (False, 0, 8 if config.vqgan else 1)


@TINY
def test_tokens_do_not_depend_on_batch_or_threads(config):
    model, tiles, threads = build(config), pictures(8, 32), torch.get_num_threads()
    together = model.encode(tiles)
    try:
        torch.set_num_threads(1)
        alone = torch.cat([model.encode(tile[None]) for tile in tiles])
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(together, alone)
    assert len(together.unique(dim=0)) > 4


@TINY
@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 3, 35, 34), (1, 3, 16, 64), (1, 1, 32, 32)])
def test_pixels_of_another_shape_are_refused(config, shape):
    with pytest.raises(ValueError, match=r"must be \[B, 3, 32, 32\], not"):
        build(config).encode(torch.zeros(shape))


@TINY
@pytest.mark.parametrize("shape", [(6,), (1, 5), (1, 7), (1, 0), (1, 1, 6)])
def test_tokens_of_another_shape_are_refused(config, shape):
    with pytest.raises(ValueError, match=r"must be \[B, 6\], not"):
        build(config).decode(torch.zeros(shape, dtype=torch.int32))


@pytest.mark.parametrize("token", [-1, 64])
def test_tokens_out_of_range_are_refused(token):
    with pytest.raises(ValueError, match=r"must be in 0\.\.63"):
        build(DIRECT).decode(torch.tensor([[0, 0, 0, 0, 0, token]]))


def test_nested_models_decode_every_prefix():
    model, tokens = build(NESTED), torch.arange(12, dtype=torch.int32).view(2, 6)
    pixels = [model.paint(model.decode(tokens[:, :k])) for k in range(1, 7)]
    assert {tuple(picture.shape) for picture in pixels} == {(2, 3, 32, 32)}
    assert not torch.equal(pixels[0], pixels[5])
    with pytest.raises(ValueError, match=r"must be \[B, 1\.\.6\]"):
        model.decode(tokens[:, :0])


@pytest.mark.parametrize("change", [{"size": 36}, {"patch": 16}])
def test_configs_that_cannot_be_are_refused(change):
    with pytest.raises(ValueError, match="patch"):
        replace(TWO_STAGE, **change)


@pytest.mark.parametrize("scrambled", [True, False])
def test_scrambled_weights_read_latents_across(scrambled):
    """Number n of channel c is number c * L + n of the latents as they lie in memory."""
    encoder = Encoder(replace(TWO_STAGE, scrambled=scrambled))
    patches = encoder.embed(pictures(2, 32)).flatten(2).transpose(1, 2)
    _, x = encoder.vit(patches, encoder.latents.expand(2, -1, -1))
    length, width = x.shape[1:]
    y = torch.empty(2, length, width)
    for n in range(length):
        for c in range(width):
            flat = c * length + n
            y[:, n, c] = x[:, flat // width, flat % width] if scrambled else x[:, n, c]
    expected = F.linear(y, encoder.project.weight[:, :, 0, 0], encoder.project.bias)
    torch.testing.assert_close(encoder(pictures(2, 32)), expected)


def test_direct_painting_joins_tiles_without_a_seam():
    model = build(DIRECT)
    left, right = model.decode(torch.arange(12).view(2, 6)).split(1)
    whole = model.paint(torch.cat([left, right], dim=3))
    halo = torch.cat([left, right[..., : model.halo]], dim=3)
    torch.testing.assert_close(whole[..., :32], model.paint(halo)[..., :32])


@TINY
def test_the_rest_runs_under_autocast(config):
    model = build(config)
    with torch.autocast(device_type="cpu", dtype=torch.bfloat16):
        tokens = model.encode(pictures(2, 32))
        assert torch.isfinite(model.paint(model.decode(tokens))).all()


def test_weights_are_frozen_float_and_not_copied():
    state = weights(DIRECT)
    state["encoder.conv_out.weight"] = state["encoder.conv_out.weight"].half()
    model = from_state_dict(DIRECT, state)
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert model.encoder.latents.data_ptr() == state["latent_tokens"].data_ptr()


def test_usage_statistics_of_training_are_ignored():
    from_state_dict(DIRECT, weights(DIRECT) | {"quantize.embed_prob": torch.zeros(64)})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"latent_tokens": None}, r"lack latent_tokens$"),
        ({"decoder.text": torch.zeros(1)}, r"unexpected decoder\.text$"),
        ({"latent_tokens": torch.zeros(7, 32)}, r"another shape of latent_tokens$"),
    ],
)
def test_wrong_weights_are_named(change, message):
    state = {k: v for k, v in (weights(DIRECT) | change).items() if v is not None}
    with pytest.raises(ModelError, match=message):
        from_state_dict(DIRECT, state)


def test_weights_of_another_model_are_counted():
    with pytest.raises(ModelError, match=r"lack .* and \d+ more$"):
        from_state_dict(TWO_STAGE, weights(DIRECT))
