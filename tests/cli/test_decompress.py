"""titokzip decompress."""

import io
import json
import random
import resource
import zlib

import numpy as np
import pytest
from photos import photo
from PIL import Image
from run import files, run
from toys import LEVELS, codec

from titokzip.bitstream import container
from titokzip.bitstream.header import START
from titokzip.errors import FormatError, TitokzipError
from titokzip.images import plain
from titokzip.rate_control import Rate

pytestmark = pytest.mark.usefixtures("toy")

TOY = codec()


@pytest.fixture(scope="module")
def small():
    """One tile."""
    return TOY.compress(plain(photo(120, 80)), Rate(tile=120))


@pytest.fixture(scope="module")
def layered():
    """Tiles in three layers."""
    return TOY.compress(plain(photo(400, 300)), Rate(tile=18))


@pytest.fixture
def file(small, tmp_path):
    (tmp_path / "a.ttk").write_bytes(small)
    return tmp_path / "a.ttk"


def test_beside_the_file(file, small):
    result = run("decompress", file, "--precision", "float32")
    assert result.stdout == ""
    assert f"120 x 80  {len(small)} -> " in result.stderr
    assert f"{8 * len(small) / 9600:.4f} bpp" in result.stderr
    with Image.open(file.with_suffix(".png")) as image:
        assert image.format == "PNG"
        assert np.array_equal(np.asarray(image), np.asarray(TOY.decompress(small)))


@pytest.mark.parametrize(
    ("options", "name", "kind"),
    [
        (["-o", "b.jpg"], "b.jpg", "JPEG"),
        (["-o", "b.PPM"], "b.PPM", "PPM"),
        (["--format", "webp"], "a.webp", "WEBP"),
        (["--format", "tif", "-o", "b"], "b", "TIFF"),
        (["--format", "tif", "-o", "b.tiff"], "b.tiff", "TIFF"),
        (["--format", "jpg", "-o", "b.jpeg"], "b.jpeg", "JPEG"),
        (["-O", "deep/er"], "deep/er/a.png", "PNG"),
    ],
    ids=str,
)
def test_formats_and_places(file, monkeypatch, options, name, kind):
    monkeypatch.chdir(file.parent)
    run("decompress", "a.ttk", *options)
    with Image.open(file.parent / name) as image:
        assert (image.format, image.size) == (kind, (120, 80))


@pytest.mark.parametrize(
    ("size", "expected"), [("original", (120, 80)), ("native", (16, 16)), ("33x44", (33, 44))]
)
def test_sizes(file, size, expected):
    run("decompress", file, "--size", size)
    with Image.open(file.with_suffix(".png")) as image:
        assert image.size == expected


@pytest.mark.parametrize(
    "options",
    [
        ["-o", "b"],
        ["-o", "b.txt"],
        ["-o", "b.ttk"],
        ["-o", "b.ico"],
        ["-o", "b.icns"],
        ["-o", "b.gif"],
        ["-o", "b.pdf"],
        ["-o", "b.jpg", "--format", "png"],
        ["-o", "b.ttk", "--format", "png"],
        ["--max-pixels", "-1"],
        ["--max-pixels", "9" * 5000],
        ["--format", "exe"],
        ["--size", "0x5"],
        ["--size", "axb"],
        ["--size", "99999x99999"],
        ["--size", "9" * 5000 + "x1"],
        ["--device", "cuda"],
    ],
    ids=lambda options: " ".join(options)[:20],
)
def test_what_makes_no_sense_is_a_usage_error(file, monkeypatch, options):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.chdir(file.parent)
    run("decompress", file, *options, code=2)
    assert files(file.parent) == ["a.ttk"]


def test_pipes(file, small):
    data = run("decompress", "-", stdin=small).stdout_bytes
    assert Image.open(io.BytesIO(data)).format == "PNG"
    assert data == run("decompress", "-c", file).stdout_bytes
    ppm = run("decompress", file, "-o", "-", "--format", "ppm").stdout_bytes
    assert len(ppm) == len(b"P6\n120 80\n255\n") + 120 * 80 * 3


def test_a_folder_keeps_its_structure(file, small, tmp_path):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for name in ("one.ttk", "deep/two.ttk", "deep/three.txt"):
        (tmp_path / "in" / name).write_bytes(small)
    run("decompress", "-r", tmp_path / "in", "-O", tmp_path / "out", "--format", "bmp")
    assert files(tmp_path / "out") == ["deep/two.bmp", "one.bmp"]


def test_existing_outputs_and_sources(file):
    file.with_suffix(".png").write_bytes(b"old")
    run("decompress", file, "--rm", code=4)
    assert run("decompress", file, "--skip-existing", "--rm").output == ""
    assert files(file.parent) == ["a.png", "a.ttk"]
    run("decompress", file, "--rm", "-f")
    assert files(file.parent) == ["a.png"]


def test_a_cut_file(layered, tmp_path):
    path = tmp_path / "a.ttk"
    path.write_bytes(layered[:-5])
    told = run("decompress", path, code=1).stderr
    assert "2 of 3 layers are intact; --allow-partial" in told
    assert files(tmp_path) == ["a.ttk"]
    assert "(cut: 2 of 3 layers)" in run("decompress", path, "--allow-partial").stderr
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (400, 300)
    path.write_bytes(layered[:12])
    run("decompress", path, "--allow-partial", "-f", code=1)


def test_what_is_no_ttk_file(file, tmp_path, small):
    (tmp_path / "b.ttk").write_text("words")
    (tmp_path / "c.ttk").write_bytes(b"")
    given = ["b.ttk", "a.ttk", "c.ttk", "missing.ttk"]
    result = run("decompress", *(tmp_path / name for name in given), "--json", code=1)
    rows = json.loads(result.stdout)["results"]
    assert [row["status"] for row in rows] == ["error", "success", "error", "error"]
    errors = [row["error"] for row in rows if "error" in row]
    assert errors == ["not a .ttk file", "not a .ttk file", "No such file or directory"]
    assert files(tmp_path) == ["a.png", "a.ttk", "b.ttk", "c.ttk"]


def test_more_pixels_than_allowed(file):
    told = run("decompress", file, "--max-pixels", "9599", code=1).stderr
    assert "--max-pixels raises it" in told
    run("decompress", file, "--max-pixels", "9600")


def resealed(data, place, value):
    """Change a byte of a file of one layer, and make its check right again."""
    changed = bytearray(data[:-3])
    changed[place] = value
    return bytes(changed) + zlib.crc32(changed).to_bytes(4, "little")[:3]


def hostile(data):
    """Give noise, noise behind our first bytes, and changed bytes behind a right CRC."""
    rng = random.Random(0)
    header = container.unpack(data).header_bytes
    yield from (rng.randbytes(rng.randrange(200)) for _ in range(80))
    yield from (START + rng.randbytes(rng.randrange(100)) for _ in range(80))
    places = [*range(3, header)] * 8 + [rng.randrange(header, len(data) - 3) for _ in range(40)]
    yield from (resealed(data, place, rng.randrange(256)) for place in places)


def test_bad_bytes_end_in_one_line_and_little_memory(small, tmp_path):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused, decoded = [], 0
    for data in hostile(small):
        try:
            contents = container.unpack(data)
            tokens = TOY.tokens(contents)
            assert ((tokens >= 0) & (tokens < LEVELS)).all()
            size = contents.header.width, contents.header.height
            if size[0] * size[1] < 10**6:
                assert TOY.decompress(data).size == size
                decoded += 1
        except TitokzipError as error:
            refused.append(str(error))
            (tmp_path / f"{len(refused)}.ttk").write_bytes(data)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 200 * 1024
    assert len(refused) > 170
    assert not any("\n" in line for line in refused)
    assert decoded > 9
    lines = run("decompress", "-r", tmp_path, code=1).stderr.splitlines()
    assert len(lines) == len(refused)
    assert all(line.startswith("titokzip: ") for line in lines)
    assert not list(tmp_path.glob("*.png"))


def test_every_truncation_is_refused(small):
    for kept in range(len(small)):
        with pytest.raises(FormatError):
            TOY.decompress(small[:kept], partial=True)
