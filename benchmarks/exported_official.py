"""Export a TiTok as training does, and let the official code read it and decode its tokens.

    git clone https://github.com/bytedance/1d-tokenizer CHECKOUT             # 942a96f
    pip install einops omegaconf accelerate huggingface_hub requests tqdm torchvision
    python benchmarks/exported_official.py CHECKOUT [RELEASE]                # titok-s128

The weights are random. Prints a line of JSON: tokens that are equal, and the largest difference of
a pixel, for an image of noise.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from titokzip.tokenizers.titok.network import TiTok
from titokzip.training.export import export_titok
from titokzip.training.initialization import initialize_titok
from titokzip.zoo.catalog import RELEASES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkout", type=Path)
    parser.add_argument("release", nargs="?", default="titok-s128")
    args = parser.parse_args()
    sys.path.insert(0, str(args.checkout))
    from modeling.titok import TiTok as Official

    torch.manual_seed(0)
    ours = TiTok(RELEASES[args.release].config)
    initialize_titok(ours)
    ours.requires_grad_(False).eval()
    with tempfile.TemporaryDirectory() as folder:
        export_titok(ours, Path(folder))
        theirs = Official.from_pretrained(folder).eval()
    image = torch.rand(1, 3, ours.size, ours.size)
    tokens = ours.encode(image)
    pixels = ours.decode_pixels(ours.decode_features(tokens))
    with torch.no_grad():
        other = theirs.encode(image)[1]["min_encoding_indices"].flatten()
        decoded = theirs.decode_tokens(tokens.long())
    result = {
        "release": args.release,
        "tokens": tokens.shape[1],
        "equal": int((tokens[0] == other).sum()),
        "largest_difference": float((pixels - decoded).abs().max()),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
