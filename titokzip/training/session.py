"""One training in memory: a model, its optimizer, its data, its judges, and a step."""

import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from titokzip.errors import ModelError
from titokzip.runtime import matmul_peak
from titokzip.tokenizers.embedded.network import Spectral
from titokzip.training import parallel
from titokzip.training.data import Photos, Sampler, centre_tiles
from titokzip.training.discriminator import Critic
from titokzip.training.objective import (
    Features,
    StraightThrough,
    draw_lengths,
    grid_loss,
    perceptual_loss,
    phase_loss,
    pixel_loss,
    price,
)
from titokzip.training.optimizer import Optimizer
from titokzip.training.presets import Preset
from titokzip.training.tiled_crops import GridSampler, in_grids, stitch

SAMPLED = 256  # tiles that tell how large coefficients are
WATCHED = 32  # photos held out that an evaluation looks at
WINDOW = 128  # side of the part of a tile that is judged: a quarter of the work
PERCEPTUAL_WEIGHT = 2.0  # of what a teacher sees, beside an error in dB
ADVERSARIAL_WEIGHT = 0.5  # of what a critic thinks of it
GRID_WEIGHT = 0.3  # of detail that repeats from patch to patch
PHASE_WEIGHT = 10.0  # of steps where patches and cells meet
_UNREADABLE = (  # what torch raises over a file that is cut, or that another program wrote
    RuntimeError, EOFError, pickle.UnpicklingError, LookupError, TypeError, ValueError,
    AttributeError,
)  # fmt: skip


class Run:
    """One training, in memory: the model, its optimizer, its data, and how far it has come."""

    def __init__(
        self,
        model: Spectral,
        preset: Preset,
        photos: Photos,
        device: torch.device,
        teacher: Features | None = None,
        adversarial: bool = False,  # a critic learns from what the teacher sees
        reading: bool = False,  # train the encoder too: tokens change, and so do their tables
        stitched: bool = False,  # half of the tiles lie in grids, judged as pictures
        compiled: bool = False,  # by torch.compile: a minute at the start, faster after it
        seed: int = 0,
    ) -> None:
        self.preset, self.device, self.teacher, self.reading = preset, device, teacher, reading
        self.stitched = stitched
        self.model = model.to(device)
        parallel.share(model.state_dict().values())
        if model.reader is not None:
            model.reader.requires_grad_(reading)
            model.reader_end.requires_grad_(reading)
        elif reading:
            raise ValueError("this model has no encoder to train")
        if model.painter_end.texture is not None:  # what repeats every eight pixels learns no more
            model.painter_end.paint.requires_grad_(False)
        self.validation = centre_tiles(photos.validation[:WATCHED], model.size)
        self.optimizer = Optimizer(model, preset.muon, preset.adam)
        in_bfloat16(model)
        typical = Sampler(photos.training, model.size, model.overlap, seed).batch(SAMPLED)
        if compiled:
            model.painter.compile()
            model.painter_end.compile()
        training = [photo.to(device) for photo in photos.training]
        seed += 1_000_003 * parallel.rank()
        draw = GridSampler if stitched else Sampler
        self.sampler = draw(training, model.size, model.overlap, seed)
        self.objective = StraightThrough(model, typical.to(device)).to(device)
        self.critic: Critic | None = None
        if adversarial:
            if teacher is None:
                raise ValueError("a critic judges by what a teacher sees; there is no teacher")
            self.critic = Critic(teacher(typical[:WATCHED].to(device))).to(device)
            parallel.share(self.critic.state_dict().values())
        # After the last batch learnt from; others are drawn ahead.
        self.drawn = self.sampler.state()
        self.random = torch.Generator().manual_seed(seed)
        self.seconds, self.pictures, self.loss = 0.0, 0, 0.0

    def step(self, tiles: Tensor, progress: float) -> Tensor:
        """Learn from tiles [B, 3, S, S]; the loss, not waited for."""
        lengths = draw_lengths(len(tiles), self.model.length, self.random).to(self.device)
        if self.stitched:  # tiles of a picture have as many tokens
            lying = in_grids(len(tiles))
            chosen = torch.randint(len(tiles), (lying // 4,), generator=self.random)
            lengths[-lying:] = lengths[chosen].repeat_interleave(4)
        painted, bits = self.objective(tiles, lengths)
        ours, theirs = self._pictures(painted), self._pictures(tiles)
        loss = torch.stack(list(map(pixel_loss, ours, theirs))).mean()
        if self.reading:
            loss = loss + price(bits)
        seen, wanted = self._seen(ours, theirs)
        if self.teacher is not None:
            loss = loss + PERCEPTUAL_WEIGHT * perceptual_loss(seen, wanted)
        if self.critic is not None:
            loss = loss - ADVERSARIAL_WEIGHT * self.critic.realism(seen)
            for pixels in ours:
                loss = loss + GRID_WEIGHT / len(ours) * grid_loss(pixels, self.model.config.patch)
                loss = loss + PHASE_WEIGHT / len(ours) * phase_loss(pixels, self.model.config.patch)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step(progress)
        if self.critic is not None:
            self.critic.learn(seen, wanted)
        self.pictures += len(tiles)
        return loss.detach()

    def flops(self) -> float:
        """Count what a picture costs: the painter and its gradients, no teacher, no optimizer."""
        tiles = torch.zeros(2, 3, self.model.size, self.model.size, device=self.device)
        lengths = torch.full((2,), self.model.length, device=self.device)
        counted = matmul_peak.count_flops(
            lambda: self.objective(tiles, lengths)[0].sum().backward()
        )
        for parameter in self.model.parameters():
            parameter.grad = None
        return counted / len(tiles)

    def _pictures(self, tiles: Tensor) -> list[Tensor]:
        """Lay out the tiles [B, 3, S, S] that lie in grids; pictures of one or two sizes."""
        if not self.stitched:
            return [tiles]
        lying = in_grids(len(tiles))
        return [tiles[:-lying], stitch(tiles[-lying:], self.model.overlap)]

    def _seen(self, *judged: list[Tensor]) -> list[list[Tensor]]:
        """What the teacher, if there is one, sees in a part of each; of grids, in their middle."""
        if self.teacher is None:
            return [[] for _ in judged]
        side = self.model.size
        part = min(WINDOW, side)
        top, left = torch.randint(side - part + 1, (2,), generator=self.random).tolist()

        def window(pixels: Tensor) -> Tensor:
            y, x = (start + (pixels.shape[3] - side) // 2 for start in (top, left))
            return pixels[..., y : y + part, x : x + part]

        return [self.teacher(torch.cat([window(p) for p in pictures])) for pictures in judged]

    def averaged(self) -> Spectral:
        """Copy the model with its averaged weights, ready to evaluate or ship."""
        return self.optimizer.averaged(self.model)

    def save(self, path: Path) -> None:
        """Write everything that `restore` needs, or nothing."""
        state = {
            "optimizer": self.optimizer.state(),
            "buffers": dict(self.model.named_buffers()),
            "seconds": self.seconds,
            "pictures": self.pictures,
            "loss": self.loss,
            "sampler": self.drawn,
            "random": self.random.get_state(),
            "critic": self.critic and self.critic.state(),
        }
        temporary = path.with_suffix(".tmp")
        torch.save(state, temporary)
        temporary.replace(path)

    def restore(self, path: Path) -> None:
        """Go on where a saved run stood; a critic that it did not have begins to learn.

        Raises:
            ModelError: the file is damaged, or of another model.
        """
        try:
            self._restore(torch.load(path, map_location=self.device, weights_only=True))
        except torch.OutOfMemoryError:
            raise
        except _UNREADABLE as error:
            reason = "not a run of this model that can be resumed"
            raise ModelError(f"{path}: {reason}") from error

    def _restore(self, state: dict[str, Any]) -> None:
        if self.stitched != ("single" in state["sampler"]):
            raise ModelError("a run goes on with --stitched if it began so, and else without")
        for name, buffer in self.model.named_buffers():
            if not torch.equal(state["buffers"][name], buffer):
                raise ValueError(f"{name} is another model's")
        self.optimizer.restore(state["optimizer"])
        self.seconds, self.pictures = state["seconds"], state["pictures"]
        self.loss = state["loss"]
        if parallel.rank() == 0:  # the others draw anew
            self.sampler.restore(state["sampler"])
            self.drawn = state["sampler"]
            self.random.set_state(state["random"].cpu())
        if self.critic is not None and state["critic"] is not None:
            self.critic.restore(state["critic"])


def in_bfloat16(model: Spectral) -> None:
    """Turn the parameters, not the linear code, to bfloat16 in place."""
    for parameter in model.parameters():
        parameter.data = parameter.data.to(torch.bfloat16)
