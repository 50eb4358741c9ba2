"""What holds for every tokenizer family when it is run: bfloat16 decoders, and what is compiled."""

import flextoks
import numpy as np
import pytest
import titoks
import torch
from photos import photo, psnr
from torch import nn

from titokzip import loading, zoo
from titokzip.images import plain
from titokzip.runtime.compilation import compile_tokenizer

FAMILIES = {
    "titok": (lambda: titoks.build(titoks.TWO_STAGE), 32),
    "flextok": (flextoks.build, 64),
}


def tiles(count, side):
    """Make images [count, 3, S, S] in 0..1."""
    images = [torch.tensor(list(photo(side, side, seed).tobytes())) for seed in range(count)]
    return torch.stack(images).view(count, side, side, 3).permute(0, 3, 1, 2) / 255


@pytest.fixture(params=FAMILIES)
def family(request, monkeypatch):
    """Return what builds a small model, and the side of its tiles."""
    monkeypatch.setattr("titokzip.tokenizers.flextok.network.FlexTok.steps", 1)
    return FAMILIES[request.param]


def decoded(model, tokens):
    with torch.inference_mode():
        return model.decode_pixels(model.decode_features(tokens))


def test_decoding_in_bfloat16_keeps_tokens_and_about_the_pixels(family):
    build, side = family
    exact, light = build(), build().set_decoder_dtype(torch.bfloat16)
    pixels = tiles(4, side)
    tokens = exact.encode(pixels)
    assert torch.equal(light.encode(pixels), tokens)
    wanted, pixels = decoded(exact, tokens), decoded(light, tokens)
    assert pixels.dtype == torch.float32
    error = (pixels - wanted).square().mean() / wanted.var()
    assert 0 < error < 1e-2
    assert torch.equal(decoded(light.set_decoder_dtype(torch.bfloat16), tokens), pixels)


def test_what_is_compiled_is_what_is_called(family, monkeypatch):
    build, side = family
    model, compiled, called = build(), [], set()
    monkeypatch.setattr(nn.Module, "compile", lambda module: compiled.append(module))
    compile_tokenizer(model)
    for module in compiled:
        module.register_forward_pre_hook(lambda module, _: called.add(module))
    decoded(model, model.encode(tiles(1, side)))
    assert called == set(compiled)
    heavy = {m for m in model.modules() if isinstance(m, nn.Linear | nn.Conv2d)}
    assert heavy <= {inner for module in compiled for inner in module.modules()}


@pytest.mark.slow
@pytest.mark.parametrize("name", [manifest.name for manifest in zoo.manifests()])
def test_bfloat16_is_invisible_with_the_models_that_ship(name):
    image = plain(photo(256, 256))
    exact, light = (
        loading.load(name, "cpu", precision=precision) for precision in ("float32", "bfloat16")
    )
    data = exact.compress(image)
    assert light.compress(image) == data
    images = [one.decompress(data) for one in (exact, light)]
    difference = np.subtract(*(np.asarray(decoded, np.float64) for decoded in images))
    assert np.square(difference).mean() < 2  # about 45 dB
    kept, found = (psnr(decoded, image.image) for decoded in images)
    assert abs(kept - found) < 0.03
