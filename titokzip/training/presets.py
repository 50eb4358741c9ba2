"""Recipes by name: those of the papers at their sizes, and small ones.

Numbers of the papers' recipes are those of the authors' configuration files (bytedance/1d-tokenizer
at 942a96f, turingmotors/One-D-Piece at 473665d). FlexTok's training is not in its repository: that
recipe is our own reading of its paper (arXiv:2502.13967).
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from titokzip.generation.config import AutoregressiveConfig, MaskGITConfig
from titokzip.tokenizers.config import ViTConfig
from titokzip.tokenizers.flextok.config import FlexTokConfig, ScriptConfig
from titokzip.tokenizers.titok.config import TiTokConfig, VQGANConfig
from titokzip.training.data.loader import Loading
from titokzip.training.losses.adversarial import Adversarial
from titokzip.training.losses.perceptual import Perceptual
from titokzip.training.losses.quantization import Quantization
from titokzip.training.optimization import Optimization
from titokzip.training.recipe import Recipe
from titokzip.training.tasks.autoregressive import NextTokenLosses
from titokzip.training.tasks.flextok import FlowLosses
from titokzip.training.tasks.maskgit import MaskedLosses
from titokzip.training.tasks.proxy_codes import ProxyLosses
from titokzip.training.tasks.titok import PixelLosses
from titokzip.zoo.catalog import RELEASES
from titokzip.zoo.generators import GENERATORS

_SLOW: Final = Optimization(rate=1e-4, warm_up=10_000, betas=(0.9, 0.99), weight_decay=1e-4)
_LARGE_DATA: Final = Loading(workers=12)
_STAGE_2_LOSSES: Final = PixelLosses(
    perceptual=Perceptual(weight=0.1, lpips=0.0, convnext=1.0),
    adversarial=Adversarial(weight=0.01, start=20_000),
    quantization=Quantization(weight=0.0),
)
_ONE_STAGE_LOSSES: Final = PixelLosses(
    perceptual=Perceptual(weight=1.1, lpips=1.0, convnext=0.1),
    adversarial=Adversarial(weight=0.1, start=200_000),
    quantization=Quantization(clustering=True),
)


def _two_stages(
    name: str, config: TiTokConfig, batch_1: int, batch_2: int
) -> Iterator[tuple[str, Recipe]]:
    yield f"{name}-stage1", Recipe(
        "titok-stage1", config, ProxyLosses(), 1_000_000, batch_1,
        optimization=_SLOW, loading=_LARGE_DATA,
    )  # fmt: skip
    yield f"{name}-stage2", Recipe(
        "titok-stage2", config, _STAGE_2_LOSSES, 500_000, batch_2,
        optimization=replace(_SLOW, betas=(0.9, 0.999), warm_up=5_000), loading=_LARGE_DATA,
    )  # fmt: skip


def _one_stage(name: str, config: TiTokConfig, steps: int, batch: int) -> tuple[str, Recipe]:
    how = replace(_SLOW, betas=(0.9, 0.999))
    return name, Recipe(
        "titok", config, _ONE_STAGE_LOSSES, steps, batch, optimization=how, loading=_LARGE_DATA
    )


def _released() -> Iterator[tuple[str, Recipe]]:
    for name, release in RELEASES.items():
        config = release.config
        if not isinstance(config, TiTokConfig):
            continue
        if config.vqgan is None:
            text = config.text is not None
            yield _one_stage(name, config, 650_000 if text else 1_000_000, 1024 if text else 256)
        else:
            piece = config.prefix_decodable
            yield from _two_stages(name, config, 1024 if piece else 256, 512 if piece else 256)


_TINY_VQGAN: Final = VQGANConfig(codebook=64, channels=16, widths=(32, 32, 32, 64))
_TINY: Final = TiTokConfig(
    ViTConfig(64, 2, 2), ViTConfig(64, 2, 2), length=16, codebook=64, channels=8, size=32, patch=8,
    vqgan=_TINY_VQGAN,
)  # fmt: skip
_QUICK: Final = Optimization("muon", 2e-3, 1e-2, 0.1, 20, (0.9, 0.99), 0.0, ema=0.99)
_FEW: Final = Loading(workers=0, held_out=0.0, random_crop=False, flip=False)
_PLAIN: Final = PixelLosses(
    perceptual=Perceptual(weight=0.0),
    adversarial=Adversarial(weight=0.0),
    quantization=Quantization(clustering=True),
)
_TRY: Final = Recipe(
    "titok", replace(_TINY, is_legacy=False, vqgan=None), _PLAIN, 400, 16,
    precision="float32", optimization=_QUICK, loading=_FEW, log_every=20, evaluate_every=200,
)  # fmt: skip

_GENERATING: Final = Optimization(
    rate=2e-4, final=0.05, warm_up=10_000, betas=(0.9, 0.96), weight_decay=0.03
)
_TRY_TOKENS: Final = Recipe(
    "maskgit",
    MaskGITConfig(16, 64, classes=4, width=64, depth=2, heads=2, hidden=128, dropout=0.0),
    MaskedLosses(smoothing=0.0), 400, 32, precision="float32", log_every=20, evaluate_every=200,
    optimization=Optimization("muon", 2e-3, 1e-2, 0.1, 20, (0.9, 0.99), ema=0.99),
    loading=Loading(held_out=0.0),
)  # fmt: skip


_FLOW: Final = Optimization(
    rate=5e-4, final=0.02, warm_up=10_000, betas=(0.9, 0.99), weight_decay=0.05, ema=0.9998
)
_TRY_FLOW: Final = Recipe(
    "flextok",
    FlexTokConfig(
        ViTConfig(64, 2, 1), ViTConfig(64, 3, 1), length=16, size=32, levels=(8, 8, 5),
        patch=2, autoencoder=ScriptConfig(channels=12, scale=2), scaling=0.0,
    ),
    FlowLosses(guidance=1.0, steps=8), 400, 32, precision="float32", log_every=20,
    evaluate_every=200, optimization=_TRY_TOKENS.optimization, loading=_FEW,
)  # fmt: skip


def _flextoks() -> Iterator[tuple[str, Recipe]]:
    for name, release in RELEASES.items():
        if isinstance(release.config, FlexTokConfig) and not name.endswith("-dfn"):
            yield name, Recipe(
                "flextok", release.config, FlowLosses(guidance=7.5), 500_000, 1024,
                optimization=_FLOW, loading=_LARGE_DATA,
            )  # fmt: skip


def _generators() -> Iterator[tuple[str, Recipe]]:
    for name, release in GENERATORS.items():
        yield (
            name,
            Recipe(
                "maskgit", release.config, MaskedLosses(), 500_000, 2048, optimization=_GENERATING
            ),
        )


PRESETS: Final[dict[str, Recipe]] = {
    # A minute on one core: for tests, and to try the commands.
    "titok-tiny": _TRY,
    "titok-tiny-vqgan": replace(_TRY, task="vqgan", model=_TINY),
    "titok-tiny-stage1": replace(_TRY, task="titok-stage1", model=_TINY, losses=ProxyLosses()),
    "titok-tiny-stage2": replace(_TRY, task="titok-stage2", model=_TINY),
    "flextok-tiny": _TRY_FLOW,
    "maskgit-tiny": _TRY_TOKENS,
    "uvit-tiny": replace(_TRY_TOKENS, model=replace(_TRY_TOKENS.model, kind="uvit")),
    "autoregressive-tiny": replace(
        _TRY_TOKENS,
        task="autoregressive",
        model=AutoregressiveConfig(16, 64, classes=4, width=64, depth=2, heads=2),
        losses=NextTokenLosses(),
    ),
    **dict(_released()),
    **dict(_flextoks()),
    **dict(_generators()),
}
