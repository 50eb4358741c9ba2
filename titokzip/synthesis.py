"""New images from a generator: tokens are sampled, and written as .ttk files.

A generator makes the tokens of one tile. It can go on from the first tokens of a real image.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from titokzip import zoo
from titokzip.bitstream import container
from titokzip.codec import Codec
from titokzip.errors import FormatError, ModelError
from titokzip.generation import autoregressive, maskgit
from titokzip.generation.config import (
    GENERATOR_FAMILIES,
    AutoregressiveConfig,
    AutoregressiveSampling,
    MaskGITSampling,
)
from titokzip.generation.randomness import combine
from titokzip.layouts.tiles import Tiled

BATCH = 16  # images at once


@dataclass(frozen=True)
class Request:
    """What is to be generated."""

    count: int = 1
    label: int = -1  # number of a class; negative is none
    seed: int = 0
    known: tuple[int, ...] = ()  # first tokens
    tokens: int | None = None  # how many, of generators that go from first to last


def generator_of(tokenizer: zoo.Manifest) -> zoo.Manifest:
    """Find a generator for the tokens of a tokenizer.

    Raises:
        ModelError: none is here; if one can be fetched, the command is named.
    """
    here = [manifest for manifest in zoo.manifests() if manifest.kind in GENERATOR_FAMILIES]
    for manifest in here:
        if fits(manifest, tokenizer):
            return manifest
    for name, release in zoo.GENERATORS.items():
        if release.config.target.name == tokenizer.release:  # type: ignore[union-attr]
            raise ModelError(
                f"no generator for {tokenizer.name} is here; `titokzip models pull {name}` fetches"
                " the released one"
            )
    raise ModelError(f"no generator for {tokenizer.name} is here; `titokzip train` makes one")


def fits(generator: zoo.Manifest, tokenizer: zoo.Manifest) -> bool:
    """Tell whether a generator makes tokens of a tokenizer.

    Raises:
        ModelError: it is no generator.
    """
    if generator.kind not in GENERATOR_FAMILIES:
        raise ModelError(f"{generator.name}: a tokenizer, not a generator of tokens")
    target = zoo.release_of(generator).config.target  # type: ignore[union-attr]
    if target.fingerprint:
        return bool(target.fingerprint == tokenizer.fingerprint.hex())
    return bool(target.name) and target.name == tokenizer.release


class Synthesizer:
    """A tokenizer's codec and a generator for its tokens."""

    def __init__(self, codec: Codec, generator: Any) -> None:
        """Join them.

        Raises:
            ModelError: the generator makes other tokens, or the codec is no tokenizer of tiles.
        """
        if not isinstance(codec.layout, Tiled):
            raise ModelError(f"{codec.name}: no tokenizer of tiles; generators are for those")
        self.codec, self.layout, self.generator = codec, codec.layout, generator
        self.config, tokenizer = generator.config, codec.layout.tokenizer
        ours = (self.config.length, self.config.vocabulary)
        if ours != (tokenizer.length, tokenizer.vocabulary):
            raise ModelError(
                f"a generator of {ours[0]} tokens out of {ours[1]:,}, and a tokenizer of"
                f" {tokenizer.length} out of {tokenizer.vocabulary:,}"
            )

    def label(self, text: str) -> int:
        """Turn the number or the name of a class into its number.

        Raises:
            ValueError: there is no such class.
        """
        names: tuple[str, ...] = self.config.target.classes
        number = names.index(text) if text in names else int(text) if text.isdecimal() else -1
        if not 0 <= number < self.config.classes:
            known = f"; there is {', '.join(names[:10])}" if names else ""
            raise ValueError(f"no class {text!r} among {self.config.classes:,}{known}")
        return number

    def known(self, data: bytes, keep: int) -> tuple[int, ...]:
        """Take the first tokens of a .ttk file.

        Raises:
            FormatError: it was made by another model, or has more than one tile.
            ValueError: it has fewer tokens.
        """
        rows = self.codec.tokens(container.unpack(data))
        if len(rows) != 1:
            raise FormatError(f"it has {len(rows)} tiles; generators go on from one")
        if not 0 <= keep <= len(rows[0]):
            raise ValueError(f"it has {len(rows[0])} tokens, not {keep}")
        return tuple(rows[0][:keep].tolist())

    def generate(self, request: Request, **how: Any) -> Iterator[tuple[bytes, Image.Image]]:
        """Sample images; each as the bytes of a .ttk file, and decoded.

        `how` changes what the generator's settings of sampling say, where it is not None. An image
        depends on the seed and on its number, not on how many there are.

        Raises:
            ValueError: the settings are impossible.
        """
        wanted = {key: value for key, value in how.items() if value is not None}
        unknown = wanted.keys() - vars(self.config.sampling).keys()
        if unknown:
            raise ValueError(f"this generator has no {', '.join(sorted(unknown))}")
        settings = replace(self.config.sampling, **wanted)
        for start in range(0, request.count, BATCH):
            count = min(BATCH, request.count - start)
            seeds = [combine(request.seed, start + i) for i in range(count)]
            tokens = self._sample(request, torch.tensor(seeds), settings)
            yield from (self._written(row) for row in tokens.cpu().numpy().astype(np.int32))

    def _sample(
        self, request: Request, seeds: Tensor, how: MaskGITSampling | AutoregressiveSampling
    ) -> Tensor:
        device = self.layout.device
        labels = torch.full((len(seeds),), request.label, device=device)
        noise = maskgit.seeded(seeds.to(device))
        known = None
        if request.known:
            known = torch.tensor(request.known, device=device).expand(len(seeds), -1)
        if isinstance(how, MaskGITSampling):
            if request.tokens not in (None, self.config.length):
                raise ValueError(f"this generator makes {self.config.length} tokens at once")
            return maskgit.sample(self.generator, labels, how, noise, known)
        assert isinstance(self.config, AutoregressiveConfig), "there are two kinds"
        length = request.tokens or self.config.length
        if length > self.config.length:
            raise ValueError(f"this generator makes {self.config.length} tokens, not {length}")
        if length < self.config.length and not self.layout.tokenizer.prefix_decodable:
            raise ValueError(f"this tokenizer needs all of its {self.config.length} tokens")
        return autoregressive.sample(self.generator, labels, how, noise, known, length)

    def _written(self, row: Any) -> tuple[bytes, Image.Image]:
        data = self.layout.file_of(row)
        return data, self.codec.decompress(data)
