"""LPIPS and DISTS are those of the packages of the field, on the same weights."""

import json
import sys
import types

import numpy as np
import pytest
import torch
from photos import photo
from torch import nn

from titokzip.bench import distances as module
from titokzip.bench.distances import distances
from titokzip.bench.networks import Files
from titokzip.bench.perceptual import ALEXNET, VGG16
from titokzip.errors import ModelError

PIXELS = np.asarray(photo(96, 80))
OTHER = np.asarray(photo(96, 80, seed=1))


class Gap(nn.Module):
    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return (x - y).abs().mean()


class Means(nn.Module):
    """Stand in for a face descriptor."""

    def forward(self, faces: torch.Tensor) -> torch.Tensor:
        assert faces.shape[1:] == (3, 150, 150)
        return faces.mean(dim=[2, 3])


def named(name, files):
    return next(one for one in distances(files) if one.name == name)


def test_a_perceptual_distance_gets_images_in_0_to_1(script):
    one = named("pd-gap", Files(perceptual=script(Gap(), "gap")))
    assert one.name == "pd-gap"
    assert one(PIXELS, OTHER) == pytest.approx(np.abs(PIXELS / 255 - OTHER / 255).mean(), rel=1e-5)


def convolutions(table, widths, kernels):
    state, before = {}, 3
    torch.manual_seed(0)
    for (index, *_), width, kernel in zip(table, widths, kernels, strict=True):
        conv = nn.Conv2d(before, width, kernel)
        state |= {f"features.{index}.weight": conv.weight, f"features.{index}.bias": conv.bias}
        before = width
    return {key: value.detach() for key, value in state.items()}


def alexnet():
    return convolutions(ALEXNET, (64, 192, 384, 256, 256), (11, 5, 3, 3, 3))


def test_weights_of_another_network_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "alexnet.pth"
    torch.save({"features.0.weight": torch.zeros(1)}, path)
    monkeypatch.setattr(module, "_heads", lambda network: path)
    with pytest.raises(ModelError, match=r"features\.0\.bias"):
        distances(Files(alexnet=path))


def test_lpips_is_that_of_the_lpips_package(tmp_path, monkeypatch):
    """Compare on an untrained AlexNet, which a stand-in for torchvision gives the package."""
    pytest.importorskip("scipy", reason="the lpips package needs it")
    if module.inside("lpips", "lpips.py") is None:
        pytest.skip("the oracle is not installed")
    state = alexnet()
    path = tmp_path / "alexnet.pth"
    torch.save(state, path)
    ours = named("lpips", Files(alexnet=path))
    trunk = nn.Sequential(
        nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(), nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2),
    )  # fmt: skip
    trunk.load_state_dict({key.removeprefix("features."): v for key, v in state.items()})
    stand_in = types.ModuleType("torchvision")
    stand_in.models = types.SimpleNamespace(
        alexnet=lambda **_: types.SimpleNamespace(features=trunk)
    )
    monkeypatch.setitem(sys.modules, "torchvision", stand_in)
    monkeypatch.setitem(sys.modules, "torchvision.models", stand_in.models)
    import lpips

    theirs = lpips.LPIPS(net="alex", verbose=False)
    one, two = (
        torch.from_numpy(p.copy()).permute(2, 0, 1)[None] / 127.5 - 1 for p in (PIXELS, OTHER)
    )
    with torch.no_grad():
        expected = float(theirs(one, two))
    assert ours(PIXELS, OTHER) == pytest.approx(expected, abs=1e-5)
    assert expected > 0.001
    assert ours(PIXELS, PIXELS) == 0


def test_dists_is_nothing_for_equal_images_and_more_for_more_noise(tmp_path, monkeypatch):
    widths = [8, 8, 16, 16, 24, 24, 24, 32, 32, 32, 32, 32, 32]
    path, mix = tmp_path / "vgg16.pth", tmp_path / "mix.pt"
    torch.save(convolutions(VGG16, widths, [3] * 13), path)
    channels = 3 + 8 + 16 + 24 + 32 + 32
    torch.save({"alpha": torch.rand(1, channels, 1, 1), "beta": torch.rand(1, channels, 1, 1)}, mix)
    monkeypatch.setattr(module, "beside", lambda package, name: mix)
    one = named("dists", Files(vgg16=path))
    assert one.name == "dists"
    assert len(one.sha256) == 2
    noise = np.random.default_rng(0).normal(0, 1, PIXELS.shape)
    noisy = [(PIXELS + s * noise).clip(0, 255).astype(np.uint8) for s in (0, 10, 60)]
    found = [one(PIXELS, pixels) for pixels in noisy]
    assert found[0] == pytest.approx(0, abs=1e-3)
    assert found == sorted(found)
    assert found[2] > found[1] + 1e-3


def test_dists_is_that_of_torchmetrics(tmp_path, monkeypatch):
    """Compare on an untrained VGG, which a stand-in for torchvision gives the package."""
    theirs = pytest.importorskip(
        "torchmetrics.functional.image.dists", reason="the oracle is not installed"
    )
    widths = [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]
    state, path = convolutions(VGG16, widths, [3] * 13), tmp_path / "vgg16.pth"
    torch.save(state, path)
    ours = named("dists", Files(vgg16=path))
    layers: list[nn.Module] = []
    before = 3
    for index, width in zip((row[0] for row in VGG16), widths, strict=True):
        if index > len(layers):
            layers.append(nn.MaxPool2d(2))
        layers += [nn.Conv2d(before, width, 3, padding=1), nn.ReLU()]
        before = width
    features = nn.Sequential(*layers)
    features.load_state_dict({key.removeprefix("features."): v for key, v in state.items()})
    stand_in = types.SimpleNamespace(features=features)
    monkeypatch.setattr(theirs, "_TORCHVISION_AVAILABLE", True)
    monkeypatch.setattr(theirs, "vgg16", lambda **_: stand_in, raising=False)
    whatever = types.SimpleNamespace(DEFAULT=None)
    monkeypatch.setattr(theirs, "VGG16_Weights", whatever, raising=False)
    one, two = (torch.from_numpy(p.copy()).permute(2, 0, 1)[None] / 255 for p in (PIXELS, OTHER))
    with torch.no_grad():
        expected = float(theirs.DISTSNetwork()(one, two))
    assert expected > 0.001
    assert ours(PIXELS, OTHER) == pytest.approx(expected, abs=1e-5)


def test_st_lpips_is_that_of_its_package(monkeypatch):
    """Compare with the package's own network, on its own weights."""
    if module.inside("stlpips_pytorch", "stlpips.py") is None:
        pytest.skip("the oracle is not installed")
    for missing in ("torchvision", "torchvision.models", "torchsummary", "torchvision.transforms"):
        stand_in = types.ModuleType(missing)
        stand_in.models = stand_in.transforms = stand_in.summary = None
        monkeypatch.setitem(sys.modules, missing, stand_in)
    stlpips = pytest.importorskip("stlpips_pytorch.stlpips", reason="the oracle needs more")
    theirs = stlpips.LPIPS(net="alex", variant="shift_tolerant", verbose=False)
    pair = [torch.from_numpy(p.copy()).permute(2, 0, 1)[None] / 127.5 - 1 for p in (PIXELS, OTHER)]
    with torch.no_grad():
        expected = float(theirs(*pair))
    assert named("st-lpips", Files())(PIXELS, OTHER) == pytest.approx(expected, abs=1e-5)
    assert expected > 0.01


def test_faces_are_compared_in_their_boxes(script, tmp_path):
    (tmp_path / "faces.json").write_text(json.dumps({"a": [10, 5, 60, 55]}))
    files = Files(face_network=script(Means(), "means"), faces=tmp_path / "faces.json")
    one = named("face", files)
    assert one.measures("a.png", PIXELS)
    assert not one.measures("b.png", PIXELS)
    changed = PIXELS.copy()
    changed[60:, :] = 0  # outside of the box
    assert one(PIXELS, changed, "a.png") == 0
    changed[5:55, 10:60] = 255 - changed[5:55, 10:60]
    means = [p[5:55, 10:60].reshape(-1, 3).mean(0) for p in (PIXELS, changed)]
    assert one(PIXELS, changed, "a.png") == pytest.approx(
        np.linalg.norm(means[0] - means[1]), rel=0.01
    )
    (tmp_path / "faces.json").write_text("[1]")
    with pytest.raises(ModelError, match="not boxes by image name"):
        distances(files)
    with pytest.raises(ModelError, match="needs the boxes"):
        distances(Files(face_network=files.face_network))


def test_images_too_small_for_a_network_are_not_measured(tmp_path, monkeypatch):
    path, heads = tmp_path / "alexnet.pth", tmp_path / "heads.pth"
    torch.save(alexnet(), path)
    channels = (64, 192, 384, 256, 256)
    torch.save({f"lin{i}": torch.ones(1, n, 1, 1) for i, n in enumerate(channels)}, heads)
    monkeypatch.setattr("titokzip.bench.distances._heads", lambda network: heads)
    one = named("lpips", Files(alexnet=path))
    smallest = PIXELS[: one.smallest, : one.smallest]
    assert one.measures("", smallest)
    assert one(smallest, OTHER[: one.smallest, : one.smallest]) > 0
    assert not one.measures("", smallest[1:])
