"""The release table: every published model that titokzip reads; no torch.

Tokens, vocabularies and parameters were counted on the official architectures. The rFIDs are their
authors', on the 50,000 validation images of ImageNet at 256 x 256 and with all tokens. FlexTok's
are those of an independent re-evaluation, since its paper reports 32 tokens. `hub` fetches weights,
or the user names a file; none of them comes with titokzip.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from titokzip.errors import ModelError
from titokzip.generation.config import GeneratorConfig
from titokzip.tokenizers.config import ViTConfig
from titokzip.tokenizers.flextok.config import D12, D18, D28, FlexTokConfig
from titokzip.tokenizers.titok.config import (
    BASE,
    CONTINUOUS,
    LARGE,
    SMALL,
    TextConfig,
    TiTokConfig,
)

APACHE: Final = "Apache-2.0"
AMLR: Final = "apple-amlr, research only"
LICENCE_PAGES: Final = {
    APACHE: "https://www.apache.org/licenses/LICENSE-2.0",
    AMLR: "https://github.com/apple/ml-flextok/blob/main/LICENSE_WEIGHTS",
}
NAME_BYTES: Final = 2  # of a fingerprint, that identify a release


@dataclass(frozen=True)
class Release:
    """One released model."""

    name: str  # as users type it
    repository: str  # on the hub
    config: TiTokConfig | FlexTokConfig | GeneratorConfig
    parameters: int
    rfid: float | None  # None: not published
    licence: str = APACHE

    @property
    def family(self) -> str:
        """Name the tokenizer family, as `titokzip.tokenizers.registry` does."""
        return self.config.family

    @property
    def tokens(self) -> int:
        """L, tokens per tile."""
        return self.config.length

    @property
    def vocabulary(self) -> int:
        """K, values of a token."""
        return self.config.vocabulary

    @property
    def prefix(self) -> bytes:
        """The first bytes of the fingerprint of every checkpoint of this release."""
        return hashlib.sha256(f"titokzip release {self.name}".encode()).digest()[:NAME_BYTES]

    @property
    def size_note(self) -> str:
        """What tokens take in a file: they are packed, each in a whole number of bits."""
        return f"{packed_bytes(self.tokens, self.vocabulary)} a tile"

    @property
    def notice(self) -> str | None:
        """State the licence of the weights, if it allows less than ours."""
        if self.licence not in LICENCE_PAGES or self.licence == APACHE:
            return None
        page = LICENCE_PAGES[self.licence]
        return (
            f"{self.name}: these weights are licensed for research purposes only ({self.licence});"
            f" by using them you accept {page}"
        )


@dataclass(frozen=True)
class Golden:
    """An image whose tokens the authors printed."""

    image: str
    sha256: str  # of the image's file
    tokens: tuple[int, ...]
    tolerance: int  # tokens that may differ: theirs were made with TF32


def packed_bytes(tokens: int, vocabulary: int) -> int:
    """Count the bytes of packed tokens."""
    return -(-tokens * max(1, (vocabulary - 1).bit_length()) // 8)


def of_fingerprint(fingerprint: bytes) -> Release | None:
    """Find the release that a file names by the first bytes of its model's fingerprint."""
    for release in RELEASES.values():
        if fingerprint.startswith(release.prefix):
            return release
    return None


def of_path(path: Path, releases: Iterable[Release]) -> Release | None:
    """Find which of some releases a file, or one of the folders around it, is named after.

    Raises:
        ModelError: it is named after a release with continuous latents.
    """
    parts = [part.rpartition("--")[2] for part in reversed(path.parts[-4:])]  # models--OWNER--NAME
    for part in parts:
        refuse_continuous(part)
    named: dict[str, Release] = {}
    for release in releases:
        named[_plain(release.repository.rpartition("/")[2])] = named[_plain(release.name)] = release
    return next((named[_plain(part)] for part in parts if _plain(part) in named), None)


def _plain(name: str) -> str:
    name = name.lower().replace("_", "-")
    for suffix in (".bin", ".pth", ".pt", ".safetensors", "-imagenet"):
        name = name.removesuffix(suffix)
    return name.removeprefix("tokenizer-")


def refuse_continuous(name: str) -> None:
    """Refuse the name of a release whose latents are continuous; do nothing for others.

    The name may be ours or the release's own, with underscores and suffixes.

    Raises:
        ModelError: they are; the message names the release to use instead.
    """
    short = name.removeprefix("tokenizer_").replace("_", "-").removesuffix("-imagenet")
    if better := CONTINUOUS_VARIANTS.get(short.removesuffix("-c16")):
        raise ModelError(f"{name}: {CONTINUOUS}; use {better}")


def _by_name(*releases: Release) -> dict[str, Release]:
    return {release.name: release for release in releases}


def _titok(name: str, config: TiTokConfig, parameters: int, rfid: float) -> Release:
    suffix = "_vq8k" if config.codebook == 8192 else ""
    repository = f"yucornetto/tokenizer_{name.replace('-', '_')}{suffix}_imagenet"
    return Release(name, repository, config, parameters, rfid)


def _tatitok(length: int, parameters: int, rfid: float) -> Release:
    repository = f"turkeyju/tokenizer_tatitok_bl{length}_vq"
    config = replace(_BL64, length=length, text=TextConfig())
    return Release(f"tatitok-bl{length}", repository, config, parameters, rfid)


def _one_d_piece(size: str, vit: ViTConfig, parameters: int, rfid: float) -> Release:
    config = TiTokConfig(vit, vit, 256, prefix_decodable=True)
    repository = f"turing-motors/One-D-Piece-{size.upper()}-256"
    return Release(f"one-d-piece-{size}-256", repository, config, parameters, rfid)


def _flextok(name: str, data: str, config: FlexTokConfig, size: int, rfid: float | None) -> Release:
    repository = f"EPFL-VILAB/{name.removesuffix('-dfn').replace('-', '_')}_{data}"
    return Release(name, repository, config, size, rfid, AMLR)


_BL64: Final = TiTokConfig(BASE, LARGE, 64, 8192, 64, normalized=False, is_legacy=False, vqgan=None)

RELEASES: Final[dict[str, Release]] = _by_name(
    _titok("titok-l32", TiTokConfig(LARGE, LARGE, 32), 641_054_735, 2.21),
    _titok("titok-b64", TiTokConfig(BASE, BASE, 64), 204_814_095, 1.70),
    _titok("titok-s128", TiTokConfig(SMALL, SMALL, 128), 83_674_639, 1.71),
    _titok("titok-bl64", _BL64, 390_016_148, 2.06),
    _titok("titok-bl128", replace(_BL64, length=128), 390_179_988, 1.49),
    _titok("titok-sl256", replace(_BL64, encoder=SMALL, length=256), 330_260_884, 1.03),
    _tatitok(32, 390_800_532, 3.95),
    _tatitok(64, 390_882_452, 2.43),
    _tatitok(128, 391_046_292, 1.53),
    _one_d_piece("s", SMALL, 83_871_247, 1.48),
    _one_d_piece("b", BASE, 205_256_463, 1.11),
    _one_d_piece("l", LARGE, 641_742_863, 1.08),
    _flextok("flextok-d12-d12", "in1k", FlexTokConfig(D12, D12), 341_700_000, 3.18),
    _flextok("flextok-d18-d18", "in1k", FlexTokConfig(D18, D18), 949_700_000, 1.18),
    _flextok("flextok-d18-d28", "in1k", FlexTokConfig(D18, D28), 2_540_900_000, 1.05),
    _flextok("flextok-d18-d28-dfn", "dfn", FlexTokConfig(D18, D28), 2_540_900_000, None),
)

# Released variants with continuous latents, and the discrete release to use instead. A file could
# hold quantized latents, but their scale is free, and at four bits per number they take 256 to
# 1,024 bytes per tile where tokens take 48 to 208.
CONTINUOUS_VARIANTS: Final = {
    "titok-ll32-vae": "titok-l32",
    "titok-bl64-vae": "titok-bl64",
    "titok-bl128-vae": "titok-bl128",
    "tatitok-bl32-vae": "tatitok-bl32",
    "tatitok-bl64-vae": "tatitok-bl64",
    "tatitok-sl128-vae": "tatitok-bl128",
}

# README.md and demo.ipynb of bytedance/1d-tokenizer; made on a GPU.
GOLDEN: Final[Mapping[str, Golden]] = {
    "titok-l32": Golden(
        "ILSVRC2012_val_00010240.png",
        "75105b81fc706e977227c41ef2960b1aef84fe557d2c69e27ac8b3839539fbfa",
        (
            *(887, 3979, 349, 720, 2809, 2743, 2101, 603, 2205, 1508, 1891, 4015, 1317, 2956),
            *(3774, 2296, 484, 2612, 3472, 2330, 3140, 3113, 1056, 3779, 654, 2360, 1901, 2908),
            *(2169, 953, 1326, 2598),
        ),
        tolerance=2,
    ),
}
