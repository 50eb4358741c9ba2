"""Compare our FlexTok with the official code, on the same random weights of full size.

    git clone https://github.com/apple/ml-flextok CHECKOUT     # 87d00cc was compared
    pip install 'torch>=2.6,<2.14' hydra-core einops diffusers mup huggingface_hub safetensors
    python benchmarks/flextok.py CHECKOUT --images DIR [--depths 12 12] [--count 64] [--sampled 2]
    python benchmarks/flextok.py CHECKOUT --tiny     # what tests/tokenizers/test_flextok.py records

Both sides share random weights under the official names, because the released ones are not at hand.
The official code runs with `sample_posterior=False` (else its tokens are random) and without
flex_attention (else it needs a compiler); both are options of its own. The script prints a line of
JSON per comparison: tokens that differ, the largest difference of velocities, of sampled latents
and of pixels, and the processor seconds of the official code and of ours. On one core, d12-d12
takes 20 minutes. Memory holds the weights once, and 1 GB more: 11.2 GB for d18-d28.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from PIL import Image

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "benchmarks")]

import flextoks  # noqa: E402
from flextok_official import DROP, official  # noqa: E402

from titokzip.tokenizers.config import ViTConfig  # noqa: E402
from titokzip.tokenizers.flextok.checkpoint import from_state_dict  # noqa: E402
from titokzip.tokenizers.flextok.config import FlexTokConfig  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--depths", type=int, nargs=2, default=[12, 12])
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("--sampled", type=int, default=2)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--bfloat16", action="store_true", help="our decoder in bfloat16")
    parser.add_argument("--tiny", action="store_true")
    args = parser.parse_args()
    if not args.tiny and args.images is None:
        parser.error("--images is needed, a folder of at least --count")
    sys.path.insert(0, str(args.checkout))
    with torch.inference_mode():
        for record in [recorded()] if args.tiny else compared(args):
            print(json.dumps(record), flush=True)


def recorded() -> dict:
    theirs = official(flextoks.TINY)
    theirs.load_state_dict(flextoks.weights(), strict=True)
    pixels, noise = flextoks.images(4), flextoks.noise(2)
    tokens = torch.cat(theirs.tokenize(2 * pixels - 1))
    condition = encoded(theirs, tokens[:2, :5])
    latents = sampled(theirs, condition, noise, 3)
    pixels = theirs.vae.vae.decode(latents / theirs.vae.scaling_factor).sample / 2 + 0.5
    return {
        "tokens": tokens.tolist(),
        "latents": [round(v, 5) for v in latents[1, :, 3, ::3].flatten().tolist()],
        "pixels": [round(v, 5) for v in pixels[1, :, 34, 7::31].flatten().tolist()],
    }


def compared(args: argparse.Namespace) -> Iterator[dict]:
    encoder, decoder = (ViTConfig(64 * depth, depth, depth) for depth in args.depths)
    config = FlexTokConfig(encoder, decoder)
    theirs = official(config)
    random = torch.Generator().manual_seed(1)
    for name, tensor in theirs.state_dict().items():
        tensor.copy_(weight(name, tensor, random))
    ours = from_state_dict(config, theirs.state_dict())  # the same tensors, not copies
    if args.bfloat16:
        ours.set_decoder_dtype(torch.bfloat16)
    yield {"config": asdict(config), "weights": sum(p.numel() for p in ours.parameters())}
    yield from tokenized(args, theirs, ours)
    yield from decoded(args, theirs, ours)


def tokenized(
    args: argparse.Namespace, theirs: torch.nn.Module, ours: torch.nn.Module
) -> Iterator[dict]:
    wrong, values = 0, set()
    for number, pixels in enumerate(images(args.images, args.count), start=1):
        (expected, *_), official_seconds = timed(theirs.tokenize, 2 * pixels - 1)
        got, own_seconds = timed(ours.encode, pixels)
        differ = int((got != expected).sum())
        wrong += differ
        values |= set(got.flatten().tolist())
        seconds = [round(official_seconds, 2), round(own_seconds, 2)]
        yield {"image": number, "tokens that differ": differ, "seconds": seconds}
    yield {"images": args.count, "tokens that differ": wrong, "different tokens": len(values)}


def decoded(
    args: argparse.Namespace, theirs: torch.nn.Module, ours: torch.nn.Module
) -> Iterator[dict]:
    side = ours.config.side
    shape = (1, ours.config.autoencoder.channels, side, side)
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(2))
    tokens = ours.encode(next(images(args.images, 1)))
    time_, unconditional = torch.tensor([0.35]), ours.decoder.unconditional(1)
    modulation = ours.decoder.modulations(time_, ours.config.max_timestep)[0]
    now = {"vae_latents_noised": [noise], "timesteps": time_}
    for kept in (256, 32, 1, 100)[: args.sampled]:
        condition = encoded(theirs, tokens[:, :kept])
        conditional = ours.decoder.conditional(ours.quantizer.look_up(tokens[:, :kept]))
        for name, registers, extra in (
            ("conditional", conditional, {}),
            ("unconditional", unconditional, {DROP: [True]}),
        ):
            expected, official_seconds = timed(theirs.decoder, copied(condition) | now | extra)
            got, own_seconds = timed(ours.decoder, noise, registers, modulation)
            yield difference(
                f"velocity, {name}, {kept} tokens",
                got,
                expected["vae_latents_reconst"][0],
                official_seconds,
                own_seconds,
            )
        ours.steps = args.steps
        expected, official_seconds = timed(sampled, theirs, condition, noise, args.steps)
        latents, own_seconds = timed(ours.sample, tokens[:, :kept], noise)
        yield difference(
            f"latents, {kept} tokens, {args.steps} steps",
            latents,
            expected,
            official_seconds,
            own_seconds,
        )
        scaled = latents / theirs.vae.scaling_factor
        expected, official_seconds = timed(theirs.vae.vae.decode, scaled)
        pixels, own_seconds = timed(ours.decode_pixels, latents)
        yield difference(
            f"pixels, {kept} tokens",
            pixels,
            expected.sample / 2 + 0.5,
            official_seconds,
            own_seconds,
        )


def timed(run: Callable, *args: object) -> tuple:
    """Run it and count processor seconds: others may use the machine meanwhile."""
    start = time.process_time()
    return run(*args), time.process_time() - start


def difference(
    of: str, got: torch.Tensor, expected: torch.Tensor, official_seconds: float, own_seconds: float
) -> dict:
    return {
        "of": of,
        "largest difference": float((got - expected).abs().max()),
        "standard deviation": round(float(expected.std()), 4),
        "seconds": [round(official_seconds, 2), round(own_seconds, 2)],
    }


def images(folder: Path, count: int) -> Iterator[torch.Tensor]:
    files = sorted(f for f in folder.rglob("*") if f.suffix in (".png", ".webp", ".jpg", ".JPEG"))
    assert len(files) >= count, f"{folder} has {len(files)} images"
    for file in files[:count]:
        image = Image.open(file).convert("RGB")
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        square = image.resize(
            (256, 256), Image.Resampling.BICUBIC, (left, top, left + side, top + side)
        )
        yield torch.from_numpy(np.asarray(square, np.float32) / 255).permute(2, 0, 1)[None]


def weight(name: str, tensor: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    """Draw weights of about unit gain, but keep the tables that the official code computes."""
    if name.endswith("posembs") and tensor.ndim == 4 and tensor.shape[2] == tensor.shape[3]:
        return tensor.contiguous().clone()
    drawn = torch.randn(tensor.shape, generator=random)
    if "norm" in name and name.endswith("weight"):
        return 1 + 0.1 * drawn
    if name.endswith("weight"):
        return drawn / math.sqrt(math.prod(tensor.shape[1:]))
    return 0.1 * drawn if name.endswith("bias") else drawn


def copied(entries: dict) -> dict:
    """Copy entries: the official modules overwrite them."""
    return {
        k: [v.clone() if isinstance(v, torch.Tensor) else v for v in vs]
        for k, vs in entries.items()
    }


def encoded(theirs: torch.nn.Module, tokens: torch.Tensor) -> dict:
    return theirs._prepare_data_dict_for_detokenization(list(tokens.long().split(1)))


def sampled(
    theirs: torch.nn.Module, condition: dict, noise: torch.Tensor, steps: int
) -> torch.Tensor:
    entries = {**copied(condition), "noise": list(noise.split(1))}
    side = noise.shape[-1]
    done = theirs.pipeline(
        entries,
        timesteps=steps,
        vae_image_sizes=side,
        verbose=False,
        guidance_scale=7.5,
        perform_norm_guidance=True,
    )
    return torch.cat(done["vae_latents_reconst"])


if __name__ == "__main__":
    main()
