"""The released models that titokzip can use once their weights are here: facts, and no torch.

Tokens, vocabularies and parameters were counted on the official architectures. The rFIDs are their
authors', on the 50,000 validation photos of ImageNet at 256 x 256 and with all tokens; FlexTok's
are those of an independent re-evaluation, since its paper reports 32 tokens. Weights are fetched by
`hub`, or named by the user; none of them comes with titokzip.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

APACHE: Final = "Apache-2.0"
AMLR: Final = "apple-amlr, research only"
LICENCE_PAGES: Final = {
    APACHE: "https://www.apache.org/licenses/LICENSE-2.0",
    AMLR: "https://github.com/apple/ml-flextok/blob/main/LICENSE_WEIGHTS",
}
NAME_BYTES: Final = 2  # of a fingerprint, that tell a release


@dataclass(frozen=True)
class Release:
    """One released model."""

    name: str  # as users type it
    family: str  # "titok" or "flextok": how its weights are read
    architecture: str  # its name among the `RELEASED` of that family
    repository: str  # on the hub
    tokens: int  # L, a tile
    vocabulary: int  # K
    parameters: int
    rfid: float | None  # None: not published
    licence: str = APACHE

    @property
    def prefix(self) -> bytes:
        """How the fingerprint of every checkpoint of this release begins."""
        return hashlib.sha256(f"titokzip release {self.name}".encode()).digest()[:NAME_BYTES]

    @property
    def notice(self) -> str | None:
        """What its users must know of its licence, if that allows less than ours."""
        if self.licence == APACHE:
            return None
        page = LICENCE_PAGES[self.licence]
        return (
            f"{self.name}: these weights are licensed for research purposes only ({self.licence});"
            f" whoever uses them accepts {page}"
        )


@dataclass(frozen=True)
class Golden:
    """A picture whose tokens the authors printed."""

    picture: str
    sha256: str  # of the picture's file
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


def _by_name(*releases: Release) -> dict[str, Release]:
    return {release.name: release for release in releases}


def _titok(name: str, tokens: int, parameters: int, rfid: float, suffix: str = "") -> Release:
    architecture = name.replace("-", "_") + suffix
    repository = f"yucornetto/tokenizer_{architecture}_imagenet"
    vocabulary = 8192 if suffix else 4096
    return Release(name, "titok", architecture, repository, tokens, vocabulary, parameters, rfid)


def _tatitok(name: str, tokens: int, parameters: int, rfid: float) -> Release:
    architecture = name.replace("-", "_") + "_vq"
    repository = f"turkeyju/tokenizer_{architecture}"
    return Release(name, "titok", architecture, repository, tokens, 8192, parameters, rfid)


def _one_d_piece(size: str, parameters: int, rfid: float) -> Release:
    repository = f"turing-motors/One-D-Piece-{size.upper()}-256"
    architecture = f"one_d_piece_{size}256"
    name = f"one-d-piece-{size}-256"
    return Release(name, "titok", architecture, repository, 256, 4096, parameters, rfid)


def _flextok(name: str, data: str, parameters: int, rfid: float | None) -> Release:
    architecture = f"{name.removesuffix('-dfn').replace('-', '_')}_{data}"
    repository = f"EPFL-VILAB/{architecture}"
    return Release(name, "flextok", architecture, repository, 256, 64000, parameters, rfid, AMLR)


RELEASES: Final[dict[str, Release]] = _by_name(
    _titok("titok-l32", 32, 641_054_735, 2.21),
    _titok("titok-b64", 64, 204_814_095, 1.70),
    _titok("titok-s128", 128, 83_674_639, 1.71),
    _titok("titok-bl64", 64, 390_016_148, 2.06, "_vq8k"),
    _titok("titok-bl128", 128, 390_179_988, 1.49, "_vq8k"),
    _titok("titok-sl256", 256, 330_260_884, 1.03, "_vq8k"),
    _tatitok("tatitok-bl32", 32, 390_800_532, 3.95),
    _tatitok("tatitok-bl64", 64, 390_882_452, 2.43),
    _tatitok("tatitok-bl128", 128, 391_046_292, 1.53),
    _one_d_piece("s", 83_871_247, 1.48),
    _one_d_piece("b", 205_256_463, 1.11),
    _one_d_piece("l", 641_742_863, 1.08),
    _flextok("flextok-d12-d12", "in1k", 341_700_000, 3.18),
    _flextok("flextok-d18-d18", "in1k", 949_700_000, 1.18),
    _flextok("flextok-d18-d28", "in1k", 2_540_900_000, 1.05),
    _flextok("flextok-d18-d28-dfn", "dfn", 2_540_900_000, None),
)

# The tensors that give tokens their meaning. What is painted from them may get better.
MEANING: Final[Mapping[str, tuple[str, ...]]] = {
    "titok": ("quantize.embedding.weight",),
    "flextok": (  # its code has no parameters, so the maps into it and out of it
        "encoder.module_dict.enc_to_latents.proj.weight",
        "encoder.module_dict.enc_to_latents.proj.bias",
        "decoder.module_dict.dec_from_latents.proj.weight",
        "decoder.module_dict.dec_from_latents.proj.bias",
    ),
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
