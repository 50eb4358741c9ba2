"""The file format: exact bytes, what is refused, and how little a hostile file costs."""

import random
import re
import tracemalloc
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from titokzip import entropy
from titokzip.bitstream.container import pack, packed_size, unpack
from titokzip.bitstream.header import CODEBOOKS, Header, IndexedLayout, TileLayout, TransformLayout
from titokzip.errors import FormatError, PixelLimitError, Truncated
from titokzip.tiling import Grid

SPEC = Path(__file__).parents[2] / "docs" / "format.md"
MODEL = b"\xde\xad\xbe\xef"
TILE = Header(MODEL, 256, 256, TileLayout(Grid(1, 1), 256))
WHOLE = Header(MODEL, 256, 256, TransformLayout(step=200, blocks=12))
ONE_LAYER = pack(WHOLE, [b"0123456789abcdef"])
THREE = Header(MODEL, 300, 200, TransformLayout(90, 20), layers=3)
THREE_LAYERS = pack(THREE, [b"coarse", b"", b"the finest details"])
THREE_ENDS = [len(pack(replace(THREE, layers=1), [b"coarse"])) + 2]
THREE_ENDS += [THREE_ENDS[0] + 1 + 3]


@st.composite
def headers(draw):
    sides = st.tuples(st.integers(1, 8000), st.integers(1, 8000))
    model = draw(st.binary(min_size=4, max_size=4) | st.sampled_from(CODEBOOKS))
    grey, layers = draw(st.booleans()), draw(st.integers(1, 8))
    if draw(st.booleans()):
        grid = Grid(draw(st.integers(1, 18)), draw(st.integers(1, 18)))
        size = draw(sides | st.just((256 * grid.columns, 256 * grid.rows)))
        layout = TileLayout(grid, draw(st.integers(1, 256)))
        return Header(model, *size, layout, grey, False, layers)
    size = draw(sides | st.just((256, 256)))
    alpha = draw(st.booleans())
    if draw(st.booleans()):
        return Header(model, *size, IndexedLayout(draw(st.integers(1, 256))), grey, alpha)
    numbers = draw(st.integers(0, 255)), draw(st.integers(0, 300))
    layout = TransformLayout(*numbers, draw(st.booleans()), alpha and draw(st.booleans()))
    return Header(model, *size, layout, grey, alpha, layers)


def crc(data):
    return zlib.crc32(data).to_bytes(4, "little")[:3]


def sealed(*parts, start=b"\x97V", model=MODEL, flags=b"\0"):
    """Spell out a file of one layer with a right CRC."""
    data = start + flags + model + b"".join(parts)
    return data + crc(data)


def least(header):
    """Bytes of the first layer, at the least."""
    tiles = header.layout.grid.tiles if isinstance(header.layout, TileLayout) else 0
    return -(-tiles // 8)


def test_golden_bytes_of_a_transform():
    header = Header(b"\x01\x02\x03\x04", 768, 512, TransformLayout(91, 24, False), True, True, 3)
    first = b"\x97V\x0a\x2a\x01\x02\x03\x04" + b"\x5b\x18" + b"\x80\x06\x80\x04" + b"\x02ab"
    second, third = b"\x00", b"c"
    data = first + crc(first) + second + crc(first + second)
    data += third + crc(first + second + third)
    assert pack(header, [b"ab", b"", b"c"]) == data


def test_golden_bytes_of_tiles():
    header = Header(b"\x01\x02\x03\x04", 768, 512, TileLayout(Grid(2, 3), 32), layers=2)
    first = b"\x97V\x0d\x01\x01\x02\x03\x04" + b"\x21\x1f" + b"\x02ab"
    data = first + crc(first) + b"c" + crc(first + b"c")
    assert pack(header, [b"ab", b"c"]) == data


def test_golden_bytes_of_the_shortest_file():
    header = Header(CODEBOOKS[0], 256, 256, TransformLayout(7, 1))
    assert pack(header, [b""]) == sealed(b"\x07\x01", model=b"", flags=b"\x14")


@pytest.mark.parametrize(
    ("grid", "field"),
    [
        (Grid(rows=16, columns=15), "ef"),
        (Grid(rows=15, columns=16), "fe"),
        (Grid(rows=16, columns=16), "ff1010"),
        (Grid(rows=1, columns=17), "ff1101"),
        (Grid(rows=300, columns=1), "ff01ac02"),
    ],
)
def test_golden_bytes_of_grids(grid, field):
    data = pack(replace(TILE, layout=TileLayout(grid, 3), width=1, height=1), [bytes(40)])
    assert data[7:-46].hex() == field
    assert unpack(data).header.layout.grid == grid


def test_codebook_ids_never_change():
    assert [codebook.hex() for codebook in CODEBOOKS] == CODEBOOK_IDS


CODEBOOK_IDS = ["c72f62a3"]


def test_layers_of_tiles_end_at_a_quarter_each():
    assert TileLayout(Grid(1, 1), 256).boundaries(4) == [4, 16, 64, 256]
    assert TileLayout(Grid(1, 1), 5).boundaries(3) == [1, 2, 5]
    assert TileLayout(Grid(1, 1), 1).boundaries(8) == [1] * 8


@given(headers(), st.data())
@settings(deadline=None, max_examples=100)
def test_unpack_inverts_pack(header, data):
    payloads = [data.draw(st.binary(max_size=300)) for _ in range(header.layers)]
    payloads[0] = payloads[0].ljust(least(header), b"x")
    packed = pack(header, payloads)
    contents = unpack(packed, max_pixels=2**30)
    assert (contents.header, contents.payloads, contents.whole) == (header, payloads, True)
    assert packed_size(header, list(map(len, payloads))) == len(packed)


@pytest.mark.parametrize(
    ("change", "cost"),
    [
        ({"model": CODEBOOKS[0]}, 8),
        ({}, 12),
        ({"width": 768, "height": 512}, 16),
        ({"model": CODEBOOKS[0], "width": 768, "height": 512}, 12),
    ],
)
def test_cost_beyond_the_payload(change, cost):
    payload = bytes(750)
    data = pack(replace(WHOLE, **change), [payload])
    assert len(data) - len(payload) == cost
    assert (unpack(data).header_bytes, unpack(data).total_bytes) == (cost - 3, cost + 750)


def test_a_short_first_layer_of_tiles_is_padded_to_a_bit_per_tile():
    header = replace(TILE, layout=TileLayout(Grid(3, 3), 1))
    assert unpack(pack(header, [b""])).payloads == [b"\0\0"]


@pytest.mark.parametrize("data", [ONE_LAYER, THREE_LAYERS], ids=["one layer", "three layers"])
def test_every_truncation_is_refused(data):
    for end in range(len(data)):
        with pytest.raises(FormatError):
            unpack(data[:end])


@pytest.mark.parametrize("data", [ONE_LAYER, THREE_LAYERS], ids=["one layer", "three layers"])
def test_every_flipped_bit_is_refused(data):
    for position in range(8 * len(data)):
        with pytest.raises(FormatError):
            unpack(flipped(data, position))


def flipped(data, position):
    damaged = bytearray(data)
    damaged[position // 8] ^= 1 << position % 8
    return bytes(damaged)


def test_intact_layers_of_a_damaged_file_are_returned_on_request():
    whole = unpack(THREE_LAYERS)
    cases = [(end, THREE_LAYERS[:end]) for end in range(len(THREE_LAYERS))]
    cases += [(i // 8, flipped(THREE_LAYERS, i)) for i in range(8 * len(THREE_LAYERS))]
    for hurt, data in cases:
        intact = sum(hurt >= end for end in THREE_ENDS)
        if not intact:
            with pytest.raises(FormatError):
                unpack(data, partial=True)
            continue
        with pytest.raises(Truncated, match=f"{intact} of 3 layers"):
            unpack(data)
        contents = unpack(data, partial=True)
        assert (contents.header, contents.whole) == (whole.header, False)
        assert contents.payloads == whole.payloads[:intact]


def test_a_damaged_length_leaves_the_first_layer():
    data = THREE_LAYERS[: THREE_ENDS[0]] + b"\xff" * 20
    assert unpack(data, partial=True).payloads == [b"coarse"]


def test_layers_of_two_files_do_not_make_a_third():
    header = replace(WHOLE, layers=2)
    a, b = pack(header, [b"A", b"a"]), pack(header, [b"B", b"b"])
    with pytest.raises(Truncated):
        unpack(a[:-4] + b[-4:])


@pytest.mark.parametrize("prefix", [b"", b"\x97V", ONE_LAYER[:9]])
def test_random_bytes_are_refused(prefix):
    rng = random.Random(0)
    for _ in range(10_000):
        with pytest.raises(FormatError):
            unpack(prefix + rng.randbytes(rng.randrange(80)), partial=True)


LARGEST = b"\xff\xff\x7f"  # 2^21 - 1


def test_a_mask_is_a_flag_beside_alpha():
    header = Header(MODEL, 256, 256, TransformLayout(7, 1, True, True), alpha=True)
    assert pack(header, [b""]) == sealed(b"\x07\x01", flags=b"\x0c\x48")
    with pytest.raises(FormatError, match="no mask"):
        replace(header, alpha=False)


TILES, MORE = b"\x01", b"\x08"  # flags: tiles; another byte of flags follows
BOTH = b"\x09"
HOSTILE = {
    "huge sides": (sealed(b"\0\1", LARGEST * 2, b"x"), "more than the limit"),
    "sides beyond three bytes": (sealed(b"\0\1", b"\xff\xff\xff\x7f" * 2, b"x"), "stored"),
    "a varint without end": (sealed(b"\xff" * 40), "too long"),
    "a varint longer than it needs": (sealed(b"\0\1\x81\x00\1", b"x"), "too long"),
    "no width": (sealed(b"\0\1\0\1", b"x"), "stored"),
    "no height": (sealed(b"\0\1\1\0", b"x"), "stored"),
    "too many blocks": (sealed(b"\0\xff\xff\xff\x7f\1\1", b"x"), "stored"),
    "no columns": (sealed(b"\xff\0\x11\0\1\1", b"x", flags=TILES), "no tiles"),
    "no rows": (sealed(b"\xff\x11\0\0\1\1", b"x", flags=TILES), "no tiles"),
    "a grid longer than it needs": (sealed(b"\xff\1\1\0\1\1x", flags=TILES), "shortest form"),
    "a huge grid": (sealed(b"\xff", LARGEST * 2, b"\0\1\1", b"x", flags=TILES), "too short"),
    "a huge grid, filled": (sealed(b"\xff", LARGEST * 2, b"\0x", flags=b"\5"), "stored"),
    "an unknown codebook": (sealed(b"\0\1\1\1", b"x", model=b"", flags=b"\xf0"), "codebook 15"),
    "tiles with a palette": (sealed(b"\0\0\1\1", b"x", flags=BOTH + b"\x80"), "unknown flags"),
    "a palette with a mask": (sealed(b"\0\1\1", b"x", flags=MORE + b"\xc8"), "unknown flags"),
    "a palette with a network": (sealed(b"\0\1\1", b"x", flags=MORE + b"\xa0"), "unknown flags"),
    "a palette in layers": (sealed(b"\0\1\1", b"x", flags=MORE + b"\x81"), "unknown flags"),
    "a mask without alpha": (sealed(b"\0\1\1\1", b"x", flags=MORE + b"\x40"), "newer"),
    "tiles with a mask": (sealed(b"\0\0\1\1", b"x", flags=BOTH + b"\x48"), "unknown flags"),
    "more flags, and none of them": (sealed(b"\0\1\1\1", b"x", flags=MORE + b"\0"), "unknown"),
    "tiles with alpha": (sealed(b"\0\0\1\1", b"x", flags=BOTH + b"\x08"), "unknown flags"),
    "tiles without a network": (sealed(b"\0\0\1\1", b"x", flags=BOTH + b"\x20"), "unknown flags"),
    "version 0": (sealed(b"\0\1\1\1", b"x", start=b"\x97T"), "version 0.*a draft"),
    "version 1": (sealed(b"\0\1\1\1", b"x", start=b"\x97U"), "version 1.*a draft"),
    "version 3": (sealed(b"\0\1\1\1", b"x", start=b"\x97W"), "version 3.*too old"),
    "another format": (sealed(b"\0\1\1\1", b"x", start=b"\x97S"), "not a .ttk"),
    "a bit short of a byte for nine tiles": (sealed(b"\x80\0\1\1", b"x", flags=TILES), "too short"),
    "no payload": (sealed(b"\0\0\1\1", flags=TILES), "too short"),
    "a critical section": (
        sealed(b"\0\1\1\1", b"\2\x80\0", b"x", flags=MORE + b"\x10"),
        "section 128",
    ),
    "sections past the end": (
        sealed(b"\0\1\1\1", b"\x7f\1\0", b"x", flags=MORE + b"\x10"),
        "ends inside",
    ),
    "a section past its end": (
        sealed(b"\0\1\1\1", b"\2\1\1", b"xxxx", flags=MORE + b"\x10"),
        "ends inside",
    ),
}


@pytest.mark.parametrize(("data", "message"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_headers_are_refused_in_little_memory(data, message):
    tracemalloc.start()
    try:
        with pytest.raises(FormatError, match=message):
            unpack(data)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_unknown_sections_below_128_are_skipped():
    sections = b"\x01\x02hi\x7f\x00"
    data = sealed(b"\0\1\1\1", bytes([len(sections)]), sections, b"payload", flags=MORE + b"\x10")
    assert unpack(data).payloads == [b"payload"]
    assert unpack(data).header == Header(MODEL, 1, 1, TransformLayout(0, 1))


def test_the_limit_on_pixels_can_be_set():
    large = pack(replace(WHOLE, width=20_000, height=20_000), [b"x"])
    assert unpack(large, max_pixels=400_000_000).header.width == 20_000
    for limit in (None, 399_999_999):
        with pytest.raises(PixelLimitError, match="20000 x 20000"):
            unpack(large, max_pixels=limit)


@pytest.mark.parametrize("change", [{"width": 0}, {"height": 2**21}, {"layers": 0}, {"layers": 9}])
def test_headers_that_cannot_be_stored_are_refused(change):
    with pytest.raises(FormatError):
        replace(WHOLE, **change)


@pytest.mark.parametrize("tokens", [0, 257])
def test_tiles_have_1_to_256_tokens(tokens):
    with pytest.raises(FormatError):
        TileLayout(Grid(1, 1), tokens)


@pytest.mark.parametrize("field", [{"step": -1}, {"step": 256}, {"blocks": -1}])
def test_transforms_that_cannot_be_stored_are_refused(field):
    with pytest.raises(FormatError):
        TransformLayout(**{"step": 1, "blocks": 1} | field)


def test_wrong_arguments_are_value_errors():
    with pytest.raises(ValueError, match="4 bytes"):
        replace(WHOLE, model=bytes(32))
    with pytest.raises(ValueError, match="payloads"):
        pack(WHOLE, [b"a", b"b"])


def test_the_worked_example_of_the_spec():
    dump = re.search(r"```hexdump\n(.*?)```", SPEC.read_text(), re.DOTALL).group(1)
    data = bytes.fromhex("".join(line.partition("#")[0] for line in dump.splitlines()))
    contents = unpack(data)
    layout = TileLayout(Grid(rows=1, columns=2), tokens=5)
    assert contents.header == Header(b"\xc0\xff\xee\x01", 640, 360, layout, layers=2)
    assert (contents.header_bytes, contents.total_bytes) == (14, len(data))
    tokens = entropy.unpack(contents.payloads, 2, layout.boundaries(2), 4096)
    left, right = [0x111, 0x222, 0x333, 0x444, 0x555], [0x6AA, 0x7BB, 0x0CC, 0x1DD, 0x2EE]
    assert tokens.tolist() == [left, right]
    assert data == pack(contents.header, contents.payloads)
