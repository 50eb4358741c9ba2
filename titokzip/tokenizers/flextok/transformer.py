"""FlexTok's two transformers: latents to register codes, and registers to a velocity of latents.

Both run over patches of latents and registers side by side. Their norms have no weights and their
blocks no biases; queries and keys are normalized too.

B images, C channels of a latent, P patches, L registers, n numbers of a code, T positions, D width.
"""

import math
from typing import Final, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from titokzip.tokenizers.config import ViTConfig
from titokzip.tokenizers.layers import ALL

_FREQUENCIES: Final = 128  # that a timestep is embedded in
_SLOWEST: Final = 256  # how many times slower the last of them is than the first


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scale: float) -> Tensor:
    """Softmax attention; a mask of truths says what is read, one of numbers is added to scores."""
    if not (q.requires_grad and q.device.type == "cpu"):
        return F.scaled_dot_product_attention(q, k, v, mask, scale=scale)
    # Learning on a CPU, plain matrix products are twice as fast as the fused kernel.
    scores = (q * scale) @ k.mT
    if mask is not None:
        scores = (
            scores.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else scores + mask
        )
    return scores.softmax(-1) @ v


class Layer(nn.Module):
    """What all blocks have: attention, and a gated map of every position (SwiGLU)."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        width, hidden = config.width, 8 * config.width // 3
        self.heads = config.heads
        self.q = nn.Linear(width, width, bias=False)
        self.k = nn.Linear(width, width, bias=False)
        self.v = nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.gate = nn.Linear(width, hidden, bias=False)
        self.value = nn.Linear(width, hidden, bias=False)
        self.contract = nn.Linear(hidden, width, bias=False)

    def attend(self, x: Tensor, mask: Tensor | None, rows: slice) -> Tensor:
        """Let the R positions `rows` attend to x [B, T, D].

        A mask [R, T] of booleans says to which; one of numbers [1, T] is added to the scores.
        """
        q, k, v = (
            y.unflatten(2, (self.heads, -1)).transpose(1, 2)
            for y in (self.q(x[:, rows]), self.k(x), self.v(x))
        )
        scale = 8 / q.shape[-1]  # of muP; the usual one where heads have 64 numbers
        mixed = attention(_norm(q), _norm(k), v, mask, scale)
        attended: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return attended

    def mix(self, x: Tensor) -> Tensor:
        """Map every position of x [B, R, D]."""
        mixed: Tensor = self.contract(F.silu(self.gate(x)) * self.value(x))
        return mixed


class Block(Layer):
    """A pre-norm block."""

    def forward(self, x: Tensor, mask: Tensor, rows: slice) -> Tensor:
        """Compute positions `rows` from all of x [B, T, D]."""
        x = x[:, rows] + self.attend(_norm(x), mask, rows)
        mixed: Tensor = x + self.mix(_norm(x))
        return mixed


class TimedBlock(Layer):
    """A block whose shifts, scales and gates depend on the timestep (DiT's adaLN-zero)."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__(config)
        self.modulation = nn.Linear(config.width, 2 * 6 * config.width)

    def forward(self, x: Tensor, mask: Tensor | None, rows: slice, modulation: Tensor) -> Tensor:
        """Compute positions `rows` from all of x [B, T, D], modulated by [6, T, D]."""
        gate_1, gate_2, shift_1, scale_1, shift_2, scale_2 = modulation
        normed = _modulated(x, shift_1, scale_1)
        x = x[:, rows] + gate_1[rows] * self.attend(normed, mask, rows)
        normed = _modulated(x, shift_2[rows], scale_2[rows])
        mixed: Tensor = x + gate_2[rows] * self.mix(normed)
        return mixed


class Encoder(nn.Module):
    """Latents to register codes."""

    def __init__(
        self, config: ViTConfig, channels: int, grid: int, patch: int, length: int, numbers: int
    ) -> None:
        super().__init__()
        self.patch = patch
        self.embed = nn.Linear(channels * patch**2, config.width)
        self.positions = nn.Parameter(torch.zeros(1, config.width, grid, grid))
        self.registers = nn.Parameter(torch.zeros(length, config.width))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.project = nn.Linear(config.width, numbers)

    def forward(self, latents: Tensor) -> Tensor:
        """Encode latents [B, C, h, w] as register codes [B, L, n], not yet rounded.

        A patch attends to all patches and no register, a register to all patches and to the
        registers up to itself: its code does not depend on the registers after it.
        """
        patches = self.embed(patchify(latents, self.patch)) + _in_rows(self.positions)
        x = torch.cat([patches, self.registers.expand(len(latents), -1, -1)], dim=1)
        p, t = patches.shape[1], x.shape[1]
        mask = torch.ones(t, t, dtype=torch.bool, device=x.device).tril()
        mask[:, :p] = True
        *blocks, last = self.blocks
        for block in blocks:
            x = block(x, mask, ALL)
        codes: Tensor = self.project(_norm(last(x, mask[p:], slice(p, None))))
        return codes


class Registers(NamedTuple):
    """The condition of the decoder: registers, of which the last may stand for many equal ones."""

    values: Tensor  # [B, m, D]
    repeats: int  # registers that the last of them stands for


class Modulation(NamedTuple):
    """What the decoder's blocks and head are modulated by at one timestep."""

    blocks: Tensor  # [depth, 2, 6, D] of patches, then of registers
    head: Tensor  # [2, D]


class Decoder(nn.Module):
    """Latents on their way from noise to an image, and a condition, to the latents' velocity."""

    def __init__(
        self, config: ViTConfig, channels: int, grid: int, patch: int, length: int, numbers: int
    ) -> None:
        super().__init__()
        width = config.width
        self.patch = patch
        self.embed = nn.Linear(numbers, width)
        self.positions = nn.Parameter(torch.zeros(1, 1, width, length))
        self.mask_token = nn.Parameter(torch.zeros(width))  # a register left out of a prefix
        self.null_condition = nn.Parameter(torch.zeros(width))  # any register, unconditionally
        self.patches = nn.Linear(channels * patch**2, width)
        self.patch_positions = nn.Parameter(torch.zeros(1, width, grid, grid))
        self.timestep = nn.Sequential(
            nn.Linear(2 * _FREQUENCIES, width), nn.SiLU(), nn.Linear(width, width)
        )
        self.blocks = nn.ModuleList(TimedBlock(config) for _ in range(config.depth))
        self.head = Head(width, channels * patch**2)

    def conditional(self, codes: Tensor) -> Registers:
        """Embed codes [B, k, n]; registers left out have no position and are all the same."""
        b, k, _ = codes.shape
        rest = self.positions.shape[-1] - k
        values = self.embed(codes.to(self.mask_token.dtype)) + self.positions[0, :, :, :k].mT
        if not rest:
            return Registers(values, 1)
        return Registers(torch.cat([values, self.mask_token.expand(b, 1, -1)], dim=1), rest)

    def unconditional(self, count: int) -> Registers:
        """Return the null condition of `count` images."""
        return Registers(self.null_condition.expand(count, 1, -1), self.positions.shape[-1])

    def modulations(self, times: Tensor, max_timestep: float) -> list[Modulation]:
        """Compute the modulation at each of the times [S] in 0..max_timestep, for all images."""
        frequencies = torch.arange(_FREQUENCIES, device=times.device) / -_FREQUENCIES
        frequencies = (1000 / max_timestep) * (math.log(_SLOWEST) * frequencies).exp()
        angles = times[:, None] * frequencies
        waves = torch.cat([angles.cos(), angles.sin()], dim=1).to(self.null_condition.dtype)
        timestep = F.silu(self.timestep(waves))
        per_block = [block.get_submodule("modulation")(timestep) for block in self.blocks]
        blocks = torch.stack(per_block, dim=1).view(len(times), len(self.blocks), 2, 6, -1)
        head = self.head.modulation(timestep).view(len(times), 2, -1)
        return [Modulation(*pair) for pair in zip(blocks, head, strict=True)]

    def forward(self, latents: Tensor, registers: Registers, modulation: Modulation) -> Tensor:
        """Predict the velocity float32 [B, C, h, w] of latents [B, C, h, w] at a timestep."""
        grid = self.patch_positions.shape[-1]
        patches = self.patches(patchify(latents.to(self.null_condition.dtype), self.patch))
        x = torch.cat([patches + _in_rows(self.patch_positions), registers.values], dim=1)
        p, t = patches.shape[1], x.shape[1]
        mask = _repeat_bias(x, registers.repeats)
        for i, block in enumerate(self.blocks):
            of_patches, of_registers = modulation.blocks[i]
            rows = slice(p) if i == len(self.blocks) - 1 else ALL  # all that the head reads
            per_position = torch.cat([_repeated(of_patches, p), _repeated(of_registers, t - p)], 1)
            x = block(x, mask, rows, per_position)
        return unpatchify(self.head(x, modulation.head), grid, self.patch).float()


class Head(nn.Module):
    """Positions to the numbers of their patches, modulated by the timestep like a block."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.modulation = nn.Linear(width, 2 * width)
        self.project = nn.Linear(width, outputs)

    def forward(self, x: Tensor, modulation: Tensor) -> Tensor:
        """Map x [B, P, D], modulated by [2, D], to [B, P, outputs]."""
        shift, scale = modulation
        numbers: Tensor = self.project(_modulated(x, shift, scale))
        return numbers


def patchify(latents: Tensor, patch: int) -> Tensor:
    """Cut latents [B, C, h, w] into patches [B, P, patch * patch * C], row by row."""
    b, c, h, w = latents.shape
    tiles = latents.reshape(b, c, h // patch, patch, w // patch, patch)
    return tiles.permute(0, 2, 4, 3, 5, 1).reshape(b, -1, patch**2 * c)


def unpatchify(patches: Tensor, grid: int, patch: int) -> Tensor:
    """Lay patches out `grid` per row as latents [B, C, h, w]; the inverse of `patchify`."""
    b, rows = len(patches), patches.shape[1] // grid
    tiles = patches.reshape(b, rows, grid, patch, patch, -1)
    return tiles.permute(0, 5, 1, 3, 2, 4).reshape(b, -1, rows * patch, grid * patch)


def _in_rows(table: Tensor) -> Tensor:
    """Read a table [1, D, grid, grid] in the order of patches, [1, P, D]."""
    return table.flatten(2).mT


def _repeat_bias(x: Tensor, repeats: int) -> Tensor | None:
    """Make the last position of x [B, T, D] weigh in attention as if it were there `repeats` times.

    Equal positions that all others attend to alike stay equal through every block, so one of them
    is computed. Each weighs as much in a softmax, so its score is raised by the logarithm of their
    number.
    """
    if repeats == 1:
        return None
    bias = x.new_zeros(1, x.shape[1])
    bias[:, -1] = math.log(repeats)
    return bias


def _repeated(modulation: Tensor, count: int) -> Tensor:
    """Repeat a modulation [6, D] for every position, [6, count, D]."""
    return modulation[:, None].expand(-1, count, -1)


def _norm(x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:])


def _modulated(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    return _norm(x) * (1 + scale) + shift
