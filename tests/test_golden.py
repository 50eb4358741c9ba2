"""Files made once, which must give the same tokens for ever.

tests/golden holds them; tokens.json beside them says, for each, the SHA-256 of its tokens: int32,
little-endian, tile after tile, -1 where a tile has fewer tokens than the one that has most. They
do not depend on the networks of the model, nor on anything painted.

    python tests/test_golden.py     # makes files that are missing, and leaves the others alone

A file that is here is never made again: if its test fails, the code is wrong, not the file.
"""

import hashlib
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from photos import photo

from titokzip import entropy
from titokzip.bitstream import container
from titokzip.bitstream.header import Coder
from titokzip.codec import Codec
from titokzip.rate_control import Rate

FOLDER = Path(__file__).parent / "golden"
RECORDED = FOLDER / "tokens.json"
NAMES = ["one-tile", "three-layers", "grey", "packed", "counts", "max-bytes"]


def padded(rows):
    """Lay rows of tokens out as int32 [N, L], -1 where there are none."""
    tokens = np.full((len(rows), max(map(len, rows))), -1, "<i4")
    for row, own in zip(tokens, rows, strict=True):
        row[: len(own)] = own
    return tokens


def digest(rows):
    return hashlib.sha256(padded(rows).tobytes()).hexdigest()


def coded(codec, header, rows):
    """Write a file of these tokens, as its header says."""
    tokens, counts = padded(rows).clip(0), np.array([len(row) for row in rows])
    if header.coder == Coder.PACKED:
        return container.pack(header, entropy.pack(tokens, counts, header.stops, 3**9))
    prior = codec.model.context_model
    payloads = entropy.range_encode(tokens, counts, header.stops, header.grid, prior)
    return container.pack(header, payloads)


def recorded():
    return json.loads(RECORDED.read_text())


@pytest.mark.parametrize("name", NAMES)
def test_golden_files_decode_to_their_tokens(embedded, name):
    known = recorded()[name]
    contents = container.unpack((FOLDER / f"{name}.ttk").read_bytes())
    rows = embedded.read(contents)
    assert digest(rows) == known["sha256"]
    assert [len(row) for row in rows] == known["counts"]
    assert rows[0][:4].tolist() == known["first"]


@pytest.mark.parametrize("name", NAMES)
def test_golden_tokens_are_coded_in_the_golden_bytes(embedded, name):
    data = (FOLDER / f"{name}.ttk").read_bytes()
    contents = container.unpack(data)
    assert coded(embedded, contents.header, embedded.read(contents)) == data


@pytest.mark.parametrize("name", NAMES)
def test_golden_files_are_painted(embedded, name):
    data = (FOLDER / f"{name}.ttk").read_bytes()
    header = container.unpack(data).header
    image = embedded.decompress(data)
    assert image.size == (header.width, header.height)
    assert image.mode == ("L" if header.grey else "RGB")


def test_golden_files_are_what_their_names_say():
    headers = {
        name: container.unpack((FOLDER / f"{name}.ttk").read_bytes()).header for name in NAMES
    }
    assert headers["one-tile"].grid.tiles == 1
    assert (headers["three-layers"].grid.tiles, headers["three-layers"].layers) == (6, 3)
    assert [name for name in NAMES if headers[name].grey] == ["grey"]
    assert [name for name in NAMES if headers[name].coder == Coder.PACKED] == ["packed"]
    assert [name for name in NAMES if headers[name].counts] == ["counts"]
    assert (FOLDER / "max-bytes.ttk").stat().st_size <= 140
    assert {path.stem for path in FOLDER.glob("*.ttk")} == set(NAMES) == set(recorded())


def made(codec):
    """Make every golden file; each with its bytes."""
    two = codec.compress(photo(200, 100, 3), Rate(tile=100, tokens=40))
    header, rows = container.unpack(two).header, codec.read(container.unpack(two))
    uneven = replace(header, coder=Coder.RANGE, counts=(40, 7), layers=2)
    return {
        "one-tile": codec.compress(photo(256, 256, 0), Rate(tile=256)),
        "three-layers": codec.compress(photo(300, 200, 1), Rate(tile=100)),
        "grey": codec.compress(photo(120, 160, 2, "L"), Rate(tile=100)),
        "packed": coded(codec, replace(header, coder=Coder.PACKED), rows),
        "counts": coded(codec, uneven, [rows[0], rows[1][:7]]),
        "max-bytes": codec.compress(photo(384, 256, 4), Rate(max_bytes=140)),
    }


def main():
    """Make the files that are missing, and record their tokens."""
    codec = Codec.load(device="cpu")
    known = recorded() if RECORDED.exists() else {}
    for name, data in made(codec).items():
        path = FOLDER / f"{name}.ttk"
        if path.exists():
            continue
        path.write_bytes(data)
        rows = codec.read(container.unpack(data))
        counts, first = [len(row) for row in rows], rows[0][:4].tolist()
        known[name] = {"sha256": digest(rows), "counts": counts, "first": first}
        sys.stdout.write(f"{path}: {len(data)} bytes\n")
    RECORDED.write_text(json.dumps(known, indent=2) + "\n")


if __name__ == "__main__":
    main()
