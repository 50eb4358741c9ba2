"""Generators that are small and always the same: for tests, and for the script that runs the
official code beside ours (benchmarks/maskgit_official.py)."""

import torch
from titoks import weight

from titokzip.generation import checkpoint
from titokzip.generation.autoregressive import Autoregressive
from titokzip.generation.config import AutoregressiveConfig, MaskGITConfig, MaskGITSampling
from titokzip.generation.maskgit import MaskGIT
from titokzip.generation.randomness import uniform

BERT = MaskGITConfig(
    length=16, codebook=32, classes=10, width=48, depth=2, heads=3, hidden=96, dropout=0.0
)
UVIT = MaskGITConfig(
    length=16, codebook=32, classes=10, kind="uvit", width=48, depth=4, heads=3, hidden=96
)
AUTOREGRESSIVE = AutoregressiveConfig(
    length=12, codebook=32, classes=10, width=48, depth=2, heads=3
)
# As published for TiTok-L-32, -B-64 and -S-128.
PUBLISHED = {
    "l32": MaskGITSampling(8, 9.5, 4.5, "linear"),
    "b64": MaskGITSampling(8, 11.0, 3.0, "linear"),
    "s128": MaskGITSampling(64, 2.8, 6.9, "power-cosine"),
}
LABELS = torch.tensor([3, 7, 0, 9, 1])


def weights(config):
    """Make released weights, whose logits are far enough apart to be sampled from."""
    with torch.device("meta"):
        model = MaskGIT(config)
    state = {}
    for name, tensor in model.state_dict().items():
        name = checkpoint.released_name(config.kind, name)
        state[name] = weight(name, tuple(tensor.shape))
        if "lm_head.weight" in name:
            state[name] *= 3
    return state


def maskgit(config):
    return checkpoint.maskgit(config, weights(config))


def autoregressive(config=AUTOREGRESSIVE):
    model = Autoregressive(config)
    state = {n: weight(f"ar.{n}", tuple(t.shape)) for n, t in model.state_dict().items()}
    return checkpoint.autoregressive(config, state)


COUNT = len(LABELS)


def tokens(config, count=COUNT):
    """Make tokens, a third of them masked."""
    drawn = (uniform(torch.arange(count), 1, (config.length,)) * config.codebook).long()
    masked = uniform(torch.arange(count), 2, (config.length,)) < 1 / 3
    return torch.where(masked, config.mask, drawn)


class Noise:
    """The same noise for every call of the same number, whoever asks."""

    def __init__(self, count=COUNT):
        self.seeds, self.calls = torch.arange(count) + 100, 0

    def __call__(self, shape):
        self.calls += 1
        return uniform(self.seeds, self.calls, shape)
