"""TiTok against the definitions in its paper."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from titoks import DIRECT, PREFIX_DECODABLE, TEXT_GUIDED, TWO_STAGE, build, images

from titokzip.tokenizers.titok.network import Encoder

TINY = pytest.mark.parametrize("config", [TWO_STAGE, DIRECT], ids=["two-stage", "direct"])


@TINY
def test_shapes(config):
    model = build(config)
    tokens = model.encode(images(3, 32))
    assert (tokens.shape, tokens.dtype) == ((3, 6), torch.int32)
    features = model.decode_features(tokens)
    assert features.shape == ((3, 3, 32, 32) if config.vqgan is None else (3, 8, 4, 4))
    assert model.decode_pixels(features).shape == (3, 3, 32, 32)
    assert (model.size, model.length, model.vocabulary) == (32, 6, 64)
    assert (model.prefix_decodable, model.halo) == (
        False,
        8 if config.vqgan else 1,
    )


@TINY
def test_tokens_do_not_depend_on_batch_or_threads(config):
    model, tiles, threads = build(config), images(8, 32), torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        together = model.encode(tiles)
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
        build(config).decode_features(torch.zeros(shape, dtype=torch.int32))


@pytest.mark.parametrize("token", [-1, 64])
def test_tokens_out_of_range_are_refused(token):
    with pytest.raises(ValueError, match=r"must be in 0\.\.63"):
        build(DIRECT).decode_features(torch.tensor([[0, 0, 0, 0, 0, token]]))


def test_prefix_decodable_models_decode_every_prefix():
    model, tokens = build(PREFIX_DECODABLE), torch.arange(12, dtype=torch.int32).view(2, 6)
    pixels = [model.decode_pixels(model.decode_features(tokens[:, :k])) for k in range(1, 7)]
    assert {tuple(image.shape) for image in pixels} == {(2, 3, 32, 32)}
    assert not torch.equal(pixels[0], pixels[5])
    with pytest.raises(ValueError, match=r"must be \[B, 1\.\.6\]"):
        model.decode_features(tokens[:, :0])


def test_text_guides_the_decoder_and_none_is_zeros():
    model, tokens = build(TEXT_GUIDED), torch.arange(12).view(2, 6)
    text = images(2, 12)[:, 0, :5]
    without, guided = model.decode_features(tokens), model.decode_features(tokens, text)
    assert not torch.equal(without, guided)
    assert torch.equal(without, model.decode_features(tokens, torch.zeros(2, 5, 12)))
    torch.testing.assert_close(guided[1:], model.decode_features(tokens[1:], text[1:]))


@pytest.mark.parametrize("shape", [(5, 12), (1, 5, 12), (2, 4, 12), (2, 5, 13)])
def test_text_of_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match=r"text must be \[2, 5, 12\], not"):
        build(TEXT_GUIDED).decode_features(torch.zeros(2, 6).int(), torch.zeros(shape))


def test_text_is_refused_where_none_is_read():
    with pytest.raises(ValueError, match="reads no text"):
        build(DIRECT).decode_features(torch.zeros(2, 6).int(), torch.zeros(2, 5, 12))


@pytest.mark.parametrize("config", [TWO_STAGE, DIRECT, TEXT_GUIDED])
def test_decoding_in_bfloat16_keeps_tokens_and_about_the_pixels(config):
    exact, light = build(config), build(config).set_decoder_dtype(torch.bfloat16)
    tokens = exact.encode(images(4, 32))
    assert torch.equal(light.encode(images(4, 32)), tokens)
    assert light.decode_features(tokens).dtype == torch.bfloat16
    wanted, pixels = (
        exact.decode_pixels(exact.decode_features(tokens)),
        light.decode_pixels(light.decode_features(tokens)),
    )
    assert pixels.dtype == torch.float32
    error = (pixels - wanted).square().mean() / wanted.var()
    assert 0 < error < 1e-2


@pytest.mark.parametrize("change", [{"size": 36}, {"patch": 16}])
def test_configs_that_cannot_be_are_refused(change):
    with pytest.raises(ValueError, match="patch"):
        replace(TWO_STAGE, **change)


@pytest.mark.parametrize("is_legacy", [True, False])
def test_legacy_weights_read_latents_across(is_legacy):
    """Number n of channel c is number c * L + n of the latents as they lie in memory."""
    encoder = Encoder(replace(TWO_STAGE, is_legacy=is_legacy))
    patches = encoder.embed(images(2, 32)).flatten(2).transpose(1, 2)
    _, x = encoder.vit(patches, encoder.latents.expand(2, -1, -1))
    length, width = x.shape[1:]
    y = torch.empty(2, length, width)
    for n in range(length):
        for c in range(width):
            flat = c * length + n
            y[:, n, c] = x[:, flat // width, flat % width] if is_legacy else x[:, n, c]
    expected = F.linear(y, encoder.project.weight[:, :, 0, 0], encoder.project.bias)
    torch.testing.assert_close(encoder(images(2, 32)), expected)


def test_direct_decoding_joins_tiles_without_a_seam():
    model = build(DIRECT)
    left, right = model.decode_features(torch.arange(12).view(2, 6)).split(1)
    whole = model.decode_pixels(torch.cat([left, right], dim=3))
    halo = torch.cat([left, right[..., : model.halo]], dim=3)
    torch.testing.assert_close(whole[..., :32], model.decode_pixels(halo)[..., :32])
