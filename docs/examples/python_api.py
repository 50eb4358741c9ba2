"""The Python API in one page: `python docs/examples/python_api.py photo.jpg`."""

import sys
from pathlib import Path

from PIL import Image

import titokzip
import titokzip.pillow


def main(path: str) -> None:
    """Compress an image in several ways, and look at what the files hold."""
    data = titokzip.compress(path)  # a path, bytes, an array [H, W, 3] or a PIL image
    print(f"default quality: {len(data):,} bytes")

    small = titokzip.compress(path, max_bytes=400)  # never a byte more
    print(f"at most 400 bytes: {len(small):,} bytes")

    image = titokzip.decompress(small)  # a PIL image of the original's size
    print(f"decoded: {image.width} x {image.height}")

    tokens = titokzip.tokens(small)  # runs no network
    print(f"{tokens.tokens.size:,} tokens, {(tokens.tokens != 0).sum():,} of them not zero")

    codec = titokzip.load("xs", device="cpu")  # a codec of one model, for many images
    many = codec.compress_many([titokzip.to_input(path)] * 2, titokzip.Rate(quality=30))
    print([len(one) for one in many if isinstance(one, bytes)])

    titokzip.pillow.register()  # Image.open and Image.save know .ttk from here on
    image.save(Path(path).with_suffix(".ttk").name, quality=40)
    print(Image.open(Path(path).with_suffix(".ttk").name).size)


if __name__ == "__main__":
    main(sys.argv[1])
