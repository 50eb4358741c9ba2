"""How models are run: the precision of painting, tiles at once, and what is compiled."""

import flextoks
import pytest
import tiny
import titoks
import torch
from photos import photo, psnr
from torch import nn
from toys import Toy

from titokzip.codec import Codec
from titokzip.runtime import precision
from titokzip.runtime.batching import DEFAULT_BATCH, batch_size
from titokzip.runtime.compilation import compile_tokenizer

FAMILIES = {
    "spectral": (tiny.spectral, 32),
    "textured": (lambda: tiny.spectral(texture=4), 32),
    "titok": (lambda: titoks.build(titoks.TWO_STAGE), 32),
    "flextok": (flextoks.build, 64),
}


@pytest.fixture(params=FAMILIES)
def family(request, monkeypatch):
    """Give what builds a small model, and its side."""
    monkeypatch.setattr("titokzip.tokenizers.flextok.network.FlexTok.steps", 2)
    return FAMILIES[request.param]


def painted(model, tokens):
    with torch.inference_mode():
        return model.decode_pixels(model.decode_features(tokens))


def test_painting_in_bfloat16_keeps_tokens_and_about_the_pixels(family):
    build, side = family
    exact, light = build(), build().set_decoder_dtype(torch.bfloat16)
    tiles = tiny.tiles(4, side)
    tokens = exact.encode(tiles)
    assert torch.equal(light.encode(tiles), tokens)
    wanted, pixels = painted(exact, tokens), painted(light, tokens)
    assert pixels.dtype == torch.float32
    error = (pixels - wanted).square().mean() / wanted.var()
    assert 0 < error < 1e-2
    assert torch.equal(painted(light.set_decoder_dtype(torch.bfloat16), tokens), pixels)


def test_what_is_compiled_is_what_is_called(family, monkeypatch):
    build, side = family
    model, compiled, called = build(), [], set()
    monkeypatch.setattr(nn.Module, "compile", lambda module: compiled.append(module))
    compile_tokenizer(model)
    for module in compiled:
        module.register_forward_pre_hook(lambda module, _: called.add(module))
    painted(model, model.encode(tiny.tiles(1, side)))
    assert called == set(compiled)
    heavy = {m for m in model.modules() if isinstance(m, nn.Linear | nn.Conv2d)}
    assert heavy <= {inner for module in compiled for inner in module.modules()}


def test_a_codec_paints_as_precisely_as_it_is_asked_to(embedded):
    image = photo(200, 150)
    light = Codec.load(device="cpu", batch=3, precision="bfloat16")
    assert (light.batch, embedded.batch) == (3, DEFAULT_BATCH)
    data = embedded.compress(image)
    assert light.compress(image) == data
    pictures = embedded.decompress(data), light.decompress(data)
    assert 35 < psnr(*pictures) < 100
    with pytest.raises(ValueError, match="precision is auto, float32 or bfloat16, not 'float8'"):
        Codec.load(device="cpu", precision="float8")


@pytest.mark.parametrize(
    ("asked", "device", "supported", "chosen"),
    [
        ("auto", "mps", True, "float32"),
        ("auto", "cuda", True, "bfloat16"),
        ("auto", "cuda", False, "float32"),
        ("float32", "cuda", True, "float32"),
        ("bfloat16", "cpu", False, "bfloat16"),
    ],
)
def test_the_precision_that_is_chosen(asked, device, supported, chosen, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: supported)
    assert precision.resolve(asked, device) == getattr(torch, chosen)


@pytest.mark.parametrize(
    ("asked", "device", "instructions", "chosen"),
    [
        ("auto", "cpu", {"avx512_f": True, "avx512_bf16": True, "amx_bf16": False}, "bfloat16"),
        ("auto", "cpu", {"avx512_f": True, "avx512_bf16": False, "amx_bf16": True}, "bfloat16"),
        ("auto", "cpu", {"avx512_f": True, "avx512_bf16": False, "amx_bf16": False}, "float32"),
        ("auto", "cpu", {"architecture": "arm64", "bf16": True, "sve_bf16": True}, "float32"),
        ("auto", "mps", {"avx512_bf16": True}, "float32"),
        ("float32", "cpu", {"avx512_bf16": True}, "float32"),
    ],
)
def test_the_precision_that_a_processor_is_made_for(
    asked, device, instructions, chosen, monkeypatch
):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: instructions, raising=False)
    assert precision.resolve(asked, device) == getattr(torch, chosen)


def test_a_torch_that_cannot_tell_paints_in_float32_on_a_processor(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)  # before 2.11
    assert precision.resolve("auto", "cpu") == torch.float32


@pytest.mark.parametrize("name", ["xs", "xs-vivid"])
def test_bfloat16_costs_an_embedded_model_nothing_that_one_sees(name):
    image = photo(256, 256)
    exact, light = (
        Codec.load(name, "cpu", precision=precision) for precision in ("float32", "bfloat16")
    )
    data = exact.compress(image)
    pictures = exact.decompress(data), light.decompress(data)
    assert psnr(*pictures) > 50
    kept, found = (psnr(picture, image) for picture in pictures)
    assert abs(kept - found) < 0.02


@pytest.mark.parametrize(
    ("free", "tiles"), [(0, 1), (1 << 30, 2), (6 << 30, 16), (22 << 30, 58), (139 << 30, 256)]
)
def test_a_batch_fills_half_of_the_free_memory(free, tiles, monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (free, 140 << 30))
    large = Toy()
    large.size = 256
    assert batch_size(large, "cuda") == tiles
    assert batch_size(large, "cpu") == 16
