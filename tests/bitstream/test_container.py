"""The file format: exact bytes, what is refused, and how little a hostile file can make us do."""

import random
import re
import tracemalloc
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from titokzip import entropy
from titokzip.bitstream.container import pack, unpack
from titokzip.bitstream.header import CODES, Coder, Header
from titokzip.errors import FormatError, Truncated
from titokzip.tiling import Grid

SPEC = Path(__file__).parents[2] / "docs" / "format.md"
ONE = Header(b"\xde\xad\xbe\xef", 256, 256, Grid(1, 1), 256)
ONE_LAYER = pack(ONE, [b"0123456789abcdef"])
THREE = Header(b"\xde\xad\xbe\xef", 300, 200, Grid(2, 3), 32, (32, 1, 2, 3, 4, 5), layers=3)
THREE_LAYERS = pack(THREE, [b"coarse", b"", b"the finest details"])
THREE_ENDS = [len(pack(replace(THREE, layers=1), [b"coarse"])) + 1]
THREE_ENDS += [THREE_ENDS[0] + 1 + 3]


@st.composite
def headers(draw):
    grid = Grid(draw(st.integers(1, 18)), draw(st.integers(1, 18)))
    tokens = draw(st.integers(1, 256))
    counts = None
    if draw(st.booleans()):
        rest = [draw(st.integers(1, tokens)) for _ in range(grid.tiles - 1)]
        counts = tuple(draw(st.permutations([tokens, *rest])))
    sides = st.tuples(st.integers(1, 8000), st.integers(1, 8000))
    return Header(
        draw(st.binary(min_size=4, max_size=4) | st.sampled_from(CODES)),
        *draw(sides | st.just((256 * grid.columns, 256 * grid.rows))),
        grid,
        tokens,
        counts,
        draw(st.sampled_from(Coder)),
        draw(st.booleans()),
        draw(st.integers(1, 8)),
    )


def check(data):
    return zlib.crc32(data).to_bytes(4, "little")[:3]


def sealed(*parts, start=b"\x97U", model=b"\xde\xad\xbe\xef", flags=b"\0"):
    """Spell a file of one layer out, with a check that is right."""
    data = start + flags + model + b"".join(parts)
    return data + check(data)


def test_golden_bytes_field_by_field():
    header = Header(b"\x01\x02\x03\x04", 768, 512, Grid(2, 3), 32, None, Coder.RANGE, True, 3)
    first = b"\x97U\x0f\x02\x01\x02\x03\x04\x21\x1f" + b"\x02ab"
    second, third = b"\x00", b"c"
    data = first + check(first) + second + check(first + second)
    data += third + check(first + second + third)
    assert pack(header, [b"ab", b"", b"c"]) == data
    assert data.hex() == "97550f0201020304211f026162c44e9d006a7489635dde90"


def test_golden_bytes_of_the_shortest_file():
    header = Header(CODES[0], 256, 256, Grid(1, 1), 64, coder=Coder.RANGE)
    assert pack(header, [b"!"]) == sealed(b"\x00\x3f", b"!", model=b"", flags=b"\x15")


def test_golden_bytes_with_a_count_for_each_tile():
    header = Header(b"abcd", 1, 2, Grid(2, 1), 7, (3, 7))
    assert pack(header, [b"\xff"]) == sealed(
        b"\x01\x02\x01\x06", b"\x02\x06", b"\xff", model=b"abcd", flags=b"\x08\x08"
    )


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
    data = pack(replace(ONE, grid=grid, width=1, height=1), [bytes(40)])
    assert data[9:-44].hex() == field
    assert unpack(data).header.grid == grid


def test_numbers_of_codes_never_change():
    assert [code.hex() for code in CODES] == ["33b21aec", "1ee5173c"]


def test_stops_are_a_quarter_each():
    assert replace(ONE, layers=4).stops == [4, 16, 64, 256]
    assert replace(ONE, tokens=5, layers=3).stops == [1, 2, 5]
    assert replace(ONE, tokens=1, layers=8).stops == [1] * 8


@given(headers(), st.data())
@settings(deadline=None, max_examples=100)
def test_unpack_inverts_pack(header, data):
    payloads = [data.draw(st.binary(max_size=300)) for _ in range(header.layers)]
    payloads[0] = payloads[0].ljust(-(-header.grid.tiles // 8), b"x")
    contents = unpack(pack(header, payloads), max_pixels=2**30)
    assert (contents.header, contents.payloads, contents.whole) == (header, payloads, True)


@pytest.mark.parametrize(
    ("change", "cost"),
    [({"model": CODES[0]}, 8), ({}, 12), ({"width": 255}, 16), ({"grid": Grid(20, 300)}, 19)],
)
def test_what_a_file_costs_beyond_its_payload(change, cost):
    payload = bytes(750)
    data = pack(replace(ONE, **change), [payload])
    assert len(data) - len(payload) == cost
    assert (unpack(data).header_bytes, unpack(data).total_bytes) == (cost - 3, cost + 750)


def test_a_short_first_layer_is_filled_with_zeros_to_a_bit_for_each_tile():
    header = replace(ONE, grid=Grid(3, 3))
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


def test_intact_layers_of_a_damaged_file_come_back_on_request():
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


def test_a_layer_length_that_is_no_number_leaves_the_first_layer():
    data = THREE_LAYERS[: THREE_ENDS[0]] + b"\xff" * 20
    assert unpack(data, partial=True).payloads == [b"coarse"]


def test_layers_of_two_files_do_not_make_a_third():
    header = replace(ONE, layers=2)
    a, b = pack(header, [b"A", b"a"]), pack(header, [b"B", b"b"])
    with pytest.raises(Truncated):
        unpack(a[:-4] + b[-4:])


@pytest.mark.parametrize("prefix", [b"", b"\x97U", ONE_LAYER[:9]])
def test_random_bytes_are_refused(prefix):
    rng = random.Random(0)
    for _ in range(10_000):
        with pytest.raises(FormatError):
            unpack(prefix + rng.randbytes(rng.randrange(80)), partial=True)


LARGEST = b"\xff\xff\x7f"  # 2^21 - 1
MORE = b"\x08"  # flags: another byte of flags follows
HOSTILE = {
    "huge sides": (sealed(LARGEST * 2, b"\0\0", b"x"), "--max-pixels"),
    "sides beyond three bytes": (sealed(b"\xff\xff\xff\x7f" * 2, b"\0\0", b"x"), "stored"),
    "a varint without end": (sealed(b"\xff" * 40), "too long"),
    "a varint longer than it needs": (sealed(b"\x81\x00\1\0\0", b"x"), "too long"),
    "no width": (sealed(b"\0\1\0\0", b"x"), "stored"),
    "no height": (sealed(b"\1\0\0\0", b"x"), "stored"),
    "no columns": (sealed(b"\1\1\xff\0\x11\0", b"x"), "no tiles"),
    "no rows": (sealed(b"\1\1\xff\x11\0\0", b"x"), "no tiles"),
    "no rows, with counts": (sealed(b"\1\1\xff\x11\0\0", flags=MORE + b"\x08"), "no tiles"),
    "a grid longer than it needs": (sealed(b"\1\1\xff\1\1\0", b"x"), "than the grid needs"),
    "a huge grid": (sealed(b"\1\1\xff", LARGEST * 2, b"\0", b"x"), "fewer bytes"),
    "a huge grid, filled": (sealed(b"\xff", LARGEST * 2, b"\0x", flags=b"\4"), "stored"),
    "a huge grid with counts": (
        sealed(b"\1\1\xff", LARGEST * 2, b"\0", b"x", flags=MORE + b"\x08"),
        "ends inside",
    ),
    "a code not known yet": (sealed(b"\1\1\0\0", b"x", model=b"", flags=b"\xf0"), "code 15"),
    "flags not known yet": (sealed(b"\1\1\0\0", b"x", flags=MORE + b"\x20"), "newer"),
    "more flags, and none of them": (sealed(b"\1\1\0\0", b"x", flags=MORE + b"\0"), "unknown"),
    "version 0": (sealed(b"\1\1\0\0", b"x", start=b"\x97T"), "version 0.*a draft"),
    "version 2": (sealed(b"\1\1\0\0", b"x", start=b"\x97V"), "version 2.*too old"),
    "another format": (sealed(b"\1\1\0\0", b"x", start=b"\x97S"), "not a .ttk"),
    "counts above the most": (
        sealed(b"\1\1\x10\1", b"\0\2", b"x", flags=MORE + b"\x08"),
        "do not fit",
    ),
    "counts below the most": (
        sealed(b"\1\1\x10\1", b"\0\0", b"x", flags=MORE + b"\x08"),
        "do not fit",
    ),
    "a bit short of a byte for nine tiles": (sealed(b"\1\1\x80\0", b"x"), "fewer bytes"),
    "no payload": (sealed(b"\1\1\0\0"), "fewer bytes"),
    "a critical section": (
        sealed(b"\1\1\0\0", b"\2\x80\0", b"x", flags=MORE + b"\x10"),
        "section 128",
    ),
    "sections past the end": (
        sealed(b"\1\1\0\0", b"\x7f\1\0", b"x", flags=MORE + b"\x10"),
        "ends inside",
    ),
    "a section past its end": (
        sealed(b"\1\1\0\0", b"\2\1\1", b"xxxx", flags=MORE + b"\x10"),
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


def test_unknown_sections_that_may_be_skipped_are_skipped():
    sections = b"\x01\x02hi\x7f\x00"
    data = sealed(b"\1\1\0\0", bytes([len(sections)]), sections, b"payload", flags=MORE + b"\x10")
    assert unpack(data).payloads == [b"payload"]
    assert unpack(data).header == replace(ONE, width=1, height=1, tokens=1)


def test_the_limit_on_pixels_grows_with_the_file_and_can_be_set():
    large = pack(replace(ONE, width=10_000, height=10_000), [b"x"])
    assert unpack(large, max_pixels=10**8).header.width == 10_000
    with pytest.raises(FormatError, match="--max-pixels"):
        unpack(large, max_pixels=10**8 - 1)
    assert unpack(pack(replace(ONE, width=10_000, height=10_000), [bytes(25_000)])).whole


@pytest.mark.parametrize(
    "change",
    [
        {"width": 0},
        {"height": 2**21},
        {"tokens": 0},
        {"tokens": 257},
        {"layers": 0},
        {"layers": 9},
        {"counts": (256, 1)},
        {"counts": (255,)},
        {"counts": (256, 0), "grid": Grid(1, 2)},
    ],
)
def test_headers_that_cannot_be_stored_are_refused(change):
    with pytest.raises(FormatError):
        replace(ONE, **change)


def test_wrong_arguments_are_value_errors():
    with pytest.raises(ValueError, match="4 bytes"):
        replace(ONE, model=bytes(32))
    with pytest.raises(ValueError, match="payloads"):
        pack(ONE, [b"a", b"b"])


def test_the_worked_example_of_the_spec():
    dump = re.search(r"```hexdump\n(.*?)```", SPEC.read_text(), re.DOTALL).group(1)
    data = bytes.fromhex("".join(line.partition("#")[0] for line in dump.splitlines()))
    contents = unpack(data)
    assert contents.header == Header(
        b"\xc0\xff\xee\x01", 640, 360, Grid(rows=1, columns=2), tokens=5, layers=2
    )
    assert (contents.header_bytes, contents.total_bytes) == (14, len(data))
    tokens = entropy.unpack(contents.payloads, np.full(2, 5), contents.header.stops, 4096)
    left, right = [0x111, 0x222, 0x333, 0x444, 0x555], [0x6AA, 0x7BB, 0x0CC, 0x1DD, 0x2EE]
    assert tokens.tolist() == [left, right]
    assert data == pack(contents.header, contents.payloads)
