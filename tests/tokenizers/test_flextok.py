"""FlexTok against the official code's recorded answers, and against what its parts promise."""

from itertools import pairwise

import flextoks
import pytest
import torch
from flextoks import TINY, build, images

from titokzip.tokenizers.flextok.fsq import FSQ
from titokzip.tokenizers.flextok.transformer import Registers, patchify, unpatchify

# Recorded by `python benchmarks/flextok.py CHECKOUT --tiny`: apple/ml-flextok @ 87d00cc with torch
# 2.13 and diffusers 0.42 on a CPU, its modules put together at the sizes of TINY and loaded strict
# with `weights`. The tokens of `images(4)`; the latents that its pipeline samples in 3 guided steps
# from `noise(2)` and the first 5 tokens of the first two; and the pixels that its autoencoder
# decodes from those. The nearest miss of a token is 7e-4 of a level, where machines differ by 1e-5.
TOKENS = [
    [
        *(42292, 8563, 38685, 47475, 33954, 41581, 46761, 13435),
        *(23993, 41829, 18237, 31162, 44211, 18650, 33505, 61937),
    ],
    [
        *(54581, 21429, 38750, 59829, 46754, 54902, 46754, 16059),
        *(23970, 57334, 18286, 34236, 57013, 18132, 36068, 59377),
    ],
    [
        *(44468, 11194, 41381, 47548, 46818, 54389, 46833, 15484),
        *(23984, 41837, 33717, 28602, 57019, 21346, 36074, 61937),
    ],
    [
        *(42228, 21371, 41317, 47547, 33898, 41589, 46769, 15995),
        *(23536, 42284, 18877, 31612, 44155, 18729, 33514, 61937),
    ],
]
LATENTS = [
    *(-2.40391, -0.97145, -1.3854, 0.84681, -2.59825, 1.69204),
    *(-1.66, 0.7006, -0.94615, 1.01275, -2.00669, 1.43551),
]
PIXELS = [0.59692, 0.78291, 0.31168, 0.39557, 0.58297, 0.78079]


def close(actual, expected, tolerance):
    torch.testing.assert_close(actual, torch.as_tensor(expected), rtol=0, atol=tolerance)


def test_official_code_gives_the_same_tokens():
    assert build().encode(images(4)).tolist() == TOKENS


def test_official_code_samples_the_same_latents_and_decodes_the_same_pixels():
    model = build()
    model.steps = 3
    latents = model.sample(torch.tensor(TOKENS)[:2, :5], flextoks.noise(2))
    close(latents[1, :, 3, ::3].flatten(), LATENTS, 1e-4)
    close(model.decode_pixels(latents)[1, :, 34, 7::31].flatten(), PIXELS, 1e-4)


def test_shapes():
    model = build()
    model.steps = 1
    tokens = model.encode(images(3))
    assert (tokens.shape, tokens.dtype) == ((3, 16), torch.int32)
    features = model.decode_features(tokens)
    assert features.shape == (3, 4, 8, 8)
    assert model.decode_pixels(features).shape == (3, 3, 64, 64)
    assert (model.size, model.length, model.vocabulary) == (64, 16, 64_000)
    assert (model.prefix_decodable, model.halo) == (True, 8)


def test_tokens_do_not_depend_on_batch_or_threads():
    model, tiles, threads = build(), images(4), torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        together = model.encode(tiles)
        torch.set_num_threads(1)
        alone = torch.cat([model.encode(tile[None]) for tile in tiles])
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(together, alone)


@pytest.mark.parametrize("shape", [(3, 64, 64), (1, 3, 65, 64), (1, 3, 32, 128), (1, 1, 64, 64)])
def test_pixels_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"must be \[B, 3, 64, 64\], not"):
        build().encode(torch.zeros(shape))


@pytest.mark.parametrize("shape", [(16,), (1, 17), (1, 0), (1, 1, 16)])
def test_tokens_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"must be \[B, 1\.\.16\], not"):
        build().decode_features(torch.zeros(shape, dtype=torch.int32))


@pytest.mark.parametrize("token", [-1, 64_000])
def test_tokens_out_of_range_are_refused(token):
    with pytest.raises(ValueError, match=r"must be in 0\.\.63999"):
        build().decode_features(torch.tensor([[0, token]]))


def test_an_image_is_sampled_alike_in_any_batch():
    model, tokens = build(), torch.tensor(TOKENS, dtype=torch.int32)
    model.steps = 4
    together = model.decode_features(tokens)
    assert torch.equal(model.decode_features(tokens), together)
    for row, latents in zip(tokens, together, strict=True):
        close(model.decode_features(row[None])[0], latents, 1e-4)


def test_every_prefix_is_another_image():
    model, tokens = build(), torch.tensor(TOKENS[:1])
    model.steps = 2
    sampled = [model.sample(tokens[:, :k], flextoks.noise(1)) for k in range(1, 17)]
    assert all((a - b).abs().max() > 0.01 for a, b in pairwise(sampled))


def test_options_set_the_number_of_passes_and_what_comes_out():
    model, tokens, passes = build(), torch.tensor(TOKENS[:1]), []
    model.decoder.register_forward_hook(lambda *_: passes.append(1))
    sampled, counted = [], []
    for model.steps, model.guidance, model.projected in (
        (2, 1, True),
        (2, 3, True),
        (2, 3, False),
        (5, 3, True),
    ):
        sampled.append(model.decode_features(tokens))
        counted.append(len(passes))
        passes.clear()
    assert counted == [2, 4, 4, 10]
    assert len({latents.sum().item() for latents in sampled}) == 4
    model.steps = 0
    with pytest.raises(ValueError, match="at least one step"):
        model.decode_features(tokens)


def test_registers_stored_once_weigh_as_often_as_they_are_there():
    model = build()
    decoder, tokens = model.decoder, torch.tensor(TOKENS[:2])
    modulation = decoder.modulations(torch.tensor([0.4]), 1.0)[0]
    for kept in (1, 5, 15):
        registers = decoder.conditional(model.quantizer.look_up(tokens[:, :kept]))
        assert (registers.values.shape[1], registers.repeats) == (kept + 1, 16 - kept)
        last = registers.values[:, -1:].expand(-1, 16 - kept, -1)
        repeated = Registers(torch.cat([registers.values[:, :-1], last], dim=1), 1)
        velocity = decoder(flextoks.noise(2), registers, modulation)
        close(velocity, decoder(flextoks.noise(2), repeated, modulation), 1e-5)
    unconditional = decoder.unconditional(2)
    repeated = Registers(unconditional.values.expand(-1, 16, -1), 1)
    velocity = decoder(flextoks.noise(2), unconditional, modulation)
    close(velocity, decoder(flextoks.noise(2), repeated, modulation), 1e-5)


def test_registers_do_not_depend_on_those_after_them():
    encoder, latents = build().encoder, flextoks.noise(2)
    before = encoder(latents)
    encoder.registers.data[9] = encoder.registers.data[9].flip(0)
    changed = (encoder(latents) - before).abs().amax(dim=(0, 2))
    assert changed[:9].max() == 0
    assert changed[9:].min() > 1e-3


def test_patches_are_rows_of_latents_with_their_channels_last():
    latents = torch.arange(2 * 3 * 4 * 4.0).view(2, 3, 4, 4)
    patches = patchify(latents, 2)
    assert patches.shape == (2, 4, 12)
    assert torch.equal(patches[1, 1, :6], latents[1, :, 0, 2:4].T.flatten())
    assert torch.equal(patches[1, 2, 6:], latents[1, :, 3, :2].T.flatten())
    assert torch.equal(unpatchify(patches, 2, 2), latents)


def test_rounding_is_the_papers():
    quantizer = FSQ((8, 5))
    assert quantizer.vocabulary == 40
    tokens = torch.arange(40).view(1, 40)
    codes = quantizer.look_up(tokens)
    assert (codes[0, 0].tolist(), codes[0, 39].tolist()) == ([-1, -1], [0.75, 1])
    # Of 8 levels, the middle one of 5: -4..3 fourths and -2..2 halves.
    assert codes[0, 8 * 2 + 5].tolist() == [0.25, 0]
    far = torch.tensor([[[-9.0, -9.0], [9.0, 9.0], [0.0, 0.0]]])
    assert quantizer(far).tolist() == [[0, 39, 20]]


def test_every_token_comes_back_from_its_code():
    quantizer = FSQ(TINY.levels)
    tokens = torch.arange(quantizer.vocabulary, dtype=torch.int32).view(1, -1)
    levels = torch.tensor(TINY.levels)
    half, offset = (levels - 1) * 1.001 / 2, (levels % 2 == 0) * 0.5
    values = quantizer.look_up(tokens) * (levels // 2)
    latents = ((values + offset) / half).atanh() - (offset / half).atanh()
    assert torch.equal(quantizer(latents), tokens)


def test_all_of_it_runs_in_half_precision():
    half = build(dtype=torch.bfloat16)
    half.steps = 1
    assert {p.dtype for p in half.parameters()} == {torch.bfloat16}
    latents = half.decode_features(half.encode(images(1)))
    assert latents.dtype == torch.float32
    assert torch.isfinite(half.decode_pixels(latents)).all()
