"""Perceptual losses: the networks from their files, and what is refused."""

import pytest
import scripts
import torch
from torch import nn

from titokzip.errors import ModelError
from titokzip.training.losses.convnext import ConvNeXt
from titokzip.training.losses.discriminator import Discriminator
from titokzip.training.losses.lpips import STAGES
from titokzip.training.losses.perceptual import Perceptual, from_files
from titokzip.training.recipe import Files

WEIGHTED = Perceptual(weight=1.0, lpips=1.0, convnext=0.5, network=2.0)
INDICES = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)  # of VGG16's convolutions


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Weights of all three kinds, at random, as torchvision and LPIPS name them."""
    folder, torch_random = tmp_path_factory.mktemp("networks"), torch.Generator().manual_seed(0)
    widths = [width for stage in STAGES for width in stage]
    state = {}
    for index, inner, outer in zip(INDICES, [3, *widths], widths, strict=False):
        weight = torch.randn(outer, inner, 3, 3, generator=torch_random) / (3 * inner**0.5)
        state |= {f"features.{index}.weight": weight, f"features.{index}.bias": torch.ones(outer)}
    torch.save(state | {"classifier.0.weight": torch.zeros(1)}, folder / "vgg16.pth")
    heads = {
        f"lin{i}.model.1.weight": torch.ones(1, stage[-1], 1, 1) for i, stage in enumerate(STAGES)
    }
    torch.save(heads, folder / "lpips.pth")
    torch.save(ConvNeXt().state_dict(), folder / "convnext.pth")
    scripts.write(scripts.Distance(), folder / "distance.pt")
    return Files(
        vgg16=str(folder / "vgg16.pth"),
        lpips=str(folder / "lpips.pth"),
        convnext=str(folder / "convnext.pth"),
        perceptual=str(folder / "distance.pt"),
    )


def test_networks_from_files_are_averaged_and_frozen(files):
    loss = from_files(WEIGHTED, files)
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(1, 3, 32, 32, generator=generator)
    others = torch.rand(1, 3, 32, 32, generator=generator).requires_grad_()
    parts = {name: network(images, others).mean() for name, network in loss.networks.items()}
    assert set(parts) == {"lpips", "convnext", "network"}
    wanted = (parts["lpips"] + 0.5 * parts["convnext"] + 2 * parts["network"]) / 3.5
    torch.testing.assert_close(loss(images, others), wanted)
    loss(images, others).backward()
    assert others.grad.isfinite().all()
    assert not any(p.requires_grad for p in loss.parameters())
    assert not loss.train().networks["convnext"].training


@pytest.mark.parametrize("side", [0, 1])
def test_the_gradient_of_lpips_is_that_of_its_definition(side, files):
    lpips = from_files(Perceptual(1.0, convnext=0.0, network=0.0), files).networks["lpips"]
    pair = torch.rand(2, 2, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    images = [pair[0].detach(), pair[1].detach()]
    images[side].requires_grad_()
    found = lpips(*images)
    (gradient,) = torch.autograd.grad(found, images[side])
    maps = zip(*(lpips._features(one) for one in images), lpips.heads, strict=True)
    units = ((*(nn.functional.normalize(m, dim=1) for m in (a, b)), head) for a, b, head in maps)
    wanted = sum((head * (a - b).square()).sum(1).mean() for a, b, head in units)
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(gradient, torch.autograd.grad(wanted, images[side])[0])


def test_black_images_have_a_gradient(files):
    loss = from_files(Perceptual(1.0, convnext=0.0, network=0.0), files)
    black = torch.zeros(1, 3, 32, 32, requires_grad=True)
    loss(torch.zeros(1, 3, 32, 32), black).backward()
    assert black.grad.isfinite().all()


def test_no_network_is_an_error_and_no_weight_is_no_loss():
    assert from_files(Perceptual(weight=0.0), Files()) is None
    with pytest.raises(ModelError, match="needs a network"):
        from_files(Perceptual(weight=1.0), Files())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("vgg16", "not the weights of VGG16"),
        ("convnext", "not the weights of torchvision's ConvNeXt-S"),
        ("perceptual", "not a TorchScript file"),
    ],
)
def test_wrong_files_are_named(tmp_path, files, name, message):
    torch.save({"a": torch.zeros(1)}, tmp_path / "a.pth")
    with pytest.raises(ModelError, match=message):
        from_files(WEIGHTED, Files(lpips=files.lpips, **{name: str(tmp_path / "a.pth")}))


def test_the_discriminator_has_the_size_of_the_official_one():
    network = Discriminator()
    assert sum(p.numel() for p in network.parameters()) == 1_909_889
    assert network(torch.rand(2, 3, 64, 64)).shape == (2, 1, 16, 16)
    assert isinstance(network.blocks[0][2], nn.GroupNorm)
