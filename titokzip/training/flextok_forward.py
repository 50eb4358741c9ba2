"""FlexTok as training runs it: every image at a time of its own, and tokens with gradients.

B images, C channels of a latent, P patches, L registers, n numbers of a code, D width.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from titokzip.tokenizers.flextok.fsq import FSQ
from titokzip.tokenizers.flextok.transformer import (
    Decoder,
    Encoder,
    TimedBlock,
    patchify,
    unpatchify,
)

_SLACK = 1e-3  # as in FSQ
_FREQUENCIES, _SLOWEST, _FASTEST = 128, 256, 1000  # as in the decoder


class Velocity(NamedTuple):
    """What the decoder predicts."""

    latents: Tensor  # float32 [B, C, h, w]
    patches: Tensor | None  # [B, P, D] after the block that was asked for


def rounded(fsq: FSQ, codes: Tensor) -> Tensor:
    """Round codes [B, L, n] to those that tokens stand for, straight through, in float32."""
    found: Tensor
    with torch.autocast(codes.device.type, enabled=False):
        levels = torch.tensor(fsq.levels, device=codes.device)
        half = (levels - 1) * (1 + _SLACK) / 2
        offset = torch.where(levels % 2 == 0, 0.5, 0.0)
        shift = (offset / half).atanh()
        bounded = (codes.float() + shift).tanh() * half - offset
        whole = bounded + (bounded.round() - bounded).detach()
        found = whole / (levels // 2)
    return found


def registers(
    decoder: Decoder, codes: Tensor, kept: Tensor | None = None, dropped: Tensor | None = None
) -> Tensor:
    """Embed codes [B, L, n] as registers [B, L, D].

    Those from number `kept` [B] on are masked; all of an image that is `dropped` [B] say nothing.
    """
    values: Tensor = decoder.embed(codes) + decoder.positions[0, 0].mT
    at = torch.arange(codes.shape[1], device=codes.device)
    if kept is not None:
        values = torch.where((at < kept[:, None])[..., None], values, decoder.mask_token)
    if dropped is not None:
        values = torch.where(dropped[:, None, None], decoder.null_condition, values)
    return values


def velocity(
    decoder: Decoder,
    latents: Tensor,
    condition: Tensor,
    times: Tensor,
    max_timestep: float = 1.0,
    tap: int | None = None,
) -> Velocity:
    """Predict the velocity of latents [B, C, h, w] at times [B], told registers [B, L, D]."""
    timestep = _embedded(decoder, times, max_timestep)
    grid = decoder.patch_positions.shape[-1]
    patches = decoder.patches(patchify(latents, decoder.patch))
    x = torch.cat([patches + decoder.patch_positions.flatten(2).mT, condition], dim=1)
    p, tapped = patches.shape[1], None
    for number, block in enumerate(decoder.blocks):
        assert isinstance(block, TimedBlock), "a decoder is made of them"
        x = _block(block, x, p, timestep)
        if number == tap:
            tapped = x[:, :p]
    shift, scale = decoder.head.modulation(timestep)[:, None].chunk(2, dim=-1)
    numbers = decoder.head.project(_modulated(x[:, :p], shift, scale))
    return Velocity(unpatchify(numbers, grid, decoder.patch).float(), tapped)


def encode(encoder: Encoder, latents: Tensor) -> Tensor:
    """Encode latents [B, C, h, w] as codes [B, L, n], not yet rounded."""
    codes: Tensor = encoder(latents)
    return codes


def initialize(encoder: Encoder, decoder: Decoder) -> None:
    """Draw weights as the authors do: Xavier's, zeros where nothing is to happen at first."""
    with torch.no_grad():
        for part in (encoder, decoder):
            for name, module in part.named_modules():
                if isinstance(module, nn.Linear):
                    _initialize_linear(name, module)
        for table in (encoder.positions, decoder.patch_positions):
            table.copy_(sincos(table.shape[-1], table.shape[1]))
            table.requires_grad_(False)
        for learned in (
            encoder.registers,
            decoder.positions,
            decoder.mask_token,
            decoder.null_condition,
        ):
            nn.init.trunc_normal_(learned, std=0.02)


def sincos(side: int, width: int) -> Tensor:
    """Make fixed positions [1, D, side, side]: sines and cosines of the row, then the column."""
    frequencies = 1 / 10000 ** (torch.arange(width // 4) / (width // 4))
    angles = torch.arange(side)[:, None] * frequencies  # [side, D / 4]
    waves = torch.cat([angles.sin(), angles.cos()], dim=1)  # [side, D / 2]
    rows = waves[:, None].expand(-1, side, -1)
    columns = waves[None].expand(side, -1, -1)
    return torch.cat([rows, columns], dim=2).permute(2, 0, 1)[None]


def _initialize_linear(name: str, module: nn.Linear) -> None:
    if name.endswith(("modulation", "project")):
        nn.init.zeros_(module.weight)
    else:
        nn.init.xavier_uniform_(module.weight)
    if module.bias is not None:
        nn.init.zeros_(module.bias)


def _embedded(decoder: Decoder, times: Tensor, max_timestep: float) -> Tensor:
    """Embed times [B], [B, D]."""
    with torch.autocast(times.device.type, enabled=False):
        steps = torch.arange(_FREQUENCIES, device=times.device) / -_FREQUENCIES
        frequencies = (_FASTEST / max_timestep) * (math.log(_SLOWEST) * steps).exp()
        angles = times.float()[:, None] * frequencies
        waves = torch.cat([angles.cos(), angles.sin()], dim=1)
    embedded: Tensor = F.silu(decoder.timestep(waves))
    return embedded


def _block(block: TimedBlock, x: Tensor, p: int, timestep: Tensor) -> Tensor:
    """Run a block on x [B, T, D] of which the first p positions are patches."""
    told = block.modulation(timestep).view(len(x), 2, 6, 1, -1)
    counts = torch.tensor([p, x.shape[1] - p], device=x.device)
    each = told.transpose(1, 2).squeeze(3).repeat_interleave(counts, 2, output_size=x.shape[1])
    gate_1, gate_2, shift_1, scale_1, shift_2, scale_2 = each.unbind(1)  # each [B, T, D]
    x = x + gate_1 * block.attend(_modulated(x, shift_1, scale_1), None, slice(None))
    mixed: Tensor = x + gate_2 * block.mix(_modulated(x, shift_2, scale_2))
    return mixed


def _modulated(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:]) * (1 + scale) + shift
