"""Make the files of tests/golden that are missing: `python tests/make_golden.py`.

None is made again for a version that was released; new ones may be added.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import toys
from photos import photo
from PIL import Image, ImageDraw

import titokzip
from titokzip.bitstream import container
from titokzip.codec import Codec
from titokzip.images import plain
from titokzip.rate_control import Rate

GOLDEN = Path(__file__).parent / "golden"


def described(contents: container.Contents, tokens: np.ndarray) -> dict:
    header = contents.header
    return {
        "size": [header.width, header.height],
        "grey": header.grey,
        "alpha": header.alpha,
        "layers": header.layers,
        "layout": repr(header.layout),
        "tokens": hashlib.sha256(np.ascontiguousarray(tokens, "<i4").tobytes()).hexdigest(),
    }


def codecs() -> dict[str, Codec]:
    """Give the codec of each golden file by the first word of its name."""
    return {"xs": titokzip.load("xs", "cpu"), "toy": toys.codec()}


def images() -> dict[str, tuple[Image.Image, Rate]]:
    transparent = photo(60, 44)
    transparent.putalpha(Image.linear_gradient("L").resize((60, 44)))
    cut_out = photo(64, 48)
    disc = Image.new("L", (64, 48))
    ImageDraw.Draw(disc).ellipse([10, 6, 53, 41], fill=255)
    cut_out.putalpha(disc)
    bars = Image.new("RGB", (48, 32), "white")
    for i, colour in enumerate(["red", "lime", "blue", "black"]):
        ImageDraw.Draw(bars).rectangle([12 * i, 0, 12 * i + 11, 31], fill=colour)
    chart = Image.new("RGBA", (70, 44), "white")
    for i, colour in enumerate(["red", "lime", "blue", "black"]):
        ImageDraw.Draw(chart).rectangle([16 * i + 4, 9 * i, 16 * i + 13, 43], fill=colour)
    ImageDraw.Draw(chart).ellipse([20, 4, 50, 30], fill=(255, 200, 0, 90), outline=(0, 0, 0, 0))
    return {
        "xs-default": (photo(256, 256), Rate(quality=30)),
        "xs-sms": (photo(320, 200), Rate(max_bytes=140)),
        "xs-layers": (photo(240, 180), Rate(max_bytes=4500)),
        "xs-grey": (photo(90, 61, mode="L"), Rate(quality=60)),
        "xs-alpha": (transparent, Rate(quality=40)),
        "xs-mask": (cut_out, Rate(quality=40)),
        "xs-bars": (bars, Rate(quality=100)),
        "xs-palette": (chart, Rate()),
        "xs-pixel": (photo(1, 1), Rate()),
        "xs-strip": (photo(300, 2), Rate(quality=70)),
        "toy-tiles": (photo(70, 50), Rate(tile=10)),
    }


def main() -> None:
    found = json.loads((GOLDEN / "tokens.json").read_text())
    for name, (image, rate) in images().items():
        if (path := GOLDEN / f"{name}.ttk").exists():
            continue
        codec = codecs()[name.partition("-")[0]]
        data = codec.compress(plain(image, keep_alpha=True), rate)
        contents = container.unpack(data)
        path.write_bytes(data)
        found[name] = described(contents, codec.tokens(contents))
    (GOLDEN / "tokens.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
