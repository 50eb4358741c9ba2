"""Train one design beside another: the same minutes, photos and core, a JSON line for each arm.

    taskset -c 1 python benchmarks/arms.py --data PHOTOS --kodak $DATA/kodak --minutes 5 \
        >> benchmarks/results/arms.jsonl

Arms are named after what they change of `control`, the painter of xs, untrained, or of `again`, the
one that ships, which learns on; loss, prefixes and optimizer are those that it shipped with. Names
at the end of the command choose some. The linear code is always that of the weights in `--code`, so
all arms but the TiToks paint the same tokens. Minutes are the processor's.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from alternatives import (
    FSQ_64PX,
    FSQ_LEVELS,
    FSQ_XS,
    VQ_64PX,
    VQ_XS,
    Discrete,
    LinearEnd,
    absolute_error,
    full_rows,
    new_titok,
    squared_error,
    uniform_rows,
)
from PIL import Image
from seams import ratio
from torch import Tensor

from titokzip import zoo
from titokzip.bench import report
from titokzip.entropy import range_coder
from titokzip.entropy.context_model import ContextModel
from titokzip.tiling import Grid, join, split
from titokzip.tokenizers.config import ViTConfig
from titokzip.tokenizers.embedded.network import Spectral
from titokzip.tokenizers.titok.config import TiTokConfig
from titokzip.tokenizers.titok.network import TiTok
from titokzip.training import data
from titokzip.training.evaluate import LENGTHS, evaluate
from titokzip.training.objective import StraightThrough, draw_lengths, pixel_loss
from titokzip.training.optimizer import Optimizer
from titokzip.training.session import WATCHED
from titokzip.training.tiled_crops import cut, stitch

BATCH = 8  # tiles a step, or four and a grid of four
WARM_UP = 0.1  # of the minutes: a run of minutes that starts at full rate never gets over it
XS = ViTConfig(width=256, depth=6, heads=4)


@dataclass(frozen=True)
class Arm:
    """One design; the defaults are the control's."""

    painter: ViTConfig = XS
    linear: bool = False  # a matrix paints the patches, no convolutions
    texture: int = 0  # channels of convolutions at half the resolution
    titok: TiTokConfig | None = None  # in the place of our model, learnt from nothing
    levels: tuple[int, ...] = ()  # of its digits; none: it has a table of codes
    loss: Callable[[Tensor, Tensor], Tensor] = pixel_loss
    lengths: Callable[[int, int, torch.Generator], Tensor] = draw_lengths
    muon: float = 3e-3  # 0: AdamW for all
    adam: float = 1e-3
    trained: bool = False  # the painter that ships goes on learning
    grids: bool = False  # half of the tiles are cut from crops two tiles wide and high
    stitched: bool = False  # and judged when laid out again


AGAIN = Arm(trained=True, muon=1e-3, adam=3e-4)
ARMS = {
    "control": Arm(),
    "adamw-1e-3": Arm(muon=0),
    "adamw-3e-4": Arm(muon=0, adam=3e-4),
    "wide": Arm(ViTConfig(width=384, depth=3, heads=6)),
    "deep": Arm(ViTConfig(width=192, depth=10, heads=3)),
    "titok-vq": Arm(titok=VQ_XS),
    "titok-fsq": Arm(titok=FSQ_XS, levels=FSQ_LEVELS),
    "titok-vq-64px": Arm(titok=VQ_64PX, muon=1e-3, adam=3e-4),
    "titok-fsq-64px": Arm(titok=FSQ_64PX, levels=FSQ_LEVELS, muon=1e-3, adam=3e-4),
    "linear-end": Arm(linear=True),
    "again": AGAIN,
    "again-full-rows": replace(AGAIN, lengths=full_rows),
    "again-uniform-rows": replace(AGAIN, lengths=uniform_rows),
    "again-mse": replace(AGAIN, loss=squared_error),
    "again-l1": replace(AGAIN, loss=absolute_error),
    "again-texture-end": replace(AGAIN, texture=32),
    "again-grids": replace(AGAIN, grids=True),
    "again-stitched": replace(AGAIN, grids=True, stitched=True),
}


def made(arm: Arm, code: Spectral) -> Spectral | TiTok:
    """Make the model that an arm starts from, on the linear code of the model that ships."""
    if arm.titok is not None:
        return new_titok(arm.titok, arm.levels)
    config = replace(code.config, encoder=None, decoder=arm.painter, texture=arm.texture)
    model = Spectral(config)
    state = code.state_dict() if arm.trained else dict(code.named_buffers())
    model.load_state_dict(state, strict=False)
    if arm.linear:
        model.painter_end = LinearEnd(arm.painter.width, config.patch)
    return model


def batches(
    arm: Arm, model: Spectral | TiTok, overlap: int, photos: list[Tensor], seed: int
) -> Iterator[Tensor]:
    """Draw tiles [B, 3, S, S] for ever, those of each grid in a row at the end."""
    margin = overlap - model.overlap  # tiles that are not lapped lie where no filter reaches
    inner = slice(margin, margin + model.size)
    single = data.Sampler(photos, model.size + 2 * margin, max(1, model.overlap), seed)
    double = data.Sampler(photos, 2 * model.size, overlap, seed)
    while True:
        if arm.grids:
            grids = cut(double.batch(BATCH // 8), overlap)
            yield torch.cat([single.batch(BATCH // 2), grids])
        else:
            yield single.batch(BATCH)[..., inner, inner]


def train(
    arm: Arm, code: Spectral, photos: list[Tensor], minutes: float, seed: int
) -> tuple[Spectral | TiTok, int]:
    """Train an arm for processor minutes; its averaged weights, and the pictures that it saw."""
    torch.manual_seed(seed)
    model = made(arm, code)
    drawn = batches(arm, model, code.overlap, photos, seed)
    objective = Discrete(model) if arm.titok else StraightThrough(model, next(drawn))
    optimizer = Optimizer(model, arm.muon, arm.adam, WARM_UP)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.bfloat16()
    random = torch.Generator().manual_seed(seed)
    pictures, begun = 0, time.process_time()
    while (spent := time.process_time() - begun) < 60 * minutes:
        tiles, lengths = next(drawn), arm.lengths(BATCH, model.length, random)
        if arm.grids:  # tiles of a picture have as many tokens
            chosen = torch.randint(BATCH, (BATCH // 8,), generator=random)
            lengths[BATCH // 2 :] = lengths[chosen].repeat_interleave(4)
        painted, beside = objective(tiles, lengths)
        loss = judged(arm, painted, tiles, model.overlap)
        if arm.titok:
            loss = loss + beside
        loss.backward()
        optimizer.step(spent / (60 * minutes))
        pictures += BATCH
    return optimizer.averaged(model), pictures


def judged(arm: Arm, painted: Tensor, tiles: Tensor, overlap: int) -> Tensor:
    """Compare painted tiles [B, 3, S, S] with what they were made from, as the arm does."""
    if not arm.stitched:
        return arm.loss(painted, tiles)
    half = len(tiles) // 2
    pictures = (stitch(pixels[half:].float(), overlap) for pixels in (painted, tiles))
    return (arm.loss(painted[:half], tiles[:half]) + arm.loss(*pictures)) / 2


def measured(model: Spectral | TiTok, prior: ContextModel, tiles: Tensor) -> dict[str, Any]:
    """Tell PSNR and bytes of tiles [B, 3, S, S] by tokens kept, and how many tokens differ."""
    with torch.inference_mode():
        tokens = torch.cat([model.encode(batch) for batch in tiles.split(BATCH)]).numpy()
    stops = [k for k in LENGTHS if k <= model.length]
    if isinstance(model, TiTok):
        bits = np.full(model.length, (model.vocabulary - 1).bit_length())
    else:
        bits = np.mean(
            [range_coder.cost(row[None], Grid(1, 1), prior)[0] for row in tokens], axis=0
        )
    sizes = bits.cumsum()[np.array(stops) - 1] / 8
    return {
        "psnr": evaluate(model, tiles, torch.device("cpu")),
        "bytes": {k: round(float(size), 1) for k, size in zip(stops, sizes, strict=True)},
        "codes": len(np.unique(tokens)),
    }


@torch.inference_mode()
def border_steps(model: Spectral, photos: list[Image.Image]) -> float:
    """Compare steps across the tile borders of painted photos with those beside (`seams.py`).

    Of each photo, the centre is painted, 2S x 2S.
    """
    ratios, side = [], 2 * model.size
    for photo in photos:
        left, top = (photo.width - side) // 2, (photo.height - side) // 2
        pixels = np.asarray(photo.crop((left, top, left + side, top + side)))
        rows = split(pixels, model.size, model.overlap)
        painted = [
            model.decode_features(model.encode(torch.from_numpy(row).permute(0, 3, 1, 2)))
            for row in rows
        ]
        tiles = [row.permute(0, 2, 3, 1).numpy() for row in painted]
        joined = join(tiles, Grid(2, 2), model.size, model.overlap)
        ratios.append(ratio(joined.astype(np.float64), model.size, [0]))
    return round(float(np.mean(ratios)), 4)


def tried(
    name: str,
    start: zoo.Model,
    photos: list[Tensor],
    watched: dict[str, Tensor],
    large: list[Image.Image],
    minutes: float,
    seed: int,
) -> dict[str, Any]:
    """Train an arm, and tell what it gave on tiles [B, 3, S, S] and on larger photos."""
    begun = time.process_time()
    model, pictures = train(ARMS[name], start.tokenizer, photos, minutes, seed)
    rate = pictures / (time.process_time() - begun)
    row: dict[str, Any] = {"arm": name, "minutes": minutes, "seed": seed, "pictures": pictures}
    row |= {"pictures a second": round(rate, 2)}
    row |= {"parameters": sum(p.numel() for p in model.parameters())}
    for where, tiles in watched.items():
        resized = F.interpolate(tiles, model.size, mode="area")
        row[where] = measured(model, start.context_model, resized)
    if large and isinstance(model, Spectral):
        row["border steps"] = border_steps(model, large)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("arms", nargs="*", metavar="ARM", default=[*ARMS], help=", ".join(ARMS))
    parser.add_argument("--data", type=Path, required=True, help="photos, or tar files of them")
    parser.add_argument("--limit", type=int, help="read so many photos at the most")
    parser.add_argument("--kodak", type=Path, help="photos to measure on besides those held out")
    parser.add_argument("--code", type=Path, default=Path("weights/xs.safetensors"))
    parser.add_argument("--minutes", type=float, default=5.0, help="of training an arm")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    if unknown := set(args.arms) - set(ARMS):
        parser.error(f"no such arm: {', '.join(sorted(unknown))}")
    torch.set_num_threads(args.threads)
    manifest = zoo.read_manifest(args.code)
    start = zoo.load(manifest)
    photos = data.load(args.data, args.limit)
    crops, large = {"held out": photos.validation[:WATCHED]}, []
    if args.kodak:
        kodak = data.load(args.kodak)
        crops["kodak"] = kodak.training + kodak.validation
        files = sorted(f for f in args.kodak.iterdir() if f.suffix in data.SUFFIXES)
        large = [Image.open(file).convert("RGB") for file in files]
    watched = {k: data.centre_tiles(c, start.tokenizer.size) for k, c in crops.items()}
    about = {"code": manifest.digest.hex()[:16], "environment": report.environment("cpu")}
    for name in args.arms:
        row = tried(name, start, photos.training, watched, large, args.minutes, args.seed)
        print(json.dumps(row | about), flush=True)


if __name__ == "__main__":
    main()
