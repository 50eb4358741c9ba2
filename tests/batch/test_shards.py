"""Shards in WebDataset's layout: the same keys, .ttk files, captions and classes carried along."""

import json
import sys
import tarfile
from pathlib import Path

import fsspec
import pytest
from jobs import SMALL, TOY
from tars import make_shards, read_tar, sample, write_tar

from titokzip import images
from titokzip.batch import Options, compress_files, decompress_files, members, pipeline, storage
from titokzip.batch.shards import Shard, convert, read_sidecar, write_manifest
from titokzip.bitstream import container
from titokzip.errors import OutputExists, TitokzipError, WorkerDied

ENDS = (".ttk", ".txt", ".cls")


def pairs(paths, folder):
    return [Shard(str(path), f"{folder}/{path.name}") for path in paths]


def compress(shards, options=Options(), **how):  # noqa: B008
    code = lambda jobs: compress_files(jobs, TOY, SMALL, options)  # noqa: E731
    return list(convert(shards, code, images.SUFFIXES, ".ttk", **how))


def decompress(shards):
    code = lambda jobs: decompress_files(jobs, lambda _: TOY, Options())  # noqa: E731
    return list(convert(shards, code, [".ttk"], ".png"))


@pytest.mark.parametrize("processes", [0, 2])
def test_shards_there_and_back(processes, tmp_path):
    paths = make_shards(tmp_path / "in")
    shards = pairs(paths, tmp_path / "out")
    results = compress(shards, Options(processes=processes))
    assert [result.shard for result in results] == shards
    assert [(one.samples, one.failures, one.error) for one in results] == [(3, [], None)] * 2
    for path, shard in zip(paths, shards, strict=True):
        before, after = read_tar(path), read_tar(shard.target)
        assert list(after) == [name.replace(".png", ".ttk") for name in before]
        for name, data in before.items():
            if name.endswith(".png"):
                expected = TOY.compress(images.read(data), SMALL)
                assert after[name.replace(".png", ".ttk")] == expected
            else:
                assert after[name] == data
    back = pairs([tmp_path / "out" / path.name for path in paths], tmp_path / "back")
    assert [one.samples for one in decompress(back)] == [3, 3]
    for path, shard in zip(paths, back, strict=True):
        assert list(read_tar(shard.target)) == list(read_tar(path))
        with tarfile.open(path) as one, tarfile.open(shard.target) as other:
            assert [info.mtime for info in other] == [info.mtime for info in one]


def test_what_is_in_a_shard_is_told(tmp_path):
    paths = make_shards(tmp_path / "in")
    shards = pairs(paths, tmp_path / "out")
    results = compress(shards)
    write_manifest(str(tmp_path / "out"), shards)
    told = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert (told["samples"], told["failures"]) == (6, 0)
    assert told["in_bytes"] == sum(one.in_bytes for one in results)
    ttk = [v for s in shards for k, v in read_tar(s.target).items() if k.endswith(".ttk")]
    assert told["out_bytes"] == sum(map(len, ttk))
    assert [row["shard"] for row in told["shards"]] == ["s-000.tar", "s-001.tar"]


def test_samples_that_fail_are_left_out_and_listed(tmp_path):
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "s.tar"
    bad = [("b.png", b"no image"), ("b.txt", b"words")]
    none, two = [("c.txt", b"words")], [*sample("d", 1), ("d.left.png", b"")]
    write_tar(path, [*sample("a", 0), *bad, *none, *two, *sample("e", 2)])
    (result,) = compress(pairs([path], tmp_path / "out"))
    assert (result.samples, result.error) == (2, None)
    assert [one["key"] for one in result.failures] == ["b", "c", "d"]
    assert "one image, and this one 2" in result.failures[2]["error"]
    assert {name.partition(".")[0] for name in read_tar(tmp_path / "out" / "s.tar")} == {"a", "e"}
    assert json.loads((tmp_path / "out" / "s.json").read_text())["failures"] == result.failures


@pytest.mark.parametrize("kind", ["cut", "no tar", "empty", "missing"])
def test_a_damaged_shard_is_an_error_and_others_are_done(kind, tmp_path):
    paths = make_shards(tmp_path / "in", 3)
    data = paths[1].read_bytes()
    damaged = {"cut": data[: len(data) // 2], "no tar": b"no tar" * 500, "empty": bytes(10240)}
    if kind == "missing":
        paths[1].unlink()
    else:
        paths[1].write_bytes(damaged[kind])
    first, second, third = compress(pairs(paths, tmp_path / "out"))
    assert (first.error, third.error) == (None, None)
    assert isinstance(second.error, TitokzipError | OSError)
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert written == ["s-000.json", "s-000.tar", "s-002.json", "s-002.tar"]


def test_shards_that_are_there_are_kept_unless_they_are_to_be_replaced(tmp_path):
    shards = pairs(make_shards(tmp_path / "in", 3), tmp_path / "out")
    compress(shards[:1])
    first = (tmp_path / "out" / "s-000.tar").stat()
    results = compress(shards)
    assert isinstance(results[0].error, OutputExists)
    assert [one.error for one in results[1:]] == [None, None]
    (tmp_path / "out" / "s-001.tar").unlink()
    assert [one.shard for one in compress(shards, skip_existing=True)] == shards[1:2]
    assert (tmp_path / "out" / "s-000.tar").stat().st_ino == first.st_ino
    assert [one.error for one in compress(shards, replace=True)] == [None] * 3
    assert (tmp_path / "out" / "s-000.tar").stat().st_ino != first.st_ino


@pytest.mark.parametrize(
    "data", [b"[]", b"{}", b'{"schema": 1}', b"no JSON", b"\xff", b"[" * 10**5]
)
def test_files_of_other_programs_are_kept_unless_they_are_to_be_replaced(data, tmp_path):
    out, shards = tmp_path / "out", pairs(make_shards(tmp_path / "in", 1, 1), tmp_path / "out")
    out.mkdir()
    sidecar, manifest = out / "s-000.json", out / "manifest.json"
    for path in (sidecar, manifest):
        path.write_bytes(data)
    (result,) = compress(shards)
    assert isinstance(result.error, OutputExists)
    with pytest.raises(OutputExists, match=r"manifest\.json exists"):
        write_manifest(str(out), shards)
    assert sorted(path.name for path in out.iterdir()) == ["manifest.json", "s-000.json"]
    assert sidecar.read_bytes() == manifest.read_bytes() == data
    assert [one.error for one in compress(shards, replace=True)] == [None]
    write_manifest(str(out), shards, replace=True)
    write_manifest(str(out), shards)
    assert read_sidecar(shards[0]).samples == json.loads(manifest.read_bytes())["samples"] == 1
    sidecar.write_bytes(data)
    for read in (read_sidecar, lambda shard: write_manifest(str(out), [shard])):
        with pytest.raises(TitokzipError, match=r"s-000\.json: not a sidecar of titokzip"):
            read(shards[0])


@pytest.mark.parametrize(
    ("module", "limit", "names"),
    [
        (members, "_MOST_SAMPLE", ["a.png", "a.txt"]),
        (members, "_MOST_SAMPLE", ["a.txt"]),
        (container, "MAX_BYTES", ["a.ttk"]),
    ],
)
def test_samples_are_read_up_to_a_limit(module, limit, names, tmp_path, monkeypatch):
    path, size = tmp_path / "s.tar", 1000 // len(names)
    monkeypatch.setattr(module, limit, 1000)
    write_tar(path, [("first.txt", bytes(900)), *((name, bytes(size)) for name in names)])
    with path.open("rb") as file:
        assert [info.name for info, _ in members.members(file)] == ["first.txt", *names]
    monkeypatch.setattr(module, limit, 999)
    with path.open("rb") as file, pytest.raises(TitokzipError, match=f"{names[-1]}: 1,000 bytes"):
        list(members.members(file))


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_header_without_end_is_refused(kind, tmp_path):
    """A few bytes of a compressed shard could hold gigabytes of one."""
    header = tarfile.TarInfo("a")
    header.type, header.size = kind, 2**33 - 1
    (tmp_path / "s.tar").write_bytes(header.tobuf() + bytes(10**4))
    (result,) = compress(pairs([tmp_path / "s.tar"], tmp_path / "out"))
    assert "8,589,934,591 bytes of a header are too many" in str(result.error)


def test_long_names_are_kept(tmp_path):
    (tmp_path / "in").mkdir()
    key = "folder/" * 60 + "a"
    write_tar(tmp_path / "in" / "s.tar", sample(key, 0))
    compress(pairs([tmp_path / "in" / "s.tar"], tmp_path / "out"))
    assert list(read_tar(tmp_path / "out" / "s.tar")) == [f"{key}{end}" for end in ENDS]


def test_what_samples_hold_counts_among_what_is_read_ahead(tmp_path, monkeypatch):
    sizes = []

    def counting(pool, function, many, window, size, most):
        for one in many:
            read = function(one)
            sizes.append(size(read))
            yield read

    monkeypatch.setattr(pipeline, "ahead", counting)
    (path,) = make_shards(tmp_path / "in", 1, 2)
    compress(pairs([path], tmp_path / "out"))
    files = read_tar(path)
    for number, size in enumerate(sizes):
        held = sum(len(data) for name, data in files.items() if name.startswith(f"{number:06d}"))
        assert size == held + 3 * (20 + number) * 18
    assert len(sizes) == 2


def test_an_interrupted_shard_is_not_there(tmp_path):
    def interrupted(jobs):
        for count, result in enumerate(compress_files(jobs, TOY, SMALL, Options())):
            if count == 4:
                raise KeyboardInterrupt
            yield result

    shards = pairs(make_shards(tmp_path / "in"), tmp_path / "out")
    with pytest.raises(KeyboardInterrupt):
        list(convert(shards, interrupted, images.SUFFIXES, ".ttk"))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["s-000.json", "s-000.tar"]
    assert [one.error for one in compress(shards, skip_existing=True)] == [None]
    whole = pairs([tmp_path / "in" / "s-000.tar", tmp_path / "in" / "s-001.tar"], tmp_path / "all")
    compress(whole)
    for one, other in zip(shards, whole, strict=True):
        assert Path(one.target).read_bytes() == Path(other.target).read_bytes()


def test_a_worker_that_dies_costs_a_sample(tmp_path, monkeypatch):
    def dying(jobs):
        for count, result in enumerate(compress_files(jobs, TOY, SMALL, Options())):
            if count == 1:
                result.error = WorkerDied("the process died")
            yield result

    (result,) = convert(
        pairs(make_shards(tmp_path / "in", 1), tmp_path / "out"), dying, images.SUFFIXES, ".ttk"
    )
    assert (result.samples, [one["key"] for one in result.failures]) == (2, ["000001"])


def test_shards_behind_urls(tmp_path):
    paths = make_shards(tmp_path / "in")
    memory = fsspec.filesystem("memory")
    for path in paths:
        memory.pipe(f"/bulk/in/{path.name}", path.read_bytes())
    sources = storage.expanded("memory://bulk/in/*.tar")
    shards = [
        Shard(one, storage.within("memory://bulk/out", storage.last_part(one))) for one in sources
    ]
    assert [one.error for one in compress(shards)] == [None, None]
    write_manifest("memory://bulk/out", shards)
    compress(pairs(paths, tmp_path / "out"))
    for name in ("s-000.tar", "s-001.tar", "s-000.json"):
        assert memory.cat(f"/bulk/out/{name}") == (tmp_path / "out" / name).read_bytes()
    assert json.loads(memory.cat("/bulk/out/manifest.json"))["samples"] == 6
    assert [type(one.error) for one in compress(shards)] == [OutputExists] * 2
    assert compress(shards, skip_existing=True) == []


def test_names_of_many_shards():
    assert storage.expanded("s-{008..011}.tar") == [f"s-{n:03d}.tar" for n in range(8, 12)]
    assert storage.expanded("{1..2}-{0..1}") == ["1-0", "1-1", "2-0", "2-1"]
    assert storage.expanded("plain[1].tar") == ["plain[1].tar"]
    for wrong in ("{3..2}", "{0..99999999}"):
        with pytest.raises(TitokzipError, match="a range goes up"):
            storage.expanded(wrong)
    with pytest.raises(TitokzipError, match="nothing there matches"):
        storage.expanded("memory://nowhere/*.tar")


def test_urls_say_what_they_need(monkeypatch):
    with pytest.raises(TitokzipError, match="unheard-of"):
        storage.exists("unheard-of://bucket/s.tar")
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(TitokzipError, match="pip install fsspec"):
        storage.exists("s3://bucket/s.tar")


def test_a_cut_stream_is_compressed_as_ever(tmp_path):
    """What is in a shard decompresses like any file."""
    compress(pairs(make_shards(tmp_path / "in", 1, 1), tmp_path / "out"))
    data = read_tar(tmp_path / "out" / "s-000.tar")["000000.ttk"]
    assert container.unpack(data).whole
    assert TOY.decompress(data).size == (20, 18)
