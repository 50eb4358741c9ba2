"""Only the formats on the list are read, whatever a file is called, and others are named."""

import io
import struct
import subprocess
import sys
import types

import numpy as np
import pytest
from photos import photo
from PIL import EpsImagePlugin, Image, ImageFile
from tiffs import tiff

from titokzip import images
from titokzip.errors import ImageError


def refused(data, message):
    with pytest.raises(ImageError, match=message):
        images.read(data)


def test_no_other_program_is_started(tmp_path, monkeypatch):
    """PostScript under the name of a PNG: Pillow alone would have Ghostscript run it."""
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a program is started"))
    monkeypatch.setattr(subprocess, "check_call", lambda *_, **__: pytest.fail("likewise"))
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", "gs")
    (tmp_path / "a.png").write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"
    )
    with pytest.raises(ImageError, match="PostScript files are not read"):
        images.read(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (b"%PDF-1.7", "PDF"),
        (b"\xff\x0a", "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
        (b"<svg xmlns=", "SVG"),
        (b"\x97U", ".ttk"),
    ],
)
def test_what_people_try_is_named(start, name):
    refused(start + bytes(100), f"{name} files are not read")


def test_formats_that_pillow_reads_and_we_do_not(monkeypatch):
    file = io.BytesIO()
    Image.new("1", (9, 9)).save(file, "XBM")
    refused(file.getvalue(), "not an image of a format that is read")


def test_a_damaged_header_is_named():
    file = io.BytesIO()
    photo(20, 20).save(file, "GIF")
    refused(file.getvalue()[:9], "GIF: ")


def test_all_suffixes_are_lower_case_and_of_one_format():
    listed = [suffix for suffixes in images.READ.values() for suffix in suffixes]
    assert len(listed) == len(set(listed)) == len(images.SUFFIXES)
    assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in listed)
    assert {".jfif", ".jpe", ".heic", ".png", ".tif"} < images.SUFFIXES


@pytest.mark.parametrize("tags", [{"tag_254": 1}, {"tag_50706": 1}])
def test_camera_raw_files_are_not_taken_for_their_previews(tags):
    refused(tiff(bytes(6), 3, 2, **tags), "camera raw")
    assert images.read(tiff(bytes(6), 3, 2, tag_254=0)).size == (3, 2)


def heic(*brands):
    box = b"ftyp" + brands[0] + bytes(4) + b"".join(brands[1:])
    return struct.pack(">I", 4 + len(box)) + box + bytes(64)


@pytest.mark.parametrize("brands", [(b"heic", b"mif1"), (b"mif1", b"mif1", b"heic"), (b"hevx",)])
def test_heic_without_its_package_says_how_to_get_it(monkeypatch, brands):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    refused(heic(*brands), "HEIC.*pip install pillow-heif")


def test_heic_is_read_by_its_package(monkeypatch):
    class HeifImageFile(ImageFile.ImageFile):
        format = "HEIF"

        def _open(self):
            self._size, self._mode = (2, 1), "RGB"
            self.tile = [ImageFile._Tile("raw", (0, 0, 2, 1), len(heic(b"heic")), "RGB")]

    package = types.SimpleNamespace(HeifImageFile=HeifImageFile)
    monkeypatch.setitem(sys.modules, "pillow_heif", package)
    pixels = bytes([255, 0, 0, 0, 128, 255])
    image = images.read(heic(b"heic") + pixels)
    assert image.image.tobytes() == pixels
    assert "HEIF" not in Image.OPEN or Image.OPEN["HEIF"][0] is not HeifImageFile


def test_heic_by_the_real_package():
    pillow_heif = pytest.importorskip("pillow_heif", reason="pillow-heif is not installed")
    file = io.BytesIO()
    pillow_heif.from_pillow(photo(64, 48)).save(file, quality=90)
    image = images.read(file.getvalue())
    difference = np.asarray(image.image, int) - np.asarray(photo(64, 48), int)
    assert np.abs(difference).mean() < 6
