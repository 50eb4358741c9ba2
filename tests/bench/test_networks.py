"""Networks come from files that the user names, bear their hashes, and fail in one line."""

import hashlib
import sys
import types

import numpy as np
import pytest
import torch
from photos import photo
from torch import nn

from titokzip.bench import networks
from titokzip.bench.networks import Files, distances, extractors
from titokzip.bench.perceptual import ALEXNET, VGG16
from titokzip.errors import ModelError

PIXELS = np.asarray(photo(96, 80))
OTHER = np.asarray(photo(96, 80, seed=1))


class Inception(nn.Module):
    """Called as NVIDIA's TorchScript file is."""

    def forward(self, pixels: torch.Tensor, return_features: bool = False) -> torch.Tensor:
        features = pixels.float().mean(dim=[2, 3])
        return features if return_features else features * 0


class Gap(nn.Module):
    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return (x - y).abs().mean()


class Other(nn.Module):
    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return pixels.float().amax(dim=[2, 3])


@pytest.fixture
def script(tmp_path):
    def save(module, name):
        path = tmp_path / f"{name}.pt"
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            torch.jit.script(module).save(str(path))
        return path

    return save


def test_inception_gives_features_and_is_named_by_its_hash(script):
    path = script(Inception(), "inception")
    (one,) = extractors(Files(inception=path))
    assert one.name == "rfid"
    assert one.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert np.allclose(one(PIXELS), PIXELS.mean((0, 1))[None])


def test_another_network_is_not_called_fid(script):
    path = script(Other(), "mobilenet")
    (one,) = extractors(Files(features=path), patch=32)
    assert one.name == "patch-32 fd-mobilenet"
    assert one(PIXELS).shape == (6, 3)
    with pytest.raises(ModelError, match="--features takes any"):
        extractors(Files(inception=path))


def test_a_perceptual_distance_gets_pictures_in_0_to_1(script):
    (one,) = distances(Files(perceptual=script(Gap(), "gap")))
    assert one.name == "pd-gap"
    assert one(PIXELS, OTHER) == pytest.approx(np.abs(PIXELS / 255 - OTHER / 255).mean(), rel=1e-5)


def test_missing_and_damaged_files_are_one_line(tmp_path):
    bad = tmp_path / "bad.pt"
    bad.write_bytes(b"not weights")
    for files in (Files(inception=bad), Files(features=tmp_path / "none"), Files(alexnet=bad)):
        with pytest.raises(ModelError) as caught:
            extractors(files) + distances(files)
        assert "\n" not in str(caught.value)


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
    monkeypatch.setattr(networks, "_beside", lambda package, inside: path)
    with pytest.raises(ModelError, match=r"features\.0\.bias"):
        distances(Files(alexnet=path))


def test_lpips_is_that_of_the_lpips_package(tmp_path, monkeypatch):
    """Compare on an untrained AlexNet, which a stand-in for torchvision gives the package."""
    pytest.importorskip("scipy", reason="the lpips package needs it")
    if not networks.find_spec("lpips") or not networks.find_spec("torchmetrics"):
        pytest.skip("the oracle, or the package that has the heads, is not installed")
    state = alexnet()
    path = tmp_path / "alexnet.pth"
    torch.save(state, path)
    (ours,) = distances(Files(alexnet=path))
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
    assert ours(PIXELS, OTHER) == pytest.approx(expected, rel=1e-5)
    assert expected > 0.001
    assert ours(PIXELS, PIXELS) == 0


def test_dists_is_nothing_for_equal_pictures_and_more_for_more_noise(tmp_path, monkeypatch):
    widths = [8, 8, 16, 16, 24, 24, 24, 32, 32, 32, 32, 32, 32]
    path, mix = tmp_path / "vgg16.pth", tmp_path / "mix.pt"
    torch.save(convolutions(VGG16, widths, [3] * 13), path)
    channels = 3 + 8 + 16 + 24 + 32 + 32
    torch.save({"alpha": torch.rand(1, channels, 1, 1), "beta": torch.rand(1, channels, 1, 1)}, mix)
    monkeypatch.setattr(networks, "_beside", lambda package, inside: mix)
    (one,) = distances(Files(vgg16=path))
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
    (ours,) = distances(Files(vgg16=path))
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
    assert ours(PIXELS, OTHER) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", ["rfid", "lpips", "dists"])
def test_what_is_missing_says_where_it_is_and_how_to_pass_it(name):
    how = networks.HOW_TO_GET[name]
    assert "https://" in how
    assert "give --" in how
    assert "\n" not in how
