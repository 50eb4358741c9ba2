"""Compare our TiToks with the official code at full size: same random weights, images and run.

    python benchmarks/released.py --official CHECKOUT titok_s128 [--images DIR --count 64]

CHECKOUT is a clone of github.com/bytedance/1d-tokenizer (942a96f), or for one_d_piece_* of
github.com/turingmotors/One-D-Piece (473665d). The official code needs einops, omegaconf and
huggingface_hub beside titokzip. Stand-ins replace what it imports for training alone.

Random weights are written in the layout of the releases, config.json and model.safetensors, into a
temporary folder, and both read them there. Batches alternate: official, ours, official, ours.
TA-TiToks read random text features. Without --images, images are random fields of all scales.
"""

import argparse
import importlib
import json
import math
import statistics
import sys
import tempfile
import time
import types
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageOps
from safetensors.torch import load_file, save_file
from torch import Tensor

from titokzip.images import plain
from titokzip.tokenizers.titok.checkpoint import from_state_dict
from titokzip.tokenizers.titok.config import from_config
from titokzip.tokenizers.titok.network import TiTok
from titokzip.zoo.catalog import RELEASES

TRAINING_ONLY = [
    "accelerate",
    "accelerate.utils",
    "accelerate.utils.operations",
    "torchvision",
    "torchvision.models",
    "modeling.modules.losses",
    "modeling.modules.ema_model",
    "modeling.modules.perceptual_loss",
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "name", choices=[name for name, r in RELEASES.items() if r.family == "titok"]
    )
    parser.add_argument("--official", type=Path, required=True, metavar="CHECKOUT")
    parser.add_argument("--images", type=Path, metavar="DIR")
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("--decoded", type=int, help="decode only the first so many of them")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--kept", type=int, help="decode this many tokens (one_d_piece only)")
    parser.add_argument("--bfloat16", action="store_true", help="our decoder in bfloat16")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--cpu-time", action="store_true", help="processor time: a busy machine")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    images = read(args.images, args.count) if args.images else fields(args.count)
    with tempfile.TemporaryDirectory() as folder:
        official = write_weights(args.official.resolve(), args.name, Path(folder))
        state = load_file(Path(folder) / "model.safetensors")
        official.load_state_dict(state, strict=True, assign=True)
        wanted = RELEASES[args.name].config
        config = json.loads((Path(folder) / "config.json").read_text())
        assert from_config(config, text=wanted.text is not None) == wanted, "another architecture"
        ours = from_state_dict(wanted, state)
        if args.bfloat16:
            ours.set_decoder_dtype(torch.bfloat16)
        kept = args.kept or wanted.length
        limit = args.count if args.decoded is None else args.decoded
        clock = time.process_time if args.cpu_time else time.perf_counter
        result = compare(official.eval(), ours, images.split(args.batch), kept, limit, clock)
    about = {"model": args.name, "threads": args.threads, "batch": args.batch, "kept": kept}
    about |= {"bfloat16": args.bfloat16, "clock": clock.__name__, "torch": torch.__version__}
    result = about | result
    print(json.dumps(result) if args.json else described(result))


@torch.inference_mode()
def compare(
    official: Any,
    ours: TiTok,
    batches: tuple[Tensor, ...],
    kept: int,
    limit: int,
    clock: Callable[[], float],
) -> dict[str, Any]:
    """Encode all batches and decode the first `limit` images of them with both, and compare.

    Seconds are per image, medians over batches.
    """
    equal, decoded, difference, deviations = 0, 0, 0.0, []
    seconds: dict[str, list[float]] = {}

    def timed(key: str, work: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
        start = clock()
        out = work(*inputs)
        seconds.setdefault(key, []).append((clock() - start) / len(out))
        return out

    def encode(pixels: Tensor) -> Tensor:
        tokens: Tensor = official.encode(pixels)[1]["min_encoding_indices"][:, 0]
        return tokens

    def decode(tokens: Tensor, *text: Tensor) -> Tensor:
        return ours.decode_pixels(ours.decode_features(tokens, *text))

    warm = batches[0][:1]
    decode(ours.encode(warm)[:, :kept]), encode(warm)
    for pixels in batches:
        tokens = timed("encode_official", encode, pixels)
        equal += int((timed("encode_ours", ours.encode, pixels) == tokens).sum())
        inputs = [tokens[: limit - decoded, :kept]]
        if not len(inputs[0]):
            continue
        if (guide := ours.config.text) is not None:
            inputs.append(torch.randn(len(inputs[0]), guide.positions, guide.channels))
        theirs = timed("decode_official", official.decode_tokens, *inputs)
        mine = timed("decode_ours", decode, *inputs)
        decoded += len(mine)
        difference = max(difference, float((mine - theirs).abs().max()))
        deviations.append(float(theirs.std()))
    medians = {key: round(statistics.median(times), 5) for key, times in seconds.items()}
    return {
        "tokens": sum(map(len, batches)) * ours.length,
        "tokens_equal": equal,
        "decoded": decoded,
        "pixel_difference": difference,
        "pixel_deviation": round(statistics.mean(deviations), 4),
        "seconds": medians,
        "encode_speedup": round(medians["encode_official"] / medians["encode_ours"], 3),
        "decode_speedup": round(medians["decode_official"] / medians["decode_ours"], 3),
    }


def write_weights(checkout: Path, name: str, folder: Path) -> Any:
    """Write random weights as the official code would; its model, still without them."""
    sys.path.insert(0, str(checkout))
    for module in TRAINING_ONLY:
        sys.modules[module] = empty(module)
    from omegaconf import OmegaConf

    if name.startswith("one_d_piece"):
        kind, path = "one_d_piece.OneDPiece", f"one-d-piece_{name.rsplit('_')[-1]}"
    elif name.startswith("tatitok"):
        kind, path = "tatitok.TATiTok", f"infer/TA-TiTok/{name}"
    else:
        kind, path = "titok.TiTok", f"infer/TiTok/{name}"
    config = OmegaConf.load(checkout / "configs" / f"{path}.yaml")
    module, cls = kind.split(".")
    with torch.device("meta"):
        model = getattr(importlib.import_module(f"modeling.{module}"), cls)(config)
    state = {key: weight(key, tensor.shape) for key, tensor in model.state_dict().items()}
    save_file(state, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(OmegaConf.to_container(config)))
    return model


def empty(name: str) -> types.ModuleType:
    """Stand in for a module whose names are imported but never used here."""
    module = types.ModuleType(name)
    module.__path__ = []

    def get(key: str) -> Any:
        if key.startswith("__"):
            raise AttributeError(key)
        return object

    module.__getattr__ = get  # type: ignore[method-assign]
    return module


def weight(name: str, shape: torch.Size) -> Tensor:
    """Draw a tensor that keeps what goes through it at about unit size."""
    seed = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    uniform = torch.rand(shape, generator=seed) * 2 - 1
    if len(shape) == 1:
        return 0.1 * uniform + float(name.endswith("weight"))
    if "embedding" in name or "token" in name:
        return uniform if name == "quantize.embedding.weight" else 0.5 * uniform
    return uniform * (2 if "in_proj" in name else 1) * math.sqrt(3 / math.prod(shape[1:]))


def read(folder: Path, count: int) -> Tensor:
    """Read images as TiTok is evaluated: shorter side 256, centre crop; [N, 3, 256, 256]."""
    files = [f for f in sorted(folder.iterdir()) if f.suffix in (".png", ".webp", ".jpg", ".JPEG")]
    tiles = []
    for file in files[:count]:
        image = plain(Image.open(file), "white").image.convert("RGB")
        image = ImageOps.fit(image, (256, 256), Image.Resampling.BICUBIC)
        tiles.append(torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8))
    return torch.stack(tiles).view(-1, 256, 256, 3).permute(0, 3, 1, 2).float() / 255


def fields(count: int) -> Tensor:
    """Draw images [count, 3, 256, 256] from smooth to noise."""
    seed = torch.Generator().manual_seed(0)
    tiles = []
    for i in range(count):
        coarse = torch.rand(1, 3, 2 << i % 8, 2 << i % 8, generator=seed)
        tiles.append(torch.nn.functional.interpolate(coarse, size=256, mode="bicubic"))
    return torch.cat(tiles).clamp(0, 1)


def described(result: dict[str, Any]) -> str:
    """Describe a result in words."""
    s = result["seconds"]
    return (
        f"{result['model']}: {result['tokens_equal']} of {result['tokens']} tokens equal\n"
        f"pixels of {result['decoded']} images differ by {result['pixel_difference']:.1e} at"
        f" most, where their standard deviation is {result['pixel_deviation']}\n"
        f"seconds per image, official and ours, {result['threads']} threads, batches of"
        f" {result['batch']}: encode {s['encode_official']:.3f} and {s['encode_ours']:.3f}"
        f" ({result['encode_speedup']}x), decode {s['decode_official']:.3f} and"
        f" {s['decode_ours']:.3f} ({result['decode_speedup']}x)"
    )


if __name__ == "__main__":
    main()
