"""The generators that were released for TiTok: their table; no torch."""

from typing import Final

from titokzip.generation.config import MaskGITConfig, MaskGITSampling, Target
from titokzip.zoo.catalog import RELEASES, Release


def _generator(tokenizer: str, config: MaskGITConfig, parameters: int) -> tuple[str, Release]:
    name = f"generator-{tokenizer}"
    repository = f"yucornetto/{name.replace('-', '_')}_imagenet"
    return name, Release(name, repository, config, parameters, rfid=None)


# gFIDs as published: 2.77, 2.48 and 1.97, with these settings of sampling.
GENERATORS: Final[dict[str, Release]] = dict(
    [
        _generator(
            "titok-l32",
            MaskGITConfig(
                length=RELEASES["titok-l32"].tokens,
                target=Target("titok-l32"),
                sampling=MaskGITSampling(8, 9.5, 4.5, "linear"),
            ),
            177_242_880,
        ),
        _generator(
            "titok-b64",
            MaskGITConfig(
                length=RELEASES["titok-b64"].tokens,
                target=Target("titok-b64"),
                sampling=MaskGITSampling(8, 11.0, 3.0, "linear"),
            ),
            177_267_456,
        ),
        _generator(
            "titok-s128",
            MaskGITConfig(
                length=RELEASES["titok-s128"].tokens,
                kind="uvit",
                width=1024,
                depth=20,
                heads=16,
                hidden=4096,
                target=Target("titok-s128"),
                sampling=MaskGITSampling(64, 2.8, 6.9, "power-cosine"),
            ),
            294_990_848,
        ),
    ]
)
