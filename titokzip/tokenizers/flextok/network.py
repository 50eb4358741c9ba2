"""FlexTok: a picture as an ordered row of tokens (Bachmann et al. 2025, arXiv:2502.13967).

An autoencoder turns pixels into cells. A transformer reads them together with L registers and keeps
only the registers; each becomes a token by rounding a few numbers. Any prefix of the tokens is a
picture: a second transformer reads it and moves noise, step by step, to cells that could have been
the picture's (a rectified flow), and the autoencoder paints them. What the tokens leave open is
invented, by noise that is drawn from the tokens themselves.

    pixels [B, 3, S, S] ─ encode ─▶ tokens [B, L] ─ decode ─▶ features ─ paint ─▶ pixels

B pictures, S the side of a tile, L tokens, k of them kept, C channels of a cell.
"""

from typing import Self

import torch
from torch import Tensor, nn

from titokzip.tokenizers.flextok import flow
from titokzip.tokenizers.flextok.autoencoder import AutoencoderKL
from titokzip.tokenizers.flextok.config import AutoencoderConfig, FlexTokConfig
from titokzip.tokenizers.flextok.fsq import FSQ
from titokzip.tokenizers.flextok.scripted import ScriptedAutoencoder
from titokzip.tokenizers.flextok.transformer import Decoder, Encoder, Moment


class FlexTok(nn.Module):
    """A `Tokenizer`: tiles of S pixels square to L tokens, and back from any prefix of them.

    Painting is slow, and the attributes set how slow. Each of `steps` runs the decoder over the
    patches and the k tokens kept, P + k + 1 positions; and with guidance, which is any but 1, over
    P + 1 more. `guidance` is how strongly the tokens are followed, and `projected` how that is
    kept from oversaturating. The defaults are those that the authors advise.

    `halo` is how many cells around a tile are painted with it. The autoencoder's convolutions reach
    18; with random weights, what is past 6 changes a tile's border no more than its middle, by 3 %
    of the contrast, through norms and attention over all that is painted at once.
    """

    prefix_decodable = True
    overlap = 0  # tiles are coded edge to edge
    halo = 8

    steps: int = 20
    guidance: float = 7.5
    projected: bool = True  # adaptive projected guidance; else plain classifier-free guidance

    def __init__(
        self, config: FlexTokConfig, autoencoder: ScriptedAutoencoder | None = None
    ) -> None:
        super().__init__()
        self.config = config
        self.size = config.size
        self.length = config.length
        self.quantizer = FSQ(config.levels)
        self.vocabulary = self.quantizer.vocabulary
        shape = (
            config.autoencoder.channels,
            config.cells // config.patch,
            config.patch,
            config.length,
            len(config.levels),
        )
        self.autoencoder: AutoencoderKL | ScriptedAutoencoder
        if isinstance(config.autoencoder, AutoencoderConfig):
            self.autoencoder = AutoencoderKL(config.autoencoder)
        else:
            self.autoencoder = autoencoder or ScriptedAutoencoder()
        self.encoder = Encoder(config.encoder, *shape)
        self.decoder = Decoder(config.decoder, *shape)

    def encode(self, pixels: Tensor) -> Tensor:
        """Tokenize pixels [B, 3, S, S] in 0..1 as int32 [B, L] in 0..vocabulary-1.

        The official code draws the autoencoder's cells at random around their most likely values;
        here they are those values.

        Raises:
            ValueError: the tiles have another shape.
        """
        if pixels.shape[1:] != (3, self.size, self.size):
            wanted = f"[B, 3, {self.size}, {self.size}]"
            raise ValueError(f"pixels must be {wanted}, not {list(pixels.shape)}")
        cells = self.autoencoder.encode((2 * pixels - 1).to(self.encoder.registers.dtype))
        return self.quantizer(self.encoder(cells * self.config.scaling))

    def decode_features(self, tokens: Tensor) -> Tensor:
        """Sample cells float32 [B, C, S / 8, S / 8] that tokens [B, k], 1 <= k <= L, stand for.

        Raises:
            ValueError: the tokens have another shape or are out of range, or `steps` is below 1.
        """
        if tokens.ndim != 2 or not 1 <= tokens.shape[1] <= self.length:
            raise ValueError(f"tokens must be [B, 1..{self.length}], not {list(tokens.shape)}")
        if tokens.numel() and not 0 <= int(tokens.min()) <= int(tokens.max()) < self.vocabulary:
            raise ValueError(f"tokens must be in 0..{self.vocabulary - 1}")
        side = self.config.cells
        start = flow.noise(tokens, (self.config.autoencoder.channels, side, side))
        return self.sample(tokens, start.to(tokens.device))

    def sample(self, tokens: Tensor, start: Tensor) -> Tensor:
        """Sample cells [B, C, h, w] from noise of that shape, as `decode` does from its own."""
        known = self.decoder.known(self.quantizer.lookup(tokens))
        unknown = self.decoder.unknown(len(tokens))
        project = flow.ProjectedGuidance() if self.projected else flow.classifier_free

        def velocity(cells: Tensor, moment: Moment) -> Tensor:
            told: Tensor = self.decoder(cells, known, moment)
            if self.guidance == 1:
                return told
            return project(told, self.decoder(cells, unknown, moment), self.guidance)

        times = flow.times(self.steps).to(start.device)
        return flow.integrate(
            velocity, start, self.decoder.moments(times, self.config.max_timestep)
        )

    def decode_pixels(self, features: Tensor) -> Tensor:
        """Paint features [B, C, h, w], of one tile or of many side by side, as [B, 3, H, W].

        The pixels are about 0..1 and not clamped.
        """
        cells = (features / self.config.scaling).to(self.autoencoder.dtype)
        return self.autoencoder.decode(cells).float() / 2 + 0.5

    def set_decoder_dtype(self, dtype: torch.dtype) -> Self:
        """Convert all that comes after the tokens, in place; tokens are the same as ever.

        Cells and pixels come in float32 whatever it is.
        """
        self.decoder.to(dtype)
        self.autoencoder.set_decoder_dtype(dtype)
        return self
