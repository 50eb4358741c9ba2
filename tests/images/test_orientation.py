"""Images are turned upright by the one tag that says so, whatever is beside it."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from pngs import chunk, png
from tiffs import directory, tiff

from titokzip import images

ORIENTATION = 0x0112
PIXELS = np.arange(18, dtype=np.uint8).reshape(2, 3, 3) * 14  # [2, 3, 3]
TURNS = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # the Image.Transpose that was done to it


def exif(value=6, order="<", *others, kind=3):
    entries = [*others, (ORIENTATION, kind, 1, value)]
    return b"Exif\0\0" + directory(sorted(entries), order)


def xmp(value=6):
    return f'<x:xmpmeta xmlns:x="adobe:ns:meta/" tiff:Orientation="{value}"/>'.encode()


def saved(kind="PNG", image=None, **options):
    file = io.BytesIO()
    (image or Image.fromarray(PIXELS)).save(file, kind, **options)
    return file.getvalue()


def turned(data):
    """Tell whether an image was turned by a quarter."""
    image = images.read(data)
    assert image.size == image.image.size
    return image.size == (2, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_every_orientation(kind, orientation):
    stored = upright = Image.fromarray(PIXELS)
    if orientation in TURNS:
        stored = upright.transpose(Image.Transpose(TURNS[orientation]))
    tag = Image.Exif()
    tag[ORIENTATION] = orientation
    options = {"lossless": True} if kind == "WEBP" else {}
    image = images.read(saved(kind, stored, exif=tag, **options))
    assert np.array_equal(np.asarray(image.image), PIXELS)
    assert image.size == (3, 2)


RATIONAL, ASCII, UNDEFINED = 5, 2, 7


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    "other",
    [
        (0x011A, RATIONAL, 1, 8),  # a resolution of -1/0 or so
        (0x011A, ASCII, 9, 200),  # which is a text beyond the end
        (0x0110, ASCII, 2**32 - 1, 0),
        (0x8769, 4, 1, 2**31),  # a directory that is nowhere
        (0x9286, UNDEFINED, 2**31, 7),
        (0x0100, 99, 1, 0),  # of a type that does not exist
    ],
)
def test_no_other_tag_hides_the_orientation(order, other):
    data = exif(6, order, other)
    assert turned(saved("JPEG", exif=data))
    assert turned(saved("WEBP", exif=data))
    assert turned(png(chunk(b"eXIf", data[6:])))


def test_no_other_tag_hides_the_orientation_of_a_tiff_file():
    data = tiff(PIXELS.tobytes(), 3, 2, tag_262=2, tag_277=3, tag_274=6, tag_296=2, tag_282=7)
    assert turned(data)


@pytest.mark.parametrize("kind", [1, 3, 4])
def test_integers_of_any_type_count(kind):
    value = struct.pack("<I", 6)
    assert turned(saved("JPEG", exif=exif(value, kind=kind)))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"Exif\0\0",
        b"Exif\0\0MM\0*\0\0",
        b"Exif\0\0II garbage",
        b"garbage",
        exif(6)[:-9],
        exif(9),
        exif(0),
        b"Exif\0\0II*\0" + struct.pack("<I", 2**32 - 1) + bytes(40),
    ],
)
def test_damaged_exif_data_turn_nothing(data):
    assert not turned(saved("JPEG", exif=data))
    assert not turned(png(chunk(b"eXIf", data)))


def test_a_cut_directory_is_read_to_its_end():
    """A count of entries that is too high hides none of those that are there."""
    data = exif(6)
    many = data[:14] + struct.pack("<H", 5000) + data[16:]
    assert turned(png(chunk(b"eXIf", many[6:])))


def test_xmp_counts_where_exif_has_no_orientation():
    empty = b"Exif\0\0" + directory([(0x0128, 3, 1, 2)])
    assert turned(saved("JPEG", xmp=xmp()))
    assert turned(saved("WEBP", xmp=xmp()))
    assert turned(saved("JPEG", xmp=xmp(), exif=empty))
    assert not turned(saved("JPEG", xmp=xmp(), exif=exif(1)))
    element = b"<rdf><tiff:Orientation>8</tiff:Orientation></rdf>"
    assert turned(saved("JPEG", xmp=element))


def test_texts_of_png_files_count():
    packed = zlib.compress(xmp())
    head = b"XML:com.adobe.xmp\0"
    assert turned(png(chunk(b"iTXt", head + b"\0\0\0\0" + xmp())))
    assert turned(png(chunk(b"iTXt", head + b"\1\0en\0translated\0" + packed)))
    digits = exif().hex().encode()
    text = b"\nexif\n%8d\n%s\n" % (len(exif()), digits)
    assert turned(png(chunk(b"tEXt", b"Raw profile type exif\0" + text)))
    assert turned(png(chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(text))))
    assert not turned(png(chunk(b"tEXt", b"Raw profile type exif\0\nexif\n 9\nno digits\n")))


def test_images_of_pillow_are_turned():
    with Image.open(io.BytesIO(saved("JPEG", exif=exif()))) as image:
        assert images.plain(image).size == (2, 3)
