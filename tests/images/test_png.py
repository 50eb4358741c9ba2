"""PNG files: chunks that do not matter refuse nothing, and rows come without the whole image."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageFile, PngImagePlugin
from pngs import SIGNATURE, chunk, header, noise, png

from titokzip import images
from titokzip.errors import ImageError
from titokzip.images.png import Png

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def colours(data):
    return np.asarray(images.read(data).image)


LONG = b"workflow\0\0" + zlib.compress(b"a" * 3_000_000)
KINDS = [
    chunk(b"zTXt", LONG),
    chunk(b"tEXt", b"parameters\0" + b"a" * 3_000_000),
    chunk(b"iTXt", b"parameters\0\1\0\0\0" + zlib.compress(b"a" * 3_000_000)),
    chunk(b"zTXt", LONG) * 40,
    chunk(b"iCCP", b"long\0\0" + zlib.compress(PROFILE.ljust(3_000_000, b"\0"))),
    chunk(b"pHYs", bytes(9), damage=1),
    chunk(b"tIME", bytes(7), damage=1),
    chunk(b"tEXt", b"Comment\0words", damage=1),
    chunk(b"gAMA", struct.pack(">I", 100000), damage=1),
    chunk(b"cICP", bytes([12, 13, 0, 1]), damage=1),
    chunk(b"cHRM", bytes(32), damage=1),
    chunk(b"iCCP", b"x\0\0no profile"),
    chunk(b"iCCP", b""),
    chunk(b"eXIf", b"Exif", damage=1),
    chunk(b"acTL", b""),
    chunk(b"gAMA", b""),
    chunk(b"sRGB", b""),
    chunk(b"cHRM", bytes(5)),
    chunk(b"abCd", bytes(1000), damage=9),
    chunk(b"tEXt", b""),
    chunk(b"zTXt", b"Raw profile type exif\0\0no deflate"),
    chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0no deflate"),
]


@pytest.mark.parametrize("extra", KINDS, ids=range(len(KINDS)))
def test_chunks_that_do_not_matter_change_nothing(extra):
    assert np.array_equal(colours(png(extra)), colours(png()))
    assert np.array_equal(colours(png() + extra), colours(png()))


def test_settings_of_pillow_stay_as_they_are():
    before = PngImagePlugin.MAX_TEXT_CHUNK, Image.MAX_IMAGE_PIXELS
    colours(png(chunk(b"zTXt", LONG)))
    assert before == (PngImagePlugin.MAX_TEXT_CHUNK, Image.MAX_IMAGE_PIXELS)
    assert not ImageFile.LOAD_TRUNCATED_IMAGES


def test_chunks_that_make_pixels_must_be_right():
    palette = chunk(b"PLTE", bytes(6), damage=1)
    with pytest.raises(ImageError, match="checksum"):
        images.read(png(palette, colour=3, pixel=(0,)))
    data = png()
    for at in (20, len(SIGNATURE) + 25 + 12):  # in the header, and in the compressed pixels
        damaged = bytearray(data)
        damaged[at] ^= 0xFF
        with pytest.raises(ImageError, match=r"damaged|more than the limit"):
            images.read(bytes(damaged))


def test_an_end_that_never_comes_is_refused():
    rows = (b"\0" + bytes(9)) * 2
    tail = chunk(b"IDAT", zlib.compress(rows[:12]))
    with pytest.raises(ImageError, match="truncated"):
        images.read(SIGNATURE + header(3, 2) + tail + chunk(b"IEND", b""))
    many = chunk(b"IDAT", bytes(2**20)) * 3
    with pytest.raises(ImageError, match="more data than its pixels take"):
        images.read(SIGNATURE + header(3, 2) + many)


def test_frames_are_counted():
    animated = chunk(b"acTL", struct.pack(">II", 7, 0))
    assert images.read(png(animated)).frames == 7
    assert images.read(png()).frames == 1


DEPTHS = [(1, 0), (2, 0), (4, 0), (8, 0), (16, 0), (8, 2), (16, 2), (1, 3), (4, 3), (8, 3)]
DEPTHS += [(8, 4), (16, 4), (8, 6), (16, 6)]


@pytest.mark.parametrize(("depth", "colour"), DEPTHS)
@pytest.mark.parametrize("rows", [1, 7, 100])
def test_bands_are_the_image(depth, colour, rows):
    extra = [chunk(b"PLTE", bytes(range(3 * min(2**depth, 85))))] if colour == 3 else []
    data = png(
        *extra, width=37, height=23, depth=depth, colour=colour, rows=noise(37, 23, depth, colour)
    )
    whole = Image.open(io.BytesIO(data))
    bands = list(Png(io.BytesIO(data)).bands(rows))
    assert [band.height for band in bands][:-1] == [rows] * (len(bands) - 1)
    assert {band.mode for band in bands} == {whole.mode}
    joined = np.concatenate([np.asarray(band.convert("RGBA")) for band in bands])
    if not whole.mode.startswith("I"):
        assert np.array_equal(joined, np.asarray(whole.convert("RGBA")))
    else:
        levels = np.concatenate([np.asarray(band) for band in bands])
        assert np.array_equal(levels, np.asarray(whole))


def test_bands_of_a_cut_image_end_in_one_line():
    data = png(width=40, height=40, rows=noise(40, 40, 8, 2))
    with pytest.raises(ImageError, match="damaged: it ends before its last row"):
        list(Png(io.BytesIO(data[:2000])).bands(8))


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_a_transparent_level_of_any_depth_is_seen(depth):
    top = 2**depth - 1
    levels = np.arange(16) % (top + 1)
    levels[-1] = top
    bits = levels[:, None] >> np.arange(depth)[::-1] & 1
    rows = b"\0" + np.packbits(bits.astype(np.uint8).ravel()).tobytes()
    for clear in {0, 1, top}:
        extra = chunk(b"tRNS", struct.pack(">H", clear))
        source = png(extra, width=16, height=1, depth=depth, colour=0, rows=rows)
        alpha = np.asarray(images.read(source, keep_alpha=True).alpha).ravel()
        assert np.array_equal(alpha == 0, levels == clear), clear


@pytest.mark.parametrize("clear", [0, 0x1234, 0xFFFF])
def test_a_transparent_colour_of_sixteen_bits_is_seen(clear):
    pixels = [clear, clear, clear, 0x8042, clear, clear]
    source = png(
        chunk(b"tRNS", struct.pack(">3H", *pixels[:3])),
        width=2, height=1, depth=16, rows=b"\0" + struct.pack(">6H", *pixels),
    )  # fmt: skip
    alpha = np.asarray(images.read(source, keep_alpha=True).alpha)
    assert alpha.tolist() == [[0, 255]]


def test_a_header_that_comes_second_is_read():
    whole = png(chunk(b"tRNS", bytes([0, 100, 0, 180, 0, 90])))
    late = SIGNATURE + chunk(b"tEXt", b"a\0b") + whole[len(SIGNATURE) :]
    assert not np.asarray(images.read(late, keep_alpha=True).alpha).any()
    assert len(list(Png(io.BytesIO(late)).bands(1))) == 2


def test_pixels_that_end_too_early_are_damage():
    """What Pillow is given ends where the file does: no later chunk is read as pixels."""
    image = Image.new("RGB", (400, 300), "white")
    image.paste((20, 120, 60), (0, 150, 400, 300))
    image.paste(Image.effect_noise((90, 80), 90).convert("RGB"), (30, 40))
    saved = io.BytesIO()
    image.save(saved, "PNG")
    whole, expected = saved.getvalue(), np.asarray(image)
    for cut in range(12, 60):
        try:
            read = images.read(whole[:-cut])
        except ImageError:
            continue
        assert np.array_equal(np.asarray(read.image), expected), cut


def test_metadata_is_inflated_once(monkeypatch):
    text = b"\nexif\n 4\n" + b"00" * 4
    profile = chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(text))
    seen = []
    monkeypatch.setattr(
        "titokzip.images.png_metadata.inflate", lambda data: seen.append(data) or text
    )
    assert Png(io.BytesIO(png(profile, profile, profile))).image.info["exif"] == bytes(4)
    assert len(seen) == 1
