"""A FlexTok that is small and always the same: for tests of training, and for the script that runs
the official code beside ours (benchmarks/flextok_training.py)."""

import flextoks
import torch

from titokzip.training import flextok_forward

TAP = 0  # the block whose patches are compared
KEPT = torch.tensor([16, 5, 1, 8])
DROPPED = torch.tensor([False, False, False, True])
TIMES = torch.tensor([0.1, 0.9, 0.5, 0.7])


def latents(config=flextoks.TINY):
    """Make latents [4, C, h, w] and noise of that shape."""
    noise = flextoks.noise(8, config)
    return noise[:4] * 0.7, noise[4:].flip(2)


def run(model, config=flextoks.TINY):
    """Compute the loss of ours; it, the velocity and the patches that REPA would compare."""
    clean, noise = latents(config)
    codes = flextok_forward.rounded(model.quantizer, model.encoder(clean))
    condition = flextok_forward.registers(model.decoder, codes, KEPT, DROPPED)
    mixed = torch.lerp(clean, noise, TIMES[:, None, None, None])
    found = flextok_forward.velocity(
        model.decoder, mixed, condition, TIMES, config.max_timestep, TAP
    )
    return (found.latents - (noise - clean)).square().mean(), found


def model(config=flextoks.TINY):
    built = flextoks.build(config)
    for part in (built.encoder, built.decoder):
        part.requires_grad_(True)
    built.encoder.positions.requires_grad_(False)
    built.decoder.patch_positions.requires_grad_(False)
    return built
