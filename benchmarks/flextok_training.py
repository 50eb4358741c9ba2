"""Train the official FlexTok and ours beside each other: same weights, latents, noise and times.

    git clone https://github.com/apple/ml-flextok CHECKOUT     # 87d00cc was compared
    pip install hydra-core einops diffusers mup huggingface_hub
    python benchmarks/flextok_training.py CHECKOUT             # small: what tests/training records
    python benchmarks/flextok_training.py CHECKOUT --depths 12 12

The official repository holds the model and its noise, not its loss: that is the squared error of
the velocity on both sides. Which tokens are kept, and what is dropped, is the same for both, by the
official modules' keys for evaluation. Prints a line of JSON: the loss, and the relative differences
of the loss, of the velocity, of the features that REPA compares, and of gradients.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests/training")]
sys.path.insert(0, str(ROOT / "benchmarks"))

import flextok_cases as cases  # noqa: E402
import flextoks  # noqa: E402
from flextok_official import DROP, KEEP, official  # noqa: E402

from titokzip.tokenizers.config import ViTConfig  # noqa: E402
from titokzip.tokenizers.flextok.checkpoint import released_name  # noqa: E402
from titokzip.tokenizers.flextok.config import FlexTokConfig  # noqa: E402


def theirs(model: Any, config: FlexTokConfig) -> tuple[Any, Any, Any]:
    """Run the official encoder, quantizer and decoder; loss, velocity and tapped patches."""
    clean, noise = cases.latents(config)
    times = cases.TIMES
    data = model.regularizer(model.encoder({"vae_latents": list(clean.split(1))}))
    mixed = [
        t * n + (1 - t) * c for t, n, c in zip(times, noise.split(1), clean.split(1), strict=True)
    ]
    data |= {"vae_latents_noised": mixed, "timesteps": times, "sigmas": times}
    data |= {KEEP: cases.KEPT.tolist(), DROP: cases.DROPPED.tolist()}
    transformer = model.decoder.module_dict["dec_transformer"]
    transformer.intermediate_layers = [cases.TAP]
    transformer.intermediate_layer_write_key = "tapped"
    data = model.decoder(data)
    velocity = torch.cat(data["vae_latents_reconst"])
    return (velocity - (noise - clean)).square().mean(), velocity, data["tapped"]


def compare(config: FlexTokConfig, weights: dict[str, torch.Tensor]) -> dict[str, Any]:
    """Compare one size."""
    official_model = official(config)
    official_model.load_state_dict(weights, strict=True)
    ours = cases.model(config)
    loss, found = cases.run(ours, config)
    loss.backward()
    other, velocity, _ = theirs(official_model, config)
    other.backward()
    norms = {}
    for name, parameter in ours.named_parameters():
        if parameter.grad is not None:
            norms[released_name(name)] = parameter.grad.norm()
    wanted = {n: p.grad.norm() for n, p in official_model.named_parameters() if p.grad is not None}
    assert norms.keys() == wanted.keys(), norms.keys() ^ wanted.keys()
    total, official_total = (torch.stack(list(n.values())).norm() for n in (norms, wanted))
    floor = 1e-4 * float(official_total)
    return {
        "loss": float(loss),
        "official": float(other),
        "gradient": float(total),
        "tapped": float(found.patches.norm()),
        "loss_difference": relative(loss, other),
        "velocity_difference": float((found.latents - velocity).abs().max() / velocity.std()),
        "gradient_difference": relative(total, official_total),
        "largest_gradient_difference": max(relative(norms[n], wanted[n], floor) for n in wanted),
    }


def relative(one: torch.Tensor, other: torch.Tensor, floor: float = 1e-12) -> float:
    return float((one - other).abs() / other.abs().clamp(min=floor))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--depths", type=int, nargs=2)
    args = parser.parse_args()
    sys.path.insert(0, str(args.checkout))
    config = flextoks.TINY
    if args.depths:
        config = FlexTokConfig(*(ViTConfig(64 * depth, depth, depth) for depth in args.depths))
    print(json.dumps(compare(config, flextoks.weights(config))), flush=True)


if __name__ == "__main__":
    main()
