"""Where titokzip compress writes, and what it refuses to overwrite."""

import shutil

import pytest
from photos import photo
from run import files, run

pytestmark = pytest.mark.usefixtures("toy")

FAST = ("--tile", "40")


@pytest.fixture
def tree(tmp_path):
    """A folder of images with folders and other files in it."""
    for name in ("one.png", "deep/two.JPG", "deep/er/three.webp"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        photo(60, 40).save(tmp_path / "in" / name)
    (tmp_path / "in" / "notes.txt").write_text("no image")
    return tmp_path / "in"


def test_a_folder_keeps_its_structure(tree, tmp_path):
    run("compress", "-r", tree, "-O", tmp_path / "out", *FAST)
    assert files(tmp_path / "out") == ["deep/er/three.ttk", "deep/two.ttk", "one.ttk"]
    run("compress", "-r", tree, *FAST)
    assert {"one.ttk", "deep/two.ttk"} < set(files(tree))


def test_a_folder_without_r_is_named_and_others_are_done(tree):
    told = run("compress", tree, tree / "one.png", *FAST, code=1).stderr
    assert told.startswith(f"titokzip: {tree}: is a folder; -r goes through it\n")
    assert (tree / "one.ttk").exists()


def test_what_a_folder_hides_is_named(tree, tmp_path):
    (tree / "link.png").symlink_to("nowhere")
    (tree / ".png").write_bytes((tree / "one.png").read_bytes())
    (tmp_path / "empty").mkdir()
    told = run("compress", "-r", tree, tmp_path / "empty", *FAST, code=1).stderr
    errors = [line for line in told.splitlines() if line.startswith("titokzip: ")]
    assert len(errors) == 2
    assert f"{tree / 'link.png'}: No such file or directory" in errors[0]
    assert f"{tmp_path / 'empty'}: no file in it has one of" in errors[1]
    assert {".png.ttk", "one.ttk", "deep/two.ttk"} < set(files(tree))


def test_two_inputs_of_one_output_keep_their_suffixes(tmp_path):
    for name in ("a.png", "a.jpg", "b.png"):
        photo(60, 40).save(tmp_path / name)
    run("compress", "-r", tmp_path, *FAST, "--rm")
    assert files(tmp_path) == ["a.jpg.ttk", "a.png.ttk", "b.ttk"]
    run("decompress", "-r", tmp_path, "--rm")
    assert files(tmp_path) == ["a.jpg.png", "a.png.png", "b.png"]


def test_two_inputs_that_still_make_one_output_are_errors(source, tmp_path):
    (tmp_path / "b").mkdir()
    for name in ("a.png", "c.png"):
        shutil.copy(source, tmp_path / "b" / name)
    given = [source, tmp_path / "b" / "a.png", tmp_path / "b" / "c.png"]
    told = run("compress", *given, "-O", tmp_path / "out", *FAST, code=1).stderr
    assert told.count("another input makes") == 2
    assert files(tmp_path / "out") == ["c.ttk"]
    run("compress", source, tmp_path / "b" / "a.png", "-o", tmp_path / "x.ttk", code=2)


def test_a_file_that_is_named_twice_is_compressed_once(source, tmp_path):
    (tmp_path / "b").mkdir()
    run("compress", source, tmp_path / "b" / ".." / "a.png", *FAST)
    assert files(tmp_path) == ["a.png", "a.ttk"]


def test_only_suffixes_of_images_are_replaced(source, tmp_path):
    names = ["Scan 10.15.32", "Scan 10.15.40", "v1.0 final.PNG", "plain"]
    for name in names:
        shutil.copy(source, tmp_path / name)
    run("compress", *(tmp_path / name for name in names), *FAST, "--rm")
    made = ["Scan 10.15.32.ttk", "Scan 10.15.40.ttk", "a.png", "plain.ttk", "v1.0 final.ttk"]
    assert files(tmp_path) == made
    shutil.copy(tmp_path / "plain.ttk", tmp_path / "no suffix")
    run(
        "decompress", *(tmp_path / name for name in made if name != "a.png"), tmp_path / "no suffix"
    )
    assert {"Scan 10.15.32.png", "v1.0 final.png", "no suffix.png"} < set(files(tmp_path))


def test_existing_outputs(source):
    output = source.with_suffix(".ttk")
    output.write_bytes(b"old")
    assert "exists; -f overwrites it" in run("compress", source, code=4).stderr
    assert run("compress", source, "--skip-existing").output == ""
    from_pipe = ("compress", "-", "-o", output, "--skip-existing")
    assert run(*from_pipe, stdin=source.read_bytes()).output == ""
    assert output.read_bytes() == b"old"
    run("compress", source, *FAST, "-f")
    assert output.read_bytes() != b"old"
    told = run("compress", source, "-o", source.with_name("a.ttk"), code=4).stderr
    assert "exists; -f overwrites it" in told


@pytest.mark.parametrize("options", [[], ["--skip-existing"], ["-f"]])
def test_a_folder_is_no_output_that_is_done(source, options):
    source.with_suffix(".ttk").mkdir()
    told = run("compress", source, *options, code=1).stderr
    assert told.endswith("a.ttk: is a folder\n")


def test_a_dangling_link_is_there(source):
    output = source.with_suffix(".ttk")
    output.symlink_to("nowhere/else.ttk")
    assert "exists; -f overwrites it" in run("compress", source, code=4).stderr
    assert output.is_symlink()
    run("compress", source, *FAST, "-f")
    assert output.is_file()


def test_the_input_itself_is_no_output(source):
    told = run("decompress", source, "-o", source, "-f", code=4).stderr
    assert "is the input itself; -o names another output" in told


def test_what_its_owner_alone_could_read_stays_so(source):
    source.chmod(0o600)
    run("compress", source, *FAST)
    assert source.with_suffix(".ttk").stat().st_mode & 0o777 == 0o600


def test_no_variable_overwrites_or_deletes(source):
    output = source.with_suffix(".ttk")
    output.write_bytes(b"old")
    settings = {"TITOKZIP_COMPRESS_FORCE": "1", "TITOKZIP_COMPRESS_REMOVE": "1"}
    run("compress", source, env=settings, code=4)
    output.unlink()
    run("compress", source, *FAST, env=settings)
    assert source.exists()


def test_sources_are_deleted_on_request(source):
    run("compress", source, *FAST, "--rm")
    assert files(source.parent) == ["a.ttk"]


def test_pipes(source, toy):
    data = run("compress", "-", *FAST, stdin=source.read_bytes()).stdout_bytes
    assert data == run("compress", "-c", source, *FAST).stdout_bytes
    assert data == run("compress", source, "-o", "-", *FAST).stdout_bytes
    assert toy.decompress(data).size == (120, 80)
    run("compress", "-", "-o", source.with_name("b.ttk"), *FAST, stdin=source.read_bytes())
    run("compress", "-", "-O", source.with_name("out"), *FAST, stdin=source.read_bytes())
    assert files(source.parent) == ["a.png", "b.ttk", "out/stdin.ttk"]
    run("compress", "-", source, code=2)
    run("compress", "-", stdin=b"no image", code=1)
    run("compress", "-", stdin=b"", code=1)


def test_an_output_that_cannot_be_written(source, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    told = run("compress", source, "-O", tmp_path / "file" / "deep", code=1).stderr
    assert str(tmp_path / "file") in told
    assert len(told.splitlines()) == 1
    assert files(tmp_path) == ["a.png", "file"]
