"""titokzip info and titokzip test."""

import json
import subprocess
import sys

import pytest
from photos import photo
from run import run
from toys import codec

from titokzip.bitstream import container
from titokzip.bitstream.header import (
    CODEBOOKS,
    Header,
    IndexedLayout,
    TileLayout,
    TransformLayout,
)
from titokzip.images import plain
from titokzip.rate_control import Rate
from titokzip.tiling import Grid


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("info")
    data = codec().compress(plain(photo(400, 300, mode="L")), Rate(tile=18))
    (folder / "whole.ttk").write_bytes(data)
    (folder / "cut.ttk").write_bytes(data[:-1])
    (folder / "short.ttk").write_bytes(data[:10])
    (folder / "words.ttk").write_text("words")
    return folder


def test_every_field_is_told(folder):
    data = (folder / "whole.ttk").read_bytes()
    contents = container.unpack(data)
    told = json.loads(run("info", folder / "whole.ttk", "--json").stdout)
    assert told["schema"] == 1
    assert told["results"] == [
        {
            "input": str(folder / "whole.ttk"),
            "status": "whole",
            "version": 2,
            "model": b"toy!".hex(),
            "model_name": None,
            "width": 400,
            "height": 300,
            "colour": "grey",
            "rows": contents.header.layout.grid.rows,
            "columns": contents.header.layout.grid.columns,
            "tokens": 4,
            "total_bytes": len(data),
            "header_bytes": contents.header_bytes,
            "layer_bytes": [len(payload) for payload in contents.payloads],
            "bpp": 8 * len(data) / 120000,
        }
    ]


def test_told_to_people(folder):
    lines = run("info", folder / "whole.ttk").stdout.splitlines()
    assert lines[0].endswith("whole.ttk: whole")
    rows = {line[:15].strip(): line[15:] for line in lines[1:]}
    assert rows["width"] == "400"
    assert rows["colour"] == "grey"
    assert rows["tokens"] == "4"
    assert "model name" not in rows  # it is not known


@pytest.mark.parametrize(
    ("name", "status", "error"),
    [
        ("cut.ttk", "cut", "2 of 3 layers are intact"),
        ("short.ttk", "damaged", "ends inside its header"),
        ("words.ttk", "damaged", "not a .ttk file"),
        ("missing.ttk", "unreadable", "No such file"),
        (".", "unreadable", "directory"),
    ],
)
def test_damage_is_told(folder, name, status, error):
    told = json.loads(run("info", folder / name, "--json", code=1).stdout)["results"][0]
    assert told["status"] == status
    assert error in told["error"]
    for command in ("info", "test"):
        line = run(command, folder / name, folder / "whole.ttk", code=1).stdout.splitlines()[0]
        assert line.startswith(f"{folder / name}: {status}")
        assert error in line


def test_a_file_that_is_much_too_long_is_not_called_damaged(folder, monkeypatch):
    monkeypatch.setattr(container, "MAX_BYTES", 20)
    for command in ("info", "test"):
        line = run(command, folder / "whole.ttk", code=1).stdout.splitlines()[0]
        assert line.startswith(f"{folder / 'whole.ttk'}: unreadable")
        assert "more than 20 bytes are not read" in line


def test_whole_files_pass_the_test(folder):
    assert run("test", folder / "whole.ttk").stdout == f"{folder / 'whole.ttk'}: whole\n"
    data = (folder / "whole.ttk").read_bytes()
    assert run("info", "-", stdin=data).stdout.startswith("-: whole")


def test_any_damage_fails_the_test(folder, tmp_path):
    data = bytearray((folder / "whole.ttk").read_bytes())
    for place in range(0, len(data), 37):
        data[place] ^= 4
        (tmp_path / "a.ttk").write_bytes(data)
        run("test", tmp_path / "a.ttk", code=1)
        data[place] ^= 4


def test_an_image_of_any_size_is_shown(tmp_path):
    """Decoding has limits; telling of a file has none."""
    header = Header(bytes(4), 2**21 - 1, 2**21 - 1, TileLayout(Grid(1, 1), 1))
    (tmp_path / "a.ttk").write_bytes(container.pack(header, [b"x"]))
    assert "2097151" in run("info", tmp_path / "a.ttk").stdout


def test_a_transform_is_told_by_its_own_fields(embedded, tmp_path):
    image = photo(60, 40)
    image.putalpha(100)
    data = embedded.compress(plain(image, keep_alpha=True), Rate(quality=20))
    (tmp_path / "a.ttk").write_bytes(data)
    layout = container.unpack(data).header.layout
    (told,) = json.loads(run("info", tmp_path / "a.ttk", "--json").stdout)["results"]
    assert (told["model_name"], told["colour"]) == ("xs", "rgba")
    assert (told["step"], told["blocks"], told["refined"]) == (layout.step, layout.blocks, True)
    assert "tokens" not in told


def test_answers_without_torch(folder):
    code = (
        "import sys\nfrom titokzip.cli import main\n"
        "for words in ['--help', 'info whole.ttk', 'test whole.ttk', 'models list']:\n"
        "    main.main(words.split(), standalone_mode=False)\n"
        "assert 'torch' not in sys.modules"
    )
    command = [sys.executable, "-c", code]
    told = subprocess.run(command, capture_output=True, cwd=folder, check=False)
    assert told.returncode == 0, told.stderr
    assert told.stdout.count(b"whole.ttk: whole") == 2


@pytest.mark.parametrize(
    ("layout", "side", "payload", "error"),
    [
        (TransformLayout(200, 5000, False), 10, b"", "5000 x 5000 blocks is too large"),
        (IndexedLayout(2), 4000, b"", "no image of a palette has this size"),
        (IndexedLayout(256), 40, b"\xff" * 40, "damaged"),
    ],
    ids=["working size", "size of a palette", "palette"],
)
def test_what_no_decoder_takes_is_damaged(tmp_path, layout, side, payload, error):
    header = Header(CODEBOOKS[0], side, side, layout)
    (tmp_path / "a.ttk").write_bytes(container.pack(header, [payload]))
    for command in ("info", "test"):
        line = run(command, tmp_path / "a.ttk", code=1).stdout.splitlines()[0]
        assert line.startswith(f"{tmp_path / 'a.ttk'}: damaged")
        assert error in line
