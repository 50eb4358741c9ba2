"""Standard streams and pipes, open, closed and without an end."""

import io
import os
import sys
import threading

import pytest
from jobs import compressed, decompressed, image_jobs, names
from photos import photo
from PIL import Image

from titokzip.batch import Job, Options, ends
from titokzip.bitstream import container


def test_standard_input_and_output(monkeypatch):
    class Stream:
        def __init__(self, data=b""):
            self.buffer = io.BytesIO(data)

    file = io.BytesIO()
    photo(40, 30).save(file, "PNG")
    for data, work in [(file.getvalue(), compressed), (None, decompressed)]:
        monkeypatch.setattr(sys, "stdin", Stream(data or sys.stdout.buffer.getvalue()))
        monkeypatch.setattr(sys, "stdout", Stream())
        (result,) = work([Job(None, None)])
        assert (result.error, result.job.name) == (None, "-")
        assert result.out_bytes == len(sys.stdout.buffer.getvalue())
    assert Image.open(sys.stdout.buffer).size == (40, 30)


@pytest.mark.parametrize("stream", ["stdin", "stdout"])
def test_closed_streams_are_errors_of_the_job(tmp_path, monkeypatch, stream):
    (job,) = image_jobs(tmp_path, 1)
    monkeypatch.setattr(sys, stream, None)
    closed = Job(None, job.target) if stream == "stdin" else Job(job.source, None)
    (result,) = compressed([closed])
    assert "is closed" in result.error.strerror
    assert names(tmp_path) == ["0.png"]


def test_a_stream_without_an_end_is_refused(monkeypatch):
    class Endless:
        buffer = io.BytesIO(bytes(1000))

    monkeypatch.setattr(sys, "stdin", Endless())
    monkeypatch.setattr(ends, "_IMAGE_BYTES", 999)
    (result,) = compressed([Job(None, None)])
    assert str(result.error) == "more than 999 bytes are not read"


def test_a_file_that_is_much_too_long_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(container, "MAX_BYTES", 999)
    (tmp_path / "a.ttk").write_bytes(bytes(1000))
    (result,) = decompressed([Job(tmp_path / "a.ttk", tmp_path / "a.png")])
    assert str(result.error) == "more than 999 bytes are not read"


def test_pipes_are_read_like_files(tmp_path):
    file = io.BytesIO()
    photo(40, 30).save(file, "PNG")
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=lambda: (tmp_path / "pipe").write_bytes(file.getvalue()))
    writer.start()
    (result,) = compressed([Job(tmp_path / "pipe", tmp_path / "a.ttk")], Options(remove=True))
    writer.join()
    assert (result.error, result.in_bytes) == (None, len(file.getvalue()))
    assert (tmp_path / "pipe").exists()
