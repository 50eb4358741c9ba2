"""FlexTok: an image as an ordered row of tokens (Bachmann et al. 2025, arXiv:2502.13967).

An autoencoder encodes pixels to latents. A transformer reads them together with L registers and
keeps only the registers; rounding a few numbers of each gives a token. Any prefix of the tokens
decodes: a second transformer, conditioned on it, moves noise step by step to latents that could
have been the image's (a rectified flow), and the autoencoder decodes those. What the tokens leave
open is invented, from noise that is drawn from the tokens themselves.

    pixels [B, 3, S, S] ─ encode ─▶ tokens [B, L] ─ decode_features ─▶ latents [B, C, h, h]
    latents [B, C, h, w] ─ decode_pixels ─▶ pixels [B, 3, H, W]

B images, S side of a tile, L tokens, k of them kept, C channels of a latent.
"""

from typing import Self

import torch
from torch import Tensor, nn

from titokzip.tokenizers.flextok import flow
from titokzip.tokenizers.flextok.autoencoder import AutoencoderKL
from titokzip.tokenizers.flextok.config import AutoencoderConfig, FlexTokConfig
from titokzip.tokenizers.flextok.fsq import FSQ
from titokzip.tokenizers.flextok.scripted import ScriptedAutoencoder
from titokzip.tokenizers.flextok.transformer import Decoder, Encoder, Modulation
from titokzip.tokenizers.protocol import check_pixels, check_tokens


class FlexTok(nn.Module):
    """A `Tokenizer`: tiles of S pixels square to L tokens, and back from any prefix of them.

    Decoding is slow, and the attributes set how slow. Each of `steps` runs the decoder over the
    patches and the k tokens kept, P + k + 1 positions; and with guidance, which is any but 1, over
    P + 1 more. `guidance` is how strongly the tokens are followed, and `projected` whether that is
    kept from oversaturating. The defaults are those that the authors advise.

    `halo` is how many latents around a tile are decoded with it. The autoencoder's convolutions
    reach 18. With random weights, latents past 6 change a tile's border no more than its middle, by
    3 % of the contrast, through norms and attention over all that is decoded at once.
    """

    prefix_decodable = True
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
            config.side // config.patch,
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
        """Tokenize pixels [B, 3, S, S] in 0..1 as int32 [B, L] in 0..K-1.

        The official code draws the autoencoder's latents at random around their most likely
        values; here they are those values.

        Raises:
            ValueError: the tiles have another shape.
        """
        check_pixels(pixels, self.size)
        latents = self.autoencoder.encode((2 * pixels - 1).to(self.encoder.registers.dtype))
        return self.quantizer(self.encoder(latents * self.config.scaling))

    def decode_features(self, tokens: Tensor) -> Tensor:
        """Sample latents float32 [B, C, S / 8, S / 8] that tokens [B, k], 1 <= k <= L, stand for.

        Raises:
            ValueError: the tokens have another shape, tokens on the CPU are not all in 0..K-1, or
                `steps` is below 1.
        """
        check_tokens(tokens, self)
        side = self.config.side
        start = flow.noise(tokens, (self.config.autoencoder.channels, side, side))
        return self.sample(tokens, start)

    def sample(self, tokens: Tensor, start: Tensor) -> Tensor:
        """Sample latents [B, C, h, w] from noise `start` of that shape."""
        device = self.decoder.mask_token.device
        conditional = self.decoder.conditional(self.quantizer.look_up(tokens.to(device)))
        unconditional = self.decoder.unconditional(len(tokens))
        guide = flow.ProjectedGuidance() if self.projected else flow.classifier_free

        def velocity(latents: Tensor, modulation: Modulation) -> Tensor:
            followed: Tensor = self.decoder(latents, conditional, modulation)
            if self.guidance == 1:
                return followed
            free: Tensor = self.decoder(latents, unconditional, modulation)
            return guide(followed, free, self.guidance)

        times = flow.times(self.steps).to(device)
        modulations = self.decoder.modulations(times, self.config.max_timestep)
        return flow.integrate(velocity, start.to(device), modulations)

    def decode_pixels(self, features: Tensor) -> Tensor:
        """Decode latents [B, C, h, w], of one tile or of many side by side, to [B, 3, H, W].

        The pixels are about 0..1 and not clamped.
        """
        latents = (features / self.config.scaling).to(self.autoencoder.dtype)
        return self.autoencoder.decode(latents).float() / 2 + 0.5

    def set_decoder_dtype(self, dtype: torch.dtype) -> Self:
        """Convert all that comes after the tokens, in place; tokens stay the same.

        Latents and pixels are float32 in either case.
        """
        self.decoder.to(dtype)
        self.autoencoder.set_decoder_dtype(dtype)
        return self
