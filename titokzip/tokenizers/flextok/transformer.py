"""FlexTok's two transformers: cells to registers, and registers to the way that noise must move.

Both run over patches of cells and registers side by side. Their norms have no weights and their
blocks no biases; queries and keys are normalized too.

B pictures, C channels of a cell, P patches, L registers, n numbers a code, T positions, D width.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from titokzip.tokenizers.config import ViTConfig

_FREQUENCIES = 128  # that a time is told in, from 1000 down
_SLOWEST = 256  # how many times slower the last of them is than the first
_ALL = slice(None)


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
        """Let the R positions `rows` read x [B, T, D].

        A mask [R, T] of truths says which; one of numbers [1, T] is added to what they score.
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
    """A block whose shifts, scales and gates are told by the time (DiT's adaLN-zero)."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__(config)
        self.modulation = nn.Linear(config.width, 2 * 6 * config.width)

    def forward(self, x: Tensor, mask: Tensor | None, rows: slice, modulation: Tensor) -> Tensor:
        """Compute positions `rows` from all of x [B, T, D], modulated by [6, T, D]."""
        gate_1, gate_2, shift_1, scale_1, shift_2, scale_2 = modulation
        seen = _modulated(x, shift_1, scale_1)
        x = x[:, rows] + gate_1[rows] * self.attend(seen, mask, rows)
        seen = _modulated(x, shift_2[rows], scale_2[rows])
        mixed: Tensor = x + gate_2[rows] * self.mix(seen)
        return mixed


class Encoder(nn.Module):
    """Cells to latents, one a register."""

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

    def forward(self, cells: Tensor) -> Tensor:
        """Encode cells [B, C, h, w] as latents [B, L, n].

        A patch reads all patches and no register, a register all patches and those registers up to
        itself: what it holds does not depend on the registers after it.
        """
        patches = self.embed(patchify(cells, self.patch)) + _places(self.positions)
        x = torch.cat([patches, self.registers.expand(len(cells), -1, -1)], dim=1)
        p, t = patches.shape[1], x.shape[1]
        mask = torch.ones(t, t, dtype=torch.bool, device=x.device).tril()
        mask[:, :p] = True
        *blocks, last = self.blocks
        for block in blocks:
            x = block(x, mask, _ALL)
        latents: Tensor = self.project(_norm(last(x, mask[p:], slice(p, None))))
        return latents


class Registers(NamedTuple):
    """What a picture is to be painted from: registers, equal ones among them said once."""

    values: Tensor  # [B, m, D]
    repeats: int  # registers that the last of them stands for


class Moment(NamedTuple):
    """What the network does differently at one time."""

    blocks: Tensor  # [depth, 2, 6, D] of patches, then of registers
    head: Tensor  # [2, D]


class Decoder(nn.Module):
    """Cells on their way from noise to a picture, and its registers, to the cells' velocity."""

    def __init__(
        self, config: ViTConfig, channels: int, grid: int, patch: int, length: int, numbers: int
    ) -> None:
        super().__init__()
        width = config.width
        self.patch = patch
        self.embed = nn.Linear(numbers, width)
        self.positions = nn.Parameter(torch.zeros(1, 1, width, length))
        self.missing = nn.Parameter(torch.zeros(width))  # a register left out of a prefix
        self.null = nn.Parameter(torch.zeros(width))  # any register of no picture in particular
        self.patches = nn.Linear(channels * patch**2, width)
        self.patch_positions = nn.Parameter(torch.zeros(1, width, grid, grid))
        self.time = nn.Sequential(
            nn.Linear(2 * _FREQUENCIES, width), nn.SiLU(), nn.Linear(width, width)
        )
        self.blocks = nn.ModuleList(TimedBlock(config) for _ in range(config.depth))
        self.head = Head(width, channels * patch**2)

    def known(self, codes: Tensor) -> Registers:
        """Embed codes [B, k, n]; registers left out have no position and are all the same."""
        b, k, _ = codes.shape
        rest = self.positions.shape[-1] - k
        values = self.embed(codes.to(self.missing.dtype)) + self.positions[0, :, :, :k].mT
        if not rest:
            return Registers(values, 1)
        return Registers(torch.cat([values, self.missing.expand(b, 1, -1)], dim=1), rest)

    def unknown(self, count: int) -> Registers:
        """Tell nothing about `count` pictures."""
        return Registers(self.null.expand(count, 1, -1), self.positions.shape[-1])

    def moments(self, times: Tensor, longest: float) -> list[Moment]:
        """Prepare for times [S] in 0..longest, which all pictures share."""
        frequencies = torch.arange(_FREQUENCIES, device=times.device) / -_FREQUENCIES
        frequencies = (1000 / longest) * (math.log(_SLOWEST) * frequencies).exp()
        angles = times[:, None] * frequencies
        told = torch.cat([angles.cos(), angles.sin()], dim=1).to(self.null.dtype)
        time = F.silu(self.time(told))
        told_blocks = [block.get_submodule("modulation")(time) for block in self.blocks]
        blocks = torch.stack(told_blocks, dim=1).view(len(times), len(self.blocks), 2, 6, -1)
        head = self.head.modulation(time).view(len(times), 2, -1)
        return [Moment(*pair) for pair in zip(blocks, head, strict=True)]

    def forward(self, cells: Tensor, registers: Registers, moment: Moment) -> Tensor:
        """Give the velocity float32 [B, C, h, w] of cells [B, C, h, w] at a moment."""
        grid = self.patch_positions.shape[-1]
        patches = self.patches(patchify(cells.to(self.null.dtype), self.patch))
        x = torch.cat([patches + _places(self.patch_positions), registers.values], dim=1)
        p, t = patches.shape[1], x.shape[1]
        mask, kinds = _counted(x, registers.repeats), torch.tensor([p, t - p], device=x.device)
        for i, (block, values) in enumerate(zip(self.blocks, moment.blocks, strict=True)):
            rows = slice(p) if i == len(self.blocks) - 1 else _ALL  # all that the head reads
            told = values.repeat_interleave(kinds, 0, output_size=t).transpose(0, 1)
            x = block(x, mask, rows, told)
        return unpatchify(self.head(x, moment.head), grid, self.patch).float()


class Head(nn.Module):
    """Positions to the numbers of their patches, told by the time like a block."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.modulation = nn.Linear(width, 2 * width)
        self.project = nn.Linear(width, outputs)

    def forward(self, x: Tensor, modulation: Tensor) -> Tensor:
        """Map x [B, P, D], modulated by [2, D], to [B, P, outputs]."""
        shift, scale = modulation
        numbers: Tensor = self.project(_modulated(x, shift, scale))
        return numbers


def patchify(cells: Tensor, patch: int) -> Tensor:
    """Cut cells [B, C, h, w] into patches [B, P, patch * patch * C], row by row."""
    b, c, h, w = cells.shape
    tiles = cells.reshape(b, c, h // patch, patch, w // patch, patch)
    return tiles.permute(0, 2, 4, 3, 5, 1).reshape(b, -1, patch**2 * c)


def unpatchify(patches: Tensor, grid: int, patch: int) -> Tensor:
    """Lay patches out `grid` a row as cells [B, C, h, w]; the inverse of `patchify`."""
    b, rows = len(patches), patches.shape[1] // grid
    tiles = patches.reshape(b, rows, grid, patch, patch, -1)
    return tiles.permute(0, 5, 1, 3, 2, 4).reshape(b, -1, rows * patch, grid * patch)


def _places(table: Tensor) -> Tensor:
    """Read a table [1, D, grid, grid] in the order of patches, [1, P, D]."""
    return table.flatten(2).mT


def _counted(x: Tensor, repeats: int) -> Tensor | None:
    """Make the last position of x [B, T, D] be read as if it were there `repeats` times.

    Equal positions that all others read alike stay equal through every block, so they need to be
    computed once; each weighs as much in a softmax, so the logarithm of their number is added.
    """
    if repeats == 1:
        return None
    bias = x.new_zeros(1, x.shape[1])
    bias[:, -1] = math.log(repeats)
    return bias


def _norm(x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:])


def _modulated(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    return _norm(x) * (1 + scale) + shift
