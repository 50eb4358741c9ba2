"""Any codec is measured by the commands that run it."""

import sys

import numpy as np
import pytest
from photos import photo
from PIL import Image

from titokzip.bench import raw_video
from titokzip.bench.baselines import BASELINES, available
from titokzip.bench.cache import Cache
from titokzip.bench.image_codec import CodecFailed, Encoded
from titokzip.bench.metrics import psnr
from titokzip.bench.program_codec import codec
from titokzip.bench.programs import Program, own, read_file, read_line

LINE = "toy: toy-enc {in} {out} {quality} :: toy-dec {in} {out}"
ENCODE = """#!{python}
import sys
from PIL import Image
if "--version" in sys.argv:
    print("toy version 4.2")
else:
    source, target, quality = sys.argv[1:]
    Image.open(source).save(target, "WEBP", quality=int(quality), method=0)
"""
DECODE = """#!{python}
import sys
from PIL import Image
Image.open(sys.argv[1]).save(sys.argv[2])
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Put the programs of a toy codec into a folder."""
    place = tmp_path / "programs"
    place.mkdir()
    for name, text in (("toy-enc", ENCODE), ("toy-dec", DECODE)):
        (place / name).write_text(text.format(python=sys.executable))
        (place / name).chmod(0o755)
    return place


def test_a_line_describes_a_codec(folder):
    program = read_line(LINE + " :: qualities=0..80..40 :: suffix=.toy")
    assert (program.levels, program.suffix) == ((0.0, 40.0, 80.0), ".toy")
    assert program.missing() == ["toy-dec", "toy-enc"]
    assert program.missing([folder]) == []
    one = codec(program, Cache(), [folder])
    image = photo(60, 44)
    (encoded,) = one.encode(image, [300])
    assert one.compared_bytes(encoded.data) <= 300
    decoded = one.decode(encoded, image.size)
    assert psnr(np.asarray(image), np.asarray(decoded)) > 20
    assert one.note.startswith("SHA-256 ")


def test_a_toml_file_describes_several(tmp_path, folder):
    path = tmp_path / "codecs.toml"
    path.write_text(
        '[toy]\nencode = "toy-enc {in} {out} {quality}"\ndecode = "toy-dec {in} {out}"\n'
        'version = "toy-enc --version"\nqualities = "0..40..40"\n'
        '[other]\nencode = "nowhere {in} {out}"\ndecode = "nowhere {in} {out}"\n'
    )
    toy, other = read_file(path)
    assert codec(toy, Cache(), [folder]).note.startswith("toy version 4.2: toy-enc {in}")
    here = available(Cache(), [folder], extra=[toy, other])
    assert here.missing["other"] == "nowhere not on the PATH"
    assert "toy" in here.codecs
    assert other.levels == (0.0,)


def test_qualities_run_either_way():
    assert read_line(LINE + " :: qualities=63..60").levels == (63.0, 62.0, 61.0, 60.0)
    assert read_line(LINE + " :: qualities=3..1..0.5").levels == (3.0, 2.5, 2.0, 1.5, 1.0)
    assert read_line(LINE).levels == tuple(map(float, range(1, 101)))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("toy", "is not 'name: encode"),
        ("toy: enc {in} {out}", "is not 'name: encode"),
        ("a/b: e {in} {out} :: d {in} {out}", "a codec's name is"),
        ("toy: e {in} :: d {in} {out}", "a command has {in} and {out}"),
        ("toy: e {in} {out} {speed} :: d {in} {out}", "a command has {in} and {out}"),
        (LINE + " :: qualities=5..x", "qualities are FIRST..LAST"),
        (LINE + " :: qualities=5", "qualities are FIRST..LAST"),
        (LINE + " :: qualities=0..1..0", "qualities are FIRST..LAST"),
        (LINE + " :: qualities=0..1e9", "too many"),
        (LINE + " :: input=gif", "no format 'gif'"),
        (LINE + " :: colour=red", "no field 'colour'"),
        ('toy: e "{in} {out} :: d {in} {out}', "No closing quotation"),
    ],
)
def test_what_is_no_codec_is_refused_in_one_line(line, reason):
    with pytest.raises(ValueError, match=r"^[^\n]*$") as caught:
        read_line(line)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "each codec is a table"),
        ("a = 1", "each codec is a table"),
        ("[a", "not a TOML file"),
        ('[a]\nencode = "e {in} {out}"', "decode is missing"),
        ('[a]\nencode = 3\ndecode = "d"', "all fields are text"),
    ],
)
def test_toml_that_holds_no_codec_is_refused(tmp_path, text, reason):
    (tmp_path / "a.toml").write_text(text)
    with pytest.raises(ValueError, match=reason):
        read_file(tmp_path / "a.toml")
    with pytest.raises(ValueError, match="cannot be read"):
        read_file(tmp_path / "b.toml")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("import sys; sys.exit('out of ideas')", "ended with 1: out of ideas"),
        ("", "it ended well, but wrote no"),
        ("import sys; open(sys.argv[2], 'w').write('no image')", "cannot be read"),
    ],
)
def test_programs_that_fail_say_why(tmp_path, body, reason):
    (tmp_path / "fails").write_text(f"#!{sys.executable}\n{body}\n")
    (tmp_path / "fails").chmod(0o755)
    program = Program("bad", "fails {in} {out}", "fails {in} {out}")
    one = codec(program, Cache(), [tmp_path])
    with pytest.raises(CodecFailed, match=reason):
        one.encode(photo(40, 30), [10_000])


def test_names_of_files_are_words_of_their_own(folder, monkeypatch, tmp_path):
    odd = tmp_path / "with a space"
    odd.mkdir()
    monkeypatch.setenv("TMPDIR", str(odd))
    monkeypatch.setattr("tempfile.tempdir", None)
    one = codec(read_line(LINE + " :: qualities=50..50"), Cache(), [folder])
    assert one.encode(photo(40, 30), [5000])[0] is not None


def test_our_own_programs_are_baselines_and_say_where_they_are_from():
    for program in own():
        assert program.name in BASELINES
        assert "https://" in program.source
        assert len(program.levels) > 20


@pytest.mark.parametrize("program", own(), ids=lambda program: program.name)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_our_own_programs_run(program, mode):
    if program.missing():
        pytest.skip(f"{' and '.join(program.missing())} not on the PATH")
    image = photo(80, 66, mode=mode)  # x265 takes no side below 64
    one = codec(program, Cache())
    middle = program.levels[len(program.levels) // 2]
    data = one.save(image, middle)
    decoded = one.decode(Encoded(data, image.size, mode == "L"), image.size)
    assert decoded.mode == mode
    assert psnr(np.asarray(image), np.asarray(decoded)) > 20


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("depth", [8, 10])
@pytest.mark.parametrize("size", [(48, 32), (31, 17)])
def test_raw_video_comes_back(mode, depth, size):
    smooth = photo(*size, mode=mode).resize((4, 4)).resize(size, Image.Resampling.BICUBIC)
    y4m = raw_video.from_y4m(raw_video.to_y4m(smooth, depth), size)
    yuv = raw_video.from_yuv(raw_video.to_yuv(smooth, depth), size, depth, mode == "L")
    assert y4m.size == yuv.size == size
    assert y4m.mode == yuv.mode == mode
    assert np.array_equal(y4m, yuv)
    assert np.abs(np.asarray(y4m, int) - np.asarray(smooth)).max() <= (0 if mode == "L" else 8)


def test_grey_levels_survive_colour_video_exactly():
    ramp = Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16))
    back = raw_video.from_y4m(raw_video.to_y4m(ramp.convert("RGB"), 10), ramp.size)
    assert np.array_equal(back.convert("L"), ramp)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not a Y4M file"),
        (b"YUV4MPEG2 W9 H4\nFRAME\n", "not a Y4M file of 4 x 4"),
        (b"YUV4MPEG2 W4 H4 C444\nFRAME\n", "chroma format 444"),
        (b"YUV4MPEG2 W4 H4 C420p12\nFRAME\n", "12 bits"),
        (b"YUV4MPEG2 W4 H4\nFRAME\nshort", "too few"),
    ],
)
def test_what_is_no_such_video_is_refused(data, reason):
    with pytest.raises(ValueError, match=reason):
        raw_video.from_y4m(data, (4, 4))
