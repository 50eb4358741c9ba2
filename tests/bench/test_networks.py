"""Networks come from files that the user names, bear their hashes, and fail in one line."""

import hashlib

import numpy as np
import pytest
import torch
from photos import photo
from torch import nn

from titokzip.bench import networks
from titokzip.bench.distances import distances
from titokzip.bench.networks import Files, extractors
from titokzip.errors import ModelError

PIXELS = np.asarray(photo(96, 80))


class Inception(nn.Module):
    """Called as NVIDIA's TorchScript file is."""

    def forward(self, pixels: torch.Tensor, return_features: bool = False) -> torch.Tensor:
        features = pixels.float().mean(dim=[2, 3])
        return features if return_features else features * 0


class Other(nn.Module):
    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return pixels.float().amax(dim=[2, 3])


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
    with pytest.raises(ModelError, match="not the TorchScript file inception"):
        extractors(Files(inception=path))


def test_missing_and_damaged_files_are_one_line(tmp_path):
    bad = tmp_path / "bad.pt"
    bad.write_bytes(b"not weights")
    for files in (Files(inception=bad), Files(features=tmp_path / "none"), Files(alexnet=bad)):
        with pytest.raises(ModelError) as caught:
            extractors(files) + distances(files)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["rfid", "lpips", "lpips-vgg", "dists", "st-lpips"])
def test_what_is_missing_says_where_it_is_and_how_to_pass_it(name):
    how = networks.HOW_TO_GET[name]
    assert "https://" in how or "pip install" in how
    assert "--alexnet" not in how
    assert "\n" not in how
