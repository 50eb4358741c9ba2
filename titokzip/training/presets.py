"""What can be trained by name. A preset is a value: dataclasses.replace makes others of it."""

from dataclasses import dataclass

from titokzip.tokenizers.config import ViTConfig
from titokzip.tokenizers.embedded.network import SpectralConfig


@dataclass(frozen=True)
class Preset:
    """One model and how to train it."""

    model: SpectralConfig
    batch: int  # pictures a step
    muon: float  # peak learning rate of the matrices inside the transformers
    adam: float  # and of everything else


PRESETS = {
    # Seconds to minutes on a laptop: for tests and for trying the commands.
    "toy": Preset(
        SpectralConfig(
            encoder=ViTConfig(width=32, depth=1, heads=2),
            decoder=ViTConfig(width=32, depth=1, heads=2),
            size=64,
            length=16,
            frequencies=40,
            head=16,
        ),
        batch=8,
        muon=3e-3,
        adam=1e-3,
    ),
    # An hour or two on four CPU cores: what ships in weights/.
    "xs": Preset(
        SpectralConfig(decoder=ViTConfig(width=256, depth=6, heads=4)),
        batch=16,
        muon=3e-3,
        adam=1e-3,
    ),
    # Painted over the tokens of xs (--init), for the eye instead of for PSNR.
    "xs-vivid": Preset(
        SpectralConfig(decoder=ViTConfig(width=256, depth=6, heads=4), texture=32),
        batch=16,
        muon=2e-3,
        adam=7e-4,
    ),
    # Tens of minutes on an H100; not trained yet.
    "s": Preset(
        SpectralConfig(
            encoder=ViTConfig(width=384, depth=4, heads=6),
            decoder=ViTConfig(width=384, depth=8, heads=6),
            head=128,
        ),
        batch=128,
        muon=3e-3,
        adam=1e-3,
    ),
}
