"""TiToks, images and frozen networks that are small and always the same: for tests of training, and
for the script that trains the official code beside ours (benchmarks/titok_training.py)."""

from dataclasses import replace

import torch
from titoks import images, weight, weights

from titokzip.tokenizers.config import ViTConfig
from titokzip.tokenizers.titok import vqgan_encoder
from titokzip.tokenizers.titok.config import TextConfig, TiTokConfig, VQGANConfig
from titokzip.tokenizers.titok.network import TiTok
from titokzip.training.initialization import load_state
from titokzip.training.losses.adversarial import Adversarial
from titokzip.training.losses.convnext import ConvNeXt
from titokzip.training.losses.lpips import LPIPS
from titokzip.training.losses.perceptual import LogitDistance, Perceptual, PerceptualLoss
from titokzip.training.losses.quantization import Quantization
from titokzip.training.optimization import Optimization
from titokzip.training.recipe import Recipe
from titokzip.training.tasks.proxy_codes import ProxyLosses, StageOne
from titokzip.training.tasks.titok import OneStage, PixelLosses, StageTwo, released_name

WIDTH, DEPTH, HEADS = 64, 2, 2
VQGAN = VQGANConfig(codebook=64, channels=32, widths=(32, 32, 64, 64, 128))
TWO_STAGE = TiTokConfig(
    ViTConfig(WIDTH, DEPTH, HEADS), ViTConfig(WIDTH, DEPTH, HEADS), 8, 64, 12, 64, 16, vqgan=VQGAN
)
DIRECT = replace(TWO_STAGE, channels=16, normalized=False, is_legacy=False, vqgan=None)
GUIDED = replace(DIRECT, text=TextConfig(positions=7, channels=24))
PIECE = replace(TWO_STAGE, prefix_decodable=True)
VGG_STAGES = ((4, 4), (8, 8), (16,) * 3, (32,) * 3, (32,) * 3)
CONVNEXT = ((1, 1, 2, 1), (8, 16, 24, 32), 10)
DISCRIMINATOR = 32  # its width
IMAGES = 4
STEP = 7  # at which a discriminator acts from the start

ONE_STAGE_LOSSES = PixelLosses(
    perceptual=Perceptual(weight=1.1, lpips=1.0, convnext=0.1),
    adversarial=Adversarial(weight=0.1, start=0, width=DISCRIMINATOR),
)
STAGE_2_LOSSES = PixelLosses(
    perceptual=Perceptual(weight=0.1, lpips=0.0, convnext=1.0),
    adversarial=Adversarial(weight=0.01, start=0, width=DISCRIMINATOR),
    quantization=Quantization(weight=0.0),
)


def batch(size=64, count=IMAGES):
    """Make images that are trained on, with text features for those that read some."""
    pixels = (images(count, size) * 255).round().to(torch.uint8)
    return {"image": pixels, "seed": torch.arange(count), "label": torch.full((count,), -1)}


def text(count=IMAGES, config=GUIDED):
    return images(count, 64)[:, 0, : config.text.positions, : config.text.channels]


def fill(module, prefix):
    """Give every tensor of a module the weights that its name has in every test."""
    state = {}
    for name, tensor in module.state_dict().items():
        made = weight(f"{prefix}.{name}", tuple(tensor.shape))
        if "heads" in name:
            made = made.abs()
        if prefix == "lpips" and name.endswith("bias"):
            made = made.abs() + 0.5  # features near 0 have gradients without bound
        state[name] = made
    fixed = {n: t for n, t in module.state_dict().items() if n in dict(module.named_buffers())}
    module.load_state_dict(state | fixed)
    return module


def perceptual(how):
    networks = {
        "lpips": (how.lpips, fill(LPIPS(VGG_STAGES), "lpips")),
        "convnext": (how.convnext, LogitDistance(fill(ConvNeXt(*CONVNEXT), "convnext"))),
    }
    return PerceptualLoss(networks)


def vqgan():
    return fill(vqgan_encoder.VQGAN(VQGAN), "vqgan").eval()


def titok(config):
    model = TiTok(config)
    load_state(model, weights(config), released_name, None)
    return model


class Same:
    """The same batch again and again."""

    broken = 0

    def __init__(self, batch):
        self.batch = batch

    def __next__(self):
        return self.batch

    def state(self):
        return {}


def recipe(**changes):
    """Make a recipe of some steps in which everything that can act does."""
    losses = replace(
        ONE_STAGE_LOSSES, adversarial=replace(ONE_STAGE_LOSSES.adversarial, start=3, rate=3e-4)
    )
    how = Optimization(
        rate=3e-4, final=0.1, warm_up=2, betas=(0.9, 0.99), weight_decay=0.1, ema=0.999
    )
    return Recipe(
        "titok", DIRECT, losses, 8, IMAGES, precision="float32", optimization=how, **changes
    )


def one_stage(config=DIRECT, clustering=False, losses=ONE_STAGE_LOSSES):
    losses = replace(losses, quantization=Quantization(clustering=clustering))
    task = OneStage(titok(config), losses, perceptual(losses.perceptual))
    fill(task.adversary.discriminator, "discriminator")
    return task


def stage_one(config=TWO_STAGE):
    return StageOne(titok(config), vqgan(), ProxyLosses())


def stage_two(config=TWO_STAGE):
    task = StageTwo(titok(config), STAGE_2_LOSSES, perceptual(STAGE_2_LOSSES.perceptual))
    fill(task.adversary.discriminator, "discriminator")
    return task


def gradients(module):
    """Give the norm of every gradient by name, and of all together."""
    norms = {n: p.grad.norm() for n, p in module.named_parameters() if p.grad is not None}
    return norms, torch.stack(list(norms.values())).norm()
